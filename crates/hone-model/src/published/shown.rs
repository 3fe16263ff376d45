//! Messages and tools as chat templates take them, and text that must not become special tokens.

use super::calls::CallFormat;
use super::template::python_json;
use crate::{AgentTurn, CallRequest, Message};
use hone_tool::Toolset;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};

/// A message in the form of OpenAI's Chat Completions, which templates are written for.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Shown {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ShownCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct ShownCall {
    id: String,
    r#type: &'static str,
    function: ShownFunction,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct ShownFunction {
    name: String,
    arguments: Value,
}

const AGENT: &str = "assistant";

impl Shown {
    /// A message of words.
    pub(super) fn new(role: &'static str, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    /// The messages of a conversation. With `told` calls and results are told in words, results as the user's.
    pub(super) fn all(messages: &[Message], told: Option<CallFormat>) -> Vec<Self> {
        let mut shown: Vec<Self> = Vec::new();
        let (mut calls, mut answered) = (0, 0);
        // Mistral's template wants nine letters or digits.
        let id = |n: usize| format!("call{n:05}");
        for (at, message) in messages.iter().enumerate() {
            let next = match message {
                Message::System(text) => Self::new("system", text),
                Message::User(text) => Self::new("user", text),
                Message::Agent(AgentTurn::Say(text)) => Self::new(AGENT, text),
                Message::Agent(AgentTurn::Malformed { raw, .. }) => Self::new(AGENT, raw),
                Message::Agent(AgentTurn::Calls { content, calls: asked }) => {
                    if let Some(format) = told {
                        Self::new(AGENT, format.render(content, asked))
                    } else {
                        answered = calls;
                        let asked = asked.iter().map(|call| {
                            calls += 1;
                            ShownCall {
                                id: id(calls),
                                r#type: "function",
                                function: ShownFunction {
                                    name: call.name.clone(),
                                    arguments: call.arguments.clone(),
                                },
                            }
                        });
                        Self {
                            tool_calls: asked.collect(),
                            ..Self::new(AGENT, content)
                        }
                    }
                }
                Message::Tool(text) if told.is_some() => {
                    let text = format!("<tool_response>\n{text}\n</tool_response>");
                    let after_tool = at > 0 && matches!(messages[at - 1], Message::Tool(_));
                    match shown.last_mut() {
                        Some(last) if after_tool => {
                            last.content.push('\n');
                            last.content.push_str(&text);
                            continue;
                        }
                        _ => Self::new("user", text),
                    }
                }
                Message::Tool(text) => {
                    answered += 1;
                    Self {
                        tool_call_id: Some(id(answered)),
                        ..Self::new("tool", text)
                    }
                }
            };
            shown.push(next);
        }
        shown
    }

    /// Put instructions behind what the system says.
    pub(super) fn instruct(shown: &mut Vec<Self>, text: &str) {
        match shown.first_mut() {
            Some(first) if first.role == "system" => {
                first.content.push_str("\n\n");
                first.content.push_str(text);
            }
            _ => shown.insert(0, Self::new("system", text)),
        }
    }

    /// Whether the agent said it.
    pub(super) fn is_agent(&self) -> bool {
        self.role == AGENT
    }

    /// Whether this text occurs in it.
    pub(super) fn holds(&self, text: &str) -> bool {
        json!(self).to_string().contains(text)
    }

    /// Put `mark` in place of the last thing that is said.
    pub(super) fn mark(&mut self, mark: &str) {
        match self.tool_calls.last_mut() {
            Some(call) => call.function.arguments = json!({"x": mark}),
            None => self.content = mark.to_owned(),
        }
    }
}

/// Tools in the form of OpenAI's Chat Completions.
pub(super) struct Tools(Vec<Tool>);

#[derive(serde::Serialize)]
struct Tool {
    r#type: &'static str,
    function: Function,
}

#[derive(serde::Serialize)]
struct Function {
    name: String,
    description: String,
    parameters: Ordered,
}

impl Tools {
    /// The tools of a set, each text through `hide`.
    pub(super) fn of(tools: &Toolset, hide: &dyn Fn(&str) -> String) -> Self {
        let tools = tools.specs().iter().map(|spec| Tool {
            r#type: "function",
            function: Function {
                name: hide(&spec.name),
                description: hide(&spec.description),
                parameters: Ordered(mapped(&spec.input_schema, hide)),
            },
        });
        Self(tools.collect())
    }

    /// One tool, to see whether a template shows it.
    pub(super) fn probe(name: &str) -> Self {
        Self(vec![Tool {
            r#type: "function",
            function: Function {
                name: name.into(),
                description: name.into(),
                parameters: Ordered(json!({"type": "object", "properties": {}})),
            },
        }])
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each tool as JSON on a line of its own.
    pub(super) fn lines(&self) -> String {
        self.0.iter().map(|tool| python_json(tool) + "\n").collect()
    }
}

impl Serialize for Tools {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A JSON Schema in the order in which people write its keys. Our maps forget the order; models have seen this one.
struct Ordered(Value);

const ORDER: [&str; 5] = ["type", "description", "enum", "properties", "items"];

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ordered(&self.0, true, serializer)
    }
}

struct Nested<'a>(&'a Value, bool);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ordered(self.0, self.1, serializer)
    }
}

/// `schema`: whether the keys of an object here are a schema's, and not names of properties.
fn ordered<S: Serializer>(value: &Value, schema: bool, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Object(map) => {
            let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
            let mut entries: Vec<_> = map.iter().collect();
            if schema {
                entries.sort_by_key(|(key, _)| rank(key));
            }
            let mut out = serializer.serialize_map(Some(entries.len()))?;
            for (key, value) in entries {
                let names = schema && key == "properties";
                out.serialize_entry(key, &Nested(value, !names))?;
            }
            out.end()
        }
        Value::Array(items) => {
            let mut out = serializer.serialize_seq(Some(items.len()))?;
            for item in items {
                out.serialize_element(&Nested(item, schema))?;
            }
            out.end()
        }
        other => other.serialize(serializer),
    }
}

/// Every text of a value, keys included, through `hide`.
fn mapped(value: &Value, hide: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => hide(text).into(),
        Value::Array(items) => items.iter().map(|item| mapped(item, hide)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (hide(key), mapped(value, hide)))
            .collect(),
        other => other.clone(),
    }
}

/// A character that is put into special tokens where they are mere text, so that they are none when the template is done,
/// and taken out again before the text is encoded.
#[derive(Clone, Copy)]
pub(super) struct Guard(char);

impl Guard {
    /// One that occurs nowhere in these texts.
    pub(super) fn new(messages: &[Message], tools: &Toolset) -> Self {
        let texts = [json!(messages), json!(tools.specs())].map(|value| value.to_string());
        let mut free = ('\u{f8d0}'..='\u{f8ff}').filter(|c| !texts.iter().any(|text| text.contains(*c)));
        Self(free.next().unwrap_or('\u{f8ff}'))
    }

    /// The text with its special tokens broken.
    pub(super) fn hide<'a>(self, text: &str, special: impl Iterator<Item = &'a str>) -> String {
        let mut out = text.to_owned();
        for token in special {
            if out.contains(token) {
                let first = token.chars().next().map_or(0, char::len_utf8);
                let broken = format!("{}{}{}", &token[..first], self.0, &token[first..]);
                out = out.replace(token, &broken);
            }
        }
        out
    }

    /// The same text as it was.
    pub(super) fn lift(self, text: &str) -> String {
        text.replace(self.0, "")
    }

    /// Messages in which no special token is left.
    pub(super) fn messages(self, messages: &[Message], hide: &dyn Fn(&str) -> String) -> Vec<Message> {
        let call = |call: &CallRequest| CallRequest {
            name: hide(&call.name),
            arguments: mapped(&call.arguments, hide),
            malformed: call.malformed.clone(),
        };
        let turn = |turn: &AgentTurn| match turn {
            AgentTurn::Say(text) => AgentTurn::Say(hide(text)),
            AgentTurn::Malformed { raw, error } => AgentTurn::Malformed {
                raw: hide(raw),
                error: error.clone(),
            },
            AgentTurn::Calls { content, calls } => AgentTurn::Calls {
                content: hide(content),
                calls: calls.iter().map(call).collect(),
            },
        };
        messages
            .iter()
            .map(|message| match message {
                Message::System(text) => Message::System(hide(text)),
                Message::User(text) => Message::User(hide(text)),
                Message::Tool(text) => Message::Tool(hide(text)),
                Message::Agent(said) => Message::Agent(turn(said)),
            })
            .collect()
    }
}
