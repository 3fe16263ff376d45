//! Balanced adaptive rollouts: as many as it takes to have both right and wrong ones.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Context, Method, Part, PartType, Rollout, StageError, Verdict, groups};

/// BAR (Orchard, arXiv 2605.15040): of a task's rollouts in their order, the first `right` right ones and the first `wrong` wrong ones stay; those
/// after the one that completed them were not needed. A task that has not both within `budget` rollouts is dropped. A rollout is right if its
/// reward is greater than 0.
///
/// The source does not say which of several surplus rollouts stay; ours are the earliest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balanced {
    /// Right rollouts wanted.
    pub right: u32,
    /// Wrong rollouts wanted.
    pub wrong: u32,
    /// Most rollouts of a task.
    pub budget: u32,
}

/// How many of a task's rewards are needed, and which of them stay; `None` if the first `budget` do not hold both kinds.
pub fn balance(rewards: &[f64], settings: &Balanced) -> Option<(usize, Vec<usize>)> {
    let (mut right, mut wrong, mut kept) = (0, 0, Vec::new());
    for (i, &reward) in rewards.iter().enumerate().take(settings.budget as usize) {
        let (count, wanted) = if reward > 0.0 {
            (&mut right, settings.right)
        } else {
            (&mut wrong, settings.wrong)
        };
        if *count < wanted {
            *count += 1;
            kept.push(i);
        }
        if right == settings.right && wrong == settings.wrong {
            return Some((i + 1, kept));
        }
    }
    None
}

impl PartType for Balanced {
    const NAME: &'static str = "balanced";
    const ABOUT: &'static str = "BAR: a task's first right and first wrong rollouts, or none";
}

impl Part for Balanced {
    fn enough(&self, rewards: &[f64]) -> Option<bool> {
        Some(rewards.len() >= self.budget as usize || balance(rewards, self).is_some())
    }

    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        for (key, value) in [("right", self.right), ("wrong", self.wrong)] {
            check(value > 0, &format!("{at}.{key}"), value, "1 or more")?;
        }
        let least = u64::from(self.right) + u64::from(self.wrong);
        let ok = u64::from(self.budget) >= least;
        check(
            ok,
            &format!("{at}.budget"),
            self.budget,
            &format!("{least} (right + wrong) or more"),
        )
    }

    fn filter(&self, rollouts: &[Rollout], _: &Context<'_>) -> Result<Option<Vec<Verdict>>, StageError> {
        let mut verdicts = vec![Verdict::Keep; rollouts.len()];
        for (group, members) in groups(rollouts) {
            let rewards: Vec<f64> = members.iter().map(|&i| rollouts[i].reward).collect();
            let found = balance(&rewards, self);
            for (at, &i) in members.iter().enumerate() {
                verdicts[i] = match &found {
                    None => Verdict::Drop(format!(
                        "group {group} has not both kinds within {} rollouts",
                        self.budget
                    )),
                    Some((_, kept)) if kept.contains(&at) => Verdict::Keep,
                    Some((stop, _)) if at >= *stop => Verdict::Drop("not needed: the group was balanced before".into()),
                    Some(_) => Verdict::Drop("surplus of its kind".into()),
                };
            }
        }
        Ok(Some(verdicts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_streams() {
        let settings = Balanced {
            right: 2,
            wrong: 2,
            budget: 8,
        };
        let stream = [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        assert_eq!(balance(&stream, &settings), Some((6, vec![0, 1, 3, 5])));
        assert_eq!(balance(&[0.0; 8], &settings), None);
        let late: Vec<f64> = [0.0; 7].into_iter().chain([1.0; 2]).collect();
        assert_eq!(balance(&late, &settings), None);
    }
}
