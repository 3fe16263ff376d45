//! `MemoryAPI_kv`: texts under keys, with a search for keys by BM25+.

use super::super::backend::{Backend, Default, tools};
use super::super::operate::{dict, error, len, string};
use super::super::raise::{Kind, Outcome, Raised};
use super::{ARCHIVAL, CORE, indented, part, str_of};
use hone_python::{Dict, Int, Value, text};
use std::borrow::Cow;
use std::collections::HashMap;

/// The class's state: texts by key, in the order of their making.
#[derive(Clone, Debug)]
pub(in crate::multi_turn) struct KeyValue {
    core: Value,
    archival: Value,
}

/// What the two stores say differently.
struct Words {
    limits: (usize, i64),
    full: &'static str,
    added: &'static str,
    cleared: &'static str,
}

const CORE_WORDS: Words = Words {
    limits: CORE,
    full: "Core memory is full. Please clear some entries.",
    added: "Key-value pair added.",
    cleared: "Short term memory cleared.",
};

const ARCHIVAL_WORDS: Words = Words {
    limits: ARCHIVAL,
    full: "Long term memory is full. Please clear some entries.",
    added: "Key added.",
    cleared: "Long term memory cleared.",
};

const NOT_FOUND: &str = "Key not found.";

impl KeyValue {
    /// From a snapshot; empty without one.
    pub fn load(snapshot: &Value) -> Outcome<Self> {
        let store = |name| {
            let found = part(snapshot, name)?.cloned().unwrap_or_else(|| Dict::new().into());
            let texts = found.as_dict().is_some_and(|dict| {
                dict.iter()
                    .all(|(key, value)| key.as_str().is_some() && value.as_str().is_some())
            });
            if texts {
                Ok(found)
            } else {
                Err(Raised::types(format!("{name} must hold texts by key")))
            }
        };
        Ok(Self {
            core: store("core_memory")?,
            archival: store("archival_memory")?,
        })
    }
}

fn entries(store: &Value) -> Outcome<&Dict> {
    store.as_dict().ok_or_else(|| Raised::attribute(store, "keys"))
}

fn entries_mut(store: &mut Value) -> Outcome<&mut Dict> {
    match store {
        Value::Dict(entries) => Ok(entries),
        other => Err(Raised::attribute(other, "keys")),
    }
}

fn too_long(limit: i64) -> Outcome {
    error(format!(
        "Entry is too long. Please shorten the entry to less than {limit} characters."
    ))
}

fn add(store: &mut Value, words: &Words, key: &Value, value: &Value) -> Outcome {
    let (key, value) = (str_of(key)?, Value::from(str_of(value)?));
    let store = entries_mut(store)?;
    if store.len() >= words.limits.0 {
        return error(words.full);
    }
    if len(&value)? > words.limits.1 {
        return too_long(words.limits.1);
    }
    if !snake_case(&key) {
        return error("Key must be in snake_case format and cannot contain spaces.");
    }
    if store.contains(&key) {
        return error("Key name must be unique.");
    }
    store.set(key, value);
    Ok(dict! { "status" => words.added })
}

fn remove(store: &mut Value, key: &Value) -> Outcome {
    let store = entries_mut(store)?;
    // What is no text is no key, unless it cannot be one at all.
    store.lookup(key)?;
    match key.as_str().and_then(|key| store.remove(key)) {
        Some(_) => Ok(dict! { "status" => "Key removed." }),
        None => error(NOT_FOUND),
    }
}

fn replace(store: &mut Value, words: &Words, key: &Value, value: &Value) -> Outcome {
    let (key, value) = (str_of(key)?, Value::from(str_of(value)?));
    let store = entries_mut(store)?;
    if !store.contains(&key) {
        return error(NOT_FOUND);
    }
    if len(&value)? > words.limits.1 {
        return too_long(words.limits.1);
    }
    store.set(key, value);
    Ok(dict! { "status" => "Key replaced." })
}

fn clear(store: &mut Value, words: &Words) -> Outcome {
    *store = Dict::new().into();
    Ok(dict! { "status" => words.cleared })
}

fn retrieve(store: &Value, key: &Value) -> Outcome {
    match entries(store)?.lookup(key)? {
        Some(value) => Ok(dict! { "value" => value.clone() }),
        None => error(NOT_FOUND),
    }
}

fn keys(store: &Value) -> Outcome {
    let keys: Vec<Value> = entries(store)?.keys().cloned().collect();
    Ok(dict! { "keys" => keys })
}

fn search(store: &Value, query: &Value, k: &Value) -> Outcome {
    let keys: Vec<&Value> = entries(store)?.keys().collect();
    let documents: Vec<_> = keys.iter().map(|key| words(key.as_str().unwrap_or_default())).collect();
    if documents.is_empty() {
        // The mean length of no documents.
        return Err(Raised::new(Kind::ZeroDivision, "division by zero"));
    }
    if query.type_name() == "bytes" {
        return Err(Raised::types("a bytes-like object is required, not 'str'"));
    }
    let query = words(string(query, "replace")?);
    let scores = bm25_plus(&documents, &query);
    let mut ranked: Vec<_> = scores.into_iter().zip(keys).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.truncate(slice_end(k, ranked.len())?);
    let pair = |(score, key): (f64, &Value)| Value::Tuple(vec![score.into(), key.clone()]);
    Ok(dict! { "ranked_results" => ranked.into_iter().map(pair).collect::<Vec<_>>() })
}

fn words(text: &str) -> Vec<String> {
    let text = text.replace('_', " ").to_lowercase();
    let words = text.split(text::is_space).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Scores of documents by BM25+ (Lv and Zhai 2011) with k1 = 1.5, b = 0.75, δ = 1, in the order of operations of the
/// package rank-bm25.
fn bm25_plus(documents: &[Vec<String>], query: &[String]) -> Vec<f64> {
    const K1: f64 = 1.5;
    const B: f64 = 0.75;
    const DELTA: f64 = 1.0;
    let n = documents.len();
    let counts: Vec<HashMap<&str, usize>> = documents
        .iter()
        .map(|document| {
            let mut counts = HashMap::new();
            document
                .iter()
                .for_each(|word| *counts.entry(word.as_str()).or_default() += 1);
            counts
        })
        .collect();
    let mean = documents.iter().map(Vec::len).sum::<usize>() as f64 / n as f64;
    let mut scores = vec![0.0; n];
    for word in query {
        let holding = counts
            .iter()
            .filter(|counts| counts.contains_key(word.as_str()))
            .count();
        if holding == 0 {
            continue;
        }
        let idf = ((n + 1) as f64 / holding as f64).ln();
        for ((score, counts), document) in scores.iter_mut().zip(&counts).zip(documents) {
            let frequency = counts.get(word.as_str()).copied().unwrap_or(0) as f64;
            let norm = K1 * ((1.0 - B) + B * document.len() as f64 / mean) + frequency;
            *score += idf * (DELTA + frequency * (K1 + 1.0) / norm);
        }
    }
    scores
}

/// The end of `items[:k]`.
fn slice_end(k: &Value, len: usize) -> Outcome<usize> {
    let Some(k) = k.integer() else {
        return match k {
            Value::None => Ok(len),
            _ => Err(Raised::types(
                "slice indices must be integers or None or have an __index__ method",
            )),
        };
    };
    let end = k
        .to_i64()
        .unwrap_or(if k < Int::from(0i64) { i64::MIN } else { i64::MAX });
    let len = len as i64;
    let end = if end < 0 {
        end.saturating_add(len).max(0)
    } else {
        end.min(len)
    };
    Ok(end as usize)
}

/// Whether a key matches `^[a-z]+(_[a-z0-9]+)*$`, where `$` also stands before a last line break.
fn snake_case(key: &str) -> bool {
    let mut words = key.strip_suffix('\n').unwrap_or(key).split('_');
    let letters = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    words.next().is_some_and(letters) && words.all(word)
}

/// The tools, of either store.
impl KeyValue {
    fn core_memory_add(&mut self, key: Value, value: Value) -> Outcome {
        add(&mut self.core, &CORE_WORDS, &key, &value)
    }

    fn core_memory_remove(&mut self, key: Value) -> Outcome {
        remove(&mut self.core, &key)
    }

    fn core_memory_replace(&mut self, key: Value, value: Value) -> Outcome {
        replace(&mut self.core, &CORE_WORDS, &key, &value)
    }

    fn core_memory_clear(&mut self) -> Outcome {
        clear(&mut self.core, &CORE_WORDS)
    }

    fn core_memory_retrieve(&mut self, key: Value) -> Outcome {
        retrieve(&self.core, &key)
    }

    fn core_memory_list_keys(&mut self) -> Outcome {
        keys(&self.core)
    }

    fn core_memory_key_search(&mut self, query: Value, k: Value) -> Outcome {
        search(&self.core, &query, &k)
    }

    fn core_memory_retrieve_all(&mut self) -> Outcome {
        Ok(self.core.clone())
    }

    fn archival_memory_add(&mut self, key: Value, value: Value) -> Outcome {
        add(&mut self.archival, &ARCHIVAL_WORDS, &key, &value)
    }

    fn archival_memory_remove(&mut self, key: Value) -> Outcome {
        remove(&mut self.archival, &key)
    }

    fn archival_memory_replace(&mut self, key: Value, value: Value) -> Outcome {
        replace(&mut self.archival, &ARCHIVAL_WORDS, &key, &value)
    }

    fn archival_memory_clear(&mut self) -> Outcome {
        clear(&mut self.archival, &ARCHIVAL_WORDS)
    }

    fn archival_memory_retrieve(&mut self, key: Value) -> Outcome {
        retrieve(&self.archival, &key)
    }

    fn archival_memory_list_keys(&mut self) -> Outcome {
        keys(&self.archival)
    }

    fn archival_memory_key_search(&mut self, query: Value, k: Value) -> Outcome {
        search(&self.archival, &query, &k)
    }
}

impl Backend for KeyValue {
    tools! {
        "MemoryAPI_kv",
        core_memory_add(key, value),
        core_memory_remove(key),
        core_memory_replace(key, value),
        core_memory_clear(),
        core_memory_retrieve(key),
        core_memory_list_keys(),
        core_memory_key_search(query, k = Default::Int(5)),
        core_memory_retrieve_all(),
        archival_memory_add(key, value),
        archival_memory_remove(key),
        archival_memory_replace(key, value),
        archival_memory_clear(),
        archival_memory_retrieve(key),
        archival_memory_list_keys(),
        archival_memory_key_search(query, k = Default::Int(5)),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![
            ("core_memory", Cow::Borrowed(&self.core)),
            ("archival_memory", Cow::Borrowed(&self.archival)),
        ]
    }

    fn snapshot(&self) -> Option<Value> {
        Some(dict! { "core_memory" => self.core.clone(), "archival_memory" => self.archival.clone() })
    }

    fn in_context(&self) -> Option<String> {
        let empty = !self.core.truthy();
        Some(if empty {
            "There is no content in the core memory at this point.".into()
        } else {
            indented(&self.core)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_snake_case() {
        for good in ["a", "ab_c1", "a_1_b", "a\n"] {
            assert!(snake_case(good), "{good:?}");
        }
        for bad in ["", "_a", "a_", "a__b", "A", "a1", "1a", "a b", "a\n\n", "é"] {
            assert!(!snake_case(bad), "{bad:?}");
        }
    }

    #[test]
    fn documents_are_ranked_by_bm25_plus() {
        // Computed by hand: 2 documents, mean length 1.5; idf(name) = ln(3/2), idf(first) = ln(3/1).
        let documents = [words("first_name"), words("name")];
        let scores = bm25_plus(&documents, &words("First name?"));
        let idf = 3f64.ln();
        let long = 1.5 * (0.25 + 0.75 * 2.0 / 1.5) + 1.0;
        assert_eq!(scores, [idf * (1.0 + 2.5 / long), idf * (1.0 + 0.0)]);
    }

    #[test]
    fn slices_end_as_pythons() {
        let end = |k: Value| slice_end(&k, 3).ok();
        assert_eq!(end(2.into()), Some(2));
        assert_eq!(end((-1).into()), Some(2));
        assert_eq!(end((-9).into()), Some(0));
        assert_eq!(end(true.into()), Some(1));
        assert_eq!(end(Value::None), Some(3));
        assert_eq!(end(2.0.into()), None);
    }
}
