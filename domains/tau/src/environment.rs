//! The agent's side of a world as a Hone environment.

use crate::evaluate::{Replay, idle_messages, restore};
use crate::py::Value;
use crate::task::Task;
use crate::toolkit::{Info, Side, schema};
use crate::world::World;
use hone_env::{EnvError, Environment, Fork};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};

/// A world whose agent tools Hone calls. [`Environment::reset`] takes the task record from the task's data.
///
/// What the user does goes through [`AgentSide::world`].
pub struct AgentSide {
    fresh: Box<dyn World>,
    world: Box<dyn World>,
    specs: Vec<ToolSpec>,
}

impl AgentSide {
    /// The agent's side of a fresh world.
    pub fn new(fresh: Box<dyn World>) -> Self {
        let specs = fresh
            .tools(Side::Assistant)
            .unwrap_or_default()
            .into_iter()
            .map(spec)
            .collect();
        Self {
            world: fresh.fork(),
            fresh,
            specs,
        }
    }

    /// The world, for the user's side and for judging.
    pub fn world(&mut self) -> &mut dyn World {
        &mut *self.world
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

impl ToolHost for AgentSide {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &serde_json::Value) -> Result<ToolOutput, ToolError> {
        let arguments: Value = serde_json::from_value(arguments.clone()).map_err(|e| ToolError::tool(e.to_string()))?;
        let reply = self.world.call(Side::Assistant, tool, &arguments);
        let reply = reply.and_then(|reply| self.world.sync().map(|()| reply));
        let text = reply.map_err(|raised| ToolError::tool(raised.0))?.shown();
        Ok(ToolOutput {
            data: serde_json::from_str(&text).unwrap_or_else(|_| text.clone().into()),
            text,
            ..ToolOutput::default()
        })
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

impl Environment for AgentSide {
    fn reset(&mut self, task: &hone_env::Task) -> Result<(), EnvError> {
        let broken = |what: String| EnvError::Data {
            what: format!("task {}: {what}", task.id),
            remedy: "give the task record of tau2-bench as the task's data".into(),
        };
        let record: Task = serde_json::from_value(task.data.clone()).map_err(|e| broken(e.to_string()))?;
        let mut world = self.fresh.fork();
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

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self {
            fresh: self.fresh.fork(),
            world: self.world.fork(),
            specs: self.specs.clone(),
        }))
    }
}
