//! How numbers are stored: blocks of a scale and small integers, as `ggml-quants.c` defines them.

use half::{bf16, f16};

/// Storage of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// The upper halves of 32-bit floats.
    BF16,
    /// 32 numbers: `d * (q - 8)`, 4 bits each.
    Q4_0,
    /// 32 numbers: `d * q + m`, 4 bits each.
    Q4_1,
    /// 32 numbers: `d * q`, 8 bits each.
    Q8_0,
    /// 256 numbers: `d * scale * (q - 32)`, 6 bits each, an 8-bit scale for every 16.
    Q6K,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q8_0,
        Self::Q6K,
    ];

    /// Its number in files (`ggml_type`).
    pub fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 8,
            Self::Q6K => 14,
            Self::BF16 => 30,
        }
    }

    /// Numbers and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q8_0 => (32, 34),
            Self::Q6K => (256, 210),
        }
    }

    /// The numbers of whole blocks.
    ///
    /// # Panics
    /// When `bytes` and `out` are not the same number of whole blocks.
    pub fn dequantise(self, bytes: &[u8], out: &mut [f32]) {
        let (numbers, size) = self.block();
        assert!(
            bytes.len().is_multiple_of(size)
                && out.len().is_multiple_of(numbers)
                && bytes.len() / size == out.len() / numbers,
            "not whole blocks"
        );
        let block = match self {
            Self::F32 => |b: &[u8], out: &mut [f32]| out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Self::F16 => |b: &[u8], out: &mut [f32]| out[0] = half(b),
            Self::BF16 => |b: &[u8], out: &mut [f32]| out[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Self::Q4_0 => |b: &[u8], out: &mut [f32]| {
                let d = half(b);
                nibbles(&b[2..], out, |q| d * (f32::from(q) - 8.0));
            },
            Self::Q4_1 => |b: &[u8], out: &mut [f32]| {
                let (d, m) = (half(b), half(&b[2..]));
                nibbles(&b[4..], out, |q| d * f32::from(q) + m);
            },
            Self::Q8_0 => |b: &[u8], out: &mut [f32]| {
                let d = half(b);
                out.iter_mut()
                    .zip(&b[2..])
                    .for_each(|(x, q)| *x = d * f32::from(q.cast_signed()));
            },
            Self::Q6K => q6_k,
        };
        for (bytes, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(numbers)) {
            block(bytes, out);
        }
    }
}

fn half(b: &[u8]) -> f32 {
    f16::from_le_bytes([b[0], b[1]]).to_f32()
}

/// 16 bytes hold 32 numbers: the low halves are the first 16, the high halves the last.
fn nibbles(packed: &[u8], out: &mut [f32], number: impl Fn(u8) -> f32) {
    let (low, high) = out.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(packed) {
        *low = number(byte & 15);
        *high = number(byte >> 4);
    }
}

/// Low four bits `[128]`, high two bits `[64]`, scales `[16]`, `d`. Each half of the block interleaves four runs of 32.
fn q6_k(b: &[u8], out: &mut [f32]) {
    let (low, high, scales, d) = (&b[..128], &b[128..192], &b[192..208], half(&b[208..]));
    for (at, x) in out.iter_mut().enumerate() {
        let (part, run, i) = (at / 128, at % 128 / 32, at % 32);
        let four = low[part * 64 + run % 2 * 32 + i] >> (run / 2 * 4) & 15;
        let two = high[part * 32 + i] >> (run * 2) & 3;
        let q = f32::from(four | two << 4) - 32.0;
        // The order of the reference: the scale first.
        *x = d * f32::from(scales[at / 16].cast_signed()) * q;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(kind: Kind, bytes: &[u8]) -> Vec<f32> {
        let (numbers, size) = kind.block();
        let mut out = vec![0.0; bytes.len() / size * numbers];
        kind.dequantise(bytes, &mut out);
        out
    }

    #[test]
    fn floats() {
        assert_eq!(numbers(Kind::F32, &1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(numbers(Kind::F16, &[0x00, 0x3e, 0x00, 0xc0]), [1.5, -2.0]);
        assert_eq!(numbers(Kind::BF16, &[0xc0, 0x3f, 0x00, 0xc0]), [1.5, -2.0]);
    }

    #[test]
    fn blocks_of_32() {
        // d = 0.5, m = -1: bytes 0x10, 0x32, … hold 0, 2, 4, … below and 1, 3, 5, … above, modulo 16.
        let packed: Vec<u8> = (0..16u8).map(|i| ((2 * i) & 15) | (((2 * i + 1) & 15) << 4)).collect();
        let small = |i: usize| (2 * (i % 16) + i / 16) % 16;
        let (d, m) = ([0x00, 0x38], [0x00, 0xbc]);
        let q4_0 = numbers(Kind::Q4_0, &[&d[..], &packed].concat());
        let q4_1 = numbers(Kind::Q4_1, &[&d[..], &m, &packed].concat());
        for i in 0..32 {
            assert_eq!(q4_0[i], 0.5 * (small(i) as f32 - 8.0));
            assert_eq!(q4_1[i], 0.5 * small(i) as f32 - 1.0);
        }
        let bytes: Vec<u8> = (0..32u8).map(|i| i.wrapping_mul(8).wrapping_sub(128)).collect();
        let q8_0 = numbers(Kind::Q8_0, &[&d[..], &bytes].concat());
        for (i, x) in q8_0.iter().enumerate() {
            assert_eq!(*x, 0.5 * (8.0 * i as f32 - 128.0));
        }
    }

    /// Against a transcription of `dequantize_row_q6_K`, loop by loop.
    #[test]
    fn blocks_of_256() {
        let mut block: Vec<u8> = (0..210u32).map(|i| (i * 37 + 11) as u8).collect();
        block[208..].copy_from_slice(&[0x00, 0x38]);
        let (mut ql, mut qh, mut sc) = (&block[..128], &block[128..192], &block[192..208]);
        let mut want = vec![0.0; 256];
        for y in want.chunks_exact_mut(128) {
            for l in 0..32 {
                let is = l / 16;
                let q = |low: u8, shift: u8| f32::from(i16::from(low | (qh[l] >> shift & 3) << 4) - 32);
                let s = |at: usize| 0.5 * f32::from(sc[at].cast_signed());
                y[l] = s(is) * q(ql[l] & 15, 0);
                y[l + 32] = s(is + 2) * q(ql[l + 32] & 15, 2);
                y[l + 64] = s(is + 4) * q(ql[l] >> 4, 4);
                y[l + 96] = s(is + 6) * q(ql[l + 32] >> 4, 6);
            }
            (ql, qh, sc) = (&ql[64..], &qh[32..], &sc[8..]);
        }
        assert_eq!(numbers(Kind::Q6K, &block), want);
    }
}
