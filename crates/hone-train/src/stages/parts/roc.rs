//! F2: keep the cleanest right rollouts of a group that was drawn too large.

use hone_trace::Stream;
use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Context, Method, Part, PartType, Rollout, StageError, Verdict, groups};

/// How the survivors are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RocSelect {
    /// The code's: the right ones of least penalty, and the first wrong ones.
    Sorted,
    /// The paper's: right ones at random with weight 1 / p, without replacement; wrong ones uniformly. A penalty of 0 comes before all others.
    Weighted,
}

/// F2, resample on correct (GRPO-RoC, rStar2-Agent, arXiv 2508.20722): of a group of g rollouts `keep` = n stay.
///
/// A rollout is right if its reward is greater than 0. Its penalty is p = p_err + p_format: p_err is `no_call` without a call, else failed calls /
/// calls; p_format is 1 without an answer, else min(1, (answers - 1) / turns), and 0 where nobody counted answers. With neg wrong and pos right
/// ones, k0 = round(neg n / g) and k1 = round(pos n / g), half to even. If k0 < m0 and k1 < m1 (`min_wrong`, `min_right`) all stay. Else
/// if k0 <= min(m0, neg), then k0 becomes that and k1 = n - k0; then the same for k1. Where the reference asserts that k0 + k1 = n, we take
/// k1 = n - k0. A group of n stays as it is; a smaller one is dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roc {
    /// n.
    pub keep: u32,
    /// How survivors are chosen.
    pub select: RocSelect,
    /// m0: least number of wrong ones.
    #[serde(default = "two")]
    pub min_wrong: u32,
    /// m1: least number of right ones.
    #[serde(default = "two")]
    pub min_right: u32,
    /// p_err of a rollout without a call.
    #[serde(default = "no_call")]
    pub no_call: f64,
    /// Seed of the weighted choice.
    #[serde(default)]
    pub seed: u64,
}

fn two() -> u32 {
    2
}

fn no_call() -> f64 {
    0.5
}

impl PartType for Roc {
    const NAME: &'static str = "roc";
    const ABOUT: &'static str = "F2: keep the cleanest right rollouts of a group that was drawn too large";
}

/// k0 and k1; `None` if all stay.
fn counts(wrong: usize, right: usize, n: usize, min_wrong: usize, min_right: usize) -> Option<(usize, usize)> {
    let g = wrong + right;
    let share = |of: usize| ((of * n) as f64 / g as f64).round_ties_even() as usize;
    let (mut k0, mut k1) = (share(wrong), share(right));
    if k0 < min_wrong && k1 < min_right {
        return None;
    }
    if k0 <= min_wrong.min(wrong) {
        k0 = min_wrong.min(wrong);
        k1 = n - k0;
    }
    if k1 <= min_right.min(right) {
        k1 = min_right.min(right);
        k0 = n - k1;
    }
    // Never more than there are: then the other side fills up.
    k0 = k0.min(wrong).max(n.saturating_sub(right));
    Some((k0, n - k0))
}

impl Roc {
    /// p of a rollout.
    pub fn penalty(&self, rollout: &Rollout) -> f64 {
        let calls = rollout.calls.len();
        let errors = if calls == 0 {
            self.no_call
        } else {
            rollout.failed_calls() as f64 / calls as f64
        };
        let format = match rollout.answers {
            None => 0.0,
            Some(0) => 1.0,
            Some(n) => (f64::from(n - 1) / f64::from(rollout.turns.max(1))).min(1.0),
        };
        errors + format
    }

    /// Which members of a group stay, by their rewards and penalties.
    fn survivors(&self, members: &[(f64, f64)], stream: &Stream) -> Vec<bool> {
        let n = self.keep as usize;
        let (mut right, mut wrong): (Vec<usize>, Vec<usize>) = (0..members.len()).partition(|&i| members[i].0 > 0.0);
        let Some((k0, k1)) = counts(
            wrong.len(),
            right.len(),
            n,
            self.min_wrong as usize,
            self.min_right as usize,
        ) else {
            return vec![true; members.len()];
        };
        let by = |list: &mut Vec<usize>, key: &dyn Fn(usize) -> f64| list.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
        match self.select {
            RocSelect::Sorted => by(&mut right, &|i| members[i].1),
            RocSelect::Weighted => {
                // Efraimidis and Spirakis 2006: the largest u^(1/w) are a weighted draw without replacement; here w = 1/p.
                by(&mut right, &|i| stream.named("tie").uniform(i as u64));
                by(&mut right, &|i| {
                    -stream.named("right").uniform(i as u64).powf(members[i].1)
                });
                by(&mut wrong, &|i| stream.named("wrong").uniform(i as u64));
            }
        }
        let mut stays = vec![false; members.len()];
        right
            .iter()
            .take(k1)
            .chain(wrong.iter().take(k0))
            .for_each(|&i| stays[i] = true);
        stays
    }
}

impl Part for Roc {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        check(
            self.keep >= 2,
            &format!("{at}.keep"),
            self.keep,
            "a group size of 2 or more",
        )?;
        for (key, value) in [("min_wrong", self.min_wrong), ("min_right", self.min_right)] {
            check(value <= self.keep, &format!("{at}.{key}"), value, "at most `keep`")?;
        }
        let ok = (0.0..=1.0).contains(&self.no_call);
        check(ok, &format!("{at}.no_call"), self.no_call, "a number in [0, 1]")
    }

    fn filter(&self, rollouts: &[Rollout], context: &Context<'_>) -> Result<Option<Vec<Verdict>>, StageError> {
        let mut verdicts = vec![Verdict::Keep; rollouts.len()];
        let n = self.keep as usize;
        for (group, members) in groups(rollouts) {
            if members.len() < n {
                let reason = format!("group {group} has {} rollouts, fewer than {n}", members.len());
                members
                    .iter()
                    .for_each(|&i| verdicts[i] = Verdict::Drop(reason.clone()));
            } else if members.len() > n {
                let each: Vec<_> = members
                    .iter()
                    .map(|&i| (rollouts[i].reward, self.penalty(&rollouts[i])))
                    .collect();
                let stream = Stream::new(self.seed).named("roc").at(context.step).at(group);
                let stays = self.survivors(&each, &stream);
                for ((&i, (reward, penalty)), _) in members.iter().zip(each).zip(stays).filter(|(_, stays)| !stays) {
                    let side = if reward > 0.0 { "right" } else { "wrong" };
                    verdicts[i] = Verdict::Drop(format!("resampled away: {side}, penalty {penalty}"));
                }
            }
        }
        Ok(Some(verdicts))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, near};
    use super::*;
    use crate::stages::Advantage;

    fn roc(keep: u32, select: RocSelect) -> Roc {
        Roc {
            keep,
            select,
            min_wrong: 2,
            min_right: 2,
            no_call: 0.5,
            seed: 0,
        }
    }

    #[test]
    fn golden_counts() {
        for (wrong, right, want) in [
            (16, 16, (8, 8)),
            (5, 27, (2, 14)),
            (31, 1, (15, 1)),
            (30, 2, (14, 2)),
            (29, 3, (14, 2)),
            (1, 31, (1, 15)),
        ] {
            assert_eq!(counts(wrong, right, 16, 2, 2), Some(want), "{wrong} {right}");
        }
        // The reference would take 4 + 10 and fail.
        assert_eq!(counts(9, 21, 15, 2, 2), Some((4, 11)));
        for wrong in 0..=32 {
            let (k0, k1) = counts(wrong, 32 - wrong, 16, 2, 2).unwrap();
            assert!(k0 + k1 == 16 && k0 <= wrong && k1 <= 32 - wrong);
        }
        assert_eq!(counts(2, 2, 2, 2, 2), None);
    }

    #[test]
    fn golden_penalties() {
        let one = |good, bad, answers, turns| Rollout {
            answers,
            turns,
            ..called(good, bad)
        };
        let p = |rollout| roc(2, RocSelect::Sorted).penalty(&rollout);
        near(p(one(0, 0, Some(1), 3)), 0.5, 0.0);
        near(p(one(3, 1, Some(2), 4)), 0.5, 1e-12);
        near(p(one(3, 1, Some(0), 4)), 1.25, 1e-12);
        near(p(one(3, 1, None, 4)), 0.25, 1e-12);
    }

    #[test]
    fn golden_group() {
        let rewards = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0];
        let penalties = [0.5, 0.0, 0.0, 1.25, 1.5, 0.25];
        let members: Vec<_> = rewards.into_iter().zip(penalties).collect();
        let stays = roc(4, RocSelect::Sorted).survivors(&members, &Stream::new(0));
        assert_eq!(stays, [false, true, true, false, true, true]);
        let settings = Advantage::default();
        let stats = settings.stats(&[(0.0, 1.0), (1.0, 1.0), (0.0, 1.0), (1.0, 1.0)]);
        near(settings.of(1.0, &stats), 0.86603, 1e-5);
    }

    #[test]
    fn the_weighted_choice_favours_clean_rollouts() {
        let members: Vec<_> = [0.0, 0.25, 1.0, 1.0]
            .into_iter()
            .map(|p| (1.0, p))
            .chain([(0.0, 0.0); 4])
            .collect();
        let mut taken = [0u32; 8];
        for step in 0..2000 {
            let stays = roc(4, RocSelect::Weighted).survivors(&members, &Stream::new(0).at(step));
            assert_eq!(stays.iter().filter(|s| **s).count(), 4);
            taken.iter_mut().zip(stays).for_each(|(t, s)| *t += u32::from(s));
        }
        // The clean one always; of the others one, with weights 4, 1, 1.
        assert_eq!(taken[0], 2000);
        assert!((i64::from(taken[1]) - 1333).abs() < 100, "{taken:?}");
        assert!((i64::from(taken[2]) - 333).abs() < 70, "{taken:?}");
        assert!(
            taken[4..].iter().all(|t| (i64::from(*t) - 1000).abs() < 120),
            "{taken:?}"
        );
    }
}
