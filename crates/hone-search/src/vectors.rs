//! Vectors in one matrix.

/// Sums that a dot product runs side by side: enough for the compiler's widest registers.
const LANES: usize = 16;

/// Vectors of one dimension, row by row in one flat matrix of f32.
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

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.flat.chunks_exact(self.dimension.max(1))
    }
}

/// The dot product over the shorter of both lengths, in a fixed order of additions.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
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
    fn rows_are_whole() {
        let vectors = Vectors::new(2, vec![1.0, 0.0, 0.6, 0.8, 9.0]);
        assert_eq!(vectors.len(), 2);
        assert_eq!(vectors.row(1), Some(&[0.6, 0.8][..]));
        assert_eq!(vectors.row(2), None);
        assert_eq!(vectors.rows().last(), vectors.row(1));
    }
}
