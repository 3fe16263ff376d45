//! Checkpoints in Hugging Face layout: `config.json`, and the weights in `model.safetensors` or in shards that
//! `model.safetensors.index.json` names; `transformers` reads what is written here. Adapters in PEFT's layout. And GGUF files, to be read.

mod adapter;
mod config_json;
mod gguf;
mod tensors;

pub use gguf::load_gguf;

use crate::learn::OptimizerState;
use crate::weights::{Weights, WeightsError};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tensors::{Target, pack, weight_files, write_tensors};

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
    /// A GGUF file is not what it should be.
    #[error(transparent)]
    Gguf(#[from] hone_gguf::GgufError),
}

const REMEDY: &str = "give a directory that holds config.json, model.safetensors (or its shards) and tokenizer.json";
const DAMAGED: &str = "the file is damaged or belongs to another model: copy or make it again";
const DISK: &str = "check that the directory may be written and that the disk is not full";
const MAX_CONFIG_BYTES: u64 = 1 << 20;
const MAX_WEIGHT_BYTES: u64 = 1 << 36;

fn content(path: &Path, what: impl Into<String>) -> CheckpointError {
    CheckpointError::Content {
        path: path.into(),
        what: what.into(),
        remedy: DAMAGED,
    }
}

/// Read a model's weights from a directory. They may be stored as F32, F16 or BF16, and become f32.
///
/// # Errors
/// Names the file, what is wrong with it, and what to do.
pub fn load(dir: &Path) -> Result<Weights, CheckpointError> {
    let path = dir.join("config.json");
    let bytes = read(&path, MAX_CONFIG_BYTES)?;
    let raw: Value = serde_json::from_slice(&bytes).map_err(|e| content(&path, e.to_string()))?;
    let config = config_json::read(&raw).map_err(|e| content(&path, e))?;
    config.validate().map_err(|e| content(&path, e.to_string()))?;
    let layout = config.layout();
    let files = weight_files(dir)?;
    let mut target = Target::new(&files, "", &layout.tensors, layout.len)?;
    for path in &files {
        let bytes = read(path, MAX_WEIGHT_BYTES)?;
        let tied = config.tie_word_embeddings;
        target.fill(path, &bytes, |name| {
            // A tied output layer that some programs write a second time, and tables of rotary frequencies.
            (tied && name == "lm_head.weight") || name.ends_with(".rotary_emb.inv_freq")
        })?;
    }
    let place = files.first().map_or(dir, PathBuf::as_path);
    let params = target.finish(place)?;
    Weights::new(config, params).map_err(|e: WeightsError| content(place, e.to_string()))
}

/// Read a model's weights from a directory or a GGUF file.
///
/// # Errors
/// As [`load`] and [`load_gguf`].
pub fn open(path: &Path) -> Result<Weights, CheckpointError> {
    if path.is_file() {
        return load_gguf(&hone_gguf::Gguf::open(path)?);
    }
    load(path)
}

/// Read what [`save`] wrote of a model that was made of `base`: its own weights, or an adapter of `base`.
///
/// # Errors
/// As [`load`].
pub fn load_on(dir: &Path, base: &Weights) -> Result<Weights, CheckpointError> {
    match adapter::is_in(dir) {
        true => adapter::load(dir, base),
        false => load(dir),
    }
}

/// Write a model's weights to a directory, which is made if it is missing; of a model with an adapter the adapter alone.
/// Each file is replaced as a whole.
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
    if let Some(adapter) = weights.adapter() {
        return adapter::save(dir, adapter);
    }
    let config = config_json::write(&weights.config);
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
    let tensors = weights.trained_tensors();
    let mut views = pack("first.", tensors, &state.first);
    views.extend(pack("second.", tensors, &state.second));
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
    let (tensors, len) = (weights.trained_tensors(), weights.trained().len());
    let steps = SafeTensors::deserialize(&bytes)
        .and_then(|f| f.tensor("steps").map(|t| t.data().to_vec()))
        .map_err(|e| content(&path, e.to_string()))?;
    let steps = steps
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| content(&path, "tensor steps is not one number"))?;
    // Both moments and the number of steps lie in one file.
    let moments = |prefix: &str| {
        let mut target = Target::new(std::slice::from_ref(&path), prefix, tensors, len)?;
        target.fill(&path, &bytes, |_| true)?;
        target.finish(&path)
    };
    Ok(OptimizerState {
        first: moments("first.")?,
        second: moments("second.")?,
        steps,
    })
}

fn size(path: &Path) -> Result<u64, CheckpointError> {
    let size = std::fs::metadata(path).map(|data| data.len());
    size.map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::File {
        action: "read",
        path: path.into(),
        source,
        remedy: REMEDY,
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let size = size(path)?;
    if size > limit {
        let what = format!("the file has {size} bytes; at most {limit} are read");
        return Err(content(path, what));
    }
    std::fs::read(path).map_err(|source| unreadable(path, source))
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
mod tests;
