//! The inner loops of products, once for each instruction set.

use super::{Left, PANEL, Panels};
use crate::simd::{Level, level};

/// A product whose shapes were checked.
pub(super) struct Task<'a, B> {
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) a: Left<'a>,
    pub(super) b: B,
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    pub(super) accumulate: bool,
}

impl<B: Right> Task<'_, B> {
    /// Compute it with the best instructions of this processor.
    ///
    /// # Safety
    /// The slices must have the lengths that the shapes ask for.
    pub(super) unsafe fn run(&self) {
        // SAFETY: as the caller promised; `level` only names instructions that this processor has.
        unsafe {
            match level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => x86::avx512(self),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => x86::avx2(self),
                _ => portable(self),
            }
        }
    }
}

/// A packed right-hand side.
pub(super) trait Right: Copy {
    /// One of its panels.
    type Columns<T: Vector, const V: usize>: Columns<T, V>;

    /// Panel `j`.
    ///
    /// # Safety
    /// It must have that panel.
    unsafe fn panel<T: Vector, const V: usize>(self, j: usize) -> Self::Columns<T, V>;
}

/// A panel, read row by row from the first one on.
pub(super) trait Columns<T: Vector, const V: usize>: Copy {
    /// Row `p`.
    ///
    /// # Safety
    /// The panel must have that row, and the processor the instructions.
    unsafe fn row(&mut self, p: usize) -> [T; V];
}

impl Right for Panels<'_> {
    type Columns<T: Vector, const V: usize> = Floats;

    #[inline(always)]
    unsafe fn panel<T: Vector, const V: usize>(self, j: usize) -> Floats {
        // SAFETY: as the caller promised.
        Floats(unsafe { self.data.as_ptr().add(j * self.stride) })
    }
}

/// A panel of floats.
#[derive(Clone, Copy)]
pub(super) struct Floats(*const f32);

impl<T: Vector, const V: usize> Columns<T, V> for Floats {
    #[inline(always)]
    unsafe fn row(&mut self, p: usize) -> [T; V] {
        // SAFETY: as the caller promised.
        std::array::from_fn(|v| unsafe { T::load(self.0.add(p * PANEL + v * T::LANES)) })
    }
}

/// A vector of floats. All methods are unsafe: the caller must run on a processor that has the instructions.
pub(super) trait Vector: Copy {
    const LANES: usize;
    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The low halves of bytes, as numbers from 0 to 15.
    unsafe fn low(from: *const u8) -> Self;
    /// The high halves of bytes.
    unsafe fn high(from: *const u8) -> Self;
    /// Signed bytes.
    unsafe fn signed(from: *const u8) -> Self;
}

/// `R` rows by one panel: `V` vectors cover the panel's width.
///
/// # Safety
/// `a` must hold `R` rows of `k` elements, `right` a panel of `k` rows, `c` `R` rows of `width` elements.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn tile<T: Vector, const R: usize, const V: usize>(
    k: usize,
    a: *const f32,
    a_row: usize,
    a_col: usize,
    mut right: impl Columns<T, V>,
    c: *mut f32,
    c_stride: usize,
    width: usize,
    accumulate: bool,
) {
    // SAFETY: within the bounds that the caller promised.
    unsafe {
        let mut acc = [[T::zero(); V]; R];
        let mut edge = [0f32; PANEL];
        if accumulate {
            for (i, row) in acc.iter_mut().enumerate() {
                let mut from: *const f32 = c.add(i * c_stride);
                if width < PANEL {
                    std::ptr::copy_nonoverlapping(from, edge.as_mut_ptr(), width);
                    from = edge.as_ptr();
                }
                for (v, x) in row.iter_mut().enumerate() {
                    *x = T::load(from.add(v * T::LANES));
                }
            }
        }
        for p in 0..k {
            let columns = right.row(p);
            for (i, row) in acc.iter_mut().enumerate() {
                let left = T::splat(*a.add(i * a_row + p * a_col));
                for (x, y) in row.iter_mut().zip(columns) {
                    *x = left.fma(y, *x);
                }
            }
        }
        for (i, row) in acc.iter().enumerate() {
            let to = c.add(i * c_stride);
            if width < PANEL {
                for (v, x) in row.iter().enumerate() {
                    x.store(edge.as_mut_ptr().add(v * T::LANES));
                }
                std::ptr::copy_nonoverlapping(edge.as_ptr(), to, width);
            } else {
                for (v, x) in row.iter().enumerate() {
                    x.store(to.add(v * T::LANES));
                }
            }
        }
    }
}

macro_rules! driver {
    ($(#[$meta:meta])* $name:ident, $vector:ty, $v:literal, $max:literal, [$($r:literal)*]) => {
        $(#[$meta])*
        pub(super) unsafe fn $name<B: Right>(task: &Task<'_, B>) {
            for j in 0..task.n.div_ceil(PANEL) {
                let width = PANEL.min(task.n - j * PANEL);
                let mut i = 0;
                while i < task.m {
                    let rows = (task.m - i).min($max);
                    // SAFETY: `gemm` checked the shapes; `i + rows <= m` and `j` is a panel of `b`.
                    unsafe {
                        // Not read where `k` is 0, and then perhaps not there.
                        let a = task.a.data.as_ptr().wrapping_add(i * task.a.row);
                        let b = task.b.panel::<$vector, $v>(j);
                        let c = task.c.add(i * task.c_stride + j * PANEL);
                        match rows {
                            $($r => tile::<$vector, $r, $v>(task.k, a, task.a.row, task.a.col, b, c, task.c_stride, width, task.accumulate),)*
                            _ => unreachable!("rows is at most the largest tile"),
                        }
                    }
                    i += rows;
                }
            }
        }
    };
}

#[derive(Clone, Copy)]
struct Lanes([f32; 8]);

impl Vector for Lanes {
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promised eight floats.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promised room for eight floats.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn low(from: *const u8) -> Self {
        // SAFETY: the caller promised eight bytes.
        Self(std::array::from_fn(|i| f32::from(unsafe { *from.add(i) } & 15)))
    }
    #[inline(always)]
    unsafe fn high(from: *const u8) -> Self {
        // SAFETY: the caller promised eight bytes.
        Self(std::array::from_fn(|i| f32::from(unsafe { *from.add(i) } >> 4)))
    }
    #[inline(always)]
    unsafe fn signed(from: *const u8) -> Self {
        Self(std::array::from_fn(|i| {
            // SAFETY: the caller promised eight bytes.
            let byte = unsafe { *from.add(i) };
            f32::from(byte.cast_signed())
        }))
    }
}

driver!(portable, Lanes, 4, 4, [1 2 3 4]);

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::{PANEL, Right, Task, Vector, tile};
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($type:ty, $lanes:literal, $zero:ident, $load:ident, $splat:ident, $fma:ident, $store:ident,
         $bytes:ident, $unsigned:ident, $signed:ident, $float:ident) => {
            impl Vector for $type {
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the caller has the instructions.
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: the caller has the instructions and the floats.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    // SAFETY: the caller has the instructions.
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                unsafe fn fma(self, b: Self, c: Self) -> Self {
                    // SAFETY: the caller has the instructions.
                    unsafe { $fma(self, b, c) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: the caller has the instructions and the room.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn low(from: *const u8) -> Self {
                    // SAFETY: the caller has the instructions and the bytes.
                    unsafe { $float($unsigned(_mm_and_si128($bytes(from.cast()), _mm_set1_epi8(15)))) }
                }
                #[inline(always)]
                unsafe fn high(from: *const u8) -> Self {
                    // SAFETY: the caller has the instructions and the bytes.
                    unsafe {
                        let halves = _mm_srli_epi16::<4>($bytes(from.cast()));
                        $float($unsigned(_mm_and_si128(halves, _mm_set1_epi8(15))))
                    }
                }
                #[inline(always)]
                unsafe fn signed(from: *const u8) -> Self {
                    // SAFETY: the caller has the instructions and the bytes.
                    unsafe { $float($signed($bytes(from.cast()))) }
                }
            }
        };
    }
    vector!(
        __m512,
        16,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_storeu_ps,
        _mm_loadu_si128,
        _mm512_cvtepu8_epi32,
        _mm512_cvtepi8_epi32,
        _mm512_cvtepi32_ps
    );
    vector!(
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_storeu_ps,
        _mm_loadl_epi64,
        _mm256_cvtepu8_epi32,
        _mm256_cvtepi8_epi32,
        _mm256_cvtepi32_ps
    );

    driver!(
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        avx512_tiles, __m512, 2, 12, [1 2 3 4 5 6 7 8 9 10 11 12]
    );
    driver!(
        #[target_feature(enable = "avx2,fma")]
        avx2_tiles, __m256, 4, 3, [1 2 3]
    );

    /// # Safety
    /// Needs AVX-512 and a task with checked shapes.
    pub(super) unsafe fn avx512<B: Right>(task: &Task<'_, B>) {
        // SAFETY: as the caller promised.
        unsafe { avx512_tiles(task) }
    }

    /// # Safety
    /// Needs AVX2 with FMA and a task with checked shapes.
    pub(in crate::gemm) unsafe fn avx2<B: Right>(task: &Task<'_, B>) {
        // SAFETY: as the caller promised.
        unsafe { avx2_tiles(task) }
    }
}
