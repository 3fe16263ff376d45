//! What a Python tool would have raised.
//!
//! A tool's error text is part of the benchmark: the agent reads it and a replay compares it. So the ported tools raise
//! the very text that `str(exception)` has in the reference, type errors of the interpreter and validation errors of
//! pydantic included (Python 3.12, pydantic 2.14).

use crate::py::{Value, type_name};

/// An exception: its text is `str(exception)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Raised(pub String);

/// Shorthand for a tool's result.
pub type Outcome<T> = Result<T, Raised>;

/// An exception with that text.
pub fn raise<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Raised(text.into()))
}

/// `TypeError: unhashable type`, unless the value can be a key.
pub fn hashable(value: &Value) -> Outcome<()> {
    match type_name(value) {
        name @ ("list" | "dict" | "set") => raise(format!("unhashable type: '{name}'")),
        _ => Ok(()),
    }
}

/// `AttributeError`, as of an object of this value's type.
pub fn no_attribute<T>(value: &Value, attribute: &str) -> Outcome<T> {
    raise(format!("'{}' object has no attribute '{attribute}'", type_name(value)))
}
