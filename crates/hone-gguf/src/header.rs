//! The header: metadata and the places of tensors.

use crate::blocks::Kind;
use std::collections::BTreeMap;
use std::io::Read;

/// Most bytes that a header may have.
const MAX_HEADER: u64 = 1 << 28;
/// Most values of metadata, and most tensors.
const MAX_ENTRIES: u64 = 1 << 16;
/// Most elements of all lists together.
const MAX_ELEMENTS: u64 = 1 << 22;
const MAX_DIMENSIONS: u32 = 4;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list, without lists in it.
    List(Vec<Value>),
}

impl Value {
    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(n) => Some(n),
            Self::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// Any number.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Unsigned(n) => Some(n as f64),
            Self::Signed(n) => Some(n as f64),
            Self::Float(x) => Some(x),
            _ => None,
        }
    }

    /// A text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A tensor's shape and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Shape, row-major: the last dimension is contiguous (files hold it the other way round).
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub kind: Kind,
    /// Where they begin in the file.
    pub offset: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|n| *n as u64).product()
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// Parse the header of a file of `len` bytes.
    pub(crate) fn parse(source: impl Read, len: u64) -> Result<Self, String> {
        let mut r = Reader {
            source,
            at: 0,
            end: len.min(MAX_HEADER),
            elements: 0,
        };
        if r.bytes::<4>()? != *b"GGUF" {
            return Err("it does not begin with `GGUF`".into());
        }
        let version = r.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!("it is of version {version}; versions 2 and 3 are read"));
        }
        let (tensors, values) = (r.u64()?, r.u64()?);
        if tensors > MAX_ENTRIES || values > MAX_ENTRIES {
            return Err(format!(
                "it has {tensors} tensors and {values} values of metadata; at most {MAX_ENTRIES} of each are read"
            ));
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..values {
            let key = r.text()?;
            let kind = r.u32()?;
            let value = r.value(kind).map_err(|what| format!("metadata {key:?}: {what}"))?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(format!("metadata {key:?} is there twice"));
            }
        }
        let mut places = BTreeMap::new();
        for _ in 0..tensors {
            let name = r.text()?;
            let info = r.tensor().map_err(|what| format!("tensor {name:?}: {what}"))?;
            if places.insert(name.clone(), info).is_some() {
                return Err(format!("tensor {name:?} is there twice"));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(value) => value
                .as_u64()
                .filter(|n| n.is_power_of_two() && *n <= 1 << 16)
                .ok_or("general.alignment is not a power of two up to 65536")?,
        };
        let data = r.at.next_multiple_of(alignment);
        let mut sum = 0u64;
        for (name, info) in &mut places {
            let (per_block, block_bytes) = info.kind.block();
            let bytes = info.elements() / per_block as u64 * block_bytes as u64;
            let end = data.checked_add(info.offset).and_then(|start| start.checked_add(bytes));
            if !info.offset.is_multiple_of(alignment) || end.is_none_or(|end| end > len) {
                return Err(format!(
                    "tensor {name:?} of {bytes} bytes at {} does not lie in the file of {len} bytes",
                    info.offset
                ));
            }
            info.offset += data;
            // Tensors that share bytes would make memory out of nothing.
            sum = sum.saturating_add(bytes);
        }
        if sum > len.saturating_sub(data) {
            return Err(format!(
                "its tensors have {sum} bytes, more than the file of {len} bytes holds: some of them overlap"
            ));
        }
        Ok(Self {
            metadata,
            tensors: places,
        })
    }
}

/// Reads little-endian values, and no further than `end`.
struct Reader<R> {
    source: R,
    at: u64,
    end: u64,
    elements: u64,
}

impl<R: Read> Reader<R> {
    fn take(&mut self, n: u64) -> Result<(), String> {
        let next = self.at.checked_add(n).filter(|next| *next <= self.end);
        self.at = next.ok_or_else(|| format!("the header ends at byte {} in the middle of something", self.at))?;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        let len = self.u64()?;
        // Before anything is allocated: so many bytes are still there.
        self.take(len)?;
        let mut bytes = vec![0; len as usize];
        self.source.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        String::from_utf8(bytes).map_err(|_| format!("a text before byte {} is not UTF-8", self.at))
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        if kind != 9 {
            return self.scalar(kind);
        }
        let (kind, len) = (self.u32()?, self.u64()?);
        self.elements = self.elements.saturating_add(len);
        // An element has a byte at least.
        if self.elements > MAX_ELEMENTS || len > self.end - self.at {
            return Err(format!("a list of {len} elements is too long"));
        }
        let elements: Result<Vec<Value>, String> = (0..len).map(|_| self.scalar(kind)).collect();
        elements.map(Value::List)
    }

    fn scalar(&mut self, kind: u32) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.bytes()?).into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => match self.bytes::<1>()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(format!("{other} is neither true nor false")),
            },
            8 => Value::Text(self.text()?),
            9 => return Err("a list within a list is not read".into()),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            other => return Err(format!("{other} is no type of a value")),
        })
    }

    fn tensor(&mut self) -> Result<TensorInfo, String> {
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(format!(
                "it has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are read"
            ));
        }
        let mut shape = Vec::new();
        let mut elements = 1u64;
        for _ in 0..dimensions {
            let n = self.u64()?;
            elements = elements
                .checked_mul(n)
                .filter(|all| (1..=1 << 40).contains(all))
                .ok_or_else(|| format!("a dimension of {n} makes it empty or larger than any file"))?;
            shape.push(n as usize);
        }
        let id = self.u32()?;
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.id() == id) else {
            let known = Kind::ALL.map(|kind| format!("{kind:?}")).join(", ");
            return Err(format!(
                "its numbers are stored as ggml type {id}; this version reads {known}"
            ));
        };
        if !shape[0].is_multiple_of(kind.block().0) {
            return Err(format!("rows of {} are not whole blocks of {kind:?}", shape[0]));
        }
        shape.reverse();
        let offset = self.u64()?;
        Ok(TensorInfo { shape, kind, offset })
    }
}

#[cfg(test)]
mod tests;
