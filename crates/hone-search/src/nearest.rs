//! The nearest vectors, found over small copies and settled over the vectors themselves.

use crate::vectors::dot;
use crate::{Ranked, Vectors, best};

/// Largest whole number of a row's copy.
const ROW: f32 = 127.0;
/// Largest whole number of a query's copy. A dot product of [`LONGEST`] numbers stays below 2³¹.
const QUERY: f32 = 2047.0;
/// Numbers of which products are summed at once.
const LONGEST: usize = 8_192;
/// Vectors with a copy of each in bytes, a quarter of the memory, which a search reads first.
///
/// A row v is kept as v̂ = s·b for bytes b and a scale s. For a query q, kept as q̂ likewise, q·v differs from q̂·v̂ by at most
/// |q − q̂|·|v̂| + |q|·|v − v̂| (Cauchy and Schwarz), so each row has a least and a largest product. The exact one is computed of
/// the rows whose largest is not below the k-th best of the least; the result is that of a search over the vectors alone,
/// to the bit. An approximate index would be no faster at these sizes, and its answers depend on how it was built.
#[derive(Clone, Debug)]
pub(crate) struct Nearest {
    vectors: Vectors,
    copies: Vec<i8>,
    rows: Vec<Row>,
}

/// What is known of a row's copy.
#[derive(Clone, Copy, Debug)]
struct Row {
    scale: f32,
    /// |v̂|.
    length: f32,
    /// |v − v̂|; infinite where the row holds what is no number.
    error: f32,
}

/// What each row's dot product with a query may be.
pub(crate) struct Bounds<'a> {
    nearest: &'a Nearest,
    query: &'a [f32],
    /// The product of the copies, and what it may be off by.
    products: Vec<(f32, f32)>,
}

impl Nearest {
    /// Over these vectors.
    pub fn over(vectors: Vectors) -> Self {
        let mut copies = Vec::with_capacity(vectors.len() * vectors.dimension());
        let mut rows = Vec::with_capacity(vectors.len());
        for vector in vectors.rows() {
            let (scale, error) = copy(vector, ROW, |number| copies.push(number as i8));
            let kept = copies.get(copies.len() - vector.len()..).unwrap_or_default();
            let squares: i64 = kept.iter().map(|byte| i64::from(*byte) * i64::from(*byte)).sum();
            let length = scale * (squares as f32).sqrt();
            rows.push(Row { scale, length, error });
        }
        Self { vectors, copies, rows }
    }

    /// Read all copies once. A query of another dimension, or of zeros alone, has nothing near it.
    pub fn bounds<'a>(&'a self, query: &'a [f32]) -> Bounds<'a> {
        let dimension = self.vectors.dimension();
        let mut products = Vec::new();
        if query.len() == dimension && query.iter().any(|value| *value != 0.0) {
            let mut whole: Vec<i16> = Vec::with_capacity(query.len());
            let (scale, error) = copy(query, QUERY, |number| whole.push(number as i16));
            let length = dot(query, query).sqrt();
            // What sums of so many f32 may be off by, as a part of the product of both lengths: twice the usual bound.
            let rounding = f32::EPSILON * (dimension as f32 / 16.0 + 32.0);
            let rows = self.copies.chunks_exact(dimension.max(1)).zip(&self.rows);
            products.extend(rows.map(|(copy, row)| {
                let product = product(copy, &whole) * row.scale * scale;
                let off =
                    error * row.length + length * row.error + rounding * (length + error) * (row.length + row.error);
                match off.is_finite() && product.is_finite() {
                    true => (product, off),
                    false => (0.0, f32::INFINITY),
                }
            }));
        }
        Bounds {
            nearest: self,
            query,
            products,
        }
    }
}

impl Bounds<'_> {
    /// The `k` best of `groups` groups of rows, by the largest dot product that a row of theirs has with the query. `group`
    /// tells the group of a row, if it is one of those.
    pub fn best(&self, k: usize, groups: usize, group: &dyn Fn(usize) -> Option<usize>) -> Vec<Ranked> {
        if k == 0 {
            return Vec::new();
        }
        let mut least = vec![f32::NEG_INFINITY; groups];
        for (row, (product, off)) in self.products.iter().enumerate() {
            if let Some(least) = group(row).and_then(|group| least.get_mut(group)) {
                *least = least.max(product - off);
            }
        }
        let bar = best(ranked(&least), k);
        // With fewer groups than wanted, every row may be of the best.
        let bar = bar.get(k - 1).map_or(f32::NEG_INFINITY, |last| last.score);
        let mut largest: Vec<Option<f32>> = vec![None; groups];
        for (row, (product, off)) in self.products.iter().enumerate() {
            if product + off < bar {
                continue;
            }
            let slot = group(row).and_then(|group| largest.get_mut(group));
            if let (Some(slot), Some(vector)) = (slot, self.nearest.vectors.row(row)) {
                let exact = dot(vector, self.query);
                *slot = Some(slot.map_or(exact, |held| held.max(exact)));
            }
        }
        let found = largest.iter().enumerate();
        best(
            found.filter_map(|(row, score)| Some(Ranked { row, score: (*score)? })),
            k,
        )
    }
}

fn ranked(scores: &[f32]) -> impl Iterator<Item = Ranked> + '_ {
    let reached = scores
        .iter()
        .enumerate()
        .filter(|(_, score)| **score > f32::NEG_INFINITY);
    reached.map(|(row, score)| Ranked { row, score: *score })
}

/// A vector's numbers in whole steps of a scale, at most `most` of them, each given to `keep`. The scale, and how far the copy
/// is from the vector: infinitely, where that holds what is no number.
fn copy(vector: &[f32], most: f32, mut keep: impl FnMut(f32)) -> (f32, f32) {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / most;
    if !scale.is_normal() || vector.iter().any(|value| !value.is_finite()) {
        vector.iter().for_each(|_| keep(0.0));
        let none = vector.iter().all(|value| *value == 0.0);
        return (0.0, if none { 0.0 } else { f32::INFINITY });
    }
    let mut squares = 0.0_f64;
    for value in vector {
        let steps = (value / scale).round().clamp(-most, most);
        keep(steps);
        squares += (f64::from(*value) - f64::from(steps) * f64::from(scale)).powi(2);
    }
    // Rounded up, as the bound must be.
    (scale, squares.sqrt() as f32 * (1.0 + 1e-6))
}

/// The dot product of two copies. Integers, so that the compiler may sum in its widest registers.
fn product(row: &[i8], query: &[i16]) -> f32 {
    let sum = |(row, query): (&[i8], &[i16])| -> i32 {
        let products = row.iter().zip(query).map(|(a, b)| i32::from(*a) * i32::from(*b));
        products.sum()
    };
    let parts = row.chunks(LONGEST).zip(query.chunks(LONGEST));
    parts.map(sum).map(|part| part as f32).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: all products, sorted.
    fn plain(vectors: &Vectors, query: &[f32], k: usize, group: &dyn Fn(usize) -> Option<usize>) -> Vec<Ranked> {
        let mut groups: Vec<Ranked> = Vec::new();
        for (at, row) in vectors.rows().enumerate() {
            let Some(row_group) = group(at) else { continue };
            let score = dot(row, query);
            match groups.iter_mut().find(|held| held.row == row_group) {
                Some(held) => held.score = held.score.max(score),
                None => groups.push(Ranked { row: row_group, score }),
            }
        }
        groups.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
        groups.truncate(k);
        groups
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn is_the_search_over_the_vectors_themselves(
            flat in prop::collection::vec(-1.0_f32..1.0, 0..3000),
            // Some rows are nearly the same, some much larger than others.
            twins in prop::collection::vec((0usize..100, -1e-4_f32..1e-4), 0..50),
            large in 0usize..100,
            query in prop::collection::vec(-1.0_f32..1.0, 19),
            k in 0usize..30,
            groups in 1usize..40,
        ) {
            let dimension = 19;
            let mut flat = flat;
            for (row, shift) in twins {
                if let Some(row) = flat.get(row * dimension..(row + 1) * dimension).map(<[f32]>::to_vec) {
                    flat.truncate(flat.len() / dimension * dimension);
                    flat.extend(row.iter().map(|value| value + shift));
                }
            }
            for value in flat.iter_mut().skip(large * dimension).take(dimension) {
                *value *= 1e4;
            }
            let vectors = Vectors::new(dimension, flat);
            let nearest = Nearest::over(vectors.clone());
            let bounds = nearest.bounds(&query);
            for (row, (product, off)) in bounds.products.iter().enumerate() {
                let exact = dot(vectors.row(row).unwrap(), &query);
                prop_assert!((exact - product).abs() <= *off, "{exact} is not {product} ± {off}");
            }
            let each = |row: usize| (row % 7 != 3).then_some(row);
            prop_assert_eq!(bounds.best(k, vectors.len(), &each), plain(&vectors, &query, k, &each));
            let some = |row: usize| (row % 5 != 1).then_some(row % groups);
            prop_assert_eq!(bounds.best(k, groups, &some), plain(&vectors, &query, k, &some));
        }
    }

    #[test]
    fn what_is_no_number_and_what_is_nothing() {
        let vectors = Vectors::new(
            2,
            vec![f32::NAN, 1.0, 0.0, 0.0, 1.0, 0.0, f32::INFINITY, 0.0, 1e-45, 0.0],
        );
        let nearest = Nearest::over(vectors);
        let rows = |query: &[f32], k| -> Vec<usize> {
            let found = nearest.bounds(query).best(k, 5, &|row| Some(row));
            found.iter().map(|ranked| ranked.row).collect()
        };
        assert_eq!(rows(&[1.0, 0.0], 2), [3, 2]);
        assert_eq!(rows(&[1.0, 0.0], 9).len(), 5);
        assert!(rows(&[1.0, 0.0], 0).is_empty());
        assert!(rows(&[0.0, 0.0], 9).is_empty());
        assert!(rows(&[1.0], 9).is_empty());
        assert_eq!(rows(&[f32::NAN, 1.0], 9).len(), 5);
        // As many numbers as fit no single sum of integers.
        let long = Nearest::over(Vectors::new(20_000, vec![1.0; 40_000]));
        let query = vec![1.0; 20_000];
        assert_eq!(
            long.bounds(&query).best(1, 2, &|row| Some(row))[0],
            Ranked {
                row: 0,
                score: 20_000.0
            }
        );
    }
}
