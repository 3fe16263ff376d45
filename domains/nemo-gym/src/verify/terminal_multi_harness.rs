//! `terminal_multi_harness`: the next action of an agent in a terminal, beside the expected one.

use super::schema::valid;
use super::similarity::bounded;
use super::{Acts, Broken, Server, Verdict, json};
use crate::difflib::ratio;
use crate::response::{Item, Response};
use crate::row::Row;
use hone_python::text::strip;
use hone_python::{DumpOptions, Value};
use std::collections::BTreeMap;

/// The server.
pub const SERVER: Server = Server {
    name: "terminal_multi_harness",
    about: "a message, or the expected calls: arguments that their schemas and the expected ones allow, and alike by 0.9 in what the row's harness compares",
    verify: |row, response, _| verify(row, response),
    acts: Acts::Once,
    gold,
};

/// The threshold of rows that have none (`string_similarity_threshold`, as in all configurations).
const ALIKE: f64 = 0.9;

/// A call: its tool and its arguments' JSON text.
type Call<'a> = (&'a str, &'a str);

enum Action<'a> {
    Message,
    Call(Call<'a>),
    Batch(Vec<Call<'a>>),
}

fn wrong() -> Broken {
    Broken::field("expected_action")
}

fn call(value: &Value) -> Result<Call<'_>, Broken> {
    let field = |key: &str| value.get(key).and_then(Value::as_str).ok_or_else(wrong);
    if field("type")? != "function_call" {
        return Err(wrong());
    }
    Ok((field("name")?, field("arguments")?))
}

fn expected(row: &Row) -> Result<Action<'_>, Broken> {
    let action = row.get("expected_action").ok_or_else(wrong)?;
    match action.get("type").and_then(Value::as_str) {
        Some("message") if action.get("content").and_then(Value::as_str).is_some() => Ok(Action::Message),
        Some("function_call") => Ok(Action::Call(call(action)?)),
        Some("function_call_batch") => {
            let calls = action.get("calls").and_then(Value::as_list).ok_or_else(wrong)?;
            Ok(Action::Batch(calls.iter().map(call).collect::<Result<_, _>>()?))
        }
        _ => Err(wrong()),
    }
}

/// Name and schema of a declared tool, which may stand in `function`.
fn declared(tool: &Value) -> Option<(&str, &Value)> {
    let function = tool.get("function").filter(|function| function.as_dict().is_some());
    let definition = function.unwrap_or(tool);
    let parameters = definition
        .get("parameters")
        .filter(|parameters| parameters.as_dict().is_some())?;
    Some((definition.get("name")?.as_str()?, parameters))
}

/// The schemas of the declared tools, by name.
fn schemas(row: &Row) -> BTreeMap<&str, &Value> {
    let offered = || row.get("responses_create_params")?.get("tools");
    let tools = row.get("declared_tools").or_else(offered).and_then(Value::as_list);
    tools.unwrap_or_default().iter().filter_map(declared).collect()
}

/// Lists and objects that were written as texts, where the schema wants them.
fn coerced(mut arguments: Value, schema: &Value) -> Value {
    let properties = schema.get("properties").and_then(Value::as_dict);
    for (name, property) in properties.into_iter().flat_map(|properties| properties.iter()) {
        let (Some(name), Some(dict)) = (name.as_str(), arguments.as_dict_mut()) else {
            continue;
        };
        let Some(read) = dict.get(name).and_then(Value::as_str).and_then(json) else {
            continue;
        };
        let wanted = property.get("type").and_then(Value::as_str);
        if matches!(
            (wanted, &read),
            (Some("array"), Value::List(_)) | (Some("object"), Value::Dict(_))
        ) {
            dict.set(name, read);
        }
    }
    arguments
}

/// What the harnesses compare of two calls of a tool; of others all arguments go.
struct Comparison<'a> {
    wanted: &'a Value,
    got: &'a Value,
    threshold: f64,
}

impl Comparison<'_> {
    fn texts(&self, key: &str) -> Option<(&str, &str)> {
        Some((self.wanted.get(key)?.as_str()?, self.got.get(key)?.as_str()?))
    }

    fn alike(&self, wanted: &str, got: &str) -> Result<bool, Broken> {
        bounded(wanted)?;
        bounded(got)?;
        Ok(ratio(wanted, got) >= self.threshold)
    }

    fn command(&self, key: &str) -> Result<bool, Broken> {
        let normal = |text: &str| strip(&text.replace("\r\n", "\n").replace('\r', "\n")).to_owned();
        match self.texts(key) {
            Some((wanted, got)) => self.alike(&normal(wanted), &normal(got)),
            None => Ok(false),
        }
    }

    fn same(&self, keys: &[&str]) -> bool {
        same(self.wanted, self.got, keys)
    }

    fn todos(&self) -> bool {
        let list = |value: &Value| value.get("todos").and_then(Value::as_list).map(<[Value]>::to_vec);
        let (Some(wanted), Some(got)) = (list(self.wanted), list(self.got)) else {
            return false;
        };
        let alike = |(wanted, got): (&Value, &Value)| {
            wanted.as_dict().is_some() && got.as_dict().is_some() && same(wanted, got, &["status", "priority"])
        };
        wanted.len() == got.len() && wanted.iter().zip(&got).all(alike)
    }

    fn finish(&self) -> Result<bool, Broken> {
        let paths = |value: &Value| {
            let paths = value.get("paths")?.as_list()?;
            let mut paths = paths
                .iter()
                .map(|path| Some(strip(path.as_str()?)))
                .collect::<Option<Vec<_>>>()?;
            paths.sort_unstable();
            Some(paths.into_iter().map(str::to_owned).collect::<Vec<_>>()).filter(|paths| !paths.is_empty())
        };
        let Some((wanted, got)) = self
            .texts("reason")
            .filter(|(wanted, got)| !wanted.is_empty() && !got.is_empty())
        else {
            return Ok(false);
        };
        let (Some(wanted_paths), Some(got_paths)) = (paths(self.wanted), paths(self.got)) else {
            return Ok(false);
        };
        // The original hands the two over the other way round here.
        Ok(wanted_paths == got_paths && self.alike(&folded(got), &folded(wanted))?)
    }

    fn matches(&self, harness: &str, tool: &str) -> Result<bool, Broken> {
        let filled = |key: &str| {
            self.texts(key)
                .filter(|(wanted, got)| !wanted.is_empty() && !got.is_empty())
        };
        match (harness, tool) {
            ("codex", "exec_command") | ("stirrup", "code_exec") => self.command("cmd"),
            ("codex", "update_plan") => Ok(match self.got.get("plan") {
                None | Some(Value::None) => false,
                Some(Value::Str(text)) => !strip(text).is_empty(),
                Some(Value::List(items)) => !items.is_empty(),
                Some(Value::Dict(dict)) => !dict.is_empty(),
                Some(_) => true,
            }),
            ("agent006", "execute_python") => match self.texts("code") {
                Some((wanted, got)) if !strip(wanted).is_empty() && !strip(got).is_empty() => self.alike(wanted, got),
                _ => Ok(false),
            },
            ("agent006", "return_result") => {
                let sorted = DumpOptions {
                    sort_keys: true,
                    ..DumpOptions::default()
                };
                let text = |value: &Value| {
                    let result = value.get("result").cloned().unwrap_or_default();
                    result.dumps(&sorted).map_err(|error| Broken(error.to_string()))
                };
                self.alike(&text(self.wanted)?, &text(self.got)?)
            }
            ("opencode", "bash") => self.command("command"),
            ("opencode", "todowrite") => Ok(self.todos()),
            ("opencode", "read" | "write") => Ok(self.same(&["filePath"])),
            ("opencode", "edit") => {
                let of = |key: &str| self.got.get(key).cloned().unwrap_or_default();
                Ok(self.same(&["filePath", "replaceAll"]) && of("oldString") != of("newString"))
            }
            ("opencode", "glob") => Ok(self.same(&["pattern", "path"])),
            ("opencode", "grep") => Ok(self.same(&["pattern", "path", "include"])),
            ("opencode", "webfetch") => Ok(self.same(&["url", "format"])),
            ("opencode", "skill") => Ok(self.same(&["name"])),
            ("opencode", "task") => Ok(self.same(&["subagent_type"])),
            ("stirrup", "web_search") => match filled("query") {
                Some((wanted, got)) => self.alike(&folded(wanted), &folded(got)),
                None => Ok(false),
            },
            ("stirrup", "fetch_web_page") => {
                Ok(filled("url").is_some_and(|(wanted, got)| folded(wanted) == folded(got)))
            }
            ("stirrup", "finish") => self.finish(),
            _ => Ok(true),
        }
    }
}

/// Whether two objects agree at these keys, where a missing one is `None`.
fn same(a: &Value, b: &Value, keys: &[&str]) -> bool {
    let of = |value: &Value, key: &str| value.get(key).cloned().unwrap_or_default();
    keys.iter().all(|key| of(a, key) == of(b, key))
}

fn folded(text: &str) -> String {
    strip(&text.to_lowercase()).to_owned()
}

/// Why two calls do not match; `None` where they do.
fn mismatch(row: &Row, wanted: Call, got: Call) -> Result<Option<&'static str>, Broken> {
    let object = |text: &str| json(text).filter(|value| value.as_dict().is_some());
    let (Some(wanted_arguments), Some(got_arguments)) = (object(wanted.1), object(got.1)) else {
        return Err(Broken("a call's arguments are no JSON object".into()));
    };
    let schemas = schemas(row);
    let Some(schema) = schemas.get(got.0) else {
        return Ok(Some("the tool is not declared"));
    };
    let got_arguments = coerced(got_arguments, schema);
    if !valid(&got_arguments, schema)? {
        return Ok(Some("the tool's schema does not allow the arguments"));
    }
    if wanted.0 != got.0 {
        return Ok(Some("another tool"));
    }
    let mut keys = got_arguments
        .as_dict()
        .into_iter()
        .flat_map(|dict| dict.keys())
        .filter_map(Value::as_str);
    if keys.any(|key| wanted_arguments.get(key).is_none()) {
        return Ok(Some("an argument too many"));
    }
    let harness = match row.get("harness") {
        None => "generic",
        Some(harness) => harness.as_str().ok_or_else(|| Broken::field("harness"))?,
    };
    let threshold = match row.get("threshold") {
        None => ALIKE,
        Some(threshold) => threshold.as_f64().ok_or_else(|| Broken::field("threshold"))?,
    };
    let compared = Comparison {
        wanted: &wanted_arguments,
        got: &got_arguments,
        threshold,
    };
    Ok((!compared.matches(harness, wanted.0)?).then_some("other arguments"))
}

/// What the calls of a batch are ordered by, of both sides.
fn key(call: &Call) -> (String, String) {
    let options = DumpOptions {
        sort_keys: true,
        separators: (",", ":"),
        ..DumpOptions::default()
    };
    let sorted = json(call.1)
        .filter(|value| value.as_dict().is_some())
        .and_then(|value| value.dumps(&options).ok());
    (call.0.to_owned(), sorted.unwrap_or_else(|| call.1.to_owned()))
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let fail = |why: &str| Ok(Verdict::pass(false, why));
    let calls: Vec<Call> = response.calls().collect();
    match (expected(row)?, calls.as_slice()) {
        (Action::Message, []) => {
            let said = response.items.iter().any(|item| {
                matches!(item, Item::Message { role, texts }
                    if role == "assistant" && texts.iter().any(|text| !strip(text).is_empty()))
            });
            Ok(Verdict::pass(
                said,
                if said {
                    "a message, as expected"
                } else {
                    "nothing was said"
                },
            ))
        }
        (Action::Call(wanted), [got]) => {
            let why = mismatch(row, wanted, *got)?;
            Ok(Verdict::pass(why.is_none(), why.unwrap_or("the expected call")))
        }
        (Action::Batch(mut wanted), [_, _, ..]) => {
            if wanted.len() != calls.len() {
                return fail("another number of calls");
            }
            let mut calls = calls;
            wanted.sort_by_cached_key(key);
            calls.sort_by_cached_key(key);
            for (wanted, got) in wanted.into_iter().zip(calls) {
                if let Some(why) = mismatch(row, wanted, got)? {
                    return fail(why);
                }
            }
            Ok(Verdict::pass(true, "the expected calls"))
        }
        _ => fail("another kind of action"),
    }
}

fn gold(row: &Row) -> Option<Response> {
    let call = |(name, arguments): Call| Response::call(name, arguments).items;
    match expected(row).ok()? {
        Action::Message => Some(Response::text("It is done.")),
        Action::Call(wanted) => Some(call(wanted).into()),
        Action::Batch(wanted) => Some(wanted.into_iter().flat_map(call).collect::<Vec<_>>().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn verdict(harness: &str, tool: &str, schema: &str, wanted: &str, got: &str) -> Result<f64, Broken> {
        let row = serde_json::json!({
            "harness": harness,
            "expected_action": {"type": "function_call", "name": tool, "arguments": wanted},
            "declared_tools": [{"name": tool, "parameters": serde_json::from_str::<serde_json::Value>(schema).unwrap()}],
        });
        let row = Row {
            index: 0,
            fields: loads(&row.to_string()).unwrap(),
        };
        verify(&row, &Response::call(tool, got)).map(|verdict| verdict.reward)
    }

    #[test]
    fn schemas_come_before_likeness() {
        let schema = r#"{"type": "object", "properties": {"cmd": {"type": "string"}, "n": {"type": "integer"}}, "required": ["cmd"]}"#;
        let reward = |wanted: &str, got: &str| verdict("codex", "exec_command", schema, wanted, got).unwrap();
        let wanted = r#"{"cmd": "ls -la /workspace", "n": 2}"#;
        assert_eq!(reward(wanted, wanted), 1.0);
        assert_eq!(reward(wanted, r#"{"cmd": " ls -la /workspace\r\n"}"#), 1.0);
        assert_eq!(reward(wanted, r#"{"cmd": "ls /"}"#), 0.0);
        assert_eq!(reward(wanted, r#"{"cmd": "ls -la /workspace", "n": "2"}"#), 0.0);
        assert_eq!(reward(wanted, r#"{"cmd": "ls -la /workspace", "m": 2}"#), 0.0);
        assert!(verdict("codex", "exec_command", schema, wanted, "[]").is_err());
    }

    #[test]
    fn lists_may_be_written_as_texts() {
        let schema = r#"{"type": "object", "properties": {"todos": {"type": "array"}}}"#;
        let reward = |got: &str| {
            verdict(
                "opencode",
                "todowrite",
                schema,
                r#"{"todos": [{"status": "done"}]}"#,
                got,
            )
            .unwrap()
        };
        assert_eq!(reward(r#"{"todos": [{"status": "done", "priority": null}]}"#), 1.0);
        assert_eq!(reward(r#"{"todos": "[{\"status\": \"done\"}]"}"#), 1.0);
        assert_eq!(reward(r#"{"todos": [{"status": "open"}]}"#), 0.0);
        assert_eq!(reward(r#"{"todos": []}"#), 0.0);
    }

    #[test]
    fn what_is_not_surely_equal_is_an_error() {
        let schema = r#"{"type": "object", "properties": {"cmd": {"type": "string", "pattern": "\\w+"}}}"#;
        assert!(verdict("codex", "exec_command", schema, r#"{"cmd": "a"}"#, r#"{"cmd": "a"}"#).is_err());
    }
}
