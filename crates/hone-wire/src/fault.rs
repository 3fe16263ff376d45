//! What can be wrong with an answer.

use crate::shown::{SERVER_WORDS, shown};

/// An answer that cannot be read. Texts from the server inside are bounded and inert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not JSON at all.
    #[error("it is not JSON ({why}); it begins with `{begins}`")]
    NotJson {
        /// What the parser says.
        why: String,
        /// The first characters.
        begins: String,
    },
    /// JSON with a field that is missing or of a wrong type.
    #[error("its field `{field}` is wrong: {why}")]
    Field {
        /// Path, such as `choices[0].message.tool_calls[1].function.name`.
        field: String,
        /// What is wrong.
        why: String,
    },
    /// Bytes that are not UTF-8.
    #[error("it is not valid UTF-8 at byte {at}")]
    InvalidUtf8 {
        /// Offset in the body.
        at: u64,
    },
    /// More than a bound allows.
    #[error("{what} exceeds the limit of {limit} {unit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// Its unit.
        unit: &'static str,
    },
    /// It ended before its end.
    #[error("it was cut off: {0}")]
    Cut(String),
    /// Parts in an order that the protocol rules out, or not HTTP.
    #[error("it does not follow the protocol: {0}")]
    Protocol(String),
}

impl Broken {
    pub(crate) fn missing(field: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            why: "it is missing".into(),
        }
    }
}

/// An error that the server reports in the protocol's own form: in an error body, or in the middle of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// HTTP status, or the one that the server's kind of error stands for; `None` if neither is known.
    pub status: Option<u16>,
    /// The server's own name for it, such as `overloaded_error`; may be empty.
    pub kind: String,
    /// What it says: bounded and inert.
    pub message: String,
}

impl ServerError {
    pub(crate) fn new(status: Option<u16>, kind: &str, message: &str) -> Self {
        Self {
            status,
            kind: shown(kind, 80),
            message: shown(message.trim(), SERVER_WORDS),
        }
    }
}

/// Why a body or a stream gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("the answer is broken: {0}")]
    Broken(#[from] Broken),
    /// It is an error of the server's.
    #[error("the server reports an error: {} ({})", .0.message, .0.kind)]
    Server(ServerError),
}

/// A request that a dialect has no words for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` cannot be said: {why}")]
pub struct Unsayable {
    /// Which part of the request.
    pub field: String,
    /// Why, and what to do.
    pub why: String,
}

impl Unsayable {
    pub(crate) fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }
}
