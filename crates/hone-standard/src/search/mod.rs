//! Search over a corpus of one's own, with results as a search of the web gives them.

mod corpus;
#[cfg(test)]
mod tests;

pub use corpus::{Corpus, Entry, Found};

use crate::arguments::{READS, count, tool, word};
use crate::{Card, Kit};
use corpus::{MAX_BYTES, MAX_DOCUMENT, MAX_DOCUMENTS, MAX_ID};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Longest query, in characters.
const MAX_QUERY: usize = 500;
/// Most results.
const MAX_RESULTS: u64 = 50;
/// As many if the call does not say.
const RESULTS: u64 = 10;
/// Most characters of a document in an answer.
const MAX_SHOWN: u64 = 50_000;
/// As many if the call does not say.
const SHOWN: u64 = 10_000;

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    vec![
        tool(
            "search",
            "Search the documents by words and by likeness. Gives titles, ids and snippets, best first; open_result has the whole text.",
            object_schema(
                json!({
                    "query": {"type": "string", "minLength": 1, "maxLength": MAX_QUERY, "description": "what to look for, in a few words"},
                    "limit": {
                        "type": "integer", "minimum": 1, "maximum": MAX_RESULTS,
                        "description": format!("at most so many results (default: {RESULTS})"),
                    },
                }),
                &["limit"],
            ),
            READS,
        ),
        tool(
            "open_result",
            "Read a document that search has found.",
            object_schema(
                json!({
                    "id": {"type": "string", "minLength": 1, "maxLength": MAX_ID, "description": "as the result names it"},
                    "start": {"type": "integer", "minimum": 0, "description": "character to begin at (default: 0)"},
                    "max_chars": {
                        "type": "integer", "minimum": 1, "maximum": MAX_SHOWN,
                        "description": format!("at most so many characters (default: {SHOWN})"),
                    },
                }),
                &["start", "max_chars"],
            ),
            READS,
        ),
    ]
});

/// What the tools are, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "search",
        about: "search over documents of one's own: BM25 and vectors, fused by reciprocal rank",
        settings: "`corpus`: a folder of texts, or a JSON Lines file of `{\"id\", \"title\", \"url\", \"text\"}`; `embedder`: a command that \
                   makes vectors (default: words and pieces of words, hashed)",
        limits: format!(
            "{MAX_DOCUMENTS} documents, {} MiB together, {} MiB each; queries of {MAX_QUERY} characters; {MAX_RESULTS} results and \
             {MAX_SHOWN} characters in an answer",
            MAX_BYTES >> 20,
            MAX_DOCUMENT >> 20,
        ),
        specs: SPECS.clone(),
    }
}

/// Settings of the search.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The documents.
    pub corpus: PathBuf,
    /// A command that makes vectors (docs/protocol.md).
    pub embedder: Option<Vec<String>>,
}

/// The tools on a corpus. Cheap to copy.
#[derive(Clone)]
pub struct Search(Arc<Corpus>);

impl Search {
    /// Tools on a corpus.
    pub fn new(corpus: Corpus) -> Self {
        Self(Arc::new(corpus))
    }

    fn search(&self, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let limit = count(arguments, "limit", RESULTS).min(MAX_RESULTS) as usize;
        let found = self
            .0
            .search(word(arguments, "query"), limit)
            .map_err(|what| ToolError {
                class: hone_trace::ToolErrorClass::Infrastructure,
                message: what,
            })?;
        let results: Vec<Value> = (1..)
            .zip(found)
            .map(|(rank, Found { entry, snippet })| {
                let mut result = json!({"rank": rank, "id": entry.id, "title": entry.title, "snippet": snippet});
                if let Some(url) = &entry.url {
                    result["url"] = url.as_str().into();
                }
                result
            })
            .collect();
        Ok(ToolOutput::json(json!({"results": results})))
    }

    fn read(&self, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let id = word(arguments, "id");
        let entry = self.0.get(id).ok_or_else(|| {
            let id: String = id.chars().take(MAX_ID).collect();
            ToolError::tool(format!(
                "there is no document `{id}`; take the id of a result of search"
            ))
        })?;
        let total = entry.text.chars().count();
        let start = count(arguments, "start", 0) as usize;
        let shown: String = entry
            .text
            .chars()
            .skip(start)
            .take(count(arguments, "max_chars", SHOWN) as usize)
            .collect();
        let end = start.saturating_add(shown.chars().count()).min(total);
        let mut text = format!("{}\n\n{shown}", entry.title);
        if start > 0 || end < total {
            text += &format!("\n[characters {start} to {end} of {total}");
            text += &if end < total {
                format!("; read on with start = {end}]")
            } else {
                "]".to_owned()
            };
        }
        Ok(ToolOutput {
            data: json!({
                "id": entry.id, "title": entry.title, "url": entry.url, "text": shown, "start": start, "end": end, "characters": total,
            }),
            text,
            ..ToolOutput::default()
        })
    }
}

impl ToolHost for Search {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        match tool {
            "search" => self.search(arguments),
            "open_result" => self.read(arguments),
            _ => Err(crate::arguments::unknown(tool)),
        }
    }
}

impl Environment for Search {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}

impl Kit for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn open(&self, _folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(self.clone()))
    }

    fn digest(&self) -> String {
        self.0.digest().to_owned()
    }
}
