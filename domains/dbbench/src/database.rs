//! A record's database: in memory, bounded, speaking MySQL.

use crate::data::Table;
use crate::mysql::collation::COLLATION;
use crate::mysql::datum::Datum;
use crate::mysql::translate::{Catalog, Class, Plan, Problem, plan};
use crate::mysql::{self, GROUP_CONCAT_MAX};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, Error, params_from_iter};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the original cuts what it shows, in characters.
pub const MAX_SHOWN: usize = 800;

/// Steps of SQLite's machine that a statement may take: some seconds, and the same on every machine.
const MAX_STEPS: u64 = 40_000_000;
/// Steps between two looks at the meter.
const LOOK: i32 = 1_000;
/// Memory that SQLite may take for a statement beyond what it had, in bytes, over all databases of the process.
const MAX_MEMORY: i64 = 512 << 20;
/// Pages of 4,096 bytes that a database may have.
const MAX_PAGES: u32 = 4_096;
/// Bytes of a value or a row.
const MAX_ROW: i32 = 1 << 20;

/// Connections that are kept for the next database: to open one and to register all functions takes longer than all else.
const MAX_KEPT: usize = 64;
static KEPT: Mutex<Vec<Opened>> = Mutex::new(vec![]);

/// A database.
pub struct Database {
    opened: Option<Opened>,
    catalog: Catalog,
}

/// A connection with what watches it.
struct Opened {
    connection: Connection,
    meter: Arc<Meter>,
}

/// A database as it was at some time.
#[derive(Clone)]
pub struct Image {
    bytes: Arc<[u8]>,
    catalog: Catalog,
}

/// What the statement under way has taken.
#[derive(Default)]
struct Meter {
    steps: AtomicU64,
    memory: AtomicI64,
    /// Whether it is ours, so that everything is allowed.
    ours: AtomicBool,
}

/// Why a table cannot be set up. The original's set-up fails too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Two columns of one name; MySQL makes no difference between `Year` and `year`.
    #[error("table `{table}` has two columns `{column}`")]
    Duplicate {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A name that MySQL does not take: empty, longer than 64 characters, or ending with a space.
    #[error("MySQL takes no column or table of the name `{name}`")]
    Name {
        /// The name.
        name: String,
    },
    /// A row with more or fewer cells than columns.
    #[error("row {row} of table `{table}` has {cells} cells for {columns} columns")]
    Row {
        /// The table.
        table: String,
        /// From 0 on.
        row: usize,
        /// Its cells.
        cells: usize,
        /// The table's columns.
        columns: usize,
    },
    /// Anything that SQLite says.
    #[error("the table cannot be made: {0}")]
    Sqlite(String),
}

impl From<Error> for SetupError {
    fn from(error: Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}

impl Database {
    /// An empty one.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn empty() -> Result<Self, Error> {
        let opened = Opened::new()?;
        Ok(Self {
            opened: Some(opened),
            catalog: Catalog::new(),
        })
    }

    /// The tables of a record, all cells text, as the original sets them up.
    ///
    /// # Errors
    /// When MySQL would refuse a table.
    pub fn of(tables: &[Table]) -> Result<Self, SetupError> {
        let mut database = Self::empty()?;
        for table in tables {
            database.add(table)?;
        }
        database.refresh()?;
        Ok(database)
    }

    fn add(&mut self, table: &Table) -> Result<(), SetupError> {
        for name in table.columns.iter().chain([&table.name]) {
            if name.is_empty() || name.chars().count() > 64 || name.ends_with(' ') || name.contains('\0') {
                return Err(SetupError::Name { name: name.clone() });
            }
        }
        for (i, column) in table.columns.iter().enumerate() {
            let same = |other: &&String| mysql::collation::compare(other, column).is_eq();
            if table.columns[..i].iter().any(|other| same(&other)) {
                return Err(SetupError::Duplicate {
                    table: table.name.clone(),
                    column: column.clone(),
                });
            }
        }
        if let Some(row) = table.rows.iter().position(|row| row.len() != table.columns.len()) {
            let (cells, columns) = (table.rows[row].len(), table.columns.len());
            return Err(SetupError::Row {
                table: table.name.clone(),
                row,
                cells,
                columns,
            });
        }
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|name| format!("{} TEXT COLLATE {COLLATION}", quoted(name)))
            .collect();
        let places = vec!["?"; table.columns.len()].join(", ");
        let (connection, _) = self.parts()?;
        let transaction = connection.unchecked_transaction()?;
        transaction.execute(
            &format!(
                "CREATE TABLE IF NOT EXISTS {} ({})",
                quoted(&table.name),
                columns.join(", ")
            ),
            [],
        )?;
        {
            let mut insert = transaction.prepare(&format!("INSERT INTO {} VALUES ({places})", quoted(&table.name)))?;
            for row in &table.rows {
                insert.execute(params_from_iter(row))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Read the tables' and columns' names anew.
    fn refresh(&mut self) -> Result<(), Error> {
        let (connection, meter) = self.parts()?;
        meter.start();
        let mut names = connection.prepare_cached(
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid",
        )?;
        let mut catalog = Catalog::new();
        let mut rows = names.query([])?;
        while let Some(row) = rows.next()? {
            catalog.entry(row.get(0)?).or_default().push(row.get(1)?);
        }
        drop(rows);
        drop(names);
        self.catalog = catalog;
        Ok(())
    }

    /// Run a statement: the rows as Python shows them, or MySQL's message; cut as the original cuts.
    pub fn execute(&mut self, sql: &str) -> String {
        let shown = self.run(sql).unwrap_or_else(|problem| problem.text);
        match shown.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}[TRUNCATED]", &shown[..end]),
            None => shown,
        }
    }

    /// Run a statement: the rows as Python shows them. Of a long result only the beginning is made.
    ///
    /// # Errors
    /// Why not.
    pub fn run(&mut self, sql: &str) -> Result<String, Problem> {
        let statements = match plan(sql, &self.catalog)? {
            Plan::Rows(rows) => return Ok(list(rows.iter().map(|row| tuple(row)))),
            Plan::Run(statements) => statements,
        };
        let result = self.transact(&statements);
        if statements
            .iter()
            .any(|sql| ["CREATE", "ALTER", "DROP"].iter().any(|word| sql.starts_with(word)))
        {
            self.refresh().map_err(|error| problem(&error))?;
        }
        result.map_err(|error| problem(&error))
    }

    fn transact(&mut self, statements: &[String]) -> Result<String, Error> {
        let (connection, meter) = self.parts()?;
        meter.start();
        let transaction = connection.unchecked_transaction()?;
        let mut shown = "[]".to_owned();
        for sql in statements {
            let mut statement = transaction.prepare(sql)?;
            let width = statement.column_count();
            let mut rows = statement.query([])?;
            let mut all = vec![];
            let mut length = 0;
            while let Some(row) = rows.next()? {
                let cells = (0..width)
                    .map(|i| row.get_ref(i).map(Datum::of))
                    .collect::<Result<Vec<_>, _>>()?;
                let text = tuple(&cells);
                length += text.chars().count();
                all.push(text);
                if length > MAX_SHOWN {
                    break;
                }
            }
            shown = list(all.into_iter());
        }
        transaction.commit()?;
        Ok(shown)
    }

    /// The hash that the original compares: of each table MD5 over the sorted first five digits of the MD5 of each row, as
    /// `GROUP_CONCAT` joins (and cuts) them. What the original makes of a table without rows is `None`; `error` stands for
    /// MySQL's message where a table or a column is gone.
    pub fn hash(&self, tables: &[Table]) -> String {
        let mut hashes: Vec<String> = tables
            .iter()
            .map(|table| self.table_hash(table).unwrap_or_else(|_| "error".into()))
            .collect();
        hashes.sort();
        hashes.join("_")
    }

    fn table_hash(&self, table: &Table) -> Result<String, Error> {
        let (connection, meter) = self.parts()?;
        meter.start();
        let known = self.catalog.get(&table.name).ok_or(Error::QueryReturnedNoRows)?;
        let quoted = |name: &String| format!("`{}`", name.replace('`', "``"));
        if let Some(gone) = table
            .columns
            .iter()
            .find(|column| !known.iter().any(|name| name.eq_ignore_ascii_case(column)))
        {
            return Err(Error::InvalidColumnName(gone.clone()));
        }
        let columns: Vec<_> = table.columns.iter().map(quoted).collect();
        let mut select = connection.prepare(&format!("SELECT {} FROM {}", columns.join(", "), quoted(&table.name)))?;
        let mut rows = select.query([])?;
        let mut hashes = vec![];
        while let Some(row) = rows.next()? {
            let cells = (0..columns.len())
                .map(|i| row.get_ref(i).map(|cell| Datum::of(cell).text()))
                .collect::<Result<Vec<_>, _>>()?;
            let cells: Vec<String> = cells.into_iter().flatten().collect();
            hashes.push(mysql::md5(&cells.join(","))[..5].to_owned());
        }
        if hashes.is_empty() {
            return Ok("None".into());
        }
        hashes.sort();
        let joined = hashes.join(",");
        Ok(mysql::md5(&joined[..joined.len().min(GROUP_CONCAT_MAX)]))
    }

    /// SHA-256 over all tables, their columns and their rows in order.
    pub fn fingerprint(&self) -> Result<String, Error> {
        let mut digest = Sha256::new();
        let mut add = |text: &[u8]| {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        };
        let (connection, meter) = self.parts()?;
        meter.start();
        for (table, columns) in &self.catalog {
            add(table.as_bytes());
            columns.iter().for_each(|column| add(column.as_bytes()));
            let mut select = connection.prepare(&format!("SELECT * FROM `{}`", table.replace('`', "``")))?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                for i in 0..columns.len() {
                    add(Datum::of(row.get_ref(i)?).text().as_deref().unwrap_or("\0").as_bytes());
                }
            }
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The names of tables and columns.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// All rows of a table, for people and for state.
    pub fn rows(&self, table: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        let (connection, meter) = self.parts()?;
        meter.start();
        let mut select = connection.prepare(&format!("SELECT * FROM `{}`", table.replace('`', "``")))?;
        let width = select.column_count();
        let rows = select.query_map([], |row| {
            (0..width)
                .map(|i| row.get_ref(i).map(|cell| Datum::of(cell).text()))
                .collect()
        })?;
        rows.collect()
    }

    /// As it is now.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn image(&mut self) -> Result<Image, Error> {
        let opened = self.opened.as_mut().ok_or(Error::InvalidQuery)?;
        let bytes = opened.trusted(|connection| Ok(connection.serialize("main")?.to_vec()))?;
        Ok(Image {
            bytes: bytes.into(),
            catalog: self.catalog.clone(),
        })
    }

    /// As it was then.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn restore(image: &Image) -> Result<Self, Error> {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut opened = match kept {
            // An empty database has no bytes, and would leave what is there.
            Some(opened) if !image.bytes.is_empty() => opened,
            _ => Opened::new()?,
        };
        opened.trusted(|connection| {
            if !image.bytes.is_empty() {
                connection.deserialize_read_exact("main", &image.bytes[..], image.bytes.len(), false)?;
            }
            connection.execute_batch(&format!("PRAGMA max_page_count = {MAX_PAGES}"))
        })?;
        Ok(Self {
            opened: Some(opened),
            catalog: image.catalog.clone(),
        })
    }

    /// An independent copy.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn fork(&mut self) -> Result<Self, Error> {
        Self::restore(&self.image()?)
    }

    fn parts(&self) -> Result<(&Connection, &Meter), Error> {
        self.opened
            .as_ref()
            .map(|opened| (&opened.connection, &*opened.meter))
            .ok_or(Error::InvalidQuery)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        // One in the middle of something has panicked, and is not to be trusted.
        if let Some(opened) = self
            .opened
            .take()
            .filter(|opened| opened.connection.is_autocommit() && kept.len() < MAX_KEPT)
        {
            opened.connection.flush_prepared_statement_cache();
            kept.push(opened);
        }
    }
}

impl Opened {
    fn new() -> Result<Self, Error> {
        let mut connection = Connection::open_in_memory()?;
        mysql::register(&connection)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        connection.execute_batch(&format!(
            "PRAGMA max_page_count = {MAX_PAGES}; PRAGMA temp_store = MEMORY;"
        ))?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0)?;
        let meter = Arc::new(Meter::default());
        let watched = meter.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            if watched.ours.load(Ordering::Relaxed) {
                Authorization::Allow
            } else {
                authorize(context)
            }
        }))?;
        let watched = meter.clone();
        connection.progress_handler(LOOK, Some(move || watched.exceeded()))?;
        Ok(Self { connection, meter })
    }

    /// Do something that statements of agents may not.
    fn trusted<T>(&mut self, act: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.meter.start();
        self.meter.ours.store(true, Ordering::Relaxed);
        let result = act(&mut self.connection);
        self.meter.ours.store(false, Ordering::Relaxed);
        result
    }
}

impl Meter {
    fn start(&self) {
        self.steps.store(0, Ordering::Relaxed);
        self.memory.store(memory(), Ordering::Relaxed);
    }

    fn exceeded(&self) -> bool {
        let steps = self.steps.fetch_add(LOOK as u64, Ordering::Relaxed);
        steps > MAX_STEPS || memory() - self.memory.load(Ordering::Relaxed) > MAX_MEMORY
    }
}

/// Bytes that SQLite has allocated in this process.
fn memory() -> i64 {
    // SAFETY: it takes no arguments and only reads a counter, which SQLite guards itself.
    unsafe { rusqlite::ffi::sqlite3_memory_used() }
}

/// No statement of ours needs more. Statements of the agent do not reach SQLite as they are; this is the second lock.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::CreateVtable { .. }
        | AuthAction::DropVtable { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::Unknown { .. } => Authorization::Deny,
        AuthAction::Pragma { pragma_name, .. } if !matches!(pragma_name, "table_info" | "quick_check") => {
            Authorization::Deny
        }
        AuthAction::Function {
            function_name: "load_extension" | "readfile" | "writefile" | "edit" | "fts3_tokenizer",
        } => Authorization::Deny,
        _ => Authorization::Allow,
    }
}

/// SQLite's message as MySQL's.
fn problem(error: &Error) -> Problem {
    let text = match error {
        Error::SqliteFailure(_, Some(text)) => text.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    if matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::OperationInterrupted)
    ) {
        return Problem::new(Class::Limit, "Error: SQL execution timed out.");
    }
    if matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull)) {
        return Problem::new(Class::Limit, "1114 (HY000): The table is full");
    }
    let after = |start: &str| {
        text.strip_prefix(start)
            .map(|rest| rest.split(" in ").next().unwrap_or(rest).to_owned())
    };
    if let Some(name) = after("no such column: ") {
        return Problem::no_column(&name);
    }
    if let Some(name) = after("no such table: ") {
        return Problem::no_table(&name);
    }
    if let Some(name) = after("ambiguous column name: ") {
        return Problem::new(
            Class::Other,
            format!("1052 (23000): Column '{name}' in field list is ambiguous"),
        );
    }
    if text.contains("misuse of aggregate") {
        return Problem::new(Class::Other, "1111 (HY000): Invalid use of group function");
    }
    if text.starts_with("sub-select returns") || text.contains("row value misused") {
        return Problem::new(Class::Other, "1241 (21000): Operand should contain 1 column(s)");
    }
    // Our own functions word it as MySQL does.
    let numbered = text
        .split(' ')
        .next()
        .is_some_and(|code| code.len() == 4 && code.bytes().all(|b| b.is_ascii_digit()));
    Problem::new(
        Class::Other,
        if numbered {
            text
        } else {
            format!("1105 (HY000): {text}")
        },
    )
}

/// A row as Python shows a tuple.
fn tuple(cells: &[Datum]) -> String {
    match cells {
        [one] => format!("({},)", one.repr()),
        several => format!("({})", several.iter().map(Datum::repr).collect::<Vec<_>>().join(", ")),
    }
}

/// Rows as Python shows a list.
fn list(rows: impl Iterator<Item = String>) -> String {
    format!("[{}]", rows.collect::<Vec<_>>().join(", "))
}
