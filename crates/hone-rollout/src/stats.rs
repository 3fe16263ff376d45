//! Counts over episodes.

use hone_trace::{Episode, Outcome, ToolErrorClass};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a set of episodes adds up to.
///
/// Rates and means are over the episodes that count; `infra_failed`, `sampled_tokens` and `ends` cover all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Successes.
    pub ok: u64,
    /// The policy's failures.
    pub policy_failed: u64,
    /// Failures that do not count.
    pub infra_failed: u64,
    /// Agent turns.
    pub turns: u64,
    /// Tool calls, malformed ones included.
    pub calls: u64,
    /// Tool calls that named a tool and fit its schema, whatever the tool then said.
    pub valid_calls: u64,
    /// Tokens that the policy sampled.
    pub sampled_tokens: u64,
    /// Episodes by how they ended, by the reason's name in the record.
    pub ends: BTreeMap<String, u64>,
}

impl Stats {
    /// The counts of `episodes`.
    pub fn of<'a>(episodes: impl IntoIterator<Item = &'a Episode>) -> Self {
        let mut stats = Self::default();
        for episode in episodes {
            stats.add(episode);
        }
        stats
    }

    /// Count one more episode.
    pub fn add(&mut self, episode: &Episode) {
        self.sampled_tokens += episode.sampled_tokens();
        if let Ok(serde_json::Value::String(end)) = serde_json::to_value(episode.end) {
            *self.ends.entry(end).or_default() += 1;
        }
        match episode.outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::PolicyFailed => self.policy_failed += 1,
            Outcome::InfraFailed { .. } => {
                self.infra_failed += 1;
                return;
            }
        }
        // Model calls of a simulated user or a judge, and the user's tool calls, are not the policy's.
        let theirs = |role: &str| matches!(role, "user" | "judge");
        self.turns += episode.model_calls.iter().filter(|call| !theirs(&call.role)).count() as u64;
        let calls: Vec<_> = episode
            .tool_calls
            .iter()
            .filter(|call| !theirs(episode.caller(call)))
            .collect();
        self.calls += calls.len() as u64;
        use ToolErrorClass::{InvalidArguments, Malformed, UnknownTool};
        let invalid = |class| matches!(class, Malformed | UnknownTool | InvalidArguments);
        let valid = calls
            .iter()
            .filter(|c| !c.error.as_ref().is_some_and(|e| invalid(e.class)));
        self.valid_calls += valid.count() as u64;
    }

    /// Episodes that count.
    pub fn counted(&self) -> u64 {
        self.ok + self.policy_failed
    }

    /// Share of successes; `None` without an episode that counts.
    pub fn success(&self) -> Option<f64> {
        share(self.ok, self.counted())
    }

    /// Share of tool calls that were valid; `None` without a call.
    pub fn valid_call_rate(&self) -> Option<f64> {
        share(self.valid_calls, self.calls)
    }

    /// Agent turns per episode; `None` without an episode that counts.
    pub fn mean_turns(&self) -> Option<f64> {
        share(self.turns, self.counted())
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
