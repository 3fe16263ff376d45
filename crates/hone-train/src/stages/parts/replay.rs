//! P1: what went well is learnt again later.

use std::collections::VecDeque;

use hone_trace::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::std_unbiased;
use crate::stages::advantage::broadcast;
use crate::stages::error::check;
use crate::stages::{
    Channel, Credit, Fade, Kl, Later, LaterStage, Method, Objective, Part, PartType, StageError, Surrogate, TrainRow,
    Way, groups,
};

/// P1, self-imitation (SPEAR, arXiv 2509.22601). Each step, in this order:
///
/// 1. Stored rows older than `age` steps are forgotten.
/// 2. If more than `trigger` `size` stored rows have R > P50, the median of the last `history` groups' mean rewards: A = R - P50 (`scaled`: / (median of
///    the groups' deviations + 1e-6)), those with A > 0 stay, of these the largest power of two, at most `size`, is drawn at random and makes an
///    optimiser step of its own after the others, with the log-probs that were recorded at sampling as old ones, without KL and entropy terms, weighted
///    by gamma(step) = `weight` (1 - cos(pi min(s, S) / S)) / 2, S = `rise`. Then the store is emptied.
/// 3. The rows of this step with A > 0 of rollouts with a tool call are stored, and all its groups enter the history.
///
/// A row never enters its own step's replay. Under a `scaled` advantage the median deviation is 0 once half of the groups are settled; then nothing is
/// replayed (the source divides by 1e-6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// Most rows of a replay; 2048 in the source.
    pub size: u32,
    /// The store must hold more than this many times `size`.
    pub trigger: f64,
    /// Steps that a row is kept; at most 10.
    pub age: u32,
    /// Groups in the history.
    pub history: u32,
    /// Weight of the replayed loss once it has risen.
    pub weight: f64,
    /// Steps that it takes to rise.
    pub rise: u32,
    /// Whether the advantage is divided by the median deviation.
    pub scaled: bool,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            size: 2048,
            trigger: 1.5,
            age: 5,
            history: 10_240,
            weight: 1.0,
            rise: 300,
            scaled: false,
            seed: 0,
        }
    }
}

impl PartType for Replay {
    const NAME: &'static str = "replay";
    const ABOUT: &'static str = "P1: what went well is learnt again later (SPEAR)";
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Memory {
    rows: Vec<Stored>,
    /// Mean and deviation of each group, oldest first.
    groups: VecDeque<(f64, f64)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    step: u64,
    reward: f64,
    row: TrainRow,
}

/// P50 with linear interpolation; `None` of nothing.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    let (low, high) = (all.get(all.len().checked_sub(1)? / 2)?, all.get(all.len() / 2)?);
    Some((low + high) / 2.0)
}

/// The largest power of two that is at most `count` and `size`; 0 for fewer than two.
fn draw_size(count: usize, size: usize) -> usize {
    match count.min(size) {
        0 | 1 => 0,
        n => 1 << n.ilog2(),
    }
}

impl Replay {
    /// The rows to learn again, with their new advantages.
    fn recall(&self, memory: &Memory, step: u64) -> Vec<TrainRow> {
        let Some(p50) = median(memory.groups.iter().map(|(mean, _)| *mean)) else {
            return Vec::new();
        };
        let good: Vec<&Stored> = memory.rows.iter().filter(|it| it.reward > p50).collect();
        if good.len() as f64 <= self.trigger * f64::from(self.size) {
            return Vec::new();
        }
        let scale = match self
            .scaled
            .then(|| median(memory.groups.iter().map(|(_, std)| *std)))
            .flatten()
        {
            Some(std) if std > 0.0 => std + 1e-6,
            Some(_) => return Vec::new(),
            None => 1.0,
        };
        let stream = Stream::new(self.seed).named("replay").at(step);
        let mut order: Vec<usize> = (0..good.len()).collect();
        order.sort_by(|a, b| stream.uniform(*a as u64).total_cmp(&stream.uniform(*b as u64)));
        order.truncate(draw_size(good.len(), self.size as usize));
        let again = |n: usize| TrainRow {
            advantage: broadcast(&good[n].row.row, (good[n].reward - p50) / scale),
            channel: 0,
            ..good[n].row.clone()
        };
        order.into_iter().map(again).collect()
    }
}

impl Part for Replay {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        check(self.size >= 2, &format!("{at}.size"), self.size, "2 or more")?;
        let ok = self.trigger >= 0.0 && self.trigger.is_finite();
        check(ok, &format!("{at}.trigger"), self.trigger, "a number >= 0")?;
        check(
            (1..=10).contains(&self.age),
            &format!("{at}.age"),
            self.age,
            "1 to 10 steps",
        )?;
        check(
            self.history > 0,
            &format!("{at}.history"),
            self.history,
            "a number of groups > 0",
        )?;
        let ok = self.weight > 0.0 && self.weight.is_finite();
        check(ok, &format!("{at}.weight"), self.weight, "a number > 0")?;
        check(self.rise > 0, &format!("{at}.rise"), self.rise, "a number of steps > 0")?;
        let plain = method.advantage.credit == Credit::Rollout;
        check(plain, "advantage.credit", "prefix_tree", "rollout with parts.replay")?;
        let ratio = method.objective.surrogate != Surrogate::LogProb;
        let allowed = "one with a ratio with parts.replay: its rows are an earlier policy's";
        check(ratio, "objective.surrogate", "log_prob", allowed)?;
        let alone = !method.parts.has(super::Dpo::NAME);
        let allowed = "parts.dpo = false with parts.replay: pairs of earlier steps are no pairs";
        check(alone, "parts.dpo", "set", allowed)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn later(&self, memory: &mut Value, stage: &LaterStage<'_>) -> Result<Later, StageError> {
        let mut store: Memory = match std::mem::take(memory) {
            Value::Null => Memory::default(),
            held => serde_json::from_value(held).map_err(|error| StageError::Value {
                key: "the memory of parts.replay".into(),
                got: "damaged".into(),
                why: error.to_string(),
            })?,
        };
        let oldest = stage.step.saturating_sub(u64::from(self.age));
        store.rows.retain(|it| it.step >= oldest);
        let rows = self.recall(&store, stage.step);
        if !rows.is_empty() {
            store.rows.clear();
        }
        for row in stage.rows.iter().filter(|row| row.channel == 0) {
            let Some(rollout) = stage.rollouts.iter().find(|it| it.id == row.rollout) else {
                continue;
            };
            let rises = row.advantage.iter().zip(&row.row.mask).any(|(a, m)| *m && *a > 0.0);
            if rises && !rollout.calls.is_empty() {
                store.rows.push(Stored {
                    step: stage.step,
                    reward: rollout.reward,
                    row: row.clone(),
                });
            }
        }
        for members in groups(stage.all).into_values() {
            let rewards: Vec<f64> = members.iter().map(|&i| stage.all[i].reward).collect();
            let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
            store.groups.push_back((mean, std_unbiased(&rewards).unwrap_or(0.0)));
        }
        let excess = store.groups.len().saturating_sub(self.history as usize);
        store.groups.drain(..excess);
        let gamma = Fade {
            way: Way::Rise,
            steps: self.rise,
        };
        let later = Later {
            values: json!({ "replayed": rows.len(), "stored": store.rows.len(), "groups": store.groups.len() }),
            rows,
            channels: vec![Channel {
                name: "replay".into(),
                weight: self.weight * gamma.at(stage.step),
                objective: Objective {
                    kl: Kl::default(),
                    entropy: 0.0,
                    ..stage.objective.clone()
                },
            }],
        };
        *memory = serde_json::to_value(&store).map_err(|error| StageError::Value {
            key: "the memory of parts.replay".into(),
            got: "not writable".into(),
            why: error.to_string(),
        })?;
        Ok(later)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, long, near, row};
    use super::*;
    use crate::stages::{Memory as Memories, Rollout};

    fn stored(reward: f64) -> Stored {
        Stored {
            step: 0,
            reward,
            row: row("a", 0, &[0.0], &[-1.0]),
        }
    }

    #[test]
    fn golden_recalibration_of_spear() {
        let memory = Memory {
            rows: [1.0, 0.4, 0.5].map(stored).into(),
            groups: [0.2, 0.4, 0.5, 0.9].map(|mean| (mean, 0.0)).into(),
        };
        near(median(memory.groups.iter().map(|it| it.0)).unwrap(), 0.45, 1e-12);
        let part = Replay {
            size: 2,
            trigger: 0.5,
            ..Replay::default()
        };
        let mut rows = part.recall(&memory, 0);
        rows.sort_by(|a, b| b.advantage[0].total_cmp(&a.advantage[0]));
        assert_eq!(rows.len(), 2);
        near(rows[0].advantage[0], 0.55, 1e-12);
        near(rows[1].advantage[0], 0.05, 1e-12);
        // Two are not more than 1.5 times 2; a median deviation of 0 scales nothing.
        assert!(
            Replay {
                trigger: 1.5,
                ..part.clone()
            }
            .recall(&memory, 0)
            .is_empty()
        );
        assert!(
            Replay {
                scaled: true,
                ..part.clone()
            }
            .recall(&memory, 0)
            .is_empty()
        );
        assert_eq!(
            [(1500, 2048), (3000, 2048), (1, 2048), (0, 2048)].map(|(n, size)| draw_size(n, size)),
            [1024, 2048, 0, 0]
        );
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn pairs_are_not_replayed() {
        let error = Method::resolve("dpo", &json!({"parts": {"replay": {}}})).unwrap_err();
        assert!(error.to_string().contains("parts.dpo"), "{error}");
    }

    #[test]
    fn a_store_fills_replays_later_and_is_emptied() {
        let settings = json!({"parts": {"replay": {"size": 2, "trigger": 1, "rise": 2, "age": 2}}, "advantage": {"scale": "none"}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let mut memory = Memories::default();
        let mut play = |step: u64, rewards: &[f64]| {
            let rollouts = rewards.iter().enumerate().map(|(i, reward)| Rollout {
                id: format!("{step}/{i}"),
                reward: *reward,
                calls: called(usize::from(i != 1), 0).calls,
                ..long(2)
            });
            let prepared = method.prepare_with(step, rollouts.collect(), &mut memory).unwrap();
            let values = prepared.reports.last().unwrap().values.clone();
            let counts = ["replayed", "stored", "groups"].map(|key| values[key].as_u64().unwrap());
            (counts, prepared.later)
        };
        // Rollout 1 has no call, so it is not stored; 2 and 3 are not above the mean of .5.
        assert_eq!(play(0, &[1.0, 1.0, 0.0, 0.0]).0, [0, 1, 1]);
        // Groups without variance are history, too.
        assert_eq!(play(1, &[0.0, 0.0]).0, [0, 1, 2]);
        assert_eq!(play(2, &[1.0, 0.0, 1.0, 0.0]).0, [0, 3, 3]);
        // Step 0 is forgotten: two of R = 1 above the median of .5 are left, which is not more than the trigger.
        assert_eq!(play(3, &[1.0, 0.0, 0.0, 0.0]).0, [0, 3, 4]);
        let (counts, later) = play(4, &[1.0, 0.0]);
        assert_eq!(counts, [2, 1, 5]);
        // P50 of {.5, 0, .5, .25} is .375.
        let later = &later[0];
        assert_eq!(later.channels[0].weight, 1.0);
        assert!(later.rows.iter().all(|row| row.rollout.starts_with(['2', '3'])));
        later.rows.iter().for_each(|row| near(row.advantage[1], 0.625, 1e-12));
    }
}
