//! K: the distance from the reference model, as a reward.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::terms::{KlEstimator, kl};
use crate::stages::{Method, Need, Part, PartType, Rollout, StageError};

/// -`beta` sum over sampled tokens of k, an estimator of KL(old policy || reference) (verl's `use_kl_in_reward`; InstructGPT, arXiv 2203.02155).
///
/// It is taken at the log-probabilities before the update, and counts before the statistics of the group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KlReward {
    /// The estimator.
    pub estimator: KlEstimator,
    /// Its weight.
    pub beta: f64,
}

impl PartType for KlReward {
    const NAME: &'static str = "kl_reward";
    const ABOUT: &'static str = "K: the distance from the reference model, as a reward";
}

impl Part for KlReward {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let named = self.estimator != KlEstimator::None;
        check(named, &format!("{at}.estimator"), "none", "k1, abs, k2 or k3")?;
        let ok = self.beta > 0.0 && self.beta.is_finite();
        check(ok, &format!("{at}.beta"), self.beta, "a number > 0")
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::ReferenceFirst]
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let mut sum = 0.0;
        for (row, index) in rollout.rows.iter().zip(0..) {
            let Some(reference) = &row.logp_ref else {
                return Err(StageError::NoReference {
                    rollout: rollout.id.clone(),
                    row: index,
                });
            };
            let old = row.old();
            let sampled = (0..row.ids.len()).filter(|&j| row.mask[j]);
            sum += sampled
                .map(|j| kl(self.estimator, f64::from(old[j]), f64::from(reference[j])).value)
                .sum::<f64>();
        }
        Ok(-self.beta * sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{long, near};
    use super::*;

    #[test]
    fn the_distance_costs() {
        let mut rollout = long(2);
        let part = |estimator| KlReward { estimator, beta: 0.1 };
        assert!(part(KlEstimator::K1).value(&rollout).is_err());
        // l - l_ref is .5 and -.5; the prompt does not count.
        rollout.rows[0].logp_ref = Some(vec![9.0, -1.0, 0.0]);
        near(part(KlEstimator::K1).value(&rollout).unwrap(), 0.0, 1e-9);
        near(part(KlEstimator::K2).value(&rollout).unwrap(), -0.025, 1e-9);
        near(
            part(KlEstimator::K3).value(&rollout).unwrap(),
            -0.1 * (0.148721 + 0.106531),
            1e-7,
        );
    }
}
