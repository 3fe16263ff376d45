//! The bootstrap of a mean.

use hone_trace::Stream;
use rand::RngExt;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 4000;

/// From so many values on, a resample's counts are drawn instead of its values.
const MANY: usize = 10_000;

/// Different values at most whose counts are drawn.
const FEW: usize = 64;

/// 95 % percentile interval of the mean of `values` from resampling them with replacement (Efron 1979), 4,000 times from
/// `stream`. `None` without values.
///
/// Of 10,000 values or more that are few different ones, such as differences in success, a resample is drawn as the
/// numbers of times that each occurs: they are multinomial, and what a hundred thousand draws would tell, a few tell.
pub fn bootstrap(values: &[f64], stream: &Stream) -> Option<[f64; 2]> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mut rng = stream.named("bootstrap");
    let counts = (n >= MANY).then(|| counts(values)).filter(|counts| counts.len() <= FEW);
    let mut means: Vec<f64> = match counts {
        Some(counts) => (0..RESAMPLES)
            .map(|_| mean_of_counts(&counts, n as u64, &mut rng))
            .collect(),
        None => (0..RESAMPLES)
            .map(|_| (0..n).map(|_| values[rng.random_range(0..n)]).sum::<f64>() / n as f64)
            .collect(),
    };
    means.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| means[((RESAMPLES - 1) as f64 * q).round() as usize];
    Some([quantile(0.025), quantile(0.975)])
}

/// Each different value with how often it occurs.
fn counts(values: &[f64]) -> Vec<(f64, u64)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits();
    sorted.chunk_by(same).map(|run| (run[0], run.len() as u64)).collect()
}

/// The mean of one resample: the first value's count is binomial, that of the next is binomial in what is left, and so on.
fn mean_of_counts(counts: &[(f64, u64)], n: u64, rng: &mut Stream) -> f64 {
    let (mut draws, mut rest) = (n, n);
    let mut sum = 0.0;
    for (value, count) in counts {
        // Of the last value there is nothing else left.
        let drawn = binomial(draws, *count as f64 / rest as f64, rng);
        sum += value * drawn as f64;
        draws -= drawn;
        rest -= count;
    }
    sum / n as f64
}

/// Successes in `n` tries of probability `p`, by inversion: outcomes take their share of a uniform number in turn, from the
/// likeliest outwards, so that few have to be looked at (Kemp 1986).
fn binomial(n: u64, p: f64, rng: &mut Stream) -> u64 {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    if p >= 1.0 {
        return n;
    }
    let odds = p / (1.0 - p);
    let mode = (((n + 1) as f64 * p) as u64).min(n);
    let ways = ln_factorial(n) - ln_factorial(mode) - ln_factorial(n - mode);
    let likeliest = (ways + mode as f64 * p.ln() + (n - mode) as f64 * (-p).ln_1p()).exp();
    let mut left = rng.random::<f64>() - likeliest;
    let (mut above, mut below) = ((mode, likeliest), (mode, likeliest));
    while left >= 0.0 && (above.0 < n || below.0 > 0) {
        if above.0 < n {
            above.1 *= (n - above.0) as f64 / (above.0 + 1) as f64 * odds;
            above.0 += 1;
            left -= above.1;
            if left < 0.0 {
                return above.0;
            }
        }
        if below.0 > 0 {
            below.1 *= below.0 as f64 / (n - below.0 + 1) as f64 / odds;
            below.0 -= 1;
            left -= below.1;
            if left < 0.0 {
                return below.0;
            }
        }
        // What is left of the number is rounding: nothing further out can take it.
        if above.1 == 0.0 && below.1 == 0.0 {
            break;
        }
    }
    mode
}

/// The natural logarithm of `n!`: Stirling's series, which beyond 16 is exact to the last digits.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not within {tolerance} of {b}");
    }

    #[test]
    fn it_holds_the_normal_interval() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let [lo, hi] = bootstrap(&values, &Stream::new(3)).unwrap();
        // 0.25 ± 1.96 · √(0.1875 / 400).
        close(lo, 0.2076, 0.006);
        close(hi, 0.2924, 0.006);
        assert_eq!(bootstrap(&values, &Stream::new(3)), Some([lo, hi]));
        assert_eq!(bootstrap(&[], &Stream::new(3)), None);
    }

    #[test]
    fn of_many_values_it_holds_the_normal_interval_too() {
        // A third each of −1, 0 and 1: ± 1.96 · √(2/3 / 90,000) around 0.
        let values: Vec<f64> = (0..90_000).map(|i| f64::from(i % 3 - 1)).collect();
        let [lo, hi] = bootstrap(&values, &Stream::new(3)).unwrap();
        close(lo, -0.005_334, 0.000_25);
        close(hi, 0.005_334, 0.000_25);
        assert_eq!(bootstrap(&values, &Stream::new(3)), Some([lo, hi]));
        // As many different values as there are, drawn one by one: 0 to 1 evenly, 0.5 ± 1.96 · √(1/12 / 10,000).
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i) / 9_999.0).collect();
        let [lo, hi] = bootstrap(&values, &Stream::new(3)).unwrap();
        close(lo, 0.494_342, 0.000_4);
        close(hi, 0.505_658, 0.000_4);
    }

    #[test]
    fn binomial_draws_follow_the_binomial_law() {
        // C(6, k) 0.3^k 0.7^(6 − k), in 20,000 draws: five standard errors are 5 √(0.25 / 20,000).
        let wanted = [
            0.117_649, 0.302_526, 0.324_135, 0.185_22, 0.059_535, 0.010_206, 0.000_729,
        ];
        let mut rng = Stream::new(5);
        let mut seen = [0u32; 7];
        for _ in 0..20_000 {
            seen[binomial(6, 0.3, &mut rng) as usize] += 1;
        }
        for (seen, wanted) in seen.into_iter().zip(wanted) {
            close(f64::from(seen) / 20_000.0, wanted, 0.018);
        }
        // Mean n p and variance n p (1 − p) of a wide one.
        let draws: Vec<f64> = (0..4000).map(|_| binomial(100_000, 0.37, &mut rng) as f64).collect();
        let mean = draws.iter().sum::<f64>() / 4000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0;
        close(mean, 37_000.0, 12.0);
        close(variance, 23_310.0, 2_600.0);
        assert_eq!(
            [(0, 0.5), (9, 0.0), (9, 1.0)].map(|(n, p)| binomial(n, p, &mut rng)),
            [0, 0, 9]
        );
    }

    #[test]
    fn factorials_are_exact_where_the_series_begins() {
        // 15! = 1,307,674,368,000 and 20! = 2,432,902,008,176,640,000.
        close(ln_factorial(15), 1_307_674_368_000f64.ln(), 1e-12);
        close(ln_factorial(20), 2_432_902_008_176_640_000f64.ln(), 1e-12);
        assert_eq!(ln_factorial(1), 0.0);
    }
}
