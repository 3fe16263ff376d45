//! Training: log-probabilities of given tokens, their gradient, and the optimiser step.
//!
//! A batch is cut into shards of whole sequences by a rule that does not look at the number of threads. Each shard runs
//! forward and backward on one thread with its own gradient, and the gradients are added in shard order: the result is
//! the same bits for any number of threads, and no thread waits inside a step.

use crate::gemm::{Block, Left, PANEL, Packed, Panels, Transposed, gemm, gemm_at_b};
use crate::kernels;
use crate::weights::{Buffers, PackedModel, Weights, sized};
use hone_trace::TokenId;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A sequence to train or score on.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Token ids.
    pub ids: &'a [TokenId],
    /// Which of them to predict, ascending; 0 cannot be predicted.
    pub targets: &'a [u32],
}

/// What the model says of a row's targets, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowScore {
    /// Log-probability in nats, at the temperature asked for.
    pub logp: Vec<f32>,
    /// Entropy in nats of the distribution that predicts it.
    pub entropy: Vec<f32>,
    /// Whether no other token is likelier: greedy decoding would choose it (up to ties).
    pub likeliest: Vec<bool>,
}

/// A loss's answer for one row.
#[derive(Clone, Debug, Default)]
pub struct RowGradient {
    /// Contribution to the batch's loss.
    pub loss: f64,
    /// Derivative of the loss by each target's log-probability.
    pub dlogp: Vec<f32>,
    /// Derivative of the loss by each target's entropy; empty means zero.
    pub dentropy: Vec<f32>,
}

/// A loss over the log-probabilities of a batch's targets. Called from several threads, in any order of rows.
pub trait Loss: Sync {
    /// The loss and its derivatives for row `index` of the batch.
    fn row(&self, index: usize, score: &RowScore) -> RowGradient;
}

/// Cross-entropy: `-sum(weight * logp)`, with one weight per row.
pub struct CrossEntropy<'a> {
    /// Weight of each row's tokens; `1 / targets` in all rows together makes the token mean.
    pub weights: &'a [f32],
}

impl Loss for CrossEntropy<'_> {
    fn row(&self, index: usize, score: &RowScore) -> RowGradient {
        let w = self.weights[index];
        RowGradient {
            loss: score.logp.iter().map(|l| -f64::from(w) * f64::from(*l)).sum(),
            dlogp: vec![-w; score.logp.len()],
            dentropy: Vec::new(),
        }
    }
}

/// AdamW settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f32,
    /// Bound on the gradient's norm; 0 is off.
    pub clip_norm: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
        }
    }
}

/// What a gradient pass found.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// Sum of the rows' losses.
    pub loss: f64,
    /// Log-probabilities and entropies by row.
    pub scores: Vec<RowScore>,
    /// Tokens fed.
    pub tokens: usize,
}

/// A model under training: weights, gradient, optimiser state.
pub struct Learner {
    weights: Arc<Weights>,
    backward: PackedModel,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
    threads: usize,
    scratch: Vec<Mutex<Scratch>>,
    shards: Vec<Mutex<Vec<f32>>>,
}

/// Optimiser state, for checkpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// First moments, in layout order.
    pub first: Vec<f32>,
    /// Second moments.
    pub second: Vec<f32>,
    /// Steps taken.
    pub steps: u64,
}

/// Why a step was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LearnError {
    /// The loss, the gradient or what the weights give is not a number.
    #[error(
        "the {0} is not finite at optimiser step {1}: lower the learning rate, or look at the batch's log-probabilities"
    )]
    NotFinite(&'static str, u64),
    /// A saved optimiser state of another model.
    #[error("the optimiser state has {have} numbers and the model {want}; it belongs to another model")]
    State {
        /// Given.
        have: usize,
        /// Expected.
        want: usize,
    },
}

const SHARD_TOKENS: usize = 512;
const MAX_SHARDS: usize = 8;
const QUERY_BLOCK: usize = 64;

impl Learner {
    /// Start training `weights` with a fresh optimiser on `threads` threads.
    pub fn new(weights: Weights, threads: usize) -> Self {
        let n = weights.params().len();
        let mut learner = Self {
            weights: Arc::new(weights),
            backward: PackedModel::default(),
            gradient: vec![0.0; n],
            first: vec![0.0; n],
            second: vec![0.0; n],
            steps: 0,
            threads: threads.max(1),
            scratch: Vec::new(),
            shards: Vec::new(),
        };
        learner.weights.pack_backward(&mut learner.backward);
        learner.scratch.resize_with(learner.threads, Mutex::default);
        learner
    }

    /// The weights as they are now; later steps make new ones.
    pub fn weights(&self) -> Arc<Weights> {
        Arc::clone(&self.weights)
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Forget the optimiser's moments.
    pub fn reset_optimizer(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.steps = 0;
    }

    /// A copy of the optimiser's state.
    pub fn optimizer_state(&self) -> OptimizerState {
        OptimizerState {
            first: self.first.clone(),
            second: self.second.clone(),
            steps: self.steps,
        }
    }

    /// Continue from a saved state.
    ///
    /// # Errors
    /// When it belongs to another model.
    pub fn restore_optimizer(&mut self, state: OptimizerState) -> Result<(), LearnError> {
        let want = self.gradient.len();
        for have in [state.first.len(), state.second.len()] {
            if have != want {
                return Err(LearnError::State { have, want });
            }
        }
        self.first = state.first;
        self.second = state.second;
        self.steps = state.steps;
        Ok(())
    }

    /// The gradient of the last pass, in layout order.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Log-probabilities and entropies of the rows' targets at `temperature`, without a gradient.
    pub fn score(&mut self, rows: &[Row<'_>], temperature: f32) -> Vec<RowScore> {
        self.run(rows, temperature, None).scores
    }

    /// Forward and backward over the batch; replaces the gradient.
    pub fn pass(&mut self, rows: &[Row<'_>], temperature: f32, loss: &dyn Loss) -> Pass {
        self.run(rows, temperature, Some(loss))
    }

    fn run(&mut self, rows: &[Row<'_>], temperature: f32, loss: Option<&dyn Loss>) -> Pass {
        let shards = cut(rows);
        while self.shards.len() < shards.len() {
            self.shards.push(Mutex::default());
        }
        let results: Vec<Mutex<Pass>> = shards.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        let (weights, backward, buffers) = (&*self.weights, &self.backward, &self.shards);
        let work = |scratch: &Mutex<Scratch>| {
            let mut scratch = scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(shard) = shards.get(at) else { return };
                let mut gradient = buffers[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if loss.is_some() {
                    gradient.clear();
                    gradient.resize(weights.params().len(), 0.0);
                }
                let pass = shard_pass(
                    weights,
                    backward,
                    rows,
                    shard,
                    temperature,
                    loss,
                    &mut scratch,
                    &mut gradient,
                );
                *results[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = pass;
            }
        };
        std::thread::scope(|scope| {
            for scratch in &self.scratch[1..] {
                scope.spawn(|| work(scratch));
            }
            work(&self.scratch[0]);
        });
        let mut total = Pass {
            scores: vec![RowScore::default(); rows.len()],
            ..Pass::default()
        };
        for (shard, result) in shards.iter().zip(results) {
            let pass = result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            total.loss += pass.loss;
            total.tokens += pass.tokens;
            for (&row, score) in shard.iter().zip(pass.scores) {
                total.scores[row] = score;
            }
        }
        if loss.is_some() {
            self.gradient.fill(0.0);
            for shard in &self.shards[..shards.len()] {
                let shard = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                kernels::add(&mut self.gradient, &shard);
            }
        }
        total
    }

    /// One AdamW step along the last pass's gradient. Returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// When the gradient is not finite; nothing is changed then.
    pub fn step(&mut self, lr: f32, adamw: &AdamW) -> Result<f64, LearnError> {
        let norm = kernels::sum_of_squares(&self.gradient).sqrt();
        if !norm.is_finite() {
            return Err(LearnError::NotFinite("gradient", self.steps));
        }
        let clip = f64::from(adamw.clip_norm);
        let scale = if clip > 0.0 && norm > clip {
            (clip / norm) as f32
        } else {
            1.0
        };
        self.steps += 1;
        let correction = |beta: f32| (1.0 - f64::from(beta).powf(self.steps as f64)) as f32;
        let (c1, c2) = (correction(adamw.beta1), correction(adamw.beta2));
        let (gradient, first, second) = (&self.gradient, &mut self.first, &mut self.second);
        let weights = Arc::make_mut(&mut self.weights);
        let tensors = weights.layout.tensors.clone();
        weights.update(|params| {
            for tensor in &tensors {
                let at = tensor.range.clone();
                let decay = if tensor.shape.len() > 1 {
                    lr * adamw.weight_decay
                } else {
                    0.0
                };
                kernels::adamw(
                    &mut params[at.clone()],
                    &gradient[at.clone()],
                    &mut first[at.clone()],
                    &mut second[at],
                    scale,
                    lr,
                    adamw.beta1,
                    adamw.beta2,
                    adamw.eps,
                    c1,
                    c2,
                    decay,
                );
            }
        });
        self.weights.pack_backward(&mut self.backward);
        Ok(norm)
    }
}

/// How many of a row's tokens must be fed: those before its last target.
fn fed(row: &Row<'_>) -> usize {
    row.targets.last().map_or(0, |t| *t as usize)
}

/// Cut a batch into shards of about equal size: longest rows first, each to the lightest shard.
fn cut(rows: &[Row<'_>]) -> Vec<Vec<usize>> {
    let total: usize = rows.iter().map(fed).sum();
    let n = total.div_ceil(SHARD_TOKENS).next_multiple_of(2).clamp(2, MAX_SHARDS);
    let mut order: Vec<usize> = (0..rows.len()).filter(|i| fed(&rows[*i]) > 0).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(fed(&rows[*i])), *i));
    let mut shards = vec![(0usize, Vec::new()); n];
    for row in order {
        if let Some((tokens, shard)) = shards.iter_mut().min_by_key(|(tokens, _)| *tokens) {
            *tokens += fed(&rows[row]);
            shard.push(row);
        }
    }
    shards
        .into_iter()
        .map(|(_, shard)| shard)
        .filter(|shard| !shard.is_empty())
        .collect()
}

/// What the backward pass of a block needs from its forward pass.
#[derive(Default)]
struct Saved {
    x: Vec<f32>,
    inverse1: Vec<f32>,
    qkv: Vec<f32>,
    ctx: Vec<f32>,
    mid: Vec<f32>,
    inverse2: Vec<f32>,
    gate_up: Vec<f32>,
}

#[derive(Default)]
struct Scratch {
    saved: Vec<Saved>,
    buffers: Buffers,
    attention: Attention,
    x: Vec<f32>,
    picked: Vec<f32>,
    normed: Vec<f32>,
    inverse: Vec<f32>,
    logits: Vec<f32>,
    dx: Vec<f32>,
    dh: Vec<f32>,
    dqkv: Vec<f32>,
    dctx: Vec<f32>,
    dact: Vec<f32>,
    transposed: Transposed,
}

#[derive(Default)]
struct Attention {
    keys: Packed,
    values: Packed,
    keys_rows: Packed,
    values_columns: Packed,
    scores: Vec<f32>,
    dscores: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

#[allow(clippy::too_many_arguments)]
fn shard_pass(
    weights: &Weights,
    backward: &PackedModel,
    rows: &[Row<'_>],
    shard: &[usize],
    temperature: f32,
    loss: Option<&dyn Loss>,
    s: &mut Scratch,
    gradient: &mut [f32],
) -> Pass {
    let c = &weights.config;
    let (d, v) = (c.hidden_size, c.vocab_size);
    let inverse_temperature = 1.0 / temperature;
    // Sequences laid one after the other; `spans` are their places.
    let mut spans = Vec::with_capacity(shard.len());
    let mut t = 0;
    for &row in shard {
        let n = fed(&rows[row]);
        spans.push(t..t + n);
        t += n;
    }
    weights.embed(
        shard
            .iter()
            .flat_map(|row| rows[*row].ids[..fed(&rows[*row])].iter().copied()),
        &mut s.x,
    );
    s.saved.resize_with(c.num_hidden_layers, Saved::default);
    for index in 0..c.num_hidden_layers {
        block_forward(weights, index, t, &spans, s);
    }

    // The head, at the positions that predict a target.
    let picks: Vec<usize> = shard
        .iter()
        .zip(&spans)
        .flat_map(|(row, span)| rows[*row].targets.iter().map(|j| span.start + *j as usize - 1))
        .collect();
    let m = picks.len();
    s.picked.clear();
    for &at in &picks {
        s.picked.extend_from_slice(&s.x[at * d..(at + 1) * d]);
    }
    weights.head(m, &s.picked, &mut s.normed, &mut s.inverse, &mut s.logits);
    let mut pass = Pass {
        tokens: t,
        ..Pass::default()
    };
    let mut at = 0;
    for &row in shard {
        let Row { ids, targets } = rows[row];
        let mut score = RowScore::default();
        for (k, &j) in targets.iter().enumerate() {
            let logits = &mut s.logits[(at + k) * v..(at + k + 1) * v];
            kernels::log_softmax(logits, inverse_temperature);
            let logp = logits[ids[j as usize] as usize];
            score.likeliest.push(logits.iter().all(|l| *l <= logp));
            score.logp.push(logp);
            score.entropy.push(kernels::entropy(logits));
        }
        if let Some(loss) = loss {
            let g = loss.row(row, &score);
            pass.loss += g.loss;
            for (k, &j) in targets.iter().enumerate() {
                kernels::log_softmax_backward(
                    &mut s.logits[(at + k) * v..(at + k + 1) * v],
                    ids[j as usize] as usize,
                    g.dlogp[k],
                    g.dentropy.get(k).copied().unwrap_or(0.0),
                    score.entropy[k],
                    inverse_temperature,
                );
            }
        }
        at += targets.len();
        pass.scores.push(score);
    }
    if loss.is_none() {
        return pass;
    }

    // Backward.
    let dlogits = &s.logits[..m * v];
    gemm_at_b(
        &mut s.transposed,
        m,
        Block::new(dlogits, v, v),
        Block::new(&s.normed[..m * d], d, d),
        &mut gradient[weights.layout.embed.clone()],
    );
    let dnormed = sized(&mut s.dh, m * d);
    gemm(m, Left::rows(dlogits, v), backward.head.view(), dnormed, d, false);
    let dpicked = sized(&mut s.dctx, m * d);
    dpicked.fill(0.0);
    kernels::rms_norm_backward(
        &s.picked,
        weights.param(&weights.layout.norm),
        &s.inverse[..m],
        dnormed,
        dpicked,
        &mut gradient[weights.layout.norm.clone()],
    );
    let dx = sized(&mut s.dx, t * d);
    dx.fill(0.0);
    for (row, &at) in dpicked.chunks_exact(d).zip(&picks) {
        kernels::add(&mut dx[at * d..(at + 1) * d], row);
    }
    for index in (0..c.num_hidden_layers).rev() {
        block_backward(weights, backward, index, t, &spans, s, gradient);
    }
    let embed = &mut gradient[weights.layout.embed.clone()];
    let ids = shard.iter().flat_map(|row| rows[*row].ids[..fed(&rows[*row])].iter());
    for (row, &id) in s.dx[..t * d].chunks_exact(d).zip(ids) {
        kernels::add(&mut embed[id as usize * d..][..d], row);
    }
    pass
}

fn block_forward(weights: &Weights, index: usize, t: usize, spans: &[std::ops::Range<usize>], s: &mut Scratch) {
    let c = &weights.config;
    let (d, w, q) = (c.hidden_size, c.qkv_width(), c.query_width());
    let (block, packed) = (weights.block(index), &weights.forward.blocks[index]);
    let saved = &mut s.saved[index];
    let x = &mut s.x[..t * d];
    sized(&mut saved.x, t * d).copy_from_slice(x);
    let h = sized(&mut s.buffers.h, t * d);
    kernels::rms_norm(
        x,
        weights.param(&block.norm1),
        c.rms_norm_eps,
        h,
        sized(&mut saved.inverse1, t),
    );
    let qkv = sized(&mut saved.qkv, t * w);
    gemm(t, Left::rows(h, d), packed.qkv.view(), qkv, w, false);
    kernels::add_bias(qkv, weights.param(&block.qkv_bias));
    for span in spans {
        for (position, row) in qkv[span.start * w..span.end * w].chunks_exact_mut(w).enumerate() {
            weights.rotary.apply(&mut row[..q + c.kv_width()], position, 1.0);
        }
    }
    let ctx = sized(&mut saved.ctx, t * q);
    for span in spans {
        let rows = span.start * w..span.end * w;
        attend(c, &qkv[rows], &mut ctx[span.start * q..span.end * q], &mut s.attention);
    }
    gemm(t, Left::rows(ctx, q), packed.out.view(), x, d, true);
    sized(&mut saved.mid, t * d).copy_from_slice(x);
    weights.feed_forward(index, t, x, sized(&mut saved.inverse2, t), &mut s.buffers);
    // The activations are kept by exchanging buffers with the previous pass's.
    std::mem::swap(&mut saved.gate_up, &mut s.buffers.gate_up);
}

/// Causal attention of one sequence: `qkv[n, w]` to `ctx[n, q]`.
fn attend(c: &crate::config::Config, qkv: &[f32], ctx: &mut [f32], a: &mut Attention) {
    let (w, q, hd) = (c.qkv_width(), c.query_width(), c.head_dim);
    let n = qkv.len() / w;
    let scale = (hd as f32).sqrt().recip();
    for g in 0..c.num_key_value_heads {
        a.keys.columns(&qkv[q + g * hd..], w, hd, n);
        a.values.rows(&qkv[q + c.kv_width() + g * hd..], w, n, hd);
        for head in g * c.group()..(g + 1) * c.group() {
            for r0 in (0..n).step_by(QUERY_BLOCK) {
                let r1 = n.min(r0 + QUERY_BLOCK);
                let m = r1 - r0;
                let p = sized(&mut a.scores, m * r1);
                gemm(
                    m,
                    Left::rows(&qkv[r0 * w + head * hd..], w),
                    first(a.keys.view(), hd, r1),
                    p,
                    r1,
                    false,
                );
                kernels::causal_softmax(p, r1, r0, scale);
                gemm(
                    m,
                    Left::rows(p, r1),
                    first(a.values.view(), r1, hd),
                    &mut ctx[r0 * q + head * hd..],
                    q,
                    false,
                );
            }
        }
    }
}

/// The leading `[k, n]` part of a packed matrix.
fn first(panels: Panels<'_>, k: usize, n: usize) -> Panels<'_> {
    debug_assert!(k <= panels.k && n.next_multiple_of(PANEL) <= panels.n.next_multiple_of(PANEL));
    Panels { k, n, ..panels }
}

/// Backward of [`attend`]: `dctx[n, q]` to `dqkv[n, w]` (overwritten).
fn attend_backward(
    c: &crate::config::Config,
    qkv: &[f32],
    dctx: &[f32],
    dqkv: &mut [f32],
    a: &mut Attention,
    transposed: &mut Transposed,
) {
    let (w, q, kv, hd) = (c.qkv_width(), c.query_width(), c.kv_width(), c.head_dim);
    let n = qkv.len() / w;
    let scale = (hd as f32).sqrt().recip();
    for g in 0..c.num_key_value_heads {
        let (k_at, v_at) = (q + g * hd, q + kv + g * hd);
        a.keys.columns(&qkv[k_at..], w, hd, n);
        a.keys_rows.rows(&qkv[k_at..], w, n, hd);
        a.values_columns.columns(&qkv[v_at..], w, hd, n);
        sized(&mut a.dk, n * hd).fill(0.0);
        sized(&mut a.dv, n * hd).fill(0.0);
        for head in g * c.group()..(g + 1) * c.group() {
            for r0 in (0..n).step_by(QUERY_BLOCK) {
                let r1 = n.min(r0 + QUERY_BLOCK);
                let m = r1 - r0;
                let queries = &qkv[r0 * w + head * hd..];
                let dout = &dctx[r0 * q + head * hd..];
                let p = sized(&mut a.scores, m * r1);
                gemm(m, Left::rows(queries, w), first(a.keys.view(), hd, r1), p, r1, false);
                kernels::causal_softmax(p, r1, r0, scale);
                gemm_at_b(
                    transposed,
                    m,
                    Block::new(p, r1, r1),
                    Block::new(dout, q, hd),
                    &mut a.dv[..r1 * hd],
                );
                let dp = sized(&mut a.dscores, m * r1);
                gemm(
                    m,
                    Left::rows(dout, q),
                    first(a.values_columns.view(), hd, r1),
                    dp,
                    r1,
                    false,
                );
                kernels::causal_softmax_backward(p, dp, r1, scale);
                gemm(
                    m,
                    Left::rows(dp, r1),
                    first(a.keys_rows.view(), r1, hd),
                    &mut dqkv[r0 * w + head * hd..],
                    w,
                    false,
                );
                gemm_at_b(
                    transposed,
                    m,
                    Block::new(dp, r1, r1),
                    Block::new(queries, w, hd),
                    &mut a.dk[..r1 * hd],
                );
            }
        }
        for (i, row) in dqkv.chunks_exact_mut(w).enumerate() {
            row[k_at..k_at + hd].copy_from_slice(&a.dk[i * hd..(i + 1) * hd]);
            row[v_at..v_at + hd].copy_from_slice(&a.dv[i * hd..(i + 1) * hd]);
        }
    }
}

fn block_backward(
    weights: &Weights,
    backward: &PackedModel,
    index: usize,
    t: usize,
    spans: &[std::ops::Range<usize>],
    s: &mut Scratch,
    gradient: &mut [f32],
) {
    let c = &weights.config;
    let (d, w, q, f) = (c.hidden_size, c.qkv_width(), c.query_width(), c.intermediate_size);
    let (block, packed) = (weights.block(index), &backward.blocks[index]);
    let saved = &mut s.saved[index];
    let dx = &mut s.dx[..t * d];

    // Feed-forward.
    let gate_up = &mut saved.gate_up[..t * 2 * f];
    let act = sized(&mut s.buffers.act, t * f);
    kernels::swiglu(gate_up, act, f);
    gemm_at_b(
        &mut s.transposed,
        t,
        Block::new(dx, d, d),
        Block::new(act, f, f),
        &mut gradient[block.down.clone()],
    );
    let dact = sized(&mut s.dact, t * f);
    gemm(t, Left::rows(dx, d), packed.down.view(), dact, f, false);
    kernels::swiglu_backward(gate_up, dact, f);
    let h = sized(&mut s.buffers.h, t * d);
    let mid = &saved.mid[..t * d];
    let inverse2 = &mut saved.inverse2[..t];
    kernels::rms_norm(mid, weights.param(&block.norm2), c.rms_norm_eps, h, inverse2);
    gemm_at_b(
        &mut s.transposed,
        t,
        Block::new(gate_up, 2 * f, 2 * f),
        Block::new(h, d, d),
        &mut gradient[block.gate_up.clone()],
    );
    let dh = sized(&mut s.dh, t * d);
    gemm(t, Left::rows(gate_up, 2 * f), packed.gate_up.view(), dh, d, false);
    kernels::rms_norm_backward(
        mid,
        weights.param(&block.norm2),
        inverse2,
        dh,
        dx,
        &mut gradient[block.norm2.clone()],
    );

    // Attention.
    let ctx = &saved.ctx[..t * q];
    gemm_at_b(
        &mut s.transposed,
        t,
        Block::new(dx, d, d),
        Block::new(ctx, q, q),
        &mut gradient[block.out.clone()],
    );
    let dctx = sized(&mut s.dctx, t * q);
    gemm(t, Left::rows(dx, d), packed.out.view(), dctx, q, false);
    let dqkv = sized(&mut s.dqkv, t * w);
    let qkv = &saved.qkv[..t * w];
    for span in spans {
        let rows = span.start * w..span.end * w;
        let dctx = &dctx[span.start * q..span.end * q];
        attend_backward(
            c,
            &qkv[rows.clone()],
            dctx,
            &mut dqkv[rows.clone()],
            &mut s.attention,
            &mut s.transposed,
        );
        for (position, row) in dqkv[rows].chunks_exact_mut(w).enumerate() {
            weights.rotary.apply(&mut row[..q + c.kv_width()], position, -1.0);
        }
    }
    kernels::add_bias_backward(dqkv, &mut gradient[block.qkv_bias.clone()]);
    let x = &saved.x[..t * d];
    let inverse1 = &mut saved.inverse1[..t];
    let h = sized(&mut s.buffers.h, t * d);
    kernels::rms_norm(x, weights.param(&block.norm1), c.rms_norm_eps, h, inverse1);
    gemm_at_b(
        &mut s.transposed,
        t,
        Block::new(dqkv, w, w),
        Block::new(h, d, d),
        &mut gradient[block.qkv.clone()],
    );
    let dh = sized(&mut s.dh, t * d);
    gemm(t, Left::rows(dqkv, w), packed.qkv.view(), dh, d, false);
    kernels::rms_norm_backward(
        x,
        weights.param(&block.norm1),
        inverse1,
        dh,
        dx,
        &mut gradient[block.norm1.clone()],
    );
}
