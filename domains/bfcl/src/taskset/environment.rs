//! The world that a task is played in.

use super::{Entry, Shared, memory, prompt};
use crate::Answer;
use crate::multi_turn::{STEP_LIMIT, World, WorldError, calls};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::ToolErrorClass;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A task under way. Single-turn calls are recorded and not run.
#[derive(Clone)]
pub(super) struct Play {
    entry: Option<Entry>,
    shared: Arc<Shared>,
    specs: Vec<ToolSpec>,
    world: Option<World>,
    turn: usize,
    /// Steps of a prompted model in this turn; those of others the harness counts.
    steps: usize,
}

impl Play {
    /// The environment of a record, before its first task. Without a record, no task fits it.
    pub(super) fn new(entry: Option<Entry>, shared: Arc<Shared>) -> Self {
        let specs = entry.as_ref().map_or(vec![], |entry| prompt::specs(entry, 0, &shared));
        Self {
            entry,
            shared,
            specs,
            world: None,
            turn: 0,
            steps: 0,
        }
    }

    fn fresh(&self) -> Result<Option<World>, WorldError> {
        let shared = &self.shared;
        match &self.entry {
            Some(Entry::Turns(task)) => task.world(&shared.worlds).map(Some),
            Some(Entry::Memory(question, category)) => {
                shared.memories.world(question, *category, &shared.worlds).map(Some)
            }
            Some(Entry::Before(prior)) => {
                let (id, scenario) = (&prior.conversation.id, &prior.scenario);
                shared
                    .memories
                    .memory(id, scenario, prior.category, &shared.worlds)
                    .map(Some)
            }
            _ => Ok(None),
        }
    }

    fn execute(&mut self, calls: &[String]) -> Vec<String> {
        let Some(world) = &mut self.world else { return vec![] };
        calls.iter().map(|call| world.execute(call)).collect()
    }

    fn lost(&self) -> Option<&str> {
        self.world.as_ref().and_then(World::lost)
    }

    fn next_turn(&mut self) -> Option<String> {
        self.turn += 1;
        self.steps = 0;
        let messages = match &self.entry {
            Some(Entry::Turns(task)) if self.turn < task.turns.len() => task.messages(self.turn, self.shared.prompted),
            Some(Entry::Before(prior)) => prior.conversation.turns.get(self.turn)?.clone(),
            _ => return None,
        };
        let said = prompt::joined(&messages);
        if let Some(entry) = &self.entry {
            self.specs = prompt::specs(entry, self.turn, &self.shared);
        }
        Some(said)
    }
}

impl ToolHost for Play {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        if self.world.is_none() {
            return Ok(ToolOutput {
                text: "recorded".into(),
                terminal: true,
                ..ToolOutput::default()
            });
        }
        let answer = Answer::Calls(vec![(tool.to_owned(), arguments.to_string())]);
        let Some(call) = calls(&answer) else {
            return Err(ToolError::tool("the arguments must be a JSON object"));
        };
        let text = self.execute(&call).concat();
        if let Some(why) = self.lost() {
            return Err(ToolError {
                class: ToolErrorClass::Infrastructure,
                message: why.to_owned(),
            });
        }
        Ok(ToolOutput {
            data: text.clone().into(),
            text,
            ..ToolOutput::default()
        })
    }

    fn state_hash(&self) -> Option<String> {
        let mut hash = Sha256::new();
        for (class, attributes) in self.world.as_ref()?.state() {
            hash.update(format!("{class}:{}", hone_python::Value::Dict(attributes)));
        }
        Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn inline(&self) -> bool {
        self.shared.worlds.embedder.quick()
    }
}

impl Environment for Play {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        let broken = |what: String| EnvError::Data {
            what: format!("task {}: {what}", task.id),
            remedy: "take the task from the taskset that this environment is of".into(),
        };
        let own = self.entry.as_ref().map(Entry::id);
        if own.is_none() || task.data.get("record").and_then(Value::as_str) != own.as_deref() {
            return Err(broken("it is of another record".into()));
        }
        self.world = self.fresh().map_err(|error| broken(error.to_string()))?;
        (self.turn, self.steps) = (0, 0);
        if let Some(entry) = &self.entry {
            self.specs = prompt::specs(entry, 0, &self.shared);
        }
        Ok(())
    }

    fn state(&self) -> Value {
        let classes = self.world.as_ref().map(World::state).unwrap_or_default();
        let class = |(class, attributes): (&str, hone_python::Dict)| {
            let shown = attributes
                .iter()
                .map(|(name, value)| (name.to_string(), json!(value.repr())));
            (class.to_owned(), Value::Object(shown.collect()))
        };
        let mut state = serde_json::Map::new();
        state.insert("turn".to_owned(), json!(self.turn));
        state.insert(
            "classes".to_owned(),
            Value::Object(classes.into_iter().map(class).collect()),
        );
        if let (Some(Entry::Before(_)), Some(snapshot)) = (&self.entry, self.world.as_ref().and_then(World::snapshot)) {
            state.extend([memory::written(&snapshot)]);
        }
        Value::Object(state)
    }

    fn user(&mut self, answer: &str) -> Result<Option<String>, EnvError> {
        if !self.shared.prompted || self.world.is_none() {
            return Ok(self.next_turn());
        }
        let Some(called) = calls(&Answer::Text(answer.to_owned())) else {
            return Ok(self.next_turn());
        };
        let results = self.execute(&called);
        if let Some(why) = self.lost() {
            return Err(EnvError::Lost(why.to_owned()));
        }
        self.steps += 1;
        // As in the original, which counts after executing.
        Ok((self.steps <= STEP_LIMIT).then(|| prompt::results(&called, &results)))
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}
