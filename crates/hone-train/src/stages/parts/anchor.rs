//! A5: steps that were taken from the same state are compared with each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{at_turns, steps_of};
use crate::stages::error::check;
use crate::stages::{Context, Credit, Method, Need, Part, PartType, Rollout, StageError, TokenAdvantages, groups};

/// A5 (GiGPO, arXiv 2505.10978): A = A_E + `weight` A_S. A_E is the rollout's advantage. A_S compares the return sum_k `gamma`^k r_{s+k} of a step
/// with those of all steps of the group whose anchor (what the agent saw before) is the same, by the method's own baseline and scale. A step whose
/// anchor occurs once gets A_S = 0, unlike a rollout that is alone in its group.
///
/// r_s is the step's own reward, and the rollout's total counts at its last step (`outcome`), so that an environment that rewards only the end
/// works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anchor {
    /// w.
    pub weight: f64,
    /// Discount of a return, per step.
    pub gamma: f64,
    /// Whether the rollout's total counts at its last step.
    pub outcome: bool,
}

impl Default for Anchor {
    fn default() -> Self {
        Self {
            weight: 1.0,
            gamma: 0.95,
            outcome: true,
        }
    }
}

impl PartType for Anchor {
    const NAME: &'static str = "anchor";
    const ABOUT: &'static str = "A5: steps that were taken from the same state are compared (GiGPO)";
}

impl Anchor {
    /// The returns of a rollout's steps.
    fn returns(&self, rollout: &Rollout) -> Vec<f64> {
        let mut next = if self.outcome { rollout.reward } else { 0.0 };
        let mut first = true;
        let mut out: Vec<f64> = rollout
            .steps
            .iter()
            .rev()
            .map(|step| {
                let later = if first { next } else { self.gamma * next };
                first = false;
                next = step.reward + later;
                next
            })
            .collect();
        out.reverse();
        out
    }
}

impl Part for Anchor {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.weight > 0.0 && self.weight.is_finite();
        check(ok, &format!("{at}.weight"), self.weight, "a number > 0")?;
        let ok = (0.0..=1.0).contains(&self.gamma);
        check(ok, &format!("{at}.gamma"), self.gamma, "a number in [0, 1]")?;
        let plain = method.advantage.credit == Credit::Rollout;
        check(plain, "advantage.credit", "prefix_tree", "rollout with parts.anchor")
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Turns, Need::Anchors]
    }

    fn advantage(
        &self,
        rollouts: &mut [Rollout],
        advantages: &mut TokenAdvantages,
        context: &Context<'_>,
    ) -> Result<Option<Value>, StageError> {
        let (mut shared, mut single) = (0, 0);
        for members in groups(rollouts).into_values() {
            let mut states: BTreeMap<&str, Vec<(usize, u32, f64)>> = BTreeMap::new();
            for &i in &members {
                let steps = steps_of(&rollouts[i], Self::NAME, Need::Anchors)?;
                for (step, value) in steps.iter().zip(self.returns(&rollouts[i])) {
                    let key = step.anchor.as_deref().ok_or_else(|| StageError::Lacks {
                        part: Self::NAME,
                        what: Need::Anchors.about(),
                        rollout: rollouts[i].id.clone(),
                    })?;
                    states.entry(key).or_default().push((i, step.turn, value));
                }
            }
            let mut of: BTreeMap<(usize, u32), f64> = BTreeMap::new();
            for steps in states.into_values() {
                if steps.len() == 1 {
                    single += 1;
                    continue;
                }
                shared += 1;
                let stats = context
                    .advantage
                    .stats(&steps.iter().map(|(_, _, v)| (*v, 1.0)).collect::<Vec<_>>());
                for (i, turn, value) in steps {
                    of.insert((i, turn), context.advantage.signed(context.advantage.of(value, &stats)));
                }
            }
            for &i in &members {
                at_turns(&rollouts[i], &mut advantages[i], Self::NAME, |turn, a| {
                    *a += self.weight * of.get(&(i, turn)).copied().unwrap_or_default();
                })?;
            }
        }
        Ok(Some(json!({ "shared_states": shared, "single_states": single })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{near, with_turns};
    use super::*;

    #[test]
    fn golden_steps_of_gigpo() {
        // Both see o; the first one's answer to it ends the rollout, the second one needs another step.
        let mut a = with_turns("a", &[0.0]);
        let mut b = with_turns("b", &[0.0, 0.0]);
        let mut c = with_turns("c", &[0.0]);
        for (rollout, keys) in [(&mut a, &["o"][..]), (&mut b, &["o", "p"]), (&mut c, &["q"])] {
            rollout
                .steps
                .iter_mut()
                .zip(keys)
                .for_each(|(step, key)| step.anchor = Some((*key).into()));
        }
        (a.reward, b.reward) = (1.0, 1.0);
        let part = Anchor::default();
        assert_eq!((part.returns(&a), part.returns(&b)), (vec![1.0], vec![0.95, 1.0]));
        let settings = json!({"parts": {"anchor": {}}, "advantage": {"scale": "none"}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let rows = method.prepare(vec![a, b, c]).unwrap().rows;
        // A_E is 1/3, 1/3, -2/3; the mean at o is .975; p and q occur once.
        let third = 1.0 / 3.0;
        near(rows[0].advantage[1], third + 0.025, 1e-12);
        near(rows[1].advantage[1], third - 0.025, 1e-12);
        near(rows[1].advantage[3], third, 1e-12);
        near(rows[2].advantage[1], -2.0 * third, 1e-12);
    }
}
