//! R1: right or wrong as two numbers.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Method, Part, PartType, Rollout, StageError};

/// R1: `right` if the reward part `of` is greater than 0, else `wrong`. SPEAR and Open-AgentRL reward by +1 and -1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outcome {
    /// The part that says whether the rollout is right.
    pub of: String,
    /// What a right rollout gets.
    pub right: f64,
    /// What a wrong one gets.
    pub wrong: f64,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            of: "reward".into(),
            right: 1.0,
            wrong: -1.0,
        }
    }
}

impl PartType for Outcome {
    const NAME: &'static str = "outcome";
    const ABOUT: &'static str = "R1: right or wrong as two numbers";
}

impl Part for Outcome {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        check(self.right.is_finite(), &format!("{at}.right"), self.right, "a number")?;
        let ok = self.wrong.is_finite() && self.wrong < self.right;
        check(ok, &format!("{at}.wrong"), self.wrong, "a number below `right`")
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let right = rollout.part(&self.of)? > 0.0;
        Ok(if right { self.right } else { self.wrong })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::value;
    use super::*;

    #[test]
    fn two_numbers() {
        let all = [0.0, -2.0, 0.3].map(|r| value(&Outcome::default(), &Rollout::default(), r));
        assert_eq!(all, [-1.0, -1.0, 1.0]);
    }
}
