//! A method: the settings of all stages, as data, and what it makes of rollouts.

use std::collections::{BTreeMap, BTreeSet};

use hone_trace::EndReason;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::part::{Context, LaterStage, Memory, RowStage, Verdict};
use super::presets::presets;
use super::{
    Advantage, Channel, Dropped, KlEstimator, Need, Objective, Parts, Prepared, Registry, Reward, Rollout, Select,
    StageError, StageReport, TokenAdvantages, TrainRow,
};

/// The settings of all stages. The default is `grpo`.
///
/// The four tables are what every method has; `parts` holds what only some have, by name (see [`Registry`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Method {
    /// Which rollouts count.
    pub select: Select,
    /// Their total reward.
    pub reward: Reward,
    /// Their tokens' advantages.
    pub advantage: Advantage,
    /// The loss.
    pub objective: Objective,
    /// Everything else.
    pub parts: Parts,
}

impl Method {
    /// The preset `name` with `overrides` laid over it: a JSON object of the shape of [`Method`], any part of it. Of `parts`, `{}` or some settings
    /// add one or change it, and `false` takes it away.
    ///
    /// Errors name the key by its full path. The result is validated.
    pub fn resolve(name: &str, overrides: &Value) -> Result<Self, StageError> {
        Self::resolve_in(&Registry::standard(), name, overrides)
    }

    /// As [`resolve`](Self::resolve), with parts of another register.
    pub fn resolve_in(registry: &Registry, name: &str, overrides: &Value) -> Result<Self, StageError> {
        let unknown = || StageError::UnknownMethod {
            name: name.into(),
            known: presets()
                .iter()
                .map(|it| it.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        };
        let preset = presets().iter().find(|it| it.name == name).ok_or_else(unknown)?;
        let settled = preset.method.clone().lay_over(registry, overrides)?;
        settled.validate()?;
        Ok(settled)
    }

    /// The method with `overrides` laid over it. Not validated.
    pub(super) fn lay_over(mut self, registry: &Registry, overrides: &Value) -> Result<Self, StageError> {
        let mut tables = overrides.clone();
        let parts = tables.as_object_mut().and_then(|table| table.remove("parts"));
        let mut leaves = Vec::new();
        let tree = serde_json::to_value(&self).expect("settings are plain data");
        collect(&tree, &tables, &mut Vec::new(), &mut leaves)?;
        let parts = match parts {
            Some(over) => registry.lay_over(&self.parts, &over)?,
            None => self.parts.clone(),
        };
        // Parts of another register cannot be read back.
        self.parts = Parts::default();
        for (path, value) in leaves {
            let mut tree = serde_json::to_value(&self).expect("settings are plain data");
            let mut slot = &mut tree;
            for key in &path {
                slot = &mut slot[key.as_str()];
            }
            *slot = value.clone();
            self = serde_json::from_value(tree).map_err(|error| StageError::Value {
                key: path.join("."),
                got: value.to_string(),
                why: error.to_string(),
            })?;
        }
        self.parts = parts;
        Ok(self)
    }

    /// Checks every setting.
    pub fn validate(&self) -> Result<(), StageError> {
        self.select.validate()?;
        self.reward.validate()?;
        self.advantage.validate()?;
        self.objective.validate()?;
        for (name, part) in self.parts.named() {
            let at = format!("parts.{name}");
            part.validate(self, &at)?;
            let read = |other: &str| {
                self.reward
                    .terms
                    .iter()
                    .any(|term| term.part == other || term.gate.as_deref() == Some(other))
            };
            if part.gives_value() && !read(name) && !self.parts.named().any(|(_, it)| it.reads(name)) {
                return Err(StageError::Setting {
                    key: at,
                    got: "read by nobody".into(),
                    allowed: format!("a part that `reward.terms` names, such as {{ part = \"{name}\", weight = 1 }}"),
                });
            }
        }
        Ok(())
    }

    /// Whether rows must be scored by the reference model before their loss.
    pub fn needs_reference(&self) -> bool {
        self.objective.kl.estimator != KlEstimator::None || self.parts.need(Need::Reference)
    }

    /// Whether rollouts must be scored by the reference model before [`prepare`](Self::prepare).
    pub fn needs_reference_first(&self) -> bool {
        self.parts.need(Need::ReferenceFirst)
    }

    /// Whether a task's rollouts so far, by their rewards in order, are all that the method asks for; `None` if it asks for no
    /// certain ones.
    pub fn enough(&self, rewards: &[f64]) -> Option<bool> {
        let said = self.parts.iter().filter_map(|part| part.enough(rewards));
        said.reduce(|a, b| a && b)
    }

    /// Sets every rollout's computed parts and total reward (stage `reward`).
    pub fn value(&self, rollouts: &mut [Rollout], step: u64) -> Result<StageReport, StageError> {
        for (name, part) in self.parts.named().filter(|(_, part)| part.gives_value()) {
            for rollout in rollouts.iter_mut() {
                let value = part.value(rollout)?;
                rollout.parts.insert(name.into(), value);
            }
        }
        let came_with: Vec<f64> = rollouts.iter().map(|rollout| rollout.reward).collect();
        let report = self.reward.apply(rollouts, step)?;
        if !self.reward.terms.is_empty() {
            // Parts that ask for `reward` later mean what the rollout came with, not what was composed.
            for (rollout, reward) in rollouts.iter_mut().zip(came_with) {
                rollout.parts.entry("reward".into()).or_insert(reward);
            }
        }
        Ok(report)
    }

    /// Everything up to the objective at step 0; see [`prepare_at`](Self::prepare_at).
    pub fn prepare(&self, rollouts: Vec<Rollout>) -> Result<Prepared, StageError> {
        self.prepare_at(0, rollouts)
    }

    /// Everything up to the objective: which rollouts count, what they are worth, and their rows with an advantage per token.
    ///
    /// `step` is that of the training, for what is scheduled. Ids must be unique. Nothing is dropped without an entry in a report.
    pub fn prepare_at(&self, step: u64, rollouts: Vec<Rollout>) -> Result<Prepared, StageError> {
        self.prepare_with(step, rollouts, &mut Memory::default())
    }

    /// The same in a training, whose earlier steps left `memory`.
    pub fn prepare_with(&self, step: u64, rollouts: Vec<Rollout>, memory: &mut Memory) -> Result<Prepared, StageError> {
        self.validate()?;
        let mut ids = BTreeSet::new();
        for rollout in &rollouts {
            if !ids.insert(rollout.id.as_str()) {
                return Err(StageError::DuplicateId { id: rollout.id.clone() });
            }
            rollout
                .rows
                .iter()
                .zip(0..)
                .try_for_each(|(row, index)| row.check(&rollout.id, index))?;
        }
        let context = Context {
            advantage: &self.advantage,
            step,
        };
        let mut reports = Vec::new();
        let (mut rollouts, select) = self.select.valid(rollouts);
        reports.push(select);
        let mut aside = Vec::new();
        for (name, part) in self.parts.named() {
            let mut dropped = Vec::new();
            let mut kept = Vec::new();
            for rollout in rollouts {
                match part.aside(&rollout) {
                    None => kept.push(rollout),
                    Some(reason) => {
                        dropped.push(Dropped {
                            id: rollout.id.clone(),
                            reason,
                        });
                        aside.push(rollout);
                    }
                }
            }
            rollouts = kept;
            if !dropped.is_empty() {
                reports.push(StageReport::of("select", name, rollouts.len(), dropped, json!({})));
            }
        }
        self.value(&mut aside, step)?;
        reports.push(self.value(&mut rollouts, step)?);
        let keeps = self.parts.iter().any(|part| part.keeps());
        let all = if keeps { rollouts.clone() } else { Vec::new() };
        let filtered = self.select.filter(rollouts);
        let mut rollouts = filtered.rollouts;
        reports.push(filtered.report);
        let mut masked: BTreeMap<String, String> = BTreeMap::new();
        for (name, part) in self.parts.named() {
            let Some(verdicts) = part.filter(&rollouts, &context)? else {
                continue;
            };
            let mut dropped = Vec::new();
            let mut masks = 0;
            rollouts = rollouts
                .into_iter()
                .zip(verdicts)
                .filter_map(|(rollout, verdict)| match verdict {
                    Verdict::Keep => Some(rollout),
                    Verdict::Mask(reason) => {
                        masks += 1;
                        masked.entry(rollout.id.clone()).or_insert(reason);
                        Some(rollout)
                    }
                    Verdict::Drop(reason) => {
                        dropped.push(Dropped { id: rollout.id, reason });
                        None
                    }
                })
                .collect();
            let values = json!({ "masked": masks });
            reports.push(StageReport::of("filter", name, rollouts.len(), dropped, values));
        }
        let (mut advantages, advantage) = self.advantage.assign(&rollouts);
        reports.push(advantage);
        for (name, part) in self.parts.named() {
            if let Some(values) = part.advantage(&mut rollouts, &mut advantages, &context)? {
                reports.push(StageReport::of("advantage", name, rollouts.len(), Vec::new(), values));
            }
        }
        let (rows, report) = rows(&rollouts, advantages, &self.select.mask_out, &masked);
        reports.push(report);
        let mut stage = RowStage {
            rollouts: &rollouts,
            aside: &aside,
            objective: &self.objective,
            rows,
            channels: vec![Channel::main(self.objective.clone())],
            dropped: Vec::new(),
        };
        for (name, part) in self.parts.named() {
            let before = stage.rows.len();
            if let Some(mut values) = part.rows(&mut stage)? {
                let dropped = std::mem::take(&mut stage.dropped);
                values["added"] = json!(stage.rows.len() + dropped.len() - before);
                reports.push(StageReport::of("rows", name, stage.rows.len(), dropped, values));
            }
        }
        let RowStage { rows, channels, .. } = stage;
        let mut later = Vec::new();
        for (name, part) in self.parts.named().filter(|(_, part)| part.keeps()) {
            let stage = LaterStage {
                step,
                all: &all,
                rollouts: &rollouts,
                rows: &rows,
                objective: &self.objective,
            };
            let held = memory.0.entry(name.into()).or_default();
            let it = part.later(held, &stage)?;
            reports.push(StageReport::of(
                "later",
                name,
                it.rows.len(),
                Vec::new(),
                it.values.clone(),
            ));
            if !it.rows.is_empty() {
                later.push(it);
            }
        }
        Ok(Prepared {
            rows,
            channels,
            later,
            reports,
            zero_variance_share: filtered.zero_variance_share,
            step,
        })
    }
}

/// The values of `over` that are not objects in `base`, with their paths.
fn collect<'a>(
    base: &Value,
    over: &'a Value,
    path: &mut Vec<String>,
    leaves: &mut Vec<(Vec<String>, &'a Value)>,
) -> Result<(), StageError> {
    let Value::Object(base) = base else {
        leaves.push((path.clone(), over));
        return Ok(());
    };
    let Value::Object(over) = over else {
        let key = if path.is_empty() {
            "method".into()
        } else {
            path.join(".")
        };
        return Err(StageError::Value {
            key,
            got: over.to_string(),
            why: "it is a table of settings".into(),
        });
    };
    for (key, value) in over {
        path.push(key.clone());
        let Some(below) = base.get(key) else {
            let allowed = base.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(StageError::UnknownKey {
                key: path.join("."),
                allowed,
            });
        };
        collect(below, value, path, leaves)?;
        path.pop();
    }
    Ok(())
}

/// The rows that have something to learn from (stage `rows`).
fn rows(
    rollouts: &[Rollout],
    advantages: TokenAdvantages,
    mask_out: &[EndReason],
    masked: &BTreeMap<String, String>,
) -> (Vec<TrainRow>, StageReport) {
    let mut kept = Vec::new();
    let mut dropped = Vec::new();
    let mut breaks = Vec::new();
    for (rollout, advantages) in rollouts.iter().zip(advantages) {
        let why = if mask_out.contains(&rollout.end) {
            let end = serde_json::to_value(rollout.end).expect("a name");
            Some(format!("the rollout ended by {}", end.as_str().unwrap_or_default()))
        } else {
            masked.get(&rollout.id).cloned()
        };
        breaks.extend(
            rollout
                .breaks
                .iter()
                .map(|it| json!({ "rollout": rollout.id, "break": it })),
        );
        for ((row, advantage), index) in rollout.rows.iter().zip(advantages).zip(0..) {
            let reason = if let Some(why) = &why {
                format!("masked out: {why}")
            } else if row.sampled() == 0 {
                "no token that the policy sampled".into()
            } else {
                kept.push(TrainRow {
                    rollout: rollout.id.clone(),
                    group: rollout.group,
                    index,
                    row: row.clone(),
                    advantage,
                    channel: 0,
                });
                continue;
            };
            dropped.push(Dropped {
                id: format!("{}#{index}", rollout.id),
                reason,
            });
        }
    }
    let tokens: usize = kept.iter().map(|row| row.row.ids.len()).sum();
    let sampled: usize = kept.iter().map(|row| row.row.sampled()).sum();
    let values = json!({ "tokens": tokens, "sampled_tokens": sampled, "breaks": breaks });
    let report = StageReport::new("rows", kept.len(), dropped, values);
    (kept, report)
}
