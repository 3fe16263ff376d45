//! `tasks.jsonl`: one task a line.

use crate::ProjectError;
use crate::error::inside;
use hone_env::Split;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A task as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskLine {
    /// Unique; `split/index` where it is left out.
    #[serde(default)]
    pub id: String,
    /// What the user says.
    pub prompt: String,
    /// What every checker that is named here is to find. All of them must be content.
    pub expected: Map<String, Value>,
    /// Kind, for breakdowns.
    #[serde(default = "usual_kind")]
    pub kind: String,
    /// Which part of the taskset it belongs to.
    #[serde(default = "usual_split")]
    pub split: Split,
    /// System message, in place of the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Files in the episode's folder, by their path there, in addition to those of the recipe.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, TaskFile>,
    /// Changes to the recipe's records: a JSON Merge Patch (RFC 7396).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub records: Value,
    /// A reference solution, which `--model script:gold` plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<Gold>,
    /// For the user's own tools and checkers; Hone does not look into it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
}

fn usual_kind() -> String {
    "task".to_owned()
}

fn usual_split() -> Split {
    Split::Test
}

/// What a file of a task holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, or { \"copy\": \"FILE OF THE PROJECT\" }")]
pub enum TaskFile {
    /// This text.
    Text(String),
    /// What a file of the project holds.
    Copy {
        /// Its path, below the project's folder.
        copy: String,
    },
}

/// A reference solution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gold {
    /// The calls, in order.
    #[serde(default)]
    pub calls: Vec<GoldCall>,
    /// The answer.
    #[serde(default)]
    pub answer: String,
}

/// A call of a reference solution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldCall {
    /// The tool.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// The tasks of a file with the line of each, from 1. Empty lines and lines that begin with `//` are passed over.
///
/// # Errors
/// Names the file, the line, the field and what is allowed.
pub(crate) fn parse(file: &Path, text: &str, folder: &Path) -> Result<Vec<(usize, TaskLine)>, ProjectError> {
    let mut tasks = Vec::new();
    let mut ids = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let mut reader = serde_json::Deserializer::from_str(line);
        let read = serde_path_to_error::deserialize::<_, TaskLine>(&mut reader);
        let mut task = read.map_err(|error| {
            let path = error.path().to_string();
            let inner = error.inner().to_string();
            // Its own position is within the line.
            let inner = inner.split(" at line ").next().unwrap_or_default();
            let what = match error.inner().classify() {
                serde_json::error::Category::Data if path != "." => format!("field `{path}`: {inner}"),
                serde_json::error::Category::Data => inner.to_owned(),
                _ => format!("it is not JSON ({inner} in column {})", error.inner().column()),
            };
            ProjectError::line(file, number, what, "write a task as one JSON object on one line")
        })?;
        let wrong = |field: &str, what: String, remedy: &str| {
            Err(ProjectError::line(
                file,
                number,
                format!("field `{field}`: {what}"),
                remedy,
            ))
        };
        if reader.end().is_err() {
            let what = "something follows the task's object";
            return Err(ProjectError::line(file, number, what, "write one task a line"));
        }
        let count: &mut u64 = counts.entry(task.split.name()).or_default();
        if task.id.is_empty() {
            task.id = format!("{}/{count}", task.split.name());
        }
        *count += 1;
        if task.id.len() > 200 || task.id.chars().any(char::is_control) {
            return wrong(
                "id",
                "it is too long or holds control characters".to_owned(),
                "write a short name",
            );
        }
        if !ids.insert(task.id.clone()) {
            return wrong(
                "id",
                format!("`{}` is an earlier task's", task.id),
                "give each task an id of its own",
            );
        }
        if task.prompt.trim().is_empty() {
            return wrong("prompt", "it is empty".to_owned(), "write what the user says");
        }
        if task.expected.is_empty() {
            let remedy = "name at least one checker and what it is to find, such as {\"answer\": \"42\"}";
            return wrong("expected", "nothing says whether the task was done".to_owned(), remedy);
        }
        for (path, source) in &task.files {
            let field = format!("files.{path}");
            if let Err(what) = inside(folder, path) {
                return wrong(&field, what, "write a relative path without `..`");
            }
            if let TaskFile::Copy { copy } = source {
                match inside(folder, copy) {
                    Err(what) => return wrong(&field, what, "write a relative path without `..`"),
                    Ok(from) if !from.is_file() => {
                        return wrong(
                            &field,
                            format!("there is no file {}", from.display()),
                            "make it, or name another",
                        );
                    }
                    Ok(_) => {}
                }
            }
        }
        tasks.push((number, task));
    }
    if tasks.is_empty() {
        return Err(ProjectError::file(
            file,
            "it holds no task",
            "write one, a JSON object on a line",
        ));
    }
    Ok(tasks)
}

/// `patch` applied to `target` (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(text: &str) -> Result<Vec<(usize, TaskLine)>, String> {
        parse(Path::new("tasks.jsonl"), text, Path::new("/nowhere")).map_err(|e| e.to_string())
    }

    #[test]
    fn tasks_get_what_they_leave_out() {
        let text = "\n// a comment\n{\"prompt\": \"a\", \"expected\": {\"answer\": 1}}\n{\"prompt\": \"b\", \"expected\": {\"x\": 1}, \"split\": \"train\"}";
        let tasks = parsed(text).unwrap();
        let ids: Vec<_> = tasks
            .iter()
            .map(|(line, task)| (*line, task.id.as_str(), task.kind.as_str()))
            .collect();
        assert_eq!(ids, [(3, "test/0", "task"), (4, "train/0", "task")]);
    }

    #[test]
    fn mistakes_are_named_with_line_and_field() {
        for (line, message) in [
            ("{\"prompt\": ", "tasks.jsonl:1: it is not JSON (EOF while parsing"),
            ("[1]", "tasks.jsonl:1: "),
            ("{\"prompt\": \"a\"}", "tasks.jsonl:1: missing field `expected`"),
            (
                "{\"prompt\": \"a\", \"expect\": {}}",
                "unknown field `expect`, expected one of `id`",
            ),
            (
                "{\"prompt\": 7, \"expected\": {}}",
                "field `prompt`: invalid type: integer",
            ),
            (
                "{\"prompt\": \"a\", \"expected\": {}}",
                "field `expected`: nothing says",
            ),
            (
                "{\"prompt\": \" \", \"expected\": {\"a\": 1}}",
                "field `prompt`: it is empty",
            ),
            (
                "{\"prompt\": \"a\", \"expected\": {\"a\": 1}, \"split\": \"tets\"}",
                "field `split`: unknown variant",
            ),
            (
                "{\"prompt\": \"a\", \"expected\": {\"a\": 1}, \"gold\": {\"calls\": [{\"nam\": 1}]}}",
                "field `gold.calls[0].nam`",
            ),
            (
                "{\"prompt\": \"a\", \"expected\": {\"a\": 1}, \"files\": {\"../x\": \"t\"}}",
                "field `files.../x`: `../x` is no path below",
            ),
            (
                "{\"prompt\": \"a\", \"expected\": {\"a\": 1}, \"files\": {\"/x\": \"t\"}}",
                "is no path below",
            ),
            (
                "{\"prompt\": \"a\", \"expected\": {\"a\": 1}, \"files\": {\"x\": {\"copy\": \"gone\"}}}",
                "there is no file",
            ),
            (
                "{\"prompt\": \"a\", \"expected\": {\"a\": 1}, \"files\": {\"x\": 7}}",
                "a text, or { \"copy\"",
            ),
            ("{\"prompt\": \"a\", \"expected\": {\"a\": 1}} {}", "something follows"),
            ("", "it holds no task"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
        let twice = "{\"id\": \"a\", \"prompt\": \"a\", \"expected\": {\"a\": 1}}\n".repeat(2);
        assert!(
            parsed(&twice)
                .unwrap_err()
                .starts_with("tasks.jsonl:2: field `id`: `a` is an earlier task's")
        );
    }

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn merge_patch_is_that_of_the_rfc() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} {patch}");
        }
    }
}
