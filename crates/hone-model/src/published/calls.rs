//! How published models write tool calls.

use super::template::python_json;
use crate::codec::{MAX_CALL_BYTES, MAX_CALL_DEPTH, MAX_CALLS};
use crate::constrain::{Layout, Piece, Syntax};
use crate::{AgentTurn, CallRequest, TurnLayout};
use hone_python::{Expr, constant};
use serde_json::{Map, Value, json};

/// A format of tool calls. A new one is a row of [`CallFormat::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFormat {
    /// Its name, in `tokenizer_config.json` under `hone_call_format`.
    pub name: &'static str,
    /// What stands in a chat template that asks for it; the first format with one of them is the template's.
    signs: &'static [&'static str],
    /// Before a call.
    open: &'static str,
    /// After a call; empty where the end of the turn is the end of the call.
    close: &'static str,
    /// The calls themselves.
    body: Body,
    /// The key of a call's arguments.
    arguments: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// One JSON object, between [`CallFormat::open`] and [`CallFormat::close`], each in its own.
    Tagged,
    /// JSON objects after one another, the whole of the turn.
    Objects,
    /// One JSON array of objects after the opening; or, as newer models write, `NAME[ARGS]{…}` after each opening.
    Array,
    /// A list of Python calls, the whole of the turn.
    Python,
}

/// Between the objects of [`Body::Objects`].
const BETWEEN: &str = "; ";
const ARGS: &str = "[ARGS]";

/// Why what looks like calls cannot be read. Each ends with what to do, for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The closing is missing.
    #[error("a call is not closed; write {0} after it")]
    Unclosed(&'static str),
    /// No JSON.
    #[error("a call is not valid JSON ({0}); write {{\"name\": …, \"{1}\": {{…}}}}")]
    Json(String, &'static str),
    /// No name.
    #[error("a call names no tool; write its name under \"name\"")]
    Nameless,
    /// No Python.
    #[error("the calls are not a list of Python calls with literals by name ({0}); write [NAME(ARGUMENT=VALUE)]")]
    Python(String),
    /// Too many.
    #[error("the answer holds more than {MAX_CALLS} calls; write fewer")]
    TooMany,
    /// Too long.
    #[error("a call is longer than {MAX_CALL_BYTES} bytes; write a shorter one")]
    TooLong,
    /// Too deep.
    #[error("a call is nested deeper than {MAX_CALL_DEPTH}; write a flatter one")]
    TooDeep,
}

impl CallFormat {
    /// The known formats.
    pub const ALL: [Self; 5] = [
        Self {
            name: "hermes",
            signs: &["<tool_call>"],
            open: "<tool_call>",
            close: "</tool_call>",
            body: Body::Tagged,
            arguments: "arguments",
        },
        Self {
            name: "mistral",
            signs: &["[TOOL_CALLS]"],
            open: "[TOOL_CALLS]",
            close: "",
            body: Body::Array,
            arguments: "arguments",
        },
        Self {
            name: "pythonic",
            signs: &["func_name1(", "[func_name"],
            open: "",
            close: "",
            body: Body::Python,
            arguments: "",
        },
        Self {
            name: "llama3_json",
            signs: &["<|python_tag|>", "\"parameters\": dictionary", "\"parameters\": '"],
            open: "<|python_tag|>",
            close: "",
            body: Body::Objects,
            arguments: "parameters",
        },
        Self {
            name: "json",
            signs: &[],
            open: "",
            close: "",
            body: Body::Objects,
            arguments: "arguments",
        },
    ];

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name == name)
    }

    /// The format that a chat template asks for: by what stands in it, else plain JSON.
    pub fn of_template(template: &str) -> Self {
        let asked = |format: &Self| format.signs.iter().any(|sign| template.contains(sign));
        let [.., json] = Self::ALL;
        Self::ALL.into_iter().find(asked).unwrap_or(json)
    }

    /// Special tokens that an answer in this format may hold.
    pub(super) fn may_hold(&self, token: &str) -> bool {
        token == self.open || token == self.close || token == ARGS
    }

    /// How turns are laid out.
    pub fn layout(&self) -> TurnLayout {
        TurnLayout {
            open: self.open.to_owned(),
            close: self.close.to_owned(),
            bare: self.body == Body::Objects,
            reasons: false,
            whole: self.body == Body::Python,
        }
    }

    /// How a grammar writes calls; `piece` says what a text is to the tokenizer.
    ///
    /// # Errors
    /// A sentence for a format that has no grammar.
    pub(super) fn syntax(&self, before: String, piece: impl Fn(&str) -> Piece) -> Result<Syntax, String> {
        let lined = |text: &str, line: String| match piece(text) {
            Piece::Text(_) => Piece::Text(line),
            other => other,
        };
        let (open, close, between, layout) = match self.body {
            Body::Tagged => {
                let open = lined(self.open, format!("{}\n", self.open));
                let close = lined(self.close, format!("\n{}", self.close));
                (open, close, "\n", Layout::Each)
            }
            Body::Objects => (Piece::Nothing, Piece::Nothing, BETWEEN, Layout::Each),
            Body::Array => (piece(self.open), Piece::Nothing, "", Layout::Array),
            Body::Python => {
                return Err(format!(
                    "calls in the format `{}` cannot be constrained yet; name another format under hone_call_format in tokenizer_config.json",
                    self.name
                ));
            }
        };
        Ok(Syntax {
            before,
            open,
            close,
            between: between.to_owned(),
            layout,
            arguments: self.arguments,
            several: true,
        })
    }

    /// Where the first call of a turn's text begins, if it looks like one.
    pub(super) fn beginning(&self, text: &str) -> Option<usize> {
        let begun = text.trim_start();
        let bare = match self.body {
            Body::Tagged | Body::Array => false,
            Body::Objects => begun.starts_with('{') || begun.starts_with("[{"),
            Body::Python => begins_python(begun),
        };
        if bare {
            return Some(text.len() - begun.len());
        }
        (!self.open.is_empty()).then(|| text.find(self.open)).flatten()
    }

    /// A turn's text. What is said beside the calls goes before them, where the format has a place for it.
    pub fn render(&self, content: &str, calls: &[CallRequest]) -> String {
        if calls.is_empty() {
            return content.to_owned();
        }
        // The name first, so that arguments are written for it; spaced as Python does, which models have read most.
        let all = calls.iter().map(|call| {
            let (name, arguments) = (python_json(&call.name), python_json(&call.arguments));
            format!("{{\"name\": {name}, \"{}\": {arguments}}}", self.arguments)
        });
        match self.body {
            Body::Tagged => {
                let calls = all.map(|call| format!("{}\n{call}\n{}", self.open, self.close));
                let parts = (!content.is_empty())
                    .then(|| content.to_owned())
                    .into_iter()
                    .chain(calls);
                parts.collect::<Vec<_>>().join("\n")
            }
            Body::Objects => all.collect::<Vec<_>>().join(BETWEEN),
            Body::Array => format!("{content}{}[{}]", self.open, all.collect::<Vec<_>>().join(", ")),
            Body::Python => {
                let calls = calls.iter().map(|call| {
                    let arguments = call.arguments.as_object().into_iter().flatten();
                    let arguments = arguments.map(|(name, value)| format!("{name}={}", python(value).repr()));
                    format!("{}({})", call.name, arguments.collect::<Vec<_>>().join(", "))
                });
                format!("[{}]", calls.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// What a turn's text says. Text without a sign of a call is an answer.
    ///
    /// # Errors
    /// When there is a sign of a call and it cannot be read.
    pub fn parse(&self, text: &str) -> Result<AgentTurn, CallError> {
        let (content, calls) = match self.body {
            Body::Tagged => self.tagged(text)?,
            Body::Objects => (String::new(), self.objects(text)?),
            Body::Array => self.array(text)?,
            Body::Python => (String::new(), pythonic(text)?),
        };
        if calls.is_empty() {
            return Ok(AgentTurn::Say(text.to_owned()));
        }
        if calls.len() > MAX_CALLS {
            return Err(CallError::TooMany);
        }
        Ok(AgentTurn::Calls { content, calls })
    }

    fn tagged(&self, text: &str) -> Result<(String, Vec<CallRequest>), CallError> {
        let mut parts = text.split(self.open);
        let mut content = parts.next().unwrap_or_default().trim_end().to_owned();
        let mut calls = Vec::new();
        for part in parts.take(MAX_CALLS + 1) {
            let (call, after) = match part.split_once(self.close) {
                Some(closed) => closed,
                // The end of the turn closes the last one, if it is whole.
                None if self.call(part).is_ok() => (part, ""),
                None => return Err(CallError::Unclosed(self.close)),
            };
            calls.push(self.call(call)?);
            content.push_str(after.trim_end());
        }
        Ok((content, calls))
    }

    /// Objects after one another. Without an opening they are calls if one of them has a name and arguments: other JSON is an
    /// answer like any other.
    fn objects(&self, text: &str) -> Result<Vec<CallRequest>, CallError> {
        let (rest, marked) = match text.trim().strip_prefix(self.open) {
            Some(rest) if !self.open.is_empty() => (rest, true),
            _ => (text.trim(), false),
        };
        if !marked && !rest.starts_with('{') && !rest.starts_with("[{") {
            return Ok(Vec::new());
        }
        let mut values = Vec::new();
        let mut rest = rest.trim_start();
        while !rest.is_empty() && values.len() <= MAX_CALLS {
            bounded(rest)?;
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            match stream.next() {
                Some(Ok(Value::Array(all))) => values.extend(all),
                Some(Ok(value)) => values.push(value),
                // Without a name in it, it is no call gone wrong.
                Some(Err(error)) if marked || text.contains("\"name\"") => {
                    return Err(CallError::Json(error.to_string(), self.arguments));
                }
                _ => return Ok(Vec::new()),
            }
            let end = stream.byte_offset();
            rest = rest
                .get(end..)
                .unwrap_or_default()
                .trim_start_matches([';', ',', ' ', '\n']);
        }
        let is_call = |value: &Value| {
            let arguments = ["arguments", "parameters"].iter().any(|key| value.get(key).is_some());
            value.get("name").is_some() && arguments
        };
        if !marked && !values.iter().any(is_call) {
            return Ok(Vec::new());
        }
        values.into_iter().map(|value| self.read(value)).collect()
    }

    fn array(&self, text: &str) -> Result<(String, Vec<CallRequest>), CallError> {
        let mut parts = text.split(self.open);
        let content = parts.next().unwrap_or_default().trim_end().to_owned();
        let mut calls = Vec::new();
        for part in parts.take(MAX_CALLS + 1) {
            if let Some((name, arguments)) = part
                .split_once(ARGS)
                .or_else(|| part.split_once('{').map(|(n, _)| (n, &part[n.len()..])))
                && !part.trim_start().starts_with(['[', '{'])
            {
                let arguments = self.value(arguments)?;
                calls.push(self.read(json!({"name": name.trim(), self.arguments: arguments}))?);
                continue;
            }
            match self.value(part)? {
                Value::Array(all) => {
                    for value in all {
                        calls.push(self.read(value)?);
                    }
                }
                value => calls.push(self.read(value)?),
            }
        }
        Ok((content, calls))
    }

    fn call(&self, text: &str) -> Result<CallRequest, CallError> {
        self.read(self.value(text)?)
    }

    fn value(&self, text: &str) -> Result<Value, CallError> {
        bounded(text)?;
        serde_json::from_str(text).map_err(|error| CallError::Json(error.to_string(), self.arguments))
    }

    /// A call of a JSON object. Models mix up the two keys of arguments; both are read.
    fn read(&self, mut value: Value) -> Result<CallRequest, CallError> {
        let name = value["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or(CallError::Nameless)?.to_owned();
        let keys = [self.arguments, "arguments", "parameters"];
        let key = keys.iter().find(|key| value.get(key).is_some());
        let arguments = key.and_then(|key| value.get_mut(key)).map(Value::take);
        Ok(match arguments.unwrap_or_else(|| Value::Object(Map::new())) {
            object @ Value::Object(_) => CallRequest::new(name, object),
            other => CallRequest {
                name,
                malformed: Some(format!(
                    "\"{}\" is not an object; write {{\"NAME\": VALUE}}",
                    self.arguments
                )),
                arguments: other.to_string().into(),
            },
        })
    }
}

/// Bounds, before any parser recurses: brackets within strings only make the second stricter.
fn bounded(text: &str) -> Result<(), CallError> {
    if text.len() > MAX_CALL_BYTES {
        return Err(CallError::TooLong);
    }
    let mut depth = 0usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_CALL_DEPTH + 2 {
            return Err(CallError::TooDeep);
        }
    }
    Ok(())
}

fn begins_python(text: &str) -> bool {
    text.strip_prefix('[').is_some_and(|rest| {
        let name = rest.trim_start();
        let end = name
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(name.len());
        end > 0 && name[end..].starts_with('(')
    })
}

/// A list of Python calls, each with its arguments by name. What does not begin like one is an answer.
fn pythonic(text: &str) -> Result<Vec<CallRequest>, CallError> {
    let text = text.trim();
    if !begins_python(text) {
        return Ok(Vec::new());
    }
    bounded(text)?;
    let wrong = |what: &str| CallError::Python(what.to_owned());
    let Expr::List(items) = hone_python::parse(text).map_err(|error| wrong(&error.to_string()))? else {
        return Err(wrong("not a list"));
    };
    let call = |item: &Expr| {
        let Expr::Call(call) = item else {
            return Err(wrong("an item is not a call"));
        };
        if !call.args.is_empty() {
            return Err(wrong("an argument has no name"));
        }
        let mut arguments = Map::new();
        for keyword in &call.keywords {
            let name = keyword.name.clone().ok_or_else(|| wrong("an argument has no name"))?;
            let value = constant(&keyword.value).map_err(|_| wrong("a value is not a literal"))?;
            let value = serde_json::to_value(value).map_err(|error| wrong(&error.to_string()))?;
            if arguments.insert(name, value).is_some() {
                return Err(wrong("an argument is there twice"));
            }
        }
        Ok(CallRequest::new(call.dotted_name(), Value::Object(arguments)))
    };
    items.iter().map(call).collect()
}

/// A JSON value as Python's.
fn python(value: &Value) -> hone_python::Value {
    use serde::Deserialize;
    hone_python::Value::deserialize(value).unwrap_or(hone_python::Value::None)
}

#[cfg(test)]
mod tests;
