//! What a judge is asked about an episode, and what it found.

use serde::{Deserialize, Serialize};

/// Something about a finished episode that only a judge can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is judged, such as the conversation.
    pub subject: String,
    /// What must hold of it.
    pub statement: String,
}

/// The kind of the [`hone_trace::Event`] that holds a [`Finding`].
pub const VERDICT: &str = "verdict";

/// What a judge, or a panel by majority, found; the detail of an event [`VERDICT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was asked.
    pub statement: String,
    /// Whether it holds.
    pub pass: bool,
    /// Each vote.
    pub votes: Vec<Vote>,
}

/// A judge's vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The model call with prompt and reply.
    pub model_call: u32,
    /// Whether the statement holds.
    pub pass: bool,
    /// Why.
    pub reasoning: String,
}

/// The findings that an episode records, in order.
pub fn findings(episode: &hone_trace::Episode) -> Vec<Finding> {
    let verdicts = episode.events.iter().filter(|event| event.kind == VERDICT);
    verdicts
        .filter_map(|event| Finding::deserialize(&event.detail).ok())
        .collect()
}
