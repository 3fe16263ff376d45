//! The world of an episode: a domain's databases and the tools of both sides.
//!
//! [`State`] is what a domain implements, [`World`] what everything else uses. A world is cheap: making, forking and
//! resetting one costs microseconds, whatever the size of its databases (see [`crate::store`]).

use crate::py::Value;
use crate::raised::{Outcome, raise};
use crate::store::Db;
use crate::toolkit::{Info, Reply, Side, Tool, bind};

/// The tools of one side.
pub struct Kit<S: 'static> {
    /// The reference's class name; error texts show it.
    pub class: &'static str,
    /// What the side may call.
    pub tools: &'static [Tool<S>],
    /// What only tasks call: to break things and to check them.
    pub functions: &'static [Tool<S>],
}

/// A domain's state.
pub trait State: Clone + Send + Sync + 'static {
    /// The domain's name.
    const DOMAIN: &'static str;

    /// A side's tools, if it has any.
    fn kit(side: Side) -> Option<&'static Kit<Self>>;

    /// A side's database.
    fn db(&self, side: Side) -> Option<&Db>;

    /// A side's database, to change it.
    fn db_mut(&mut self, side: Side) -> Option<&mut Db>;

    /// Make both sides consistent.
    ///
    /// # Errors
    /// When the databases contradict each other.
    fn sync(&mut self) -> Outcome<()> {
        Ok(())
    }

    /// The first attribute of its side's database that a tool or function reads (`sync` included) when it is given these
    /// arguments; `None` if it reads none. Only asked when both sides share one database, see [`World::update`].
    ///
    /// # Errors
    /// What it raises before it reads the database.
    fn reads(name: &str, arguments: &[Value]) -> Outcome<Option<&'static str>> {
        let _ = (name, arguments);
        Ok(None)
    }
}

/// What a caller is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The text.
    pub content: String,
    /// Whether the call failed.
    pub error: bool,
}

/// A domain's world. See [`State`].
pub trait World: Send + Sync {
    /// The domain's name.
    fn domain(&self) -> &'static str;

    /// An independent copy.
    fn fork(&self) -> Box<dyn World>;

    /// Whether the agent works alone, with both sides' tools.
    fn set_solo(&mut self, solo: bool);

    /// A side's tools; `None` if the domain gives it none.
    fn tools(&self, side: Side) -> Option<Vec<&'static Info>>;

    /// A side's database.
    fn db(&self, side: Side) -> Option<&Db>;

    /// Run a tool, without making the sides consistent afterwards.
    ///
    /// # Errors
    /// What the tool raises.
    fn call(&mut self, side: Side, tool: &str, arguments: &Value) -> Outcome<Reply>;

    /// Run a tool or a function of a task, and make the sides consistent.
    ///
    /// # Errors
    /// What the function raises, or that there is none.
    fn function(&mut self, side: Side, name: &str, arguments: &Value) -> Outcome<Reply>;

    /// Merge a task's initialization data into a side's database.
    ///
    /// As in the reference, a side that has a database of its own then shares the updated one with the other side; tools
    /// that need another database fail from then on.
    ///
    /// # Errors
    /// When the side has no database or the result does not fit its model.
    fn update(&mut self, side: Side, data: &Value) -> Outcome<()>;

    /// Make both sides consistent.
    ///
    /// # Errors
    /// When the databases contradict each other.
    fn sync(&mut self) -> Outcome<()>;

    /// Answer a call: run the tool, make the sides consistent, say what the caller is shown.
    fn respond(&mut self, side: Side, tool: &str, arguments: &Value) -> Response {
        let reply = self.call(side, tool, arguments).and_then(|reply| {
            // The result is shown as it is after the sides were made consistent; no tool's result depends on that.
            self.sync().map(|()| reply)
        });
        match reply {
            Ok(reply) => Response {
                content: reply.shown(),
                error: false,
            },
            Err(raised) => Response {
                content: format!("Error: {raised}"),
                error: true,
            },
        }
    }

    /// The tool of that name, of either side.
    fn tool(&self, name: &str) -> Option<&'static Info> {
        let sides = [Side::Assistant, Side::User].into_iter();
        sides
            .filter_map(|side| self.tools(side))
            .flatten()
            .find(|info| info.name == name)
    }

    /// The hash of a side's database.
    fn hash(&self, side: Side) -> Option<String> {
        self.db(side).map(Db::hash)
    }

    /// Whether both sides' databases equal those of another world.
    fn same(&self, other: &dyn World) -> bool {
        [Side::Assistant, Side::User]
            .into_iter()
            .all(|side| match (self.db(side), other.db(side)) {
                (Some(a), Some(b)) => a.same(b),
                (a, b) => a.is_none() && b.is_none(),
            })
    }
}

/// A world over a domain's state.
#[derive(Clone, Debug)]
pub struct Live<S> {
    state: S,
    solo: bool,
    /// The side whose database both sides hold.
    shared: Option<Side>,
}

impl<S: State> Live<S> {
    /// A fresh world.
    ///
    /// # Errors
    /// When the databases contradict each other.
    pub fn new(state: S) -> Outcome<Self> {
        let mut world = Self {
            state,
            solo: false,
            shared: None,
        };
        world.sync()?;
        Ok(world)
    }

    /// The domain's state.
    pub fn state(&self) -> &S {
        &self.state
    }

    fn check_shared(&self, side: Side, name: &str, arguments: &[Value]) -> Outcome<()> {
        if let Some(shared) = self.shared.filter(|shared| *shared != side)
            && let (Some(attribute), Some(db)) = (S::reads(name, arguments)?, self.state.db(shared))
        {
            return raise(format!("'{}' object has no attribute '{attribute}'", db.class()));
        }
        Ok(())
    }

    fn run(&mut self, side: Side, class: &str, tool: &Tool<S>, arguments: &Value) -> Outcome<Reply> {
        let bound = bind(class, &tool.info, arguments)?;
        self.check_shared(side, tool.info.name, &bound)?;
        (tool.run)(&mut self.state, &bound)
    }
}

fn has<S>(kit: Option<&'static Kit<S>>, tool: &str) -> bool {
    kit.is_some_and(|kit| kit.tools.iter().any(|t| t.info.name == tool))
}

impl<S: State> World for Live<S> {
    fn domain(&self) -> &'static str {
        S::DOMAIN
    }

    fn fork(&self) -> Box<dyn World> {
        Box::new(self.clone())
    }

    fn set_solo(&mut self, solo: bool) {
        self.solo = solo;
    }

    fn tools(&self, side: Side) -> Option<Vec<&'static Info>> {
        S::kit(side).map(|kit| kit.tools.iter().map(|tool| &tool.info).collect())
    }

    fn db(&self, side: Side) -> Option<&Db> {
        self.state.db(side)?;
        self.state.db(self.shared.unwrap_or(side))
    }

    fn call(&mut self, side: Side, tool: &str, arguments: &Value) -> Outcome<Reply> {
        if let Value::Dict(given) = arguments {
            // The reference passes the arguments through a method of its own that has these parameters.
            if given.get("requestor").is_some() {
                return raise(
                    "tau2.environment.environment.Environment.make_tool_call() got multiple values for keyword \
                     argument 'requestor'",
                );
            }
            if let Some(name) = given.keys().find(|k| matches!(k.as_str(), Some("self" | "tool_name"))) {
                return raise(format!(
                    "Environment.make_tool_call() got multiple values for argument '{name}'"
                ));
            }
        }
        let mut side = side;
        if self.solo {
            if side == Side::User {
                return raise("User tool calls are not allowed in solo mode");
            }
            if has(S::kit(Side::User), tool) {
                side = Side::User;
            }
        }
        let Some(kit) = S::kit(side) else {
            return raise(match side {
                Side::Assistant => "Tools not available",
                Side::User => "User tools not available",
            });
        };
        match kit.tools.iter().find(|t| t.info.name == tool) {
            Some(found) => self.run(side, kit.class, found, arguments),
            None => raise(format!("Tool '{tool}' not found.")),
        }
    }

    fn function(&mut self, side: Side, name: &str, arguments: &Value) -> Outcome<Reply> {
        let kit = S::kit(side);
        let found = kit.and_then(|kit| {
            let mut all = kit.tools.iter().chain(kit.functions);
            Some((kit, all.find(|t| t.info.name == name)?))
        });
        let Some((kit, function)) = found else {
            let class = kit.map_or("NoneType", |kit| kit.class);
            return raise(format!("'{class}' object has no attribute '{name}'"));
        };
        let reply = self.run(side, kit.class, function, arguments)?;
        self.sync()?;
        Ok(reply)
    }

    fn update(&mut self, side: Side, data: &Value) -> Outcome<()> {
        let held = self.shared.unwrap_or(side);
        let Some(db) = self.state.db_mut(held) else {
            return raise("Database has not been initialized.");
        };
        db.update(data)?;
        let other = match side {
            Side::Assistant => Side::User,
            Side::User => Side::Assistant,
        };
        if self.state.db(other).is_some() {
            self.shared = Some(held);
        }
        Ok(())
    }

    fn sync(&mut self) -> Outcome<()> {
        if self.shared.is_some() {
            self.check_shared(Side::User, "sync", &[])?;
            self.check_shared(Side::Assistant, "sync", &[])?;
        }
        self.state.sync()
    }
}
