//! What a tool is for the server: how its actions are read, where they run, how its answers are told.

use crate::Item;
use crate::action;
use hone_tool::{ToolHost, ToolSpec, Toolset};
use hone_trace::ToolFailure;
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest answer of a called tool, in characters; VerlTool's bound.
const MAX_CALLED: usize = 20_000;

/// Makes the host of a tool for a trajectory.
pub type Hosts = Arc<dyn Fn() -> Result<Box<dyn ToolHost>, String> + Send + Sync>;

/// A call of a host: tool and arguments.
type Parse = Box<dyn Fn(&Item) -> Option<(String, Value)> + Send + Sync>;
/// The observation for an action and what came of it.
type Tell = Box<dyn Fn(&str, Result<&str, &ToolFailure>) -> Value + Send + Sync>;

/// A tool of the server.
pub struct Tool {
    /// Name, as `/health` shows it.
    pub name: String,
    /// How it is used, for models.
    pub usage: String,
    pub(crate) toolset: Toolset,
    pub(crate) hosts: Hosts,
    pub(crate) parse: Parse,
    pub(crate) tell: Tell,
    /// What its runtime says of itself, where it has one.
    pub(crate) pulse: Option<Arc<dyn Pulse>>,
}

/// What a tool's runtime says of itself.
pub(crate) trait Pulse: Send + Sync {
    /// Why it cannot work now, if it cannot. May take a moment.
    fn ill(&self) -> Option<String>;

    /// Its numbers in Prometheus's text format.
    fn metrics(&self) -> String;
}

impl Tool {
    /// A tool of these parts. The schemas have been made by this crate or were compiled before.
    pub(crate) fn new(
        name: &str,
        usage: &str,
        specs: &[ToolSpec],
        hosts: Hosts,
        parse: Parse,
        tell: Tell,
    ) -> Result<Self, String> {
        Ok(Self {
            name: name.to_owned(),
            usage: usage.to_owned(),
            toolset: Toolset::compile(specs).map_err(|error| error.to_string())?,
            hosts,
            parse,
            tell,
            pulse: None,
        })
    }
}

/// Any tools, called as `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. It goes by VerlTool's name for such a tool,
/// `mcp_interface`, and is asked last.
///
/// # Errors
/// When a schema does not compile, or no host can be made.
pub fn calls(specs: &[ToolSpec], hosts: Hosts) -> Result<Tool, String> {
    let names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
    let usage = format!(
        "You can call tools using <tool_call>{{\"name\":..., \"arguments\":{{...}}}}</tool_call>: {}",
        names.join(", ")
    );
    let parse = move |item: &Item| action::call(&item.action).filter(|(name, _)| names.contains(name));
    let tell = |_: &str, answer: Result<&str, &ToolFailure>| {
        let mut text = match answer {
            Ok(text) => text.to_owned(),
            Err(failure) => json!({"error": failure.message}).to_string(),
        };
        let first = action::first(&text, MAX_CALLED);
        if first.len() < text.len() {
            text = format!("{first}\n... (truncated)");
        }
        Value::String(format!("\n<mcp_response>\n```result\n{text}\n```\n</mcp_response>\n"))
    };
    Tool::new("mcp_interface", &usage, specs, hosts, Box::new(parse), Box::new(tell))
}
