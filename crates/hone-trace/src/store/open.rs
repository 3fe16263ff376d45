//! Making and opening the file: its tables, its identity, and what is refused.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use crate::SCHEMA;

/// Marks the file as a Hone run: `Hone` in ASCII.
const APPLICATION_ID: i64 = 0x486f_6e65;

/// How long to wait for another process's transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tables as they are made and as an opened file must have them. `key` orders rows by writing.
const TABLES: [(&str, &str); 7] = [
    (
        "meta",
        "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
    ),
    (
        "episodes",
        "CREATE TABLE episodes (key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, phase TEXT NOT NULL, \
         taskset TEXT NOT NULL, task TEXT NOT NULL, task_kind TEXT NOT NULL, policy TEXT NOT NULL, \"end\" TEXT NOT NULL, \
         outcome TEXT NOT NULL, cause TEXT, reward REAL, model_calls INTEGER NOT NULL, tool_calls INTEGER NOT NULL, \
         sampled_tokens INTEGER NOT NULL, duration_us INTEGER NOT NULL, record TEXT NOT NULL)",
    ),
    ("episodes_phase", "CREATE INDEX episodes_phase ON episodes (phase)"),
    (
        "model_calls",
        "CREATE TABLE model_calls (episode INTEGER NOT NULL REFERENCES episodes (key) ON DELETE CASCADE, \
         id INTEGER NOT NULL, prompt_new BLOB NOT NULL, output BLOB NOT NULL, logprobs BLOB NOT NULL, \
         sampled_logprobs BLOB NOT NULL, entropies BLOB NOT NULL, record TEXT NOT NULL, PRIMARY KEY (episode, id)) \
         WITHOUT ROWID",
    ),
    (
        "tool_calls",
        "CREATE TABLE tool_calls (episode INTEGER NOT NULL REFERENCES episodes (key) ON DELETE CASCADE, \
         id INTEGER NOT NULL, tool TEXT NOT NULL, error TEXT, record TEXT NOT NULL, PRIMARY KEY (episode, id)) \
         WITHOUT ROWID",
    ),
    (
        "scores",
        "CREATE TABLE scores (episode INTEGER NOT NULL REFERENCES episodes (key) ON DELETE CASCADE, \
         id INTEGER NOT NULL, scorer TEXT NOT NULL, value REAL NOT NULL, record TEXT NOT NULL, \
         PRIMARY KEY (episode, id)) WITHOUT ROWID",
    ),
    (
        "metrics",
        "CREATE TABLE metrics (key INTEGER PRIMARY KEY AUTOINCREMENT, step INTEGER NOT NULL, phase TEXT NOT NULL, \
         name TEXT NOT NULL, value REAL, UNIQUE (phase, step, name))",
    ),
];

/// Contents of files by their hashes. Made with the first one: a run without any has none, and older programs pass it over.
pub(super) const MEDIA: &str = "CREATE TABLE media (hash TEXT PRIMARY KEY NOT NULL, content BLOB NOT NULL)";

pub(super) fn create(path: &Path) -> Result<Connection, StoreError> {
    // Taking the name first leaves no moment in which two processes could both make it.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { path: path.into() },
            io::ErrorKind::StorageFull => StoreError::Full { path: path.into() },
            _ => StoreError::Unreachable {
                path: path.into(),
                what: error.to_string(),
            },
        })?;
    make_tables(path).map_err(|error| {
        // It is ours and holds nothing yet. If it cannot be removed either, the first error is the one that matters.
        let _ = std::fs::remove_file(path);
        StoreError::sql(path, error)
    })
}

/// In an empty file.
fn make_tables(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, false)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let tables: String = TABLES.iter().map(|(_, sql)| format!("{sql};\n")).collect();
    connection.execute_batch(&format!(
        "BEGIN; {tables} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}; COMMIT;"
    ))?;
    Ok(connection)
}

pub(super) fn existing(path: &Path, read_only: bool) -> Result<Connection, StoreError> {
    let found = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing { path: path.into() },
        _ => StoreError::Unreachable {
            path: path.into(),
            what: error.to_string(),
        },
    })?;
    let foreign = |why: &str| StoreError::Foreign {
        path: path.into(),
        why: why.into(),
    };
    if !found.is_file() {
        return Err(foreign("it is not a file"));
    }
    let sql = |error| StoreError::sql(path, error);
    let connection = connect(path, read_only).map_err(sql)?;
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(sql)
    };
    if number("application_id")? != APPLICATION_ID {
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(sql)?;
        return match tables == 0 && number("application_id")? == 0 && number("user_version")? == 0 {
            // What is left when a process is killed while it makes one: nothing is in it yet.
            true if !read_only => {
                drop(connection);
                make_tables(path).map_err(sql)
            }
            true => Err(foreign("it is empty")),
            false => Err(foreign("it is another program's SQLite file")),
        };
    }
    let version = number("user_version")?;
    if version > i64::from(SCHEMA) {
        return Err(StoreError::Newer {
            path: path.into(),
            found: version,
            known: SCHEMA,
        });
    }
    check_tables(&connection, version)
        .map_err(sql)?
        .map_err(|why| foreign(&why))?;
    Ok(connection)
}

/// The tables must be ours to the letter, and nothing may run by itself: a trigger would act on every append.
fn check_tables(connection: &Connection, version: i64) -> rusqlite::Result<Result<(), String>> {
    if version != i64::from(SCHEMA) {
        return Ok(Err(format!("it says that its schema is {version}, which never was")));
    }
    let mut statement = connection.prepare("SELECT sql FROM sqlite_schema WHERE name = ?1")?;
    for (name, sql) in TABLES {
        let found: Option<String> = match statement.query_row([name], |row| row.get(0)) {
            Err(rusqlite::Error::QueryReturnedNoRows) => None,
            other => other?,
        };
        if found.as_deref() != Some(sql) {
            return Ok(Err(format!("`{name}` is missing or not what schema {version} says")));
        }
    }
    match statement.query_row(["media"], |row| row.get::<_, String>(0)) {
        Ok(found) if found != MEDIA => return Ok(Err("`media` is not what it should be".to_owned())),
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
        Err(error) => return Err(error),
    }
    let triggers: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", [], |row| {
            row.get(0)
        })?;
    Ok(if triggers > 0 {
        Err("it has triggers".into())
    } else {
        Ok(())
    })
}

fn connect(path: &Path, read_only: bool) -> rusqlite::Result<Connection> {
    let access = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    // The file may come from anywhere: nothing in its schema may call functions or spoil the schema itself.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}
