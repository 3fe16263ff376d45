//! What the stages take: rollouts with their reward parts and token rows.

use std::collections::BTreeMap;

use hone_trace::{EndReason, Episode, Outcome, TokenId, Turn};
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
    /// A scorer's total becomes the part `scorer`, each of its parts `scorer.part`. An episode without a reward gets 0.
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
                .filter(|turn| matches!(turn, Turn::Agent { .. }))
                .count() as u32,
            rows,
            breaks: Vec::new(),
        }
    }
}

/// Positions of the rollouts of each group, by group number.
pub(super) fn groups(rollouts: &[Rollout]) -> BTreeMap<u64, Vec<usize>> {
    let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (i, rollout) in rollouts.iter().enumerate() {
        groups.entry(rollout.group).or_default().push(i);
    }
    groups
}
