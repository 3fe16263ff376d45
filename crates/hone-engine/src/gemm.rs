//! Single-threaded f32 matrix products with a fixed order of summation.
//!
//! Every element of the result is one chain of fused multiply-adds over `k` in ascending order, whatever the number of
//! rows or columns, the tile it falls in, or the instruction set. So a row gives the same bits alone and in a batch, in
//! sampling and in training: the deterministic mode needs no slower path. (General libraries block over `k` by shape
//! and cannot promise this.) Parallelism lies above: threads work on different sequences.
//!
//! The right-hand side is packed into panels of [`PANEL`] columns, zero-padded.

mod blocks;
mod tile;

pub(crate) use blocks::Blocks;
use tile::Task;

/// Columns per packed panel.
pub const PANEL: usize = 32;

/// A right-hand side `[k, n]`, packed: panel by panel, within a panel row by row.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    k: usize,
    n: usize,
    data: Vec<f32>,
}

impl Packed {
    /// Pack `b[k, n]` stored row by row with `stride` floats between rows.
    pub fn rows(&mut self, b: &[f32], stride: usize, k: usize, n: usize) {
        assert!(
            k == 0 || b.len() >= (k - 1) * stride + n,
            "right-hand side is too short"
        );
        self.resize(k, n);
        for (j, panel) in self.data.chunks_exact_mut(k.max(1) * PANEL).enumerate() {
            let width = PANEL.min(n - j * PANEL);
            for (p, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                let from = p * stride + j * PANEL;
                row[..width].copy_from_slice(&b[from..from + width]);
                row[width..].fill(0.0);
            }
        }
    }

    /// Pack the transpose of `b[n, k]` stored row by row with `stride` floats between rows.
    pub fn columns(&mut self, b: &[f32], stride: usize, k: usize, n: usize) {
        assert!(
            n == 0 || b.len() >= (n - 1) * stride + k,
            "right-hand side is too short"
        );
        self.resize(k, n);
        for (j, panel) in self.data.chunks_exact_mut(k.max(1) * PANEL).enumerate() {
            let width = PANEL.min(n - j * PANEL);
            if width < PANEL {
                panel.fill(0.0);
            }
            for c in 0..width {
                let from = (j * PANEL + c) * stride;
                for (p, &value) in b[from..from + k].iter().enumerate() {
                    panel[p * PANEL + c] = value;
                }
            }
        }
    }

    fn resize(&mut self, k: usize, n: usize) {
        self.k = k;
        self.n = n;
        self.data.resize(n.div_ceil(PANEL) * k * PANEL, 0.0);
    }

    /// A borrowed view for [`gemm`].
    pub fn view(&self) -> Panels<'_> {
        Panels {
            k: self.k,
            n: self.n,
            stride: self.k * PANEL,
            data: &self.data,
        }
    }
}

/// A packed right-hand side, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    /// Rows.
    pub k: usize,
    /// Columns.
    pub n: usize,
    /// Floats between panels; at least `k * PANEL`.
    pub stride: usize,
    /// The panels.
    pub data: &'a [f32],
}

/// A left-hand side `[m, k]`: element `(i, p)` lies at `i * row + p * col`.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    data: &'a [f32],
    row: usize,
    col: usize,
}

impl<'a> Left<'a> {
    /// Stored row by row.
    pub fn rows(data: &'a [f32], stride: usize) -> Self {
        Self {
            data,
            row: stride,
            col: 1,
        }
    }
}

/// `c[m, n] = a[m, k] · b[k, n]`, or `+=` where `accumulate`. `c` has `c_stride` floats between rows.
///
/// # Panics
/// When a slice is shorter than its shape says.
pub fn gemm(m: usize, a: Left<'_>, b: Panels<'_>, c: &mut [f32], c_stride: usize, accumulate: bool) {
    let (k, n) = (b.k, b.n);
    if m == 0 || n == 0 {
        return;
    }
    check(m, k, n, a, c, c_stride);
    assert!(
        b.data.len() >= last(n.div_ceil(PANEL), b.stride).saturating_add(k.saturating_mul(PANEL)),
        "right-hand side is too short"
    );
    let task = Task {
        m,
        k,
        n,
        a,
        b,
        c: c.as_mut_ptr(),
        c_stride,
        accumulate,
    };
    // SAFETY: the shapes were checked above.
    unsafe { task.run() }
}

fn last(count: usize, step: usize) -> usize {
    (count - 1).saturating_mul(step)
}

/// Panics when the left-hand side or the result of a product of this shape is too short.
fn check(m: usize, k: usize, n: usize, a: Left<'_>, c: &[f32], c_stride: usize) {
    assert!(
        k == 0 || a.data.len() > last(m, a.row).saturating_add(last(k, a.col)),
        "left-hand side is too short"
    );
    assert!(
        c.len() >= last(m, c_stride).saturating_add(n) && c_stride >= n,
        "result is too short"
    );
}

/// A right-hand side that stays as it is: floats, or quantised weights that stand for floats.
#[derive(Clone, Debug)]
pub(crate) enum Matrix {
    /// Floats.
    Dense(Packed),
    /// Quantised weights.
    Blocks(Blocks),
}

impl Default for Matrix {
    fn default() -> Self {
        Self::Dense(Packed::default())
    }
}

impl Matrix {
    /// The packed floats, to be filled.
    pub(crate) fn dense(&mut self) -> &mut Packed {
        if let Self::Blocks(_) = self {
            *self = Self::default();
        }
        match self {
            Self::Dense(packed) => packed,
            Self::Blocks(_) => unreachable!("it was made dense"),
        }
    }

    /// [`gemm`] with this on the right.
    pub(crate) fn times(&self, m: usize, a: Left<'_>, c: &mut [f32], c_stride: usize, accumulate: bool) {
        match self {
            Self::Dense(packed) => gemm(m, a, packed.view(), c, c_stride, accumulate),
            Self::Blocks(blocks) => blocks.times(m, a, c, c_stride, accumulate),
        }
    }

    /// `c[m, k] = a[m, n] · thisᵀ`, with `a_stride` floats between rows of `a`. Nothing is kept packed for it: some
    /// panels at a time are turned.
    pub(crate) fn times_transposed(
        &self,
        m: usize,
        a: &[f32],
        a_stride: usize,
        c: &mut [f32],
        c_stride: usize,
        scratch: &mut Transposed,
    ) {
        const AT_ONCE: usize = 8;
        let (k, n) = match self {
            Self::Dense(packed) => (packed.k, packed.n),
            Self::Blocks(blocks) => blocks.shape(),
        };
        for j0 in (0..n.div_ceil(PANEL)).step_by(AT_ONCE) {
            let first = j0 * PANEL;
            let rows = (n - first).min(AT_ONCE * PANEL);
            scratch.right.resize(rows, k);
            for j in j0..j0 + rows.div_ceil(PANEL) {
                let panel = match self {
                    Self::Dense(packed) => &packed.data[j * k * PANEL..][..k * PANEL],
                    Self::Blocks(blocks) => {
                        scratch.left.resize(scratch.left.len().max(k * PANEL), 0.0);
                        blocks.floats(j, &mut scratch.left[..k * PANEL]);
                        &scratch.left[..k * PANEL]
                    }
                };
                let at = (j - j0) * PANEL;
                turn(panel, k, at, PANEL.min(rows - at), rows, &mut scratch.right.data);
            }
            let a = Left::rows(&a[first..], a_stride);
            gemm(m, a, scratch.right.view(), c, c_stride, j0 > 0);
        }
    }
}

/// A panel of `width` columns and `k` rows becomes rows `at..at + width` of `out`, a packed `[rows, k]`.
fn turn(panel: &[f32], k: usize, at: usize, width: usize, rows: usize, out: &mut [f32]) {
    for (block, from) in panel.chunks(PANEL * PANEL).enumerate() {
        let to = &mut out[(block * rows + at) * PANEL..][..width * PANEL];
        let columns = from.len() / PANEL;
        for (c, to) in to.chunks_exact_mut(PANEL).enumerate() {
            for (p, to) in to.iter_mut().enumerate() {
                *to = if p < columns { from[p * PANEL + c] } else { 0.0 };
            }
        }
    }
    debug_assert!(panel.len() == k * PANEL);
}

/// Scratch space of [`gemm_at_b`] and of products with a transpose.
#[derive(Default)]
pub struct Transposed {
    left: Vec<f32>,
    right: Packed,
}

/// Some columns of a row-major matrix: `width` of every `stride` floats.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    data: &'a [f32],
    stride: usize,
    width: usize,
}

impl<'a> Block<'a> {
    /// The first `width` columns of rows of `stride` floats.
    pub fn new(data: &'a [f32], stride: usize, width: usize) -> Self {
        Self { data, stride, width }
    }
}

/// `c[m, n] += a[t, m]ᵀ · b[t, n]`, the shape of a weight gradient. `c` is dense.
pub fn gemm_at_b(scratch: &mut Transposed, t: usize, a: Block<'_>, b: Block<'_>, c: &mut [f32]) {
    const TILE: usize = 12;
    const DEPTH: usize = 256;
    let (m, n) = (a.width, b.width);
    for t0 in (0..t).step_by(DEPTH) {
        let depth = DEPTH.min(t - t0);
        scratch.right.rows(&b.data[t0 * b.stride..], b.stride, depth, n);
        for i0 in (0..m).step_by(TILE) {
            let width = TILE.min(m - i0);
            scratch.left.resize(scratch.left.len().max(DEPTH * TILE), 0.0);
            for p in 0..depth {
                let from = (t0 + p) * a.stride + i0;
                scratch.left[p * width..(p + 1) * width].copy_from_slice(&a.data[from..from + width]);
            }
            let left = Left {
                data: &scratch.left,
                row: 1,
                col: width,
            };
            gemm(width, left, scratch.right.view(), &mut c[i0 * n..], n, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tile::portable;
    use super::*;
    use crate::simd::{Level, level};
    use hone_trace::Stream;

    fn numbers(name: &str, n: usize) -> Vec<f32> {
        let stream = Stream::new(3).named(name);
        (0..n).map(|i| stream.uniform(i as u64) as f32 - 0.5).collect()
    }

    /// The definition: one chain of fused multiply-adds per element.
    fn reference(m: usize, k: usize, n: usize, a: &[f32], b: &[f32], c: &[f32]) -> Vec<f32> {
        let mut out = c.to_vec();
        for i in 0..m {
            for j in 0..n {
                for p in 0..k {
                    out[i * n + j] = a[i * k + p].mul_add(b[p * n + j], out[i * n + j]);
                }
            }
        }
        out
    }

    #[test]
    fn every_path_gives_the_defined_bits() {
        for (m, k, n) in [
            (1, 1, 1),
            (1, 7, 33),
            (3, 32, 32),
            (5, 40, 70),
            (12, 17, 64),
            (13, 129, 31),
            (40, 64, 100),
        ] {
            let (a, b, c0) = (numbers("a", m * k), numbers("b", k * n), numbers("c", m * n));
            let want = reference(m, k, n, &a, &b, &c0);
            let mut packed = Packed::default();
            packed.rows(&b, n, k, n);
            let mut c = c0.clone();
            gemm(m, Left::rows(&a, k), packed.view(), &mut c, n, true);
            assert_eq!(c, want, "rows {m}x{k}x{n}");

            let bt: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
            packed.columns(&bt, k, k, n);
            let mut c = c0.clone();
            let task = Task {
                m,
                k,
                n,
                a: Left::rows(&a, k),
                b: packed.view(),
                c: c.as_mut_ptr(),
                c_stride: n,
                accumulate: true,
            };
            // SAFETY: shapes as above.
            unsafe { portable(&task) };
            assert_eq!(c, want, "portable {m}x{k}x{n}");
            #[cfg(target_arch = "x86_64")]
            if level() >= Level::Avx2 {
                let mut c = c0.clone();
                let task = Task {
                    c: c.as_mut_ptr(),
                    ..task
                };
                // SAFETY: the level was checked.
                unsafe { tile::x86::avx2(&task) };
                assert_eq!(c, want, "avx2 {m}x{k}x{n}");
            }

            let at: Vec<f32> = (0..m * k).map(|i| a[(i % m) * k + i / m]).collect();
            let mut c = c0.clone();
            gemm_at_b(
                &mut Transposed::default(),
                k,
                Block::new(&at, m, m),
                Block::new(&b, n, n),
                &mut c,
            );
            assert_eq!(c, want, "transposed {m}x{k}x{n}");
        }
    }

    /// Every height of a tile and every edge of a panel, in buffers without a float to spare: for the sanitizer.
    #[test]
    fn nothing_but_the_result_is_written() {
        for (m, n) in (1..=13).flat_map(|m| [1, 31, 32, 33].map(|n| (m, n))) {
            let (k, stride) = (3, n + 5);
            let (a, b) = (numbers("a", m * k), numbers("b", k * n));
            let mut packed = Packed::default();
            packed.rows(&b, n, k, n);
            let mut c = vec![7.0; (m - 1) * stride + n];
            let product = reference(m, k, n, &a, &b, &vec![0.0; m * n]);
            let mut want = c.clone();
            for (want, product) in want.chunks_mut(stride).zip(product.chunks(n)) {
                want[..n].copy_from_slice(product);
            }
            gemm(m, Left::rows(&a, k), packed.view(), &mut c, stride, false);
            assert_eq!(c, want, "{m}x{k}x{n}");
            packed.rows(&[], n, 0, n);
            gemm(m, Left::rows(&[], k), packed.view(), &mut c, stride, true);
            assert_eq!(c, want, "{m}x0x{n}");
        }
    }

    #[test]
    #[should_panic(expected = "left-hand side is too short")]
    fn a_shape_beyond_all_memory_is_refused() {
        let mut packed = Packed::default();
        packed.rows(&[1.0], 1, 1, 1);
        // Three rows reach `2 * stride`, which in wrapping arithmetic is 0.
        gemm(
            3,
            Left::rows(&[1.0], 1 << (usize::BITS - 1)),
            packed.view(),
            &mut [0.0; 3],
            1,
            false,
        );
    }

    #[test]
    #[should_panic(expected = "right-hand side is too short")]
    fn short_slices_are_refused() {
        Packed::default().rows(&[0.0; 5], 3, 2, 3);
    }
}
