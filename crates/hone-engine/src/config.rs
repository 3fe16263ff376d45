//! The shape of a model and where each tensor lies in its flat parameter vector.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Shape of a decoder: RMSNorm, RoPE (half-split), grouped-query attention, SwiGLU. The keys are Hugging Face's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
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

/// Places of one block's tensors. `qkv` and `gate_up` are contiguous, so that each is one product.
#[derive(Clone, Debug)]
pub struct Block {
    pub(crate) norm1: Range<usize>,
    pub(crate) qkv: Range<usize>,
    pub(crate) qkv_bias: Range<usize>,
    pub(crate) out: Range<usize>,
    pub(crate) norm2: Range<usize>,
    pub(crate) gate_up: Range<usize>,
    pub(crate) down: Range<usize>,
}

/// Places of all tensors.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The embedding, which is also the output layer.
    pub embed: Range<usize>,
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
                let bq = place.tensor(&name("self_attn.q_proj.bias"), &[q]);
                place.tensor(&name("self_attn.k_proj.bias"), &[kv]);
                let bv = place.tensor(&name("self_attn.v_proj.bias"), &[kv]);
                let out = place.tensor(&name("self_attn.o_proj.weight"), &[d, q]);
                let norm2 = place.tensor(&name("post_attention_layernorm.weight"), &[d]);
                let gate = place.tensor(&name("mlp.gate_proj.weight"), &[f, d]);
                let up = place.tensor(&name("mlp.up_proj.weight"), &[f, d]);
                let down = place.tensor(&name("mlp.down_proj.weight"), &[d, f]);
                Block {
                    norm1,
                    qkv: wq.start..wv.end,
                    qkv_bias: bq.start..bv.end,
                    out,
                    norm2,
                    gate_up: gate.start..up.end,
                    down,
                }
            })
            .collect();
        let norm = place.tensor("model.norm.weight", &[d]);
        Layout {
            embed,
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
