//! Ranking by vectors.

use crate::{Ranked, best};

/// Sums that a dot product runs side by side: enough for the compiler's widest registers.
const LANES: usize = 16;

/// Vectors of one dimension, row by row in one flat matrix of f32, searched exactly.
///
/// A search costs one pass over the matrix (15 MB for 10,000 rows of 384). Approximate structures only pay far above that
/// (about 100,000 rows), and their answers depend on how they were built.
#[derive(Clone, Debug, Default)]
pub struct Vectors {
    dimension: usize,
    flat: Vec<f32>,
}

impl Vectors {
    /// Rows out of a flat matrix. What is left over after the last whole row is dropped.
    pub fn new(dimension: usize, mut flat: Vec<f32>) -> Self {
        flat.truncate(flat.len().checked_div(dimension).unwrap_or(0) * dimension);
        Self { dimension, flat }
    }

    /// Numbers per vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.flat.len().checked_div(self.dimension).unwrap_or(0)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.flat.is_empty()
    }

    /// A row, if there is one.
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        self.flat.get(row.checked_mul(self.dimension)?..)?.get(..self.dimension)
    }

    /// The dot product of each row with `query`, in the order of rows: the cosine where both are unit vectors.
    pub fn products<'a>(&'a self, query: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.flat.chunks_exact(self.dimension.max(1)).map(|row| dot(row, query))
    }

    /// The `k` rows with the largest dot product with `query`, among those that `keep` takes.
    pub fn nearest(&self, query: &[f32], k: usize, keep: &dyn Fn(usize) -> bool) -> Vec<Ranked> {
        let kept = self
            .products(query)
            .enumerate()
            .filter(|(row, _)| keep(*row))
            .map(|(row, score)| Ranked { row, score });
        best(kept, k)
    }
}

/// The dot product over the shorter of both lengths, in a fixed order of additions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_wide, b_wide) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_wide
        .remainder()
        .iter()
        .zip(b_wide.remainder())
        .map(|(a, b)| a * b)
        .sum();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_wide.zip(b_wide) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_products_are_those_of_the_definition() {
        for length in [0, 1, 15, 16, 17, 40] {
            let a: Vec<f32> = (0..length).map(|i| i as f32 - 7.0).collect();
            let b: Vec<f32> = (0..length).map(|i| (i * i % 11) as f32).collect();
            // Small whole numbers: exact in any order.
            let expected: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&a, &b), expected, "{length}");
        }
    }

    #[test]
    fn the_nearest_come_first() {
        let vectors = Vectors::new(2, vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0, 0.6, 0.8, 9.0]);
        assert_eq!(vectors.len(), 4);
        assert_eq!(vectors.row(1), Some(&[0.6, 0.8][..]));
        assert_eq!(vectors.row(4), None);
        let near = vectors.nearest(&[0.8, 0.6], 3, &|_| true);
        assert_eq!(near.iter().map(|ranked| ranked.row).collect::<Vec<_>>(), [1, 3, 0]);
        assert!((near[0].score - 0.96).abs() < 1e-6);
        assert_eq!(vectors.nearest(&[0.8, 0.6], 3, &|row| row > 1).len(), 2);
    }
}
