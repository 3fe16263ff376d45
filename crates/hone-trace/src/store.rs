//! The store of a run: one SQLite file that holds its episodes, metrics and facts about the run.
//!
//! * **Durable before counted.** When [`Store::append`] returns, the batch is in the write-ahead log and the log is
//!   synced to the disk (`journal_mode=WAL`, `synchronous=FULL`): neither a killed process nor a lost machine takes it
//!   back. One batch is one transaction, so there are no halves of a batch, let alone of an episode; and one sync.
//! * **Whole or refused.** An episode is checked ([`Episode::check`]) before it is written and after it is read. A
//!   hostile or damaged file yields an error that names the episode, never a crash or a wrong record.
//! * **Exact.** What is read equals what was written, bit for bit. Token arrays are little-endian blobs, everything else
//!   JSON; the other columns are copies for filters and for people who look inside with SQL.
//!
//! One process writes; any number may read meanwhile.

mod error;
mod filter;
mod media;
mod open;
mod rows;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params, params_from_iter};
use serde_json::Value;

pub use error::StoreError;
pub use filter::{Filter, OutcomeKind};
use rows::RowError;
pub(crate) use rows::name;

use crate::check::check_scores;
use crate::{EndReason, Episode, Outcome, RunDigest, Score, Secrets};

/// Episodes that a thread reads at a time.
const CHUNK: usize = 256;

/// A run's database. Can be shared between threads.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
    secrets: Secrets,
}

/// What lists and filters need of an episode, without its calls.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeSummary {
    /// See [`Episode::id`].
    pub id: String,
    /// See [`Episode::phase`].
    pub phase: String,
    /// See [`Episode::taskset`].
    pub taskset: String,
    /// See [`Episode::task`].
    pub task: String,
    /// See [`Episode::task_kind`].
    pub task_kind: String,
    /// See [`Episode::policy`].
    pub policy: String,
    /// See [`Episode::end`].
    pub end: EndReason,
    /// See [`Episode::outcome`].
    pub outcome: Outcome,
    /// See [`Episode::reward`].
    pub reward: Option<f64>,
    /// Number of model calls.
    pub model_calls: u64,
    /// Number of tool calls.
    pub tool_calls: u64,
    /// See [`Episode::sampled_tokens`].
    pub sampled_tokens: u64,
    /// Wall time in microseconds.
    pub duration_us: u64,
}

/// A number of a run at a step of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Step within the phase.
    pub step: u64,
    /// Phase.
    pub phase: String,
    /// Name.
    pub name: String,
    /// Value; not necessarily finite.
    pub value: f64,
}

impl Store {
    /// Makes a new, empty store. Refuses a path that exists.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Ok(Self {
            connection: Mutex::new(open::create(path)?),
            path: path.into(),
            secrets: Secrets::default(),
        })
    }

    /// Opens an existing store, to read and to append.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Ok(Self {
            connection: Mutex::new(open::existing(path, false)?),
            path: path.into(),
            secrets: Secrets::default(),
        })
    }

    /// From now on takes these out of every episode before it is written.
    pub fn hide(&mut self, secrets: Secrets) {
        self.secrets = secrets;
    }

    /// Number of episodes.
    pub fn count(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            connection
                .query_row("SELECT count(*) FROM episodes", [], |row| row.get::<_, i64>(0))
                .map(|n| n.unsigned_abs())
        })
    }

    /// Opens an existing store to read, also while another process writes it.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Ok(Self {
            connection: Mutex::new(open::existing(path, true)?),
            path: path.into(),
            secrets: Secrets::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a batch of episodes in one transaction: all of them are durable when this returns, or none.
    ///
    /// Idempotent by id: an episode that is there already is replaced as a whole, scores included, and takes the place of
    /// the latest. A resumed run may thus write again what it had written.
    pub fn append(&self, episodes: &[Episode]) -> Result<(), StoreError> {
        for episode in episodes {
            episode.check().map_err(|flaw| StoreError::Invalid {
                episode: episode.id.clone(),
                flaw,
            })?;
        }
        self.write(|connection| {
            episodes.iter().try_for_each(|episode| {
                let redacted = self.secrets.redacted(episode);
                rows::insert(connection, redacted.as_ref().unwrap_or(episode))?;
                media::insert(connection, episode, &self.secrets)
            })
        })
    }

    /// Adds scores to a stored episode. One of the same scorer, version and settings is replaced in its place.
    pub fn add_scores(&self, id: &str, scores: &[Score]) -> Result<(), StoreError> {
        check_scores(scores).map_err(|flaw| StoreError::Invalid {
            episode: id.into(),
            flaw,
        })?;
        let found = self.write(|connection| rows::add_scores(connection, id, scores))?;
        if found {
            Ok(())
        } else {
            Err(StoreError::NoEpisode {
                path: self.path.clone(),
                episode: id.into(),
            })
        }
    }

    /// The summaries of the episodes that pass, in the order of writing.
    pub fn episodes(&self, filter: &Filter) -> Result<Vec<EpisodeSummary>, StoreError> {
        let (condition, values) = filter.sql();
        let sql = format!(
            "SELECT id, phase, taskset, task, task_kind, policy, \"end\", outcome, cause, reward, model_calls, tool_calls,
                    sampled_tokens, duration_us FROM episodes {condition}"
        );
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map(params_from_iter(values), rows::summary)?;
            found.collect()
        })
    }

    /// The episode of that id.
    pub fn episode(&self, id: &str) -> Result<Option<Episode>, StoreError> {
        let key: Option<i64> = self.read(|connection| {
            connection
                .prepare_cached("SELECT key FROM episodes WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()
        })?;
        match key {
            Some(key) => self.load(key),
            None => Ok(None),
        }
    }

    /// Whether there is the content of a file.
    pub fn has_media(&self, hash: &str) -> Result<bool, StoreError> {
        self.read(|connection| media::is_kept(connection, hash))
    }

    /// The content of a file of a tool call ([`Media::hash`](crate::Media::hash)), if it was kept.
    ///
    /// # Errors
    /// Also where it is not what its hash says.
    pub fn media(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let content = self.read(|connection| media::content(connection, hash))?;
        let damaged = content
            .as_ref()
            .is_some_and(|content| crate::digest::sha256(content) != hash);
        match damaged {
            false => Ok(content),
            true => Err(StoreError::Corrupt {
                path: self.path.clone(),
                what: format!("the file of hash {hash} is another one"),
            }),
        }
    }

    /// Hands each episode that passes to `each`, in the order of writing, one at a time: memory stays bounded. The store
    /// may be used within `each`. Stops at its first error.
    pub fn for_each<E: From<StoreError>>(
        &self,
        filter: &Filter,
        mut each: impl FnMut(Episode) -> Result<(), E>,
    ) -> Result<(), E> {
        for key in self.keys(filter)? {
            // An episode that was replaced or deleted meanwhile is gone.
            if let Some(episode) = self.load(key)? {
                each(episode)?;
            }
        }
        Ok(())
    }

    /// What `map` makes of the episodes that pass, some hundred at a time, in the order of writing: read on all cores.
    ///
    /// The cuts do not depend on the number of threads, so that neither does what is made of the pieces.
    pub fn map_chunks<T: Send>(
        &self,
        filter: &Filter,
        map: impl Fn(&[Episode]) -> T + Sync,
    ) -> Result<Vec<T>, StoreError> {
        let keys = self.keys(filter)?;
        let chunks: Vec<&[i64]> = keys.chunks(CHUNK).collect();
        let threads = std::thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(chunks.len());
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, T)>, StoreError> {
            // A connection is for one thread at a time.
            let store = Self::open_read_only(&self.path)?;
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = chunks.get(index) else {
                    return Ok(done);
                };
                done.push((index, map(&store.load_all(chunk)?)));
            }
        };
        let mut pieces = Vec::new();
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for thread in running {
                pieces.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok::<_, StoreError>(())
        })?;
        pieces.sort_by_key(|(index, _)| *index);
        Ok(pieces.into_iter().map(|(_, piece)| piece).collect())
    }

    /// Digest of the episodes that pass: see [`RunDigest`].
    pub fn digest(&self, filter: &Filter) -> Result<String, StoreError> {
        let mut digest = RunDigest::default();
        self.for_each(filter, |episode| {
            digest.add(&episode);
            Ok::<_, StoreError>(())
        })?;
        Ok(digest.finish())
    }

    /// Writes the metrics of one step in one transaction. A metric of the same phase, step and name is replaced.
    pub fn append_metrics(&self, step: u64, phase: &str, metrics: &[(&str, f64)]) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut insert = connection
                .prepare_cached("INSERT OR REPLACE INTO metrics (step, phase, name, value) VALUES (?1, ?2, ?3, ?4)")?;
            for (name, value) in metrics {
                insert.execute(params![step as i64, phase, name, value])?;
            }
            Ok(())
        })
    }

    /// The metrics of that name, or all, in the order of writing.
    pub fn metrics(&self, name: Option<&str>) -> Result<Vec<Metric>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT step, phase, name, value FROM metrics WHERE ?1 IS NULL OR name = ?1 ORDER BY key",
            )?;
            let found = statement.query_map([name], |row| {
                // SQL has no NaN: it is stored as NULL.
                let value = row.get::<_, Option<f64>>(3)?.unwrap_or(f64::NAN);
                Ok(Metric {
                    step: row.get::<_, i64>(0)? as u64,
                    phase: row.get(1)?,
                    name: row.get(2)?,
                    value,
                })
            })?;
            found.collect()
        })
    }

    /// Deletes the episodes and metrics of a phase and of those below it (`rl` covers `rl/12`, `rl/1` does not; an empty
    /// name covers all), and returns how many episodes went. A resumed run so rolls back to its last checkpoint.
    pub fn delete_phase(&self, phase: &str) -> Result<u64, StoreError> {
        let (condition, values) = Filter::phase(phase).condition();
        self.write(|connection| {
            connection.execute(&format!("DELETE FROM metrics {condition}"), params_from_iter(&values))?;
            let sql = format!("DELETE FROM episodes {condition}");
            let count = connection.execute(&sql, params_from_iter(&values))? as u64;
            media::sweep(connection)?;
            Ok(count)
        })
    }

    /// Deletes the metrics of a phase (and of those below it) from that step on, and returns how many went.
    pub fn delete_metrics(&self, phase: &str, from_step: u64) -> Result<u64, StoreError> {
        let (condition, mut values) = Filter::phase(phase).condition();
        let condition = if condition.is_empty() {
            "WHERE 1".into()
        } else {
            condition
        };
        values.push((from_step as i64).into());
        let sql = format!("DELETE FROM metrics {condition} AND step >= ?{}", values.len());
        self.write(|connection| Ok(connection.execute(&sql, params_from_iter(&values))? as u64))
    }

    /// Keeps a fact about the run (its recipe, seed, versions, …) under a key.
    pub fn set_meta(&self, key: &str, value: &Value) -> Result<(), StoreError> {
        self.write(|connection| {
            let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
            connection.execute(sql, params![key, value.to_string()])?;
            Ok(())
        })
    }

    /// The fact under that key.
    pub fn get_meta(&self, key: &str) -> Result<Option<Value>, StoreError> {
        let text: Option<String> = self.read(|connection| {
            connection
                .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
                .optional()
        })?;
        let damaged = |error| StoreError::Corrupt {
            path: self.path.clone(),
            what: format!("meta entry `{key}`: {error}"),
        };
        text.map(|text| serde_json::from_str(&text).map_err(damaged))
            .transpose()
    }

    /// The keys of the episodes that pass, in the order of writing.
    fn keys(&self, filter: &Filter) -> Result<Vec<i64>, StoreError> {
        let (condition, values) = filter.sql();
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT key FROM episodes {condition}"))?;
            let keys = statement.query_map(params_from_iter(values), |row| row.get(0))?;
            keys.collect()
        })
    }

    /// Those of these episodes that are there, as of one moment: a lock and a look at the log for all together.
    fn load_all(&self, keys: &[i64]) -> Result<Vec<Episode>, StoreError> {
        let connection = self.connection();
        let act = || {
            let moment = connection.unchecked_transaction()?;
            keys.iter()
                .filter_map(|key| rows::load(&moment, *key).transpose())
                .collect::<Result<Vec<_>, RowError>>()
        };
        act().map_err(|error| self.error(error))
    }

    fn load(&self, key: i64) -> Result<Option<Episode>, StoreError> {
        rows::load(&self.connection(), key).map_err(|error| self.error(error))
    }

    fn error(&self, error: RowError) -> StoreError {
        match error {
            RowError::Sql(error) => StoreError::sql(&self.path, error),
            RowError::Damaged { episode, what } => StoreError::Damaged {
                path: self.path.clone(),
                episode,
                what,
            },
        }
    }

    /// The connection. A thread that panicked while it held it has rolled back: there is nothing to mend.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, action: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        action(&self.connection()).map_err(|error| StoreError::sql(&self.path, error))
    }

    fn write<T>(&self, action: impl FnOnce(&Connection) -> Result<T, RowError>) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let act = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = action(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        act().map_err(|error| self.error(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, sample};

    #[test]
    fn a_full_disk_and_a_busy_file_are_said_and_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.db");
        let store = Store::create(&path).unwrap();
        let made = |id: &str| sample::episode(&Stream::new(1), id, 2);
        store.append(&[made("eval/0/0")]).unwrap();

        store.connection().pragma_update(None, "max_page_count", 20).unwrap();
        let many: Vec<Episode> = (1..100).map(|i| made(&format!("eval/{i}/0"))).collect();
        assert!(matches!(store.append(&many), Err(StoreError::Full { .. })));
        store
            .connection()
            .pragma_update(None, "max_page_count", 1 << 20)
            .unwrap();
        assert_eq!(store.episodes(&Filter::default()).unwrap().len(), 1);

        store.connection().busy_timeout(std::time::Duration::ZERO).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(matches!(store.append(&many), Err(StoreError::Locked { .. })));
        assert_eq!(store.episodes(&Filter::default()).unwrap().len(), 1, "reading goes on");
        other.execute_batch("ROLLBACK").unwrap();

        store.append(&many).unwrap();
        assert_eq!(store.episodes(&Filter::default()).unwrap().len(), 100);
    }

    #[test]
    fn chunks_are_all_episodes_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(directory.path().join("run.db")).unwrap();
        let empty = store.map_chunks(&Filter::default(), <[Episode]>::len).unwrap();
        assert_eq!(empty, Vec::<usize>::new());
        let made = |i| sample::episode(&Stream::new(1), &format!("eval/{i}/0"), 1);
        let episodes: Vec<Episode> = (0..2 * CHUNK + 3).map(made).collect();
        store.append(&episodes).unwrap();
        let pieces = store.map_chunks(&Filter::phase("eval"), <[Episode]>::to_vec).unwrap();
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK, CHUNK, 3]);
        assert_eq!(pieces.concat(), episodes);
    }
}
