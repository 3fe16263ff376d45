//! The environment: Python and the answer, opened anew for each task.

use hone_env::{EnvError, Environment, Fork, Task};
use hone_standard::{Set, Standard};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::ToolErrorClass;
use serde_json::Value;
use std::path::Path;

/// The tools of one episode; there are none before the first reset.
pub(crate) struct World {
    tools: Standard,
    open: Option<Set>,
}

impl World {
    pub fn new(tools: Standard) -> Self {
        Self { tools, open: None }
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        self.tools.specs()
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        match &mut self.open {
            Some(set) => set.call(tool, arguments),
            None => Err(ToolError {
                class: ToolErrorClass::Infrastructure,
                message: "the environment was not reset".to_owned(),
            }),
        }
    }
}

impl Environment for World {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        let mut set = self.tools.open(Path::new("."))?;
        set.reset(task)?;
        self.open = Some(set);
        Ok(())
    }

    /// `{"finish": {"answer": …}}` once an answer was submitted.
    fn state(&self) -> Value {
        self.open.as_ref().map_or(Value::Null, Environment::state)
    }

    fn fork_kind(&self) -> Fork {
        Fork::Replay
    }
}
