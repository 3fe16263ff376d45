//! Sampling side: sequences with cached keys and values, fed in mixed batches.
//!
//! Every row of a batch gives the bits that it would give alone, and the bits that training computes for it.

pub use crate::cache::{Cache, PAGE};
use crate::config::Config;
use crate::gemm::{Left, gemm};
use crate::head_norm::HeadNorms;
use crate::kernels;
use crate::weights::{Buffers, Part, Weights, sized};
use hone_trace::TokenId;

/// Tokens to feed to one sequence, in one batch with others.
pub struct Feed<'a> {
    /// The sequence.
    pub cache: &'a mut Cache,
    /// What follows it.
    pub ids: &'a [TokenId],
    /// Whether the logits after the last of them are wanted.
    pub want: bool,
}

/// Scratch of [`feed`].
#[derive(Default)]
pub struct Scratch {
    buffers: Buffers,
    x: Vec<f32>,
    h: Vec<f32>,
    inverse: Vec<f32>,
    qkv: Vec<f32>,
    norms: HeadNorms,
    ctx: Vec<f32>,
    scores: Vec<f32>,
    picked: Vec<f32>,
    logits: Vec<f32>,
}

/// Feed tokens to several sequences at once. Returns the logits `[n, vocab]` of those that want them, in order.
///
/// # Panics
/// When a sequence grows beyond the model's context or an id is outside its vocabulary; callers check both.
pub fn feed<'a>(weights: &Weights, feeds: &mut [Feed<'_>], s: &'a mut Scratch) -> &'a mut [f32] {
    let c = &weights.config;
    let (d, w, q, kv, hd) = (c.hidden_size, c.qkv_width(), c.query_width(), c.kv_width(), c.head_dim);
    let m: usize = feeds.iter().map(|f| f.ids.len()).sum();
    for f in feeds.iter_mut() {
        let len = f.cache.ids().len() + f.ids.len();
        assert!(
            len <= c.max_position_embeddings,
            "sequence is longer than the model's context"
        );
        f.cache.reserve(c, len);
    }
    weights.embed(feeds.iter().flat_map(|f| f.ids.iter().copied()), &mut s.x);
    for index in 0..c.num_hidden_layers {
        let block = weights.block(index);
        let x = &mut s.x[..m * d];
        let h = sized(&mut s.h, m * d);
        kernels::rms_norm(
            x,
            weights.param(&block.norm1),
            c.rms_norm_eps,
            h,
            sized(&mut s.inverse, m),
        );
        let qkv = sized(&mut s.qkv, m * w);
        weights.product((index, Part::Qkv), m, h, qkv, false, &mut s.buffers.low);
        weights.finish_qkv(index, m, qkv, &mut s.norms);
        let ctx = sized(&mut s.ctx, m * q);
        let mut at = 0;
        for f in feeds.iter_mut() {
            let (start, n) = (f.cache.ids().len(), f.ids.len());
            let rows = &mut qkv[at * w..(at + n) * w];
            for (position, row) in (start..).zip(rows.chunks_exact_mut(w)) {
                weights.rotary.apply(&mut row[..q + kv], position, 1.0);
                for g in 0..c.num_key_value_heads {
                    let head = index * c.num_key_value_heads + g;
                    let (key, value) = (&row[q + g * hd..][..hd], &row[q + kv + g * hd..][..hd]);
                    f.cache.write(hd, head, position, key, value);
                }
            }
            let ctx = &mut ctx[at * q..(at + n) * q];
            attend(c, index, f.cache, start, rows, ctx, &mut s.scores);
            at += n;
        }
        weights.product((index, Part::Out), m, ctx, x, true, &mut s.buffers.low);
        weights.feed_forward(index, m, x, sized(&mut s.inverse, m), &mut s.buffers);
    }
    s.picked.clear();
    let (mut at, mut wanted) = (0, 0);
    for f in feeds.iter_mut() {
        at += f.ids.len();
        f.cache.extend(f.ids);
        if f.want && !f.ids.is_empty() {
            s.picked.extend_from_slice(&s.x[(at - 1) * d..at * d]);
            wanted += 1;
        }
    }
    weights.head(wanted, &s.picked, &mut s.h, &mut s.inverse, &mut s.logits);
    &mut s.logits[..wanted * c.vocab_size]
}

/// Causal attention of new tokens from position `start` on, whose keys and values are written: `rows[n, w]` to `ctx[n, q]`.
fn attend(c: &Config, index: usize, cache: &Cache, start: usize, rows: &[f32], ctx: &mut [f32], scores: &mut Vec<f32>) {
    let (w, q, hd, group) = (c.qkv_width(), c.query_width(), c.head_dim, c.group());
    let n = rows.len() / w;
    if n == 0 {
        return;
    }
    let len = start + n;
    let scale = (hd as f32).sqrt().recip();
    // The rows of a product are a head's tokens; of a single token, the heads that share keys.
    let (m, stride, out) = if n == 1 { (group, hd, hd) } else { (n, w, q) };
    let scores = sized(scores, m * len);
    for g in 0..c.num_key_value_heads {
        let head = index * c.num_key_value_heads + g;
        for first in (g * group..(g + 1) * group).step_by(if n == 1 { group } else { 1 }) {
            for (at, keys, _) in cache.pages(hd, head, len) {
                gemm(
                    m,
                    Left::rows(&rows[first * hd..], stride),
                    keys,
                    &mut scores[at..],
                    len,
                    false,
                );
            }
            if n == 1 {
                for row in scores.chunks_exact_mut(len) {
                    kernels::causal_softmax(row, len, start, scale);
                }
            } else {
                kernels::causal_softmax(scores, len, start, scale);
            }
            // Later pages go on with the sums of earlier ones, so that pages change no bit.
            for (at, _, values) in cache.pages(hd, head, len) {
                gemm(
                    m,
                    Left::rows(&scores[at..], len),
                    values,
                    &mut ctx[first * hd..],
                    out,
                    at > 0,
                );
            }
        }
    }
}
