//! A version of a model's weights, ready for products.

use crate::config::{Architecture, Block, Config, ConfigError, Layout, Tensor};
use crate::gemm::{Left, Matrix};
use crate::head_norm::HeadNorms;
use crate::kernels;
use crate::lora::{self, Adapter, Lora, LoraTarget};
use hone_trace::Stream;
use std::ops::Range;
use std::sync::Arc;

/// A product with weights within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Queries, keys and values of the stream.
    Qkv,
    /// Attention's output.
    Out,
    /// Gate and up of the feed-forward layer.
    GateUp,
    /// Its output.
    Down,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Qkv, Self::Out, Self::GateUp, Self::Down];

    /// Widths of its input and output.
    pub(crate) fn shape(self, c: &Config) -> (usize, usize) {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        match self {
            Self::Qkv => (d, c.qkv_width()),
            Self::Out => (c.query_width(), d),
            Self::GateUp => (d, 2 * f),
            Self::Down => (f, d),
        }
    }

    /// Its place among the parameters.
    pub(crate) fn place(self, block: &Block) -> &Range<usize> {
        match self {
            Self::Qkv => &block.qkv,
            Self::Out => &block.out,
            Self::GateUp => &block.gate_up,
            Self::Down => &block.down,
        }
    }

    /// The matrices that it consists of, with the widths of their outputs.
    pub(crate) fn targets(self, c: &Config) -> Vec<(LoraTarget, usize)> {
        let (d, q, kv, f) = (c.hidden_size, c.query_width(), c.kv_width(), c.intermediate_size);
        match self {
            Self::Qkv => vec![(LoraTarget::QProj, q), (LoraTarget::KProj, kv), (LoraTarget::VProj, kv)],
            Self::Out => vec![(LoraTarget::OProj, d)],
            Self::GateUp => vec![(LoraTarget::GateProj, f), (LoraTarget::UpProj, f)],
            Self::Down => vec![(LoraTarget::DownProj, d)],
        }
    }
}

/// One block's matrices packed as right-hand sides.
#[derive(Clone, Default)]
pub(crate) struct PackedBlock {
    pub(crate) qkv: Matrix,
    pub(crate) out: Matrix,
    pub(crate) gate_up: Matrix,
    pub(crate) down: Matrix,
}

impl PackedBlock {
    pub(crate) fn part(&self, part: Part) -> &Matrix {
        match part {
            Part::Qkv => &self.qkv,
            Part::Out => &self.out,
            Part::GateUp => &self.gate_up,
            Part::Down => &self.down,
        }
    }
}

/// The matrices as one direction of the computation needs them.
#[derive(Clone, Default)]
pub(crate) struct PackedModel {
    pub(crate) blocks: Vec<PackedBlock>,
    pub(crate) head: Matrix,
}

/// Cosines and sines of the rotary embedding, `head_dim / 2` per position.
#[derive(Clone)]
pub(crate) struct Rotary {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    fn new(config: &Config) -> Self {
        let half = config.head_dim / 2;
        let periods: Vec<f64> = (0..half)
            .map(|i| {
                let period = f64::from(config.rope_theta).powf(2.0 * i as f64 / config.head_dim as f64);
                let stretch = config.rope_scaling.map(|s| s.stretch(std::f64::consts::TAU * period));
                period * stretch.unwrap_or(1.0)
            })
            .collect();
        let angles = (0..config.max_position_embeddings)
            .flat_map(|position| periods.iter().map(move |period| position as f64 / period));
        let (cos, sin) = angles.map(|a| (a.cos() as f32, a.sin() as f32)).unzip();
        Self { half, cos, sin }
    }

    /// Rotate the query and key heads of one qkv row.
    pub(crate) fn apply(&self, row: &mut [f32], position: usize, sign: f32) {
        let at = position * self.half..(position + 1) * self.half;
        kernels::rotate(row, &self.cos[at.clone()], &self.sin[at], sign);
    }
}

/// A model: its shape, its parameters and their packed form, and perhaps an adapter. A copy shares what does not change.
#[derive(Clone)]
pub struct Weights {
    /// Shape.
    pub config: Config,
    /// Places in `params`.
    pub layout: Arc<Layout>,
    params: Arc<Vec<f32>>,
    pub(crate) forward: Arc<PackedModel>,
    pub(crate) rotary: Arc<Rotary>,
    adapter: Option<Arc<Adapter>>,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weights")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Weights {
    /// A model from parameters in [`Config::layout`] order.
    ///
    /// # Errors
    /// When the configuration is not one, or the number of parameters is not the layout's.
    pub fn new(config: Config, params: Vec<f32>) -> Result<Self, WeightsError> {
        let mut weights = Self::with_forward(config, params, PackedModel::default())?;
        weights.repack();
        Ok(weights)
    }

    /// A model whose matrices are packed already. They must hold the same numbers as `params`.
    pub(crate) fn with_forward(config: Config, params: Vec<f32>, forward: PackedModel) -> Result<Self, WeightsError> {
        config.validate()?;
        let layout = config.layout();
        if params.len() != layout.len {
            return Err(WeightsError::Length {
                have: params.len(),
                want: layout.len,
            });
        }
        let rotary = Arc::new(Rotary::new(&config));
        Ok(Self {
            config,
            layout: Arc::new(layout),
            params: Arc::new(params),
            forward: Arc::new(forward),
            rotary,
            adapter: None,
        })
    }

    /// The same model with a new adapter, which changes nothing at first. Of such a model only the adapter is trained.
    ///
    /// # Errors
    /// As [`Lora::validate`].
    pub fn adapted(&self, settings: &Lora, stream: &Stream) -> Result<Self, WeightsError> {
        settings
            .validate()
            .map_err(|(key, got, allowed)| WeightsError::Lora { key, got, allowed })?;
        Ok(self.with_adapter(Adapter::new(&self.config, settings, stream)))
    }

    pub(crate) fn with_adapter(&self, adapter: Adapter) -> Self {
        Self {
            adapter: Some(Arc::new(adapter)),
            ..self.clone()
        }
    }

    /// Its adapter.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_deref()
    }

    /// The model without an adapter that computes the same up to rounding: the adapter added to its matrices.
    ///
    /// # Errors
    /// Never for a model that was made.
    pub fn merged(&self) -> Result<Self, WeightsError> {
        let Some(adapter) = self.adapter() else {
            return Ok(self.clone());
        };
        let mut params = self.params.to_vec();
        adapter.merge(&self.layout, &mut params);
        Self::new(self.config.clone(), params)
    }

    /// What training changes: the adapter's tensors, or all where there is none. Their places are in [`Weights::trained`].
    pub fn trained_tensors(&self) -> &[Tensor] {
        match self.adapter() {
            Some(adapter) => &adapter.tensors,
            None => &self.layout.tensors,
        }
    }

    /// The parameters that training changes, flat.
    pub fn trained(&self) -> &[f32] {
        match self.adapter() {
            Some(adapter) => adapter.params(),
            None => self.params(),
        }
    }

    /// Change the parameters that training changes.
    pub fn update_trained(&mut self, change: impl FnOnce(&mut [f32])) {
        match &mut self.adapter {
            Some(adapter) => Arc::make_mut(adapter).update(change),
            None => self.update(change),
        }
    }

    /// Random weights: embedding and matrices normal with standard deviation `1/sqrt(fan_in)`, residual outputs scaled
    /// down by the depth, gains one, biases zero.
    ///
    /// # Errors
    /// As [`Weights::new`].
    pub fn random(config: Config, stream: &Stream) -> Result<Self, WeightsError> {
        config.validate()?;
        let layout = config.layout();
        let mut params = vec![0f32; layout.len];
        let depth = (2.0 * config.num_hidden_layers as f32).sqrt();
        for tensor in &layout.tensors {
            let slot = &mut params[tensor.range.clone()];
            match tensor.shape[..] {
                [_] if tensor.name.ends_with("bias") => {}
                [_] => slot.fill(1.0),
                _ => {
                    let fan_in = tensor.shape[1] as f32;
                    let residual = tensor.name.ends_with("o_proj.weight") || tensor.name.ends_with("down_proj.weight");
                    let std = fan_in.sqrt().recip() / if residual { depth } else { 1.0 };
                    fill_normal(slot, std, &stream.named(&tensor.name));
                }
            }
        }
        Self::new(config, params)
    }

    /// The parameters, flat, in [`Config::layout`] order.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// Change the parameters; packs them again afterwards, as floats.
    pub fn update(&mut self, change: impl FnOnce(&mut [f32])) {
        change(Arc::make_mut(&mut self.params).as_mut_slice());
        self.repack();
    }

    fn repack(&mut self) {
        let c = &self.config;
        let (d, q, f) = (c.hidden_size, c.query_width(), c.intermediate_size);
        let forward = Arc::make_mut(&mut self.forward);
        forward.blocks.resize_with(c.num_hidden_layers, PackedBlock::default);
        for (block, packed) in self.layout.blocks.iter().zip(&mut forward.blocks) {
            packed
                .qkv
                .dense()
                .columns(&self.params[block.qkv.clone()], d, d, c.qkv_width());
            packed.out.dense().columns(&self.params[block.out.clone()], q, q, d);
            packed
                .gate_up
                .dense()
                .columns(&self.params[block.gate_up.clone()], d, d, 2 * f);
            packed.down.dense().columns(&self.params[block.down.clone()], f, f, d);
        }
        forward
            .head
            .dense()
            .columns(&self.params[self.layout.head.clone()], d, d, c.vocab_size);
    }

    /// Pack the transposed matrices, for gradients with respect to activations.
    pub(crate) fn pack_backward(&self, packed: &mut PackedModel) {
        let c = &self.config;
        let (d, q, f) = (c.hidden_size, c.query_width(), c.intermediate_size);
        packed.blocks.resize_with(c.num_hidden_layers, PackedBlock::default);
        for (block, packed) in self.layout.blocks.iter().zip(&mut packed.blocks) {
            packed
                .qkv
                .dense()
                .rows(&self.params[block.qkv.clone()], d, c.qkv_width(), d);
            packed.out.dense().rows(&self.params[block.out.clone()], q, d, q);
            packed
                .gate_up
                .dense()
                .rows(&self.params[block.gate_up.clone()], d, 2 * f, d);
            packed.down.dense().rows(&self.params[block.down.clone()], f, d, f);
        }
        packed
            .head
            .dense()
            .rows(&self.params[self.layout.head.clone()], d, c.vocab_size, d);
    }

    pub(crate) fn param(&self, range: &Range<usize>) -> &[f32] {
        &self.params[range.clone()]
    }

    /// `out[m, d]` = embedding rows of the ids.
    pub(crate) fn embed(&self, ids: impl Iterator<Item = u32>, out: &mut Vec<f32>) {
        let d = self.config.hidden_size;
        let table = self.param(&self.layout.embed);
        out.clear();
        for id in ids {
            out.extend_from_slice(&table[id as usize * d..][..d]);
        }
    }

    /// From the product with the stream to the queries and keys that are rotated, for `m` rows `[m, qkv_width]` in place:
    /// adds the bias (Qwen2), or normalises each query and key head (Qwen3). `norms` then holds what backward needs.
    pub(crate) fn finish_qkv(&self, index: usize, m: usize, qkv: &mut [f32], norms: &mut HeadNorms) {
        let c = &self.config;
        let block = self.block(index);
        match c.model_type {
            Architecture::Llama => {}
            Architecture::Qwen2 => kernels::add_bias(qkv, self.param(&block.qkv_bias)),
            Architecture::Qwen3 => norms.forward(self, index, m, qkv),
        }
    }

    /// `y[m, n] = x[m, k] · Wᵀ`, or `+=`, for one product of block `index`, with what the adapter adds.
    pub(crate) fn product(
        &self,
        (index, part): (usize, Part),
        m: usize,
        x: &[f32],
        y: &mut [f32],
        accumulate: bool,
        scratch: &mut lora::Scratch,
    ) {
        let (k, n) = part.shape(&self.config);
        let matrix = self.forward.blocks[index].part(part);
        matrix.times(m, Left::rows(x, k), y, n, accumulate);
        if let Some(adapter) = self.adapter() {
            adapter.add((index, part), m, x, y, n, scratch);
        }
    }

    /// The feed-forward half of a block for `m` rows: `x += down(silu(gate(h)) * up(h))`, `h = norm(x)`.
    pub(crate) fn feed_forward(
        &self,
        index: usize,
        m: usize,
        x: &mut [f32],
        inverse: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let c = &self.config;
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let block = self.block(index);
        let h = sized(&mut buffers.h, m * d);
        kernels::rms_norm(x, self.param(&block.norm2), c.rms_norm_eps, h, inverse);
        let gate_up = sized(&mut buffers.gate_up, m * 2 * f);
        self.product((index, Part::GateUp), m, h, gate_up, false, &mut buffers.low);
        let act = sized(&mut buffers.act, m * f);
        kernels::swiglu(gate_up, act, f);
        self.product((index, Part::Down), m, act, x, true, &mut buffers.low);
    }

    pub(crate) fn block(&self, index: usize) -> &Block {
        &self.layout.blocks[index]
    }

    /// Log-probabilities of the next token for `m` rows of the residual stream, into `out[m, vocab]`.
    pub(crate) fn head(&self, m: usize, x: &[f32], normed: &mut Vec<f32>, inverse: &mut Vec<f32>, out: &mut Vec<f32>) {
        let (d, v) = (self.config.hidden_size, self.config.vocab_size);
        let normed = sized(normed, m * d);
        kernels::rms_norm(
            x,
            self.param(&self.layout.norm),
            self.config.rms_norm_eps,
            normed,
            sized(inverse, m),
        );
        self.forward
            .head
            .times(m, Left::rows(normed, d), sized(out, m * v), v, false);
    }
}

/// Scratch of a block.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) h: Vec<f32>,
    pub(crate) gate_up: Vec<f32>,
    pub(crate) act: Vec<f32>,
    pub(crate) low: lora::Scratch,
}

/// The first `n` floats of a buffer that grows as needed; their content is arbitrary.
pub(crate) fn sized(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if buffer.len() < n {
        buffer.resize(n, 0.0);
    }
    &mut buffer[..n]
}

/// Fill with normal numbers (Box–Muller over the stream's uniforms).
pub(crate) fn fill_normal(slot: &mut [f32], std: f32, stream: &Stream) {
    use rand::Rng;
    let mut rng = stream.clone();
    let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    for pair in slot.chunks_mut(2) {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        pair[0] = (radius * angle.cos()) as f32 * std;
        if let Some(second) = pair.get_mut(1) {
            *second = (radius * angle.sin()) as f32 * std;
        }
    }
}

/// Why parameters do not make a model.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WeightsError {
    /// The configuration is not one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Too many or too few numbers.
    #[error("the model has {want} parameters, but {have} were given; configuration and weights do not belong together")]
    Length {
        /// Given.
        have: usize,
        /// Expected.
        want: usize,
    },
    /// A setting of an adapter is out of range.
    #[error("the adapter's {key} is {got}. Allowed: {allowed}")]
    Lora {
        /// Which.
        key: &'static str,
        /// Given.
        got: String,
        /// What is allowed.
        allowed: &'static str,
    },
}
