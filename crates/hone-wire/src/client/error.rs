//! Why there is no answer, and whose fault it is.

use crate::{Broken, Unsayable};
use std::fmt;
use std::time::Duration;

/// An endpoint that cannot be used as it is set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Its base URL.
    #[error("base URL `{url}`: {why}")]
    Url {
        /// The URL without what could be a password.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// No key.
    #[error(
        "there is no API key in the environment variable `{variable}`; set it, for example with `export {variable}=…`"
    )]
    NoKey {
        /// The variable.
        variable: String,
    },
    /// A key that cannot be sent.
    #[error("the environment variable `{variable}` holds characters that no API key has; set it to the key alone")]
    BadKey {
        /// The variable.
        variable: String,
    },
    /// A header.
    #[error("header `{name}`: {why}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A number out of range.
    #[error("`{field}`: {why}")]
    Number {
        /// The field.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// No certificates.
    #[error(
        "no certificates to check servers with ({0}); install the system's `ca-certificates` or name a file in SSL_CERT_FILE"
    )]
    NoCertificates(String),
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// No connection.
    Connect,
    /// Connected, but no first byte.
    FirstByte,
    /// The answer began and then stalled.
    Idle,
    /// The whole took too long.
    Total,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "a connection",
            Self::FirstByte => "the first byte of an answer",
            Self::Idle => "the next piece of an answer",
            Self::Total => "the whole of an answer",
        })
    }
}

/// Why there is no answer. Server's words inside are bounded, inert, and without the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request cannot be put into the dialect: the caller has to change it.
    #[error("the request to {url} was not sent: {what}")]
    Unsayable {
        /// Where it would have gone.
        url: String,
        /// What cannot be said.
        what: Unsayable,
    },
    /// The server will not answer until the user mends something.
    #[error("{url} refuses (status {status}): {message}; {remedy}")]
    Refused {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's message.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Too much was asked.
    #[error("{url} limits the rate (status {status}): {message}; ask less at once (`pace`) or later")]
    RateLimited {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's message.
        message: String,
        /// For how long, if it said so.
        retry_after: Option<Duration>,
    },
    /// The server cannot answer now.
    #[error("{url} cannot answer now (status {status}): {message}; try again later")]
    Overloaded {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's message.
        message: String,
        /// For how long, if it said so.
        retry_after: Option<Duration>,
    },
    /// A deadline passed.
    #[error("{url} did not give {which} within {} s; see whether the server works, or raise `deadlines`", .after.as_secs_f64())]
    Timeout {
        /// Where.
        url: String,
        /// Which one.
        which: Deadline,
        /// How long it is.
        after: Duration,
    },
    /// The answer cannot be read.
    #[error("the answer of {url} is broken: {what}")]
    Broken {
        /// From where.
        url: String,
        /// What is wrong with it.
        what: Broken,
    },
    /// No connection, or none that lasted until an answer.
    #[error("{url} cannot be reached: {what}; see whether the server runs and the URL is right")]
    Unreachable {
        /// Where.
        url: String,
        /// The network's words.
        what: String,
    },
}

impl Error {
    /// Name of its class, for counting.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unsayable { .. } => "unsayable",
            Self::Refused { .. } => "refused",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// Whether the server refuses because the conversation, or with it the answer, is longer than the model's context.
    /// Servers have no status for it of their own, so their words decide.
    pub fn is_too_long(&self) -> bool {
        const WORDS: [&str; 10] = [
            "context length",
            "context_length",
            "context window",
            "context size",
            "maximum context",
            "model length",
            "prompt is too long",
            "prompt too long",
            "input is too long",
            "too many tokens",
        ];
        match self {
            Self::Refused { status: 413, .. } => true,
            Self::Refused {
                status: 400 | 422,
                message,
                ..
            } => {
                let message = message.to_lowercase();
                WORDS.iter().any(|words| message.contains(words))
            }
            _ => false,
        }
    }

    /// Whether the same request may fare better later: everything that is neither the user's to mend nor a body that
    /// makes no sense.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unsayable { .. } | Self::Refused { .. } => false,
            Self::RateLimited { .. } | Self::Unreachable { .. } => true,
            Self::Overloaded { status, .. } => super::retry::is_retried(*status),
            Self::Timeout { which, .. } => *which != Deadline::Total,
            Self::Broken { what, .. } => matches!(what, Broken::Cut(_)),
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// An attempt that failed and was followed by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Why it failed.
    pub error: Error,
    /// How long it took.
    pub took: Duration,
    /// The pause after it.
    pub pause: Duration,
}

/// No answer after all attempts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}{}", Tries(.attempts.len()))]
pub struct Failure {
    /// Why the last attempt failed.
    pub error: Error,
    /// The attempts before.
    pub attempts: Vec<Attempt>,
}

struct Tries(usize);

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " (attempt {} was the last)", n + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_that_is_too_long_is_known_by_the_servers_words() {
        let refused = |status, message: &str| Error::Refused {
            url: String::new(),
            status,
            message: message.into(),
            remedy: "",
        };
        // OpenAI and vLLM, Anthropic, llama.cpp, SGLang.
        for message in [
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 10234 tokens.",
            "prompt is too long: 208310 tokens > 200000 maximum",
            "the request exceeds the available context size (4096 tokens), try increasing it",
            "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        ] {
            assert!(refused(400, message).is_too_long(), "{message}");
            assert!(!refused(401, message).is_too_long(), "{message}");
        }
        assert!(refused(413, "").is_too_long());
        for message in ["Unsupported value: 'temperature'", "the model `m` does not exist", ""] {
            assert!(!refused(400, message).is_too_long(), "{message}");
        }
    }
}
