//! R3: a bounded reward for calling tools.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Method, Part, PartType, Rollout, StageError};

/// R3: min(`max`, `per_call` n), n the number of calls (SPEAR, arXiv 2509.22601, where the term's weight falls over the steps: a schedule).
///
/// SPEAR's code counts the assistant's messages that hold a call: the same where no message holds two. This counts calls.
///
/// SPEAR's other form, 1 for a right rollout with any call, is `per_call = 1`, `max = 1` and a term with a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolCount {
    /// What a call gives.
    pub per_call: f64,
    /// The bound.
    pub max: f64,
}

impl Default for ToolCount {
    fn default() -> Self {
        Self {
            per_call: 0.1,
            max: 1.0,
        }
    }
}

impl PartType for ToolCount {
    const NAME: &'static str = "tool_count";
    const ABOUT: &'static str = "R3: a bounded reward for calling tools";
}

impl Part for ToolCount {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        check(
            positive(self.per_call),
            &format!("{at}.per_call"),
            self.per_call,
            "a number > 0",
        )?;
        check(positive(self.max), &format!("{at}.max"), self.max, "a number > 0")
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        Ok((self.per_call * rollout.calls.len() as f64).min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, near};
    use super::*;
    use serde_json::json;

    #[test]
    fn golden_values_of_spear() {
        let settings = json!({"parts": {"tool_count": {}}, "reward": {"terms": [
            {"part": "tool_count", "weight": 1, "schedule": {"way": "fall", "steps": 200}}]}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let at = |calls, step| {
            let mut one = [called(calls, 0)];
            method.value(&mut one, step).unwrap();
            one[0].reward
        };
        near(at(3, 75), 0.207403, 5e-7);
        near(at(14, 75), 0.691342, 5e-7);
        near(at(3, 0), 0.3, 1e-12);
        assert_eq!(at(3, 200), 0.0);
    }
}
