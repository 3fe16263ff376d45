//! Several kits as one environment.

use crate::Standard;
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The tools of several kits for one episode. The state has a part for each kit that has state, by the kit's name.
pub struct Set {
    standard: Standard,
    parts: Vec<Box<dyn Environment>>,
}

impl Set {
    pub(crate) fn new(standard: Standard, parts: Vec<Box<dyn Environment>>) -> Self {
        Self { standard, parts }
    }
}

impl ToolHost for Set {
    fn specs(&self) -> &[ToolSpec] {
        self.standard.specs()
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let part = self.standard.owner(tool).and_then(|owner| self.parts.get_mut(owner));
        part.ok_or_else(|| crate::arguments::unknown(tool))?
            .call(tool, arguments)
    }

    /// Of all parts that have one.
    fn state_hash(&self) -> Option<String> {
        let hashes: Vec<String> = self.parts.iter().filter_map(|part| part.state_hash()).collect();
        if hashes.is_empty() {
            return None;
        }
        let digest = Sha256::digest(hashes.join("\n"));
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn inline(&self) -> bool {
        self.parts.iter().all(|part| part.inline())
    }

    fn has_hidden_state(&self) -> bool {
        self.parts.iter().any(|part| part.has_hidden_state())
    }
}

impl Environment for Set {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        self.parts.iter_mut().try_for_each(|part| part.reset(task))
    }

    fn state(&self) -> Value {
        let mut state = Map::new();
        for (kit, part) in self.standard.kits().iter().zip(&self.parts) {
            let value = part.state();
            if !value.is_null() {
                state.insert(kit.name().to_owned(), value);
            }
        }
        match state.is_empty() {
            true => Value::Null,
            false => Value::Object(state),
        }
    }

    /// As its least able part.
    fn fork_kind(&self) -> Fork {
        let all = |kind| self.parts.iter().all(|part| part.fork_kind() == kind);
        if all(Fork::Native) {
            Fork::Native
        } else if self.parts.iter().any(|part| part.fork_kind() == Fork::None) {
            Fork::None
        } else {
            Fork::Replay
        }
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        let parts: Option<Vec<_>> = self.parts.iter().map(|part| part.fork()).collect();
        Some(Box::new(Self::new(self.standard.clone(), parts?)))
    }
}
