//! Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685): each chosen matrix `W` becomes `W + alpha / rank * B A`, and
//! only `A` and `B` learn.
//!
//! Names, initial values and files are PEFT's. The adapter is a part of the model's definition: sampler and learner compute
//! `y = W x + (scale B) (A x)` by the same products, so their log-probabilities are the same bits, and the matrices of the
//! base may stay quantised.

use crate::config::{Config, Tensor};
use crate::gemm::{Block, Left, Packed, Transposed, gemm, gemm_at_b};
use crate::kernels;
use crate::weights::{Part, sized};
use hone_trace::Stream;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A matrix that may be adapted, by its name in Hugging Face's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraTarget {
    /// Queries of attention.
    QProj,
    /// Its keys.
    KProj,
    /// Its values.
    VProj,
    /// Its output.
    OProj,
    /// The gate of the feed-forward part.
    GateProj,
    /// What the gate is multiplied with.
    UpProj,
    /// The way back from there.
    DownProj,
}

impl LoraTarget {
    /// All of them: PEFT's `all-linear`.
    pub const ALL: [Self; 7] = [
        Self::QProj,
        Self::KProj,
        Self::VProj,
        Self::OProj,
        Self::GateProj,
        Self::UpProj,
        Self::DownProj,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
        }
    }

    /// Its module within a block.
    fn module(self) -> &'static str {
        match self {
            Self::QProj | Self::KProj | Self::VProj | Self::OProj => "self_attn",
            Self::GateProj | Self::UpProj | Self::DownProj => "mlp",
        }
    }
}

/// Settings of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lora {
    /// Rank of the change.
    pub rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f32,
    /// The matrices that are adapted.
    pub targets: Vec<LoraTarget>,
    /// Share of the adapters' inputs that are dropped in supervised training, the others scaled up for it. Matrices that
    /// are one product (q, k and v; gate and up) share what is dropped. Reinforcement drops nothing: there the
    /// log-probabilities must be the sampler's.
    pub dropout: f32,
}

impl Default for Lora {
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 32.0,
            targets: LoraTarget::ALL.to_vec(),
            dropout: 0.0,
        }
    }
}

impl Lora {
    /// Check the settings.
    ///
    /// # Errors
    /// Names the key, what it is, and what is allowed.
    pub fn validate(&self) -> Result<(), (&'static str, String, &'static str)> {
        if self.rank == 0 || self.rank > 1024 {
            return Err(("rank", self.rank.to_string(), "between 1 and 1024"));
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(("alpha", self.alpha.to_string(), "a positive number"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(("dropout", self.dropout.to_string(), "from 0 to below 1"));
        }
        let mut sorted = self.targets.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() || sorted.len() != self.targets.len() {
            return Err((
                "targets",
                format!("{:?}", self.targets),
                "each matrix at most once, and one at least",
            ));
        }
        Ok(())
    }

    fn scale(&self) -> f32 {
        self.alpha / self.rank as f32
    }
}

/// An adapter of one matrix within a product.
#[derive(Clone, Debug)]
struct Piece {
    /// Its columns of the product.
    columns: Range<usize>,
    /// `A[rank, k]`.
    a: Range<usize>,
    /// `B[n, rank]`.
    b: Range<usize>,
    /// `scale Bᵀ`, `[rank, n]`.
    up: Packed,
    /// `scale B`, `[n, rank]`, for gradients.
    up_back: Packed,
}

/// The adapters of one product. They read the same input, so their `A`s are one matrix.
#[derive(Clone, Debug, Default)]
struct Delta {
    /// Width of the input.
    k: usize,
    pieces: Vec<Piece>,
    /// All `A`s: `[k, rank * pieces]`.
    down: Packed,
    /// The same, transposed, for gradients.
    down_back: Packed,
    /// Place of all `A`s, which lie one after the other.
    all_a: Range<usize>,
}

/// An adapter: its settings and its parameters, flat, with the places of its tensors.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Settings.
    pub settings: Lora,
    /// Every tensor by PEFT's name.
    pub tensors: Vec<Tensor>,
    params: Vec<f32>,
    /// By block, in the order of [`Part::ALL`].
    deltas: Vec<[Delta; 4]>,
}

impl Adapter {
    /// Initial values as PEFT's: `A` uniform within `1 / sqrt(k)`, `B` zero, so that the model is at first the base.
    pub fn new(config: &Config, settings: &Lora, stream: &Stream) -> Self {
        let mut adapter = Self::places(config, settings);
        for tensor in &adapter.tensors {
            if tensor.name.ends_with("lora_A.weight") {
                let bound = (tensor.shape[1] as f32).sqrt().recip();
                let stream = stream.named(&tensor.name);
                for (i, x) in adapter.params[tensor.range.clone()].iter_mut().enumerate() {
                    *x = (stream.uniform(i as u64) as f32 * 2.0 - 1.0) * bound;
                }
            }
        }
        adapter.repack();
        adapter
    }

    /// An adapter of zeros, not packed.
    fn places(config: &Config, settings: &Lora) -> Self {
        let r = settings.rank;
        let mut tensors = Vec::new();
        let mut len = 0;
        let mut place = |layer: usize, target: LoraTarget, which: &str, shape: [usize; 2]| {
            let range = len..len + shape[0] * shape[1];
            len = range.end;
            tensors.push(Tensor {
                name: format!(
                    "base_model.model.model.layers.{layer}.{}.{}.lora_{which}.weight",
                    target.module(),
                    target.name()
                ),
                shape: shape.to_vec(),
                range: range.clone(),
            });
            range
        };
        let mut deltas = Vec::with_capacity(config.num_hidden_layers);
        for layer in 0..config.num_hidden_layers {
            deltas.push(Part::ALL.map(|part| {
                let k = part.shape(config).0;
                let mut column = 0;
                let mut chosen = Vec::new();
                for (target, n) in part.targets(config) {
                    if settings.targets.contains(&target) {
                        chosen.push((target, column..column + n));
                    }
                    column += n;
                }
                let a: Vec<_> = chosen.iter().map(|(t, _)| place(layer, *t, "A", [r, k])).collect();
                let all_a = a.first().map_or(0, |a| a.start)..a.last().map_or(0, |a| a.end);
                let pieces = chosen.into_iter().zip(a).map(|((target, columns), a)| Piece {
                    b: place(layer, target, "B", [columns.len(), r]),
                    columns,
                    a,
                    up: Packed::default(),
                    up_back: Packed::default(),
                });
                Delta {
                    k,
                    pieces: pieces.collect(),
                    all_a,
                    ..Delta::default()
                }
            }));
        }
        Self {
            settings: settings.clone(),
            tensors,
            params: vec![0.0; len],
            deltas,
        }
    }

    /// An adapter from parameters in the order of the tensors that these settings give.
    pub(crate) fn from_params(config: &Config, settings: &Lora, params: Vec<f32>) -> Option<Self> {
        let mut adapter = Self::places(config, settings);
        if adapter.params.len() != params.len() {
            return None;
        }
        adapter.params = params;
        adapter.repack();
        Some(adapter)
    }

    /// The tensors that these settings give a model.
    pub(crate) fn layout(config: &Config, settings: &Lora) -> Vec<Tensor> {
        Self::places(config, settings).tensors
    }

    /// The parameters, flat.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// Change the parameters.
    pub fn update(&mut self, change: impl FnOnce(&mut [f32])) {
        change(&mut self.params);
        self.repack();
    }

    fn repack(&mut self) {
        let (r, scale) = (self.settings.rank, self.settings.scale());
        for delta in self
            .deltas
            .iter_mut()
            .flatten()
            .filter(|delta| !delta.pieces.is_empty())
        {
            let rows = r * delta.pieces.len();
            let a = &self.params[delta.all_a.clone()];
            delta.down.columns(a, delta.k, delta.k, rows);
            delta.down_back.rows(a, delta.k, rows, delta.k);
            for piece in &mut delta.pieces {
                let scaled: Vec<f32> = self.params[piece.b.clone()].iter().map(|b| scale * b).collect();
                piece.up.columns(&scaled, r, r, piece.columns.len());
                piece.up_back.rows(&scaled, r, piece.columns.len(), r);
            }
        }
    }

    /// Add the change to matrices in the layout of the model: what `merge_and_unload` of PEFT does.
    pub(crate) fn merge(&self, layout: &crate::config::Layout, params: &mut [f32]) {
        let (r, scale) = (self.settings.rank, self.settings.scale());
        let mut right = Packed::default();
        for (block, deltas) in layout.blocks.iter().zip(&self.deltas) {
            for (part, delta) in Part::ALL.into_iter().zip(deltas) {
                for piece in &delta.pieces {
                    let scaled: Vec<f32> = self.params[piece.b.clone()].iter().map(|b| scale * b).collect();
                    right.rows(&self.params[piece.a.clone()], delta.k, r, delta.k);
                    let (start, n) = (part.place(block).start, piece.columns.len());
                    let matrix = &mut params[start + piece.columns.start * delta.k..][..n * delta.k];
                    gemm(n, Left::rows(&scaled, r), right.view(), matrix, delta.k, true);
                }
            }
        }
    }

    /// Add the change of `part` of block `index` to the product: `x[m, k]` to `y[m, n]`.
    pub(crate) fn add(
        &self,
        (index, part): (usize, Part),
        m: usize,
        x: &[f32],
        y: &mut [f32],
        n: usize,
        s: &mut Scratch,
    ) {
        let delta = &self.deltas[index][part as usize];
        if delta.pieces.is_empty() {
            return;
        }
        let (r, width) = (self.settings.rank, self.settings.rank * delta.pieces.len());
        let h = sized(&mut s.h, m * width);
        let x = s.dropout.apply(index, part, m, delta.k, x, &mut s.x);
        gemm(m, Left::rows(x, delta.k), delta.down.view(), h, width, false);
        for (i, piece) in delta.pieces.iter().enumerate() {
            let h = Left::rows(&h[i * r..], width);
            gemm(m, h, piece.up.view(), &mut y[piece.columns.start..], n, true);
        }
    }

    /// Backward of [`Adapter::add`]: `dy[m, n]` to `dx[m, k]` (added) and `gradient` (added; that of `B` without the
    /// scale, see [`Adapter::finish`]).
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn backward(
        &self,
        index: usize,
        part: Part,
        m: usize,
        x: &[f32],
        dy: &[f32],
        n: usize,
        dx: &mut [f32],
        gradient: &mut [f32],
        s: &mut Scratch,
        transposed: &mut Transposed,
    ) {
        let delta = &self.deltas[index][part as usize];
        if delta.pieces.is_empty() {
            return;
        }
        let (r, width, k) = (self.settings.rank, self.settings.rank * delta.pieces.len(), delta.k);
        let h = sized(&mut s.h, m * width);
        let dh = sized(&mut s.dh, m * width);
        let x = s.dropout.apply(index, part, m, k, x, &mut s.x);
        gemm(m, Left::rows(x, k), delta.down.view(), h, width, false);
        for (i, piece) in delta.pieces.iter().enumerate() {
            let dy = &dy[piece.columns.start..];
            let columns = piece.columns.len();
            gemm(
                m,
                Left::rows(dy, n),
                piece.up_back.view(),
                &mut dh[i * r..],
                width,
                false,
            );
            let h = Block::new(&h[i * r..], width, r);
            gemm_at_b(
                transposed,
                m,
                Block::new(dy, n, columns),
                h,
                &mut gradient[piece.b.clone()],
            );
        }
        let dh_rows = Block::new(dh, width, width);
        gemm_at_b(
            transposed,
            m,
            dh_rows,
            Block::new(x, k, k),
            &mut gradient[delta.all_a.clone()],
        );
        if s.dropout.rate > 0.0 {
            let through = sized(&mut s.dx, m * k);
            gemm(m, Left::rows(dh, width), delta.down_back.view(), through, k, false);
            let kept = s.dropout.apply(index, part, m, k, through, &mut s.x);
            kernels::add(&mut dx[..m * k], &kept[..m * k]);
        } else {
            gemm(m, Left::rows(dh, width), delta.down_back.view(), dx, k, true);
        }
    }

    /// Scale the gradient of every `B`, which products left out.
    pub(crate) fn finish(&self, gradient: &mut [f32]) {
        let scale = self.settings.scale();
        for piece in self.deltas.iter().flatten().flat_map(|delta| &delta.pieces) {
            gradient[piece.b.clone()].iter_mut().for_each(|g| *g *= scale);
        }
    }
}

/// Scratch of an adapter's products, with what is dropped meanwhile.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) dropout: Dropout,
    h: Vec<f32>,
    dh: Vec<f32>,
    x: Vec<f32>,
    dx: Vec<f32>,
}

/// What is dropped: decided for each number of each token by a counter-based draw, whatever shard the token is in.
#[derive(Default)]
pub(crate) struct Dropout {
    /// Share that is dropped; 0 drops nothing.
    pub(crate) rate: f32,
    /// Of this pass.
    pub(crate) seed: u64,
    /// Which token of the batch each row is.
    pub(crate) tokens: Vec<u64>,
}

impl Dropout {
    /// `x[m, k]` with numbers dropped and the others scaled up, in `out`; `x` itself where nothing is.
    fn apply<'a>(
        &self,
        index: usize,
        part: Part,
        m: usize,
        k: usize,
        x: &'a [f32],
        out: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        if self.rate == 0.0 {
            return x;
        }
        let out = sized(out, m * k);
        let scale = (1.0 - self.rate).recip();
        let threshold = (f64::from(self.rate) * 2f64.powi(32)) as u32;
        let product = (index * Part::ALL.len() + part as usize) as u64;
        for ((x, out), token) in x.chunks_exact(k).zip(out.chunks_exact_mut(k)).zip(&self.tokens) {
            let key = mix(self.seed ^ mix(product << 40 ^ *token));
            for (i, (x, out)) in x.iter().zip(out).enumerate() {
                let draw = (mix(key.wrapping_add(i as u64)) >> 32) as u32;
                *out = if draw < threshold { 0.0 } else { x * scale };
            }
        }
        out
    }
}

/// SplitMix64's output function (Steele, Lea and Flood 2014) of a counter.
fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
