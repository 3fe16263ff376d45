//! The rows: an OpenAI Responses request and what the verifier needs.

use hone_python::{Value, loads};
use hone_tool::{Annotations, ToolSpec};
use std::path::{Path, PathBuf};

/// Largest file that is read.
const MAX_FILE: u64 = 1 << 30;

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its place in its file, from 0 on.
    pub index: usize,
    /// The whole row.
    pub fields: Value,
}

/// Why rows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}; name a folder that holds nemo-gym/")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{path} line {line}: {what}; take rows as NeMo Gym writes them")]
    Broken {
        /// The file.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// What.
        what: String,
    },
}

/// The rows of `nemo-gym/NAME.jsonl` below the data folder.
///
/// # Errors
/// When the file cannot be read or a line is no object with `responses_create_params`.
pub fn load(data: &Path, name: &str) -> Result<Vec<Row>, DataError> {
    let path = data.join("nemo-gym").join(format!("{name}.jsonl"));
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
        .enumerate()
        .map(|(index, (n, line))| {
            let broken = |what: String| DataError::Broken {
                path: path.clone(),
                line: n + 1,
                what,
            };
            let fields = loads(line).map_err(|e| broken(e.to_string()))?;
            let row = Row { index, fields };
            if row
                .get("responses_create_params")
                .and_then(|params| params.get("input"))
                .is_none()
            {
                return Err(broken("there is no `responses_create_params.input`".into()));
            }
            Ok(row)
        })
        .collect()
}

impl Row {
    /// A field.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_none())
    }

    /// A text field.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// A list field; without it, an empty one.
    pub fn list(&self, key: &str) -> &[Value] {
        self.get(key).and_then(Value::as_list).unwrap_or_default()
    }

    fn params(&self, key: &str) -> Option<&Value> {
        self.get("responses_create_params")?.get(key)
    }

    /// The messages before the agent's first turn: role (or type, for calls and their results) and text.
    pub fn messages(&self) -> Vec<(String, String)> {
        match self.params("input") {
            Some(Value::Str(text)) => vec![("user".into(), text.clone())],
            Some(Value::List(items)) => items.iter().filter_map(message).collect(),
            _ => vec![],
        }
    }

    /// The input's texts, a line each: what the agent was given.
    pub fn input_text(&self) -> String {
        let Some(Value::List(items)) = self.params("input") else {
            return self
                .params("input")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
        };
        let mut parts = vec![];
        for item in items {
            match item.get("content") {
                Some(Value::Str(text)) => parts.push(text.as_str()),
                Some(Value::List(blocks)) => parts.extend(
                    blocks
                        .iter()
                        .filter_map(|block| block.get("text")?.as_str())
                        .filter(|text| !text.is_empty()),
                ),
                _ => {}
            }
        }
        parts.join("\n")
    }

    /// Whether it shows something other than text.
    pub fn has_media(&self) -> bool {
        let items = self.params("input").and_then(Value::as_list).unwrap_or_default();
        let parts = items.iter().filter_map(|item| item.get("content")?.as_list()).flatten();
        parts
            .filter_map(|part| part.get("type")?.as_str())
            .any(|kind| !kind.ends_with("text"))
    }

    /// The tools on offer. They judge their own arguments, as the servers do.
    pub fn tools(&self) -> Vec<ToolSpec> {
        let tools = self.params("tools").and_then(Value::as_list).unwrap_or_default();
        let spec = |tool: &Value| {
            let parameters = tool
                .get("parameters")
                .and_then(|parameters| serde_json::to_value(parameters).ok());
            Some(ToolSpec {
                name: tool.get("name")?.as_str()?.to_owned(),
                description: tool
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                input_schema: parameters
                    .filter(serde_json::Value::is_object)
                    .unwrap_or_else(|| serde_json::json!({"type": "object"})),
                annotations: Annotations::default(),
                version: env!("CARGO_PKG_VERSION").into(),
                unchecked: true,
            })
        };
        tools.iter().filter_map(spec).collect()
    }
}

fn message(item: &Value) -> Option<(String, String)> {
    let text = |content: &Value| match content {
        Value::Str(text) => text.clone(),
        Value::List(parts) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    };
    let string = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (
        item.get("role").and_then(Value::as_str),
        item.get("type").and_then(Value::as_str),
    ) {
        (Some(role), _) => Some((role.to_owned(), item.get("content").map(text).unwrap_or_default())),
        (None, Some("function_call")) => Some(("call".into(), format!("{} {}", string("name"), string("arguments")))),
        (None, Some("function_call_output")) => Some(("result".into(), string("output"))),
        // Thoughts of former turns are not given.
        _ => None,
    }
}
