//! A second normalisation, over the whole batch.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Anchor, StepCredit, Tree, TurnCredit};
use crate::stages::error::check;
use crate::stages::{Context, Credit, Method, Part, PartType, Rollout, StageError, TokenAdvantages};

/// A2_i = (A1_i - mean_B) / (std_B + `eps`), mean and population deviation over all rollouts of the step (BN-GSPO, SenseNova-MARS, arXiv 2512.24330,
/// there of a mini-batch: the same with one update per step). Where all are 0, they stay 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchNorm {
    /// Added to the deviation.
    pub eps: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { eps: 1e-9 }
    }
}

impl PartType for BatchNorm {
    const NAME: &'static str = "batch_norm";
    const ABOUT: &'static str = "A second normalisation of advantages, over the whole batch (BN-GSPO)";
}

impl Part for BatchNorm {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.eps > 0.0 && self.eps <= 1.0;
        check(ok, &format!("{at}.eps"), self.eps, "a number in (0, 1]")?;
        let plain = method.advantage.credit == Credit::Rollout;
        check(
            plain,
            "advantage.credit",
            "prefix_tree",
            "rollout with parts.batch_norm",
        )?;
        // It takes a rollout's advantage to be one number.
        for name in [TurnCredit::NAME, StepCredit::NAME, Anchor::NAME, Tree::NAME] {
            let allowed = format!("parts.{name} = false with parts.batch_norm, which wants one advantage per rollout");
            check(!method.parts.has(name), &format!("parts.{name}"), "set", &allowed)?;
        }
        Ok(())
    }

    fn advantage(
        &self,
        rollouts: &mut [Rollout],
        advantages: &mut TokenAdvantages,
        _: &Context<'_>,
    ) -> Result<Option<Value>, StageError> {
        let first = |i: usize| {
            let rows = rollouts[i].rows.iter().zip(&advantages[i]);
            let mut sampled = rows.flat_map(|(row, a)| row.mask.iter().zip(a).filter(|(m, _)| **m));
            sampled.next().map(|(_, a)| *a)
        };
        let values: Vec<f64> = (0..rollouts.len()).filter_map(first).collect();
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / n).sqrt();
        for (rollout, rows) in rollouts.iter().zip(advantages) {
            for (row, values) in rollout.rows.iter().zip(rows) {
                for (a, _) in values.iter_mut().zip(&row.mask).filter(|(_, m)| **m) {
                    *a = (*a - mean) / (std + self.eps);
                }
            }
        }
        Ok(Some(json!({ "mean": mean, "std": std })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{long, near};
    use super::*;

    #[test]
    fn advantages_by_the_turn_are_refused() {
        for name in ["turn_credit", "step_credit", "anchor", "tree"] {
            let settings = json!({"parts": {"batch_norm": {}, name: {}}});
            let error = Method::resolve("grpo", &settings).unwrap_err().to_string();
            assert!(error.contains(&format!("parts.{name}")), "{error}");
        }
    }

    #[test]
    fn golden_values_of_bn_gspo() {
        let settings = json!({"parts": {"batch_norm": {}}, "select": {"drop_equal": false}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let check = |groups: &[[f64; 4]], want: &[f64]| {
            let rewards = groups
                .iter()
                .zip(0..)
                .flat_map(|(rewards, group)| rewards.map(|r| (group, r)));
            let rollouts = rewards.enumerate().map(|(i, (group, reward))| Rollout {
                id: format!("{i}"),
                group,
                reward,
                ..long(1)
            });
            let rows = method.prepare(rollouts.collect()).unwrap().rows;
            assert_eq!(rows.len(), want.len());
            rows.iter()
                .zip(want)
                .for_each(|(row, want)| near(row.advantage[1], *want, 5e-5));
        };
        let (one, equal) = ([1.5, 0.5, 0.5, 0.5], [1.5; 4]);
        check(&[one, equal], &[2.4495, -0.8165, -0.8165, -0.8165, 0.0, 0.0, 0.0, 0.0]);
        let third = [0.5, 0.5, 1.5, 1.5];
        // The batch's deviation is 1/sqrt 2.
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let mut want = vec![2.1213, -half, -half, -half, 0.0, 0.0, 0.0, 0.0];
        want.extend([-1.2247, -1.2247, 1.2247, 1.2247]);
        check(&[one, equal, third], &want);
        check(&[equal, equal], &[0.0; 8]);
    }
}
