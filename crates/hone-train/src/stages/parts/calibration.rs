//! Rewards for an honest confidence.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Method, Need, Part, PartType, Rollout, StageError};
use hone_trace::CONFIDENCE;

/// How a confidence q in [0, 1] and a correctness c in {0, 1} become a reward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Rule {
    /// c - `lambda` (q - c)^2: additive Brier; `lambda` 1 is RLCR (arXiv 2507.16806). Proper: the best q is the probability of being right.
    Brier {
        /// Weight of the squared error, in (0, 1].
        lambda: f64,
    },
    /// Right: 1 + `right` (1 - (1 - q)^2); wrong: -`wrong` q^2. The least confident right answer beats every wrong one. Proper if both are equal.
    /// Our reading of the margin-separated reward of arXiv 2601.07264, whose formula we have not seen.
    MarginSeparated {
        /// b1.
        right: f64,
        /// b2.
        wrong: f64,
    },
    /// c alone, for comparison.
    #[default]
    OutcomeOnly,
}

/// A reward of the parts `correct` (greater than 0 is right) and `confidence` (a number in [0, 1]) by a [`Rule`].
///
/// A rollout whose confidence is out of range is `bad_format`. In training, where a recipe says `confidence = true`, the agent is asked when it
/// has answered, and the part `confidence` is what it said, -1 where that cannot be read or it was cut short before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The rule.
    pub rule: Rule,
    /// The part that says whether the rollout is right.
    #[serde(default = "correct")]
    pub correct: String,
    /// The part that holds the stated confidence.
    #[serde(default = "confidence")]
    pub confidence: String,
    /// What a rollout without a readable confidence gets.
    #[serde(default)]
    pub bad_format: f64,
}

fn correct() -> String {
    "reward".into()
}

fn confidence() -> String {
    CONFIDENCE.into()
}

impl PartType for Calibration {
    const NAME: &'static str = "calibration";
    const ABOUT: &'static str = "Rewards for an honest confidence: Brier (RLCR), margin-separated";
}

impl Part for Calibration {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let number = |key: &str, value: f64, allowed: &str, ok: bool| {
            check(ok && value.is_finite(), &format!("{at}.{key}"), value, allowed)
        };
        match self.rule {
            Rule::Brier { lambda } => number(
                "rule.lambda",
                lambda,
                "a number in (0, 1]",
                lambda > 0.0 && lambda <= 1.0,
            )?,
            Rule::MarginSeparated { right, wrong } => {
                number("rule.right", right, "a number >= 0", right >= 0.0)?;
                number("rule.wrong", wrong, "a number >= 0", wrong >= 0.0)?;
            }
            Rule::OutcomeOnly => {}
        }
        number("bad_format", self.bad_format, "a number", true)
    }

    fn needs(&self) -> &'static [Need] {
        // A part of another name is a scorer's.
        if self.confidence == CONFIDENCE {
            &[Need::Confidence]
        } else {
            &[]
        }
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let q = rollout.part(&self.confidence)?;
        let right = rollout.part(&self.correct)? > 0.0;
        if !(0.0..=1.0).contains(&q) {
            return Ok(self.bad_format);
        }
        let c = f64::from(u8::from(right));
        Ok(match self.rule {
            Rule::OutcomeOnly => c,
            Rule::Brier { lambda } => c - lambda * (q - c).powi(2),
            Rule::MarginSeparated { right: b1, .. } if right => 1.0 + b1 * (1.0 - (1.0 - q).powi(2)),
            Rule::MarginSeparated { wrong: b2, .. } => -b2 * q * q,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{near, value};
    use super::*;
    use proptest::prelude::*;

    fn reward(rule: Rule, c: f64, q: f64) -> f64 {
        let part = Calibration {
            rule,
            correct: correct(),
            confidence: confidence(),
            bad_format: -3.0,
        };
        let mut rollout = Rollout::default();
        rollout.parts.insert("confidence".into(), q);
        value(&part, &rollout, c)
    }

    #[test]
    fn golden_rewards() {
        let rlcr = Rule::Brier { lambda: 1.0 };
        for (c, q, want) in [(1.0, 0.9, 0.99), (0.0, 0.9, -0.81), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)] {
            near(reward(rlcr, c, q), want, 1e-12);
        }
        let mscr = Rule::MarginSeparated { right: 0.5, wrong: 0.5 };
        for (q, want) in [(0.0, 1.0), (0.5, 1.375), (0.9, 1.495), (1.0, 1.5)] {
            near(reward(mscr, 1.0, q), want, 1e-12);
        }
        for (q, want) in [(0.5, -0.125), (0.9, -0.405), (1.0, -0.5)] {
            near(reward(mscr, 0.0, q), want, 1e-12);
        }
        assert_eq!(reward(mscr, 1.0, 1.5), -3.0);
        assert_eq!(reward(Rule::OutcomeOnly, 1.0, 0.2), 1.0);
    }

    proptest! {
        /// Equal weights are proper: the best stated confidence is the probability of being right.
        #[test]
        fn proper_rules_ask_for_the_truth(percent in 0u32..=100, b in 0.1f64..3.0) {
            let p = f64::from(percent) / 100.0;
            for rule in [Rule::Brier { lambda: 1.0 }, Rule::MarginSeparated { right: b, wrong: b }] {
                let expected = |q: f64| p * reward(rule, 1.0, q) + (1.0 - p) * reward(rule, 0.0, q);
                let best = (0..=100).map(|q| f64::from(q) / 100.0).max_by(|a, b| expected(*a).total_cmp(&expected(*b))).unwrap();
                prop_assert!((best - p).abs() < 0.011, "{rule:?} {p}: {best}");
            }
        }

        #[test]
        fn every_right_answer_beats_every_wrong_one(right in 0.0f64..3.0, wrong in 0.0f64..3.0, q in 0.0f64..=1.0, other in 0.0f64..=1.0) {
            let rule = Rule::MarginSeparated { right, wrong };
            prop_assert!(reward(rule, 1.0, q) > reward(rule, 0.0, other));
        }
    }
}
