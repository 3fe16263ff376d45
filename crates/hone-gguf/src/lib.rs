//! GGUF files (llama.cpp's format of models): metadata, and tensors as f32.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian; blocks of quantised
//! numbers as `ggml-quants.c` defines them.
//!
//! Invariants:
//! * A file is untrusted. Nothing is allocated that its length and the limits here do not cover; every offset is checked
//!   before it is read. What is wrong is an error with the place in the file, never a panic.
//! * Only the header is read when a file is opened; a tensor when it is asked for.
//!
//! Deliberately not here: what metadata and tensors mean (`hone-engine` for the model, `hone-model` for its tokenizer).

mod blocks;
mod header;

pub use blocks::Kind;
pub use header::{TensorInfo, Value};

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// It is missing or unreadable.
    #[error("{path} cannot be read: {source}; give a GGUF file")]
    Io {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {what}; the file is damaged, or of a kind that this version does not read")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// An open file: its metadata and the places of its tensors.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    header: header::Header,
}

impl Gguf {
    /// Read a file's header.
    ///
    /// # Errors
    /// When it cannot be read, or is not a well-formed GGUF file whose tensors lie within it.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let io = |source| GgufError::Io {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let header = header::Header::parse(BufReader::new(file), len).map_err(|what| GgufError::Content {
            path: path.into(),
            what,
        })?;
        Ok(Self {
            path: path.into(),
            header,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about this file.
    pub fn error(&self, what: impl Into<String>) -> GgufError {
        GgufError::Content {
            path: self.path.clone(),
            what: what.into(),
        }
    }

    /// All metadata.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.header.metadata
    }

    /// A value of the metadata.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.header.metadata.get(key)
    }

    /// A whole number of the metadata, if it is there.
    ///
    /// # Errors
    /// When it is something else.
    pub fn whole(&self, key: &str) -> Result<Option<usize>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let n = value.as_u64().and_then(|n| usize::try_from(n).ok());
        n.map(Some)
            .ok_or_else(|| self.error(format!("{key} is not a whole number")))
    }

    /// A number of the metadata, if it is there.
    ///
    /// # Errors
    /// When it is something else.
    pub fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .as_f64()
            .map(Some)
            .ok_or_else(|| self.error(format!("{key} is not a number")))
    }

    /// A text of the metadata, if it is there.
    ///
    /// # Errors
    /// When it is something else.
    pub fn text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(format!("{key} is not a text"))),
        }
    }

    /// A list of the metadata; empty if it is not there.
    ///
    /// # Errors
    /// When it is something else.
    pub fn list(&self, key: &str) -> Result<&[Value], GgufError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::List(values)) => Ok(values),
            Some(_) => Err(self.error(format!("{key} is not a list"))),
        }
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.header.tensors
    }

    /// A tensor's bytes, as they are stored.
    ///
    /// # Errors
    /// When there is no such tensor, or it cannot be read.
    pub fn stored(&self, name: &str) -> Result<Vec<u8>, GgufError> {
        let info = self
            .tensors()
            .get(name)
            .ok_or_else(|| self.error(format!("tensor {name} is missing")))?;
        let (per_block, block_bytes) = info.kind.block();
        // The header was checked: the tensor lies in the file.
        let mut bytes = vec![0; info.elements() as usize / per_block * block_bytes];
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(info.offset))?;
            file.read_exact(&mut bytes)
        });
        read.map(|()| bytes).map_err(|source| GgufError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// A tensor's numbers, row by row, into `out`, which must have its length.
    ///
    /// # Errors
    /// When there is no such tensor, it has another number of elements, cannot be read, or holds a number that is not finite.
    pub fn read(&self, name: &str, out: &mut [f32]) -> Result<(), GgufError> {
        let info = self
            .tensors()
            .get(name)
            .ok_or_else(|| self.error(format!("tensor {name} is missing")))?;
        if info.elements() != out.len() as u64 {
            let what = format!("tensor {name} has {} elements, not {}", info.elements(), out.len());
            return Err(self.error(what));
        }
        let io = |source| GgufError::Io {
            path: self.path.clone(),
            source,
        };
        let mut file = File::open(&self.path).map_err(io)?;
        file.seek(SeekFrom::Start(info.offset)).map_err(io)?;
        // In pieces, so that the quantised form of a large tensor is never in memory as a whole.
        let (per_block, block_bytes) = info.kind.block();
        let blocks = (1 << 20) / block_bytes;
        let mut bytes = vec![0; blocks * block_bytes];
        for piece in out.chunks_mut(blocks * per_block) {
            let bytes = &mut bytes[..piece.len() / per_block * block_bytes];
            file.read_exact(bytes).map_err(io)?;
            info.kind.dequantise(bytes, piece);
        }
        match out.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(self.error(format!("tensor {name} holds a number that is not finite at {at}"))),
            None => Ok(()),
        }
    }
}
