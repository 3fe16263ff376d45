//! The estimators: closed formulas, each with its source.

use serde::{Deserialize, Serialize};

/// The 97.5 % quantile of the standard normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// A success rate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Estimate, as a fraction.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub lo: f64,
    /// Upper end of the 95 % interval.
    pub hi: f64,
    /// Number of episodes behind it.
    pub n: u64,
}

impl Rate {
    /// `successes` out of `n` independent episodes; `None` when `n` is 0.
    ///
    /// More successes than episodes count as `n`.
    pub fn of(successes: u64, n: u64) -> Option<Self> {
        if n == 0 {
            return None;
        }
        let value = successes.min(n) as f64 / n as f64;
        let (lo, hi) = wilson(value, n as f64);
        Some(Self { value, lo, hi, n })
    }

    /// Whether the two 95 % intervals have no point in common.
    pub fn apart(&self, other: &Self) -> bool {
        self.hi < other.lo || other.hi < self.lo
    }
}

/// Wilson's 95 % score interval of a proportion `p` seen in `n` trials (E. B. Wilson, JASA 22, 1927):
/// `(p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)`, with z = 1.96.
///
/// `n` need not be whole: correlated trials enter with their effective number. `n` = 0 knows nothing: `(0, 1)`.
pub fn wilson(p: f64, n: f64) -> (f64, f64) {
    if n <= 0.0 {
        return (0.0, 1.0);
    }
    let z2 = Z95 * Z95;
    let centre = p + z2 / (2.0 * n);
    let half = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // At p = 0 and p = 1 the inner end is 0 or 1 exactly; rounding must not move it, nor push it past p.
    let lo = ((centre - half) / scale).clamp(0.0, p);
    let hi = ((centre + half) / scale).clamp(p, 1.0);
    (if p == 0.0 { 0.0 } else { lo }, if p == 1.0 { 1.0 } else { hi })
}

/// Chance that at least one of `k` tries succeeds, from `c` successes in `n` tries of a task:
/// `1 − C(n−c, k) / C(n, k)`, unbiased (Chen et al. 2021, arXiv:2107.03374, eq. 1).
///
/// `None` unless 1 ≤ k ≤ n and c ≤ n.
pub fn pass_at(n: u64, c: u64, k: u64) -> Option<f64> {
    ratio_of_choices(n.checked_sub(c)?, n, k).map(|none| 1.0 - none)
}

/// Chance that all of `k` tries succeed, from `c` successes in `n` tries of a task:
/// `C(c, k) / C(n, k)`, unbiased (Yao et al. 2024, τ-bench, arXiv:2406.12045, §3).
///
/// `None` unless 1 ≤ k ≤ n and c ≤ n.
pub fn pass_hat(n: u64, c: u64, k: u64) -> Option<f64> {
    ratio_of_choices(c, n, k)
}

/// `C(m, k) / C(n, k)` for m ≤ n, as a product of fractions at most 1, so that nothing overflows.
fn ratio_of_choices(m: u64, n: u64, k: u64) -> Option<f64> {
    if k == 0 || k > n || m > n {
        return None;
    }
    if m < k {
        return Some(0.0);
    }
    Some((0..k).map(|i| (m - i) as f64 / (n - i) as f64).product())
}

/// Two-sided exact sign test: chance of a split at least as uneven as `a` : `b` among `a + b` fair coin flips.
///
/// On the discordant pairs of two policies with one try per task this is McNemar's exact test (McNemar 1947).
pub fn sign_test(a: u64, b: u64) -> f64 {
    let n = a + b;
    // P(X ≤ min(a, b)) for X ~ Binomial(n, 1/2); the log of each term from the one before.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for i in 0..a.min(b) {
        log_term += ((n - i) as f64 / (i + 1) as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

/// Mean and sample standard deviation, as for one number over several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanSd {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n − 1); `None` for a single value.
    pub sd: Option<f64>,
    /// Number of values.
    pub n: usize,
}

impl MeanSd {
    /// Of these values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let sd = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { mean, sd, n })
    }
}

/// Nearest-rank percentile: of the values in order, number `⌈share · n⌉` (the first is 1). `share` is 0 to 1.
///
/// `None` without values or with one that is not a number.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    if values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Standard error of the mean of all values when those of one cluster (the tries of one task) are not independent:
/// `√(Σ_cluster (Σ_value (x − mean))²) / n` (Liang & Zeger 1986, without small-sample correction; Miller 2024,
/// arXiv:2411.00640, eq. 4). With one value per cluster it is `√(Σ (x − mean)²) / n`.
///
/// `None` without values.
pub fn clustered_error(clusters: &[Vec<f64>]) -> Option<f64> {
    let n = clusters.iter().map(Vec::len).sum::<usize>();
    if n == 0 {
        return None;
    }
    let mean = clusters.iter().flatten().sum::<f64>() / n as f64;
    let squares: f64 = clusters
        .iter()
        .map(|c| c.iter().map(|x| x - mean).sum::<f64>().powi(2))
        .sum();
    Some(squares.sqrt() / n as f64)
}

/// What one success costs: all that was spent, on failures, retries and escalations too, over the successes. `None`
/// without a success.
pub fn cost_per_success(spent: f64, successes: u64) -> Option<f64> {
    (successes > 0).then(|| spent / successes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not within {tolerance} of {b}");
    }

    #[test]
    fn wilson_golden() {
        // The ends are by definition the roots of (p̂ − p)² n = z² p (1 − p), found here by bisection outside of this
        // program; for 0 of n that is hi = z² / (n + z²).
        for (c, n, lo, hi) in [
            (8, 10, 0.490_162_5, 0.943_317_8),
            (1, 2, 0.094_531_2, 0.905_468_8),
            (0, 10, 0.0, 0.277_532_8),
            (10, 10, 0.722_467_2, 1.0),
            (50, 100, 0.403_831_5, 0.596_168_5),
        ] {
            let rate = Rate::of(c, n).unwrap();
            close(rate.lo, lo, 1e-6);
            close(rate.hi, hi, 1e-6);
        }
        assert_eq!(Rate::of(0, 0), None);
        assert_eq!(wilson(0.5, 0.0), (0.0, 1.0));
        assert!(Rate::of(1, 100).unwrap().apart(&Rate::of(99, 100).unwrap()));
        assert!(!Rate::of(5, 10).unwrap().apart(&Rate::of(6, 10).unwrap()));
    }

    #[test]
    fn pass_at_and_hat_golden() {
        // By hand: n = 4, c = 2. C(2,2)/C(4,2) = 1/6.
        close(pass_at(4, 2, 1).unwrap(), 0.5, 1e-12);
        close(pass_at(4, 2, 2).unwrap(), 5.0 / 6.0, 1e-12);
        assert_eq!(pass_at(4, 2, 3), Some(1.0));
        close(pass_hat(4, 2, 1).unwrap(), 0.5, 1e-12);
        close(pass_hat(4, 2, 2).unwrap(), 1.0 / 6.0, 1e-12);
        assert_eq!(pass_hat(4, 2, 3), Some(0.0));
        // n = 10, c = 3, k = 5: 1 − C(7,5)/C(10,5) = 1 − 21/252.
        close(pass_at(10, 3, 5).unwrap(), 11.0 / 12.0, 1e-12);
        // n = 8, c = 6, k = 4: C(6,4)/C(8,4) = 15/70.
        close(pass_hat(8, 6, 4).unwrap(), 3.0 / 14.0, 1e-12);
        for (n, c, k) in [(3, 1, 0), (3, 1, 4), (3, 4, 1), (0, 0, 1)] {
            assert_eq!(pass_at(n, c, k), None);
            assert_eq!(pass_hat(n, c, k), None);
        }
    }

    #[test]
    fn sign_test_golden() {
        // 2 · (1 + 12 + 66) / 4096, and 2 · (1/2)^5; balanced and empty splits say nothing.
        close(sign_test(10, 2), 158.0 / 4096.0, 1e-12);
        close(sign_test(0, 5), 0.0625, 1e-12);
        assert_eq!(sign_test(3, 3), 1.0);
        assert_eq!(sign_test(0, 0), 1.0);
        // Far beyond where 0.5^n underflows: a fair split stays likely, a lopsided one does not.
        assert!(sign_test(2000, 0) < 1e-300);
        assert!(sign_test(60, 140) < 1e-7 && sign_test(60, 140) > 1e-9);
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let twenty: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(percentile(&twenty, 0.95), Some(19.0));
        assert_eq!(percentile(&twenty, 0.5), Some(10.0));
        assert_eq!(
            (percentile(&twenty, 0.0), percentile(&twenty, 1.0)),
            (Some(1.0), Some(20.0))
        );
        assert_eq!((percentile(&[], 0.5), percentile(&[f64::NAN], 0.5)), (None, None));
    }

    #[test]
    fn clustered_error_golden() {
        // 1 0 1 0, alone: mean 1/2, four deviations of 1/2: √1 / 4. As two tasks of equal tries the errors add up before
        // they are squared: (1/2 + 1/2)² twice, √2 / 4.
        close(
            clustered_error(&[vec![1.0], vec![0.0], vec![1.0], vec![0.0]]).unwrap(),
            0.25,
            1e-12,
        );
        close(
            clustered_error(&[vec![1.0, 1.0], vec![0.0, 0.0]]).unwrap(),
            2f64.sqrt() / 4.0,
            1e-12,
        );
        close(clustered_error(&[vec![1.0, 0.0], vec![0.0, 1.0]]).unwrap(), 0.0, 1e-12);
        assert_eq!(clustered_error(&[vec![]]), None);
    }

    #[test]
    fn cost_counts_every_attempt() {
        // Ten tasks at 0.1 ¢, three escalations at 2 ¢, nine successes.
        close(cost_per_success(10.0 * 0.1 + 3.0 * 2.0, 9).unwrap(), 7.0 / 9.0, 1e-12);
        assert_eq!(cost_per_success(1.0, 0), None);
    }

    #[test]
    fn mean_and_sd_golden() {
        let m = MeanSd::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!(m.mean, 5.0);
        close(m.sd.unwrap(), (32.0f64 / 7.0).sqrt(), 1e-12);
        assert_eq!(MeanSd::of(&[1.5]).unwrap().sd, None);
        assert_eq!(MeanSd::of(&[]), None);
    }

    /// Mean of `f` over all subsets of size `k` of a task's `n` tries, the first `c` of which succeeded.
    fn over_subsets(n: u64, c: u64, k: u64, f: impl Fn(u64) -> bool) -> f64 {
        let sets: Vec<u64> = (0..1u64 << n).filter(|s| u64::from(s.count_ones()) == k).collect();
        let hits = sets
            .iter()
            .filter(|&&s| f(u64::from((s & ((1 << c) - 1)).count_ones())))
            .count();
        hits as f64 / sets.len() as f64
    }

    proptest! {
        #[test]
        fn pass_counts_subsets(n in 1u64..10, c in 0u64..10, k in 1u64..10) {
            prop_assume!(c <= n && k <= n);
            prop_assert!((pass_at(n, c, k).unwrap() - over_subsets(n, c, k, |hits| hits > 0)).abs() < 1e-12);
            prop_assert!((pass_hat(n, c, k).unwrap() - over_subsets(n, c, k, |hits| hits == k)).abs() < 1e-12);
        }

        #[test]
        fn wilson_holds_its_estimate(c in 0u64..500, n in 1u64..500) {
            prop_assume!(c <= n);
            let r = Rate::of(c, n).unwrap();
            prop_assert!(0.0 <= r.lo && r.lo <= r.value && r.value <= r.hi && r.hi <= 1.0);
            let mirrored = Rate::of(n - c, n).unwrap();
            prop_assert!((mirrored.lo - (1.0 - r.hi)).abs() < 1e-12);
        }
    }
}
