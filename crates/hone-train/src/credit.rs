//! Credit-assignment SFT: which steps of a failed trajectory are worth learning.

use std::ops::Range;

/// The steps that raised the value, as maximal ranges (Orchard, arXiv 2605.15040): V(s_t) is the retrospective probability of success before step t,
/// c_t = V(s_{t+1}) - V(s_t), and a range holds steps with c_t > `least`. `values` has one entry more than there are steps. The steps in a range are
/// targets, all others context; a trajectory that succeeded is learnt in full.
pub fn rising_steps(values: &[f64], least: f64) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (step, pair) in values.windows(2).enumerate() {
        if pair[1] - pair[0] > least {
            match out.last_mut().filter(|range| range.end == step) {
                Some(range) => range.end = step + 1,
                None => out.push(step..step + 1),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_segments() {
        let values = [0.2, 0.3, 0.5, 0.4, 0.4, 0.6, 0.1];
        assert_eq!(rising_steps(&values, 0.0), [0..2, 4..5]);
        assert_eq!(rising_steps(&values, 0.15), [1..2, 4..5]);
        assert!(rising_steps(&[0.5], 0.0).is_empty() && rising_steps(&[], 0.0).is_empty());
        assert!(rising_steps(&[f64::NAN, 0.5, f64::NAN], 0.0).is_empty());
    }
}
