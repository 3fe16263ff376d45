//! What we read of a log, as types: everything else is skipped while parsing.

use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// `header.json`, `_journal/start.json`, or the top of a `.json` log.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(default = "one")]
    pub version: u64,
    pub eval: Spec,
}

fn one() -> u64 {
    1
}

/// A whole `.json` log.
#[derive(Debug, Deserialize)]
pub(super) struct Whole {
    #[serde(default = "one")]
    pub version: u64,
    pub eval: Spec,
    #[serde(default)]
    pub samples: Option<Vec<Sample>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Spec {
    #[serde(default)]
    pub task: String,
    #[serde(default)]
    pub model: String,
    #[serde(default)]
    pub solver: Option<String>,
}

/// A number or a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Id {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Sample {
    pub id: Id,
    #[serde(default = "first")]
    pub epoch: u32,
    #[serde(default)]
    pub messages: Vec<Message>,
    #[serde(default)]
    pub scores: Option<Scores>,
    #[serde(default)]
    pub metadata: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    pub events: Vec<Event>,
    #[serde(default)]
    pub attachments: HashMap<String, String>,
    #[serde(default)]
    pub events_data: Option<Pools>,
    #[serde(default)]
    pub started_at: Option<String>,
    #[serde(default)]
    pub total_time: Option<f64>,
    #[serde(default)]
    pub error: Option<Failed>,
    #[serde(default)]
    pub limit: Option<Limit>,
}

fn first() -> u32 {
    1
}

/// Scores by scorer, in the order of names.
pub(super) type Scores = std::collections::BTreeMap<String, Scored>;

#[derive(Debug, Deserialize)]
pub(super) struct Pools {
    #[serde(default)]
    pub messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failed {
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    #[serde(default, rename = "type")]
    pub kind: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Scored {
    #[serde(default)]
    pub value: Value,
    #[serde(default)]
    pub answer: Option<String>,
    #[serde(default)]
    pub explanation: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub id: Option<String>,
    pub role: String,
    #[serde(default)]
    pub content: Value,
    #[serde(default)]
    pub tool_calls: Option<Vec<Call>>,
    #[serde(default)]
    pub tool_call_id: Option<Value>,
    #[serde(default)]
    pub function: Option<String>,
    #[serde(default)]
    pub error: Option<CallError>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Call {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub function: String,
    #[serde(default)]
    pub arguments: Value,
    #[serde(default)]
    pub parse_error: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CallError {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub message: String,
}

/// An event; only those of models and tools are looked into.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub event: String,
    #[serde(default)]
    pub timestamp: Option<String>,
    #[serde(default)]
    pub working_time: Option<f64>,
    #[serde(default)]
    pub metadata: Option<serde_json::Map<String, Value>>,
    // Of a model.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub role: Option<String>,
    #[serde(default)]
    pub input: Value,
    #[serde(default)]
    pub input_refs: Option<Vec<(usize, usize)>>,
    #[serde(default)]
    pub config: Option<Config>,
    #[serde(default)]
    pub output: Option<Output>,
    // Of a tool.
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub result: Value,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Config {
    #[serde(default)]
    pub temperature: Option<f32>,
    #[serde(default)]
    pub top_p: Option<f32>,
    #[serde(default)]
    pub top_k: Option<u32>,
    #[serde(default)]
    pub max_tokens: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Output {
    #[serde(default)]
    pub choices: Vec<Choice>,
    #[serde(default)]
    pub time: Option<f64>,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub usage: Option<Tokens>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    pub input_tokens: u64,
    #[serde(default)]
    pub output_tokens: u64,
    #[serde(default)]
    pub input_tokens_cache_write: Option<u64>,
    #[serde(default)]
    pub input_tokens_cache_read: Option<u64>,
    #[serde(default)]
    pub reasoning_tokens: Option<u64>,
    #[serde(default)]
    pub total_cost: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub message: Message,
    #[serde(default)]
    pub stop_reason: String,
}
