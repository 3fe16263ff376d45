//! What an agent did, as the items of an OpenAI response: what verifiers read.

use hone_python::Value;
use hone_trace::{Episode, Turn};

/// An item.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A message, with the texts of its parts.
    Message {
        /// Who says it.
        role: String,
        /// The texts.
        texts: Vec<String>,
    },
    /// A call of a tool.
    Call {
        /// The tool.
        name: String,
        /// Its arguments, as JSON text.
        arguments: String,
    },
    /// A tool's answer.
    Output(String),
    /// The model's thoughts, in summary.
    Reasoning(String),
    /// Another type.
    Other,
}

/// Items in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// The items.
    pub items: Vec<Item>,
    /// Whether its JSON says that it ended at its limit of tokens (`incomplete_details`).
    pub cut: bool,
}

impl From<Vec<Item>> for Response {
    fn from(items: Vec<Item>) -> Self {
        Self { items, cut: false }
    }
}

impl Response {
    /// An answer in plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::from(vec![Item::Message {
            role: "assistant".into(),
            texts: vec![text.into()],
        }])
    }

    /// A call, by its arguments' JSON text.
    pub fn call(name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self::from(vec![Item::Call {
            name: name.into(),
            arguments: arguments.into(),
        }])
    }

    /// From the JSON of a response (its `output` and `incomplete_details`).
    pub fn read(response: &Value) -> Self {
        let items = response.get("output").and_then(Value::as_list).unwrap_or_default();
        let reason = response
            .get("incomplete_details")
            .and_then(|details| details.get("reason"));
        Self {
            items: items.iter().map(item).collect(),
            cut: reason.and_then(Value::as_str) == Some("max_output_tokens"),
        }
    }

    /// From a finished episode.
    ///
    /// Arguments are in the canonical form of the record, where `2.0` is `2`. Text before calls of the same turn is not
    /// told apart from their markup there, and left out.
    pub fn of(episode: &Episode) -> Self {
        let mut items = vec![];
        for turn in &episode.turns {
            match turn {
                Turn::Agent { model_call } => {
                    let calls = || {
                        episode
                            .tool_calls
                            .iter()
                            .filter(|call| call.model_call == Some(*model_call))
                    };
                    let Some(said) = episode.model_calls.get(*model_call as usize) else {
                        continue;
                    };
                    if calls().next().is_none() {
                        items.push(Item::Message {
                            role: "assistant".into(),
                            texts: vec![said.text.clone()],
                        });
                    }
                    for call in calls().filter(|call| !call.tool.is_empty()) {
                        let arguments = call
                            .arguments
                            .as_str()
                            .map_or_else(|| call.arguments.to_string(), str::to_owned);
                        items.push(Item::Call {
                            name: call.tool.clone(),
                            arguments,
                        });
                    }
                }
                Turn::Tool { tool_call } => {
                    if let Some(call) = episode.tool_calls.get(*tool_call as usize) {
                        items.push(Item::Output(call.shown.clone()));
                    }
                }
                Turn::System { .. } | Turn::User { .. } => {}
            }
        }
        items.into()
    }

    /// All texts of messages, one after the other: `response.output_text`.
    pub fn output_text(&self) -> String {
        self.items
            .iter()
            .flat_map(|item| {
                if let Item::Message { texts, .. } = item {
                    texts.as_slice()
                } else {
                    &[]
                }
            })
            .map(String::as_str)
            .collect()
    }

    /// The texts of the assistant's messages, a line each, stripped.
    pub fn assistant_lines(&self) -> String {
        let texts = self.items.iter().flat_map(|item| match item {
            Item::Message { role, texts } if role == "assistant" => texts.as_slice(),
            _ => &[],
        });
        let joined = texts.map(String::as_str).collect::<Vec<_>>().join("\n");
        hone_python::text::strip(&joined).to_owned()
    }

    /// The calls: name and arguments.
    pub fn calls(&self) -> impl Iterator<Item = (&str, &str)> {
        self.items.iter().filter_map(|item| match item {
            Item::Call { name, arguments } => Some((name.as_str(), arguments.as_str())),
            _ => None,
        })
    }
}

fn item(item: &Value) -> Item {
    let string = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let texts = |parts: &Value| match parts {
        Value::Str(text) => vec![text.clone()],
        Value::List(parts) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .map(str::to_owned)
            .collect(),
        _ => vec![],
    };
    match item.get("type").and_then(Value::as_str) {
        Some("message") => Item::Message {
            role: string("role"),
            texts: item.get("content").map(texts).unwrap_or_default(),
        },
        Some("function_call") => Item::Call {
            name: string("name"),
            arguments: string("arguments"),
        },
        Some("function_call_output") => Item::Output(string("output")),
        Some("reasoning") => Item::Reasoning(item.get("summary").map(texts).unwrap_or_default().concat()),
        _ => Item::Other,
    }
}
