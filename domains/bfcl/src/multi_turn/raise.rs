//! Exceptions of the tools.

use hone_python::Value;

/// Kind of an exception: what a tool catches depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `TypeError`
    Type,
    /// `ValueError`
    Value,
    /// `KeyError`
    Key,
    /// `IndexError`
    Index,
    /// `AttributeError`
    Attribute,
    /// `NameError`
    Name,
    /// `SyntaxError`
    Syntax,
    /// `ZeroDivisionError`
    ZeroDivision,
    /// `OverflowError`
    Overflow,
    /// `RecursionError`
    Recursion,
    /// `decimal.InvalidOperation`
    InvalidOperation,
    /// No exception: what finds the texts of a vector memory is lost.
    Embedder,
    /// The original's own refusal of a call, or something that is not evaluated here.
    Refused,
}

/// A raised exception: its kind and `str(e)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Raised {
    /// Its kind.
    pub kind: Kind,
    /// Its text.
    pub message: String,
}

pub(super) type Outcome<T = Value> = Result<T, Raised>;

impl Raised {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(super) fn types(message: impl Into<String>) -> Self {
        Self::new(Kind::Type, message)
    }

    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::new(Kind::Value, message)
    }

    pub(super) fn key(key: &Value) -> Self {
        Self::new(Kind::Key, key.repr())
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    pub(super) fn attribute(value: &Value, name: &str) -> Self {
        let message = format!("'{}' object has no attribute '{name}'", value.type_name());
        Self::new(Kind::Attribute, message)
    }

    pub(super) fn recursion() -> Self {
        Self::new(Kind::Recursion, "maximum recursion depth exceeded")
    }
}

impl From<hone_python::Unhashable> for Raised {
    fn from(error: hone_python::Unhashable) -> Self {
        Self::types(error.to_string())
    }
}
