//! The records.

use hone_python::Value;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Largest file that is read.
const MAX_FILE: u64 = 256 << 20;

/// What a record asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// To find something out.
    Read,
    /// To change the table.
    Change,
}

/// A table as the record gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns' names, in order.
    pub columns: Vec<String>,
    /// Its rows, each cell as Python's `str` writes it.
    pub rows: Vec<Vec<String>>,
}

/// A question or an order about a table.
#[derive(Clone, Debug)]
pub struct Record {
    /// `FILE/LINE`, from 0 on.
    pub id: String,
    /// The first of its types: `INSERT`, `counting`, `aggregation-MAX` and so on.
    pub category: String,
    /// What the category asks for.
    pub kind: Kind,
    /// The question.
    pub description: String,
    /// What is said about the table.
    pub about_table: String,
    /// Evidence, in some data sets.
    pub evidence: String,
    /// The tables.
    pub tables: Vec<Table>,
    /// For a question, the right answers. For an order, statements that follow it.
    pub label: Value,
    /// For an order, the table's hash afterwards, as the original writes it.
    pub hash: Option<String>,
    /// The statement that the question was made from. The original does not use it for scoring.
    pub gold_sql: Option<String>,
}

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}; name a folder that holds dbbench/")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{path} line {line}: {what}; take the file from AgentBench's data/dbbench")]
    Broken {
        /// The file.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// What.
        what: String,
    },
}

#[derive(Deserialize)]
struct Line {
    description: String,
    #[serde(default)]
    add_description: String,
    #[serde(default)]
    evidence: String,
    #[serde(default)]
    label: Value,
    #[serde(default)]
    answer_md5: Option<String>,
    #[serde(default)]
    sql: Option<Sql>,
    #[serde(rename = "type")]
    types: Vec<String>,
    table: OneOrMany,
}

#[derive(Deserialize)]
struct Sql {
    query: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(RawTable),
    Many(Vec<RawTable>),
}

#[derive(Deserialize)]
struct RawTable {
    table_name: String,
    table_info: Info,
}

#[derive(Deserialize)]
struct Info {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

/// Names of AgentBench's files.
pub const FILES: [&str; 2] = ["standard", "dev"];

/// The records of `dbbench/FILE.jsonl` below the data folder.
///
/// # Errors
/// When the file cannot be read or a line is broken.
pub fn load(data: &Path, file: &str) -> Result<Vec<Record>, DataError> {
    let path = data.join("dbbench").join(format!("{file}.jsonl"));
    let read = |error| DataError::Read {
        path: path.clone(),
        error,
    };
    let size = std::fs::metadata(&path).map_err(read)?.len();
    if size > MAX_FILE {
        return Err(read(std::io::Error::other(format!(
            "it has {size} bytes, more than {MAX_FILE}"
        ))));
    }
    let text = std::fs::read_to_string(&path).map_err(read)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            record(line, &format!("{file}/{n}")).map_err(|what| DataError::Broken {
                path: path.clone(),
                line: n + 1,
                what,
            })
        })
        .collect()
}

/// A record from its line.
///
/// # Errors
/// What is wrong with it.
pub fn record(line: &str, id: &str) -> Result<Record, String> {
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let category = line.types.into_iter().next().ok_or("`type` is empty")?;
    let kind = match category.as_str() {
        "INSERT" | "DELETE" | "UPDATE" => Kind::Change,
        _ => Kind::Read,
    };
    let tables = match line.table {
        OneOrMany::One(table) => vec![table],
        OneOrMany::Many(tables) => tables,
    };
    let tables = tables.into_iter().map(|table| Table {
        name: table.table_name,
        columns: table.table_info.columns.into_iter().map(|column| column.name).collect(),
        rows: table
            .table_info
            .rows
            .iter()
            .map(|row| row.iter().map(ToString::to_string).collect())
            .collect(),
    });
    Ok(Record {
        id: id.to_owned(),
        category,
        kind,
        description: line.description,
        about_table: line.add_description,
        evidence: line.evidence,
        tables: tables.collect(),
        label: line.label,
        hash: line.answer_md5,
        gold_sql: line.sql.map(|sql| sql.query),
    })
}

impl Record {
    /// The statement that the gold player runs: the label of an order, the query behind a question.
    pub fn statement(&self) -> Option<&str> {
        match self.kind {
            Kind::Read => self.gold_sql.as_deref(),
            Kind::Change => self
                .label
                .as_list()
                .and_then(|label| label.first())
                .and_then(Value::as_str),
        }
    }
}
