//! F3: keep the groups that differ most.

use serde::{Deserialize, Serialize};

use super::std_unbiased;
use crate::stages::error::check;
use crate::stages::{Context, Method, Part, PartType, Rollout, StageError, Verdict, groups};

/// F3: of all groups the `share` with the largest standard deviation of rewards stays, rounded down but at least one (SPEAR, arXiv 2509.22601: .75).
/// `ascending` keeps the smallest ones (`std_rev` there). Equal ones by their number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdTop {
    /// The share that stays.
    pub share: f64,
    /// Whether the smallest deviations stay.
    #[serde(default)]
    pub ascending: bool,
}

impl PartType for StdTop {
    const NAME: &'static str = "std_top";
    const ABOUT: &'static str = "F3: keep the groups whose rewards differ most";
}

impl Part for StdTop {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.share > 0.0 && self.share <= 1.0;
        check(ok, &format!("{at}.share"), self.share, "a number in (0, 1]")
    }

    fn filter(&self, rollouts: &[Rollout], _: &Context<'_>) -> Result<Option<Vec<Verdict>>, StageError> {
        let mut ranked: Vec<(f64, u64, Vec<usize>)> = groups(rollouts)
            .into_iter()
            .map(|(group, members)| {
                let rewards: Vec<f64> = members.iter().map(|&i| rollouts[i].reward).collect();
                (std_unbiased(&rewards).unwrap_or(0.0), group, members)
            })
            .collect();
        let sign = if self.ascending { 1.0 } else { -1.0 };
        ranked.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)).then(a.1.cmp(&b.1)));
        let keep = ((ranked.len() as f64 * self.share) as usize).max(1);
        let mut verdicts = vec![Verdict::Keep; rollouts.len()];
        for (std, group, members) in ranked.into_iter().skip(keep) {
            let reason = format!(
                "the rewards of group {group} have a standard deviation of {std}, not among the {keep} that stay"
            );
            members
                .iter()
                .for_each(|&i| verdicts[i] = Verdict::Drop(reason.clone()));
        }
        Ok(Some(verdicts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Advantage;

    #[test]
    fn golden_filter() {
        // Two members at +-d have a standard deviation of d sqrt 2: 0, .1, .5, .3 up to that factor.
        let rollouts: Vec<Rollout> = [0.0, 0.1, 0.5, 0.3]
            .into_iter()
            .zip(0..)
            .flat_map(|(d, group)| {
                [d, -d].map(|reward| Rollout {
                    group,
                    reward,
                    ..Rollout::default()
                })
            })
            .collect();
        let advantage = Advantage::default();
        let context = Context {
            advantage: &advantage,
            step: 0,
        };
        let kept = |share, ascending| -> Vec<u64> {
            let verdicts = StdTop { share, ascending }
                .filter(&rollouts, &context)
                .unwrap()
                .unwrap();
            let kept = rollouts.iter().zip(verdicts).filter(|(_, v)| *v == Verdict::Keep);
            kept.map(|(r, _)| r.group).collect()
        };
        assert_eq!(kept(0.75, false), [1, 1, 2, 2, 3, 3]);
        assert_eq!(kept(0.5, true), [0, 0, 1, 1]);
        assert_eq!(kept(0.01, false), [2, 2]);
    }
}
