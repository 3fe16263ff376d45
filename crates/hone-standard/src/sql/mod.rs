//! Questions to a SQLite database that cannot change it.

mod database;
#[cfg(test)]
mod tests;
mod times;

pub use database::{Answer, Database, SqlError};

use crate::arguments::{READS, count, tool, word};
use crate::{Card, Kit};
use database::{MAX_CELL, MAX_FILE, MAX_MEMORY, MAX_RESULT, MAX_SQL, MAX_STEPS, MAX_TIME};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Most rows in an answer.
const MAX_ROWS: u64 = 1000;
/// As many if the call does not say.
const ROWS: u64 = 100;
/// Most values for `?`.
const MAX_PARAMETERS: usize = 100;

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let limit = json!({
        "type": "integer", "minimum": 1, "maximum": MAX_ROWS,
        "description": format!("at most so many rows are shown (default: {ROWS})"),
    });
    vec![
        tool(
            "sql_query",
            "Ask the database with one SELECT statement in SQLite's dialect. Nothing can be changed.",
            object_schema(
                json!({
                    "query": {"type": "string", "minLength": 1, "maxLength": MAX_SQL, "description": "the statement"},
                    "parameters": {
                        "type": "array", "maxItems": MAX_PARAMETERS,
                        "items": {"type": ["string", "number", "boolean", "null"]},
                        "description": "values for the `?` of the statement, in order",
                    },
                    "limit": limit,
                }),
                &["parameters", "limit"],
            ),
            READS,
        ),
        tool(
            "sql_schema",
            "Show the tables and views of the database with the statements that made them.",
            object_schema(
                json!({
                    "table": {"type": "string", "description": "only this one; all without it"},
                    "limit": limit,
                }),
                &["table", "limit"],
            ),
            READS,
        ),
    ]
});

/// What the tools are, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "sql",
        about: "SELECT statements on a SQLite file, proved to change nothing",
        settings: "`file`: the database",
        limits: format!(
            "one statement of {MAX_SQL} bytes; {} million steps of SQLite's machine, {} s, {} MiB; {MAX_ROWS} rows, \
             cells of {MAX_CELL} characters, {} KiB in an answer; files of {} GiB; no `random`, no current time",
            MAX_STEPS / 1_000_000,
            MAX_TIME.as_secs(),
            MAX_MEMORY >> 20,
            MAX_RESULT >> 10,
            MAX_FILE >> 30,
        ),
        specs: SPECS.clone(),
    }
}

/// Settings of the database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file.
    pub file: PathBuf,
}

/// A database file that was looked at once.
#[derive(Clone, Debug)]
pub struct Sql {
    file: PathBuf,
    digest: String,
}

impl Sql {
    /// The tools on a database. Reads it once, for its digest.
    ///
    /// # Errors
    /// What is wrong with the file, and how to mend it.
    pub fn new(file: &Path) -> Result<Self, (String, String)> {
        let broken = |error: SqlError| (error.to_string(), "name a SQLite database".to_owned());
        let mut database = Database::open(file).map_err(broken)?;
        database
            .query("SELECT count(*) FROM sqlite_schema", &[], 1)
            .map_err(broken)?;
        let digest = digest(file).map_err(|error| {
            (
                format!("{} cannot be read ({error})", file.display()),
                "mend it".to_owned(),
            )
        })?;
        Ok(Self {
            file: file.to_owned(),
            digest,
        })
    }
}

fn digest(file: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(file)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Kit for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn open(&self, _folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        let database = Database::open(&self.file).map_err(|error| EnvError::Data {
            what: error.to_string(),
            remedy: "mend the database, then play the episode again".to_owned(),
        })?;
        Ok(Box::new(Tools {
            database,
            kit: self.clone(),
        }))
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }
}

/// The tools on an open database.
struct Tools {
    database: Database,
    kit: Sql,
}

impl Tools {
    fn query(&mut self, arguments: &Value) -> Result<ToolOutput, SqlError> {
        let parameters = arguments.get("parameters").and_then(Value::as_array);
        let parameters = parameters.map(Vec::as_slice).unwrap_or_default();
        let limit = count(arguments, "limit", ROWS) as usize;
        let answer = self.database.query(word(arguments, "query"), parameters, limit)?;
        Ok(ToolOutput::json(json!({
            "columns": answer.columns, "rows": answer.rows, "more": answer.more,
        })))
    }

    fn schema(&mut self, arguments: &Value) -> Result<ToolOutput, SqlError> {
        let table = arguments.get("table").cloned().unwrap_or(Value::Null);
        let limit = count(arguments, "limit", ROWS) as usize;
        let sql = "SELECT name, type, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                   AND (?1 IS NULL OR name = ?1 COLLATE NOCASE) ORDER BY name";
        let answer = self.database.query(sql, std::slice::from_ref(&table), limit)?;
        if answer.rows.is_empty() && !table.is_null() {
            let what = format!("there is no table {table}");
            return Err(SqlError::Refused(
                what,
                "sql_schema without arguments shows all".to_owned(),
            ));
        }
        let tables = answer.rows.into_iter().map(|row| match <[Value; 3]>::try_from(row) {
            Ok([name, kind, sql]) => json!({"name": name, "type": kind, "sql": sql}),
            Err(_) => Value::Null,
        });
        Ok(ToolOutput::json(
            json!({"tables": tables.collect::<Vec<_>>(), "more": answer.more}),
        ))
    }
}

impl ToolHost for Tools {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let done = match tool {
            "sql_query" => self.query(arguments),
            "sql_schema" => self.schema(arguments),
            _ => return Err(crate::arguments::unknown(tool)),
        };
        done.map_err(|error| ToolError::tool(error.to_string()))
    }
}

impl Environment for Tools {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    /// Another connection to the same database, which nobody can change.
    fn fork(&self) -> Option<Box<dyn Environment>> {
        self.kit.open(Path::new("")).ok()
    }
}
