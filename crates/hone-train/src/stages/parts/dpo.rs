//! Direct preference between the best and the worst rollout of a group.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stages::error::check;
use crate::stages::terms::Slope;
use crate::stages::{
    AggregationMode, Batch, KlEstimator, Method, Need, Part, PartType, RowStage, StageError, Term, groups,
};

/// DPO (Rafailov et al. 2023, arXiv 2305.18290): of each group the rollout of the largest and the one of the smallest reward (the first of equal
/// ones) make a pair, and the loss is the mean over pairs of -log sigma(z), z = `beta` ((L_w - L_w,ref) - (L_l - L_l,ref)), L the sum of log-probs
/// over a rollout's sampled tokens. The slope of a token's log-prob is -beta sigma(-z) / pairs where it was chosen, + where it was rejected. It takes
/// the place of the policy term; all other rollouts are dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpo {
    /// beta.
    pub beta: f64,
}

impl Default for Dpo {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

#[derive(Default)]
struct Pair {
    /// z / beta.
    margin: f64,
    /// Sampled tokens (row, token) with +1 where chosen and -1 where rejected.
    places: Vec<(usize, usize, f64)>,
}

impl PartType for Dpo {
    const NAME: &'static str = "dpo";
    const ABOUT: &'static str = "Direct preference between the best and the worst rollout of a group";
}

impl Part for Dpo {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.beta > 0.0 && self.beta.is_finite();
        check(ok, &format!("{at}.beta"), self.beta, "a number > 0")?;
        let sum = method.objective.aggregation.mode == AggregationMode::SeqMeanTokenSum;
        check(
            sum,
            "objective.aggregation.mode",
            "another",
            "seq_mean_token_sum with parts.dpo",
        )?;
        let alone = method.objective.kl.estimator == KlEstimator::None;
        check(
            alone,
            "objective.kl.estimator",
            "set",
            "none with parts.dpo, which has the reference inside",
        )
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Scores, Need::Reference]
    }

    fn rows(&self, stage: &mut RowStage<'_>) -> Result<Option<Value>, StageError> {
        let mut sides: BTreeMap<&str, f64> = BTreeMap::new();
        let mut pairs = 0;
        let learnt: BTreeSet<&str> = stage.rows.iter().map(|row| row.rollout.as_str()).collect();
        for members in groups(stage.rollouts).into_values() {
            let mut members: Vec<_> = members
                .iter()
                .map(|&i| &stage.rollouts[i])
                .filter(|it| learnt.contains(it.id.as_str()))
                .collect();
            members.sort_by(|a, b| b.reward.total_cmp(&a.reward));
            let Some((best, worst)) = members.first().zip(members.last()).filter(|(a, b)| a.reward > b.reward) else {
                continue;
            };
            let worst = members.iter().find(|it| it.reward == worst.reward).unwrap_or(worst);
            pairs += 1;
            sides.extend([(best.id.as_str(), 1.0), (worst.id.as_str(), -1.0)]);
        }
        let sides: BTreeMap<String, f64> = sides.into_iter().map(|(id, side)| (id.to_owned(), side)).collect();
        stage.retain(|_, row| {
            (!sides.contains_key(&row.rollout)).then(|| "neither the best nor the worst of its group".into())
        });
        for row in &mut stage.rows {
            let side = sides.get(&row.rollout).copied().unwrap_or_default();
            row.advantage = crate::stages::advantage::broadcast(&row.row, side);
        }
        Ok(Some(json!({ "pairs": pairs })))
    }

    fn changes_terms(&self) -> bool {
        true
    }

    fn terms(&self, batch: &Batch<'_>, terms: &mut [Vec<Term>]) -> Result<(), StageError> {
        let now = batch.now(Self::NAME)?;
        let mut pairs: BTreeMap<u64, Pair> = BTreeMap::new();
        let mut rows = BTreeSet::new();
        for (i, j) in batch.sampled().into_values().flatten() {
            let row = &batch.rows[i];
            let Some(reference) = &row.row.logp_ref else {
                return Err(StageError::NoReference {
                    rollout: row.rollout.clone(),
                    row: row.index,
                });
            };
            let side = row.advantage[j].signum();
            let pair = pairs.entry(row.group).or_default();
            pair.margin += side * (now.logp[i][j] - f64::from(reference[j]));
            pair.places.push((i, j, side));
            rows.insert(i);
        }
        // The aggregation is a mean over rows.
        let scale = rows.len() as f64 / pairs.len().max(1) as f64;
        for Pair { margin, places } in pairs.into_values() {
            let z = self.beta * margin;
            // -log sigma(z) and sigma(-z), both stable for large |z|.
            let loss = (-z.abs()).exp().ln_1p() + (-z).max(0.0);
            let slope = if z >= 0.0 {
                (-z).exp() / (1.0 + (-z).exp())
            } else {
                1.0 / (1.0 + z.exp())
            };
            let share = places.len() as f64;
            for (i, j, side) in places {
                terms[i][j].own = Some(Slope {
                    value: scale * loss / share,
                    dl: -scale * side * self.beta * slope,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{long, near};
    use super::*;
    use crate::stages::{BatchObjective, Rollout};

    fn method() -> Method {
        let over =
            json!({"parts": {"dpo": {"beta": 0.5}}, "objective": {"aggregation": {"mode": "seq_mean_token_sum"}}});
        Method::resolve("grpo", &over).unwrap()
    }

    #[test]
    fn loss_and_slope_are_those_of_the_formula() {
        let rollouts = [
            ("a", 0, 1.0, 2),
            ("b", 0, 0.5, 3),
            ("c", 0, 0.0, 1),
            ("d", 1, 0.0, 2),
            ("e", 1, 2.0, 2),
        ];
        let rollouts = rollouts.map(|(id, group, reward, tokens)| Rollout {
            id: id.into(),
            group,
            reward,
            ..long(tokens)
        });
        let mut prepared = method().prepare(rollouts.into()).unwrap();
        assert_eq!(prepared.reports.last().unwrap().dropped[0].id, "b#0");
        for row in &mut prepared.rows {
            row.row.logp_ref = Some(vec![-0.7; row.row.ids.len()]);
        }
        let mut now: Vec<Vec<f64>> = prepared.rows.iter().map(|row| vec![-0.4; row.row.ids.len()]).collect();
        now[0][1] = -0.9;
        now[2][2] = -0.1;
        let whole = |now: &[Vec<f64>]| -> (f64, Vec<Vec<f32>>) {
            let mut batch = BatchObjective::of(&prepared.channels, &method().parts, &prepared.rows, &[], 0).unwrap();
            assert!(batch.row(0, &now[0], &[]).is_err());
            batch.observe(now, &vec![Vec::new(); now.len()]).unwrap();
            let rows: Vec<_> = (0..now.len()).map(|i| batch.row(i, &now[i], &[]).unwrap()).collect();
            (
                rows.iter().map(|row| row.loss).sum(),
                rows.into_iter().map(|row| row.dlogp).collect(),
            )
        };
        let (loss, slopes) = whole(&now);
        // Rows are a (chosen), c (rejected), d (rejected), e (chosen). a: -.2 + .3; c: .3; d: .3 + .6; e: .3 + .3.
        let pair = |margin: f64| (1.0 + (-0.5 * margin).exp()).ln();
        near(loss, (pair(0.1 - 0.3) + pair(0.6 - 0.9)) / 2.0, 1e-7);
        for i in 0..now.len() {
            for j in 1..now[i].len() {
                let moved = |by: f64| {
                    let mut other = now.clone();
                    other[i][j] += by;
                    whole(&other).0
                };
                near(f64::from(slopes[i][j]), (moved(1e-5) - moved(-1e-5)) / 2e-5, 1e-6);
            }
        }
    }
}
