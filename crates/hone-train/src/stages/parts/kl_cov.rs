//! C6: the tokens that move the entropy most are held back.

use serde::{Deserialize, Serialize};

use super::clip_cov::covariances;
use crate::stages::error::check;
use crate::stages::{Batch, Method, Need, Part, PartType, StageError, Term};

/// C6, KL-Cov (Cui et al. 2025, arXiv 2505.22617): the max(1, floor(`share` n)) of the n sampled tokens of the micro-batch with the largest cov (as
/// of [`ClipCov`](super::ClipCov)) get + `weight` |l - l_old|. The source's surrogate is the plain ratio, without a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KlCov {
    /// q.
    pub share: f64,
    /// k.
    pub weight: f64,
}

impl Default for KlCov {
    fn default() -> Self {
        Self {
            share: 0.0002,
            weight: 1.0,
        }
    }
}

impl PartType for KlCov {
    const NAME: &'static str = "kl_cov";
    const ABOUT: &'static str = "C6: the tokens that move the entropy most are held back";
}

impl Part for KlCov {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.share > 0.0 && self.share <= 1.0;
        check(ok, &format!("{at}.share"), self.share, "a number in (0, 1]")?;
        let ok = self.weight > 0.0 && self.weight.is_finite();
        check(ok, &format!("{at}.weight"), self.weight, "a number > 0")
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Scores]
    }

    fn changes_terms(&self) -> bool {
        true
    }

    fn terms(&self, batch: &Batch<'_>, terms: &mut [Vec<Term>]) -> Result<(), StageError> {
        let now = batch.now(Self::NAME)?;
        for places in batch.sampled().into_values() {
            let cov = covariances(&places, terms, now.logp);
            let mut order: Vec<usize> = (0..places.len()).collect();
            order.sort_by(|a, b| cov[*b].total_cmp(&cov[*a]));
            order.truncate(((self.share * places.len() as f64) as usize).max(1));
            for n in order {
                let (i, j) = places[n];
                terms[i][j].pull += self.weight;
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
    fn the_largest_covariance_is_pulled_back() {
        let old = [-0.3, -2.0, -0.1, -2.9];
        let rows = [row("a", 0, &[1.0, 1.0, -1.0, -1.0], &old)];
        let now = [vec![-0.1, -2.0, -0.1, -3.0]];
        let of = |parts| observed(parts, &rows, &[], &now, &[Vec::new()]);
        let ((plain, _), (pulled, _)) = (of(json!({})), of(json!({"kl_cov": {"share": 0.25, "weight": 0.5}})));
        // Token 3 has cov 1.7; its log-probability went down by .1.
        for j in 0..4 {
            let (value, slope) = if j == 3 { (0.5 * 0.1, -0.5) } else { (0.0, 0.0) };
            near(pulled[0][j].loss - plain[0][j].loss, value / 4.0, 1e-7);
            near(pulled[0][j].dl - plain[0][j].dl, slope / 4.0, 1e-12);
        }
    }
}
