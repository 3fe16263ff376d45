//! Success over repeated runs.

use std::collections::BTreeMap;

/// Whether a reward counts as a success.
pub fn is_success(reward: f64) -> bool {
    (reward - 1.0).abs() <= 1e-6
}

/// The probability that `k` runs out of `n`, of which `successes` succeeded, all succeed: C(successes, k) / C(n, k).
/// `None` where `k` is larger than `n`. (τ-bench, arXiv 2406.12045.)
pub fn pass_hat(n: u64, successes: u64, k: u64) -> Option<f64> {
    if k > n || successes > n {
        return None;
    }
    Some(
        (0..k)
            .map(|i| successes.saturating_sub(i) as f64 / (n - i) as f64)
            .product(),
    )
}

/// pass^1, pass^2, … over runs given as task ids and rewards: the mean over tasks of [`pass_hat`], up to the number of runs
/// of the task that has the fewest. Runs that failed for no fault of the agent are to be left out before.
pub fn pass_hats<'a>(runs: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<f64> {
    let mut tasks: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (task, reward) in runs {
        let (n, successes) = tasks.entry(task).or_default();
        *n += 1;
        *successes += u64::from(is_success(reward));
    }
    let most = tasks.values().map(|(n, _)| *n).min().unwrap_or_default();
    let mean = |k| {
        let sum: f64 = tasks
            .values()
            .filter_map(|(n, successes)| pass_hat(*n, *successes, k))
            .sum();
        sum / tasks.len() as f64
    };
    (1..=most).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_hat_of_four_runs() {
        let values: Vec<_> = (1..=4).filter_map(|k| pass_hat(4, 3, k)).collect();
        assert_eq!(values, [0.75, 0.5, 0.25, 0.0]);
        assert_eq!(pass_hat(2, 2, 3), None);
    }

    #[test]
    fn pass_hats_go_as_far_as_every_task() {
        let runs = [("a", 1.0), ("a", 1.0), ("b", 1.0), ("b", 0.0), ("b", 0.0)];
        assert_eq!(pass_hats(runs), [(1.0 + 1.0 / 3.0) / 2.0, 0.5]);
        assert!(pass_hats([]).is_empty());
    }
}
