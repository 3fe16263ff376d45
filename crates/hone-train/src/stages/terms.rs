//! The loss of one token as a function of its log-probability now, with its derivative.
//!
//! Symbols: A advantage; l log-probability now, l_old before the update, l_ref by the reference model; r = exp(clamp(l - l_old, -20, 20)).
//! All in f64; a loss is to be minimised.

use serde::{Deserialize, Serialize};

/// Bound on a log-ratio, as in verl; outside, its derivative is 0.
pub const LOG_RATIO_BOUND: f64 = 20.0;
/// Upper bound on the log of a sequence's ratio, as in verl; above, its derivative is 0.
pub const SEQUENCE_BOUND: f64 = 10.0;
/// Bound on k3, as in verl; outside, its derivative is 0.
pub const K3_BOUND: f64 = 10.0;

/// A value and its derivative with respect to l.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    /// Value.
    pub value: f64,
    /// Derivative.
    pub dl: f64,
}

/// What the policy term is built on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surrogate {
    /// -A l: no ratio, so it is right only for the first update after sampling (REINFORCE, Williams 1992).
    LogProb,
    /// -A r: importance weighted, not clipped.
    Ratio,
    /// Clipped by [`Clip`] (PPO, Schulman et al. 2017).
    #[default]
    ClippedRatio,
}

/// Bounds of [`Surrogate::ClippedRatio`]; all 0 with any other surrogate.
///
/// C1 is `low == high`; C2 is `high > low` (clip-higher, DAPO, Yu et al. 2025); C3 is `dual > 0` (dual clip, Ye et al. 2020). C4 keeps a gradient
/// where the ratio is clipped: there the bound (1 + e_h) becomes b2 (1 + e_h) r / sg(r), and (1 - e_l) becomes b1 (1 - e_l) r / sg(r), with
/// b2 = `keep_high` and b1 = `keep_low` (sg: stop-gradient). GPPO and AEPO (arXiv 2510.14545) have b2 = 1; CE-GPPO (Klear) has b2 = 1, b1 = .25.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clip {
    /// e_l: r is clipped below at 1 - e_l.
    pub low: f64,
    /// e_h: r is clipped above at 1 + e_h.
    pub high: f64,
    /// c: where A < 0 the loss is at most -c A. 0 is off.
    pub dual: f64,
    /// b2: what is kept of a token with A > 0 and r > 1 + e_h. 0 clips it: the plain bound without a gradient.
    pub keep_high: f64,
    /// b1: what is kept of a token with A < 0 and r < 1 - e_l. 0 clips it.
    pub keep_low: f64,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            low: 0.2,
            high: 0.2,
            dual: 0.0,
            keep_high: 0.0,
            keep_low: 0.0,
        }
    }
}

impl Clip {
    /// Without bounds.
    pub const OFF: Self = Self {
        low: 0.0,
        high: 0.0,
        dual: 0.0,
        keep_high: 0.0,
        keep_low: 0.0,
    };
}

/// Q1: the ratio r of a token, and whether its log was clamped.
pub fn ratio(l: f64, l_old: f64) -> (f64, bool) {
    let d = l - l_old;
    (
        d.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp(),
        d.abs() > LOG_RATIO_BOUND,
    )
}

/// Q2: the ratio of a sequence, s = exp(mean of l - l_old over its sampled tokens), and whether its log was clamped at 10 (GSPO, Zheng et al.
/// 2025, arXiv 2507.18071; verl's form). Each token has r_j = sg(s) exp(l_j - sg(l_j)), so that the slope of its term is that of a ratio s.
pub fn sequence_ratio(log_ratios: impl Iterator<Item = f64>) -> (f64, bool) {
    let (mut sum, mut n) = (0.0, 0u32);
    for d in log_ratios {
        sum += d;
        n += 1;
    }
    let mean = sum / f64::from(n.max(1));
    (mean.min(SEQUENCE_BOUND).exp(), mean > SEQUENCE_BOUND)
}

/// The policy term of a token of ratio `(r, whether it was clamped)`, and whether a bound of [`Clip`] decided it.
///
/// `clipped_ratio`: C = max(-A r, -A clip(r, 1 - e_l, 1 + e_h)); with dual clip and A < 0, min(C, -c A).
pub fn policy(surrogate: Surrogate, clip: &Clip, advantage: f64, l: f64, (r, clamped): (f64, bool)) -> (Slope, bool) {
    let slope = if clamped { 0.0 } else { -advantage * r };
    let plain = Slope {
        value: -advantage * r,
        dl: slope,
    };
    match surrogate {
        Surrogate::LogProb => (
            Slope {
                value: -advantage * l,
                dl: -advantage,
            },
            false,
        ),
        Surrogate::Ratio => (plain, false),
        Surrogate::ClippedRatio => {
            let flat = |value| (Slope { value, dl: 0.0 }, true);
            let bound = -advantage * r.clamp(1.0 - clip.low, 1.0 + clip.high);
            let lid = -clip.dual * advantage;
            let clipped = bound > plain.value;
            if clip.dual > 0.0 && advantage < 0.0 && bound.max(plain.value) > lid {
                flat(lid)
            } else if clipped {
                let kept = if advantage > 0.0 { clip.keep_high } else { clip.keep_low };
                let value = if kept > 0.0 { kept * bound } else { bound };
                let dl = if clamped { 0.0 } else { kept * bound };
                (Slope { value, dl }, true)
            } else {
                (plain, false)
            }
        }
    }
}

/// Estimators of KL(now || reference) on a token, d = l_ref - l (Schulman 2020, "Approximating KL divergence").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// No KL term.
    #[default]
    None,
    /// k1 = -d. Unbiased as a value; as a loss its expected gradient is 0.
    K1,
    /// |d|.
    Abs,
    /// k2 = d^2 / 2. As a loss its gradient is that of the KL, on fresh samples.
    K2,
    /// k3 = e^d - d - 1, d clamped to +-20 and the result to +-10 (GRPO).
    K3,
}

/// The KL term of a token; 0 for [`KlEstimator::None`].
pub fn kl(estimator: KlEstimator, l: f64, l_ref: f64) -> Slope {
    let d = l_ref - l;
    match estimator {
        KlEstimator::None => Slope::default(),
        KlEstimator::K1 => Slope { value: -d, dl: 1.0 },
        KlEstimator::Abs => Slope {
            value: d.abs(),
            dl: if d == 0.0 { 0.0 } else { -d.signum() },
        },
        KlEstimator::K2 => Slope {
            value: d * d / 2.0,
            dl: -d,
        },
        KlEstimator::K3 => {
            let c = d.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
            let value = c.exp_m1() - c;
            let bounded = value > K3_BOUND || c != d;
            Slope {
                value: value.min(K3_BOUND),
                dl: if bounded { 0.0 } else { -d.exp_m1() },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: f64 = 1e-12;

    fn loss(clip: Clip, a: f64, r: f64) -> (f64, f64, bool) {
        let (slope, clipped) = policy(
            Surrogate::ClippedRatio,
            &clip,
            a,
            r.ln() - 1.3,
            ratio(r.ln() - 1.3, -1.3),
        );
        (slope.value, slope.dl, clipped)
    }

    fn near(got: (f64, f64, bool), want: (f64, f64, bool)) {
        assert!(
            (got.0 - want.0).abs() < E && (got.1 - want.1).abs() < E && got.2 == want.2,
            "{got:?} is not {want:?}"
        );
    }

    #[test]
    fn golden_clips() {
        let c1 = Clip::default();
        let c2 = Clip { high: 0.28, ..c1 };
        near(loss(c1, 1.0, 1.5), (-1.2, 0.0, true));
        near(loss(c2, 1.0, 1.5), (-1.28, 0.0, true));
        near(loss(c1, 1.0, 1.1), (-1.1, -1.1, false));
        // With a positive advantage a small ratio is not clipped.
        near(loss(c1, 1.0, 0.5), (-0.5, -0.5, false));
        near(loss(c1, -1.0, 0.5), (0.8, 0.0, true));
        near(loss(c1, -1.0, 1.5), (1.5, 1.5, false));
        let dual = |dual| Clip { dual, ..c1 };
        near(loss(dual(3.0), -1.0, 0.5), (0.8, 0.0, true));
        near(loss(dual(3.0), -1.0, 1.5), (1.5, 1.5, false));
        near(loss(dual(3.0), -1.0, 5.0), (3.0, 0.0, true));
        near(loss(dual(10.0), -1.0, 5.0), (5.0, 5.0, false));
        near(loss(dual(3.0), 1.0, 5.0), (-1.2, 0.0, true));
    }

    #[test]
    fn golden_gradient_preserving_clips() {
        let gppo = Clip {
            high: 0.28,
            keep_high: 1.0,
            dual: 3.0,
            ..Clip::default()
        };
        near(loss(gppo, 1.0, 1.5), (-1.28, -1.28, true));
        near(loss(gppo, -1.0, 0.5), (0.8, 0.0, true));
        near(loss(gppo, -1.0, 1.5), (1.5, 1.5, false));
        near(loss(gppo, 1.0, 1.1), (-1.1, -1.1, false));
        let ce = Clip { keep_low: 0.25, ..gppo };
        near(loss(ce, -1.0, 0.5), (0.2, 0.2, true));
        near(loss(ce, 1.0, 1.5), (-1.28, -1.28, true));
    }

    #[test]
    fn golden_sequence_ratios() {
        let s = |logs: &[f64]| sequence_ratio(logs.iter().copied());
        assert!((s(&[0.1, -0.2, 0.4]).0 - 1.105171).abs() < 5e-7);
        assert!((s(&[0.1, -0.1, 0.3]).0 - 1.10517).abs() < 5e-6);
        assert_eq!(s(&[]), (1.0, false));
        assert_eq!(s(&[30.0]), (10f64.exp(), true));
    }

    #[test]
    fn golden_kl() {
        for (estimator, plus, minus) in [
            (KlEstimator::K1, -0.5, 0.5),
            (KlEstimator::Abs, 0.5, 0.5),
            (KlEstimator::K2, 0.125, 0.125),
            (KlEstimator::K3, 0.148721, 0.106531),
            (KlEstimator::None, 0.0, 0.0),
        ] {
            assert!((kl(estimator, -1.5, -1.0).value - plus).abs() < 5e-7, "{estimator:?}");
            assert!((kl(estimator, -1.0, -1.5).value - minus).abs() < 5e-7, "{estimator:?}");
        }
    }

    #[test]
    fn clamps_bound_value_and_slope() {
        assert_eq!(kl(KlEstimator::K3, -30.0, 0.0), Slope { value: 10.0, dl: 0.0 });
        assert_eq!(kl(KlEstimator::K3, 0.0, -30.0), Slope { value: 10.0, dl: 0.0 });
        let (slope, _) = policy(Surrogate::Ratio, &Clip::OFF, 1.0, 0.0, ratio(0.0, -50.0));
        assert_eq!(
            slope,
            Slope {
                value: -LOG_RATIO_BOUND.exp(),
                dl: 0.0
            }
        );
    }

    #[test]
    fn at_ratio_one_every_surrogate_has_the_gradient_of_reinforce() {
        for surrogate in [Surrogate::LogProb, Surrogate::Ratio, Surrogate::ClippedRatio] {
            for a in [-2.0, 0.0, 0.5] {
                assert_eq!(policy(surrogate, &Clip::default(), a, -0.7, (1.0, false)).0.dl, -a);
            }
        }
    }
}
