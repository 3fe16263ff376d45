use super::*;
use hone_trace::Stream;
use std::path::Path;

/// A GGUF file of these weights, as llama.cpp's conversion writes it, in f32.
fn write(path: &Path, weights: &Weights, more: &[(&str, &str)]) {
    write_as(path, weights, more, Kind::F32);
}

/// The bytes of numbers: f32, or blocks with the largest number's scale.
fn stored(kind: Kind, numbers: &[f32]) -> Vec<u8> {
    if kind == Kind::F32 {
        return numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    }
    let largest = |block: &[f32]| block.iter().fold(0f32, |most, x| most.max(x.abs()));
    let blocks = numbers.chunks_exact(32).flat_map(|block| {
        let steps = if kind == Kind::Q8_0 { 127.0 } else { 7.0 };
        let d = half::f16::from_f32(largest(block) / steps);
        let q = |x: f32| (x / d.to_f32()).round().clamp(-steps, steps) as i8;
        let mut out = d.to_le_bytes().to_vec();
        match kind {
            Kind::Q8_0 => out.extend(block.iter().map(|x| q(*x).cast_unsigned())),
            _ => {
                if kind == Kind::Q4_1 {
                    out.extend(half::f16::from_f32(-8.0 * d.to_f32()).to_le_bytes());
                }
                out.extend((0..16).map(|i| (q(block[i]) + 8) as u8 | ((q(block[i + 16]) + 8) as u8) << 4));
            }
        }
        out
    });
    blocks.collect()
}

fn write_as(path: &Path, weights: &Weights, more: &[(&str, &str)], kind: Kind) {
    let c = &weights.config;
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let arch = c.model_type.name();
    let mut texts = vec![("general.architecture".to_owned(), arch)];
    texts.extend(more.iter().map(|(key, value)| (format!("{arch}.{key}"), *value)));
    let numbers = [
        ("embedding_length", c.hidden_size),
        ("block_count", c.num_hidden_layers),
        ("attention.head_count", c.num_attention_heads),
        ("attention.head_count_kv", c.num_key_value_heads),
        ("attention.key_length", c.head_dim),
        ("feed_forward_length", c.intermediate_size),
        ("context_length", c.max_position_embeddings),
    ];
    let floats = [
        ("rope.freq_base", c.rope_theta),
        ("attention.layer_norm_rms_epsilon", c.rms_norm_eps),
    ];
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = weights
        .layout
        .tensors
        .iter()
        .map(|tensor| {
            let mut data = weights.params()[tensor.range.clone()].to_vec();
            let name = gguf_name(&tensor.name);
            if arch == "llama" && (name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight")) {
                // `permute` of convert_hf_to_gguf.py.
                let (hd, d) = (c.head_dim, c.hidden_size);
                for head in data.chunks_exact_mut(hd * d) {
                    let old = head.to_vec();
                    for (to, row) in head.chunks_exact_mut(d).enumerate() {
                        let from = to % 2 * hd / 2 + to / 2;
                        row.copy_from_slice(&old[from * d..(from + 1) * d]);
                    }
                }
            }
            (name, tensor.shape.clone(), data)
        })
        .collect();
    if let Some(scaling @ RopeScaling::Llama3 { .. }) = c.rope_scaling {
        let factors = (0..c.head_dim / 2).map(|i| {
            let period = f64::from(c.rope_theta).powf(2.0 * i as f64 / c.head_dim as f64);
            scaling.stretch(std::f64::consts::TAU * period) as f32
        });
        tensors.push((ROPE_FACTORS.into(), vec![c.head_dim / 2], factors.collect()));
    }
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(((texts.len() + numbers.len() + floats.len()) as u64).to_le_bytes());
    for (key, value) in &texts {
        text(&mut out, key);
        out.extend(8u32.to_le_bytes());
        text(&mut out, value);
    }
    for (key, value) in numbers {
        text(&mut out, &format!("{arch}.{key}"));
        out.extend(4u32.to_le_bytes());
        out.extend((value as u32).to_le_bytes());
    }
    for (key, value) in floats {
        text(&mut out, &format!("{arch}.{key}"));
        out.extend(6u32.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    let (mut offset, mut data) = (0u64, Vec::new());
    for (name, shape, numbers) in &tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|n| out.extend((*n as u64).to_le_bytes()));
        let kind = if shape.len() > 1 { kind } else { Kind::F32 };
        out.extend(kind.id().to_le_bytes());
        out.extend(offset.to_le_bytes());
        data.extend(stored(kind, numbers));
        data.resize(data.len().next_multiple_of(32), 0);
        offset = data.len() as u64;
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    std::fs::write(path, out).unwrap();
}

fn config(model_type: Architecture) -> Config {
    Config {
        model_type,
        vocab_size: 11,
        hidden_size: 8,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 6,
        intermediate_size: 12,
        rope_theta: 1e4,
        rms_norm_eps: 1e-6,
        max_position_embeddings: 16,
        tie_word_embeddings: true,
        rope_scaling: None,
    }
}

#[test]
fn every_architecture_is_read_as_it_was_converted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let llama3 = RopeScaling::Llama3 {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    for (model_type, rope_scaling, tie_word_embeddings) in [
        (Architecture::Llama, Some(llama3), false),
        (Architecture::Llama, None, true),
        (Architecture::Qwen2, None, true),
        (Architecture::Qwen3, None, false),
    ] {
        let config = Config {
            rope_scaling,
            tie_word_embeddings,
            // Wide enough that every range of wavelengths occurs.
            rope_theta: 1e7,
            ..config(model_type)
        };
        let weights = Weights::random(config, &Stream::new(1)).unwrap();
        write(&path, &weights, &[]);
        let back = load_gguf(&Gguf::open(&path).unwrap()).unwrap();
        assert_eq!(back.config, weights.config);
        assert_eq!(back.params(), weights.params());
    }
}

/// Sampling with the weights as they are stored, and with the floats that they stand for.
#[test]
fn quantised_products_give_the_same_logits() {
    use crate::decode::{Cache, Feed, Scratch, feed};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let kinds = [Kind::Q4_0, Kind::Q4_1, Kind::Q8_0];
    for (model_type, kind) in Architecture::ALL.into_iter().zip(kinds) {
        let config = Config {
            hidden_size: 64,
            head_dim: 16,
            intermediate_size: 96,
            tie_word_embeddings: kind != Kind::Q8_0,
            ..config(model_type)
        };
        let config = Config {
            num_attention_heads: 4,
            num_key_value_heads: 2,
            ..config
        };
        write_as(&path, &Weights::random(config, &Stream::new(4)).unwrap(), &[], kind);
        let blocks = load_gguf(&Gguf::open(&path).unwrap()).unwrap();
        assert!(matches!(blocks.forward.blocks[1].qkv, Matrix::Blocks(_)));
        assert!(matches!(blocks.forward.head, Matrix::Blocks(_)));
        let dense = Weights::new(blocks.config.clone(), blocks.params().to_vec()).unwrap();
        let logits = |weights: &Weights| {
            let (mut cache, mut scratch) = (Cache::default(), Scratch::default());
            let mut step = |ids: &[u32]| {
                let cache = &mut cache;
                feed(weights, &mut [Feed { cache, ids, want: true }], &mut scratch).to_vec()
            };
            [step(&[1, 2, 3, 4, 5]), step(&[6])]
        };
        assert_eq!(logits(&blocks), logits(&dense), "{model_type:?}");
        // Training makes floats of them.
        let mut trained = blocks.clone();
        trained.update(|params| params[0] += 1.0);
        assert!(matches!(trained.forward.head, Matrix::Dense(_)));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let refused = |weights: &Weights, more: &[(&str, &str)]| {
        write(&path, weights, more);
        load_gguf(&Gguf::open(&path).unwrap()).unwrap_err().to_string()
    };
    let weights = Weights::random(config(Architecture::Llama), &Stream::new(1)).unwrap();
    assert!(refused(&weights, &[("rope.scaling.type", "yarn")]).contains("yarn"));
    assert!(refused(&weights, &[("rope.scaling.type", "linear")]).contains("rope.scaling.factor is missing"));
    assert!(refused(&weights, &[("expert_count", "8")]).contains("not a whole number"));
    // The metadata of one model over the tensors of another.
    let mut other = weights.clone();
    other.config.intermediate_size = 11;
    assert!(refused(&other, &[]).contains("has shape"));
    other = weights.clone();
    other.config.num_hidden_layers = 3;
    assert!(refused(&other, &[]).contains("too few"));
    other.config.num_hidden_layers = 1;
    assert!(refused(&other, &[]).contains("blk.1.") && refused(&other, &[]).contains("no place"));
    other = weights;
    other.config.rope_scaling = Some(RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 4,
    });
    assert!(refused(&other, &[]).contains("not Llama 3's scaling"));
}
