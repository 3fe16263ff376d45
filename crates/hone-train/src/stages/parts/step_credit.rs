//! G3: every step is credited for the conditions that it fulfilled.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{at_turns, steps_of};
use crate::stages::error::check;
use crate::stages::{Context, Credit, Method, Need, Part, PartType, Rollout, StageError, TokenAdvantages, groups};

/// G3: A_s = sum over c in E of w_c (r_{s,c} - b_c) / sum over c in E of w_c (CM2's step level): E the conditions that were looked at after step s,
/// r_{s,c} whether it fulfilled c, b_c the share of the group's rollouts that fulfilled c in some step. The released code leaves the division out:
/// `divide = false`. Tokens of a step get A_s, those of a step without conditions 0, and so do all of a group of fewer than `min` rollouts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepCredit {
    /// Whether the sum is divided by the weights.
    pub divide: bool,
    /// Least number of rollouts of a group; 5 in CM2's released code ("threshold" 4).
    pub min: u32,
}

impl Default for StepCredit {
    fn default() -> Self {
        Self { divide: true, min: 1 }
    }
}

impl PartType for StepCredit {
    const NAME: &'static str = "step_credit";
    const ABOUT: &'static str = "G3: every step is credited for the conditions that it fulfilled";
}

impl Part for StepCredit {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        check(self.min > 0, &format!("{at}.min"), self.min, "1 or more")?;
        let plain = method.advantage.credit == Credit::Rollout;
        check(
            plain,
            "advantage.credit",
            "prefix_tree",
            "rollout with parts.step_credit",
        )
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Turns, Need::Checks]
    }

    fn advantage(
        &self,
        rollouts: &mut [Rollout],
        advantages: &mut TokenAdvantages,
        context: &Context<'_>,
    ) -> Result<Option<Value>, StageError> {
        for members in groups(rollouts).into_values() {
            let mut fulfilled: BTreeMap<&str, f64> = BTreeMap::new();
            for &i in &members {
                let steps = steps_of(&rollouts[i], Self::NAME, Need::Checks)?;
                let checks = steps.iter().flat_map(|step| &step.checks);
                let own: BTreeSet<&str> = checks.filter(|c| c.ok).map(|c| c.name.as_str()).collect();
                own.into_iter()
                    .for_each(|name| *fulfilled.entry(name).or_default() += 1.0);
            }
            let n = members.len() as f64;
            let enough = members.len() >= self.min as usize;
            for &i in &members {
                let mut of: BTreeMap<u32, f64> = BTreeMap::new();
                for step in &rollouts[i].steps {
                    let mut sum = 0.0;
                    let mut weights = 0.0;
                    for check in &step.checks {
                        let share = fulfilled.get(check.name.as_str()).copied().unwrap_or_default() / n;
                        sum += check.weight * (f64::from(u8::from(check.ok)) - share);
                        weights += check.weight;
                    }
                    let a = if !enough {
                        0.0
                    } else if self.divide && weights > 0.0 {
                        sum / weights
                    } else {
                        sum
                    };
                    of.insert(step.turn, context.advantage.signed(a));
                }
                at_turns(&rollouts[i], &mut advantages[i], Self::NAME, |turn, a| {
                    *a = of.get(&turn).copied().unwrap_or_default();
                })?;
            }
        }
        Ok(Some(json!({})))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{near, with_turns};
    use super::*;
    use crate::stages::Check;

    #[test]
    fn golden_values_of_cm2() {
        let rollout = |id: &str, first: bool, second: bool| {
            let mut out = with_turns(id, &[0.0]);
            out.steps[0].checks = [("one", 0.6, first), ("two", 0.4, second)]
                .map(|(name, weight, ok)| Check {
                    name: name.into(),
                    weight,
                    ok,
                    after: Vec::new(),
                })
                .to_vec();
            out
        };
        let settings = json!({"parts": {"step_credit": {}}, "select": {"drop_equal": false}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let rollouts = vec![
            rollout("a", true, true),
            rollout("b", true, false),
            rollout("c", false, false),
        ];
        let rows = method.prepare(rollouts).unwrap().rows;
        near(rows[0].advantage[1], 0.466667, 5e-7);
        near(rows[2].advantage[1], -0.533333, 5e-7);
    }

    #[test]
    fn groups_below_the_threshold_get_nothing() {
        let of = |n: usize, over: Value| {
            let rollouts = (0..n).map(|i| {
                let mut out = with_turns(&i.to_string(), &[0.0]);
                out.dialogue_turns = Some(1);
                out.rows[0].logp_ref = Some(out.rows[0].logp_sampler.clone());
                out.steps[0].checks = vec![Check {
                    name: "c".into(),
                    weight: 0.5,
                    ok: i == 0,
                    after: Vec::new(),
                }];
                out
            });
            let method = Method::resolve("cm2-step-code", &over).unwrap();
            method.prepare(rollouts.collect()).unwrap().rows[0].advantage[1]
        };
        // .5 (1 - 1/n), not divided by the weight.
        near(of(5, json!({})), 0.4, 1e-12);
        near(of(4, json!({})), 0.0, 0.0);
        near(of(4, json!({"parts": {"step_credit": {"min": 1}}})), 0.375, 1e-12);
    }
}
