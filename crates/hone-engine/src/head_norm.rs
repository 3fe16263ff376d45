//! RMSNorm of each query and key head (Qwen3), in rows that hold queries, keys and values side by side.

use crate::config::{Block, Config};
use crate::kernels;
use crate::learn::Gradient;
use crate::weights::{Weights, sized};
use std::ops::Range;

/// What backward needs of one block's norms: those of the queries, and those of the keys.
#[derive(Default)]
pub(crate) struct HeadNorms {
    kept: [Kept; 2],
    scratch: Vec<f32>,
    dx: Vec<f32>,
}

/// The heads before the norm, head by head, and `1 / rms` of each.
#[derive(Default)]
struct Kept {
    x: Vec<f32>,
    inverse: Vec<f32>,
}

/// Columns of a row and place of the gain: of the queries, of the keys.
fn parts(c: &Config, block: &Block) -> [(Range<usize>, Range<usize>); 2] {
    let q = c.query_width();
    [
        (0..q, block.q_norm.clone()),
        (q..q + c.kv_width(), block.k_norm.clone()),
    ]
}

/// Copy some columns of each row to `dense`.
fn gather(rows: &[f32], width: usize, columns: &Range<usize>, dense: &mut [f32]) {
    for (row, to) in rows.chunks_exact(width).zip(dense.chunks_exact_mut(columns.len())) {
        to.copy_from_slice(&row[columns.clone()]);
    }
}

/// The reverse of [`gather`].
fn scatter(dense: &[f32], width: usize, columns: &Range<usize>, rows: &mut [f32]) {
    for (row, from) in rows.chunks_exact_mut(width).zip(dense.chunks_exact(columns.len())) {
        row[columns.clone()].copy_from_slice(from);
    }
}

impl HeadNorms {
    /// Normalise the heads of `m` rows in place.
    pub(crate) fn forward(&mut self, weights: &Weights, index: usize, m: usize, qkv: &mut [f32]) {
        let c = &weights.config;
        let w = c.qkv_width();
        for ((columns, gain), kept) in parts(c, weights.block(index)).iter().zip(&mut self.kept) {
            let n = m * columns.len();
            let x = sized(&mut kept.x, n);
            gather(&qkv[..m * w], w, columns, x);
            let y = sized(&mut self.scratch, n);
            let inverse = sized(&mut kept.inverse, n / c.head_dim);
            kernels::rms_norm(x, weights.param(gain), c.rms_norm_eps, y, inverse);
            scatter(y, w, columns, &mut qkv[..m * w]);
        }
    }

    /// Turn the gradient of the normalised heads into that of the heads, in place; adds the gains' to `gradient`.
    pub(crate) fn backward(
        &mut self,
        weights: &Weights,
        index: usize,
        m: usize,
        dqkv: &mut [f32],
        gradient: &mut Gradient<'_>,
    ) {
        let c = &weights.config;
        let w = c.qkv_width();
        for ((columns, gain), kept) in parts(c, weights.block(index)).iter().zip(&mut self.kept) {
            let n = m * columns.len();
            let dy = sized(&mut self.scratch, n);
            gather(&dqkv[..m * w], w, columns, dy);
            let dx = sized(&mut self.dx, n);
            dx.fill(0.0);
            kernels::rms_norm_backward(
                &kept.x[..n],
                weights.param(gain),
                &kept.inverse[..n / c.head_dim],
                dy,
                dx,
                gradient.of(gain),
            );
            scatter(dx, w, columns, &mut dqkv[..m * w]);
        }
    }
}
