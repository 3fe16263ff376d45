//! R6: what the steps' checklists add up to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::stages::{Need, Part, PartType, Rollout, StageError};

/// R6: (1/L) sum over the dialogue's turns t and conditions c of w_{t,c} [c is satisfied], L the number of the dialogue's turns
/// ([`Rollout::dialogue_turns`]): those that were not reached give 0 (CM2, arXiv 2602.12268).
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
        let lacks = |what| StageError::Lacks {
            part: Self::NAME,
            what,
            rollout: rollout.id.clone(),
        };
        let steps: Vec<_> = rollout.steps.iter().filter(|step| !step.checks.is_empty()).collect();
        if steps.is_empty() {
            return Err(lacks(Need::Checks.about()));
        }
        let turns = rollout.dialogue_turns.filter(|turns| *turns > 0);
        let turns = turns.ok_or_else(|| lacks("the number of the dialogue's turns (`dialogue_turns`)"))?;
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
        Ok(sum / f64::from(turns))
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
            dialogue_turns: Some(2),
            ..Rollout::default()
        };
        near(Checklist { dependencies: true }.value(&rollout).unwrap(), 0.8, 1e-12);
        near(Checklist { dependencies: false }.value(&rollout).unwrap(), 1.0, 1e-12);
        assert!(Checklist::default().value(&Rollout::default()).is_err());
        let of = |dialogue_turns| Rollout {
            dialogue_turns,
            ..rollout.clone()
        };
        for missing in [None, Some(0)] {
            let error = Checklist::default().value(&of(missing)).unwrap_err();
            assert!(error.to_string().contains("dialogue_turns"), "{error}");
        }
    }

    /// The released sample's first turn of three, with the second and the fourth condition open: the rollout ends there.
    #[test]
    fn turns_that_were_not_reached_count() {
        let checks: [(&str, f64, bool, &[&str]); 6] = [
            ("c0", 0.25, true, &[]),
            ("c1", 0.20, false, &[]),
            ("c2", 0.20, true, &["c1"]),
            ("c3", 0.20, false, &["c1"]),
            ("c4", 0.10, true, &[]),
            ("c5", 0.05, false, &["c1"]),
        ];
        let rollout = Rollout {
            steps: vec![step(0, &checks)],
            dialogue_turns: Some(3),
            ..Rollout::default()
        };
        let with = |dependencies| Checklist { dependencies }.value(&rollout).unwrap();
        near(with(false), 0.18333, 5e-6);
        near(with(true), 0.11667, 5e-6);
    }
}
