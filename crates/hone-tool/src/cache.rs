//! Results of tool calls, kept in a folder that runs share.
//!
//! One SQLite file, by the content of the call: tool, version, canonical arguments and the state that it acted on.
//! * Any number of processes read and write it at once; a killed one leaves no half of an entry (WAL, transactions).
//! * Secrets are taken out of arguments and results before the key is made and before anything is written.
//! * Bounded: beyond its size, the entries go that were not used for the longest time.
//! * What failed for other reasons than the call itself (deadlines, crashes, connections) is never kept.

mod key;
mod shared;

pub(crate) use key::Key;
pub use key::{Difference, difference};
pub(crate) use shared::Shared;
pub use shared::{ToolMode, settle};

use crate::ToolOutput;
use crate::dispatch::Answer;
use hone_trace::{Media, Secrets, ToolErrorClass, ToolFailure};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::OnceCell;

/// The file in the folder.
const FILE: &str = "calls.db";
/// Marks the file as ours: `HnTc` in ASCII.
const APPLICATION_ID: i64 = 0x486e_5463;
/// Version of the tables and of what an entry's key is made of.
const VERSION: i64 = 1;
/// How long to wait for another process's transaction.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds after which a use is written down again.
const USED_AGAIN: u64 = 3600;
/// Entries of a tool that a miss is compared with: the latest.
const COMPARED: u32 = 200;
/// Entries that go at a time.
const EVICTED: u32 = 16;

const TABLES: &str = "
CREATE TABLE calls (key TEXT PRIMARY KEY NOT NULL, tool TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL,
    arguments TEXT NOT NULL, answer TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE INDEX calls_tool ON calls (tool, used);
CREATE INDEX calls_used ON calls (used);
CREATE TABLE size (bytes INTEGER NOT NULL);
INSERT INTO size VALUES (0);";

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be made.
    #[error("the folder {} of the tool cache cannot be made ({source}); choose another", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not ours.
    #[error("{} is no tool cache of this version; choose another folder, or remove the file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("the tool cache {} cannot be used: {source}; check its folder and the space on its disk", path.display())]
    Sql {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// What was kept of a call.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Data, text, media and whether the episode is over; or the tool's own refusal.
    result: Result<KeptOutput, ToolFailure>,
    state_before: Option<String>,
    state_after: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KeptOutput {
    data: Value,
    text: String,
    #[serde(default)]
    media: Vec<Media>,
    #[serde(default)]
    terminal: bool,
}

/// How often a cache was asked and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Calls that were answered from it.
    pub hits: u64,
    /// Calls that it did not hold.
    pub misses: u64,
    /// Results that were written.
    pub written: u64,
    /// Results that could not be written.
    pub failed: u64,
    /// Calls that took the result of an identical one under way.
    pub coalesced: u64,
}

/// Results of tool calls by their content. Shared between the episodes of a run, and through its file between runs.
pub struct ToolCache {
    path: PathBuf,
    connection: Mutex<Connection>,
    secrets: Secrets,
    max_bytes: u64,
    flying: Mutex<HashMap<String, Weak<OnceCell<Answer>>>>,
    counts: [AtomicU64; 5],
}

impl std::fmt::Debug for ToolCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolCache")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ToolCache {
    /// Its size where nothing else is said, in bytes.
    pub const DEFAULT_BYTES: u64 = 1 << 30;

    /// Open the cache in this folder, which is made if it is not there. It holds at most about `max_bytes` of calls and
    /// results; `secrets` are never written.
    ///
    /// # Errors
    /// When it cannot be opened, or the file is another's.
    pub fn open(folder: &Path, secrets: Secrets, max_bytes: u64) -> Result<Self, CacheError> {
        std::fs::create_dir_all(folder).map_err(|source| CacheError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let path = folder.join(FILE);
        let connection = prepare(&path).map_err(|source| CacheError::Sql {
            path: path.clone(),
            source,
        })?;
        let connection = connection.ok_or_else(|| CacheError::Foreign { path: path.clone() })?;
        Ok(Self {
            path,
            connection: Mutex::new(connection),
            secrets,
            max_bytes,
            flying: Mutex::default(),
            counts: Default::default(),
        })
    }

    /// What happened so far, through this handle.
    pub fn counts(&self) -> CacheCounts {
        let [hits, misses, written, failed, coalesced] = self.counts.each_ref().map(|n| n.load(Ordering::Relaxed));
        CacheCounts {
            hits,
            misses,
            written,
            failed,
            coalesced,
        }
    }

    fn count(&self, which: usize) {
        self.counts[which].fetch_add(1, Ordering::Relaxed);
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call by its content, without secrets.
    pub(crate) fn key(&self, tool: &str, version: &str, arguments: &Value, state: String) -> Key {
        let mut arguments = arguments.clone();
        self.secrets.hide(&mut arguments);
        Key::new(tool, version, arguments, state)
    }

    /// What is kept of that call. An entry that was damaged is none.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Answer>, CacheError> {
        let now = seconds();
        let act = || -> rusqlite::Result<Option<Answer>> {
            let connection = self.connection();
            let found: Option<(String, String, u64)> = connection
                .prepare_cached("SELECT answer, digest, used FROM calls WHERE key = ?1")?
                .query_row([&key.digest], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs()))
                })
                .optional()?;
            let Some((text, _, used)) = found.filter(|(text, digest, _)| sha(text) == *digest) else {
                return Ok(None);
            };
            if now.saturating_sub(used) > USED_AGAIN {
                connection
                    .prepare_cached("UPDATE calls SET used = ?2 WHERE key = ?1")?
                    .execute(params![key.digest, now as i64])?;
            }
            Ok(serde_json::from_str::<Kept>(&text).ok().map(Answer::from))
        };
        let found = act().map_err(|source| self.error(source))?;
        self.count(usize::from(found.is_none()));
        Ok(found)
    }

    /// Keep a result, if it is one that would be the same again. A cache that cannot be written costs no call its result: it
    /// is counted.
    pub(crate) fn keep(&self, key: &Key, answer: &Answer) {
        if !keepable(answer) {
            return;
        }
        match self.write(key, answer) {
            Ok(()) => self.count(2),
            Err(_) => self.count(3),
        }
    }

    fn write(&self, key: &Key, answer: &Answer) -> Result<(), String> {
        let mut tree = serde_json::to_value(Kept::from(answer.clone())).map_err(|error| error.to_string())?;
        self.secrets.hide(&mut tree);
        let (text, arguments) = (tree.to_string(), key.arguments.to_string());
        let bytes = (text.len() + arguments.len() + key.state.len() + key.tool.len() + 256) as u64;
        if bytes > self.max_bytes / 4 {
            return Err("it is too large".to_owned());
        }
        let act = || -> rusqlite::Result<()> {
            let mut connection = self.connection();
            let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            remove(&write, "key = ?1", &key.digest)?;
            write
                .prepare_cached("INSERT INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
                .execute(params![
                    key.digest,
                    key.tool,
                    key.version,
                    key.state,
                    arguments,
                    text,
                    sha(&text),
                    bytes as i64,
                    seconds() as i64
                ])?;
            write
                .prepare_cached("UPDATE size SET bytes = bytes + ?1")?
                .execute([bytes as i64])?;
            self.make_room(&write, &key.digest)?;
            write.commit()
        };
        act().map_err(|error| error.to_string())
    }

    /// Drop what was not used for the longest time, down to nine tenths of the bound.
    fn make_room(&self, write: &Transaction<'_>, newest: &str) -> rusqlite::Result<()> {
        let size = |write: &Transaction<'_>| write.query_row("SELECT bytes FROM size", [], |row| row.get::<_, i64>(0));
        if size(write)?.unsigned_abs() <= self.max_bytes {
            return Ok(());
        }
        let some = format!("key IN (SELECT key FROM calls WHERE key <> ?1 ORDER BY used, rowid LIMIT {EVICTED})");
        while size(write)?.unsigned_abs() > self.max_bytes / 10 * 9 {
            if remove(write, &some, newest)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// How the nearest kept call of the tool differs from this one, in a sentence.
    pub(crate) fn nearest(&self, key: &Key) -> String {
        let act = || -> rusqlite::Result<Vec<Key>> {
            let connection = self.connection();
            let mut latest = connection.prepare_cached(&format!(
                "SELECT version, state, arguments FROM calls WHERE tool = ?1 ORDER BY used DESC LIMIT {COMPARED}"
            ))?;
            let keys = latest.query_map([&key.tool], |row| {
                let arguments: String = row.get(2)?;
                let arguments = serde_json::from_str(&arguments).unwrap_or_default();
                Ok(Key::new(&key.tool, &row.get::<_, String>(0)?, arguments, row.get(1)?))
            })?;
            keys.collect()
        };
        match act() {
            Ok(kept) => key.compared_with(&kept),
            Err(error) => error.to_string(),
        }
    }

    /// The place where identical calls under way meet.
    pub(crate) fn flight(&self, key: &Key) -> Arc<OnceCell<Answer>> {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = flying.get(&key.digest).and_then(Weak::upgrade) {
            return cell;
        }
        flying.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(OnceCell::new());
        flying.insert(key.digest.clone(), Arc::downgrade(&cell));
        cell
    }

    pub(crate) fn coalesced(&self) {
        self.count(4);
    }

    fn error(&self, source: rusqlite::Error) -> CacheError {
        CacheError::Sql {
            path: self.path.clone(),
            source,
        }
    }
}

/// Remove entries and what they counted for; how many.
fn remove(write: &Transaction<'_>, condition: &str, key: &str) -> rusqlite::Result<usize> {
    write
        .prepare_cached(&format!(
            "UPDATE size SET bytes = bytes - (SELECT coalesce(sum(bytes), 0) FROM calls WHERE {condition})"
        ))?
        .execute([key])?;
    write
        .prepare_cached(&format!("DELETE FROM calls WHERE {condition}"))?
        .execute([key])
}

/// The file, made if it is not there; `None` if it is another's.
fn prepare(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(16);
    let number =
        |connection: &Connection, pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    // Of processes that open it at the same time, one makes the tables.
    let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (id, version) = (number(&write, "application_id")?, number(&write, "user_version")?);
    let tables: i64 = write.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (id, version, tables) {
        (APPLICATION_ID, VERSION, _) => {}
        (0, 0, 0) => {
            write.execute_batch(TABLES)?;
            write.pragma_update(None, "application_id", APPLICATION_ID)?;
            write.pragma_update(None, "user_version", VERSION)?;
        }
        _ => return Ok(None),
    }
    write.commit()?;
    write_ahead(&connection)?;
    // A lost machine may take the last entries with it, a killed process none.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(Some(connection))
}

/// Keep a log beside the file, so that readers and a writer do not wait for each other. While others open the file, the change
/// can fail at once, without the patience that all else has.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Whether the call would end the same way again.
fn keepable(answer: &Answer) -> bool {
    match &answer.result {
        Ok(_) => true,
        Err(failure) => failure.class == ToolErrorClass::Tool,
    }
}

impl From<Answer> for Kept {
    fn from(answer: Answer) -> Self {
        let result = answer.result.map(|output| KeptOutput {
            data: output.data,
            text: output.text,
            media: output.media,
            terminal: output.terminal,
        });
        Self {
            result,
            state_before: answer.state_before,
            state_after: answer.state_after,
        }
    }
}

impl From<Kept> for Answer {
    fn from(kept: Kept) -> Self {
        let result = kept.result.map(|output| ToolOutput {
            data: output.data,
            text: output.text,
            media: output.media,
            terminal: output.terminal,
        });
        Self {
            result,
            state_before: kept.state_before,
            state_after: kept.state_after,
        }
    }
}

fn sha(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests;
