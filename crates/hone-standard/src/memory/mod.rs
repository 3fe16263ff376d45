//! Notes that an agent keeps by key for the length of an episode.

use crate::arguments::{READS, REPLACES, count, tool, word};
use crate::{Card, Kit};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
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
        about: "notes by key, for the length of an episode",
        settings: "`notes`: a table of notes to begin with",
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
    /// There is no more room.
    #[error("the memory is full ({MAX_NOTES} notes or {MAX_BYTES} bytes); forget what is no longer needed")]
    Full,
}

/// Notes by key.
#[derive(Clone, Debug)]
pub struct Memory {
    start: Arc<BTreeMap<String, String>>,
    notes: BTreeMap<String, String>,
    bytes: usize,
    hash: String,
}

impl Memory {
    /// A memory that begins with these notes.
    ///
    /// # Errors
    /// When they are beyond the bounds.
    pub fn new(settings: Settings) -> Result<Self, MemoryError> {
        let mut memory = Self {
            start: Arc::default(),
            notes: BTreeMap::new(),
            bytes: 0,
            hash: String::new(),
        };
        for (key, text) in &settings.notes {
            memory.put(key, text)?;
        }
        memory.start = Arc::new(settings.notes);
        memory.touch();
        Ok(memory)
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
                self.touch();
                Ok(ToolOutput::json(json!({"forgotten": key, "notes": self.notes.len()})))
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
        self.answer(tool, arguments)
            .map_err(|error| ToolError::tool(error.to_string()))
    }

    fn state_hash(&self) -> Option<String> {
        Some(self.hash.clone())
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Memory {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        self.notes = BTreeMap::clone(&self.start);
        self.bytes = self.notes.iter().map(|(key, text)| key.len() + text.len()).sum();
        self.touch();
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

    fn inline(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty() -> Memory {
        Memory::new(Settings::default()).unwrap()
    }

    fn keep(memory: &mut Memory, key: &str, text: &str) -> Result<ToolOutput, ToolError> {
        memory.call("remember", &json!({"key": key, "text": text}))
    }

    #[test]
    fn notes_are_kept_read_listed_and_forgotten() {
        let mut memory = empty();
        let before = memory.state_hash();
        keep(&mut memory, "b/2", "zwei").unwrap();
        keep(&mut memory, "b/1", "eins").unwrap();
        keep(&mut memory, "a", "x").unwrap();
        let list = memory
            .call("list_notes", &json!({"prefix": "b/", "limit": 1}))
            .unwrap()
            .data;
        assert_eq!(
            list,
            json!({"notes": [{"key": "b/1", "begins": "eins", "characters": 4}], "more": 1})
        );
        assert_eq!(
            memory.call("recall", &json!({"key": "b/2"})).unwrap().data["text"],
            "zwei"
        );
        let mut copy = memory.fork().unwrap();
        for key in ["a", "b/1", "b/2"] {
            memory.call("forget", &json!({"key": key})).unwrap();
        }
        assert_eq!((memory.state(), memory.state_hash()), (json!({}), before));
        assert_eq!(
            copy.call("recall", &json!({"key": "a"})).unwrap().data["text"],
            "x",
            "a copy is its own"
        );
        let error = memory.call("recall", &json!({"key": "a"})).unwrap_err();
        assert_eq!(error.message, "there is no note `a`; list_notes shows the keys");
    }

    #[test]
    fn the_bounds_hold() {
        let mut memory = empty();
        let long = keep(&mut memory, &"k".repeat(MAX_KEY + 1), "").unwrap_err();
        assert!(long.message.contains("the key has 201 characters"), "{long}");
        assert!(keep(&mut memory, "k", &"ä".repeat(MAX_TEXT + 1)).is_err());
        assert!(keep(&mut memory, "", "x").is_err());
        for i in 0..MAX_NOTES {
            keep(&mut memory, &format!("{i}"), "x").unwrap();
        }
        assert!(keep(&mut memory, "one more", "x").unwrap_err().message.contains("full"));
        keep(&mut memory, "7", "another").unwrap();
        let mut memory = empty();
        let big = "x".repeat(MAX_TEXT);
        let kept = (0..MAX_NOTES)
            .take_while(|i| keep(&mut memory, &format!("{i}"), &big).is_ok())
            .count();
        assert_eq!(kept, MAX_BYTES / (MAX_TEXT + 2), "keys of one and two letters");
    }

    #[test]
    fn a_reset_brings_the_first_notes_back() {
        let notes = BTreeMap::from([("user".to_owned(), "Ada".to_owned())]);
        let mut memory = Memory::new(Settings { notes }).unwrap();
        let start = (memory.state(), memory.state_hash());
        memory.call("forget", &json!({"key": "user"})).unwrap();
        let task = Task {
            id: "t".into(),
            kind: String::new(),
            system: None,
            instruction: String::new(),
            seed: 0,
            data: Value::Null,
        };
        memory.reset(&task).unwrap();
        assert_eq!((memory.state(), memory.state_hash()), start);
    }

    proptest! {
        /// Whatever is called, the count of bytes is that of the notes, and equal notes have equal hashes.
        #[test]
        fn counts_and_hashes_are_those_of_the_notes(calls in prop::collection::vec((0..2, "[abc]{0,2}", "[xy]{0,5}"), 0..40)) {
            let mut memory = empty();
            for (what, key, text) in calls {
                let _ = match what {
                    0 => keep(&mut memory, &key, &text),
                    _ => memory.call("forget", &json!({"key": key})),
                };
            }
            let bytes: usize = memory.notes.iter().map(|(key, text)| key.len() + text.len()).sum();
            prop_assert_eq!(memory.bytes, bytes);
            let fresh = Memory::new(Settings { notes: memory.notes.clone() }).unwrap();
            prop_assert_eq!(fresh.state_hash(), memory.state_hash());
        }
    }
}
