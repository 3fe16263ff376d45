//! Which task to play next: state machines that learn which tasks still teach something.

use std::collections::BTreeMap;

use hone_trace::Stream;
use serde::{Deserialize, Serialize};

/// Leaves out what is solved (AstraFlow's `filter_solved`): of each task rate := .9 rate + .1 share of rewards above 0, from 0; it is played while
/// rate < `solved`. A task that succeeds every time is first left out after 29 visits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSolved {
    /// The bound; .95 in the source.
    pub solved: f64,
    rates: BTreeMap<u64, f64>,
}

impl FilterSolved {
    /// With the source's bound.
    pub fn new() -> Self {
        Self {
            solved: 0.95,
            rates: BTreeMap::new(),
        }
    }

    /// Whether the task is played.
    pub fn takes(&self, task: u64) -> bool {
        self.rates.get(&task).is_none_or(|rate| *rate < self.solved)
    }

    /// Learns from a group's rewards.
    pub fn saw(&mut self, task: u64, rewards: &[f64]) {
        let right = rewards.iter().filter(|r| **r > 0.0).count();
        let rate = self.rates.entry(task).or_default();
        *rate = 0.9 * *rate + 0.1 * right as f64 / rewards.len().max(1) as f64;
    }
}

impl Default for FilterSolved {
    fn default() -> Self {
        Self::new()
    }
}

/// Of which kind a task without variance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ease {
    /// Its mean reward is above 1/2.
    Easy,
    /// It is not.
    Hard,
}

/// What GRESO knows of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kind {
    /// Probability that a task is played after one visit without variance.
    p: f64,
    /// Groups of the kind without variance since the last version.
    flat: u64,
    /// Least probability of a task.
    floor: f64,
    /// Share of groups of this kind that is aimed at.
    target: f64,
}

/// GRESO (arXiv 2506.02177, as in AstraFlow's code): z is the length of a task's present streak of groups without variance of one kind. z = 0 is always
/// played; else with probability max(p_kind^z, floor). A group with variance ends the streak, another kind begins it anew at 1. At each new version of
/// the policy, per kind: where its share of the groups seen since is at least the target, p - .01, else p + .01, within [.01, .99]; p stays .5 in the
/// first epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greso {
    easy: Kind,
    hard: Kind,
    streaks: BTreeMap<u64, (Ease, u32)>,
    seen: u64,
}

impl Greso {
    /// With the source's floors (.10 easy, .40 hard) and targets (.083, .167).
    pub fn new() -> Self {
        let kind = |floor, target| Kind {
            p: 0.5,
            flat: 0,
            floor,
            target,
        };
        Self {
            easy: kind(0.10, 0.083),
            hard: kind(0.40, 0.167),
            streaks: BTreeMap::new(),
            seen: 0,
        }
    }

    fn kind(&mut self, ease: Ease) -> &mut Kind {
        match ease {
            Ease::Easy => &mut self.easy,
            Ease::Hard => &mut self.hard,
        }
    }

    /// p of a kind.
    pub fn p(&self, ease: Ease) -> f64 {
        match ease {
            Ease::Easy => self.easy.p,
            Ease::Hard => self.hard.p,
        }
    }

    /// With what probability the task is played.
    pub fn probability(&self, task: u64) -> f64 {
        let Some((ease, z)) = self.streaks.get(&task) else {
            return 1.0;
        };
        let kind = match ease {
            Ease::Easy => &self.easy,
            Ease::Hard => &self.hard,
        };
        kind.p.powf(f64::from(*z)).max(kind.floor)
    }

    /// Whether the task is played at its `visit`-th turn.
    pub fn takes(&self, task: u64, visit: u64, stream: &Stream) -> bool {
        stream.named("greso").at(task).uniform(visit) < self.probability(task)
    }

    /// Learns from a group's rewards.
    pub fn saw(&mut self, task: u64, rewards: &[f64]) {
        self.seen += 1;
        if rewards.is_empty() || !crate::stages::all_close(rewards) {
            self.streaks.remove(&task);
            return;
        }
        let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
        let ease = if mean > 0.5 { Ease::Easy } else { Ease::Hard };
        self.kind(ease).flat += 1;
        let streak = self.streaks.entry(task).or_insert((ease, 0));
        *streak = match *streak {
            (kind, z) if kind == ease => (ease, z.saturating_add(1)),
            _ => (ease, 1),
        };
    }

    /// A new version of the policy is out. `warm` once the first epoch is over.
    pub fn version(&mut self, warm: bool) {
        let seen = self.seen as f64;
        for kind in [&mut self.easy, &mut self.hard] {
            if warm && seen > 0.0 {
                let step = if kind.flat as f64 / seen >= kind.target {
                    -0.01
                } else {
                    0.01
                };
                kind.p = (kind.p + step).clamp(0.01, 0.99);
            }
            kind.flat = 0;
        }
        self.seen = 0;
    }
}

impl Default for Greso {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_always_succeeds_is_left_out_after_29_visits() {
        let mut curator = FilterSolved::new();
        let visits = (0..).take_while(|_| {
            let takes = curator.takes(7);
            curator.saw(7, &[1.0; 4]);
            takes
        });
        assert_eq!(visits.count(), 29);
        assert!(curator.takes(8));
    }

    #[test]
    fn golden_probabilities_of_greso() {
        let mut greso = Greso::new();
        let (easy, hard) = ([1.0; 4], [0.0; 4]);
        assert_eq!(greso.probability(0), 1.0);
        (0..3).for_each(|_| greso.saw(0, &hard));
        (0..3).for_each(|_| greso.saw(1, &easy));
        assert_eq!((greso.probability(0), greso.probability(1)), (0.40, 0.125));
        greso.saw(1, &easy);
        assert_eq!(greso.probability(1), 0.10);
        // Another kind begins the streak anew.
        greso.saw(2, &easy);
        greso.saw(2, &easy);
        greso.saw(2, &hard);
        assert_eq!(greso.streaks[&2], (Ease::Hard, 1));
        greso.saw(2, &[1.0, 0.0]);
        assert_eq!(greso.probability(2), 1.0);
    }

    #[test]
    fn shares_move_the_probabilities() {
        let seen = || {
            let mut greso = Greso::new();
            greso.saw(0, &[1.0; 2]);
            greso.saw(1, &[1.0; 2]);
            (2..10).for_each(|task| greso.saw(task, &[1.0, 0.0]));
            greso
        };
        let mut greso = seen();
        greso.version(true);
        assert_eq!((greso.p(Ease::Easy), greso.p(Ease::Hard)), (0.49, 0.51));
        let mut cold = seen();
        cold.version(false);
        assert_eq!(cold.p(Ease::Easy), 0.5);
        let drawn = (0..2000)
            .filter(|visit| seen().takes(0, *visit, &Stream::new(1)))
            .count();
        assert!((drawn as i64 - 1000).abs() < 100, "{drawn}");
    }
}
