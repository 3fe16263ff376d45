//! A connection that proves of every statement that it only reads.
//!
//! Five locks, each of which would do alone against most statements: the file is opened read-only and immutable; SQLite's
//! authorizer admits reading and nothing else, so that a statement that writes, attaches, loads or sets is refused while it
//! is compiled; `sqlite3_stmt_readonly` must agree; `PRAGMA query_only` is on; and there is one statement at a time.
//! Since SQLite's own compiler judges, words in comments, texts and quoted names do not count.

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{Batch, Connection, ErrorCode, OpenFlags, Statement};
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest statement, in bytes.
pub const MAX_SQL: usize = 10_000;
/// Most steps of SQLite's virtual machine. The bound that holds first on most machines, so that a refusal is the same
/// everywhere.
pub const MAX_STEPS: u64 = 100_000_000;
/// Longest time of a statement.
pub const MAX_TIME: Duration = Duration::from_secs(10);
/// Most bytes that SQLite may take for a statement.
pub const MAX_MEMORY: i64 = 256 << 20;
/// Longest cell that is shown, in characters.
pub const MAX_CELL: usize = 2000;
/// Most bytes of an answer's cells.
pub const MAX_RESULT: usize = 256 << 10;
/// Largest database file, in bytes.
pub const MAX_FILE: u64 = 1 << 30;

/// Longest text or blob inside of SQLite, in bytes.
const MAX_VALUE: i32 = 1 << 20;
/// Steps between two looks at the bounds.
const LOOK: i32 = 200;
/// How a cell that is cut ends.
const CUT: &str = "…[cut]";

/// Functions that are refused, with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("random", "it is another number each time; write one"),
    ("randomblob", "it is another value each time; write one"),
    ("current_timestamp", "it reads the clock; write the time"),
    ("current_date", "it reads the clock; write the date"),
    ("current_time", "it reads the clock; write the time"),
    ("load_extension", "it runs foreign code; do without it"),
    ("fts3_tokenizer", "it can be made to run foreign code; do without it"),
    ("sqlite_log", "it writes to the program's log; do without it"),
];

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The statement is not allowed.
    #[error("{0}; {1}")]
    Refused(String, String),
    /// SQLite cannot compile or run it.
    #[error("{0}; sql_schema shows the tables and their columns")]
    Sql(String),
    /// It took too much.
    #[error("the statement took more than {0}; ask for less, or narrow it with WHERE")]
    TooMuch(&'static str),
    /// The file is no database that can be read.
    #[error("{0}")]
    File(String),
}

/// The rows that a statement gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows than are shown.
    pub more: bool,
}

/// A database that can only be read.
pub struct Database {
    connection: Connection,
    meter: Arc<Meter>,
}

/// What the current statement has taken, and why it was refused.
struct Meter {
    steps: AtomicU64,
    memory: AtomicI64,
    deadline: Mutex<Instant>,
    refusal: Mutex<Option<(String, String)>>,
    exceeded: Mutex<Option<&'static str>>,
}

impl Database {
    /// Open a database file. Nobody may change it meanwhile: it is not locked.
    ///
    /// # Errors
    /// When it is none, or its last changes are still in a log beside it.
    pub fn open(file: &Path) -> Result<Self, SqlError> {
        let name = file.display();
        let cannot = |error: std::io::Error| SqlError::File(format!("{name} cannot be read ({error})"));
        let mut header = [0; 16];
        let data = std::fs::metadata(file).map_err(cannot)?;
        if !data.is_file() || data.len() > MAX_FILE {
            return Err(SqlError::File(format!(
                "{name} is no file, or larger than {MAX_FILE} bytes"
            )));
        }
        std::fs::File::open(file)
            .and_then(|mut file| file.read_exact(&mut header))
            .map_err(|_| SqlError::File(format!("{name} is no SQLite database")))?;
        if &header != b"SQLite format 3\0" {
            return Err(SqlError::File(format!("{name} is no SQLite database")));
        }
        for log in ["-wal", "-journal"] {
            let mut beside = file.as_os_str().to_owned();
            beside.push(log);
            if std::fs::metadata(&beside).is_ok_and(|data| data.len() > 0) {
                return Err(SqlError::File(format!(
                    "{name} has changes that are not in it yet ({}); close the program that writes it, or run `sqlite3 {name} 'PRAGMA wal_checkpoint(TRUNCATE)'`",
                    Path::new(&beside).display()
                )));
            }
        }
        let path = std::path::absolute(file).map_err(cannot)?;
        Self::prepare(&address(&path)).map_err(|error| SqlError::File(format!("{name} cannot be opened ({error})")))
    }

    fn prepare(address: &str) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(address, flags)?;
        for (setting, on) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        ] {
            connection.set_db_config(setting, on)?;
        }
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;")?;
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL as i32 + 1),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_COLUMN, 1000),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ] {
            connection.set_limit(limit, most)?;
        }
        super::times::replace(&connection)?;
        let meter = Arc::new(Meter {
            steps: AtomicU64::new(0),
            memory: AtomicI64::new(0),
            deadline: Mutex::new(Instant::now()),
            refusal: Mutex::new(None),
            exceeded: Mutex::new(None),
        });
        let watched = meter.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| watched.admit(&context.action)))?;
        let watched = meter.clone();
        connection.progress_handler(LOOK, Some(move || watched.over()))?;
        Ok(Self { connection, meter })
    }

    /// The rows of one statement, at most `limit` of them.
    ///
    /// # Errors
    /// When it is not one statement that only reads, or SQLite cannot run it, or it takes too much.
    pub fn query(&mut self, sql: &str, parameters: &[Value], limit: usize) -> Result<Answer, SqlError> {
        if sql.len() > MAX_SQL {
            let what = format!("the statement is longer than {MAX_SQL} bytes");
            return Err(SqlError::Refused(what, "ask in several steps".to_owned()));
        }
        self.meter.start();
        let mut statement = self.proved(sql)?;
        let answer = rows(&mut statement, parameters, limit);
        drop(statement);
        answer.map_err(|error| self.told(error))
    }

    /// The one statement of a text, if it only reads.
    ///
    /// # Errors
    /// See [`Database::query`].
    pub fn proved(&self, sql: &str) -> Result<Statement<'_>, SqlError> {
        let refused = |what: &str, remedy: &str| SqlError::Refused(what.to_owned(), remedy.to_owned());
        let mut batch = Batch::new(&self.connection, sql);
        let first = batch.next().map_err(|error| self.told(Trouble::Sqlite(error)))?;
        let statement = first.ok_or_else(|| refused("there is no statement", "write a SELECT"))?;
        match batch.next() {
            Ok(None) => {}
            _ => return Err(refused("there is more than one statement", "ask one after the other")),
        }
        if !statement.readonly() || statement.column_count() == 0 {
            return Err(refused(
                "the statement is no question",
                "write a SELECT; nothing can be changed here",
            ));
        }
        Ok(statement)
    }

    /// The connection without its locks.
    #[cfg(test)]
    pub(super) fn raw(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn told(&self, trouble: Trouble) -> SqlError {
        let error = match trouble {
            Trouble::Sqlite(error) => error,
            Trouble::Refused(what, remedy) => return SqlError::Refused(what, remedy),
        };
        if let Some((what, remedy)) = taken(&self.meter.refusal) {
            return SqlError::Refused(what, remedy);
        }
        match (error.sqlite_error_code(), taken(&self.meter.exceeded)) {
            (Some(ErrorCode::OperationInterrupted), Some(what)) => SqlError::TooMuch(what),
            (Some(ErrorCode::TooBig | ErrorCode::OutOfMemory), _) => SqlError::TooMuch("1 MiB for one value"),
            _ => SqlError::Sql(words(&error)),
        }
    }
}

fn taken<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// SQLite's words.
fn words(error: &rusqlite::Error) -> String {
    let text = match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        error => error.to_string(),
    };
    text.chars().take(300).collect()
}

enum Trouble {
    Sqlite(rusqlite::Error),
    Refused(String, String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn rows(statement: &mut Statement<'_>, parameters: &[Value], limit: usize) -> Result<Answer, Trouble> {
    let wanted = statement.parameter_count();
    if wanted != parameters.len() {
        let what = format!(
            "the statement has {wanted} parameters, and {} values are given",
            parameters.len()
        );
        return Err(Trouble::Refused(what, "give one for each `?`".to_owned()));
    }
    for (index, value) in (1..).zip(parameters) {
        statement.raw_bind_parameter(index, cell(value))?;
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut answer = Answer {
        columns,
        rows: Vec::new(),
        more: false,
    };
    let mut left = MAX_RESULT;
    let width = answer.columns.len();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let cells: Result<Vec<Value>, _> = (0..width).map(|column| row.get_ref(column).map(shown)).collect();
        let cells = cells?;
        let bytes: usize = cells.iter().map(length).sum();
        if answer.rows.len() == limit || bytes > left {
            answer.more = true;
            break;
        }
        left -= bytes;
        answer.rows.push(cells);
    }
    Ok(answer)
}

/// A value of the call as SQLite takes it.
fn cell(value: &Value) -> Cell {
    match value {
        Value::Bool(truth) => Cell::Integer(i64::from(*truth)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cell::Integer(whole),
            None => number.as_f64().map_or(Cell::Null, Cell::Real),
        },
        Value::String(text) => Cell::Text(text.clone()),
        _ => Cell::Null,
    }
}

/// A cell as it is shown.
fn shown(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(whole) => whole.into(),
        // Infinity is no JSON.
        ValueRef::Real(real) => {
            serde_json::Number::from_f64(real).map_or_else(|| real.to_string().into(), Value::Number)
        }
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_CELL + 4)]);
            match text.char_indices().nth(MAX_CELL) {
                Some((end, _)) => format!("{}{CUT}", &text[..end]).into(),
                None => text.into(),
            }
        }
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
            let more = if bytes.len() > 32 { "…" } else { "" };
            format!("blob of {} bytes: {hex}{more}", bytes.len()).into()
        }
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        _ => 8,
    }
}

impl Meter {
    fn start(&self) {
        self.steps.store(0, Ordering::Relaxed);
        self.memory.store(memory(), Ordering::Relaxed);
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + MAX_TIME;
        taken(&self.refusal);
        taken(&self.exceeded);
    }

    /// Whether what a statement wants to do is reading.
    fn admit(&self, action: &AuthAction<'_>) -> Authorization {
        let (what, remedy) = match action {
            AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => return Authorization::Allow,
            // Asked by full-text tables for themselves; it is a number that only others' writes change.
            AuthAction::Pragma {
                pragma_name: "data_version",
                pragma_value: None,
            } => return Authorization::Allow,
            AuthAction::Function { function_name } => {
                let lower = function_name.to_ascii_lowercase();
                match REFUSED.iter().find(|(name, _)| *name == lower) {
                    None => return Authorization::Allow,
                    Some((name, why)) => (format!("{name} is not allowed"), (*why).to_owned()),
                }
            }
            other => {
                let name = format!("{other:?}");
                let name = name.split([' ', '{', '(']).next().unwrap_or_default().to_lowercase();
                (
                    format!("the statement does more than read ({name})"),
                    "write a SELECT; nothing can be changed here".to_owned(),
                )
            }
        };
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.get_or_insert((what, remedy));
        Authorization::Deny
    }

    /// Whether the statement must stop.
    fn over(&self) -> bool {
        let steps = self.steps.fetch_add(LOOK as u64, Ordering::Relaxed);
        let late = || Instant::now() > *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        let what = if steps > MAX_STEPS {
            "100 million steps"
        } else if memory() - self.memory.load(Ordering::Relaxed) > MAX_MEMORY {
            "256 MiB of memory"
        } else if late() {
            "10 seconds"
        } else {
            return false;
        };
        *self.exceeded.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
        true
    }
}

/// Bytes that SQLite has allocated in this process: there is no count for each connection. What others take meanwhile
/// counts too, so the bound is wide.
fn memory() -> i64 {
    // SAFETY: it takes no arguments and only reads a counter, which SQLite guards itself.
    unsafe { rusqlite::ffi::sqlite3_memory_used() }
}

/// SQLite's address of a file.
fn address(path: &Path) -> String {
    let mut address = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => address.push(char::from(*byte)),
            byte => address += &format!("%{byte:02X}"),
        }
    }
    address + "?mode=ro&immutable=1"
}
