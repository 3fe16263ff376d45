//! A reward for few calls, where the answer is right.

use serde::{Deserialize, Serialize};

use crate::stages::{Part, PartType, Rollout, StageError};

/// 1 / (T + 1) if the part `correct` is greater than 0, else 0; T the number of calls (HDPO, arXiv 2604.08545, which gives it a channel of its own).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Economy {
    /// The part that says whether the rollout is right.
    pub correct: String,
}

impl Default for Economy {
    fn default() -> Self {
        Self {
            correct: "reward".into(),
        }
    }
}

impl PartType for Economy {
    const NAME: &'static str = "economy";
    const ABOUT: &'static str = "A reward for few calls, where the answer is right";
}

impl Part for Economy {
    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let right = rollout.part(&self.correct)? > 0.0;
        Ok(if right {
            1.0 / (rollout.calls.len() as f64 + 1.0)
        } else {
            0.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, value};
    use super::*;

    #[test]
    fn fewer_calls_are_worth_more() {
        let part = Economy::default();
        let got =
            [(0, 1.0), (1, 1.0), (1, 1.0), (3, 0.0)].map(|(calls, reward)| value(&part, &called(calls, 0), reward));
        assert_eq!(got, [1.0, 0.5, 0.5, 0.0]);
    }
}
