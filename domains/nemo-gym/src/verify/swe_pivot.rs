//! `swe_pivot`: the next action of a coding agent beside the expected one.

use super::{Acts, Broken, Server, Verdict, json};
use crate::difflib::ratio;
use crate::pattern::{Pattern, group};
use crate::response::Response;
use crate::row::Row;
use hone_python::text::{int, is_space, strip};
use hone_python::{Dict, Value};
use std::collections::BTreeSet;

/// The server.
pub const SERVER: Server = Server {
    name: "swe_pivot",
    about: "the first call is of the expected tool or its kind, on the expected target, with arguments that are alike by 0.8 (mode `binary`, as configured for these rows)",
    verify: |row, response, _| verify(row, response),
    acts: Acts::Once,
    gold: |row| {
        let call = expected(row).ok()??;
        let arguments = match call.get("arguments")? {
            Value::Str(text) => text.clone(),
            other => other.dumps(&hone_python::DumpOptions::default()).ok()?,
        };
        Some(Response::call(call.get("name")?.as_str()?, arguments))
    },
};

/// Characters of texts that are compared.
const COMPARED: usize = 2_000;
/// What commands must at least have in common to have the same target.
const SAME_TARGET: f64 = 0.3;
/// What arguments must have in common.
const ALIKE: f64 = 0.8;
/// The share of the expected lines that a view must show.
const COVERED: f64 = 0.8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Edit,
    Bash,
    Search,
    Read,
    Finish,
    Think,
    Planning,
    Unknown,
}

const KINDS: &[(Kind, &[&str])] = &[
    (
        Kind::Edit,
        &[
            "str_replace_editor",
            "text_editor",
            "file_editor",
            "code_editor",
            "edit_file",
            "modify_file",
            "update_file",
            "file_edit",
            "edit",
            "modify",
            "apply_patch",
            "patch_file",
            "apply_diff",
            "apply_changes",
            "write",
            "write_file",
            "save_file",
            "create_file",
        ],
    ),
    (
        Kind::Bash,
        &[
            "execute_bash",
            "run_bash",
            "bash_exec",
            "shell_run",
            "shell",
            "bash",
            "terminal",
            "shell_command",
            "shell_cmd",
            "run_shell_cmd",
            "exec_command",
            "exec_cmd",
        ],
    ),
    (
        Kind::Search,
        &[
            "grep",
            "search_text",
            "find_pattern",
            "text_search",
            "glob",
            "find_files",
            "file_glob",
            "match_files",
            "grep_files",
            "search_files",
            "find_in_files",
            "code_search",
            "list_dir",
            "ls",
            "show_dir",
            "ls_dir",
            "list_directory",
        ],
    ),
    (
        Kind::Read,
        &[
            "read",
            "read_file",
            "view_file",
            "cat_file",
            "view",
            "file_view",
            "inspect",
            "show_file",
            "read_file_content",
        ],
    ),
    (Kind::Finish, &["finish", "submit"]),
    (Kind::Think, &["think"]),
    (
        Kind::Planning,
        &[
            "task_tracker",
            "todo_tracker",
            "plan_tracker",
            "todo_read",
            "todo_write",
            "update_plan",
            "list_tasks",
            "update_tasks",
            "read_todos",
            "write_todos",
            "edit_plan",
            "modify_plan",
        ],
    ),
];

/// The kind of a tool, in snake case or as one word.
fn kind(name: &str) -> Kind {
    let name = name.to_lowercase();
    let of = |names: &&[&str]| {
        names
            .iter()
            .any(|known| *known == name || known.replace('_', "") == name)
    };
    KINDS
        .iter()
        .find(|(_, names)| of(names))
        .map_or(Kind::Unknown, |(kind, _)| *kind)
}

static PATHS: Pattern = Pattern::new(concat!(
    r#"(?:^|[\s='"(])((?:/[\w.\-]+)+|\.\.?/[\w./\-]+"#,
    r"|[\w.\-]+/[\w./\-]+)"
));

/// What the original would raise on; it takes its own errors for a failure.
struct Raises;

type May<T> = Result<T, Raises>;

/// The expected call, from the first place of the row that has one.
fn expected(row: &Row) -> Result<Option<Value>, Broken> {
    let call = |value: &Value| value.get("type").and_then(Value::as_str) == Some("function_call");
    let action = row.get("expected_action");
    let answer = row.get("expected_answer");
    let metadata = row.get("metadata");
    for (name, right) in [
        ("expected_action", action.is_none_or(|value| value.as_dict().is_some())),
        ("expected_answer", answer.is_none_or(|value| value.as_str().is_some())),
        ("metadata", metadata.is_none_or(|value| value.as_dict().is_some())),
    ] {
        if !right {
            return Err(Broken::field(name));
        }
    }
    let answer = answer.and_then(Value::as_str).and_then(json);
    let other = metadata.and_then(|metadata| metadata.get("expected_action"));
    let found = action.filter(|action| call(action)).cloned();
    let found = found.or_else(|| answer.filter(|answer| call(answer) && answer.get("name").is_some()));
    Ok(found.or_else(|| other.filter(|other| call(other)).cloned()))
}

/// The arguments of a call, mostly a dictionary.
fn arguments(raw: Option<&Value>) -> Value {
    let empty = || Value::Dict(Dict::new());
    match raw {
        Some(Value::Dict(dict)) => Value::Dict(dict.clone()),
        Some(Value::Str(text)) => json(text).unwrap_or_else(empty),
        _ => empty(),
    }
}

/// `key in arguments`.
fn has(arguments: &Value, key: &str) -> May<bool> {
    match arguments {
        Value::Dict(dict) => Ok(dict.contains(key)),
        Value::List(items) => Ok(items.iter().any(|item| item.as_str() == Some(key))),
        Value::Str(text) => Ok(text.contains(key)),
        _ => Err(Raises),
    }
}

/// `arguments.get(key)`.
fn get<'a>(arguments: &'a Value, key: &str) -> May<Option<&'a Value>> {
    Ok(arguments.as_dict().ok_or(Raises)?.get(key))
}

/// `str(arguments.get(key, ""))`.
fn text(arguments: &Value, key: &str) -> May<String> {
    Ok(get(arguments, key)?.map(Value::to_string).unwrap_or_default())
}

fn first(arguments: &Value, keys: &[&str]) -> May<String> {
    for key in keys {
        if has(arguments, key)? {
            return Ok(strip(&text(arguments, key)?).to_owned());
        }
    }
    Ok(String::new())
}

fn file(arguments: &Value) -> May<String> {
    first(arguments, &["path", "file", "file_path", "filename", "file_name"])
}

fn command(arguments: &Value) -> May<String> {
    first(arguments, &["command", "cmd"])
}

/// The last parts of a path.
fn suffix(path: &str, parts: usize) -> String {
    let all: Vec<&str> = path.trim_matches('/').split('/').collect();
    all[all.len().saturating_sub(parts)..].join("/")
}

/// The program that a command runs, without its path.
fn verb(command: &str) -> &str {
    let word = command
        .split(is_space)
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    word.rsplit('/').next().unwrap_or_default()
}

fn paths(command: &str) -> BTreeSet<String> {
    let found = PATHS.all(command);
    let paths = found.iter().map(|found| group(found, 1));
    let paths = paths.filter(|path| !path.starts_with("--") && path.chars().count() > 2);
    let suffixes = paths.map(|path| suffix(path.trim_end_matches('/'), 3));
    suffixes.filter(|path| !path.is_empty()).collect()
}

fn alike(a: &str, b: &str) -> f64 {
    let cut = |text: &str| text.chars().take(COMPARED).collect::<String>();
    ratio(&cut(a), &cut(b))
}

/// The lines that a view asks for, if they can be read.
fn lines(arguments: &Value) -> May<Option<(i128, i128)>> {
    let bound = |value: &Value| match value {
        Value::Str(text) => Ok(int(text).and_then(|n| n.to_i64()).map(i128::from)),
        // No number is a `ValueError`, and one without end an `OverflowError`.
        Value::Float(x) if x.is_infinite() => Err(Raises),
        Value::Float(x) => Ok((!x.is_nan()).then_some(*x as i128)),
        Value::Bool(b) => Ok(Some(i128::from(*b))),
        other => Ok(other.as_i64().map(i128::from)),
    };
    let read;
    let list = match get(arguments, "view_range")? {
        Some(Value::List(list)) => list.as_slice(),
        Some(Value::Str(text)) => {
            read = json(text).unwrap_or_default();
            read.as_list().unwrap_or_default()
        }
        _ => return Ok(None),
    };
    match list {
        [from, to] => {
            let Some(from) = bound(from)? else { return Ok(None) };
            Ok(bound(to)?.map(|to| (from, to)))
        }
        _ => Ok(None),
    }
}

/// Whether two calls are about the same thing, as far as both say what it is.
fn same_target(kind: Kind, got: &Value, wanted: &Value) -> May<bool> {
    let differ = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
    match kind {
        Kind::Edit => {
            let commands = (text(got, "command")?, text(wanted, "command")?);
            if differ(&commands.0, &commands.1) {
                return Ok(false);
            }
            let files = (file(got)?, file(wanted)?);
            if !files.0.is_empty() && !files.1.is_empty() && suffix(&files.0, 2) != suffix(&files.1, 2) {
                return Ok(false);
            }
            if (commands.0.as_str(), commands.1.as_str()) != ("view", "view") {
                return Ok(true);
            }
            let (Some(a), Some(b)) = (lines(got)?, lines(wanted)?) else {
                return Ok(true);
            };
            let overlap = (a.1.min(b.1) - a.0.max(b.0)).max(0);
            Ok(overlap as f64 / (b.1 - b.0).max(1) as f64 >= COVERED)
        }
        Kind::Bash => {
            let (a, b) = (command(got)?, command(wanted)?);
            if differ(verb(&a), verb(&b)) {
                return Ok(false);
            }
            let (on, wanted_on) = (paths(&a), paths(&b));
            if !on.is_empty() && !wanted_on.is_empty() && on.is_disjoint(&wanted_on) {
                return Ok(false);
            }
            Ok(a.is_empty() || b.is_empty() || alike(&a, &b) >= SAME_TARGET)
        }
        Kind::Search | Kind::Read => {
            let (a, b) = (file(got)?, file(wanted)?);
            Ok(a.is_empty() || b.is_empty() || suffix(&a, 3) == suffix(&b, 3))
        }
        _ => Ok(true),
    }
}

/// What an edit writes, where it is no replacement.
fn content(arguments: &Value) -> May<String> {
    if has(arguments, "new_str")? {
        return Ok(format!(
            "{}\n{}",
            text(arguments, "old_str")?,
            text(arguments, "new_str")?
        ));
    }
    for key in ["patch", "diff", "content"] {
        if has(arguments, key)? {
            return text(arguments, key);
        }
    }
    text(arguments, "file_text")
}

/// How alike the arguments of two calls are.
fn similarity(kind: Kind, got: &Value, wanted: &Value) -> May<f64> {
    let both = |a: &str, b: &str| match (a.is_empty(), b.is_empty()) {
        (false, false) => alike(a, b),
        (true, true) => 1.0,
        _ => 0.0,
    };
    match kind {
        Kind::Edit => {
            let (old, new) = (text(got, "old_str")?, text(got, "new_str")?);
            let (wanted_old, wanted_new) = (text(wanted, "old_str")?, text(wanted, "new_str")?);
            if (old.is_empty() && new.is_empty()) || (wanted_old.is_empty() && wanted_new.is_empty()) {
                Ok(both(&content(got)?, &content(wanted)?))
            } else {
                Ok(both(&old, &wanted_old).min(both(&new, &wanted_new)))
            }
        }
        Kind::Bash => {
            let (a, b) = (command(got)?, command(wanted)?);
            Ok(if a.is_empty() || b.is_empty() {
                1.0
            } else {
                alike(&a, &b)
            })
        }
        _ => Ok(1.0),
    }
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let fail = |why: &str| Ok(Verdict::pass(false, why));
    let wanted = expected(row)?;
    let Some((wanted_name, wanted)) = wanted
        .as_ref()
        .and_then(|wanted| Some((wanted.get("name")?.as_str()?, wanted)))
    else {
        return fail("the row names no expected call");
    };
    let Some((name, got)) = response.calls().next() else {
        return fail("nothing was called");
    };
    let (got, wanted) = (
        arguments(Some(&Value::Str(got.to_owned()))),
        arguments(wanted.get("arguments")),
    );
    let of = kind(name);
    let same = name.to_lowercase() == wanted_name.to_lowercase();
    if !same && (of != kind(wanted_name) || of == Kind::Unknown) {
        return fail("another tool");
    }
    match same_target(of, &got, &wanted) {
        Ok(true) => {}
        Ok(false) => return fail("another target"),
        Err(Raises) => return fail("arguments are no object"),
    }
    let Ok(alike) = similarity(of, &got, &wanted) else {
        return fail("arguments are no object");
    };
    Ok(Verdict {
        parts: vec![("similarity", alike)],
        ..Verdict::pass(alike >= ALIKE, format!("arguments are alike by {alike:.2}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(wanted: (&str, &str), got: (&str, &str)) -> f64 {
        let row = format!(
            r#"{{"expected_action": {{"type": "function_call", "name": "{}", "arguments": {}}}}}"#,
            wanted.0, wanted.1
        );
        let row = Row {
            index: 0,
            fields: loads(&row).unwrap(),
        };
        verify(&row, &Response::call(got.0, got.1)).unwrap().reward
    }

    #[test]
    fn tools_are_of_a_kind_and_targets_the_same() {
        let edit =
            r#"{"command": "str_replace", "path": "/a/b/c.py", "old_str": "return None", "new_str": "return total"}"#;
        assert_eq!(reward(("str_replace_editor", edit), ("str_replace_editor", edit)), 1.0);
        assert_eq!(reward(("str_replace_editor", edit), ("EditFile", edit)), 1.0);
        assert_eq!(reward(("str_replace_editor", edit), ("bash", edit)), 0.0);
        let other = edit.replace("/a/b/c.py", "/x/b/c.py");
        assert_eq!(reward(("edit", edit), ("edit", &other)), 1.0);
        let other = edit.replace("/a/b/c.py", "/a/x/c.py");
        assert_eq!(reward(("edit", edit), ("edit", &other)), 0.0);
        let other = edit.replace("return total", "raise");
        assert_eq!(reward(("edit", edit), ("edit", &other)), 0.0);
    }

    #[test]
    fn commands_are_alike() {
        let run = |command: &str| serde_json::json!({"command": command}).to_string();
        let wanted = run("pytest tests/unit/test_a.py -x");
        assert_eq!(
            reward(("bash", &wanted), ("shell", &run("pytest tests/unit/test_a.py -xq"))),
            1.0
        );
        assert_eq!(
            reward(
                ("bash", &wanted),
                ("shell", &run("/usr/bin/pytest tests/unit/test_a.py"))
            ),
            1.0
        );
        assert_eq!(
            reward(("bash", &wanted), ("shell", &run("pytest tests/unit/test_b.py -x"))),
            0.0
        );
        assert_eq!(
            reward(("bash", &wanted), ("shell", &run("grep -x tests/unit/test_a.py"))),
            0.0
        );
    }

    #[test]
    fn views_cover_most_of_the_lines() {
        let view = |range: &str| format!(r#"{{"command": "view", "path": "/a/b", "view_range": {range}}}"#);
        assert_eq!(reward(("edit", &view("[10, 20]")), ("edit", &view("[12, 40]"))), 1.0);
        assert_eq!(reward(("edit", &view("[10, 20]")), ("edit", &view("[13, 40]"))), 0.0);
        assert_eq!(reward(("edit", &view("[10, 20]")), ("edit", &view("null"))), 1.0);
        assert_eq!(
            reward(("edit", &view("[10, 20]")), ("edit", &view("[1, Infinity]"))),
            0.0
        );
        // What never looks at its arguments takes any.
        assert_eq!(reward(("finish", "{}"), ("submit", "[1]")), 1.0);
        assert_eq!(reward(("edit", "{}"), ("edit", "[1]")), 0.0);
    }
}
