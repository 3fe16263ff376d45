//! The memories of the memory categories: tools with which a model keeps what it was told for later conversations.

mod embed;
mod kv;
mod summary;
mod vector;

pub use embed::{Embedder, Lexical};
pub(super) use kv::KeyValue;
pub(super) use summary::Summary;
pub(super) use vector::Vectors;

use super::raise::{Outcome, Raised};
use super::world::showable;
use hone_python::{DumpOptions, Value, dumps};

/// The most entries and characters of one, in core memory.
const CORE: (usize, i64) = (7, 300);

/// The same in archival memory.
const ARCHIVAL: (usize, i64) = (50, 2000);

/// `str(value)`
fn str_of(value: &Value) -> Outcome<String> {
    showable(value)?;
    Ok(value.to_string())
}

/// `json.dumps(value, indent=4)`
fn indented(value: &Value) -> String {
    let options = DumpOptions {
        indent: Some(4),
        ..DumpOptions::default()
    };
    dumps(value, &options).unwrap_or_default()
}

/// What a snapshot says of a part, which must be of the type that the class wrote.
fn part<'a>(snapshot: &'a Value, name: &str) -> Outcome<Option<&'a Value>> {
    match snapshot.as_dict() {
        Some(parts) if parts.is_empty() => Ok(None),
        Some(parts) => parts.get(name).map(Some).ok_or_else(|| Raised::key(&name.into())),
        None => Err(Raised::types("a snapshot must be an object")),
    }
}
