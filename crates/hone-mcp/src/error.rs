//! What can go wrong with a server, and whose fault it is.

use hone_tool::ToolError;
use hone_trace::ToolErrorClass;

/// Bound on what of a server's own words goes into a message, in characters.
pub(crate) const SERVER_WORDS: usize = 500;

/// A failure on the way to a server, in it, or its refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error("server {server}: {why}")]
    Config {
        /// Its label.
        server: String,
        /// The field, what is wrong, how to mend it.
        why: String,
    },
    /// No connection came about.
    #[error("server {server} cannot be used: {why}")]
    Connect {
        /// Its label.
        server: String,
        /// What happened.
        why: String,
    },
    /// The connection broke.
    #[error("server {server} is lost: {why}")]
    Lost {
        /// Its label.
        server: String,
        /// What happened.
        why: String,
    },
    /// No answer in time; the call was cancelled.
    #[error("server {server} gave no answer within {ms} ms{hint}")]
    Timeout {
        /// Its label.
        server: String,
        /// The bound.
        ms: u64,
        /// What may explain it, or nothing.
        hint: String,
    },
    /// The server broke the protocol or its own word.
    #[error("server {server} does not keep to the protocol: {why}")]
    Protocol {
        /// Its label.
        server: String,
        /// What it did.
        why: String,
    },
    /// The server answered a request with an error.
    #[error("{message}")]
    Refused {
        /// JSON-RPC code.
        code: i32,
        /// Its own words, bounded and made printable.
        message: String,
    },
}

impl Error {
    /// Whose fault it is.
    ///
    /// An error that answers a call is the tool's word, whatever its code: many servers report a failed tool as JSON-RPC's
    /// "internal error", and a model can read it and do better. Only codes that say that the two sides do not understand
    /// each other (-32700, -32600, -32601) are infrastructure.
    pub fn class(&self) -> ToolErrorClass {
        match self {
            Self::Timeout { .. } => ToolErrorClass::Timeout,
            Self::Refused { code, .. } if !matches!(code, -32700 | -32600 | -32601) => ToolErrorClass::Tool,
            _ => ToolErrorClass::Infrastructure,
        }
    }
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        Self {
            class: error.class(),
            message: error.to_string(),
        }
    }
}
