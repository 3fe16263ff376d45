//! A data-free initialisation that gives a model induction heads (Olsson et al. 2022) before the first training step.
//!
//! Copying and key look-up are what a small tool user needs most and learns last: from random weights the circuit takes
//! longer to form than the whole budget. Here it is built in: in block 0 one query head per key/value head attends to the
//! previous token (a constant query against a constant key, one position apart, on the fast rotary pairs) and writes a
//! projection of that token into the residual stream. In block 1 the same heads compare the present token with what
//! block 0 wrote (on the slow rotary pairs, which match content at any distance) and copy out the token they find: "what
//! followed this token last time". The other attention heads start as weak copiers (`O = Vᵀ`).

use crate::config::{Architecture, Config};
use crate::weights::{Weights, WeightsError, fill_normal};
use hone_trace::Stream;

/// Rotary pairs with an angle per position above this see neighbours.
const FAST: f64 = 0.15;
/// Rotary pairs with an angle per position below this see content at any distance within a few hundred tokens.
const SLOW: f64 = 0.012;
/// Size of the constant key in block 0, per fast pair.
const NEIGHBOUR: f32 = 5.0;
/// Scale of the content match in block 1, on queries and on keys.
const MATCH: f32 = 1.0;
/// Size of the residual stream per element at the start. The embedding carries it, so that block outputs do not drown it.
const STREAM: f32 = 0.5;
/// How strongly block 1 writes what it copies, in units of the stream.
const COPY: f32 = 4.0;

/// Random weights with induction heads in the first two blocks.
///
/// # Errors
/// As [`Weights::random`]; a model of one block, or one without a bias on queries and keys, gets no induction heads.
pub fn induction(config: Config, stream: &Stream) -> Result<Weights, WeightsError> {
    let mut weights = Weights::random(config, stream)?;
    let c = weights.config.clone();
    if c.num_hidden_layers < 2 || c.model_type != Architecture::Qwen2 {
        return Ok(weights);
    }
    let blocks = [weights.block(0).clone(), weights.block(1).clone()];
    let (d, q, kv, hd) = (c.hidden_size, c.query_width(), c.kv_width(), c.head_dim);
    let half = hd / 2;
    let angle = |pair: usize| f64::from(c.rope_theta).powf(-(2.0 * pair as f64) / hd as f64);
    let rank = hd.min(d);
    let layout = weights.layout.clone();
    weights.update(|params| {
        // The embedding at STREAM per element, everything written to the stream in proportion to it, and the last gain
        // such that logits start near unit scale.
        let root = (d as f32).sqrt();
        params[layout.embed.clone()]
            .iter_mut()
            .for_each(|x| *x *= STREAM * root);
        params[layout.norm.clone()].fill(1.0 / (STREAM * root));
        for block in &layout.blocks {
            params[block.out.clone()].iter_mut().for_each(|x| *x *= STREAM);
            params[block.down.clone()].iter_mut().for_each(|x| *x *= STREAM);
        }
        for (index, block) in blocks.iter().enumerate() {
            for head in 0..c.num_attention_heads {
                // O = Vᵀ plus noise.
                let group = head / c.group();
                for i in 0..hd {
                    for j in 0..d {
                        let v = params[block.qkv.start + (q + kv + group * hd + i) * d + j];
                        params[block.out.start + j * q + head * hd + i] += 0.5 * STREAM * v;
                    }
                }
            }
            for group in 0..c.num_key_value_heads {
                let head = group * c.group();
                let name = |s: &str| stream.named("induction").named(s).at(index as u64).at(group as u64);
                let value = orthonormal(rank, d, &name("value"));
                for i in 0..rank {
                    let at = block.qkv.start + (q + kv + group * hd + i) * d;
                    params[at..at + d].copy_from_slice(&value[i * d..(i + 1) * d]);
                }
                let out = if index == 0 {
                    orthonormal(rank, d, &name("out"))
                } else {
                    value
                };
                let size = if index == 0 { STREAM } else { COPY * STREAM };
                for i in 0..rank {
                    for j in 0..d {
                        params[block.out.start + j * q + head * hd + i] = size * out[i * d + j];
                    }
                }
            }
        }
        // Block 0: attend to the previous token.
        for group in 0..c.num_key_value_heads {
            let head = group * c.group();
            let block = &blocks[0];
            for at in [head * hd, q + group * hd] {
                params[block.qkv.start + at * d..block.qkv.start + (at + hd) * d]
                    .iter_mut()
                    .for_each(|w| *w *= 0.1);
            }
            for pair in (0..half).filter(|p| angle(*p) > FAST) {
                let bias = block.qkv_bias.start;
                params[bias + q + group * hd + pair] = NEIGHBOUR;
                // The key one position back, rotated into the present.
                let (sin, cos) = (angle(pair) as f32).sin_cos();
                params[bias + head * hd + pair] = NEIGHBOUR * cos;
                params[bias + head * hd + half + pair] = -NEIGHBOUR * sin;
            }
        }
        // Block 1: match the present token with the one before each position.
        for group in 0..c.num_key_value_heads {
            let head = group * c.group();
            for dim in 0..rank {
                let slow = angle(dim % half) < SLOW;
                for j in 0..d {
                    let value = params[blocks[0].qkv.start + (q + kv + group * hd + dim) * d + j];
                    let out = params[blocks[0].out.start + j * q + head * hd + dim] / STREAM;
                    let query = &mut params[blocks[1].qkv.start + (head * hd + dim) * d + j];
                    *query = if slow { MATCH * value } else { 0.1 * *query };
                    let key = &mut params[blocks[1].qkv.start + (q + group * hd + dim) * d + j];
                    *key = if slow { MATCH * out } else { 0.1 * *key };
                }
            }
        }
    });
    Ok(weights)
}

/// `rows` orthonormal vectors of `d` numbers (Gram–Schmidt over normal vectors).
fn orthonormal(rows: usize, d: usize, stream: &Stream) -> Vec<f32> {
    let mut out = vec![0f32; rows * d];
    fill_normal(&mut out, 1.0, stream);
    for i in 0..rows {
        for _ in 0..2 {
            for j in 0..i {
                let (done, rest) = out.split_at_mut(i * d);
                let (a, b) = (&done[j * d..(j + 1) * d], &mut rest[..d]);
                let along: f32 = a.iter().zip(b.iter()).map(|(x, y)| x * y).sum();
                b.iter_mut().zip(a).for_each(|(y, x)| *y -= along * x);
            }
        }
        let row = &mut out[i * d..(i + 1) * d];
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    out
}
