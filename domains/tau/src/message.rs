//! The messages of a conversation and the runs that hold them, as τ²-bench writes them.

use crate::py::Value;
use crate::task::Task;
use crate::toolkit::Side;
use serde::{Deserialize, Serialize};

/// A tool call in a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its id; the result repeats it.
    #[serde(default)]
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, an object.
    pub arguments: Value,
    /// Who calls.
    #[serde(default)]
    pub requestor: Side,
}

/// What an agent or a user says or calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Turn {
    /// The text.
    #[serde(default)]
    pub content: Option<String>,
    /// The calls. A list, even an empty one, makes it a message of calls.
    #[serde(default)]
    pub tool_calls: Option<Vec<ToolCall>>,
}

/// What a tool call gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call's id.
    pub id: String,
    /// What the caller was shown.
    #[serde(default)]
    pub content: Option<String>,
    /// Who called.
    #[serde(default)]
    pub requestor: Side,
    /// Whether the call failed.
    #[serde(default)]
    pub error: bool,
}

/// A message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// Instructions.
    System {
        /// The text.
        #[serde(default)]
        content: Option<String>,
    },
    /// The agent's.
    Assistant(Turn),
    /// The user's.
    User(Turn),
    /// A tool's.
    Tool(ToolResult),
}

impl Message {
    /// The calls of an agent's or a user's message.
    pub fn calls(&self) -> Option<&[ToolCall]> {
        match self {
            Self::Assistant(turn) | Self::User(turn) => turn.tool_calls.as_deref(),
            _ => None,
        }
    }
}

/// Why a run ended, as far as the reward asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Termination {
    /// The user said that it is done.
    UserStop,
    /// The agent said that it is done.
    AgentStop,
    /// Something failed that is not the agent's doing; such runs are left out of the metrics.
    InfrastructureError,
    /// Any other reason: a limit, an error.
    #[serde(other)]
    Premature,
}

/// A recorded run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Simulation {
    /// The task that it plays.
    pub task_id: String,
    /// Which of the task's trials.
    #[serde(default)]
    pub trial: Option<u32>,
    /// Why it ended.
    pub termination_reason: Termination,
    /// The whole conversation, the task's message history included.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// The reward that was recorded.
    #[serde(default)]
    pub reward_info: Option<RecordedReward>,
}

/// A file of recorded runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The runs.
    pub simulations: Vec<Simulation>,
    /// The tasks that they play, as they were then.
    #[serde(default)]
    pub tasks: Vec<Task>,
}

/// The recorded reward.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordedReward {
    /// Its value, 0 or 1.
    pub reward: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_recorded_runs() {
        let text = r#"{"timestamp": "x", "info": {}, "simulations": [{"id": "1", "task_id": "t", "trial": 0,
            "termination_reason": "too_many_errors", "reward_info": {"reward": 0.0, "db_check": null},
            "messages": [
                {"role": "assistant", "content": "Hi!", "turn_idx": 0},
                {"role": "user", "tool_calls": [{"id": "c", "name": "f", "arguments": {"x": 1}, "requestor": "user"}]},
                {"role": "tool", "id": "c", "content": "{}", "requestor": "user", "error": false}]}]}"#;
        let results: Results = serde_json::from_str(text).unwrap();
        let run = &results.simulations[0];
        assert_eq!(run.termination_reason, Termination::Premature);
        assert_eq!(run.messages[1].calls().map(<[ToolCall]>::len), Some(1));
        assert!(matches!(&run.messages[2], Message::Tool(result) if result.requestor == Side::User));
    }
}
