//! Several rankings made into one.

use crate::{Ranked, best};
use std::collections::HashMap;

/// The constant of reciprocal-rank fusion, as its authors fixed it.
pub const RRF_K: f32 = 60.0;

/// Reciprocal-rank fusion: the score of a row d over rankings R is Σ_{r ∈ R} 1 / (k + r(d)), where r(d) is d's rank in r
/// counted from 1, and a ranking that does not have d adds nothing; k is [`RRF_K`].
///
/// Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods",
/// SIGIR 2009, which found k = 60 in pilot runs. Each ranking is best first and has a row at most once. Gives the `most`
/// best; equal scores in the order of rows.
pub fn fuse(rankings: &[&[Ranked]], most: usize) -> Vec<Ranked> {
    let mut scores: HashMap<usize, f32> = HashMap::new();
    for ranking in rankings {
        for (place, ranked) in ranking.iter().enumerate() {
            *scores.entry(ranked.row).or_default() += 1.0 / (RRF_K + (place + 1) as f32);
        }
    }
    best(scores.into_iter().map(|(row, score)| Ranked { row, score }), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(rows: &[usize]) -> Vec<Ranked> {
        rows.iter().map(|&row| Ranked { row, score: 0.0 }).collect()
    }

    /// By hand: row 1 is second and first, 1/62 + 1/61 = 0.0325225; row 0 first and third, 1/61 + 1/63 = 0.0322665; row 2
    /// third and second, 1/63 + 1/62 = 0.0320020; row 7 fourth in one, 1/64 = 0.015625.
    #[test]
    fn sums_reciprocal_ranks() {
        let fused = fuse(&[&ranking(&[0, 1, 2, 7]), &ranking(&[1, 2, 0])], 10);
        let rows: Vec<usize> = fused.iter().map(|ranked| ranked.row).collect();
        assert_eq!(rows, [1, 0, 2, 7]);
        for (ranked, expected) in fused.iter().zip([0.032_522_5, 0.032_266_5, 0.032_002_0, 0.015_625]) {
            assert!(
                (ranked.score - expected).abs() < 1e-7,
                "{ranked:?} instead of {expected}"
            );
        }
    }

    #[test]
    fn equal_scores_keep_the_order_of_rows() {
        let fused = fuse(&[&ranking(&[9, 4]), &ranking(&[4, 9])], 10);
        assert_eq!(fused.iter().map(|ranked| ranked.row).collect::<Vec<_>>(), [4, 9]);
    }
}
