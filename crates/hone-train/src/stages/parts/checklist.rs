//! R6: what the steps' checklists add up to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::stages::{Need, Part, PartType, Rollout, StageError};

/// R6: (1/L) sum over steps t and conditions c of w_{t,c} [c is satisfied], L the number of steps with a checklist (CM2).
///
/// With `dependencies` (the paper's form) a condition counts only if all that have to hold first were satisfied, in an earlier step or in this one;
/// the released code does not look at them. A condition that was satisfied once counts once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checklist {
    /// Whether dependencies must hold.
    pub dependencies: bool,
}

impl Default for Checklist {
    fn default() -> Self {
        Self { dependencies: true }
    }
}

impl PartType for Checklist {
    const NAME: &'static str = "checklist";
    const ABOUT: &'static str = "R6: what the steps' checklists add up to";
}

impl Part for Checklist {
    fn needs(&self) -> &'static [Need] {
        &[Need::Checks]
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let steps: Vec<_> = rollout.steps.iter().filter(|step| !step.checks.is_empty()).collect();
        if steps.is_empty() {
            return Err(StageError::Lacks {
                part: Self::NAME,
                what: Need::Checks.about(),
                rollout: rollout.id.clone(),
            });
        }
        let mut held: BTreeSet<&str> = BTreeSet::new();
        let mut sum = 0.0;
        for step in &steps {
            // In the order of the list, so that one condition may follow another within a step.
            for check in step.checks.iter().filter(|check| check.ok) {
                let open = !self.dependencies || check.after.iter().all(|name| held.contains(name.as_str()));
                if open && held.insert(&check.name) {
                    sum += check.weight;
                }
            }
        }
        Ok(sum / steps.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::near;
    use super::*;
    use crate::stages::{AgentStep, Check};

    fn step(turn: u32, checks: &[(&str, f64, bool, &[&str])]) -> AgentStep {
        AgentStep {
            turn,
            reward: 0.0,
            anchor: None,
            valid: true,
            checks: checks
                .iter()
                .map(|(name, weight, ok, after)| Check {
                    name: (*name).into(),
                    weight: *weight,
                    ok: *ok,
                    after: after.iter().map(|it| (*it).into()).collect(),
                })
                .collect(),
        }
    }

    #[test]
    fn dependencies_hold_a_condition_back() {
        let rollout = Rollout {
            steps: vec![
                step(0, &[("found", 0.6, false, &[]), ("told", 0.4, true, &["found"])]),
                step(1, &[("found", 0.6, true, &[]), ("paid", 1.0, true, &["found"])]),
            ],
            ..Rollout::default()
        };
        near(Checklist { dependencies: true }.value(&rollout).unwrap(), 0.8, 1e-12);
        near(Checklist { dependencies: false }.value(&rollout).unwrap(), 1.0, 1e-12);
        assert!(Checklist::default().value(&Rollout::default()).is_err());
    }
}
