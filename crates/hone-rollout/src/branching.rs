//! When to fork a rollout, and how many to begin at the root. Pure decisions; `leaves.rs` plays by them.

use serde::{Deserialize, Serialize};

/// How the entropies of a segment's tokens become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// Their sum, as in ARPO's code.
    Sum,
    /// Their mean.
    Mean,
}

/// How a segment's entropy is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The first so many tokens count.
    pub tokens: u32,
    /// Of each, the so many likeliest candidates; 0: all.
    #[serde(default)]
    pub top_n: u32,
    /// How they become one number.
    pub reduce: Reduce,
}

impl Probe {
    /// ARPO's code: the sum over the first 20 tokens and 10 candidates.
    pub const ARPO: Self = Self {
        tokens: 20,
        top_n: 10,
        reduce: Reduce::Sum,
    };

    /// H of a segment out of its tokens' entropies over all candidates, in nats, / ln of the vocabulary's size. 0 for a segment without tokens.
    pub fn of(&self, entropies: &[f32], vocabulary: usize) -> f64 {
        let first = &entropies[..entropies.len().min(self.tokens as usize)];
        self.reduced(first.iter().map(|h| f64::from(*h)), vocabulary)
    }

    fn reduced(&self, each: impl ExactSizeIterator<Item = f64>, vocabulary: usize) -> f64 {
        let tokens = each.len().max(1) as f64;
        let sum: f64 = each.sum();
        let scale = match self.reduce {
            Reduce::Sum => 1.0,
            Reduce::Mean => tokens,
        };
        sum / scale / (vocabulary.max(2) as f64).ln()
    }

    /// H of a segment: -p ln p over the candidates of its first tokens, / ln of the vocabulary's size. `candidates` holds, per token, natural
    /// log-probabilities in descending order. 0 for a segment without tokens.
    pub fn entropy(&self, candidates: &[Vec<f64>], vocabulary: usize) -> f64 {
        let first = &candidates[..candidates.len().min(self.tokens as usize)];
        let top_n = if self.top_n == 0 {
            usize::MAX
        } else {
            self.top_n as usize
        };
        let each = first.iter().map(|all| {
            let top = all.iter().take(top_n);
            top.map(|logp| if logp.is_finite() { -logp.exp() * logp } else { 0.0 })
                .sum::<f64>()
        });
        self.reduced(each, vocabulary)
    }
}

/// Whether a rollout forks after a tool's answer. dH is the [entropy](Probe::entropy) there minus that of the rollout's first segment; l the number
/// of forks in a row; U uniform in [0, 1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule", deny_unknown_fields)]
pub enum Branch {
    /// B1, ARPO's paper (arXiv 2507.19849): alpha + beta dH > tau.
    Threshold {
        /// alpha.
        alpha: f64,
        /// beta.
        beta: f64,
        /// tau.
        tau: f64,
    },
    /// B1, ARPO's code: clip(U - w dH, 0, 1) <= p0, so with probability clip(p0 + w dH, 0, 1). With w = 0 it is random branching, the control.
    Noise {
        /// p0: .5 in ARPO.
        p0: f64,
        /// w: .2 in ARPO.
        w: f64,
    },
    /// B2, AEPO's paper (arXiv 2510.14545): (alpha + gamma dH) (1 - min(1, penalty l)) > tau.
    PenalisedThreshold {
        /// alpha.
        alpha: f64,
        /// gamma.
        gamma: f64,
        /// tau.
        tau: f64,
        /// How much a fork in a row costs; the paper's function of l is not given, this is the code's.
        penalty: f64,
    },
    /// B2, AEPO's code: clip((U + w dH) max(0, 1 - penalty l), 0, 1) >= .5.
    PenalisedNoise {
        /// w: .2.
        w: f64,
        /// .05.
        penalty: f64,
    },
}

impl Branch {
    /// The probability of a fork over U.
    pub fn probability(&self, dh: f64, l: u32) -> f64 {
        match *self {
            Self::Threshold { .. } | Self::PenalisedThreshold { .. } => f64::from(u8::from(self.forks(dh, l, 0.0))),
            Self::Noise { p0, w } => (p0 + w * dh).clamp(0.0, 1.0),
            Self::PenalisedNoise { w, penalty } => {
                let left = (1.0 - penalty * f64::from(l)).max(0.0);
                if left > 0.0 {
                    (1.0 - 0.5 / left + w * dh).clamp(0.0, 1.0)
                } else {
                    0.0
                }
            }
        }
    }

    /// Whether it forks, given the draw U.
    pub fn forks(&self, dh: f64, l: u32, u: f64) -> bool {
        match *self {
            Self::Threshold { alpha, beta, tau } => alpha + beta * dh > tau,
            Self::PenalisedThreshold {
                alpha,
                gamma,
                tau,
                penalty,
            } => (alpha + gamma * dh) * (1.0 - (penalty * f64::from(l)).min(1.0)) > tau,
            // Where the bound is 0 a draw of exactly 0 must not fork.
            Self::Noise { p0, w } => p0 + w * dh > 0.0 && (u - w * dh).clamp(0.0, 1.0) <= p0,
            Self::PenalisedNoise { w, penalty } => {
                ((u + w * dh) * (1.0 - penalty * f64::from(l)).max(0.0)).clamp(0.0, 1.0) >= 0.5
            }
        }
    }
}

/// Which of a rollout's turns is probed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// The turn that follows a tool's answer, which the fork takes anew (the papers).
    #[default]
    AfterResult,
    /// The turn that made the call; the fork goes on from the answer (the released code of ARPO and AEPO).
    BeforeResult,
}

/// Whose forks in a row count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Those on the rollout's own path (AEPO's paper).
    #[default]
    Path,
    /// The rounds of the whole group in which anything forked (AEPO's code).
    Prompt,
}

/// How many rollouts of a group begin at the root.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Roots {
    /// So many.
    Fixed(u32),
    /// As [`roots`] says of the group's first rollout, which is the trial and one of them.
    Trial(Trial),
}

/// Settings of [`roots`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// beta: .5 in AEPO's code.
    pub beta: f64,
}

/// How the rollouts of a group fork from each other: the first ones begin at the root, and fork until the group has as many
/// as it should; what is missing when all have ended begins at the root again. At most one fork a rollout and turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branching {
    /// How many begin at the root.
    pub roots: Roots,
    /// When one forks.
    pub when: Branch,
    /// How a turn's entropy is measured.
    pub probe: Probe,
    /// Which turn's.
    #[serde(default)]
    pub segment: Segment,
    /// Which forks in a row count.
    #[serde(default)]
    pub counter: Counter,
}

impl Branching {
    /// Check the settings for groups of so many rollouts. The error is a key, its value, and what is allowed.
    ///
    /// # Errors
    /// When a value is out of range.
    pub fn validate(&self, rollouts: u32) -> Result<(), (&'static str, String, String)> {
        let number = |key, value: f64| match value.is_finite() {
            true => Ok(()),
            false => Err((key, value.to_string(), "a number".to_owned())),
        };
        match self.roots {
            Roots::Fixed(n) if n == 0 || n > rollouts => {
                return Err((
                    "roots",
                    n.to_string(),
                    format!("between 1 and {rollouts}, the group's rollouts"),
                ));
            }
            Roots::Fixed(_) => {}
            Roots::Trial(Trial { beta }) => number("roots.beta", beta)?,
        }
        if self.probe.tokens == 0 {
            return Err(("probe.tokens", "0".into(), "at least 1".into()));
        }
        if self.probe.top_n != 0 {
            let allowed = "0: at sampling, entropies are over all candidates";
            return Err(("probe.top_n", self.probe.top_n.to_string(), allowed.into()));
        }
        let numbers = match self.when {
            Branch::Threshold { alpha, beta, tau } => [alpha, beta, tau, 0.0],
            Branch::Noise { p0, w } => [p0, w, 0.0, 0.0],
            Branch::PenalisedThreshold {
                alpha,
                gamma,
                tau,
                penalty,
            } => [alpha, gamma, tau, penalty],
            Branch::PenalisedNoise { w, penalty } => [w, penalty, 0.0, 0.0],
        };
        numbers.into_iter().try_for_each(|value| number("when", value))
    }
}

/// S4 (AEPO): how many of `n` rollouts begin at the root, from a trial rollout: H_root of its first segment, and H_tool. The rest are forks.
///
/// As in the code: clip(floor(n sigma(`beta` (H_root - H_tool))) + 1, 1, n), `beta` .5 and H_tool the mean over all segments, the first included. The
/// paper has n sigma(…) without a rounding, and the mean over the segments after tool results.
pub fn roots(n: u32, beta: f64, h_root: f64, h_tool: f64) -> u32 {
    let share = 1.0 / (1.0 + (-beta * (h_root - h_tool)).exp());
    ((f64::from(n) * share).floor() as u32)
        .saturating_add(1)
        .clamp(1, n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 5e-5, "{got} is not {want}");
    }

    #[test]
    fn golden_probabilities() {
        let arpo = Branch::Noise { p0: 0.5, w: 1.0 };
        for (dh, want) in [(-0.6, 0.0), (-0.2, 0.3), (0.0, 0.5), (0.2, 0.7), (0.5, 1.0)] {
            near(arpo.probability(dh, 0), want);
        }
        let aepo = Branch::PenalisedNoise { w: 1.0, penalty: 0.05 };
        for (l, want) in [
            (0, [0.5, 0.6, 0.8]),
            (1, [0.4737, 0.5737, 0.7737]),
            (5, [0.3333, 0.4333, 0.6333]),
            (10, [0.0, 0.1, 0.3]),
            (20, [0.0, 0.0, 0.0]),
            (40, [0.0, 0.0, 0.0]),
        ] {
            [0.0, 0.1, 0.3]
                .iter()
                .zip(want)
                .for_each(|(dh, want)| near(aepo.probability(*dh, l), want));
        }
    }

    #[test]
    fn golden_budgets() {
        assert_eq!(
            [(2.0, 1.0), (1.0, 2.0), (1.0, 1.0)].map(|(root, tool)| roots(12, 0.5, root, tool)),
            [8, 5, 7]
        );
        assert_eq!(
            (
                roots(12, 0.5, 1e9, 0.0),
                roots(12, 0.5, -1e9, 0.0),
                roots(1, 0.5, 0.0, 0.0)
            ),
            (12, 1, 1)
        );
    }

    #[test]
    fn entropy_counts_the_first_tokens_and_the_likeliest_candidates() {
        let half = vec![0.5f64.ln(), 0.5f64.ln(), f64::NEG_INFINITY];
        let segment = vec![half; 30];
        near(Probe::ARPO.entropy(&segment, 2), 20.0);
        near(
            Probe {
                top_n: 1,
                ..Probe::ARPO
            }
            .entropy(&segment, 2),
            10.0,
        );
        near(
            Probe {
                reduce: Reduce::Mean,
                ..Probe::ARPO
            }
            .entropy(&segment, 4),
            0.5,
        );
        near(Probe::ARPO.entropy(&[], 2), 0.0);
    }

    #[test]
    fn thresholds() {
        let rule = Branch::PenalisedThreshold {
            alpha: 0.5,
            gamma: 1.0,
            tau: 0.6,
            penalty: 0.05,
        };
        assert!(
            rule.forks(0.2, 0, 0.0) && rule.forks(0.2, 2, 0.0) && !rule.forks(0.2, 3, 0.0) && !rule.forks(0.2, 99, 0.0)
        );
        let rule = Branch::Threshold {
            alpha: 0.5,
            beta: 1.0,
            tau: 0.6,
        };
        assert_eq!((rule.probability(0.2, 9), rule.probability(0.0, 0)), (1.0, 0.0));
    }

    proptest! {
        /// The share of draws that fork is the probability.
        #[test]
        fn draws_follow_the_probability(dh in -1.5f64..1.5, l in 0u32..25, noise: bool) {
            let rule = if noise { Branch::Noise { p0: 0.5, w: 0.8 } } else { Branch::PenalisedNoise { w: 0.8, penalty: 0.05 } };
            let forks = (0..1000).filter(|n| rule.forks(dh, l, (f64::from(*n) + 0.5) / 1000.0)).count();
            // AEPO multiplies the draw by the penalty, so its bound is where (U + w dH) pen = 1/2.
            prop_assert!((forks as f64 / 1000.0 - rule.probability(dh, l)).abs() <= 0.0015);
        }
    }
}
