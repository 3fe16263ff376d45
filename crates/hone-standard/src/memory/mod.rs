//! Notes that an agent keeps for the length of an episode, by key and, with the feature `full`, by likeness.

#[cfg(feature = "full")]
mod near;
#[cfg(test)]
mod tests;

use crate::arguments::{READS, REPLACES, count, tool, word};
use crate::{Card, Kit};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use hone_trace::ToolErrorClass;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Most notes.
const MAX_NOTES: usize = 1000;
/// Longest key, in characters.
const MAX_KEY: usize = 200;
/// Longest note, in characters.
const MAX_TEXT: usize = 8000;
/// Most bytes of all notes and keys.
const MAX_BYTES: usize = 256 << 10;
/// Most keys in an answer.
const MAX_SHOWN: u64 = 200;
/// As many if the call does not say.
const SHOWN: u64 = 50;
/// How much of a note a list shows, in characters.
const BEGINNING: usize = 80;

static SPECS: LazyLock<Arc<Vec<ToolSpec>>> = LazyLock::new(|| {
    let key = json!({
        "type": "string", "minLength": 1, "maxLength": MAX_KEY,
        "description": "by what the note is found again, such as user/address",
    });
    let limit = json!({
        "type": "integer", "minimum": 1, "maximum": MAX_SHOWN,
        "description": format!("at most so many are shown (default: {SHOWN})"),
    });
    Arc::new(vec![
        tool(
            "remember",
            "Keep a note under a key; replaces the note that is there.",
            object_schema(
                json!({
                    "key": key,
                    "text": {"type": "string", "maxLength": MAX_TEXT, "description": "what to keep"},
                }),
                &[],
            ),
            REPLACES,
        ),
        tool(
            "recall",
            "Read the note of a key.",
            object_schema(json!({"key": key}), &[]),
            READS,
        ),
        tool(
            "list_notes",
            "List the keys of the notes in alphabetical order, with the beginning of each note.",
            object_schema(
                json!({
                    "prefix": {"type": "string", "maxLength": MAX_KEY, "description": "only keys that begin with this"},
                    "limit": limit,
                }),
                &["prefix", "limit"],
            ),
            READS,
        ),
        #[cfg(feature = "full")]
        tool(
            "search_notes",
            "Find the notes that are most like a text, best first.",
            object_schema(
                json!({
                    "query": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "description": "what a note should be about"},
                    "limit": limit,
                }),
                &["limit"],
            ),
            READS,
        ),
        tool(
            "forget",
            "Delete the note of a key.",
            object_schema(json!({"key": key}), &[]),
            REPLACES,
        ),
    ])
});

/// What the tools are, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "memory",
        about: "notes by key and by likeness, for the length of an episode",
        settings: "`notes`: a table of notes to begin with; `embedder`: a command that makes vectors (default: words and pieces of \
                   words, hashed)",
        limits: format!(
            "{MAX_NOTES} notes, {} KiB together; keys of {MAX_KEY} and notes of {MAX_TEXT} characters; {MAX_SHOWN} keys in an answer",
            MAX_BYTES >> 10
        ),
        specs: SPECS.to_vec(),
    }
}

/// Settings of the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What every episode begins with.
    #[serde(default)]
    pub notes: BTreeMap<String, String>,
    /// A command that makes vectors (docs/protocol.md).
    #[cfg(feature = "full")]
    pub embedder: Option<Vec<String>>,
}

/// Why a note cannot be kept or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// There is no such note.
    #[error("there is no note `{key}`; list_notes shows the keys")]
    Missing {
        /// The key.
        key: String,
    },
    /// A key or a note is empty or too long.
    #[error("{what} {length} characters, and {most} are the most; shorten it")]
    Long {
        /// Which, with its verb.
        what: &'static str,
        /// How long it is.
        length: usize,
        /// How long it may be.
        most: usize,
    },
    /// A key is empty.
    #[error("the key is empty; write one such as user/address")]
    Empty,
    /// What makes vectors of notes fails.
    #[error("{0}")]
    Embedder(String),
    /// There is no more room.
    #[error("the memory is full ({MAX_NOTES} notes or {MAX_BYTES} bytes); forget what is no longer needed")]
    Full,
}

/// The notes.
#[derive(Clone, Debug)]
pub struct Memory {
    /// As it is when an episode begins; nothing in that one itself.
    start: Option<Arc<Memory>>,
    notes: BTreeMap<String, String>,
    bytes: usize,
    hash: String,
    #[cfg(feature = "full")]
    near: near::Near,
}

impl Memory {
    /// A memory that begins with these notes; a command that makes vectors runs in `folder`.
    ///
    /// # Errors
    /// When they are beyond the bounds, or the command does not start.
    pub fn new(settings: Settings, folder: &Path) -> Result<Self, MemoryError> {
        #[cfg(not(feature = "full"))]
        let _ = folder;
        let mut memory = Self {
            start: None,
            notes: BTreeMap::new(),
            bytes: 0,
            hash: String::new(),
            #[cfg(feature = "full")]
            near: near::Near::new(settings.embedder.as_deref(), folder).map_err(MemoryError::Embedder)?,
        };
        for (key, text) in &settings.notes {
            memory.put(key, text)?;
        }
        memory.touch();
        let start = Some(Arc::new(memory.clone()));
        Ok(Self { start, ..memory })
    }

    fn put(&mut self, key: &str, text: &str) -> Result<(), MemoryError> {
        if key.is_empty() {
            return Err(MemoryError::Empty);
        }
        for (what, value, most) in [("the key has", key, MAX_KEY), ("the note has", text, MAX_TEXT)] {
            let length = value.chars().count();
            if length > most {
                return Err(MemoryError::Long { what, length, most });
            }
        }
        let old = self.notes.get(key).map_or(0, |old| key.len() + old.len());
        let bytes = self.bytes - old + key.len() + text.len();
        if bytes > MAX_BYTES || (old == 0 && self.notes.len() >= MAX_NOTES) {
            return Err(MemoryError::Full);
        }
        #[cfg(feature = "full")]
        self.near
            .put(key, text)
            .map_err(|error| MemoryError::Embedder(error.to_string()))?;
        self.notes.insert(key.to_owned(), text.to_owned());
        self.bytes = bytes;
        Ok(())
    }

    fn touch(&mut self) {
        let mut hash = Sha256::new();
        for text in self.notes.iter().flat_map(|(key, text)| [key, text]) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        self.hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    }

    fn answer(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, MemoryError> {
        let key = word(arguments, "key");
        match tool {
            "remember" => {
                self.put(key, word(arguments, "text"))?;
                self.touch();
                Ok(ToolOutput::json(json!({"remembered": key, "notes": self.notes.len()})))
            }
            "recall" => {
                let text = self.notes.get(key).ok_or_else(|| missing(key))?;
                Ok(ToolOutput::json(json!({"key": key, "text": text})))
            }
            "forget" => {
                let old = self.notes.remove(key).ok_or_else(|| missing(key))?;
                self.bytes -= key.len() + old.len();
                #[cfg(feature = "full")]
                self.near.remove(key);
                self.touch();
                Ok(ToolOutput::json(json!({"forgotten": key, "notes": self.notes.len()})))
            }
            #[cfg(feature = "full")]
            "search_notes" => {
                let limit = count(arguments, "limit", SHOWN) as usize;
                let found = self.near.find(word(arguments, "query"), limit);
                let found = found.map_err(|error| MemoryError::Embedder(error.to_string()))?;
                let shown = found.into_iter().map(|(key, cosine)| {
                    let likeness = (f64::from(cosine) * 1000.0).round() / 1000.0;
                    json!({"key": key, "text": self.notes.get(key), "likeness": likeness})
                });
                Ok(ToolOutput::json(json!({"notes": shown.collect::<Vec<_>>()})))
            }
            _ => {
                let prefix = word(arguments, "prefix");
                let limit = count(arguments, "limit", SHOWN) as usize;
                let fits = self
                    .notes
                    .range(prefix.to_owned()..)
                    .take_while(|(key, _)| key.starts_with(prefix));
                let all = fits.clone().count();
                let shown: Vec<Value> = fits
                    .take(limit)
                    .map(|(key, text)| {
                        let beginning: String = text.chars().take(BEGINNING).collect();
                        json!({"key": key, "begins": beginning, "characters": text.chars().count()})
                    })
                    .collect();
                Ok(ToolOutput::json(json!({"more": all - shown.len(), "notes": shown})))
            }
        }
    }
}

fn missing(key: &str) -> MemoryError {
    MemoryError::Missing {
        key: key.chars().take(MAX_KEY).collect(),
    }
}

impl ToolHost for Memory {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        if !SPECS.iter().any(|spec| spec.name == tool) {
            return Err(crate::arguments::unknown(tool));
        }
        self.answer(tool, arguments).map_err(|error| ToolError {
            class: match error {
                MemoryError::Embedder(_) => ToolErrorClass::Infrastructure,
                _ => ToolErrorClass::Tool,
            },
            message: error.to_string(),
        })
    }

    fn state_hash(&self) -> Option<String> {
        Some(self.hash.clone())
    }

    /// Vectors of long notes take longer than in-line tools may.
    fn inline(&self) -> bool {
        cfg!(not(feature = "full"))
    }
}

impl Environment for Memory {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        if let Some(start) = self.start.take() {
            *self = Self {
                start: Some(start.clone()),
                ..Self::clone(&start)
            };
        }
        Ok(())
    }

    /// The notes by key.
    fn state(&self) -> Value {
        json!(self.notes)
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}

impl Kit for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn open(&self, _folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(self.clone()))
    }

    /// Vectors of long notes take longer than in-line tools may.
    fn inline(&self) -> bool {
        cfg!(not(feature = "full"))
    }

    #[cfg(feature = "full")]
    fn digest(&self) -> String {
        self.near.about()
    }
}
