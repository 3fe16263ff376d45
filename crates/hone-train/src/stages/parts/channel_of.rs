//! A reward of its own channel: own statistics, own denominator, own weight in the loss.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stages::advantage::broadcast;
use crate::stages::error::check;
use crate::stages::{
    Advantage, Channel, Kl, Method, Objective, Part, PartType, RowStage, StageError, TrainRow, groups,
};

/// A decoupled channel (HDPO, arXiv 2604.08545): loss += `weight` L(A'), where A' comes from the reward part `part` alone. Only rollouts with a value
/// greater than 0 qualify; with `min` or more of them in a group A' = (r - mean) / (std + 1e-6) over these, and 0 for all others; with fewer it is 0
/// for all. The channel averages over the rows with A' other than 0, by the method's own clip and aggregation, without a KL or entropy term.
///
/// The paper's part is [`Economy`](super::Economy): 1 / (calls + 1) where the answer is right. Weight 0 is to leave the channel out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelOf {
    /// The reward part.
    pub part: String,
    /// Weight in the loss.
    pub weight: f64,
    /// Least number of qualifying rollouts of a group.
    #[serde(default = "two")]
    pub min: u32,
}

fn two() -> u32 {
    2
}

impl PartType for ChannelOf {
    const NAME: &'static str = "channel";
    const ABOUT: &'static str = "A reward with statistics, denominator and weight of its own (HDPO)";
}

impl Part for ChannelOf {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.weight > 0.0 && self.weight.is_finite();
        check(ok, &format!("{at}.weight"), self.weight, "a number > 0")?;
        check(self.min >= 2, &format!("{at}.min"), self.min, "2 or more")?;
        check(
            !self.part.is_empty(),
            &format!("{at}.part"),
            "empty",
            "the name of a reward part",
        )?;
        let all = !method.select.drop_equal;
        check(
            all,
            "select.drop_equal",
            "true",
            "false with parts.channel, which may tell apart what the total does not",
        )
    }

    fn reads(&self, value: &str) -> bool {
        self.part == value
    }

    fn rows(&self, stage: &mut RowStage<'_>) -> Result<Option<Value>, StageError> {
        let settings = Advantage::default();
        let mut advantages = vec![0.0; stage.rollouts.len()];
        let mut qualifying = 0;
        for members in groups(stage.rollouts).into_values() {
            let mut values = Vec::new();
            for &i in &members {
                let value = stage.rollouts[i].part(&self.part)?;
                if value > 0.0 {
                    values.push((i, value));
                }
            }
            qualifying += values.len();
            if values.len() >= self.min as usize {
                let stats = settings.stats(&values.iter().map(|(_, v)| (*v, 1.0)).collect::<Vec<_>>());
                values
                    .iter()
                    .for_each(|(i, value)| advantages[*i] = settings.of(*value, &stats));
            }
        }
        let number = stage.channel(Channel {
            name: self.part.clone(),
            weight: self.weight,
            objective: Objective {
                kl: Kl::default(),
                entropy: 0.0,
                ..stage.objective.clone()
            },
        });
        let places = stage.rollouts.iter().zip(&advantages);
        let own: BTreeMap<&str, f64> = places.map(|(it, a)| (it.id.as_str(), *a)).collect();
        let mut added: Vec<TrainRow> = Vec::new();
        for row in stage.rows.iter().filter(|row| row.channel == 0) {
            let advantage = own.get(row.rollout.as_str()).copied().unwrap_or_default();
            if advantage != 0.0 {
                added.push(TrainRow {
                    advantage: broadcast(&row.row, advantage),
                    channel: number,
                    ..row.clone()
                });
            }
        }
        let values = json!({ "channel": self.part, "qualifying": qualifying });
        stage.rows.extend(added);
        Ok(Some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, long, near};
    use super::*;
    use crate::stages::{BatchObjective, Rollout};

    fn settings() -> Value {
        json!({"parts": {"economy": {"correct": "answer"}, "channel": {"part": "economy", "weight": 0.15}},
            "reward": {"terms": [{"part": "answer", "weight": 0.9}, {"part": "format", "weight": 0.1}]}, "select": {"drop_equal": false}})
    }

    fn group(each: &[(f64, usize)]) -> Vec<Rollout> {
        let one = |(i, (answer, calls)): (usize, &(f64, usize))| Rollout {
            id: format!("{i}"),
            parts: [("answer".to_owned(), *answer), ("format".to_owned(), 1.0)].into(),
            calls: called(*calls, 0).calls,
            ..long(2)
        };
        each.iter().enumerate().map(one).collect()
    }

    #[test]
    fn golden_channels_of_hdpo() {
        let method = Method::resolve("grpo", &settings()).unwrap();
        let prepared = method
            .prepare(group(&[(1.0, 0), (1.0, 1), (1.0, 1), (0.0, 2)]))
            .unwrap();
        let first = |channel| -> Vec<f64> {
            let rows = prepared.rows.iter().filter(|row| row.channel == channel);
            rows.map(|row| row.advantage[1]).collect()
        };
        for (got, want) in first(0).into_iter().zip([0.5, 0.5, 0.5, -1.5]) {
            near(got, want, 5e-5);
        }
        assert_eq!(first(1).len(), 3);
        for (got, want) in first(1).into_iter().zip([1.1547, -0.5773, -0.5773]) {
            near(got, want, 5e-5);
        }
        // The channel averages over its own six tokens.
        let batch = BatchObjective::of(&prepared.channels, &method.parts, &prepared.rows, &[], 0).unwrap();
        near(batch.weight(0, 1), 1.0 / 8.0, 1e-12);
        near(batch.weight(4, 1), 0.15 / 6.0, 1e-12);
    }

    /// `reward` is what a rollout came with, also once another reward is composed.
    #[test]
    fn the_total_that_it_came_with_is_kept() {
        let settings = json!({"parts": {"channel": {"part": "reward", "weight": 1}},
            "reward": {"terms": [{"part": "format", "weight": -1}]}, "select": {"drop_equal": false}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let mut rollouts = group(&[(1.0, 0), (1.0, 1), (0.0, 2)]);
        for (rollout, reward) in rollouts.iter_mut().zip([2.0, 1.0, 0.0]) {
            rollout.reward = reward;
        }
        let rows = method.prepare(rollouts).unwrap().rows;
        let own: Vec<&str> = rows
            .iter()
            .filter(|row| row.channel == 1)
            .map(|row| &*row.rollout)
            .collect();
        assert_eq!(own, ["0", "1"]);
        assert!(rows.iter().all(|row| row.channel == 1 || row.advantage[1] == 0.0));
    }

    #[test]
    fn no_pressure_before_competence() {
        let method = Method::resolve("grpo", &settings()).unwrap();
        for each in [[(1.0, 2), (0.0, 0), (0.0, 1)], [(1.0, 1), (1.0, 1), (1.0, 1)]] {
            let prepared = method.prepare(group(&each)).unwrap();
            assert!(prepared.rows.iter().all(|row| row.channel == 0));
        }
    }
}
