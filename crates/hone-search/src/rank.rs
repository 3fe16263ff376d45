//! The best few of many scores.

use std::cmp::Ordering;

/// A row of an index with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The row, counted from 0 in the order of building.
    pub row: usize,
    /// The higher, the better.
    pub score: f32,
}

/// Best first; equal scores in the order of rows. Total, also over what is no number (which comes last).
fn order(a: &Ranked, b: &Ranked) -> Ordering {
    let key = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    key(b.score).total_cmp(&key(a.score)).then(a.row.cmp(&b.row))
}

/// The `k` best, best first; equal scores in the order of rows. Linear in the number of scores.
pub fn best(scores: impl IntoIterator<Item = Ranked>, k: usize) -> Vec<Ranked> {
    if k == 0 {
        return Vec::new();
    }
    let mut kept: Vec<Ranked> = Vec::new();
    // What cannot be among the best any more: at least `k` that were seen are better.
    let mut bar: Option<Ranked> = None;
    for scored in scores {
        if bar.is_some_and(|bar| order(&scored, &bar) != Ordering::Less) {
            continue;
        }
        kept.push(scored);
        if kept.len() >= k.saturating_mul(2).max(64) {
            kept.select_nth_unstable_by(k - 1, order);
            kept.truncate(k);
            bar = kept.get(k - 1).copied();
        }
    }
    kept.sort_unstable_by(order);
    kept.truncate(k);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_the_head_of_the_sorted_list(scores in prop::collection::vec(0u8..20, 0..400), k in 0usize..50) {
            let ranked: Vec<Ranked> = scores.iter().enumerate().map(|(row, score)| Ranked { row, score: f32::from(*score) }).collect();
            let mut sorted = ranked.clone();
            // A stable sort keeps the order of rows among equals.
            sorted.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
            sorted.truncate(k);
            prop_assert_eq!(best(ranked, k), sorted);
        }
    }

    #[test]
    fn what_is_no_number_comes_last() {
        let scores = [f32::NAN, -1.0, f32::NEG_INFINITY, 2.0];
        let ranked = scores
            .iter()
            .enumerate()
            .map(|(row, score)| Ranked { row, score: *score });
        let rows: Vec<usize> = best(ranked, 4).iter().map(|ranked| ranked.row).collect();
        assert_eq!(rows, [3, 1, 0, 2]);
    }
}
