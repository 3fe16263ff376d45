//! Sampling side: sequences with cached keys and values, fed in mixed batches.
//!
//! Every row of a batch gives the bits that it would give alone, and the bits that training computes for it.

use crate::config::Config;
use crate::gemm::{Left, PANEL, Panels, gemm};
use crate::head_norm::HeadNorms;
use crate::kernels;
use crate::weights::{Buffers, Part, Weights, sized};
use hone_trace::TokenId;

/// The cached keys and values of one token sequence.
///
/// Keys are kept as packed right-hand sides of the score product (panels of 32 positions), values as those of the
/// context product, so that a step copies nothing but the new position.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    ids: Vec<TokenId>,
    capacity: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Cache {
    /// The tokens fed so far.
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// Keep only the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
    }

    /// An independent copy of the first `len` tokens.
    pub fn fork(&self, weights: &Weights, len: usize) -> Self {
        let mut copy = Self::default();
        copy.grow(weights, len);
        let len = len.min(self.ids.len());
        copy.copy_from(weights, self, len);
        copy.ids.extend_from_slice(&self.ids[..len]);
        copy
    }

    fn grow(&mut self, weights: &Weights, len: usize) {
        if len <= self.capacity {
            return;
        }
        let c = &weights.config;
        let capacity = len.next_multiple_of(2 * PANEL).max(self.capacity * 2);
        let heads = c.num_hidden_layers * c.num_key_value_heads;
        let old = std::mem::take(self);
        self.capacity = capacity;
        self.keys = vec![0.0; heads * c.head_dim * capacity];
        self.values = vec![0.0; heads * c.head_dim.next_multiple_of(PANEL) * capacity];
        self.copy_from(weights, &old, old.ids.len());
        self.ids = old.ids;
    }

    fn copy_from(&mut self, weights: &Weights, from: &Self, len: usize) {
        let c = &weights.config;
        let hd = c.head_dim;
        for head in 0..c.num_hidden_layers * c.num_key_value_heads {
            let n = len.div_ceil(PANEL) * PANEL * hd;
            let (to_at, from_at) = (head * hd * self.capacity, head * hd * from.capacity);
            self.keys[to_at..to_at + n].copy_from_slice(&from.keys[from_at..from_at + n]);
            for panel in 0..hd.div_ceil(PANEL) {
                let at = |capacity: usize| (head * hd.div_ceil(PANEL) + panel) * capacity * PANEL;
                let (to_at, from_at) = (at(self.capacity), at(from.capacity));
                self.values[to_at..to_at + len * PANEL].copy_from_slice(&from.values[from_at..from_at + len * PANEL]);
            }
        }
    }

    fn write(&mut self, hd: usize, head: usize, position: usize, key: &[f32], value: &[f32]) {
        let at = (head * self.capacity + position / PANEL * PANEL) * hd + position % PANEL;
        for (i, &x) in key.iter().enumerate() {
            self.keys[at + i * PANEL] = x;
        }
        for (panel, chunk) in value.chunks(PANEL).enumerate() {
            let at = ((head * hd.div_ceil(PANEL) + panel) * self.capacity + position) * PANEL;
            self.values[at..at + chunk.len()].copy_from_slice(chunk);
        }
    }

    fn keys(&self, hd: usize, head: usize, len: usize) -> Panels<'_> {
        Panels {
            k: hd,
            n: len,
            stride: hd * PANEL,
            data: &self.keys[head * hd * self.capacity..],
        }
    }

    fn values(&self, hd: usize, head: usize, len: usize) -> Panels<'_> {
        let at = head * hd.div_ceil(PANEL) * self.capacity * PANEL;
        Panels {
            k: len,
            n: hd,
            stride: self.capacity * PANEL,
            data: &self.values[at..],
        }
    }
}

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
        let len = f.cache.ids.len() + f.ids.len();
        assert!(
            len <= c.max_position_embeddings,
            "sequence is longer than the model's context"
        );
        f.cache.grow(weights, len);
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
            let (start, n) = (f.cache.ids.len(), f.ids.len());
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
        f.cache.ids.extend_from_slice(f.ids);
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
        let (keys, values) = (cache.keys(hd, head, len), cache.values(hd, head, len));
        for first in (g * group..(g + 1) * group).step_by(if n == 1 { group } else { 1 }) {
            gemm(m, Left::rows(&rows[first * hd..], stride), keys, scores, len, false);
            if n == 1 {
                for row in scores.chunks_exact_mut(len) {
                    kernels::causal_softmax(row, len, start, scale);
                }
            } else {
                kernels::causal_softmax(scores, len, start, scale);
            }
            gemm(m, Left::rows(scores, len), values, &mut ctx[first * hd..], out, false);
        }
    }
}
