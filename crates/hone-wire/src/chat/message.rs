//! Messages.

use crate::shown::shown;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// Instructions.
    System {
        /// What it says.
        text: String,
    },
    /// The user.
    User {
        /// What they say.
        text: String,
    },
    /// The model.
    Assistant(Assistant),
    /// A tool's answer to one call.
    Tool {
        /// [`ToolCall::id`] of the call.
        call_id: String,
        /// What the model is shown.
        text: String,
        /// Whether the call failed.
        #[serde(default)]
        is_error: bool,
    },
}

impl Message {
    /// A system message.
    pub fn system(text: impl Into<String>) -> Self {
        Self::System { text: text.into() }
    }

    /// A user message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User { text: text.into() }
    }

    /// A tool's answer to the call with that id.
    pub fn tool(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Tool {
            call_id: call_id.into(),
            text: text.into(),
            is_error: false,
        }
    }
}

/// What a model said in one turn, in its order: thoughts, text, calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assistant {
    /// The parts; none is empty.
    pub parts: Vec<Part>,
}

impl Assistant {
    /// A turn that is only text.
    pub fn text_only(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Text { text: text.into() }],
        }
    }

    /// All text, joined.
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// All readable reasoning, joined.
    pub fn reasoning(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Reasoning { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The calls, in order.
    pub fn calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        })
    }
}

/// One part of a model's turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// Text for the user.
    Text {
        /// The text.
        text: String,
    },
    /// A thought.
    Reasoning {
        /// The thought, or its summary.
        text: String,
        /// Anthropic's proof that the thought is its model's; without it, it cannot be sent back there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// A thought that only Anthropic's servers can read.
    Redacted {
        /// Opaque.
        data: String,
    },
    /// A tool call.
    Call(ToolCall),
}

/// A tool call as the model wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Links the call to its result. Where a server gives none: `call_` and the call's number within the answer.
    pub id: String,
    /// Tool name.
    pub name: String,
    /// Arguments.
    pub arguments: Arguments,
}

impl ToolCall {
    /// A call from the text of its arguments.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments: Arguments::from(arguments.into()),
        }
    }
}

/// A call's arguments: the text, kept whatever it is, and what it says. Serialised as the text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Arguments {
    /// As the model wrote them.
    pub raw: String,
    /// The object they say, or why they do not say one. Empty text is an error, not `{}`.
    pub parsed: Result<Map<String, Value>, String>,
}

impl From<String> for Arguments {
    fn from(raw: String) -> Self {
        let parsed = match serde_json::from_str(&raw) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err("the arguments are JSON, but not an object".to_owned()),
            Err(_) if raw.trim().is_empty() => Err("the arguments are empty".to_owned()),
            Err(error) => Err(shown(&format!("the arguments are not JSON: {error}"), 200)),
        };
        Self { raw, parsed }
    }
}

impl From<Arguments> for String {
    fn from(arguments: Arguments) -> Self {
        arguments.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_arguments_stay_what_they_are() {
        for (raw, error) in [
            ("", "empty"),
            (" ", "empty"),
            ("[]", "not an object"),
            ("{\"a\":", "not JSON"),
            ("{} {}", "not JSON"),
            (&"[".repeat(100_000), "recursion limit"),
        ] {
            let arguments = Arguments::from(raw.to_owned());
            assert!(arguments.parsed.as_ref().expect_err("malformed").contains(error));
            assert_eq!(arguments.raw, raw);
        }
    }

    #[test]
    fn a_message_survives_json() {
        let message = Message::Assistant(Assistant {
            parts: vec![
                Part::Reasoning {
                    text: "hm".into(),
                    signature: Some("s".into()),
                },
                Part::Text { text: "ok".into() },
                Part::Call(ToolCall::new("1", "f", "{\"b\": 1, \"a\":")),
            ],
        });
        let text = serde_json::to_string(&message).expect("JSON");
        assert_eq!(serde_json::from_str::<Message>(&text).expect("the same"), message);
    }
}
