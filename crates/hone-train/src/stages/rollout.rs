//! What the stages take: rollouts with their reward parts and token rows.

use std::collections::BTreeMap;

use hone_trace::{CONFIDENCE, EndReason, Episode, ModelCall, Outcome, TokenId, Turn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StageError;

/// Whether a rollout may enter a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It counts.
    Ok,
    /// It counts, as the policy's own failure.
    PolicyFailed,
    /// It does not count: something other than the policy failed.
    InfraFailed,
}

/// A contiguous token sequence, as the policy saw it: prompt, answers, observations.
///
/// All arrays are aligned with `ids`. Where `mask[j]`, the policy sampled `ids[j]` given `ids[..j]`, and the log-probabilities
/// at `j` are those of `ids[j]`; elsewhere they are not read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Token ids.
    pub ids: Vec<TokenId>,
    /// Whether the policy sampled the token.
    pub mask: Vec<bool>,
    /// Log-probability under the distribution that was sampled from (nats).
    pub logp_sampler: Vec<f32>,
    /// Log-probability by the trainer before the update. `None`: the sampler's serve, which is exact where both agree.
    #[serde(default)]
    pub logp_old: Option<Vec<f32>>,
    /// Log-probability by the reference model; only a KL term needs it.
    #[serde(default)]
    pub logp_ref: Option<Vec<f32>>,
    /// Turn that each token belongs to; empty if unknown.
    #[serde(default)]
    pub turns: Vec<u32>,
}

impl Row {
    /// Log-probabilities before the update: the trainer's, or else the sampler's.
    pub fn old(&self) -> &[f32] {
        self.logp_old.as_deref().unwrap_or(&self.logp_sampler)
    }

    /// Number of tokens that the policy sampled.
    pub fn sampled(&self) -> usize {
        self.mask.iter().filter(|m| **m).count()
    }

    /// Checks that all arrays fit, and that the log-probabilities of sampled tokens are finite.
    pub fn check(&self, rollout: &str, row: u32) -> Result<(), StageError> {
        let tokens = self.ids.len();
        let length = |what, got| {
            if got == tokens {
                Ok(())
            } else {
                Err(StageError::Length {
                    rollout: rollout.into(),
                    row,
                    what,
                    got,
                    tokens,
                })
            }
        };
        length("mask", self.mask.len())?;
        if !self.turns.is_empty() {
            length("turns", self.turns.len())?;
        }
        let arrays = [
            ("logp_sampler", Some(&self.logp_sampler)),
            ("logp_old", self.logp_old.as_ref()),
            ("logp_ref", self.logp_ref.as_ref()),
        ];
        for (what, values) in arrays {
            let Some(values) = values else { continue };
            length(what, values.len())?;
            if let Some(token) = (0..tokens).find(|&j| self.mask[j] && !values[j].is_finite()) {
                return Err(StageError::NonFinite {
                    rollout: rollout.into(),
                    place: Some((row, token)),
                    what,
                });
            }
        }
        Ok(())
    }
}

/// Where a rollout leaves the one that it was forked from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// Id of the rollout that it was forked from.
    pub rollout: String,
    /// How many tokens it shares with that one, counted over its rows in order: the first that is its own.
    pub token: usize,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool; empty if the call could not be read.
    pub tool: String,
    /// Whether it succeeded.
    pub ok: bool,
}

/// A condition of a step's checklist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Name, unique within the group's task.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Whether the step satisfied it.
    pub ok: bool,
    /// Names of the conditions that have to hold first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// One turn of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentStep {
    /// Its number, as in [`Row::turns`].
    pub turn: u32,
    /// Reward of the step itself.
    #[serde(default)]
    pub reward: f64,
    /// What the agent saw before it, as a key: equal keys are the same state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// Whether the action was a valid one.
    #[serde(default = "AgentStep::valid")]
    pub valid: bool,
    /// Conditions that were looked at after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

impl AgentStep {
    fn valid() -> bool {
        true
    }
}

/// One rollout of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Unique among the rollouts of a step.
    pub id: String,
    /// Rollouts of the same task share it.
    pub group: u64,
    /// Named reward parts.
    #[serde(default)]
    pub parts: BTreeMap<String, f64>,
    /// Total reward, before and after the reward stage. Not read where the validity is `infra_failed`.
    #[serde(default)]
    pub reward: f64,
    /// Whether it counts.
    #[serde(default = "Rollout::valid")]
    pub validity: Validity,
    /// Why it ended.
    #[serde(default = "Rollout::answered")]
    pub end: EndReason,
    /// Number of the agent's turns.
    #[serde(default)]
    pub turns: u32,
    /// Its token rows, in order: one per rollout, or one per stretch that could not be joined.
    pub rows: Vec<Row>,
    /// Why there is more than one row, and what is in none: `{"call", "reason", …}` as [`hone_trace::Break`] is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<Value>,
    /// Where it was forked; `None` for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Fork>,
    /// Which of the paired prompts it answers, such as `no_tools`; `None` for the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Its tool calls, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// Number of final answers in its text (answer tags); `None` if nobody counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<u32>,
    /// The agent's turns, where more is known of them than their tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<AgentStep>,
    /// Number of the user's turns that the task's dialogue has, those included that the rollout did not reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialogue_turns: Option<u32>,
}

impl Default for Rollout {
    /// An answered rollout without rows.
    fn default() -> Self {
        Self {
            id: String::new(),
            group: 0,
            parts: BTreeMap::new(),
            reward: 0.0,
            validity: Validity::Ok,
            end: EndReason::Answered,
            turns: 0,
            rows: Vec::new(),
            breaks: Vec::new(),
            parent: None,
            variant: None,
            calls: Vec::new(),
            answers: None,
            steps: Vec::new(),
            dialogue_turns: None,
        }
    }
}

impl Rollout {
    fn valid() -> Validity {
        Validity::Ok
    }

    fn answered() -> EndReason {
        EndReason::Answered
    }

    /// The rollout that an episode recorded, with its training rows.
    ///
    /// A scorer's total becomes the part `scorer`, each of its parts `scorer.part`. An episode without a reward gets 0. Where the
    /// agent was asked how sure it is, the part `confidence` is its answer, -1 where that is none.
    pub fn new(episode: &Episode, rows: Vec<Row>) -> Self {
        let mut parts = BTreeMap::new();
        for score in &episode.scores {
            parts.insert(score.scorer.clone(), score.value);
            parts.extend(
                score
                    .parts
                    .iter()
                    .map(|part| (format!("{}.{}", score.scorer, part.name), part.value)),
            );
        }
        if episode.wants_confidence() {
            parts.insert(CONFIDENCE.to_owned(), episode.confidence().unwrap_or(-1.0));
        }
        Self {
            id: episode.id.clone(),
            group: episode.group,
            parts,
            reward: episode.reward.unwrap_or(0.0),
            validity: match episode.outcome {
                Outcome::Ok => Validity::Ok,
                Outcome::PolicyFailed => Validity::PolicyFailed,
                Outcome::InfraFailed { .. } => Validity::InfraFailed,
            },
            end: episode.end,
            turns: episode
                .turns
                .iter()
                .filter(|turn| match turn {
                    Turn::Agent { model_call } => {
                        let call = episode.model_calls.get(*model_call as usize);
                        call.is_none_or(ModelCall::by_policy)
                    }
                    _ => false,
                })
                .count() as u32,
            rows,
            calls: episode
                .tool_calls
                .iter()
                .map(|call| Call {
                    tool: call.tool.clone(),
                    ok: call.error.is_none() && call.approval.passed(),
                })
                .collect(),
            ..Self::default()
        }
    }

    /// Number of tokens that the policy sampled.
    pub fn sampled(&self) -> usize {
        self.rows.iter().map(Row::sampled).sum()
    }

    /// Number of calls that failed.
    pub fn failed_calls(&self) -> usize {
        self.calls.iter().filter(|call| !call.ok).count()
    }

    /// The reward part of that name; `reward` is the total it came with, if no part is called so. (The reward stage keeps that
    /// total as a part before it composes another one.)
    ///
    /// # Errors
    /// When there is none.
    pub fn part(&self, name: &str) -> Result<f64, StageError> {
        match self.parts.get(name) {
            Some(value) => Ok(*value),
            None if name == "reward" => Ok(self.reward),
            None => Err(StageError::MissingPart {
                id: self.id.clone(),
                part: name.into(),
                have: self.parts.keys().cloned().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

/// Positions of the rollouts of each group, by group number.
pub fn groups(rollouts: &[Rollout]) -> BTreeMap<u64, Vec<usize>> {
    let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (i, rollout) in rollouts.iter().enumerate() {
        groups.entry(rollout.group).or_default().push(i);
    }
    groups
}
