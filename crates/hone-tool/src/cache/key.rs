//! What a call is known by, and how two of them differ.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Most characters of a value that a difference quotes.
const QUOTED: usize = 80;

/// A call by its content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub tool: String,
    pub version: String,
    pub arguments: Value,
    pub state: String,
    /// SHA-256 over the four, in hex.
    pub digest: String,
}

impl Key {
    pub fn new(tool: &str, version: &str, arguments: Value, state: String) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"hone/call/1");
        for part in [tool, version, &arguments.to_string(), &state] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self {
            tool: tool.to_owned(),
            version: version.to_owned(),
            arguments,
            state,
            digest: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// How the nearest of these differs from this call.
    pub fn compared_with(&self, others: &[Self]) -> String {
        let nearest = others
            .iter()
            .map(|other| (difference(&other.arguments, &self.arguments), other));
        let Some((differs, other)) = nearest.min_by_key(|(differs, other)| {
            (
                differs.as_ref().map_or(0, |differs| differs.fields),
                other.version != self.version,
                other.state != self.state,
            )
        }) else {
            return format!("no call of {} is recorded", self.tool);
        };
        match differs {
            Some(differs) => format!(
                "the nearest recorded call of {} differs at {}",
                self.tool, differs.first
            ),
            None if other.version != self.version => format!(
                "a call with these arguments is recorded of version {:?} of {}, and this is version {:?}",
                other.version, self.tool, self.version
            ),
            None => format!(
                "a call of {} with these arguments is recorded, but on another state of its world",
                self.tool
            ),
        }
    }
}

/// How two values differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The first field that does, with both values.
    pub first: String,
    /// How many do.
    pub fields: usize,
}

/// How a value differs from a recorded one; `None` if it does not. Fields are named by JSON pointers.
pub fn difference(recorded: &Value, asked: &Value) -> Option<Difference> {
    let mut found = Vec::new();
    walk(recorded, asked, &mut String::new(), &mut found);
    let fields = found.len();
    found.into_iter().next().map(|first| Difference { first, fields })
}

fn walk(recorded: &Value, asked: &Value, at: &mut String, found: &mut Vec<String>) {
    let mut step = |name: &str, recorded: Option<&Value>, asked: Option<&Value>, found: &mut Vec<String>| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        match (recorded, asked) {
            (Some(recorded), Some(asked)) => walk(recorded, asked, at, found),
            (Some(recorded), None) => found.push(format!("`{at}`: recorded is {}, this has nothing", quoted(recorded))),
            (None, Some(asked)) => found.push(format!("`{at}`: recorded is nothing, this is {}", quoted(asked))),
            (None, None) => {}
        }
        at.truncate(length);
    };
    match (recorded, asked) {
        _ if recorded == asked => {}
        (Value::Object(before), Value::Object(now)) => {
            let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                step(name, before.get(name), now.get(name), found);
            }
        }
        (Value::Array(before), Value::Array(now)) => {
            for index in 0..before.len().max(now.len()) {
                step(&index.to_string(), before.get(index), now.get(index), found);
            }
        }
        _ => {
            let place = if at.is_empty() { "the whole" } else { at.as_str() };
            found.push(format!(
                "`{place}`: recorded is {}, this is {}",
                quoted(recorded),
                quoted(asked)
            ));
        }
    }
}

fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_field_that_differs_is_named_with_both_values() {
        let recorded = json!({"a": {"b/c": [1, 2]}, "q": "x", "old": true});
        assert_eq!(difference(&recorded, &recorded), None);
        let asked = json!({"a": {"b/c": [1, 3, 4]}, "q": "y", "new": 1});
        let found = difference(&recorded, &asked).unwrap();
        assert_eq!(found.first, "`/a/b~1c/1`: recorded is 2, this is 3");
        assert_eq!(found.fields, 5);
        let gone = difference(&json!({"q": "x".repeat(200)}), &json!({})).unwrap().first;
        assert!(
            gone.starts_with("`/q`: recorded is \"xxx") && gone.ends_with("…, this has nothing"),
            "{gone}"
        );
    }

    #[test]
    fn the_nearest_call_is_the_one_with_the_fewest_differences() {
        let key = |arguments, version: &str, state: &str| Key::new("find", version, arguments, state.into());
        let asked = key(json!({"q": "cats", "n": 3, "lang": "en"}), "1", "s");
        let kept = [
            key(json!({"q": "dogs", "n": 5, "lang": "de"}), "1", "s"),
            key(json!({"q": "cat", "n": 3, "lang": "en"}), "1", "s"),
        ];
        assert_eq!(
            asked.compared_with(&kept),
            "the nearest recorded call of find differs at `/q`: recorded is \"cat\", this is \"cats\""
        );
        let same = |version: &str, state: &str| asked.compared_with(&[key(asked.arguments.clone(), version, state)]);
        assert!(same("2", "s").contains("version \"2\" of find, and this is version \"1\""));
        assert!(same("1", "t").contains("another state"));
        assert_eq!(asked.compared_with(&[]), "no call of find is recorded");
        let digests: std::collections::BTreeSet<String> = [
            &asked,
            &key(json!({}), "1", "s"),
            &key(json!({}), "", "1s"),
            &key(json!({}), "1s", ""),
        ]
        .map(|key| key.digest.clone())
        .into();
        assert_eq!(digests.len(), 4);
    }
}
