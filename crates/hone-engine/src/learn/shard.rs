//! One shard of a batch: the decoder forward over whole sequences laid one after the other, and its backward by hand.

use super::{Loss, Pass, Row, RowScore, fed};
use crate::config::Architecture;
use crate::gemm::{Block, Left, PANEL, Packed, Panels, Transposed, gemm, gemm_at_b};
use crate::head_norm::HeadNorms;
use crate::kernels;
use crate::weights::{Buffers, PackedModel, Part, Weights, sized};
use std::ops::Range;

/// Queries of one sequence that attend at a time.
const QUERY_BLOCK: usize = 64;

/// What the backward pass of a block needs from its forward pass.
#[derive(Default)]
struct Saved {
    x: Vec<f32>,
    inverse1: Vec<f32>,
    qkv: Vec<f32>,
    norms: HeadNorms,
    ctx: Vec<f32>,
    mid: Vec<f32>,
    inverse2: Vec<f32>,
    gate_up: Vec<f32>,
}

/// How a pass is made.
pub(super) struct Setting<'a> {
    pub(super) temperature: f32,
    pub(super) loss: Option<&'a dyn Loss>,
    pub(super) checkpointing: bool,
    /// Share of the adapter's inputs to drop, and the seed of this pass.
    pub(super) dropout: Option<(f32, u64)>,
}

/// Where gradients are added: all of them, or those of an adapter.
pub(crate) struct Gradient<'a> {
    flat: &'a mut [f32],
    frozen: bool,
    nowhere: &'a mut Vec<f32>,
}

impl Gradient<'_> {
    /// The place of a gain's or a bias's gradient; one that nobody reads where it is frozen.
    pub(crate) fn of(&mut self, range: &Range<usize>) -> &mut [f32] {
        match self.frozen {
            true => sized(self.nowhere, range.len()),
            false => &mut self.flat[range.clone()],
        }
    }
}

#[derive(Default)]
pub(super) struct Scratch {
    /// By block; only the first one with checkpointing, which keeps the blocks' inputs instead.
    saved: Vec<Saved>,
    inputs: Vec<Vec<f32>>,
    nowhere: Vec<f32>,
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

/// Forward over the rows of a shard and, with a loss, backward into `gradient`.
pub(super) fn shard_pass(
    weights: &Weights,
    backward: Option<&PackedModel>,
    rows: &[Row<'_>],
    shard: &[usize],
    setting: &Setting<'_>,
    s: &mut Scratch,
    flat: &mut [f32],
) -> Pass {
    let c = &weights.config;
    let (d, v) = (c.hidden_size, c.vocab_size);
    let loss = setting.loss;
    let inverse_temperature = 1.0 / setting.temperature;
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
    let dropout = &mut s.buffers.low.dropout;
    (dropout.rate, dropout.seed) = setting.dropout.unwrap_or_default();
    dropout.tokens.clear();
    for &row in shard {
        dropout
            .tokens
            .extend((0..fed(&rows[row]) as u64).map(|at| (row as u64) << 20 ^ at));
    }
    // Without a backward pass nothing is kept.
    let all = loss.is_some() && !setting.checkpointing;
    let slots = if all { c.num_hidden_layers } else { 1 };
    s.saved.resize_with(s.saved.len().max(slots), Saved::default);
    if setting.checkpointing {
        s.inputs.resize_with(c.num_hidden_layers, Vec::new);
    }
    for index in 0..c.num_hidden_layers {
        if setting.checkpointing {
            sized(&mut s.inputs[index], t * d).copy_from_slice(&s.x[..t * d]);
        }
        block_forward(weights, index, if all { index } else { 0 }, t, &spans, s);
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
    let mut nowhere = std::mem::take(&mut s.nowhere);
    let mut gradient = Gradient {
        flat,
        frozen: backward.is_none(),
        nowhere: &mut nowhere,
    };
    let dlogits = &s.logits[..m * v];
    let dnormed = sized(&mut s.dh, m * d);
    match backward {
        Some(backward) => {
            gemm_at_b(
                &mut s.transposed,
                m,
                Block::new(dlogits, v, v),
                Block::new(&s.normed[..m * d], d, d),
                &mut gradient.flat[weights.layout.head.clone()],
            );
            backward.head.times(m, Left::rows(dlogits, v), dnormed, d, false);
        }
        None => {
            let head = &weights.forward.head;
            head.times_transposed(m, dlogits, v, dnormed, d, &mut s.transposed);
        }
    }
    let dpicked = sized(&mut s.dctx, m * d);
    dpicked.fill(0.0);
    kernels::rms_norm_backward(
        &s.picked,
        weights.param(&weights.layout.norm),
        &s.inverse[..m],
        dnormed,
        dpicked,
        gradient.of(&weights.layout.norm),
    );
    let dx = sized(&mut s.dx, t * d);
    dx.fill(0.0);
    for (row, &at) in dpicked.chunks_exact(d).zip(&picks) {
        kernels::add(&mut dx[at * d..(at + 1) * d], row);
    }
    for index in (0..c.num_hidden_layers).rev() {
        if setting.checkpointing {
            s.x.copy_from_slice(&s.inputs[index][..t * d]);
            block_forward(weights, index, 0, t, &spans, s);
        }
        let slot = if all { index } else { 0 };
        block_backward(weights, backward, index, slot, t, &spans, s, &mut gradient);
    }
    if let Some(adapter) = weights.adapter() {
        adapter.finish(gradient.flat);
    } else {
        let embed = &mut gradient.flat[weights.layout.embed.clone()];
        let ids = shard.iter().flat_map(|row| rows[*row].ids[..fed(&rows[*row])].iter());
        for (row, &id) in s.dx[..t * d].chunks_exact(d).zip(ids) {
            kernels::add(&mut embed[id as usize * d..][..d], row);
        }
    }
    s.nowhere = nowhere;
    pass
}

/// Backward of a product of a block, `y[m, n] += W x[m, k]`: writes `dx[m, k]`, and adds the gradient of `W` or of its
/// adapter.
#[allow(clippy::too_many_arguments)]
fn product_backward(
    weights: &Weights,
    backward: Option<&PackedModel>,
    (index, part): (usize, Part),
    m: usize,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    gradient: &mut Gradient<'_>,
    low: &mut crate::lora::Scratch,
    transposed: &mut Transposed,
) {
    let (k, n) = part.shape(&weights.config);
    match backward {
        Some(backward) => {
            let place = part.place(weights.block(index)).clone();
            let (left, right) = (Block::new(dy, n, n), Block::new(x, k, k));
            gemm_at_b(transposed, m, left, right, &mut gradient.flat[place]);
            let matrix = backward.blocks[index].part(part);
            matrix.times(m, Left::rows(dy, n), dx, k, false);
        }
        None => {
            let matrix = weights.forward.blocks[index].part(part);
            matrix.times_transposed(m, dy, n, dx, k, transposed);
            if let Some(adapter) = weights.adapter() {
                adapter.backward(index, part, m, x, dy, n, dx, gradient.flat, low, transposed);
            }
        }
    }
}

fn block_forward(weights: &Weights, index: usize, slot: usize, t: usize, spans: &[Range<usize>], s: &mut Scratch) {
    let c = &weights.config;
    let (d, w, q) = (c.hidden_size, c.qkv_width(), c.query_width());
    let block = weights.block(index);
    let saved = &mut s.saved[slot];
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
    weights.product((index, Part::Qkv), t, h, qkv, false, &mut s.buffers.low);
    weights.finish_qkv(index, t, qkv, &mut saved.norms);
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
    weights.product((index, Part::Out), t, ctx, x, true, &mut s.buffers.low);
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

#[allow(clippy::too_many_arguments)]
fn block_backward(
    weights: &Weights,
    backward: Option<&PackedModel>,
    index: usize,
    slot: usize,
    t: usize,
    spans: &[Range<usize>],
    s: &mut Scratch,
    gradient: &mut Gradient<'_>,
) {
    let c = &weights.config;
    let (d, w, q, f) = (c.hidden_size, c.qkv_width(), c.query_width(), c.intermediate_size);
    let block = weights.block(index);
    let saved = &mut s.saved[slot];
    let dx = &mut s.dx[..t * d];

    // Feed-forward.
    let gate_up = &mut saved.gate_up[..t * 2 * f];
    let act = sized(&mut s.buffers.act, t * f);
    kernels::swiglu(gate_up, act, f);
    let dact = sized(&mut s.dact, t * f);
    product_backward(
        weights,
        backward,
        (index, Part::Down),
        t,
        act,
        dx,
        dact,
        gradient,
        &mut s.buffers.low,
        &mut s.transposed,
    );
    kernels::swiglu_backward(gate_up, dact, f);
    let h = sized(&mut s.buffers.h, t * d);
    let mid = &saved.mid[..t * d];
    let inverse2 = &mut saved.inverse2[..t];
    kernels::rms_norm(mid, weights.param(&block.norm2), c.rms_norm_eps, h, inverse2);
    let dh = sized(&mut s.dh, t * d);
    product_backward(
        weights,
        backward,
        (index, Part::GateUp),
        t,
        h,
        gate_up,
        dh,
        gradient,
        &mut s.buffers.low,
        &mut s.transposed,
    );
    kernels::rms_norm_backward(
        mid,
        weights.param(&block.norm2),
        inverse2,
        dh,
        dx,
        gradient.of(&block.norm2),
    );

    // Attention.
    let ctx = &saved.ctx[..t * q];
    let dctx = sized(&mut s.dctx, t * q);
    product_backward(
        weights,
        backward,
        (index, Part::Out),
        t,
        ctx,
        dx,
        dctx,
        gradient,
        &mut s.buffers.low,
        &mut s.transposed,
    );
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
    match c.model_type {
        Architecture::Llama => {}
        Architecture::Qwen2 => kernels::add_bias_backward(dqkv, gradient.of(&block.qkv_bias)),
        Architecture::Qwen3 => saved.norms.backward(weights, index, t, dqkv, gradient),
    }
    let x = &saved.x[..t * d];
    let inverse1 = &mut saved.inverse1[..t];
    let h = sized(&mut s.buffers.h, t * d);
    kernels::rms_norm(x, weights.param(&block.norm1), c.rms_norm_eps, h, inverse1);
    let dh = sized(&mut s.dh, t * d);
    product_backward(
        weights,
        backward,
        (index, Part::Qkv),
        t,
        h,
        dqkv,
        dh,
        gradient,
        &mut s.buffers.low,
        &mut s.transposed,
    );
    kernels::rms_norm_backward(
        x,
        weights.param(&block.norm1),
        inverse1,
        dh,
        dx,
        gradient.of(&block.norm1),
    );
}
