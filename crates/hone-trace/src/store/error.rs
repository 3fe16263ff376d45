//! What can go wrong with a store, and how to mend it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

use crate::Flaw;

/// A failed operation on a store. `path` is its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is a file where a new store should be.
    #[error("{path:?} exists already. Choose another run directory, or resume the run that is there.")]
    Exists { path: PathBuf },
    /// There is no file.
    #[error("{path:?} does not exist. Check the path; a run's database is `run.db` in its directory.")]
    Missing { path: PathBuf },
    /// The file is not a store, for that reason.
    #[error("{path:?} is not a Hone run: {why}. Give the `run.db` of a run directory.")]
    Foreign { path: PathBuf, why: String },
    /// A newer program wrote the file.
    #[error("{path:?} has schema {found}, but this program knows only up to {known}. Update Hone to read it.")]
    Newer { path: PathBuf, found: i64, known: u32 },
    /// The file is damaged.
    #[error(
        "{path:?} is damaged or cut off ({what}). Restore it from a copy, or save what can be read with `sqlite3 {} .recover`.",
        path.display()
    )]
    Corrupt { path: PathBuf, what: String },
    /// An episode in the file is damaged.
    #[error(
        "Episode `{episode}` in {path:?} is damaged: {what}. Delete its phase and run that again, or restore a copy."
    )]
    Damaged {
        path: PathBuf,
        episode: String,
        what: String,
    },
    /// An episode that should be written is not whole.
    #[error("Episode `{episode}` is not a whole record: {flaw}. Mend what wrote it; nothing of its batch was stored.")]
    Invalid { episode: String, flaw: Flaw },
    /// There is no such episode.
    #[error("{path:?} has no episode `{episode}`. List the ones that it has with `hone trace ls`.")]
    NoEpisode { path: PathBuf, episode: String },
    /// The disk is full.
    #[error("The disk of {path:?} is full; the last batch was not stored. Free some space, then resume the run.")]
    Full { path: PathBuf },
    /// Another process holds the file.
    #[error("Another process is writing {path:?}. Wait for it to end, or stop it, and try again.")]
    Locked { path: PathBuf },
    /// The file may only be read.
    #[error("{path:?} may only be read. Give write permission to the file and its directory, or work on a copy.")]
    ReadOnly { path: PathBuf },
    /// The file cannot be reached.
    #[error("{path:?} cannot be opened ({what}). Check that its directory exists and may be read and written.")]
    Unreachable { path: PathBuf, what: String },
    /// Anything else that the database says.
    #[error("The database {path:?} failed. Check its disk; the run can be resumed from its last batch.")]
    Sql {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Sorts a database error by what the user can do about it.
    pub(super) fn sql(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let what = source.to_string();
        // The shared memory beside the file lies on the same disk; the code for "it cannot grow" is one of I/O errors.
        let cramped = source.sqlite_error().map(|e| e.extended_code) == Some(SQLITE_IOERR_SHMSIZE);
        match source.sqlite_error_code() {
            _ if cramped => Self::Full { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::Unreachable { path, what },
            Some(ErrorCode::NotADatabase) => Self::Foreign {
                path,
                why: "it is not an SQLite file".into(),
            },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, what },
            // A column of another type than was written, text that is not UTF-8, a table that is not there.
            Some(ErrorCode::Unknown) | None => Self::Corrupt { path, what },
            Some(_) => Self::Sql { path, source },
        }
    }
}
