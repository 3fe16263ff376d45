//! Anthropic's Messages, as Anthropic and the servers that imitate it speak it.
//!
//! Source: <https://platform.claude.com/docs/en/api/messages>, its pages on streaming and on versions.

mod answer;
mod request;
mod stream;

pub(crate) use answer::answer;
pub(crate) use request::body;
pub(crate) use stream::Assembler;

use serde::{Deserialize, Serialize};

/// The last version of the API in which requests have sampling settings, for the models that still have them.
pub(crate) const LAST_WITH_SAMPLING: &str = "2023-06-01";

/// Where servers of this dialect differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anthropic {
    /// The `anthropic-version` header: a date. From `2026-10-21` on, the API refuses temperature and top-p, and so do
    /// we; with `2023-06-01`, older models take them.
    pub version: String,
}

impl Default for Anthropic {
    fn default() -> Self {
        Self {
            version: "2026-10-21".into(),
        }
    }
}
