//! The final state is as expected.

use super::{Checker, Evidence, Finding, shown};
use serde::Deserialize;
use serde_json::Value;

/// A list of conditions on the final state, all of which must hold. Each names a place by JSON Pointer (RFC 6901), such as
/// `/records/tickets/T1/status` or `/files/notes.txt`, and says what must be there.
#[derive(Clone, Copy, Debug)]
pub struct State;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    at: String,
    /// This value; `null` is one.
    #[serde(default, deserialize_with = "some")]
    equals: Option<Value>,
    /// Anything, or nothing.
    exists: Option<bool>,
    /// A list, object or text of so many elements, members or characters.
    count: Option<u64>,
    /// A text with this in it, or a list with this element.
    #[serde(default, deserialize_with = "some")]
    contains: Option<Value>,
}

fn some<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

impl Condition {
    /// Whether it holds, and what was wanted.
    fn holds(&self, state: &Value) -> (bool, String) {
        let there = state.pointer(&self.at);
        let (holds, wanted) = if let Some(value) = &self.equals {
            (there.is_some_and(|there| same(there, value)), shown(value))
        } else if let Some(exists) = self.exists {
            let wanted = if exists { "something" } else { "nothing" };
            (there.is_some() == exists, wanted.to_owned())
        } else if let Some(count) = self.count {
            let size = match there {
                Some(Value::Array(items)) => Some(items.len()),
                Some(Value::Object(members)) => Some(members.len()),
                Some(Value::String(text)) => Some(text.chars().count()),
                _ => None,
            };
            (
                size.is_some_and(|size| size as u64 == count),
                format!("a count of {count}"),
            )
        } else {
            let part = self.contains.as_ref().unwrap_or(&Value::Null);
            let found = match (there, part) {
                (Some(Value::String(text)), Value::String(part)) => text.contains(part),
                (Some(Value::Array(items)), part) => items.iter().any(|item| same(item, part)),
                _ => false,
            };
            (found, format!("something that contains {}", shown(part)))
        };
        let got = there.map_or("nothing".to_owned(), shown);
        match holds {
            true => (true, got),
            false => (false, format!("expected {wanted}, but there is {got}")),
        }
    }
}

/// Equality in which 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn conditions(expected: &Value) -> Result<Vec<Condition>, String> {
    let form = "write a list of conditions, such as [{\"at\": \"/records/tickets/T1/status\", \"equals\": \"closed\"}]";
    let conditions = expected.as_array().filter(|all| !all.is_empty()).ok_or(form)?;
    let read = |(index, condition): (usize, &Value)| {
        let condition =
            Condition::deserialize(condition).map_err(|error| format!("condition {index}: {error}; {form}"))?;
        let tests = [
            condition.equals.is_some(),
            condition.exists.is_some(),
            condition.count.is_some(),
            condition.contains.is_some(),
        ];
        if tests.iter().filter(|given| **given).count() != 1 {
            return Err(format!(
                "condition {index}: give `at` exactly one of `equals`, `exists`, `count` and `contains`"
            ));
        }
        if !condition.at.is_empty() && !condition.at.starts_with('/') {
            return Err(format!(
                "condition {index}: `{}` is no JSON Pointer; it begins with `/`",
                condition.at
            ));
        }
        Ok(condition)
    };
    conditions.iter().enumerate().map(read).collect()
}

impl Checker for State {
    fn version(&self) -> String {
        "state/1".to_owned()
    }

    fn accepts(&self, expected: &Value) -> Result<(), String> {
        conditions(expected).map(|_| ())
    }

    fn check(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let mut wrong = Vec::new();
        for condition in conditions(evidence.expected)? {
            let (holds, why) = condition.holds(evidence.state);
            if !holds {
                wrong.push(format!("at {}: {why}", condition.at));
            }
        }
        let why = match wrong.is_empty() {
            true => "the final state is as expected".to_owned(),
            false => wrong.join("; "),
        };
        Ok(Finding::of(wrong.is_empty(), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_or_say_what_there_is() {
        let state = json!({"records": {"t": {"T1": {"status": "open", "n": 1}}}, "files": {"a/b": "two words"}, "list": [1, 2]});
        for (condition, holds) in [
            (json!({"at": "/records/t/T1/status", "equals": "open"}), true),
            (json!({"at": "/records/t/T1/n", "equals": 1.0}), true),
            (
                json!({"at": "/records/t/T1", "equals": {"n": 1.0, "status": "open"}}),
                true,
            ),
            (json!({"at": "/records/t/T1/status", "equals": "closed"}), false),
            (json!({"at": "/records/t/T2", "exists": false}), true),
            (json!({"at": "/records/t/T2", "exists": true}), false),
            (json!({"at": "/list", "count": 2}), true),
            (json!({"at": "/records/t", "count": 2}), false),
            (json!({"at": "/files/a~1b", "contains": "two"}), true),
            (json!({"at": "/list", "contains": 2.0}), true),
            (json!({"at": "/list", "contains": 3}), false),
            (json!({"at": "/nowhere", "equals": 1}), false),
            (json!({"at": "/nowhere", "equals": null}), false),
            (json!({"at": "", "exists": true}), true),
        ] {
            let read = conditions(&json!([condition])).unwrap();
            let (held, why) = read[0].holds(&state);
            assert_eq!(held, holds, "{condition}: {why}");
        }
        let read = conditions(&json!([{"at": "/list/0", "equals": 7}])).unwrap();
        assert_eq!(read[0].holds(&state).1, "expected 7, but there is 1");
    }

    #[test]
    fn other_forms_are_refused() {
        for (wrong, part) in [
            (json!({}), "write a list of conditions"),
            (json!([]), "write a list"),
            (json!([{"at": "/a"}]), "exactly one of"),
            (json!([{"at": "/a", "equals": 1, "count": 1}]), "exactly one of"),
            (json!([{"at": "a", "exists": true}]), "no JSON Pointer"),
            (json!([{"at": "/a", "equal": 1}]), "unknown field `equal`"),
            (json!([{"at": "/a", "count": -1}]), "condition 0"),
        ] {
            let error = conditions(&wrong).unwrap_err();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }
}
