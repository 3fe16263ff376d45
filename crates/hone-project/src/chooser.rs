//! Which of a project's tools a task's agent sees.

use hone_tool::{ToolError, ToolOutput, Toolset};
use serde_json::Value;
use std::sync::Arc;

/// The tool by which an agent looks for others.
pub(crate) const FIND_TOOLS: &str = "find_tools";

/// The tools of one episode, bounded whatever is found.
#[derive(Clone)]
pub(crate) struct Chosen {
    /// Places of the tools that the task brought.
    pub first: Vec<usize>,
    /// Places of those that the agent found since, the latest last.
    pub found: Vec<usize>,
    /// All of them, compiled.
    pub toolset: Arc<Toolset>,
}

/// Chooses tools out of a project's.
pub(crate) trait Chooser: Send + Sync {
    /// Those for a task, by its prompt.
    ///
    /// # Errors
    /// What failed.
    fn choose(&self, prompt: &str) -> Result<Chosen, String>;

    /// What the agent asked [`FIND_TOOLS`] for, told and added to what it has.
    ///
    /// # Errors
    /// For the agent, if it asked for what is not there; else the infrastructure's.
    fn find(&self, chosen: &mut Chosen, arguments: &Value) -> Result<ToolOutput, ToolError>;

    /// What decides its choices, for the project's digest.
    fn version(&self) -> String;
}
