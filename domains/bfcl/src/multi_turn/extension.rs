//! The bulk data of long-context worlds.

use hone_python::{Dict, Expr, Literal, NotConstant, Opaque, Value, constant, parse};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The data that long-context worlds add to files, cards, shares and results.
///
/// It is read from the original's own `long_context.py`, a list of assignments of literals, which is never run.
#[derive(Clone, Debug)]
pub struct Extension {
    values: Dict,
    /// SHA-256 of the file, as hexadecimal digits.
    pub digest: String,
}

/// An extension that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}; take long_context.py from the package bfcl-eval unchanged")]
pub struct ExtensionError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub what: String,
}

const NAMES: [&str; 16] = [
    "AUTOMOBILE_EXTENSION",
    "BOOKING_RECORD_EXTENSION",
    "CAR_STATUS_METADATA_EXTENSION",
    "CREDIT_CARD_EXTENSION",
    "FILES_TAIL_USED",
    "FILE_CONTENT_EXTENSION",
    "INTERMEDIARY_CITIES",
    "LONG_WEATHER_EXTENSION",
    "MA_20_EXTENSION",
    "MA_5_EXTENSION",
    "ORDER_DETAIL_EXTENSION",
    "PARKING_BRAKE_INSTRUCTION",
    "POPULATE_FILE_EXTENSION",
    "TECHNOLOGY_EXTENSION",
    "TRANSACTION_HISTORY_EXTENSION",
    "WATCH_LIST_EXTENSION",
];

const MAX_FILE: u64 = 4 << 20;

static NOTHING: Value = Value::None;

impl Extension {
    /// Read `long_context.py`.
    ///
    /// # Errors
    /// When it cannot be read, or an assignment is missing or is no literal.
    pub fn load(path: &Path) -> Result<Self, ExtensionError> {
        let fail = |what: String| ExtensionError {
            file: path.display().to_string(),
            what,
        };
        let size = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
        if size > MAX_FILE {
            return Err(fail("is larger than 4 MiB".into()));
        }
        let source = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        let mut values = Dict::new();
        for (name, written) in assignments(&source) {
            let tree = parse(written.trim()).map_err(|e| fail(format!("{name} does not parse: {e}")))?;
            let value = literal(&tree).map_err(|e| fail(format!("{name} is no literal: {e}")))?;
            values.set(name, value);
        }
        for name in NAMES {
            if !values.contains(name) {
                return Err(fail(format!("{name} is missing")));
            }
        }
        let digest = Sha256::digest(source.as_bytes());
        Ok(Self {
            values,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// A value of the file; `None` for a name that it does not have.
    pub(super) fn get(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&NOTHING)
    }
}

/// A literal's value. One of the lists ends in `...`, which is a value in Python too.
fn literal(tree: &Expr) -> Result<Value, NotConstant> {
    match tree {
        Expr::Literal(Literal::Ellipsis) => Ok(Value::from(Opaque {
            type_name: "ellipsis",
            repr: "Ellipsis".into(),
        })),
        Expr::List(items) => items.iter().map(literal).collect::<Result<_, _>>().map(Value::List),
        other => constant(other),
    }
}

/// Names and literals of the assignments that begin a line.
fn assignments(source: &str) -> Vec<(&str, &str)> {
    let mut starts = vec![];
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        if let Some((name, rest)) = line.split_once('=') {
            let trimmed = name.trim_end();
            if !trimmed.is_empty()
                && trimmed
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            {
                starts.push((at, trimmed, at + line.len() - rest.len()));
            }
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(at, ..)| *at).chain([source.len()]);
    let found = starts.iter().zip(ends);
    found
        .map(|((_, name, from), end)| (*name, &source[*from..end]))
        .collect()
}
