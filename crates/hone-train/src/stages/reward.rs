//! A rollout's total reward from its named parts (stage `reward`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::error::check;
use super::{Fade, Rollout, StageError, StageReport};

/// The composition R = sum over terms of weight * schedule(step) * gate * part.
///
/// Without terms the rollout keeps the reward that it came with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reward {
    /// The terms.
    pub terms: Vec<Term>,
}

/// One term of a [`Reward`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// The part it reads: one that a scorer reported, one that a part of the method computes, or `reward`, the total that the rollout came with.
    pub part: String,
    /// Its weight.
    pub weight: f64,
    /// The term counts only where this part is greater than 0.
    #[serde(default)]
    pub gate: Option<String>,
    /// How its weight goes over the steps of the training; without, it stays.
    #[serde(default)]
    pub schedule: Option<Fade>,
}

impl Reward {
    /// Checks the settings.
    pub fn validate(&self) -> Result<(), StageError> {
        for (i, term) in self.terms.iter().enumerate() {
            let key = |name| format!("reward.terms[{i}].{name}");
            check(term.weight.is_finite(), &key("weight"), term.weight, "a finite number")?;
            check(
                !term.part.is_empty(),
                &key("part"),
                "empty",
                "the name of a reward part",
            )?;
            check(
                term.gate.as_deref() != Some(""),
                &key("gate"),
                "empty",
                "the name of a reward part, or no gate",
            )?;
            if let Some(fade) = &term.schedule {
                check(
                    fade.steps > 0,
                    &key("schedule.steps"),
                    fade.steps,
                    "a number of steps > 0",
                )?;
            }
            let twin = self.terms[..i]
                .iter()
                .any(|t| t.part == term.part && t.gate == term.gate);
            check(
                !twin,
                &key("part"),
                format!("{:?} again", term.part),
                "each part once per gate; add the weights instead",
            )?;
        }
        Ok(())
    }

    /// The total of one rollout at a step of the training, and what each term put in, in the order of the terms.
    pub fn total(&self, rollout: &Rollout, step: u64) -> Result<(f64, Vec<f64>), StageError> {
        let mut inputs = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let open = match &term.gate {
                Some(gate) => rollout.part(gate)? > 0.0,
                None => true,
            };
            let value = rollout.part(&term.part)?;
            let weight = term.schedule.map_or(term.weight, |fade| term.weight * fade.at(step));
            inputs.push(if open { weight * value } else { 0.0 });
        }
        let total = if self.terms.is_empty() {
            rollout.reward
        } else {
            inputs.iter().sum()
        };
        if total.is_finite() {
            Ok((total, inputs))
        } else {
            Err(StageError::NonFinite {
                rollout: rollout.id.clone(),
                place: None,
                what: "the reward",
            })
        }
    }

    /// Sets every rollout's total as of a step of the training.
    pub fn apply(&self, rollouts: &mut [Rollout], step: u64) -> Result<StageReport, StageError> {
        let mut totals = Map::new();
        for rollout in rollouts.iter_mut() {
            let (total, inputs) = self.total(rollout, step)?;
            rollout.reward = total;
            let terms: Vec<_> = self
                .terms
                .iter()
                .zip(inputs)
                .map(|(term, value)| json!({ "part": term.part, "value": value }))
                .collect();
            totals.insert(rollout.id.clone(), json!({ "total": total, "terms": terms }));
        }
        Ok(StageReport::new(
            "reward",
            rollouts.len(),
            Vec::new(),
            json!({ "rewards": totals }),
        ))
    }
}
