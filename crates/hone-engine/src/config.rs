//! The shape of a model and where each tensor lies in its flat parameter vector.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Which published family a model belongs to: what its blocks have beside the parts that all share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// No bias anywhere (Llama, SmolLM2).
    Llama,
    /// A bias on queries, keys and values (Qwen2, Qwen2.5).
    #[default]
    Qwen2,
    /// Each query and key head is normalised (RMSNorm) before it is rotated (Qwen3).
    Qwen3,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// Its name in Hugging Face's `model_type` and in GGUF's `general.architecture`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Its class in `transformers`.
    pub fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How rotary frequencies are stretched for contexts longer than those trained on. The keys are Hugging Face's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Every frequency divided by `factor` (Chen et al. 2023, position interpolation).
    Linear {
        /// Stretch.
        factor: f32,
    },
    /// Llama 3.1: frequencies with a wavelength above `original_max_position_embeddings / low_freq_factor` are divided by
    /// `factor`, those below `original_max_position_embeddings / high_freq_factor` kept, those between interpolated.
    Llama3 {
        /// Stretch of the slow frequencies.
        factor: f32,
        /// Bound of the slow ones.
        low_freq_factor: f32,
        /// Bound of the fast ones.
        high_freq_factor: f32,
        /// Context that the model was first trained on.
        original_max_position_embeddings: usize,
    },
}

impl RopeScaling {
    /// By how much a frequency of this wavelength (in positions) is slowed down.
    pub fn stretch(&self, wavelength: f64) -> f64 {
        match *self {
            Self::Linear { factor } => f64::from(factor),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let (factor, low, high) = (
                    f64::from(factor),
                    f64::from(low_freq_factor),
                    f64::from(high_freq_factor),
                );
                let turns = original_max_position_embeddings as f64 / wavelength;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                1.0 / ((1.0 - kept) / factor + kept)
            }
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |what: String| Err(ConfigError(format!("rope_scaling: {what}")));
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let (Self::Linear { factor } | Self::Llama3 { factor, .. }) = *self;
        if !positive(factor) {
            return wrong(format!("factor is {factor}; it must be a positive number"));
        }
        if let Self::Llama3 {
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
            ..
        } = *self
        {
            if !(positive(low_freq_factor) && high_freq_factor.is_finite() && high_freq_factor > low_freq_factor) {
                return wrong(format!(
                    "low_freq_factor is {low_freq_factor} and high_freq_factor {high_freq_factor}; the first must be positive and the second larger"
                ));
            }
            if original_max_position_embeddings == 0 || original_max_position_embeddings > 1 << 20 {
                return wrong(format!(
                    "original_max_position_embeddings is {original_max_position_embeddings}; it must be between 1 and {}",
                    1 << 20
                ));
            }
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}

/// Shape of a decoder: RMSNorm, RoPE (half-split), grouped-query attention, SwiGLU. The keys are Hugging Face's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The family.
    #[serde(default, skip_serializing_if = "Architecture::is_default")]
    pub model_type: Architecture,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key/value heads.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the SwiGLU layer.
    pub intermediate_size: usize,
    /// Base of the rotary angles.
    pub rope_theta: f32,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f32,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Whether the embedding is also the output layer.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub tie_word_embeddings: bool,
    /// Stretch of the rotary frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
}

/// One tensor: its Hugging Face name, shape, and place in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in the checkpoint.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Where it lies.
    pub range: Range<usize>,
}

/// Places of one block's tensors, empty for those that the architecture lacks. `qkv` and `gate_up` are contiguous, so
/// that each is one product.
#[derive(Clone, Debug)]
pub struct Block {
    pub(crate) norm1: Range<usize>,
    pub(crate) qkv: Range<usize>,
    pub(crate) qkv_bias: Range<usize>,
    pub(crate) q_norm: Range<usize>,
    pub(crate) k_norm: Range<usize>,
    pub(crate) out: Range<usize>,
    pub(crate) norm2: Range<usize>,
    pub(crate) gate_up: Range<usize>,
    pub(crate) down: Range<usize>,
}

/// Places of all tensors.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The embedding.
    pub embed: Range<usize>,
    /// The output layer; the embedding where they are tied.
    pub head: Range<usize>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// The last norm.
    pub norm: Range<usize>,
    /// Number of parameters.
    pub len: usize,
    /// Every tensor by name, for checkpoints.
    pub tensors: Vec<Tensor>,
}

/// What is wrong with a shape.
#[derive(Clone, Debug, thiserror::Error)]
#[error("model configuration: {0}")]
pub struct ConfigError(String);

impl Config {
    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn kv_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Width of queries, keys and values together.
    pub fn qkv_width(&self) -> usize {
        self.query_width() + 2 * self.kv_width()
    }

    /// Query heads per key/value head.
    pub fn group(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Check that the numbers make a model, and a bounded one (files are untrusted).
    ///
    /// # Errors
    /// Names the key and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |key: &str, value: usize, max: usize| {
            if value == 0 || value > max {
                Err(ConfigError(format!("{key} is {value}; it must be between 1 and {max}")))
            } else {
                Ok(())
            }
        };
        check("vocab_size", self.vocab_size, 1 << 20)?;
        check("hidden_size", self.hidden_size, 1 << 15)?;
        check("num_hidden_layers", self.num_hidden_layers, 512)?;
        check("num_attention_heads", self.num_attention_heads, 1024)?;
        check(
            "num_key_value_heads",
            self.num_key_value_heads,
            self.num_attention_heads,
        )?;
        check("head_dim", self.head_dim, 1024)?;
        check("intermediate_size", self.intermediate_size, 1 << 17)?;
        check("max_position_embeddings", self.max_position_embeddings, 1 << 20)?;
        // The tables of rotary angles are made when the model is loaded, whatever the size of its file.
        check(
            "head_dim times max_position_embeddings",
            self.head_dim * self.max_position_embeddings,
            1 << 25,
        )?;
        if !self.head_dim.is_multiple_of(2) {
            return Err(ConfigError(format!("head_dim is {}; it must be even", self.head_dim)));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(ConfigError(format!(
                "num_attention_heads ({}) must be a multiple of num_key_value_heads ({})",
                self.num_attention_heads, self.num_key_value_heads
            )));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 1.0) {
            return Err(ConfigError(format!(
                "rope_theta is {}; it must be a number above 1",
                self.rope_theta
            )));
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps > 0.0) {
            return Err(ConfigError(format!(
                "rms_norm_eps is {}; it must be a positive number",
                self.rms_norm_eps
            )));
        }
        if let Some(scaling) = &self.rope_scaling {
            scaling.validate()?;
        }
        Ok(())
    }

    /// Where each tensor lies.
    pub fn layout(&self) -> Layout {
        let mut place = Placer::default();
        let (d, q, kv, f) = (
            self.hidden_size,
            self.query_width(),
            self.kv_width(),
            self.intermediate_size,
        );
        let embed = place.tensor("model.embed_tokens.weight", &[self.vocab_size, d]);
        let blocks = (0..self.num_hidden_layers)
            .map(|i| {
                let name = |s: &str| format!("model.layers.{i}.{s}");
                let norm1 = place.tensor(&name("input_layernorm.weight"), &[d]);
                let wq = place.tensor(&name("self_attn.q_proj.weight"), &[q, d]);
                place.tensor(&name("self_attn.k_proj.weight"), &[kv, d]);
                let wv = place.tensor(&name("self_attn.v_proj.weight"), &[kv, d]);
                let (mut qkv_bias, mut q_norm, mut k_norm) = (0..0, 0..0, 0..0);
                match self.model_type {
                    Architecture::Llama => {}
                    Architecture::Qwen2 => {
                        let bq = place.tensor(&name("self_attn.q_proj.bias"), &[q]);
                        place.tensor(&name("self_attn.k_proj.bias"), &[kv]);
                        qkv_bias = bq.start..place.tensor(&name("self_attn.v_proj.bias"), &[kv]).end;
                    }
                    Architecture::Qwen3 => {
                        q_norm = place.tensor(&name("self_attn.q_norm.weight"), &[self.head_dim]);
                        k_norm = place.tensor(&name("self_attn.k_norm.weight"), &[self.head_dim]);
                    }
                }
                let out = place.tensor(&name("self_attn.o_proj.weight"), &[d, q]);
                let norm2 = place.tensor(&name("post_attention_layernorm.weight"), &[d]);
                let gate = place.tensor(&name("mlp.gate_proj.weight"), &[f, d]);
                let up = place.tensor(&name("mlp.up_proj.weight"), &[f, d]);
                let down = place.tensor(&name("mlp.down_proj.weight"), &[d, f]);
                Block {
                    norm1,
                    qkv: wq.start..wv.end,
                    qkv_bias,
                    q_norm,
                    k_norm,
                    out,
                    norm2,
                    gate_up: gate.start..up.end,
                    down,
                }
            })
            .collect();
        let norm = place.tensor("model.norm.weight", &[d]);
        let head = if self.tie_word_embeddings {
            embed.clone()
        } else {
            place.tensor("lm_head.weight", &[self.vocab_size, d])
        };
        Layout {
            embed,
            head,
            blocks,
            norm,
            len: place.len,
            tensors: place.tensors,
        }
    }
}

#[derive(Default)]
struct Placer {
    len: usize,
    tensors: Vec<Tensor>,
}

impl Placer {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            range: range.clone(),
        });
        range
    }
}
