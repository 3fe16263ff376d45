//! R5: right and wrong as +1 and -1, with a little for calls.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Method, Part, PartType, Rollout, StageError};

/// Whose form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// The paper's: calls count for right answers, too.
    Paper,
    /// The released code's: calls count for wrong answers only.
    Code,
}

/// R5 (Open-AgentRL, arXiv 2510.11701), n the number of calls: wrong gets min(`bound`, -1 + `per_call` n); right gets 1 + `per_call` n in the
/// paper's form and 1 in the code's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTools {
    /// Whose form.
    pub version: Version,
    /// The part that says whether the rollout is right: greater than 0.
    #[serde(default = "of")]
    pub of: String,
    /// What a call adds.
    #[serde(default = "per_call")]
    pub per_call: f64,
    /// The most that a wrong rollout gets.
    #[serde(default = "bound")]
    pub bound: f64,
}

fn of() -> String {
    "reward".into()
}

fn per_call() -> f64 {
    0.1
}

fn bound() -> f64 {
    -0.6
}

impl PartType for SignedTools {
    const NAME: &'static str = "signed_tools";
    const ABOUT: &'static str = "R5: right and wrong as +1 and -1, with a little for calls";
}

impl Part for SignedTools {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let allowed = "a number in [0, 1]";
        check(
            (0.0..=1.0).contains(&self.per_call),
            &format!("{at}.per_call"),
            self.per_call,
            allowed,
        )?;
        let allowed = "a number in [-1, 1]";
        check(
            (-1.0..=1.0).contains(&self.bound),
            &format!("{at}.bound"),
            self.bound,
            allowed,
        )
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let bonus = self.per_call * rollout.calls.len() as f64;
        let right = rollout.part(&self.of)? > 0.0;
        Ok(match (right, self.version) {
            (true, Version::Paper) => 1.0 + bonus,
            (true, Version::Code) => 1.0,
            (false, _) => (bonus - 1.0).min(self.bound),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, near, value};
    use super::*;

    #[test]
    fn golden_rewards_of_open_agentrl() {
        let part = |version| SignedTools {
            version,
            of: of(),
            per_call: per_call(),
            bound: bound(),
        };
        near(value(&part(Version::Code), &called(3, 0), 1.0), 1.0, 0.0);
        near(value(&part(Version::Paper), &called(3, 0), 1.0), 1.3, 1e-12);
        for (calls, want) in [(0, -1.0), (2, -0.8), (4, -0.6), (9, -0.6)] {
            near(value(&part(Version::Code), &called(calls, 0), 0.0), want, 1e-12);
        }
    }
}
