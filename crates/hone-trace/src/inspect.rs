//! Inspect's eval logs (schema version 2), written and read: `.eval`, a ZIP of JSON files, and `.json`.
//!
//! * Writing: a sample is an episode, its id the task and its epoch the sample. The conversation stands once in the pool
//!   of messages that model events refer to, so a log grows with the conversation and not with its square. What Inspect has
//!   no place for (tokens, log-probabilities, versions) lies in the `metadata` of samples and events under `hone`; a log of
//!   ours so comes back as it was.
//! * Reading: any log of schema 2, stored, deflated or with Zstandard, pools and attachments included. A log is untrusted:
//!   every entry and the sum of all are bounded, and what does not fit the schema is an error that names the entry.
//!
//! The format is documented by its reader, the package `inspect_ai`; `tests/parity/inspect_log.py` holds ours to it.

mod archive;
mod import;
mod schema;
mod time;
mod write;

pub use archive::MAX_ENTRY;
pub use import::import_inspect;
pub use write::{InspectRun, export_inspect};

use crate::{ExchangeError, Flaw};

/// The version of the log schema that is written, and the newest that is read.
const VERSION: u64 = 2;

/// Under this name our own data lies in `metadata`.
const OURS: &str = "hone";

/// A failed export or import of a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The file is neither a ZIP nor JSON, or one of its entries is broken.
    #[error("{place}: {what}. Check that the file is whole and is an eval log of Inspect (.eval or .json).")]
    Broken {
        /// Entry of the archive, or the file.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// An entry, or the log as a whole, is larger than allowed.
    #[error(
        "{place} is larger than {limit} bytes unpacked. If the log can be trusted, cut it into smaller ones with Inspect."
    )]
    TooLarge {
        /// Entry of the archive, or the file.
        place: String,
        /// Bytes.
        limit: u64,
    },
    /// A newer program wrote it.
    #[error("The log has schema {found}, but this program knows only up to {VERSION}. Update Hone to read it.")]
    Newer {
        /// Its version.
        found: u64,
    },
    /// A sample became no whole episode.
    #[error(
        "Sample `{sample}`: {flaw}. The log was changed after Hone wrote it; take Hone's data out of its metadata."
    )]
    Sample {
        /// The sample's id.
        sample: String,
        /// What is wrong.
        flaw: Flaw,
    },
    /// As for JSON Lines.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl From<std::io::Error> for InspectError {
    fn from(error: std::io::Error) -> Self {
        Self::Exchange(error.into())
    }
}

impl From<crate::StoreError> for InspectError {
    fn from(error: crate::StoreError) -> Self {
        Self::Exchange(error.into())
    }
}
