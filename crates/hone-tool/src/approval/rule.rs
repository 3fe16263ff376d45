//! One rule of a policy: which calls it is for, and what becomes of them.

use crate::{ToolSpec, canonical};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It runs.
    Approve,
    /// It runs with other arguments, if these still fit the tool's schema.
    Modify(Vec<Change>),
    /// It does not run; the model is told why.
    Reject,
    /// It does not run, and the episode ends.
    Terminate,
    /// A person decides.
    Escalate,
}

/// A change of one argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Give the field this value; objects on the way to it are made.
    Set(String, Value),
    /// Leave the field out.
    Remove(String),
}

/// A rule: it is for a call that all of its conditions hold for.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) tools: Vec<Glob>,
    pub(super) servers: Vec<Glob>,
    /// Pointers to arguments, and what stands there.
    pub(super) arguments: Vec<(String, Pattern)>,
    pub(super) hints: Hints,
    pub(super) action: Action,
    pub(super) message: Option<String>,
}

/// What the tool's annotations must say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints {
    pub read_only: Option<bool>,
    pub destructive: Option<bool>,
    pub idempotent: Option<bool>,
    pub open_world: Option<bool>,
}

/// What an argument must be.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// A text, or the JSON of what is none, like this.
    Like(Glob),
    /// This value.
    Equal(Value),
}

/// A glob: `*` is any text, `?` any character.
#[derive(Clone, Debug)]
pub(super) struct Glob(Regex);

impl Glob {
    /// Longest pattern, in bytes.
    const LONGEST: usize = 1000;

    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() || pattern.len() > Self::LONGEST {
            return Err(format!("write 1 to {} bytes; `*` stands for any text", Self::LONGEST));
        }
        let mut expression = String::from("^");
        for letter in pattern.chars() {
            match letter {
                '*' => expression.push_str(".*"),
                '?' => expression.push('.'),
                other => expression.push_str(&regex::escape(&other.to_string())),
            }
        }
        expression.push('$');
        let built = RegexBuilder::new(&expression).dot_matches_new_line(true).build();
        built.map(Self).map_err(|error| error.to_string())
    }

    pub fn fits(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Pattern {
    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Equal(wanted), value) => wanted == value,
            (Self::Like(glob), Value::String(text)) => glob.fits(text),
            (Self::Like(glob), other) => glob.fits(&other.to_string()),
        }
    }
}

impl Rule {
    /// Whether it is for this call.
    pub(super) fn covers(&self, server: &str, spec: &ToolSpec, arguments: &Value) -> bool {
        let any = |globs: &[Glob], text: &str| globs.is_empty() || globs.iter().any(|glob| glob.fits(text));
        let hint = |wanted: Option<bool>, is: bool| wanted.is_none_or(|wanted| wanted == is);
        let told = spec.annotations;
        any(&self.tools, &spec.name)
            && any(&self.servers, server)
            && hint(self.hints.read_only, told.read_only_hint)
            && hint(self.hints.destructive, told.destructive_hint && !told.read_only_hint)
            && hint(self.hints.idempotent, told.idempotent_hint)
            && hint(self.hints.open_world, told.open_world_hint)
            && self
                .arguments
                .iter()
                .all(|(pointer, pattern)| arguments.pointer(pointer).is_some_and(|value| pattern.fits(value)))
    }
}

/// The arguments after these changes, in canonical form.
///
/// # Errors
/// The field that cannot be set, and why.
pub(super) fn changed(arguments: &Value, changes: &[Change]) -> Result<Value, String> {
    let mut changed = arguments.clone();
    for change in changes {
        match change {
            Change::Set(pointer, value) => *place(&mut changed, pointer)? = value.clone(),
            Change::Remove(pointer) => {
                let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
                let name = unescaped(name);
                match changed.pointer_mut(parent) {
                    Some(Value::Object(fields)) => drop(fields.remove(&name)),
                    Some(Value::Array(items)) => {
                        if let Some(index) = name.parse().ok().filter(|index| *index < items.len()) {
                            items.remove(index);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(canonical(changed))
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// Where that pointer points to.
fn place<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value, String> {
    let mut here = value;
    for name in pointer.split('/').skip(1).map(unescaped) {
        if here.is_null() {
            *here = Value::Object(Map::new());
        }
        here = match here {
            Value::Object(fields) => fields.entry(name).or_insert(Value::Null),
            Value::Array(items) => {
                let index = name.parse::<usize>().ok();
                index
                    .and_then(|index| items.get_mut(index))
                    .ok_or_else(|| format!("`{pointer}` is not there to be set: a list on the way has no `{name}`"))?
            }
            _ => return Err(format!("`{pointer}` cannot be set: what holds `{name}` is no object")),
        };
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn globs_cover_whole_texts_and_take_nothing_else_for_special() {
        let fits = |glob: &str, text: &str| Glob::new(glob).unwrap().fits(text);
        for (glob, text) in [
            ("*", ""),
            ("*", "a\nb"),
            ("get_*", "get_"),
            ("a?c", "aöc"),
            ("/tmp/*", "/tmp/x/y"),
            ("a.b", "a.b"),
        ] {
            assert!(fits(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("get_*", "forget_x"),
            ("a?c", "ac"),
            ("a.b", "axb"),
            ("[ab]", "a"),
            ("a", "a\n"),
        ] {
            assert!(!fits(glob, text), "{glob} {text}");
        }
        assert!(Glob::new("").is_err() && Glob::new(&"*".repeat(1001)).is_err());
        // Hostile text against many stars takes time linear in it.
        let glob = Glob::new(&"a*".repeat(400)).unwrap();
        assert!(!glob.fits(&"b".repeat(1 << 20)));
    }

    #[test]
    fn changes_set_and_remove_fields() {
        let arguments = json!({"a": {"b": 1}, "list": [1, 2], "force": true, "x/y": 1});
        let set = |pointer: &str, value| Change::Set(pointer.into(), value);
        let remove = |pointer: &str| Change::Remove(pointer.into());
        let changes = [
            set("/a/b", json!(2.0)),
            set("/new/deep", json!("v")),
            set("/list/1", json!(7)),
            remove("/force"),
            remove("/list/0"),
            remove("/nothing/here"),
            remove("/x~1y"),
        ];
        assert_eq!(
            changed(&arguments, &changes),
            Ok(json!({"a": {"b": 2}, "list": [7], "new": {"deep": "v"}}))
        );
        for pointer in ["/a/b/c", "/list/9"] {
            let error = changed(&arguments, &[set(pointer, json!(1))]).unwrap_err();
            assert!(error.contains(pointer), "{error}");
        }
    }
}
