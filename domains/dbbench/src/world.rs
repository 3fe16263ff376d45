//! A record's database as a Hone environment, with the original's two tools.

use crate::data::Record;
use crate::database::{Database, Image, SetupError};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::sync::{Arc, LazyLock, OnceLock};

/// What the original says to a turn without a call.
pub const NO_CALL: &str = "Internal error: No tool calls found despite finish reason.";

static TOOLS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let spec = |name: &str, description: &str, argument: &str, schema: Value, read_only: bool| ToolSpec {
        name: name.into(),
        description: description.into(),
        input_schema: json!({
            "type": "object", "properties": {argument: schema}, "required": [argument], "additionalProperties": false,
        }),
        annotations: Annotations {
            read_only_hint: read_only,
            destructive_hint: !read_only,
            idempotent_hint: read_only,
            open_world_hint: false,
        },
        version: env!("CARGO_PKG_VERSION").into(),
        unchecked: false,
    };
    vec![
        spec(
            "execute_sql",
            "Executes a given SQL statement on the database and returns the result.",
            "query",
            json!({"type": "string", "description": "The SQL query to be executed."}),
            false,
        ),
        spec(
            "commit_final_answer",
            "Commits the final answer after all operations are completed.",
            "answers",
            json!({"type": "array", "items": {"type": "string"}, "description": "The list of final answers to commit."}),
            true,
        ),
    ]
});

/// Records with their databases as they are in the beginning, made when they are first asked for.
pub struct Records {
    records: Vec<Record>,
    images: Vec<OnceLock<Result<Image, SetupError>>>,
}

impl Records {
    /// Without databases yet.
    pub fn new(records: Vec<Record>) -> Self {
        let images = records.iter().map(|_| OnceLock::new()).collect();
        Self { records, images }
    }

    /// The records.
    pub fn all(&self) -> &[Record] {
        &self.records
    }

    /// The database of a record.
    fn database(&self, record: usize) -> Result<Database, SetupError> {
        let (Some(image), Some(record)) = (self.images.get(record), self.records.get(record)) else {
            return Err(SetupError::Sqlite("there is no such record".into()));
        };
        let image = image.get_or_init(|| Ok(Database::of(&record.tables)?.image()?));
        Ok(Database::restore(image.as_ref().map_err(Clone::clone)?)?)
    }
}

/// A database in which one record is played.
pub struct World {
    records: Arc<Records>,
    record: usize,
    /// Where the set-up fails there is no database, as in the original, and no answer is right.
    database: Result<RefCell<Database>, SetupError>,
    answer: Option<Value>,
}

impl World {
    /// A world for these records.
    pub fn new(records: Arc<Records>) -> Self {
        Self {
            records,
            record: 0,
            database: Err(SetupError::Sqlite("no task has begun".into())),
            answer: None,
        }
    }

    /// Begin a record.
    pub fn begin(&mut self, record: usize) {
        self.record = record;
        self.answer = None;
        self.database = self.records.database(record).map(RefCell::new);
    }

    /// The hash of the record's tables as they are.
    pub fn hash(&self) -> Option<String> {
        let record = self.records.all().get(self.record)?;
        Some(self.database.as_ref().ok()?.borrow().hash(&record.tables))
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &TOOLS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let database = self
            .database
            .as_mut()
            .map_err(|error| ToolError::tool(format!("there is no database: {error}")))?;
        match (
            tool,
            arguments.get("query").and_then(Value::as_str),
            arguments.get("answers"),
        ) {
            ("execute_sql", Some(sql), _) => {
                let shown = database.get_mut().execute(sql);
                Ok(ToolOutput {
                    data: shown.clone().into(),
                    text: shown,
                    ..ToolOutput::default()
                })
            }
            ("commit_final_answer", _, Some(answers)) => {
                self.answer = Some(answers.clone());
                Ok(ToolOutput {
                    terminal: true,
                    ..ToolOutput::default()
                })
            }
            _ => Err(ToolError::tool("Invalid function call. Please call a tool instead.")),
        }
    }

    fn state_hash(&self) -> Option<String> {
        self.database.as_ref().ok()?.borrow().fingerprint().ok()
    }
}

impl Environment for World {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        let id = task.data.get("record").and_then(Value::as_str).unwrap_or_default();
        let record = self.records.all().iter().position(|record| record.id == id);
        let record = record.ok_or_else(|| EnvError::Data {
            what: format!("task {} is of record `{id}`, which is not here", task.id),
            remedy: "take the task from this taskset".into(),
        })?;
        self.begin(record);
        Ok(())
    }

    fn state(&self) -> Value {
        let tables = self.database.as_ref().ok().map(|database| {
            let database = database.borrow();
            let tables = database.catalog().iter().map(|(name, columns)| {
                (
                    name.clone(),
                    json!({"columns": columns, "rows": database.rows(name).unwrap_or_default()}),
                )
            });
            tables.collect::<serde_json::Map<_, _>>()
        });
        json!({"answer": self.answer, "hash": self.hash(), "tables": tables})
    }

    fn user(&mut self, _: &str) -> Result<Option<String>, EnvError> {
        Ok(Some(NO_CALL.into()))
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        let database = match &self.database {
            Ok(database) => Ok(RefCell::new(database.borrow_mut().fork().ok()?)),
            Err(error) => Err(error.clone()),
        };
        Some(Box::new(Self {
            records: self.records.clone(),
            record: self.record,
            database,
            answer: self.answer.clone(),
        }))
    }
}
