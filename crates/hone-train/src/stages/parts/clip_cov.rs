//! C5: some of the tokens that move the entropy most are left out.

use hone_trace::Stream;
use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::terms;
use crate::stages::{Batch, Level, Method, Need, Part, PartType, StageError, Term};

/// C5, Clip-Cov (Cui et al. 2025, arXiv 2505.22617): cov_j = (A_j - mean A)(l_j - mean l) over the sampled tokens of the micro-batch. Of those that
/// are not clipped anyway and have `low` < cov < `high`, max(1, floor(`share` n)) at random, n all tokens, get no loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipCov {
    /// q.
    pub share: f64,
    /// lb.
    pub low: f64,
    /// ub.
    pub high: f64,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for ClipCov {
    fn default() -> Self {
        Self {
            share: 0.02,
            low: 1.0,
            high: 40.0,
            seed: 0,
        }
    }
}

impl PartType for ClipCov {
    const NAME: &'static str = "clip_cov";
    const ABOUT: &'static str = "C5: some of the tokens that move the entropy most are left out";
}

/// cov of each place.
pub(super) fn covariances(places: &[(usize, usize)], terms: &[Vec<Term>], logp: &[Vec<f64>]) -> Vec<f64> {
    let n = places.len() as f64;
    let mean_a = places.iter().map(|&(i, j)| terms[i][j].advantage).sum::<f64>() / n;
    let mean_l = places.iter().map(|&(i, j)| logp[i][j]).sum::<f64>() / n;
    let each = places.iter();
    each.map(|&(i, j)| (terms[i][j].advantage - mean_a) * (logp[i][j] - mean_l))
        .collect()
}

impl Part for ClipCov {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let plain = method.objective.ratio == Level::Token;
        check(plain, "objective.ratio", "sequence", "token with parts.clip_cov")?;
        let ok = self.share > 0.0 && self.share <= 1.0;
        check(ok, &format!("{at}.share"), self.share, "a number in (0, 1]")?;
        check(self.low.is_finite(), &format!("{at}.low"), self.low, "a number")?;
        check(
            self.high > self.low,
            &format!("{at}.high"),
            self.high,
            "a number above `low`",
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
        let surrogate = batch.channels[0].objective.surrogate;
        for (micro, places) in batch.sampled() {
            let cov = covariances(&places, terms, now.logp);
            let clipped = |i: usize, j: usize| {
                let (l, old) = (now.logp[i][j], f64::from(batch.rows[i].row.old()[j]));
                let term = &terms[i][j];
                terms::policy(surrogate, &term.clip, term.advantage, l, terms::ratio(l, old)).1
            };
            let mut chosen: Vec<usize> = (0..places.len())
                .filter(|&n| cov[n] > self.low && cov[n] < self.high && !clipped(places[n].0, places[n].1))
                .collect();
            let stream = Stream::new(self.seed)
                .named("clip_cov")
                .at(batch.step)
                .at(u64::from(micro));
            chosen.sort_by(|a, b| stream.uniform(*a as u64).total_cmp(&stream.uniform(*b as u64)));
            chosen.truncate(((self.share * places.len() as f64) as usize).max(1));
            for n in chosen {
                let (i, j) = places[n];
                terms[i][j].factor = 0.0;
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
    fn golden_covariances() {
        let rows = [row("a", 0, &[1.0, 1.0, -1.0, -1.0], &[-0.1, -2.0, -0.1, -3.0])];
        let terms: Vec<Vec<Term>> = vec![
            rows[0]
                .advantage
                .iter()
                .map(|&a| Term::new(a, Default::default()))
                .collect(),
        ];
        let logp = [vec![-0.1, -2.0, -0.1, -3.0]];
        let places = [(0, 0), (0, 1), (0, 2), (0, 3)];
        for (got, want) in covariances(&places, &terms, &logp)
            .into_iter()
            .zip([1.2, -0.7, -1.2, 1.7])
        {
            near(got, want, 1e-12);
        }
        // The candidates are tokens 0 and 3: with a share of one half both lose their loss, with a small one either of them.
        let left = |share: f64, seed: u64| -> Vec<usize> {
            let parts = json!({"clip_cov": {"share": share, "seed": seed}});
            let (tokens, _) = observed(parts, &rows, &[], &logp, &[Vec::new()]);
            (0..4).filter(|&j| tokens[0][j].dl == 0.0).collect()
        };
        assert_eq!(left(0.5, 0), [0, 3]);
        let mut seen: Vec<Vec<usize>> = (0..20).map(|seed| left(0.02, seed)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, [vec![0], vec![3]]);
    }

    #[test]
    fn ratios_of_sequences_are_refused() {
        let error = Method::resolve("gspo", &json!({"parts": {"clip_cov": {}}})).unwrap_err();
        assert!(error.to_string().contains("objective.ratio"), "{error}");
    }

    /// Cui et al.'s own settings, and SPEAR's.
    #[test]
    fn presets_have_their_sources_settings() {
        let of = |name: &str| {
            let method = Method::resolve(name, &json!({})).unwrap();
            let part = serde_json::to_value(&method.parts).unwrap()["clip_cov"].take();
            ["share", "low", "high"].map(|key| part[key].as_f64().unwrap())
        };
        assert_eq!(of("clip-cov"), [0.0002, 1.0, 5.0]);
        assert_eq!(of("spear"), [0.02, 1.0, 40.0]);
    }

    #[test]
    fn what_is_clipped_is_no_candidate() {
        let rows = [row("a", 0, &[1.0, -1.0], &[-3.0, -5.0])];
        // Both have a covariance of 2.45. The first one, at a ratio of e^2.9, is clipped and keeps its loss; so the second one is chosen.
        let (tokens, loss) = observed(json!({"clip_cov": {}}), &rows, &[], &[vec![-0.1, -5.0]], &[Vec::new()]);
        assert!(tokens[0][0].clipped);
        near(loss, -1.2 / 2.0, 1e-9);
    }
}
