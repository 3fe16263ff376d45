//! `MemoryAPI_vector`: texts under numbers, found by likeness.

use super::super::backend::{Backend, Default, tools};
use super::super::operate::{dict, error, len, lt};
use super::super::raise::{Kind, Outcome, Raised};
use super::embed::{Embedder, product};
use super::{ARCHIVAL, CORE, indented, part, str_of};
use hone_python::{Dict, Int, Value, text};
use std::borrow::Cow;
use std::sync::Arc;

/// The class's state.
#[derive(Clone, Debug)]
pub(in crate::multi_turn) struct Vectors {
    core: Store,
    archival: Store,
}

#[derive(Clone, Debug)]
struct Store {
    limits: (usize, i64),
    embedder: Arc<dyn Embedder>,
    entries: Vec<Entry>,
    next_id: i64,
}

#[derive(Clone, Debug)]
struct Entry {
    id: i64,
    text: Arc<str>,
    vector: Arc<[f32]>,
}

impl Vectors {
    /// From a snapshot; empty without one.
    pub fn load(snapshot: &Value, embedder: &Arc<dyn Embedder>) -> Outcome<Self> {
        let store = |name, limits| {
            let mut store = Store {
                limits,
                embedder: embedder.clone(),
                entries: vec![],
                next_id: 0,
            };
            if let Some(saved) = part(snapshot, name)? {
                store.restore(saved)?;
            }
            Ok::<_, Raised>(store)
        };
        Ok(Self {
            core: store("core_memory", CORE)?,
            archival: store("archival_memory", ARCHIVAL)?,
        })
    }
}

impl Store {
    fn vector(&self, text: &str) -> Outcome<Vec<f32>> {
        let lost = |why| Raised::new(Kind::Embedder, why);
        self.embedder.embed(text).map_err(lost)
    }

    fn entry(&self, id: i64, text: &str) -> Outcome<Entry> {
        Ok(Entry {
            id,
            text: text.into(),
            vector: self.vector(text)?.into(),
        })
    }

    fn restore(&mut self, saved: &Value) -> Outcome<()> {
        let malformed = || Raised::types("a store must be {\"next_id\": number, \"store\": {number: text}}");
        self.next_id = saved.get("next_id").and_then(Value::as_i64).ok_or_else(malformed)?;
        let texts = saved.get("store").and_then(Value::as_dict).ok_or_else(malformed)?;
        for (id, saved) in texts.iter() {
            let id = id.as_str().and_then(text::int).and_then(|id| id.to_i64());
            let (Some(id), Some(saved)) = (id, saved.as_str()) else {
                return Err(malformed());
            };
            self.entries.push(self.entry(id, saved)?);
        }
        Ok(())
    }

    /// The place of an entry. `1.0` and `True` are numbers as good as `1`.
    fn find(&self, id: &Value) -> Outcome<Option<usize>> {
        Dict::new().lookup(id)?;
        let same = |entry: &Entry| Value::Int(Int::from(entry.id)) == *id;
        Ok(self.entries.iter().position(same))
    }

    fn too_long(&self, text: &Value) -> Outcome<Option<Value>> {
        let limit = self.limits.1;
        if len(text)? <= limit {
            return Ok(None);
        }
        error(format!("Entry length exceeds maximum length of {limit} characters.")).map(Some)
    }

    fn add(&mut self, text: &Value) -> Outcome {
        if let Some(error) = self.too_long(text)? {
            return Ok(error);
        }
        if self.entries.len() >= self.limits.0 {
            return error(format!(
                "Memory size exceeds maximum size of {} entries.",
                self.limits.0
            ));
        }
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push(self.entry(id, a_text(text)?)?);
        Ok(dict! { "id" => id })
    }

    fn remove(&mut self, id: &Value) -> Outcome {
        match self.find(id)? {
            Some(at) => {
                self.entries.remove(at);
                Ok(dict! { "status" => format!("ID {} removed from store.", str_of(id)?) })
            }
            None => absent(id),
        }
    }

    fn update(&mut self, id: &Value, text: &Value) -> Outcome {
        let Some(at) = self.find(id)? else {
            return absent(id);
        };
        if let Some(error) = self.too_long(text)? {
            return Ok(error);
        }
        self.entries[at] = self.entry(self.entries[at].id, a_text(text)?)?;
        Ok(dict! { "status" => format!("ID {} updated.", str_of(id)?) })
    }

    fn clear(&mut self) -> Outcome {
        self.entries.clear();
        self.next_id = 0;
        Ok(dict! { "status" => "Memory cleared." })
    }

    fn retrieve(&self, query: &Value, top_k: &Value) -> Outcome {
        let found = |found: Vec<Value>| Ok(dict! { "result" => found });
        if self.entries.is_empty() {
            return found(vec![]);
        }
        let query = self.vector(a_text(query)?)?;
        let all = Value::from(self.entries.len() as i64);
        let most = if lt(&all, top_k.clone())? { &all } else { top_k };
        let most = most.integer().and_then(|most| most.to_i64());
        let most = most.ok_or_else(|| Raised::refused("top_k must be an integer"))?;
        if most <= 0 {
            // An assertion without words.
            return Err(Raised::refused(""));
        }
        let mut ranked: Vec<_> = self
            .entries
            .iter()
            .map(|entry| (product(&entry.vector, &query), entry))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let shown = |(score, entry): (f32, &Entry)| {
            dict! { "id" => entry.id, "similarity_score" => f64::from(score), "text" => &*entry.text }
        };
        found(ranked.into_iter().take(most as usize).map(shown).collect())
    }

    fn retrieve_all(&self) -> Outcome {
        let shown = |entry: &Entry| dict! { "id" => entry.id, "text" => &*entry.text };
        Ok(dict! { "result" => self.entries.iter().map(shown).collect::<Vec<_>>() })
    }

    fn texts(&self) -> Value {
        let mut texts = Dict::new();
        self.entries
            .iter()
            .for_each(|entry| texts.set(entry.id.to_string(), &*entry.text));
        texts.into()
    }

    fn saved(&self) -> Value {
        dict! { "next_id" => self.next_id, "store" => self.texts() }
    }
}

fn absent(id: &Value) -> Outcome {
    error(format!("ID {} not present in store.", str_of(id)?))
}

fn a_text(value: &Value) -> Outcome<&str> {
    value
        .as_str()
        .ok_or_else(|| Raised::refused("only a text is embedded here"))
}

/// The tools, of either store.
impl Vectors {
    fn core_memory_add(&mut self, text: Value) -> Outcome {
        self.core.add(&text)
    }

    fn core_memory_remove(&mut self, vec_id: Value) -> Outcome {
        self.core.remove(&vec_id)
    }

    fn core_memory_update(&mut self, vec_id: Value, new_text: Value) -> Outcome {
        self.core.update(&vec_id, &new_text)
    }

    fn core_memory_clear(&mut self) -> Outcome {
        self.core.clear()
    }

    fn core_memory_retrieve(&mut self, query: Value, top_k: Value) -> Outcome {
        self.core.retrieve(&query, &top_k)
    }

    fn core_memory_retrieve_all(&mut self) -> Outcome {
        self.core.retrieve_all()
    }

    fn archival_memory_add(&mut self, text: Value) -> Outcome {
        self.archival.add(&text)
    }

    fn archival_memory_remove(&mut self, vec_id: Value) -> Outcome {
        self.archival.remove(&vec_id)
    }

    fn archival_memory_update(&mut self, vec_id: Value, new_text: Value) -> Outcome {
        self.archival.update(&vec_id, &new_text)
    }

    fn archival_memory_clear(&mut self) -> Outcome {
        self.archival.clear()
    }

    fn archival_memory_retrieve(&mut self, query: Value, top_k: Value) -> Outcome {
        self.archival.retrieve(&query, &top_k)
    }

    fn archival_memory_retrieve_all(&mut self) -> Outcome {
        self.archival.retrieve_all()
    }
}

impl Backend for Vectors {
    tools! {
        "MemoryAPI_vector",
        core_memory_add(text),
        core_memory_remove(vec_id),
        core_memory_update(vec_id, new_text),
        core_memory_clear(),
        core_memory_retrieve(query, top_k = Default::Int(5)),
        core_memory_retrieve_all(),
        archival_memory_add(text),
        archival_memory_remove(vec_id),
        archival_memory_update(vec_id, new_text),
        archival_memory_clear(),
        archival_memory_retrieve(query, top_k = Default::Int(5)),
        archival_memory_retrieve_all(),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![
            ("core_memory", Cow::Owned(self.core.texts())),
            ("archival_memory", Cow::Owned(self.archival.texts())),
        ]
    }

    fn snapshot(&self) -> Option<Value> {
        Some(dict! { "core_memory" => self.core.saved(), "archival_memory" => self.archival.saved() })
    }

    /// A store counts as content, be it empty.
    fn in_context(&self) -> Option<String> {
        Some(indented(&self.core.texts()))
    }
}
