//! Bounds on what a server may send.

use serde::{Deserialize, Serialize};

/// More entries than this in any list of an answer are refused while reading, before they take memory.
pub(crate) const MAX_ENTRIES: usize = 4096;

/// Bounds on an answer. What exceeds one is [`crate::Broken::TooLarge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a body, streamed or whole.
    pub body_bytes: usize,
    /// Bytes of one line, and of one event, of a stream.
    pub event_bytes: usize,
    /// Tool calls in one answer (at most 4,096).
    pub tool_calls: usize,
    /// Bytes of one call's arguments.
    pub argument_bytes: usize,
    /// Bytes of the body that [`crate::Answer::raw`] keeps.
    pub raw_bytes: usize,
}

impl Default for Limits {
    /// 32 MiB of body, 8 MiB of event, 128 calls with 1 MiB of arguments each, 64 KiB kept raw.
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            event_bytes: 8 << 20,
            tool_calls: 128,
            argument_bytes: 1 << 20,
            raw_bytes: 64 << 10,
        }
    }
}
