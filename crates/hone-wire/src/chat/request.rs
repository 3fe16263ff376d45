//! What a model is asked.

use super::Message;
use crate::Unsayable;
use crate::json::{Body, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request for one turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Model name, as the server knows it.
    pub model: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Tools on offer.
    pub tools: Vec<ToolDef>,
    /// Settings.
    pub settings: Settings,
}

/// A tool on offer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolDef {
    /// Name. Servers want `[a-zA-Z0-9_-]{1,64}`.
    pub name: String,
    /// What it does, for the model.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments, sent as it is written here.
    pub parameters: Json,
    /// Whether the server has to hold the model to the schema; `None` leaves that to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Which tool the model has to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Tool(String),
}

/// A schema for the answer's text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonSchema {
    /// A name for it.
    pub name: String,
    /// The schema.
    pub schema: Json,
    /// Whether the server has to hold the model to it (Anthropic always does).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Settings of one request. What is `None` or empty is not sent, so that the server's default holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// 0 means greedy. Not for Anthropic since version 2026-10-21 of its API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus bound. Not for Anthropic since version 2026-10-21 of its API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Bound on sampled tokens, reasoning included. Anthropic demands it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Seed of the server's sampling; most servers promise little for it. Not for Anthropic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Which tool to use; means nothing without tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether one turn may have several calls; means nothing without tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// Schema of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<JsonSchema>,
    /// Ask for the log-probability of each token, with this many alternatives. Not for Anthropic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u8>,
    /// Ask for token ids (vLLM's `return_token_ids`). Not for Anthropic.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub return_token_ids: bool,
    /// Fields for the body as they are: `top_k`, `thinking`, `reasoning_effort`, `chat_template_kwargs`, … They may not
    /// repeat what the other settings say.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl Settings {
    /// Checks that nothing is demanded of tools where there are none.
    pub(crate) fn without_tools(&self) -> Result<(), Unsayable> {
        match self.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Tool(_)) => Err(Unsayable::new(
                "settings.tool_choice",
                "it demands a tool and there are none; offer tools or leave it out",
            )),
            _ => Ok(()),
        }
    }

    /// Adds `extra` to a body that has everything else.
    pub(crate) fn put_extra(&self, body: &mut Body) -> Result<(), Unsayable> {
        for (key, value) in &self.extra {
            if body.has(key) {
                return Err(Unsayable::new(
                    format!("settings.extra.{key}"),
                    "another setting says it already; leave one of them out",
                ));
            }
            body.put(key, value);
        }
        Ok(())
    }
}
