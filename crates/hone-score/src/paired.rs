//! Two policies on the same tasks.

use crate::bootstrap;
use crate::estimate::sign_test;
use crate::measures::Measures;
use hone_trace::Stream;
use serde::{Deserialize, Serialize};

/// The difference in success of two policies over the tasks that both tried: `second − first`.
///
/// Pairing by task removes the spread between easy and hard tasks, so it tells policies apart that two separate
/// intervals would not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Tasks that both tried.
    pub tasks: u64,
    /// Mean over tasks of the difference in success rate (a fraction, −1 to 1).
    pub difference: f64,
    /// 95 % percentile interval of the difference, from resampling tasks (Efron 1979).
    pub ci95: [f64; 2],
    /// Tasks on which the first did better.
    pub first_better: u64,
    /// Tasks on which the second did better.
    pub second_better: u64,
    /// Two-sided exact sign test over the tasks on which they differ; with one try per task, McNemar's exact test.
    pub p_value: f64,
}

impl Paired {
    /// Compare; the bootstrap draws from `stream`. `None` if no task was tried by both.
    pub fn compare(first: &Measures, second: &Measures, stream: &Stream) -> Option<Self> {
        let differences: Vec<f64> = first
            .tasks
            .iter()
            .filter_map(|(task, a)| Some(second.tasks.get(task)?.fraction()? - a.fraction()?))
            .collect();
        let ci95 = bootstrap(&differences, stream)?;
        let n = differences.len();
        let first_better = differences.iter().filter(|d| **d < 0.0).count() as u64;
        let second_better = differences.iter().filter(|d| **d > 0.0).count() as u64;
        Some(Self {
            tasks: n as u64,
            difference: differences.iter().sum::<f64>() / n as f64,
            ci95,
            first_better,
            second_better,
            p_value: sign_test(first_better, second_better),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::episode;
    use hone_trace::Outcome;

    fn policy(successes: impl Fn(usize) -> bool, tasks: usize) -> Measures {
        let episodes: Vec<_> = (0..tasks)
            .map(|t| {
                episode(
                    &t.to_string(),
                    if successes(t) {
                        Outcome::Ok
                    } else {
                        Outcome::PolicyFailed
                    },
                )
            })
            .collect();
        Measures::of(&episodes)
    }

    #[test]
    fn counts_what_differs() {
        // First: 0..30. Second: 2..50. So the first is better on 2 tasks, the second on 20.
        let (a, b) = (policy(|t| t < 30, 100), policy(|t| (2..50).contains(&t), 100));
        let paired = Paired::compare(&a, &b, &Stream::new(1)).unwrap();
        assert_eq!((paired.tasks, paired.first_better, paired.second_better), (100, 2, 20));
        assert!((paired.difference - 0.18).abs() < 1e-12);
        // 2 · (1 + 22 + 231) / 2^22.
        assert!((paired.p_value - 508.0 / 4_194_304.0).abs() < 1e-12);
        // The normal interval: sd of the differences is √(0.22 − 0.18²) = 0.4331, so ± 1.96 · 0.0433.
        assert!(
            (paired.ci95[0] - 0.095).abs() < 0.015 && (paired.ci95[1] - 0.265).abs() < 0.015,
            "{paired:?}"
        );
        assert_eq!(Some(paired), Paired::compare(&a, &b, &Stream::new(1)));
        let mirrored = Paired::compare(&b, &a, &Stream::new(1)).unwrap();
        assert!((mirrored.difference + 0.18).abs() < 1e-12 && mirrored.p_value == paired.p_value);
    }

    #[test]
    fn only_shared_tasks_are_compared() {
        let (a, b) = (policy(|_| true, 3), policy(|_| true, 5));
        let paired = Paired::compare(&a, &b, &Stream::new(1)).unwrap();
        assert_eq!(
            (paired.tasks, paired.difference, paired.ci95, paired.p_value),
            (3, 0.0, [0.0, 0.0], 1.0)
        );
        assert_eq!(Paired::compare(&a, &Measures::default(), &Stream::new(1)), None);
    }
}
