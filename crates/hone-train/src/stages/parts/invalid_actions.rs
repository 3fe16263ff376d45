//! A penalty for steps that were no valid action.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Method, Need, Part, PartType, Rollout, StageError};

/// -`penalty` for each step whose action was not valid (GiGPO, arXiv 2505.10978: .1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InvalidActions {
    /// What a step costs.
    pub penalty: f64,
}

impl Default for InvalidActions {
    fn default() -> Self {
        Self { penalty: 0.1 }
    }
}

impl PartType for InvalidActions {
    const NAME: &'static str = "invalid_actions";
    const ABOUT: &'static str = "A penalty for steps that were no valid action";
}

impl Part for InvalidActions {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.penalty > 0.0 && self.penalty.is_finite();
        check(ok, &format!("{at}.penalty"), self.penalty, "a number > 0")
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::ValidActions]
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let invalid = rollout.steps.iter().filter(|step| !step.valid).count();
        Ok(-self.penalty * invalid as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::near;
    use super::*;
    use crate::stages::AgentStep;

    #[test]
    fn each_invalid_step_costs() {
        let step = |valid| AgentStep {
            turn: 0,
            reward: 0.0,
            anchor: None,
            valid,
            checks: Vec::new(),
        };
        let rollout = Rollout {
            steps: vec![step(true), step(false), step(false)],
            ..Rollout::default()
        };
        near(InvalidActions::default().value(&rollout).unwrap(), -0.2, 1e-12);
    }
}
