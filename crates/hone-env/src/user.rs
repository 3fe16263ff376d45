//! The simulated user of a task, as far as a domain says who it is.

use hone_model::CallRequest;
use serde::{Deserialize, Serialize};

/// A side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The agent that is measured.
    Agent,
    /// The simulated user.
    User,
}

/// What stands in the conversation before anybody is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// A message.
    Said {
        /// Whose.
        by: Party,
        /// Its text.
        text: String,
    },
    /// Calls; their results follow, in order.
    Called {
        /// Whose.
        by: Party,
        /// The calls.
        calls: Vec<CallRequest>,
    },
    /// The result of a call.
    Result {
        /// Who called.
        by: Party,
        /// What the caller was shown.
        text: String,
    },
}

impl Given {
    /// Whose it is.
    pub fn by(&self) -> Party {
        match self {
            Self::Said { by, .. } | Self::Called { by, .. } | Self::Result { by, .. } => *by,
        }
    }
}

/// Whom a model plays that stands in for the user, and the rules of that conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SimulatedUser {
    /// System message of the model: how to behave, what is wanted, what is known.
    pub instructions: String,
    /// What stands before the first model call: the agent's greeting, or a history. Where the last of it is a message, the
    /// other side goes on; where it is a result, the caller does. Never ends with calls.
    #[serde(default)]
    pub opening: Vec<Given>,
    /// A greeting that only the user sees; the user then speaks first (τ-bench).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cue: Option<String>,
    /// Texts that end the episode wherever the user says them.
    pub stop: Vec<String>,
    /// A message with both text and calls ends the episode. Else the text is kept and the calls are run.
    #[serde(default)]
    pub strict_turns: bool,
}
