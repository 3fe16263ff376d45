//! G2: every turn is compared with the same turn of the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{at_turns, steps_of};
use crate::stages::error::check;
use crate::stages::{Context, Credit, Method, Need, Part, PartType, Rollout, StageError, TokenAdvantages, groups};

/// G2: A_t = (R_t - mean) / scale over the group's rollouts that reached turn t, by the method's own baseline and scale (CM2's turn level). Tokens of
/// turn t get A_t; those of a turn without a reward get 0, and so do those of a turn that fewer than `min` rollouts reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnCredit {
    /// Least number of rollouts that a turn is compared among; 5 in CM2's released code.
    pub min: u32,
}

impl Default for TurnCredit {
    fn default() -> Self {
        Self { min: 1 }
    }
}

impl PartType for TurnCredit {
    const NAME: &'static str = "turn_credit";
    const ABOUT: &'static str = "G2: every turn is compared with the same turn of the others";
}

impl Part for TurnCredit {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        check(self.min > 0, &format!("{at}.min"), self.min, "1 or more")?;
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
        let (mut turns, mut small) = (0, 0);
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
                if rewards.len() < self.min as usize {
                    small += 1;
                    continue;
                }
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
        Ok(Some(json!({ "turns": turns, "too_small": small })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{near, with_turns};
    use super::*;
    use crate::stages::Check;

    /// CM2's code: a turn that four or fewer reached teaches nothing, the others of the same group do.
    #[test]
    fn turns_that_few_reached_get_nothing() {
        let rollouts: Vec<Rollout> = (0..5)
            .map(|n| Rollout {
                parts: [("reward".to_owned(), 0.0)].into(),
                dialogue_turns: Some(2),
                ..with_turns(
                    &n.to_string(),
                    &[f64::from(n), f64::from(n)][..if n == 4 { 1 } else { 2 }],
                )
            })
            .map(|mut rollout| {
                let turns = &mut rollout.steps;
                turns[0].checks = vec![Check {
                    name: "c".into(),
                    weight: 1.0,
                    ok: true,
                    after: Vec::new(),
                }];
                rollout.rows[0].logp_ref = Some(rollout.rows[0].logp_sampler.clone());
                rollout
            })
            .collect();
        let of = |method: Method| -> Vec<Vec<f64>> {
            let rows = method.prepare(rollouts.clone()).unwrap().rows;
            rows.iter().map(|row| row.advantage[1..].to_vec()).collect()
        };
        let got = of(Method::resolve("cm2-turn", &json!({})).unwrap());
        let first: Vec<f64> = got.iter().map(|row| row[0]).collect();
        assert_eq!(first, [-2.0, -1.0, 0.0, 1.0, 2.0]);
        assert!(got[..4].iter().all(|row| row[2..] == [0.0, 0.0]), "{got:?}");
        let all = of(Method::resolve("cm2-turn", &json!({"parts": {"turn_credit": {"min": 1}}})).unwrap());
        assert_eq!(all[0][2..], [-1.5, -1.5]);
    }

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
