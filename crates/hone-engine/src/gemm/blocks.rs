//! Products with weights that stay quantised: the same bits as with the f32 weights that they stand for.
//!
//! A block of 32 weights along `k` is `d * q + m`, as in GGUF's Q4_1, Q4_0 (`m = -8 d`) and Q8_0 (`m = 0`). `d * q` has few
//! enough bits to be exact, so one fused multiply-add gives the weight that dequantising gives; it then enters the same chain
//! of fused multiply-adds as in [`gemm`](crate::gemm::gemm). A step of decoding reads every weight once, so it takes as long
//! as its bytes take to read: a fifth of f32's for 4 bits.

use super::tile::{Columns, Right, Task, Vector};
use super::{Left, PANEL, Panels, check, gemm};
use crate::simd::per_level;
use hone_gguf::Kind;

/// Weights of a block.
const BLOCK: usize = 32;
/// Rows of the left-hand side from which a panel is made floats once, instead of anew for each tile of rows.
const MANY: usize = 32;

/// Bits of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    /// Two weights a byte: columns `c` and `c + 16` of a panel.
    Four,
    /// A signed byte.
    Eight,
}

/// A right-hand side `[k, n]` of quantised weights, packed: panel by panel of 32 columns, within a panel row by row. `k` is
/// whole blocks.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    width: Width,
    k: usize,
    n: usize,
    weights: Vec<u8>,
    /// For each panel and block: `d` of 32 columns, then `m` of 32 columns.
    scales: Vec<f32>,
}

impl Blocks {
    /// Room for `n` columns of `k` rows, or nothing where the kind has no blocks of 32 or `k` is not whole ones.
    pub(crate) fn new(kind: Kind, k: usize, n: usize) -> Option<Self> {
        let width = match kind {
            Kind::Q4_0 | Kind::Q4_1 => Width::Four,
            Kind::Q8_0 => Width::Eight,
            _ => return None,
        };
        let panels = n.div_ceil(PANEL);
        k.is_multiple_of(BLOCK).then(|| Self {
            width,
            k,
            n,
            weights: vec![0; panels * k * width.row()],
            scales: vec![0.0; panels * k / BLOCK * 2 * PANEL],
        })
    }

    /// Whether a column of this kind fits in.
    pub(crate) fn takes(&self, kind: Kind) -> bool {
        Self::new(kind, 0, 0).is_some_and(|empty| empty.width == self.width)
    }

    /// Set column `column` from its row in a file: `k` weights as whole blocks of `kind`, which is as wide as this.
    pub(crate) fn set(&mut self, column: usize, kind: Kind, bytes: &[u8]) {
        let (panel, c) = (column / PANEL, column % PANEL);
        let (_, size) = kind.block();
        let half = |b: &[u8]| half::f16::from_le_bytes([b[0], b[1]]).to_f32();
        for (at, block) in bytes.chunks_exact(size).take(self.k / BLOCK).enumerate() {
            let d = half(block);
            let (m, weights) = match kind {
                Kind::Q4_0 => (-8.0 * d, &block[2..]),
                Kind::Q4_1 => (half(&block[2..]), &block[4..]),
                _ => (0.0, &block[2..]),
            };
            let scales = (panel * self.k / BLOCK + at) * 2 * PANEL;
            self.scales[scales + c] = d;
            self.scales[scales + PANEL + c] = m;
            let row = self.width.row();
            let first = (panel * self.k + at * BLOCK) * row;
            for p in 0..BLOCK {
                let to = first + p * row;
                match self.width {
                    Width::Eight => self.weights[to + c] = weights[p],
                    // In a file 16 bytes hold weights p and p + 16; here columns c and c + 16.
                    Width::Four => {
                        let q = weights[p % 16] >> (p / 16 * 4) & 15;
                        self.weights[to + c % 16] |= q << (c / 16 * 4);
                    }
                }
            }
        }
    }

    /// Rows and columns.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.k, self.n)
    }

    /// The floats of panel `j`, row by row.
    pub(super) fn floats(&self, j: usize, out: &mut [f32]) {
        let row = self.width.row();
        let weights = &self.weights[j * self.k * row..][..self.k * row];
        let per_block = 2 * PANEL;
        let scales = &self.scales[j * self.k / BLOCK * per_block..][..self.k / BLOCK * per_block];
        match self.width {
            Width::Four => four_floats(weights, scales, out),
            Width::Eight => eight_floats(weights, scales, out),
        }
    }

    /// [`gemm`](super::gemm) with this on the right.
    pub(super) fn times(&self, m: usize, a: Left<'_>, c: &mut [f32], c_stride: usize, accumulate: bool) {
        let (k, n) = (self.k, self.n);
        if m == 0 || n == 0 {
            return;
        }
        check(m, k, n, a, c, c_stride);
        if m >= MANY {
            let mut floats = vec![0.0; k * PANEL];
            for j in 0..n.div_ceil(PANEL) {
                self.floats(j, &mut floats);
                let panel = Panels {
                    k,
                    n: PANEL.min(n - j * PANEL),
                    stride: k * PANEL,
                    data: &floats,
                };
                gemm(m, a, panel, &mut c[j * PANEL..], c_stride, accumulate);
            }
            return;
        }
        let c = c.as_mut_ptr();
        // SAFETY: the left-hand side and the result were checked; `new` made room for all panels.
        unsafe {
            match self.width {
                Width::Four => Task {
                    m,
                    k,
                    n,
                    a,
                    b: Four(self),
                    c,
                    c_stride,
                    accumulate,
                }
                .run(),
                Width::Eight => Task {
                    m,
                    k,
                    n,
                    a,
                    b: Eight(self),
                    c,
                    c_stride,
                    accumulate,
                }
                .run(),
            }
        }
    }
}

per_level! {
    /// A panel of 4-bit weights as floats.
    fn four_floats(weights: &[u8], scales: &[f32], out: &mut [f32]) {
        let rows = weights.chunks_exact(PANEL / 2).zip(out.chunks_exact_mut(PANEL));
        for (p, (weights, out)) in rows.enumerate() {
            let (d, m) = scales[p / BLOCK * 2 * PANEL..][..2 * PANEL].split_at(PANEL);
            let (low, high) = out.split_at_mut(PANEL / 2);
            for c in 0..PANEL / 2 {
                low[c] = f32::from(weights[c] & 15).mul_add(d[c], m[c]);
                high[c] = f32::from(weights[c] >> 4).mul_add(d[c + PANEL / 2], m[c + PANEL / 2]);
            }
        }
    }
}

per_level! {
    /// A panel of 8-bit weights as floats.
    fn eight_floats(weights: &[u8], scales: &[f32], out: &mut [f32]) {
        let rows = weights.chunks_exact(PANEL).zip(out.chunks_exact_mut(PANEL));
        for (p, (weights, out)) in rows.enumerate() {
            let (d, m) = scales[p / BLOCK * 2 * PANEL..][..2 * PANEL].split_at(PANEL);
            for c in 0..PANEL {
                out[c] = f32::from(weights[c].cast_signed()).mul_add(d[c], m[c]);
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Four<'a>(&'a Blocks);

#[derive(Clone, Copy)]
struct Eight<'a>(&'a Blocks);

/// A panel with the scales of the block that is being read.
#[derive(Clone, Copy)]
struct Panel<T, const V: usize> {
    weights: *const u8,
    scales: *const f32,
    d: [T; V],
    m: [T; V],
}

impl<T: Vector, const V: usize> Panel<T, V> {
    /// # Safety
    /// The matrix must have that panel, and the processor the instructions.
    #[inline(always)]
    unsafe fn of(blocks: &Blocks, j: usize) -> Self {
        // SAFETY: as the caller promised.
        unsafe {
            Self {
                weights: blocks.weights.as_ptr().add(j * blocks.k * blocks.width.row()),
                scales: blocks.scales.as_ptr().add(j * blocks.k / BLOCK * 2 * PANEL),
                d: [T::zero(); V],
                m: [T::zero(); V],
            }
        }
    }

    /// # Safety
    /// The panel must have row `p`, and the processor the instructions.
    #[inline(always)]
    unsafe fn begin(&mut self, p: usize) {
        if p.is_multiple_of(BLOCK) {
            for v in 0..V {
                // SAFETY: as the caller promised: the panel has this block.
                unsafe {
                    let scales = self.scales.add(p / BLOCK * 2 * PANEL + v * T::LANES);
                    self.d[v] = T::load(scales);
                    self.m[v] = T::load(scales.add(PANEL));
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct FourPanel<T, const V: usize>(Panel<T, V>);

#[derive(Clone, Copy)]
struct EightPanel<T, const V: usize>(Panel<T, V>);

impl<T: Vector, const V: usize> Columns<T, V> for FourPanel<T, V> {
    #[inline(always)]
    unsafe fn row(&mut self, p: usize) -> [T; V] {
        // SAFETY: as the caller promised.
        unsafe {
            self.0.begin(p);
            let row = self.0.weights.add(p * (PANEL / 2));
            std::array::from_fn(|v| {
                let at = v * T::LANES;
                let q = if at < PANEL / 2 {
                    T::low(row.add(at))
                } else {
                    T::high(row.add(at - PANEL / 2))
                };
                q.fma(self.0.d[v], self.0.m[v])
            })
        }
    }
}

impl<T: Vector, const V: usize> Columns<T, V> for EightPanel<T, V> {
    #[inline(always)]
    unsafe fn row(&mut self, p: usize) -> [T; V] {
        // SAFETY: as the caller promised.
        unsafe {
            self.0.begin(p);
            let row = self.0.weights.add(p * PANEL);
            std::array::from_fn(|v| T::signed(row.add(v * T::LANES)).fma(self.0.d[v], self.0.m[v]))
        }
    }
}

impl Right for Four<'_> {
    type Columns<T: Vector, const V: usize> = FourPanel<T, V>;

    #[inline(always)]
    unsafe fn panel<T: Vector, const V: usize>(self, j: usize) -> FourPanel<T, V> {
        // SAFETY: as the caller promised.
        FourPanel(unsafe { Panel::of(self.0, j) })
    }
}

impl Right for Eight<'_> {
    type Columns<T: Vector, const V: usize> = EightPanel<T, V>;

    #[inline(always)]
    unsafe fn panel<T: Vector, const V: usize>(self, j: usize) -> EightPanel<T, V> {
        // SAFETY: as the caller promised.
        EightPanel(unsafe { Panel::of(self.0, j) })
    }
}

impl Width {
    /// Bytes of a panel's row.
    fn row(self) -> usize {
        match self {
            Self::Four => PANEL / 2,
            Self::Eight => PANEL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Packed, gemm};
    use hone_trace::Stream;

    /// Every kind, with edges of tiles and panels: the bits of the product with the weights as floats.
    #[test]
    fn quantised_products_give_the_bits_of_the_dense_ones() {
        for kind in [Kind::Q4_0, Kind::Q4_1, Kind::Q8_0] {
            for (m, k, n) in [
                (1, 32, 1),
                (1, 64, 33),
                (3, 96, 64),
                (13, 64, 31),
                (5, 576, 100),
                (40, 64, 70),
            ] {
                let stream = Stream::new(9).named(&format!("{kind:?} {m} {k} {n}"));
                let (numbers, size) = kind.block();
                let mut bytes: Vec<u8> = (0..n * k / numbers * size)
                    .map(|i| (stream.uniform(i as u64) * 256.0) as u8)
                    .collect();
                // Scales that are finite, of either sign.
                for (i, block) in bytes.chunks_exact_mut(size).enumerate() {
                    for at in [0, 2] {
                        let scale = half::f16::from_f64(stream.at(at).uniform(i as u64) - 0.5);
                        if at == 0 || kind == Kind::Q4_1 {
                            block[at as usize..at as usize + 2].copy_from_slice(&scale.to_le_bytes());
                        }
                    }
                }
                let mut dense = vec![0.0; n * k];
                kind.dequantise(&bytes, &mut dense);
                let mut packed = Packed::default();
                packed.columns(&dense, k, k, n);
                let mut blocks = Blocks::new(kind, k, n).unwrap();
                for (column, row) in bytes.chunks_exact(k / numbers * size).enumerate() {
                    blocks.set(column, kind, row);
                }
                let a: Vec<f32> = (0..m * k)
                    .map(|i| stream.named("a").uniform(i as u64) as f32 - 0.5)
                    .collect();
                for accumulate in [false, true] {
                    let (mut want, mut have) = (vec![0.25; m * n], vec![0.25; m * n]);
                    gemm(m, Left::rows(&a, k), packed.view(), &mut want, n, accumulate);
                    blocks.times(m, Left::rows(&a, k), &mut have, n, accumulate);
                    assert_eq!(have, want, "{kind:?} {m}x{k}x{n}");
                }
                // The transpose: the bits of the product with the floats packed the other way.
                packed.rows(&dense, k, n, k);
                let left: Vec<f32> = (0..m * n).map(|i| a[i % a.len()]).collect();
                let (mut want, mut have) = (vec![0.0; m * k], vec![7.0; m * k]);
                gemm(m, Left::rows(&left, n), packed.view(), &mut want, k, false);
                let blocks = crate::gemm::Matrix::Blocks(blocks);
                blocks.times_transposed(m, &left, n, &mut have, k, &mut crate::gemm::Transposed::default());
                assert_eq!(have, want, "{kind:?} transposed {m}x{k}x{n}");
            }
        }
    }

    #[test]
    fn what_has_no_blocks_of_32_stays_dense() {
        assert!(Blocks::new(Kind::F16, 64, 1).is_none());
        assert!(Blocks::new(Kind::Q6K, 256, 1).is_none());
        assert!(Blocks::new(Kind::Q8_0, 40, 1).is_none());
    }
}
