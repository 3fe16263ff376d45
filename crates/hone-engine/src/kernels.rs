//! Row-wise operations and their backward, each with a fixed order of summation.
//!
//! Sums over a row run in 16 lanes (lane `i` takes elements `i, i+16, …`) that are then added in lane order, so that a
//! row's result depends on that row alone.

use crate::simd::per_level;

const LANES: usize = 16;

/// `e^x` to about 1 ulp on [-87, 88], 0 below, as a polynomial that vectorises.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let n = (clamped * LOG2_E).round_ties_even();
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 0.166_666_65);
    p = p.mul_add(r, 0.5);
    let y = p.mul_add(r * r, r + 1.0);
    let scale = f32::from_bits(((n as i32 + 127) << 23) as u32);
    if x < -87.0 { 0.0 } else { y * scale }
}

#[inline(always)]
fn lane_sum(lanes: [f32; LANES]) -> f32 {
    lanes.iter().fold(0.0, |sum, x| sum + x)
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] = x[i].mul_add(y[i], lanes[i]);
        }
    }
    for (i, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[i] = x.mul_add(*y, lanes[i]);
    }
    lane_sum(lanes)
}

/// Exponentials of `row[..n] * scale - max` in place, the rest set to zero; returns the maximum and the sum.
#[inline(always)]
fn exp_row(row: &mut [f32], n: usize, scale: f32) -> (f32, f32) {
    let mut max = [f32::NEG_INFINITY; LANES];
    let chunks = row[..n].chunks_exact(LANES);
    for &x in chunks.remainder() {
        max[0] = max[0].max(x * scale);
    }
    for chunk in chunks {
        for i in 0..LANES {
            max[i] = max[i].max(chunk[i] * scale);
        }
    }
    let max = max.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
    let mut lanes = [0f32; LANES];
    let mut chunks = row[..n].chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for i in 0..LANES {
            chunk[i] = exp(chunk[i] * scale - max);
            lanes[i] += chunk[i];
        }
    }
    for (i, x) in chunks.into_remainder().iter_mut().enumerate() {
        *x = exp(*x * scale - max);
        lanes[i] += *x;
    }
    row[n..].fill(0.0);
    (max, lane_sum(lanes))
}

per_level! {
    /// Causal softmax of `rows` rows of `width` scores: row `i` keeps its first `first + i + 1` scores times `scale`,
    /// the rest become zero.
    pub fn causal_softmax(scores: &mut [f32], width: usize, first: usize, scale: f32) {
        for (i, row) in scores.chunks_exact_mut(width).enumerate() {
            let (_, sum) = exp_row(row, first + i + 1, scale);
            let inverse = 1.0 / sum;
            for x in row.iter_mut() {
                *x *= inverse;
            }
        }
    }
}

per_level! {
    /// Backward of [`causal_softmax`]: turns `d` (gradient of the probabilities) into the gradient of the raw scores.
    pub fn causal_softmax_backward(p: &[f32], d: &mut [f32], width: usize, scale: f32) {
        for (p, d) in p.chunks_exact(width).zip(d.chunks_exact_mut(width)) {
            let inner = dot(p, d);
            for (d, p) in d.iter_mut().zip(p) {
                *d = p * (*d - inner) * scale;
            }
        }
    }
}

per_level! {
    /// `y = x / rms(x) * gain` per row of `gain.len()`; writes `1 / rms` per row.
    pub fn rms_norm(x: &[f32], gain: &[f32], eps: f32, y: &mut [f32], inverse: &mut [f32]) {
        let n = gain.len();
        for ((x, y), inverse) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(inverse) {
            let r = 1.0 / (dot(x, x) / n as f32 + eps).sqrt();
            *inverse = r;
            for i in 0..n {
                y[i] = x[i] * r * gain[i];
            }
        }
    }
}

per_level! {
    /// Backward of [`rms_norm`]: adds to `dx` and `dgain`.
    pub fn rms_norm_backward(x: &[f32], gain: &[f32], inverse: &[f32], dy: &[f32], dx: &mut [f32], dgain: &mut [f32]) {
        let n = gain.len();
        let mut scaled = vec![0f32; n];
        for (((x, dy), dx), &r) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n)).zip(inverse) {
            for i in 0..n {
                scaled[i] = dy[i] * gain[i];
                dgain[i] = (dy[i] * x[i]).mul_add(r, dgain[i]);
            }
            let inner = dot(&scaled, x) * r * r / n as f32;
            for i in 0..n {
                dx[i] += r * (scaled[i] - x[i] * inner);
            }
        }
    }
}

per_level! {
    /// `out = silu(gate) * up`, where each row of `gate_up` holds `n` gates and then `n` ups.
    pub fn swiglu(gate_up: &[f32], out: &mut [f32], n: usize) {
        for (gu, out) in gate_up.chunks_exact(2 * n).zip(out.chunks_exact_mut(n)) {
            let (g, u) = gu.split_at(n);
            for i in 0..n {
                out[i] = g[i] / (1.0 + exp(-g[i])) * u[i];
            }
        }
    }
}

per_level! {
    /// Backward of [`swiglu`]: overwrites `gate_up` with its gradient.
    pub fn swiglu_backward(gate_up: &mut [f32], dout: &[f32], n: usize) {
        for (gu, d) in gate_up.chunks_exact_mut(2 * n).zip(dout.chunks_exact(n)) {
            let (g, u) = gu.split_at_mut(n);
            for i in 0..n {
                let s = 1.0 / (1.0 + exp(-g[i]));
                let silu = g[i] * s;
                let du = d[i] * silu;
                g[i] = d[i] * u[i] * (silu.mul_add(1.0 - s, s));
                u[i] = du;
            }
        }
    }
}

per_level! {
    /// Add `bias` to every row of `x`.
    pub fn add_bias(x: &mut [f32], bias: &[f32]) {
        for row in x.chunks_exact_mut(bias.len()) {
            for (x, b) in row.iter_mut().zip(bias) {
                *x += b;
            }
        }
    }
}

per_level! {
    /// Add every row of `dy` to `dbias`.
    pub fn add_bias_backward(dy: &[f32], dbias: &mut [f32]) {
        for row in dy.chunks_exact(dbias.len()) {
            for (b, d) in dbias.iter_mut().zip(row) {
                *b += d;
            }
        }
    }
}

per_level! {
    /// `a += b`.
    pub fn add(a: &mut [f32], b: &[f32]) {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
    }
}

per_level! {
    /// Rotate the heads of one row (half-split pairs, as in Llama): `cos` and `sin` hold `head / 2` values of the
    /// position; `sign` is 1 forward and -1 backward.
    pub fn rotate(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for head in row.chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            for i in 0..half {
                let (x, y, s) = (a[i], b[i], sin[i] * sign);
                a[i] = x.mul_add(cos[i], -(y * s));
                b[i] = y.mul_add(cos[i], x * s);
            }
        }
    }
}

per_level! {
    /// Turns `logits` into log-probabilities at temperature 1 / `inverse_temperature`, in place.
    pub fn log_softmax(logits: &mut [f32], inverse_temperature: f32) {
        let mut scratch = logits.to_vec();
        let n = scratch.len();
        let (max, sum) = exp_row(&mut scratch, n, inverse_temperature);
        let shift = max + sum.ln();
        for x in logits.iter_mut() {
            *x = x.mul_add(inverse_temperature, -shift);
        }
    }
}

per_level! {
    /// Entropy in nats of a row of log-probabilities.
    pub fn entropy(logp: &[f32]) -> f32 {
        let mut lanes = [0f32; LANES];
        let chunks = logp.chunks_exact(LANES);
        for (i, &l) in chunks.remainder().iter().enumerate() {
            lanes[i] -= exp(l) * l.max(-87.0);
        }
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] -= exp(chunk[i]) * chunk[i].max(-87.0);
            }
        }
        lane_sum(lanes)
    }
}

per_level! {
    /// Turns log-probabilities into the gradient of `dlogp * logp[target] + dentropy * H` with respect to the logits.
    pub fn log_softmax_backward(logp: &mut [f32], target: usize, dlogp: f32, dentropy: f32, entropy: f32, inverse_temperature: f32) {
        for l in logp.iter_mut() {
            let p = exp(*l);
            *l = -p * (dlogp + dentropy * (l.max(-87.0) + entropy)) * inverse_temperature;
        }
        logp[target] += dlogp * inverse_temperature;
    }
}

per_level! {
    /// One AdamW update (Loshchilov and Hutter 2019) of a slice: `m`, `v` are the moments, `c1`, `c2` the bias
    /// corrections `1 - beta^t`, `decay` the product of learning rate and weight decay.
    pub fn adamw(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], scale: f32, lr: f32, beta1: f32, beta2: f32, eps: f32, c1: f32, c2: f32, decay: f32) {
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g * scale;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let step = (*m / c1) / ((*v / c2).sqrt() + eps);
            *w = *w - decay * *w - lr * step;
        }
    }
}

per_level! {
    /// Exponentials in place.
    pub fn exp_all(x: &mut [f32]) {
        for x in x.iter_mut() {
            *x = exp(*x);
        }
    }
}

/// Sum of squares in f64, in order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.chunks(1024).map(|c| f64::from(dot(c, c))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) / want - 1.0).abs() < 3e-7, "{x}: {} {want}", exp(x));
        }
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn a_softmax_row_does_not_depend_on_its_padding() {
        let scores: Vec<f32> = (0..64).map(|i| ((i * 37) % 11) as f32).collect();
        let mut short = scores[..19].to_vec();
        causal_softmax(&mut short, 19, 18, 0.5);
        let mut long = scores.clone();
        causal_softmax(&mut long, 64, 18, 0.5);
        assert_eq!(short, long[..19]);
        assert!(long[19..].iter().all(|x| *x == 0.0));
        assert!((short.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
