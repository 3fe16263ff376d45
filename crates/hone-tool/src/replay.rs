//! Results that come from a recording instead of a tool.

use hone_trace::{Approval, EndReason, Episode, Media, ToolCall, ToolFailure};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// What a call that the recording does not hold does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Fails as an infrastructure error: the replay has left the recorded path.
    #[default]
    Fail,
    /// Runs the tool. Sensible only for tools without state, since replayed calls did not act on it.
    Run,
}

/// The recorded results of an episode, each keyed by tool, canonical arguments and occurrence.
///
/// The `n`-th call of a tool with the same arguments gets the `n`-th recorded result, however other calls are interleaved.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    results: BTreeMap<(String, String), VecDeque<Recorded>>,
    pub(crate) missing: Missing,
}

/// What a tool answered.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub data: Value,
    pub shown: String,
    pub error: Option<ToolFailure>,
    pub media: Vec<Media>,
    pub terminal: bool,
    pub state_before: Option<String>,
    pub state_after: Option<String>,
}

impl Recording {
    /// The results of all calls that reached their tool in `episode`.
    pub fn of(episode: &Episode, missing: Missing) -> Self {
        let mut recording = Self {
            results: BTreeMap::new(),
            missing,
        };
        let last = episode.tool_calls.len();
        for (index, call) in episode.tool_calls.iter().enumerate() {
            if call.approval == Approval::Allowed {
                let terminal = index + 1 == last && episode.end == EndReason::Terminal;
                recording
                    .results
                    .entry(key(&call.tool, &call.arguments))
                    .or_default()
                    .push_back(Recorded::of(call, terminal));
            }
        }
        recording
    }

    /// The next recorded result of that call.
    pub(crate) fn take(&mut self, tool: &str, arguments: &Value) -> Option<Recorded> {
        self.results.get_mut(&key(tool, arguments))?.pop_front()
    }
}

impl Recorded {
    fn of(call: &ToolCall, terminal: bool) -> Self {
        Self {
            data: call.result.clone(),
            shown: call.shown.clone(),
            error: call.error.clone(),
            media: call.media.clone(),
            terminal,
            state_before: call.state_before.clone(),
            state_after: call.state_after.clone(),
        }
    }
}

fn key(tool: &str, arguments: &Value) -> (String, String) {
    (tool.to_owned(), arguments.to_string())
}
