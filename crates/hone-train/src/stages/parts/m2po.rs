//! Clip bounds from the second moment of the log-ratios.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Batch, Method, Need, Part, PartType, StageError, Surrogate, Term};

/// Largest e_l and e_h, as in the source: practically no bound.
const OPEN: (f64, f64) = (0.95, 20.0);

/// M2PO (second-moment trust, arXiv 2510.01161, as in AstraFlow's code): m = (l_old - l)^2 of each sampled token. Over those that leave the trust
/// region (A > 0 and r > 1, or A < 0 and r < 1): if the mean of m is at most `threshold`, or there are none, the bounds are e_l = .95 and e_h = 20.
/// Else, with m in descending order, the first suffix whose mean is below the threshold (or the last element alone) gives tau^2, its largest m;
/// then e_l = 1 - e^-tau and e_h = e^tau - 1, at most as above. They are the clip bounds of all tokens of the micro-batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct M2po {
    /// Bound on the mean of m.
    pub threshold: f64,
}

impl Default for M2po {
    fn default() -> Self {
        Self { threshold: 0.01 }
    }
}

impl PartType for M2po {
    const NAME: &'static str = "m2po";
    const ABOUT: &'static str = "Clip bounds from the second moment of the log-ratios (M2PO)";
}

/// (e_l, e_h) from the m of the tokens that leave the trust region.
fn bounds(mut moments: Vec<f64>, threshold: f64) -> (f64, f64) {
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
    if moments.is_empty() || mean(&moments) <= threshold {
        return OPEN;
    }
    moments.sort_by(|a, b| b.total_cmp(a));
    let last = moments.len() - 1;
    // Sums from the end, so that all suffixes take one pass.
    let mut start = last;
    let mut sum = 0.0;
    for k in (0..moments.len()).rev() {
        sum += moments[k];
        if sum / (moments.len() - k) as f64 >= threshold {
            break;
        }
        start = k;
    }
    let tau = moments[start].sqrt();
    ((-(-tau).exp_m1()).min(OPEN.0), tau.exp_m1().min(OPEN.1))
}

impl Part for M2po {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.threshold > 0.0 && self.threshold.is_finite();
        check(ok, &format!("{at}.threshold"), self.threshold, "a number > 0")?;
        let clipped = method.objective.surrogate == Surrogate::ClippedRatio;
        check(
            clipped,
            "objective.surrogate",
            "not clipped",
            "clipped_ratio with parts.m2po, which sets its bounds",
        )
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
            let moment = |&(i, j): &(usize, usize)| {
                let d = now.logp[i][j] - f64::from(batch.rows[i].row.old()[j]);
                let a = terms[i][j].advantage;
                ((a > 0.0 && d > 0.0) || (a < 0.0 && d < 0.0)).then_some(d * d)
            };
            let (low, high) = bounds(places.iter().filter_map(moment).collect(), self.threshold);
            for (i, j) in places {
                terms[i][j].clip.low = low;
                terms[i][j].clip.high = high;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{near, observed, row};
    use super::*;
    use serde_json::json;

    #[test]
    fn golden_bounds_of_astraflow() {
        let (low, high) = bounds(vec![0.01, 0.09, 0.0025, 0.04], 0.01);
        near(low, 0.0952, 5e-5);
        near(high, 0.1052, 5e-5);
        assert_eq!(bounds(Vec::new(), 0.01), OPEN);
        assert_eq!(bounds(vec![0.01, 0.01], 0.01), OPEN);
        // No suffix is below: the smallest one counts.
        let (low, _) = bounds(vec![0.09, 0.04], 0.01);
        near(low, 1.0 - (-0.2f64).exp(), 1e-12);
    }

    #[test]
    fn the_bounds_are_those_of_all_tokens() {
        let old = [-1.0; 4];
        let rows = [row("a", 0, &[1.0, -1.0, 1.0, 1.0], &old)];
        // Leaving trust: .3 up with A > 0 (m .09) and .05 down with A < 0 (m .0025): mean .04625; tau .05.
        let now = [vec![-0.7, -1.05, -1.2, -1.0]];
        let (tokens, _) = observed(json!({"m2po": {}}), &rows, &[], &now, &[Vec::new()]);
        assert!(tokens[0][0].clipped);
        near(tokens[0][0].loss, -0.05f64.exp() / 4.0, 1e-7);
        assert!(!tokens[0][2].clipped);
    }
}
