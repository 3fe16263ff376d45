//! What is claimed of a method beside another one, and what paired seeds say to it.

use crate::dictionary::Better;
use crate::estimate::MeanSd;
use serde::{Deserialize, Serialize};

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T975: [f64; 30] = [
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
    2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
    2.0452, 2.0423,
];

/// The 97.5 % quantile of Student's t; beyond the table by the first two terms of its expansion in 1 / df (Cornish & Fisher 1938).
fn t975(df: usize) -> f64 {
    match df.checked_sub(1).and_then(|at| T975.get(at)) {
        Some(t) => *t,
        None => {
            let z = 1.959_963_984_540_054_f64;
            let df = df.max(1) as f64;
            z + (z.powi(3) + z) / (4.0 * df) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * df * df)
        }
    }
}

/// A mean over seeds with Student's 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedMean {
    /// Mean.
    pub mean: f64,
    /// Lower end of the 95 % interval; absent for one seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lo: Option<f64>,
    /// Upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hi: Option<f64>,
    /// Number of seeds.
    pub n: usize,
}

impl SeedMean {
    /// Of one value a seed, mean ± t √(s² / n) with n − 1 degrees of freedom; `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let MeanSd { mean, sd, n } = MeanSd::of(values)?;
        let half = sd.map(|sd| t975(n - 1) * sd / (n as f64).sqrt());
        Some(Self {
            mean,
            lo: half.map(|half| mean - half),
            hi: half.map(|half| mean + half),
            n,
        })
    }
}

/// What a method is said to do better than another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// In words.
    pub says: String,
    /// The measure.
    pub measure: String,
    /// Which way it should differ.
    pub better: Better,
    /// The method that it is compared with.
    pub than: String,
    /// The least difference that matters: where even the interval's better end is below it, the answer is no.
    pub by: f64,
    /// What must not get worse for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<Keeps>,
}

/// A measure that may lose at most so much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keeps {
    /// The measure.
    pub measure: String,
    /// Which way it is better.
    pub better: Better,
    /// The largest loss that counts as none.
    pub loss: f64,
}

/// What the seeds say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The interval of the gain is above 0, its mean is at least `by`, and what is kept is kept.
    Yes,
    /// The interval of the gain is below `by`, or the loss of what should be kept is beyond its bound.
    No,
    /// Neither.
    Unclear,
}

impl Claim {
    /// The answer from paired differences over seeds, method − other; `kept` are those of what must not get worse, as many.
    /// Fewer than two seeds say nothing.
    pub fn answer(&self, differences: &[f64], kept: &[f64]) -> Answer {
        let gain = |better: Better, values: &[f64]| {
            let sign = if better == Better::Lower { -1.0 } else { 1.0 };
            let signed: Vec<f64> = values.iter().map(|d| sign * d).collect();
            let it = SeedMean::of(&signed)?;
            Some((it.mean, it.lo?, it.hi?))
        };
        let Some((mean, lo, hi)) = gain(self.better, differences) else {
            return Answer::Unclear;
        };
        let keeps = match &self.keeps {
            None => Answer::Yes,
            Some(keeps) => match gain(keeps.better, kept) {
                Some((_, lo, _)) if lo >= -keeps.loss => Answer::Yes,
                Some((_, _, hi)) if hi < -keeps.loss => Answer::No,
                _ => Answer::Unclear,
            },
        };
        if hi < self.by || keeps == Answer::No {
            Answer::No
        } else if lo > 0.0 && mean >= self.by && keeps == Answer::Yes {
            Answer::Yes
        } else {
            Answer::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_hold_95_percent_of_the_density() {
        for df in [1usize, 2, 7, 15, 30, 31, 63, 200] {
            let n = df as f64;
            // By Simpson's rule, up to the constant, which the whole line fixes; x = tan(u) brings it into (-π/2, π/2).
            let density = |u: f64| {
                let x = u.tan();
                (1.0 + x * x / n).powf(-(n + 1.0) / 2.0) * (1.0 + x * x)
            };
            let area = |to: f64| {
                let h = to / 20_000.0;
                let inner: f64 = (1..20_000)
                    .map(|i| f64::from(2 + 2 * (i % 2)) * density(h * f64::from(i)))
                    .sum();
                (density(0.0) + inner + density(to)) * h / 3.0
            };
            let share = area(t975(df).atan()) / area(std::f64::consts::FRAC_PI_2 - 1e-9);
            assert!((share - 0.95).abs() < 3e-5, "{df}: {share}");
        }
    }

    #[test]
    fn an_interval_over_seeds() {
        // sd of 1..4 is √(5/3); t(3) √(5/12) = 2.0542.
        let it = SeedMean::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!(
            (it.mean - 2.5).abs() < 1e-12 && (it.hi.unwrap() - 4.5542).abs() < 1e-3,
            "{it:?}"
        );
        assert_eq!(SeedMean::of(&[3.0]).unwrap().lo, None);
        assert_eq!(SeedMean::of(&[]), None);
    }

    #[test]
    fn claims_are_answered() {
        let mut claim = Claim {
            says: String::new(),
            measure: "calls".into(),
            better: Better::Lower,
            than: "grpo".into(),
            by: 0.5,
            keeps: Some(Keeps {
                measure: "success".into(),
                better: Better::Higher,
                loss: 0.02,
            }),
        };
        let (fewer, same) = ([-1.0, -1.2, -0.8, -1.0], [0.0, 0.001, -0.001, 0.0]);
        assert_eq!(claim.answer(&fewer, &same), Answer::Yes);
        // Real, but too small to matter.
        assert_eq!(claim.answer(&[-0.1, -0.11, -0.09, -0.1], &same), Answer::No);
        assert_eq!(claim.answer(&[1.0, 1.2, 0.8, 1.0], &same), Answer::No);
        assert_eq!(claim.answer(&[-3.0, 2.0, -2.0, 0.5], &same), Answer::Unclear);
        assert_eq!(claim.answer(&fewer, &[-0.1, -0.11, -0.09, -0.1]), Answer::No);
        assert_eq!(claim.answer(&fewer, &[-0.1, 0.1, -0.05, 0.02]), Answer::Unclear);
        assert_eq!(claim.answer(&fewer[..1], &same[..1]), Answer::Unclear);
        claim.keeps = None;
        assert_eq!(claim.answer(&fewer, &[]), Answer::Yes);
    }
}
