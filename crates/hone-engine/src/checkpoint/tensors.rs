//! Tensors out of safetensors files into one flat vector, and back.

use super::{CheckpointError, DISK, MAX_CONFIG_BYTES, content, read, size, write};
use crate::config::Tensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const MAX_SHARDS: usize = 1024;

/// The files that hold a directory's weights: one, or the shards of its index.
///
/// # Errors
/// When the index is broken or names a file outside the directory.
pub(super) fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let (single, index) = (dir.join(SINGLE), dir.join(INDEX));
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    let bytes = read(&index, 64 * MAX_CONFIG_BYTES)?;
    let map: Index = serde_json::from_slice(&bytes).map_err(|e| content(&index, e.to_string()))?;
    let names: BTreeSet<String> = map.weight_map.into_values().collect();
    if names.is_empty() || names.len() > MAX_SHARDS {
        let what = format!("weight_map names {} files; 1 to {MAX_SHARDS} are read", names.len());
        return Err(content(&index, what));
    }
    for name in &names {
        let plain = Path::new(name).file_name().is_some_and(|last| last == name.as_str());
        if !plain || !name.ends_with(".safetensors") {
            let what = format!("weight_map names {name:?}, which is not the plain name of a safetensors file");
            return Err(content(&index, what));
        }
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// A flat vector that is filled tensor by tensor.
pub(super) struct Target<'a> {
    prefix: &'a str,
    places: HashMap<&'a str, &'a Tensor>,
    flat: Vec<f32>,
}

impl<'a> Target<'a> {
    /// Room for `tensors`, named with `prefix` in these files.
    ///
    /// # Errors
    /// When the files are too small to hold them.
    pub(super) fn new(
        files: &[PathBuf],
        prefix: &'a str,
        tensors: &'a [Tensor],
        len: usize,
    ) -> Result<Self, CheckpointError> {
        let mut bytes = 0;
        for file in files {
            bytes += size(file)?;
        }
        // Files on the disk, at two bytes a number or more: so the allocation is bounded by them.
        if let Some(file) = files.first()
            && (len as u64).saturating_mul(2) > bytes
        {
            let what = format!("the weights have {bytes} bytes, too few for {len} parameters");
            return Err(content(file, what));
        }
        Ok(Self {
            prefix,
            places: tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            flat: vec![0.0; len],
        })
    }

    /// Take one file's tensors.
    ///
    /// # Errors
    /// When the file is broken, a tensor has another shape or an unknown type, or has no place and may not be left out.
    pub(super) fn fill(
        &mut self,
        path: &Path,
        bytes: &[u8],
        may_leave_out: impl Fn(&str) -> bool,
    ) -> Result<(), CheckpointError> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| content(path, e.to_string()))?;
        for (name, view) in file.iter() {
            let Some(tensor) = name.strip_prefix(self.prefix).and_then(|name| self.places.remove(name)) else {
                if may_leave_out(name) {
                    continue;
                }
                let what = format!("tensor {name} has no place in the model that config.json describes");
                return Err(content(path, what));
            };
            if view.shape() != tensor.shape {
                let (have, want) = (view.shape(), &tensor.shape);
                let what = format!("tensor {name} has shape {have:?}, and config.json asks for {want:?}");
                return Err(content(path, what));
            }
            let slot = &mut self.flat[tensor.range.clone()];
            numbers(&view, slot).map_err(|what| content(path, format!("tensor {name} {what}")))?;
        }
        Ok(())
    }

    /// The vector, when all is there.
    ///
    /// # Errors
    /// When a tensor is missing.
    pub(super) fn finish(self, path: &Path) -> Result<Vec<f32>, CheckpointError> {
        match self.places.keys().min() {
            None => Ok(self.flat),
            Some(name) => Err(content(path, format!("tensor {}{name} is missing", self.prefix))),
        }
    }
}

/// A tensor's numbers as f32.
fn numbers(view: &TensorView<'_>, slot: &mut [f32]) -> Result<(), String> {
    let halves = view.data().chunks_exact(2).map(|b| [b[0], b[1]]);
    match view.dtype() {
        Dtype::F32 => {
            for (x, b) in slot.iter_mut().zip(view.data().chunks_exact(4)) {
                *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
        Dtype::BF16 => slot
            .iter_mut()
            .zip(halves)
            .for_each(|(x, b)| *x = half::bf16::from_le_bytes(b).to_f32()),
        Dtype::F16 => slot
            .iter_mut()
            .zip(halves)
            .for_each(|(x, b)| *x = half::f16::from_le_bytes(b).to_f32()),
        other => return Err(format!("is stored as {other:?}; this version reads F32, F16 and BF16")),
    }
    match slot.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(format!("holds a number that is not finite at {at}")),
        None => Ok(()),
    }
}

pub(super) type Raw = (String, Vec<usize>, Vec<u8>, Dtype);

pub(super) fn pack(prefix: &str, tensors: &[Tensor], flat: &[f32]) -> Vec<Raw> {
    tensors
        .iter()
        .map(|t| {
            let bytes = flat[t.range.clone()].iter().flat_map(|x| x.to_le_bytes()).collect();
            (format!("{prefix}{}", t.name), t.shape.clone(), bytes, Dtype::F32)
        })
        .collect()
}

pub(super) fn write_tensors(path: &Path, tensors: &[Raw]) -> Result<(), CheckpointError> {
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
