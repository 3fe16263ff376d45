//! G2: every turn is compared with the same turn of the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{at_turns, steps_of};
use crate::stages::error::check;
use crate::stages::{Context, Credit, Method, Need, Part, PartType, Rollout, StageError, TokenAdvantages, groups};

/// G2: A_t = (R_t - mean) / scale over the group's rollouts that reached turn t, by the method's own baseline and scale (CM2's turn level). Tokens of
/// turn t get A_t; those of a turn without a reward get 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnCredit {}

impl PartType for TurnCredit {
    const NAME: &'static str = "turn_credit";
    const ABOUT: &'static str = "G2: every turn is compared with the same turn of the others";
}

impl Part for TurnCredit {
    fn validate(&self, method: &Method, _: &str) -> Result<(), StageError> {
        let plain = method.advantage.credit == Credit::Rollout;
        check(
            plain,
            "advantage.credit",
            "prefix_tree",
            "rollout with parts.turn_credit",
        )
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Turns, Need::StepRewards]
    }

    fn advantage(
        &self,
        rollouts: &mut [Rollout],
        advantages: &mut TokenAdvantages,
        context: &Context<'_>,
    ) -> Result<Option<Value>, StageError> {
        let mut turns = 0;
        for members in groups(rollouts).into_values() {
            let mut reached: BTreeMap<u32, Vec<(usize, f64)>> = BTreeMap::new();
            for &i in &members {
                for step in steps_of(&rollouts[i], Self::NAME, Need::StepRewards)? {
                    reached.entry(step.turn).or_default().push((i, step.reward));
                }
            }
            let mut of: BTreeMap<(usize, u32), f64> = BTreeMap::new();
            for (turn, rewards) in reached {
                let stats = context
                    .advantage
                    .stats(&rewards.iter().map(|(_, r)| (*r, 1.0)).collect::<Vec<_>>());
                turns += 1;
                for (i, reward) in rewards {
                    of.insert(
                        (i, turn),
                        context.advantage.signed(context.advantage.of(reward, &stats)),
                    );
                }
            }
            for &i in &members {
                at_turns(&rollouts[i], &mut advantages[i], Self::NAME, |turn, a| {
                    *a = of.get(&(i, turn)).copied().unwrap_or_default();
                })?;
            }
        }
        Ok(Some(json!({ "turns": turns })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{near, with_turns};
    use super::*;

    #[test]
    fn a_turn_is_compared_with_those_that_reached_it() {
        let settings =
            json!({"parts": {"turn_credit": {}}, "advantage": {"scale": "none"}, "select": {"drop_equal": false}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let rollouts = vec![
            with_turns("a", &[1.0, 0.5]),
            with_turns("b", &[0.0, 0.0]),
            with_turns("c", &[0.5]),
        ];
        let rows = method.prepare(rollouts).unwrap().rows;
        // Turn 0: mean .5 of three; turn 1: mean .25 of two. Two tokens a turn.
        let want = [
            vec![0.5, 0.5, 0.25, 0.25],
            vec![-0.5, -0.5, -0.25, -0.25],
            vec![0.0, 0.0],
        ];
        for (row, want) in rows.iter().zip(want) {
            row.advantage[1..]
                .iter()
                .zip(want)
                .for_each(|(a, w)| near(*a, w, 1e-12));
        }
        let mut bare = with_turns("a", &[1.0]);
        bare.steps.clear();
        assert!(
            method
                .prepare(vec![bare])
                .unwrap_err()
                .to_string()
                .contains("turn_credit")
        );
    }
}
