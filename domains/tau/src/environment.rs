//! A world as a Hone environment: the agent's side, and the user's where it has tools.

use crate::evaluate::{Replay, idle_messages, restore};
use crate::py::Value;
use crate::task::Task;
use crate::toolkit::{Info, Side, schema};
use crate::world::World;
use hone_env::{EnvError, Environment, Fork};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use std::sync::Arc;

/// Who plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The agent with a user.
    #[default]
    Dialogue,
    /// The agent alone, with both sides' tools and one that ends the run.
    Solo,
}

/// Name of the tool that ends a run without a user.
pub const DONE: &str = "done";

/// A world whose tools Hone calls, for both sides. [`Environment::reset`] takes the task record from the task's data.
pub struct Stage {
    fresh: Arc<dyn World>,
    world: Box<dyn World>,
    mode: Mode,
    specs: Arc<[ToolSpec]>,
    user_specs: Arc<[ToolSpec]>,
}

impl Stage {
    /// A fresh world. The user has those of its tools that are named; all of them without a list.
    pub fn new(fresh: Arc<dyn World>, mode: Mode, user_tools: Option<&[String]>) -> Self {
        let kit = |side| fresh.tools(side).unwrap_or_default().into_iter();
        let agent = kit(Side::Assistant).map(spec);
        let user = kit(Side::User).filter(|info| {
            mode == Mode::Solo || user_tools.is_none_or(|names| names.iter().any(|name| name == info.name))
        });
        let (specs, user_specs): (Vec<_>, Vec<_>) = match mode {
            Mode::Dialogue => (agent.collect(), user.map(spec).collect()),
            Mode::Solo => (agent.chain(user.map(spec)).chain([done()]).collect(), vec![]),
        };
        let mut world = fresh.fork();
        world.set_solo(mode == Mode::Solo);
        Self {
            world,
            fresh,
            mode,
            specs: specs.into(),
            user_specs: user_specs.into(),
        }
    }

    /// The world as it is.
    pub fn world(&self) -> &dyn World {
        &*self.world
    }

    fn run(&mut self, side: Side, tool: &str, arguments: &serde_json::Value) -> Result<ToolOutput, ToolError> {
        if self.mode == Mode::Solo && tool == DONE {
            return Ok(ToolOutput {
                terminal: true,
                ..ToolOutput::default()
            });
        }
        let arguments: Value = serde_json::from_value(arguments.clone()).map_err(|e| ToolError::tool(e.to_string()))?;
        let reply = self.world.call(side, tool, &arguments);
        let reply = reply.and_then(|reply| self.world.sync().map(|()| reply));
        let text = reply.map_err(|raised| ToolError::tool(raised.0))?.shown();
        Ok(ToolOutput {
            data: serde_json::from_str(&text).unwrap_or_else(|_| text.clone().into()),
            text,
            ..ToolOutput::default()
        })
    }
}

/// What a model is told of a tool.
pub fn spec(info: &Info) -> ToolSpec {
    ToolSpec {
        name: info.name.to_owned(),
        description: info.about.to_owned(),
        input_schema: schema(info),
        annotations: Annotations {
            read_only_hint: !info.mutates,
            destructive_hint: info.mutates,
            idempotent_hint: !info.mutates,
            open_world_hint: false,
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unchecked: true,
    }
}

fn done() -> ToolSpec {
    ToolSpec {
        name: DONE.to_owned(),
        description: "Call it when the ticket is solved; nothing can be done afterwards.".to_owned(),
        input_schema: serde_json::json!({"type": "object", "properties": {}}),
        annotations: Annotations::default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unchecked: true,
    }
}

impl ToolHost for Stage {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &serde_json::Value) -> Result<ToolOutput, ToolError> {
        self.run(Side::Assistant, tool, arguments)
    }

    fn state_hash(&self) -> Option<String> {
        let sides = [Side::Assistant, Side::User].into_iter();
        let prints: Vec<_> = sides
            .filter_map(|side| self.world.db(side))
            .map(|db| db.fingerprint())
            .collect();
        Some(prints.join("-"))
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Stage {
    fn reset(&mut self, task: &hone_env::Task) -> Result<(), EnvError> {
        let broken = |what: String| EnvError::Data {
            what: format!("task {}: {what}", task.id),
            remedy: "give the task record of tau2-bench as the task's data".into(),
        };
        let record: Task = serde_json::from_value(task.data.clone()).map_err(|e| broken(e.to_string()))?;
        let mut world = self.fresh.fork();
        world.set_solo(self.mode == Mode::Solo);
        let history = idle_messages(&record);
        restore(&mut *world, &record, &history, Replay::Strict).map_err(|e| broken(e.to_string()))?;
        self.world = world;
        Ok(())
    }

    fn state(&self) -> serde_json::Value {
        let dump = |side| {
            self.world
                .db(side)
                .map(|db| serde_json::to_value(db.dump()).unwrap_or_default())
        };
        serde_json::json!({"assistant": dump(Side::Assistant), "user": dump(Side::User)})
    }

    fn user_specs(&self) -> &[ToolSpec] {
        &self.user_specs
    }

    fn user_call(&mut self, tool: &str, arguments: &serde_json::Value) -> Result<ToolOutput, ToolError> {
        self.run(Side::User, tool, arguments)
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self {
            fresh: self.fresh.clone(),
            world: self.world.fork(),
            mode: self.mode,
            specs: self.specs.clone(),
            user_specs: self.user_specs.clone(),
        }))
    }
}
