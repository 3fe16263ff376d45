//! A method: the settings of all stages, as data, and the presets.

use std::collections::BTreeSet;

use hone_trace::EndReason;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Advantage, Aggregation, AggregationMode, Baseline, Clip, Credit, Dropped, Objective, Reward, Rollout, Row, Scale,
    Select, Singleton, StageError, StageReport, Surrogate,
};

/// The settings of all stages. The default is `grpo`.
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
}

/// Names of the presets.
pub const METHODS: [&str; 6] = [
    "grpo",
    "dr_grpo",
    "grpo_clip_higher",
    "reinforce",
    "rloo",
    "prefix_tree",
];

/// The preset of that name.
///
/// | name | advantage | policy term | aggregation | source |
/// | --- | --- | --- | --- | --- |
/// | `grpo` | (R - mean) / (std + 1e-6), std with n - 1 | clip .2 | token mean | Shao et al. 2024, with DAPO's token mean |
/// | `dr_grpo` | R - mean | clip .2 | sum / 1024 | Liu et al. 2025 |
/// | `grpo_clip_higher` | as `grpo` | clip .2 below, .28 above | token mean | Yu et al. 2025 (DAPO) |
/// | `reinforce` | R - mean | -A l | mean over rows of the sum | Williams 1992, with the group's mean as baseline |
/// | `rloo` | R - mean of the others | -A l | mean over rows of the sum | Kool et al. 2019, Ahmadian et al. 2024 |
/// | `prefix_tree` | difference at each fork of the group's token tree, / (std + 1e-6) | clip .2 | token mean | ours; not GRPO |
///
/// All drop groups without variance, and none has a KL or entropy term. `reinforce` and `rloo` know no ratio: one update per batch.
pub fn method(name: &str) -> Option<Method> {
    let grpo = Method::default();
    let centred = Advantage {
        scale: Scale::None,
        ..Advantage::default()
    };
    let on_policy = Objective {
        surrogate: Surrogate::LogProb,
        clip: Clip::OFF,
        aggregation: Aggregation {
            mode: AggregationMode::SeqMeanTokenSum,
            ..Aggregation::default()
        },
        ..Objective::default()
    };
    Some(match name {
        "grpo" => grpo,
        "dr_grpo" => Method {
            advantage: centred,
            objective: Objective {
                aggregation: Aggregation {
                    mode: AggregationMode::SumOverPad,
                    pad: 1024,
                    ..Aggregation::default()
                },
                ..Objective::default()
            },
            ..grpo
        },
        "grpo_clip_higher" => Method {
            objective: Objective {
                clip: Clip {
                    high: 0.28,
                    ..Clip::default()
                },
                ..Objective::default()
            },
            ..grpo
        },
        "reinforce" => Method {
            advantage: centred,
            objective: on_policy,
            ..grpo
        },
        "rloo" => Method {
            advantage: Advantage {
                baseline: Baseline::LeaveOneOut,
                ..centred
            },
            objective: on_policy,
            ..grpo
        },
        "prefix_tree" => {
            let advantage = Advantage {
                credit: Credit::PrefixTree,
                singleton: Singleton::Zero,
                ..Advantage::default()
            };
            Method { advantage, ..grpo }
        }
        _ => return None,
    })
}

/// A row with an advantage per token, ready for the objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRow {
    /// Id of its rollout.
    pub rollout: String,
    /// Its number among the rollout's rows.
    pub index: u32,
    /// The tokens.
    pub row: Row,
    /// Advantage per token, aligned with the row's ids; 0 where not sampled.
    pub advantage: Vec<f64>,
}

impl TrainRow {
    /// Checks that all arrays fit and are finite.
    pub fn check(&self) -> Result<(), StageError> {
        self.row.check(&self.rollout, self.index)?;
        let (got, tokens) = (self.advantage.len(), self.row.ids.len());
        if got != tokens {
            return Err(StageError::Length {
                rollout: self.rollout.clone(),
                row: self.index,
                what: "advantages",
                got,
                tokens,
            });
        }
        match self.advantage.iter().position(|a| !a.is_finite()) {
            None => Ok(()),
            Some(token) => {
                let place = Some((self.index, token));
                Err(StageError::NonFinite {
                    rollout: self.rollout.clone(),
                    place,
                    what: "the advantage",
                })
            }
        }
    }
}

/// Rows ready for the objective, and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The rows. Log-probabilities of the trainer and of the reference model may still be filled in.
    pub rows: Vec<TrainRow>,
    /// One report per stage: `select`, `reward`, `filter`, `advantage`, `rows`.
    pub reports: Vec<StageReport>,
    /// Share of groups without variance, of those that the filter saw.
    pub zero_variance_share: f64,
}

impl Method {
    /// The preset `name` with `overrides` laid over it: a JSON object of the shape of [`Method`], any part of it.
    ///
    /// Errors name the key by its full path. The result is validated.
    pub fn resolve(name: &str, overrides: &Value) -> Result<Self, StageError> {
        let unknown = || StageError::UnknownMethod {
            name: name.into(),
            known: METHODS.join(", "),
        };
        let mut settled = method(name).ok_or_else(unknown)?;
        let mut leaves = Vec::new();
        let tree = serde_json::to_value(&settled).expect("settings are plain data");
        collect(&tree, overrides, &mut Vec::new(), &mut leaves)?;
        for (path, value) in leaves {
            let mut tree = serde_json::to_value(&settled).expect("settings are plain data");
            let mut slot = &mut tree;
            for key in &path {
                slot = &mut slot[key.as_str()];
            }
            *slot = value.clone();
            settled = serde_json::from_value(tree).map_err(|error| StageError::Value {
                key: path.join("."),
                got: value.to_string(),
                why: error.to_string(),
            })?;
        }
        settled.validate()?;
        Ok(settled)
    }

    /// Checks every setting.
    pub fn validate(&self) -> Result<(), StageError> {
        self.select.validate()?;
        self.reward.validate()?;
        self.advantage.validate()?;
        self.objective.validate()
    }

    /// Everything up to the objective: which rollouts count, what they are worth, and their rows with an advantage per token.
    ///
    /// Ids must be unique. Nothing is dropped without an entry in a report.
    pub fn prepare(&self, rollouts: Vec<Rollout>) -> Result<Prepared, StageError> {
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
        let (mut rollouts, select) = self.select.valid(rollouts);
        let reward = self.reward.apply(&mut rollouts)?;
        let filtered = self.select.filter(rollouts);
        let (advantages, advantage) = self.advantage.assign(&filtered.rollouts);
        let (rows, report) = rows(filtered.rollouts, advantages, &self.select.mask_out);
        Ok(Prepared {
            rows,
            reports: vec![select, reward, filtered.report, advantage, report],
            zero_variance_share: filtered.zero_variance_share,
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
    rollouts: Vec<Rollout>,
    advantages: Vec<Vec<Vec<f64>>>,
    mask_out: &[EndReason],
) -> (Vec<TrainRow>, StageReport) {
    let mut kept = Vec::new();
    let mut dropped = Vec::new();
    let mut breaks = Vec::new();
    for (rollout, advantages) in rollouts.into_iter().zip(advantages) {
        let masked = mask_out.contains(&rollout.end);
        breaks.extend(
            rollout
                .breaks
                .into_iter()
                .map(|it| json!({ "rollout": rollout.id, "break": it })),
        );
        for ((row, advantage), index) in rollout.rows.into_iter().zip(advantages).zip(0..) {
            let reason = if masked {
                let end = serde_json::to_value(rollout.end).expect("a name");
                format!("masked out: the rollout ended by {}", end.as_str().unwrap_or_default())
            } else if row.sampled() == 0 {
                "no token that the policy sampled".into()
            } else {
                kept.push(TrainRow {
                    rollout: rollout.id.clone(),
                    index,
                    row,
                    advantage,
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
