//! Weights out of GGUF files: llama.cpp's names and keys, and what its conversion changed.

use super::CheckpointError;
use crate::config::{Architecture, Block, Config, Layout, RopeScaling, Tensor};
use crate::gemm::{Blocks, Matrix};
use crate::weights::{PackedBlock, PackedModel, Weights};
use hone_gguf::{Gguf, GgufError, Kind};
use std::collections::BTreeSet;
use std::ops::Range;

/// Factors of each rotary pair, by which llama.cpp writes Llama 3's scaling.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The model that a GGUF file holds. Parameters become f32; products with weights of Q4_0, Q4_1 and Q8_0 take them as they
/// are stored, which gives the same bits.
///
/// # Errors
/// When the file is broken, or holds something that this engine would compute otherwise.
pub fn load_gguf(file: &Gguf) -> Result<Weights, CheckpointError> {
    let config = config(file)?;
    config.validate().map_err(|e| file.error(e.to_string()))?;
    let layout = config.layout();
    // Every element takes half a byte of the file or more: so the allocation is bounded by it.
    let stored: u64 = file.tensors().values().map(|tensor| tensor.elements()).sum();
    if (layout.len as u64) > stored {
        let what = format!(
            "its tensors hold {stored} numbers, too few for {} parameters",
            layout.len
        );
        return Err(file.error(what).into());
    }
    let mut params = vec![0f32; layout.len];
    let mut used = BTreeSet::from([ROPE_FACTORS.to_owned()]);
    for tensor in &layout.tensors {
        let name = gguf_name(&tensor.name);
        if let Some(info) = file.tensors().get(&name)
            && info.shape != tensor.shape
        {
            let (have, want) = (&info.shape, &tensor.shape);
            let what = format!("tensor {name} has shape {have:?}, and its metadata asks for {want:?}");
            return Err(file.error(what).into());
        }
        let slot = &mut params[tensor.range.clone()];
        file.read(&name, slot)?;
        let rotated = name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight");
        if config.model_type == Architecture::Llama && rotated {
            half_split(slot, config.head_dim, config.hidden_size);
        }
        used.insert(name);
    }
    if let Some(name) = file.tensors().keys().find(|name| !used.contains(*name)) {
        let what = format!("tensor {name} has no place in the model that its metadata describes");
        return Err(file.error(what).into());
    }
    let forward = packed(file, &config, &layout, &params)?;
    Weights::with_forward(config, params, forward).map_err(|e| file.error(e.to_string()).into())
}

/// The matrices as the file stores them, or as floats where it has no blocks that products take.
fn packed(file: &Gguf, c: &Config, layout: &Layout, params: &[f32]) -> Result<PackedModel, CheckpointError> {
    let matrix = |k: usize, range: &Range<usize>| -> Result<Matrix, CheckpointError> {
        let (mut columns, n) = (0, range.len() / k);
        let inside = |tensor: &&Tensor| range.start <= tensor.range.start && tensor.range.end <= range.end;
        let parts: Vec<(String, Kind)> = layout
            .tensors
            .iter()
            .filter(inside)
            .filter_map(|tensor| {
                let name = gguf_name(&tensor.name);
                file.tensors().get(&name).map(|info| (name.clone(), info.kind))
            })
            .collect();
        let mut blocks = parts.first().and_then(|(_, kind)| Blocks::new(*kind, k, n));
        for (name, kind) in &parts {
            let Some(into) = blocks.as_mut().filter(|blocks| blocks.takes(*kind)) else {
                blocks = None;
                break;
            };
            let bytes = file.stored(name)?;
            let (numbers, size) = kind.block();
            let rotated = c.model_type == Architecture::Llama && (name.contains("attn_q") || name.contains("attn_k"));
            let rows = bytes.chunks_exact(k / numbers * size);
            let count = rows.len();
            for (at, row) in rows.enumerate() {
                let to = if rotated { half_split_row(at, c.head_dim) } else { at };
                into.set(columns + to, *kind, row);
            }
            columns += count;
        }
        Ok(match blocks {
            Some(blocks) => Matrix::Blocks(blocks),
            None => {
                let mut dense = Matrix::default();
                dense.dense().columns(&params[range.clone()], k, k, n);
                dense
            }
        })
    };
    let (d, q, f) = (c.hidden_size, c.query_width(), c.intermediate_size);
    let block = |block: &Block| {
        Ok(PackedBlock {
            qkv: matrix(d, &block.qkv)?,
            out: matrix(q, &block.out)?,
            gate_up: matrix(d, &block.gate_up)?,
            down: matrix(f, &block.down)?,
        })
    };
    Ok(PackedModel {
        blocks: layout
            .blocks
            .iter()
            .map(block)
            .collect::<Result<_, CheckpointError>>()?,
        head: matrix(d, &layout.head)?,
    })
}

/// llama.cpp's name of a tensor.
fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".into(),
        "model.norm.weight" => return "output_norm.weight".into(),
        "lm_head.weight" => return "output.weight".into(),
        _ => {}
    }
    let rest = name.strip_prefix("model.layers.").unwrap_or(name);
    let (layer, part) = rest.split_once('.').unwrap_or((rest, ""));
    let (part, kind) = part.rsplit_once('.').unwrap_or((part, ""));
    let part = match part {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        other => other,
    };
    format!("blk.{layer}.{part}.{kind}")
}

/// Where row `at` of Llama's queries or keys belongs. In these files the two numbers that are rotated together lie side by
/// side, here half a head apart.
fn half_split_row(at: usize, head_dim: usize) -> usize {
    let within = at % head_dim;
    at - within + within % 2 * (head_dim / 2) + within / 2
}

/// [`half_split_row`] for `rows` of `width` numbers.
fn half_split(rows: &mut [f32], head_dim: usize, width: usize) {
    for head in rows.chunks_exact_mut(head_dim * width) {
        let pairs = head.to_vec();
        for (at, row) in pairs.chunks_exact(width).enumerate() {
            let to = half_split_row(at, head_dim);
            head[to * width..(to + 1) * width].copy_from_slice(row);
        }
    }
}

fn config(file: &Gguf) -> Result<Config, GgufError> {
    let kind = file.text("general.architecture")?.unwrap_or_default().to_owned();
    let Some(model_type) = Architecture::ALL.into_iter().find(|a| a.name() == kind) else {
        let known = Architecture::ALL.map(Architecture::name).join(", ");
        return Err(file.error(format!("general.architecture is {kind:?}; this version reads {known}")));
    };
    let key = |name: &str| format!("{kind}.{name}");
    let missing = |name: &str| file.error(format!("{kind}.{name} is missing"));
    let whole = |name: &str| file.whole(&key(name))?.ok_or_else(|| missing(name));
    let (hidden_size, heads) = (whole("embedding_length")?, whole("attention.head_count")?);
    let head_dim = file
        .whole(&key("attention.key_length"))?
        .unwrap_or(hidden_size / heads.max(1));
    for name in ["attention.value_length", "rope.dimension_count"] {
        if let Some(n) = file.whole(&key(name))?.filter(|n| *n != head_dim) {
            let what =
                format!("{kind}.{name} is {n} and a head has {head_dim}; this version reads models where they agree");
            return Err(file.error(what));
        }
    }
    for name in ["expert_count", "attention.sliding_window"] {
        if file.whole(&key(name))?.is_some_and(|n| n > 0) {
            return Err(file.error(format!("{kind}.{name} is set; this version reads models without it")));
        }
    }
    let embedding = file.tensors().get("token_embd.weight");
    let vocab_size = embedding.and_then(|tensor| tensor.shape.first());
    let mut config = Config {
        model_type,
        vocab_size: *vocab_size.ok_or_else(|| file.error("tensor token_embd.weight is missing"))?,
        hidden_size,
        num_hidden_layers: whole("block_count")?,
        num_attention_heads: heads,
        num_key_value_heads: file.whole(&key("attention.head_count_kv"))?.unwrap_or(heads),
        head_dim,
        intermediate_size: whole("feed_forward_length")?,
        rope_theta: file.number(&key("rope.freq_base"))?.unwrap_or(10_000.0) as f32,
        rms_norm_eps: file
            .number(&key("attention.layer_norm_rms_epsilon"))?
            .ok_or_else(|| missing("attention.layer_norm_rms_epsilon"))? as f32,
        max_position_embeddings: whole("context_length")?,
        tie_word_embeddings: !file.tensors().contains_key("output.weight"),
        rope_scaling: None,
    };
    config.rope_scaling = match file.text(&key("rope.scaling.type"))? {
        None | Some("none") => llama3(file, &config)?,
        Some("linear") => {
            let factor = file.number(&key("rope.scaling.factor"))?;
            let factor = factor.ok_or_else(|| missing("rope.scaling.factor"))? as f32;
            Some(RopeScaling::Linear { factor })
        }
        Some(other) => {
            let what = format!("{kind}.rope.scaling.type is {other:?}; this version reads none and linear");
            return Err(file.error(what));
        }
    };
    Ok(config)
}

/// Llama 3's scaling, from the factors that it gives: the file holds no more of it. All published Llama 3 models share
/// these bounds and differ in the factor.
fn llama3(file: &Gguf, config: &Config) -> Result<Option<RopeScaling>, GgufError> {
    let Some(info) = file.tensors().get(ROPE_FACTORS) else {
        return Ok(None);
    };
    let half = config.head_dim / 2;
    if info.elements() != half as u64 {
        let what = format!("tensor {ROPE_FACTORS} has {} elements, not {half}", info.elements());
        return Err(file.error(what));
    }
    let mut factors = vec![0f32; half];
    file.read(ROPE_FACTORS, &mut factors)?;
    let factor = factors.iter().copied().fold(1.0, f32::max);
    let scaling = RopeScaling::Llama3 {
        factor,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    for (i, have) in factors.iter().enumerate() {
        let period = f64::from(config.rope_theta).powf(2.0 * i as f64 / config.head_dim as f64);
        let want = scaling.stretch(std::f64::consts::TAU * period);
        if (f64::from(*have) / want - 1.0).abs() > 1e-3 {
            let what = format!("tensor {ROPE_FACTORS} is not Llama 3's scaling ({have} instead of {want:.4} at {i})");
            return Err(file.error(what));
        }
    }
    Ok(Some(scaling))
}

#[cfg(test)]
mod tests;
