//! Bringing a world to where a conversation left it.

use crate::message::{Message, ToolCall, ToolResult};
use crate::py::Value;
use crate::raised::Raised;
use crate::task::Task;
use crate::toolkit::Side;
use crate::world::World;

/// Whether a replayed call must give what was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replay {
    /// It must, up to the form of its JSON.
    #[default]
    Strict,
    /// It need not: for runs that were recorded with other tool versions.
    Lenient,
}

/// Why a conversation cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The task's initial state cannot be set up.
    #[error("task {task}: {what} failed: {raised}")]
    Setup {
        /// The task.
        task: String,
        /// What was being done.
        what: String,
        /// What it raised.
        raised: Raised,
    },
    /// Calls and results do not follow each other as they must.
    #[error("message {at}: {what}")]
    Order {
        /// Which message, from 0.
        at: usize,
        /// What is wrong.
        what: String,
    },
    /// A call gives something else than was recorded.
    #[error(
        "message {at}: {tool} gives {got:?}, recorded was {recorded:?}; replay leniently if other tools recorded it"
    )]
    Different {
        /// Which message, from 0.
        at: usize,
        /// The tool.
        tool: String,
        /// What it gives now.
        got: String,
        /// What was recorded.
        recorded: String,
    },
}

/// Set up a task's initial state in a fresh world and replay a conversation: the calls of tools that change something;
/// unknown tools changed nothing.
///
/// # Errors
/// See [`ReplayError`].
pub fn restore(world: &mut dyn World, task: &Task, messages: &[Message], replay: Replay) -> Result<(), ReplayError> {
    let setup = |what: &str, raised| ReplayError::Setup {
        task: task.id.clone(),
        what: what.to_owned(),
        raised,
    };
    if let Some(state) = &task.initial_state {
        if let Some(data) = &state.initialization_data {
            for (side, data) in [(Side::Assistant, &data.agent_data), (Side::User, &data.user_data)] {
                if let Some(data) = data {
                    world
                        .update(side, data)
                        .map_err(|raised| setup("initialization_data", raised))?;
                }
            }
        }
        for action in state.initialization_actions.iter().flatten() {
            let done = world.function(action.env_type, &action.func_name, &action.arguments);
            done.map_err(|raised| setup(&action.func_name, raised))?;
        }
    }
    for (at, call, result) in pairs(messages)? {
        if !world.tool(&call.name).is_some_and(|tool| tool.mutates) {
            continue;
        }
        let got = world.respond(call.requestor, &call.name, &call.arguments).content;
        let recorded = result.content.as_deref().unwrap_or_default();
        if replay == Replay::Strict && got != recorded && read(&got) != read(recorded) {
            return Err(ReplayError::Different {
                at,
                tool: call.name.clone(),
                got,
                recorded: recorded.to_owned(),
            });
        }
    }
    world
        .sync()
        .map_err(|raised| setup("making both sides consistent", raised))
}

/// What a text says as JSON, or the text.
fn read(text: &str) -> Value {
    hone_python::loads(text).unwrap_or_else(|_| text.into())
}

/// Each call with its result: they follow the message with the calls, in order.
fn pairs(messages: &[Message]) -> Result<Vec<(usize, &ToolCall, &ToolResult)>, ReplayError> {
    let wrong = |at, what: &str| {
        Err(ReplayError::Order {
            at,
            what: what.to_owned(),
        })
    };
    let mut pairs = vec![];
    let mut rest = messages.iter().enumerate();
    while let Some((at, message)) = rest.next() {
        if matches!(message, Message::Tool(_)) {
            return wrong(at, "a tool's result without a call before it");
        }
        for call in message.calls().unwrap_or_default() {
            match rest.next() {
                Some((at, Message::Tool(result))) if result.id == call.id => pairs.push((at, call, result)),
                Some((at, Message::Tool(result))) => {
                    return wrong(
                        at,
                        &format!("the result of call {:?} where that of {:?} is due", result.id, call.id),
                    );
                }
                Some((at, _)) => return wrong(at, &format!("no result of call {:?}", call.id)),
                None => {
                    return wrong(
                        at,
                        &format!("the conversation ends before the result of call {:?}", call.id),
                    );
                }
            }
        }
    }
    Ok(pairs)
}
