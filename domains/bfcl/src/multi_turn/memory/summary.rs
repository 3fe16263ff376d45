//! `MemoryAPI_rec_sum`: one text, which the model keeps short itself.

use super::super::backend::{Backend, tools};
use super::super::operate::{dict, error};
use super::super::raise::{Outcome, Raised};
use super::{part, str_of};
use hone_python::Value;
use std::borrow::Cow;

/// Characters of a text at most.
const LIMIT: usize = 10_000;

/// Bytes of the memory at most. The original sets no bound to what a replacement makes of it.
const MAX_MEMORY: usize = 1 << 20;

/// The class's state.
#[derive(Clone, Debug)]
pub(in crate::multi_turn) struct Summary {
    memory: Value,
}

impl Summary {
    /// From a snapshot; empty without one.
    pub fn load(snapshot: &Value) -> Outcome<Self> {
        let memory = part(snapshot, "memory")?.cloned().unwrap_or_else(|| "".into());
        match memory.as_str() {
            Some(_) => Ok(Self { memory }),
            None => Err(Raised::types("memory must be a text")),
        }
    }

    fn text(&self) -> &str {
        self.memory.as_str().unwrap_or_default()
    }

    fn memory_append(&mut self, text: Value) -> Outcome {
        let combined = format!("{}{}", self.text(), str_of(&text)?);
        if combined.chars().count() > LIMIT {
            return too_long("appending");
        }
        self.memory = combined.into();
        Ok(dict! { "status" => "Memory appended." })
    }

    fn memory_update(&mut self, text: Value) -> Outcome {
        let text = str_of(&text)?;
        if text.chars().count() > LIMIT {
            return too_long("updating");
        }
        self.memory = text.into();
        Ok(dict! { "status" => "Memory updated." })
    }

    fn memory_clear(&mut self) -> Outcome {
        self.memory = "".into();
        Ok(dict! { "status" => "Short term memory cleared." })
    }

    fn memory_replace(&mut self, old_text: Value, new_text: Value) -> Outcome {
        let (old, new) = (str_of(&old_text)?, str_of(&new_text)?);
        let memory = self.text();
        if !memory.contains(&old) {
            return error(format!("Text '{old}' not found in memory."));
        }
        if new.chars().count() > LIMIT {
            return too_long("replacing");
        }
        let size = memory.len() + memory.matches(&old).count() * new.len();
        if size > MAX_MEMORY {
            return Err(Raised::refused("a result too large to keep"));
        }
        self.memory = memory.replace(&old, &new).into();
        Ok(dict! { "status" => "Memory updated." })
    }

    fn memory_retrieve(&mut self) -> Outcome {
        if self.text().is_empty() {
            return error("Memory is empty.");
        }
        Ok(dict! { "memory_content" => self.memory.clone() })
    }
}

fn too_long(doing: &str) -> Outcome {
    error(format!(
        "Entry will be too long after {doing}. Please shorten the entry to less than {LIMIT} characters."
    ))
}

impl Backend for Summary {
    tools! {
        "MemoryAPI_rec_sum",
        memory_append(text),
        memory_update(text),
        memory_clear(),
        memory_replace(old_text, new_text),
        memory_retrieve(),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![("memory", Cow::Borrowed(&self.memory))]
    }

    fn snapshot(&self) -> Option<Value> {
        Some(dict! { "memory" => self.memory.clone() })
    }

    fn in_context(&self) -> Option<String> {
        let text = self.text();
        let empty = "There is no content in the memory at this point.";
        Some(if text.is_empty() { empty } else { text }.to_owned())
    }
}
