//! Checkpoints written, read, and broken.

use super::tensors::{pack, write_tensors};
use super::*;
use crate::{Architecture, Config, RopeScaling};
use hone_trace::Stream;
use safetensors::tensor::Dtype;

fn weights() -> Weights {
    let config = Config {
        vocab_size: 11,
        hidden_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 4,
        intermediate_size: 12,
        rope_theta: 1e4,
        rms_norm_eps: 1e-6,
        max_position_embeddings: 16,
        model_type: Architecture::Qwen2,
        tie_word_embeddings: true,
        rope_scaling: None,
    };
    Weights::random(config, &Stream::new(1)).unwrap()
}

#[test]
fn a_checkpoint_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let weights = weights();
    save(dir.path(), &weights).unwrap();
    let back = load(dir.path()).unwrap();
    assert_eq!(back.config, weights.config);
    assert_eq!(back.params(), weights.params());
    let n = weights.params().len();
    let state = OptimizerState {
        first: vec![1.5; n],
        second: vec![2.5; n],
        steps: 7,
    };
    save_optimizer(dir.path(), &weights, &state).unwrap();
    assert_eq!(load_optimizer(dir.path(), &weights).unwrap(), state);
}

#[test]
fn an_adapter_comes_back_as_it_was_and_strange_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let base = weights();
    let lora = crate::Lora {
        rank: 2,
        dropout: 0.25,
        targets: vec![crate::LoraTarget::QProj, crate::LoraTarget::DownProj],
        ..crate::Lora::default()
    };
    let adapted = base.adapted(&lora, &Stream::new(1)).unwrap();
    save(dir.path(), &adapted).unwrap();
    let n = adapted.trained().len();
    let state = OptimizerState {
        first: vec![1.5; n],
        second: vec![2.5; n],
        steps: 7,
    };
    save_optimizer(dir.path(), &adapted, &state).unwrap();
    let back = load_on(dir.path(), &base).unwrap();
    assert_eq!(back.trained(), adapted.trained());
    assert_eq!(back.adapter().unwrap().settings, lora);
    assert_eq!(load_optimizer(dir.path(), &back).unwrap(), state);
    assert!(!dir.path().join("model.safetensors").exists());

    let path = dir.path().join("adapter_config.json");
    let good: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value, word) in [
        ("peft_type", "IA3".into(), "LORA"),
        ("use_dora", true.into(), "use_dora"),
        ("bias", "all".into(), "bias"),
        ("modules_to_save", serde_json::json!(["lm_head"]), "modules_to_save"),
        ("target_modules", serde_json::json!(["fc1"]), "fc1"),
        ("target_modules", ".*".into(), "list of names"),
        ("r", 0.into(), "between 1"),
        ("r", 3.into(), "has shape"),
        ("r", (-1).into(), "whole number"),
        ("lora_dropout", 1.into(), "below 1"),
        ("target_modules", serde_json::json!(["q_proj"]), "no place"),
    ] {
        let mut raw = good.clone();
        raw[key] = value;
        std::fs::write(&path, raw.to_string()).unwrap();
        let refused = load_on(dir.path(), &base).unwrap_err().to_string();
        assert!(refused.contains(word), "{key}: {refused}");
    }
}

#[test]
fn broken_files_are_named_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let message = || load(dir.path()).unwrap_err().to_string();
    assert!(message().contains("config.json") && message().contains("give a directory"));
    save(dir.path(), &weights()).unwrap();
    let path = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for cut in [0, 4, 9, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(message().contains("model.safetensors"), "cut at {cut}");
    }
    let mut huge = bytes.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(&path, &huge).unwrap();
    assert!(message().contains("model.safetensors"));
    std::fs::write(&path, &bytes).unwrap();
    let config = dir.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"hidden_size\": 8", "\"hidden_size\": 16")).unwrap();
    assert!(message().contains("has shape"), "{}", message());
    std::fs::write(&config, text.replace("\"silu\"", "\"gelu\"")).unwrap();
    assert!(message().contains("hidden_act"), "{}", message());
    std::fs::write(
        &config,
        text.replace("\"hidden_size\": 8", "\"hidden_size\": 99999999999"),
    )
    .unwrap();
    assert!(message().contains("hidden_size"), "{}", message());
}

#[test]
fn what_the_model_would_leave_out_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let message = || load(dir.path()).map(|_| ()).map_err(|e| e.to_string());
    let of_blocks = |num_hidden_layers| {
        let config = Config {
            num_hidden_layers,
            ..weights().config
        };
        Weights::random(config, &Stream::new(1)).unwrap()
    };
    save(dir.path(), &of_blocks(1)).unwrap();
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    save(dir.path(), &of_blocks(2)).unwrap();
    std::fs::write(dir.path().join("config.json"), &config).unwrap();
    let refused = message().unwrap_err();
    assert!(
        refused.contains("model.layers.1.") && refused.contains("no place"),
        "{refused}"
    );

    let with = |name: &str| {
        let weights = of_blocks(1);
        let mut tensors = pack("", &weights.layout.tensors, weights.params());
        tensors.push((name.into(), vec![1], vec![0; 4], Dtype::F32));
        write_tensors(&dir.path().join("model.safetensors"), &tensors).unwrap();
        message()
    };
    with("model.layers.0.self_attn.q_norm.weight").unwrap_err();
    with("lm_head.weight").unwrap();
    with("model.layers.0.self_attn.rotary_emb.inv_freq").unwrap();

    let scaled = |key: &str, value: &str| {
        let text = config.replacen('{', &format!("{{\"{key}\": {value},"), 1);
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        message()
    };
    scaled("rope_scaling", "null").unwrap();
    scaled("rope_scaling", r#"{"rope_type": "default"}"#).unwrap();
    for kind in [r#"{"type": "yarn", "factor": 4.0}"#, r#"{"rope_type": "linear"}"#] {
        let refused = scaled("rope_scaling", kind).unwrap_err();
        assert!(
            refused.contains("this version reads default, linear and llama3") || refused.contains("factor"),
            "{refused}"
        );
    }
}

/// Shapes that need every key of `config.json`.
fn configs() -> Vec<Config> {
    let llama3 = RopeScaling::Llama3 {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    let scalings = [None, Some(llama3), Some(RopeScaling::Linear { factor: 2.5 })];
    Architecture::ALL
        .into_iter()
        .zip(scalings)
        .map(|(model_type, rope_scaling)| Config {
            model_type,
            rope_scaling,
            tie_word_embeddings: rope_scaling.is_none(),
            ..weights().config
        })
        .collect()
}

#[test]
fn every_architecture_comes_back_as_it_was() {
    for config in configs() {
        let dir = tempfile::tempdir().unwrap();
        let weights = Weights::random(config, &Stream::new(2)).unwrap();
        save(dir.path(), &weights).unwrap();
        let back = load(dir.path()).unwrap();
        assert_eq!(back.config, weights.config);
        assert_eq!(back.params(), weights.params());
    }
}

/// Two shards, one of them in halves of each kind.
#[test]
fn shards_and_halves_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = weights();
    // Numbers that every format holds.
    whole.update(|params| params.iter_mut().for_each(|x| *x = (*x * 16.0).round() / 16.0));
    save(dir.path(), &whole).unwrap();
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let tensors = pack("", &whole.layout.tensors, whole.params());
    let halves = |(name, shape, bytes, _): &tensors::Raw, dtype: Dtype| {
        let numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        let bytes = match dtype {
            Dtype::F16 => numbers.flat_map(|x| half::f16::from_f32(x).to_le_bytes()).collect(),
            _ => numbers.flat_map(|x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        };
        (name.clone(), shape.clone(), bytes, dtype)
    };
    let (first, second) = tensors.split_at(5);
    let first: Vec<_> = first.iter().map(|raw| halves(raw, Dtype::BF16)).collect();
    let second: Vec<_> = second.iter().map(|raw| halves(raw, Dtype::F16)).collect();
    let mut map = serde_json::Map::new();
    for (file, tensors) in [("a.safetensors", &first), ("b.safetensors", &second)] {
        write_tensors(&dir.path().join(file), tensors).unwrap();
        map.extend(tensors.iter().map(|(name, ..)| (name.clone(), file.into())));
    }
    let index = |map: &Value| {
        let text = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
        std::fs::write(dir.path().join("model.safetensors.index.json"), text).unwrap();
        load(dir.path()).map_err(|e| e.to_string())
    };
    assert_eq!(index(&map.clone().into()).unwrap().params(), whole.params());

    let refused = |map: Value| index(&map).unwrap_err();
    let one: Value = serde_json::json!({"x": "a.safetensors"});
    assert!(refused(one).contains("too few"));
    for name in ["../a.safetensors", "/a.safetensors", "a.bin", "..", ""] {
        let text = refused(serde_json::json!({"x": name}));
        assert!(text.contains("plain name"), "{text}");
    }
    assert!(refused(serde_json::json!({})).contains("0 files"));
    assert!(refused(serde_json::json!({"x": "c.safetensors"})).contains("c.safetensors"));
}

#[test]
fn what_would_be_computed_otherwise_is_refused() {
    for config in configs() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &Weights::random(config, &Stream::new(2)).unwrap()).unwrap();
        let path = dir.path().join("config.json");
        let good: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let with = |key: &str, value: Value| {
            let mut raw = good.clone();
            raw[key] = value;
            std::fs::write(&path, raw.to_string()).unwrap();
            load(dir.path()).map(|_| ()).map_err(|e| e.to_string())
        };
        for (key, value, word) in [
            ("model_type", "gpt2".into(), "llama, qwen2, qwen3"),
            ("mlp_bias", true.into(), "mlp_bias"),
            ("hidden_act", "gelu".into(), "hidden_act"),
            (
                "layer_types",
                serde_json::json!(["sliding_attention"]),
                "sliding window",
            ),
            ("quantization_config", serde_json::json!({"quant_method": "awq"}), "awq"),
            ("head_dim", serde_json::json!("4"), "not a whole number"),
            ("num_key_value_heads", 3.into(), "between 1 and 2"),
            ("rope_theta", false.into(), "rope_theta"),
            ("rope_scaling", serde_json::json!({"rope_type": "linear"}), "factor"),
            (
                "rope_scaling",
                serde_json::json!({"rope_type": "linear", "factor": 0}),
                "positive",
            ),
        ] {
            if key == "mlp_bias" && good["model_type"] == "qwen2" {
                continue;
            }
            let refused = with(key, value).unwrap_err();
            assert!(refused.contains(word), "{key}: {refused}");
        }
        with("layer_types", serde_json::json!(["full_attention"])).unwrap();
        with("attention_bias", Value::Null).unwrap();
    }
}
