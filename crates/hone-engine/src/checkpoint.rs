//! Checkpoints in Hugging Face layout: `config.json` and `model.safetensors` (the layout of `Qwen2ForCausalLM`, the
//! published architecture with exactly these parts: q/k/v bias, no other bias, tied embeddings).

use crate::config::{Config, Tensor};
use crate::learn::OptimizerState;
use crate::weights::{Weights, WeightsError};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file is missing or unreadable.
    #[error("cannot {action} {path}: {source}; {remedy}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The file is not what it should be.
    #[error("{path}: {what}; {remedy}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

const REMEDY: &str = "give a directory that holds config.json, model.safetensors and tokenizer.json";
const DAMAGED: &str = "the file is damaged or belongs to another model: copy or make it again";
const DISK: &str = "check that the directory may be written and that the disk is not full";
const MAX_CONFIG_BYTES: u64 = 1 << 20;
const MAX_WEIGHT_BYTES: u64 = 1 << 36;

/// Read a model's weights from a directory.
///
/// # Errors
/// Names the file, what is wrong with it, and what to do.
pub fn load(dir: &Path) -> Result<Weights, CheckpointError> {
    let path = dir.join("config.json");
    let bytes = read(&path, MAX_CONFIG_BYTES)?;
    let content = |what: String| CheckpointError::Content {
        path: path.clone(),
        what,
        remedy: DAMAGED,
    };
    let raw: Value = serde_json::from_slice(&bytes).map_err(|e| content(e.to_string()))?;
    let config = read_config(&raw).map_err(&content)?;
    config.validate().map_err(|e| content(e.to_string()))?;
    let path = dir.join("model.safetensors");
    let bytes = read(&path, MAX_WEIGHT_BYTES)?;
    let layout = config.layout();
    let params = unpack(&path, &bytes, "", &layout.tensors, layout.len)?;
    if let Some(name) = stray(&bytes, &layout.tensors) {
        return Err(CheckpointError::Content {
            path,
            what: format!("tensor {name} has no place in the model that config.json describes"),
            remedy: DAMAGED,
        });
    }
    Weights::new(config, params).map_err(|e: WeightsError| CheckpointError::Content {
        path,
        what: e.to_string(),
        remedy: DAMAGED,
    })
}

/// Write a model's weights to a directory, which is made if it is missing. Each file is replaced as a whole.
///
/// # Errors
/// When the disk says no.
pub fn save(dir: &Path, weights: &Weights) -> Result<(), CheckpointError> {
    std::fs::create_dir_all(dir).map_err(|source| CheckpointError::File {
        action: "write",
        path: dir.into(),
        source,
        remedy: DISK,
    })?;
    let c = &weights.config;
    let mut config = serde_json::to_value(c).unwrap_or_default();
    if let Some(map) = config.as_object_mut() {
        map.insert("architectures".into(), json!(["Qwen2ForCausalLM"]));
        map.insert("model_type".into(), json!("qwen2"));
        map.insert("hidden_act".into(), json!("silu"));
        map.insert("tie_word_embeddings".into(), json!(true));
        map.insert("torch_dtype".into(), json!("float32"));
        map.insert("use_sliding_window".into(), json!(false));
    }
    let text = format!("{config:#}\n");
    write(&dir.join("config.json"), text.as_bytes())?;
    let views = pack("", &weights.layout.tensors, weights.params());
    write_tensors(&dir.join("model.safetensors"), &views)
}

/// Write the optimiser's state beside a checkpoint.
///
/// # Errors
/// When the disk says no.
pub fn save_optimizer(dir: &Path, weights: &Weights, state: &OptimizerState) -> Result<(), CheckpointError> {
    let mut views = pack("first.", &weights.layout.tensors, &state.first);
    views.extend(pack("second.", &weights.layout.tensors, &state.second));
    views.push((
        "steps".to_owned(),
        vec![1],
        state.steps.to_le_bytes().to_vec(),
        Dtype::U64,
    ));
    write_tensors(&dir.join("optimizer.safetensors"), &views)
}

/// Read the optimiser's state of a checkpoint.
///
/// # Errors
/// Names the file, what is wrong with it, and what to do.
pub fn load_optimizer(dir: &Path, weights: &Weights) -> Result<OptimizerState, CheckpointError> {
    let path = dir.join("optimizer.safetensors");
    let bytes = read(&path, MAX_WEIGHT_BYTES)?;
    let content = |what: String| CheckpointError::Content {
        path: path.clone(),
        what,
        remedy: DAMAGED,
    };
    let layout = &weights.layout;
    let steps = SafeTensors::deserialize(&bytes)
        .and_then(|f| f.tensor("steps").map(|t| t.data().to_vec()))
        .map_err(|e| content(e.to_string()))?;
    let steps = steps
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| content("tensor steps is not one number".into()))?;
    Ok(OptimizerState {
        first: unpack(&path, &bytes, "first.", &layout.tensors, layout.len)?,
        second: unpack(&path, &bytes, "second.", &layout.tensors, layout.len)?,
        steps,
    })
}

fn read_config(raw: &Value) -> Result<Config, String> {
    let number = |key: &str| {
        raw[key]
            .as_u64()
            .map(|n| n as usize)
            .ok_or_else(|| format!("key {key} is missing or not a whole number"))
    };
    if raw["model_type"].as_str() != Some("qwen2") {
        return Err(format!("model_type is {}; this version reads qwen2", raw["model_type"]));
    }
    if raw["tie_word_embeddings"].as_bool() != Some(true) {
        return Err("tie_word_embeddings is not true; this version reads models with tied embeddings".into());
    }
    if raw["hidden_act"].as_str().is_some_and(|act| act != "silu") {
        return Err(format!(
            "hidden_act is {}; this version computes silu",
            raw["hidden_act"]
        ));
    }
    if raw["use_sliding_window"].as_bool() == Some(true) {
        return Err("use_sliding_window is true; this version attends to the whole sequence".into());
    }
    for key in ["rope_scaling", "rope_parameters"] {
        // Older files call it `type`.
        let kind = [&raw[key]["rope_type"], &raw[key]["type"]];
        if let Some(kind) = kind
            .iter()
            .find(|kind| !kind.is_null() && kind.as_str() != Some("default"))
        {
            return Err(format!("{key} is of type {kind}; this version rotates without scaling"));
        }
    }
    let (hidden_size, num_attention_heads) = (number("hidden_size")?, number("num_attention_heads")?);
    let head_dim = match raw.get("head_dim").and_then(Value::as_u64) {
        Some(n) => n as usize,
        None => hidden_size / num_attention_heads.max(1),
    };
    let theta = raw["rope_parameters"]["rope_theta"]
        .as_f64()
        .or(raw["rope_theta"].as_f64());
    Ok(Config {
        vocab_size: number("vocab_size")?,
        hidden_size,
        num_hidden_layers: number("num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads: number("num_key_value_heads")?,
        head_dim,
        intermediate_size: number("intermediate_size")?,
        rope_theta: theta.ok_or("key rope_theta is missing or not a number")? as f32,
        rms_norm_eps: raw["rms_norm_eps"]
            .as_f64()
            .ok_or("key rms_norm_eps is missing or not a number")? as f32,
        max_position_embeddings: number("max_position_embeddings")?,
    })
}

type Raw = (String, Vec<usize>, Vec<u8>, Dtype);

fn pack(prefix: &str, tensors: &[Tensor], flat: &[f32]) -> Vec<Raw> {
    tensors
        .iter()
        .map(|t| {
            let bytes = flat[t.range.clone()].iter().flat_map(|x| x.to_le_bytes()).collect();
            (format!("{prefix}{}", t.name), t.shape.clone(), bytes, Dtype::F32)
        })
        .collect()
}

fn unpack(
    path: &Path,
    bytes: &[u8],
    prefix: &str,
    tensors: &[Tensor],
    len: usize,
) -> Result<Vec<f32>, CheckpointError> {
    let content = |what: String| CheckpointError::Content {
        path: path.into(),
        what,
        remedy: DAMAGED,
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| content(e.to_string()))?;
    // The file is on disk with this many bytes, so the allocation is bounded by it.
    if len > bytes.len() {
        return Err(content(format!(
            "the file has {} bytes, too few for {len} parameters",
            bytes.len()
        )));
    }
    let mut flat = vec![0f32; len];
    for t in tensors {
        let name = format!("{prefix}{}", t.name);
        let view = file
            .tensor(&name)
            .map_err(|_| content(format!("tensor {name} is missing")))?;
        if view.shape() != t.shape {
            return Err(content(format!(
                "tensor {name} has shape {:?}, and config.json asks for {:?}",
                view.shape(),
                t.shape
            )));
        }
        let slot = &mut flat[t.range.clone()];
        match view.dtype() {
            Dtype::F32 => {
                for (x, b) in slot.iter_mut().zip(view.data().chunks_exact(4)) {
                    *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                }
            }
            Dtype::BF16 => {
                for (x, b) in slot.iter_mut().zip(view.data().chunks_exact(2)) {
                    *x = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
                }
            }
            other => {
                return Err(content(format!(
                    "tensor {name} is stored as {other:?}; this version reads F32 and BF16"
                )));
            }
        }
        if let Some(bad) = slot.iter().position(|x| !x.is_finite()) {
            return Err(content(format!(
                "tensor {name} holds a number that is not finite at {bad}"
            )));
        }
    }
    Ok(flat)
}

/// A tensor of the file that the model would leave out: then it is another model's. Not strays: the tied output layer,
/// which some programs write a second time, and tables of rotary frequencies.
fn stray(bytes: &[u8], tensors: &[Tensor]) -> Option<String> {
    let known: BTreeSet<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    let file = SafeTensors::deserialize(bytes).ok()?;
    let mut names = file.names().into_iter().filter(|name| {
        let copied = *name == "lm_head.weight" || name.ends_with(".rotary_emb.inv_freq");
        !copied && !known.contains(*name)
    });
    names.next().map(str::to_owned)
}

fn write_tensors(path: &Path, tensors: &[Raw]) -> Result<(), CheckpointError> {
    let content = |what: String| CheckpointError::Content {
        path: path.into(),
        what,
        remedy: DISK,
    };
    let mut views = BTreeMap::new();
    for (name, shape, bytes, dtype) in tensors {
        views.insert(
            name,
            TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| content(e.to_string()))?,
        );
    }
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| content(e.to_string()))?;
    write(path, &bytes)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let fail = |source| CheckpointError::File {
        action: "read",
        path: path.into(),
        source,
        remedy: REMEDY,
    };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > limit {
        return Err(CheckpointError::Content {
            path: path.into(),
            what: format!("the file has {size} bytes; at most {limit} are read"),
            remedy: DAMAGED,
        });
    }
    std::fs::read(path).map_err(fail)
}

/// Write a file so that a reader sees the old one or the new one, never half of it.
///
/// # Errors
/// When the disk says no.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let fail = |source| CheckpointError::File {
        action: "write",
        path: path.into(),
        source,
        remedy: DISK,
    };
    let partial = path.with_extension("partial");
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        // Some file systems only now find out that they are full.
        file.sync_all()?;
        std::fs::rename(&partial, path)
    });
    written.map_err(|error| {
        // It would only take space. If it cannot be removed either, the first error is the one that matters.
        let _ = std::fs::remove_file(&partial);
        fail(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_trace::Stream;

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
            assert!(refused.contains("without scaling"), "{refused}");
        }
    }
}
