use super::*;
use hone_trace::Stream;
use std::path::Path;

/// A GGUF file of these weights, as llama.cpp's conversion writes it, in f32.
fn write(path: &Path, weights: &Weights, more: &[(&str, &str)]) {
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
        out.extend(0u32.to_le_bytes());
        out.extend(offset.to_le_bytes());
        data.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
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
