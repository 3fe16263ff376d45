//! What a tool is.

use crate::Toolset;
use hone_trace::{Media, ToolErrorClass};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Hints about a tool's effects, as the Model Context Protocol defines them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// Does not change its environment.
    pub read_only_hint: bool,
    /// May delete or overwrite.
    pub destructive_hint: bool,
    /// Calling it again with the same arguments changes nothing more.
    pub idempotent_hint: bool,
    /// Reaches beyond its own closed world.
    pub open_world_hint: bool,
}

/// A named function with a JSON Schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolSpec {
    /// Unique within its host.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments (an object).
    pub input_schema: Value,
    /// Hints.
    #[serde(default)]
    pub annotations: Annotations,
    /// Version, recorded with each call.
    #[serde(default)]
    pub version: String,
    /// The tool itself judges its arguments: the schema is only shown to the model. For published suites, whose tools
    /// answer wrong arguments in words of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
}

/// A JSON Schema of an object with these properties and no others, all of them required but those in `optional`.
pub fn object_schema(properties: Value, optional: &[&str]) -> Value {
    let required: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .filter(|name| !optional.contains(&name.as_str()))
        .collect();
    serde_json::json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

/// A tool's result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolOutput {
    /// Result data.
    pub data: Value,
    /// The text that the model sees (for structured results usually `data` as compact JSON).
    pub text: String,
    /// Pictures and other bytes that belong to the result, by hash; `text` has a line for each.
    pub media: Vec<Media>,
    /// The environment says that the episode is over.
    pub terminal: bool,
}

impl ToolOutput {
    /// A result shown to the model as compact JSON.
    pub fn json(data: Value) -> Self {
        let text = data.to_string();
        Self {
            data,
            text,
            ..Self::default()
        }
    }
}

/// A tool's refusal or failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// Its class; a tool itself usually reports [`ToolErrorClass::Tool`].
    pub class: ToolErrorClass,
    /// One sentence for the model: what, and how to mend.
    pub message: String,
}

impl ToolError {
    /// The tool ran and says no.
    pub fn tool(message: impl Into<String>) -> Self {
        Self {
            class: ToolErrorClass::Tool,
            message: message.into(),
        }
    }
}

/// A set of tools with shared state.
pub trait ToolHost: Send {
    /// The tools. They change, if at all, only between a user's turns.
    fn specs(&self) -> &[ToolSpec];

    /// Run a tool. The arguments have been checked against its schema.
    ///
    /// # Errors
    /// What the tool reports. A panic is caught by [`dispatch`](crate) and classed.
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError>;

    /// Hash of the state that the tools act on, if there is such a thing and it is cheap (microseconds).
    fn state_hash(&self) -> Option<String> {
        None
    }

    /// Whether the tools act on state that [`ToolHost::state_hash`] does not cover, such as that of a server.
    fn has_hidden_state(&self) -> bool {
        self.state_hash().is_none()
    }

    /// The tools that a model is to see and may call now, where that is chosen anew for each task and by calls (retrieval of
    /// tools): asked for after a reset and after each call, instead of [`specs`](Self::specs). The same set comes as the
    /// same `Arc`.
    fn chosen(&self) -> Option<Arc<Toolset>> {
        None
    }

    /// Whether the tools always return in microseconds and touch nothing outside their own memory.
    ///
    /// Such a host runs on the caller's thread: panics are still caught, but a hang would not be. Only built-in worlds
    /// may say so; everything else runs on a thread of its own, with a deadline.
    fn inline(&self) -> bool {
        false
    }
}
