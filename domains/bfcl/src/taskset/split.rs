//! A seeded split of single-turn records by the functions that their gold calls.
//!
//! Records that call a function in common, directly or through others, fall into the same part: no answer of a test task calls a
//! function that an answer of a training task calls. Functions that are merely offered may be in both.

use super::Entry;
use hone_env::Split;
use hone_trace::Stream;
use std::collections::BTreeMap;

/// Shares of the functions that go to training and to validation; the rest is the test.
const TRAIN: f64 = 0.6;
const VALIDATION: f64 = 0.1;

/// Places among the entries, by split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    train: Vec<usize>,
    validation: Vec<usize>,
    test: Vec<usize>,
}

impl Parts {
    /// The split of this seed. Entries stay in their order; each part is shuffled by the seed, so that its first tasks are of
    /// all categories.
    pub(super) fn of(entries: &[Entry], seed: u64) -> Self {
        let stream = Stream::new(seed).named("bfcl/split");
        let mut groups: BTreeMap<String, String> = BTreeMap::new();
        for entry in entries {
            let functions = called(entry);
            let roots: Vec<String> = functions.iter().map(|name| root(&groups, name)).collect();
            if let Some(first) = roots.iter().min() {
                for other in roots.iter().filter(|other| *other != first) {
                    groups.insert(other.clone(), first.clone());
                }
            }
        }
        let mut parts = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            let group = called(entry)
                .first()
                .map(|name| root(&groups, name))
                .unwrap_or_default();
            let draw = stream.named(&group).uniform(0);
            let part = if draw < TRAIN {
                &mut parts.train
            } else if draw < TRAIN + VALIDATION {
                &mut parts.validation
            } else {
                &mut parts.test
            };
            part.push(at);
        }
        let order = stream.named("order");
        for part in [&mut parts.train, &mut parts.validation, &mut parts.test] {
            part.sort_by(|a, b| order.uniform(*a as u64).total_cmp(&order.uniform(*b as u64)));
        }
        parts
    }

    pub(super) fn of_split(&self, split: Split) -> &[usize] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    pub(super) fn named(&self, name: &str) -> Option<&[usize]> {
        let all = [Split::Train, Split::Validation, Split::Test];
        let split = all.into_iter().find(|split| split.name() == name)?;
        Some(self.of_split(split))
    }
}

fn called(entry: &Entry) -> Vec<String> {
    match entry {
        Entry::Single(record) => record.gold.iter().map(|call| call.name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// The name that a function's group goes by.
fn root(groups: &BTreeMap<String, String>, name: &str) -> String {
    let mut name = name;
    while let Some(parent) = groups.get(name) {
        name = parent;
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Category, Gold, Record};
    use std::sync::Arc;

    fn entry(id: usize, calls: &[String]) -> Entry {
        let gold = calls.iter().map(|name| Gold {
            name: name.clone(),
            parameters: hone_python::Dict::new(),
        });
        Entry::Single(Arc::new(Record {
            id: format!("r{id}"),
            category: Category::Parallel,
            messages: vec![],
            functions: vec![],
            gold: gold.collect(),
        }))
    }

    #[test]
    fn no_called_function_is_in_two_parts() {
        // Each record calls its own function and, every third one, that of an earlier record too.
        let entries: Vec<Entry> = (0..300usize)
            .map(|i| {
                let mut calls = vec![format!("f{}", i % 250)];
                if i % 3 == 0 {
                    calls.push(format!("f{}", i / 7));
                }
                entry(i, &calls)
            })
            .collect();
        let parts = Parts::of(&entries, 1);
        let all = [Split::Train, Split::Validation, Split::Test].map(|split| parts.of_split(split));
        assert_eq!(all.iter().map(|part| part.len()).sum::<usize>(), entries.len());
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (which, part) in all.iter().enumerate() {
            assert!(!part.is_empty());
            for name in part.iter().flat_map(|at| called(&entries[*at])) {
                assert_eq!(*seen.entry(name).or_insert(which), which);
            }
        }
        assert_eq!(parts, Parts::of(&entries, 1));
        assert_ne!(parts, Parts::of(&entries, 2));
    }
}
