//! What a judge is asked about an episode, and what it found.

use hone_model::Model;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Something about a finished episode that only a judge can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is judged, such as the conversation.
    pub subject: String,
    /// What must hold of it.
    pub statement: String,
    /// The judges who are asked, by the name that the taskset gives them ([`Judges`]); none: whoever judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judges: Option<String>,
}

/// Judges that a taskset itself names; those that the caller names go before them.
#[derive(Clone)]
pub struct Judges {
    /// Name, as in [`Question::judges`].
    pub name: String,
    /// The models: an odd number.
    pub models: Vec<Arc<dyn Model>>,
    /// Bound on one answer.
    pub timeout: Duration,
}

/// The kind of the [`hone_trace::Event`] that holds a [`Finding`].
pub const VERDICT: &str = "verdict";

/// What a judge, or a panel by majority, found; the detail of an event [`VERDICT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was asked.
    pub statement: String,
    /// What was judged: with the statement, it is the whole of what a judge was told of the episode.
    #[serde(default)]
    pub subject: String,
    /// See [`Question::judges`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judges: Option<String>,
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
