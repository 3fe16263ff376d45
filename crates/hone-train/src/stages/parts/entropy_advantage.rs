//! A4: more weight for what was uncertain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::std_unbiased;
use crate::stages::error::check;
use crate::stages::{Batch, Method, Need, Part, PartType, Scope, StageError, Term};

/// A4: A_j := A_j (1 + `weight` (H_j - mean H) / std H), H the entropy of the policy now (AEPO, arXiv 2510.14545: weight .2). Mean and unbiased
/// deviation are over the sampled tokens of the micro-batch (the released code) or of the whole batch; H counts as constant. There is no bound:
/// a token more than 1 / weight deviations below the mean changes its sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntropyAdvantage {
    /// a.
    pub weight: f64,
    /// Over what mean and deviation are taken.
    pub scope: Scope,
}

impl Default for EntropyAdvantage {
    fn default() -> Self {
        Self {
            weight: 0.2,
            scope: Scope::Global,
        }
    }
}

impl PartType for EntropyAdvantage {
    const NAME: &'static str = "entropy_advantage";
    const ABOUT: &'static str = "A4: more weight for what was uncertain (AEPO)";
}

impl Part for EntropyAdvantage {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.weight > 0.0 && self.weight.is_finite();
        check(ok, &format!("{at}.weight"), self.weight, "a number > 0")
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Scores, Need::Entropy]
    }

    fn changes_terms(&self) -> bool {
        true
    }

    fn terms(&self, batch: &Batch<'_>, terms: &mut [Vec<Term>]) -> Result<(), StageError> {
        let now = batch.now(Self::NAME)?;
        let mut parts = batch.sampled();
        if self.scope == Scope::Global {
            parts = BTreeMap::from([(0, parts.into_values().flatten().collect())]);
        }
        for places in parts.into_values() {
            let entropies: Vec<f64> = places.iter().map(|&(i, j)| now.entropy[i][j]).collect();
            let mean = entropies.iter().sum::<f64>() / entropies.len() as f64;
            let std = std_unbiased(&entropies).unwrap_or(0.0);
            if std > 0.0 {
                for (&(i, j), h) in places.iter().zip(entropies) {
                    terms[i][j].advantage *= 1.0 + self.weight * (h - mean) / std;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{near, observed, row};
    use serde_json::json;

    #[test]
    fn golden_factors_of_aepo() {
        let rows = [row("a", 0, &[1.0, 1.0, 1.0], &[-1.0; 3])];
        let (tokens, _) = observed(
            json!({"entropy_advantage": {}}),
            &rows,
            &[],
            &[vec![-1.0; 3]],
            &[vec![0.5, 1.0, 1.5]],
        );
        for (token, want) in tokens[0].iter().zip([0.8, 1.0, 1.2]) {
            near(token.advantage, want, 1e-12);
        }
    }

    #[test]
    fn the_scope_decides_over_what_is_normalised() {
        let rows = [
            row("a", 0, &[1.0, 1.0], &[-1.0; 2]),
            row("b", 0, &[1.0, 1.0], &[-1.0; 2]),
        ];
        let (logp, entropy) = ([vec![-1.0; 2], vec![-1.0; 2]], [vec![0.0, 1.0], vec![5.0, 5.0]]);
        let factor = |scope: &str| {
            let parts = json!({"entropy_advantage": {"scope": scope}});
            let (tokens, _) = observed(parts, &rows, &[0, 1], &logp, &entropy);
            tokens.iter().flatten().map(|t| t.advantage).collect::<Vec<_>>()
        };
        let half = 0.2 * std::f64::consts::FRAC_1_SQRT_2;
        for (got, want) in factor("micro").into_iter().zip([1.0 - half, 1.0 + half, 1.0, 1.0]) {
            near(got, want, 1e-12);
        }
        assert!(factor("global")[2] > 1.0 && factor("global")[1] < 1.0);
    }
}
