//! The conversations that the memories are made of, played before the questions.

use super::{Bfcl, Entry, Shared};
use crate::{Category, Conversation, Memories};
use hone_env::{EnvError, Environment};
use hone_python::{Value, loads};
use hone_trace::{Episode, ScorePart};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Name of the part of the score that holds what a conversation left in the memory, as its reason.
const KEPT: &str = "memory";

/// A conversation with one kind of memory.
#[derive(Debug)]
pub(super) struct Prior {
    pub conversation: Conversation,
    pub scenario: String,
    pub category: Category,
}

type Chain = (Category, String);

/// The memories that are made by playing: where a question needs one, the data has its conversations and no snapshot.
fn chains(taskset: &Bfcl) -> Vec<Chain> {
    let asked: BTreeSet<Chain> = taskset
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Memory(question, category) => Some((*category, question.scenario.clone())),
            _ => None,
        })
        .collect();
    let memories = &taskset.shared.memories;
    asked
        .into_iter()
        .filter(|chain| memories.conversations.contains_key(&chain.1) && !memories.snapshots.contains_key(chain))
        .collect()
}

/// The conversations of a round, in order.
fn round(taskset: &Bfcl, round: usize) -> Vec<Prior> {
    let conversations = |(category, scenario): Chain| {
        let all = taskset.shared.memories.conversations.get(&scenario)?;
        Some(Prior {
            conversation: all.get(round)?.clone(),
            scenario,
            category,
        })
    };
    chains(taskset).into_iter().filter_map(conversations).collect()
}

/// The prefix of the ids of a round's tasks.
fn prefix(round: usize) -> String {
    format!("prepare/{round}")
}

/// The conversation of a task's id, of any round.
pub(super) fn prior(taskset: &Bfcl, id: &str) -> Option<Entry> {
    let (number, index) = id.strip_prefix("prepare/")?.split_once('/')?;
    let mut priors = round(taskset, number.parse().ok()?).into_iter();
    Some(Entry::Before(Arc::new(priors.nth(index.parse().ok()?)?)))
}

/// What the complete rounds left, and the number of the first that is not.
fn left(taskset: &Bfcl, played: &[Episode]) -> Result<(BTreeMap<Chain, Value>, usize), EnvError> {
    let by_task: BTreeMap<&str, &Episode> = played.iter().map(|episode| (episode.task.as_str(), episode)).collect();
    let mut memories = BTreeMap::new();
    for number in 0.. {
        let priors = round(taskset, number);
        if priors.is_empty() {
            return Ok((memories, number));
        }
        let mut after = memories.clone();
        for (index, prior) in priors.into_iter().enumerate() {
            let task = format!("{}/{index}", prefix(number));
            let Some(episode) = by_task.get(task.as_str()).filter(|episode| episode.counts()) else {
                return Ok((memories, number));
            };
            let parts = episode.scores.iter().flat_map(|score| &score.parts);
            let kept = parts
                .filter(|part| part.name == KEPT)
                .find_map(|part| loads(&part.why).ok());
            let kept = kept.ok_or_else(|| EnvError::Data {
                what: format!("episode {} does not say what its memory holds", episode.id),
                remedy: "start the evaluation anew".to_owned(),
            })?;
            after.insert((prior.category, prior.scenario), kept);
        }
        memories = after;
    }
    unreachable!("conversations come to an end")
}

/// What all tasks share, with these memories.
fn shared(taskset: &Bfcl, memories: BTreeMap<Chain, Value>) -> Arc<Shared> {
    let shared = &taskset.shared;
    let mut snapshots = shared.memories.snapshots.clone();
    snapshots.extend(memories);
    Arc::new(Shared {
        prompted: shared.prompted,
        memories: Memories {
            snapshots,
            ..shared.memories.clone()
        },
        worlds: shared.worlds.clone(),
    })
}

/// The next round, after what was played; none where all are.
pub(super) fn next(taskset: &Bfcl, played: &[Episode]) -> Result<Option<Bfcl>, EnvError> {
    let (memories, number) = left(taskset, played)?;
    let priors = round(taskset, number);
    if priors.is_empty() {
        return Ok(None);
    }
    Ok(Some(Bfcl {
        name: taskset.name.clone(),
        prefix: prefix(number),
        shared: shared(taskset, memories),
        entries: priors.into_iter().map(|prior| Entry::Before(Arc::new(prior))).collect(),
        parts: None,
        missing: vec![],
        hash: taskset.hash.clone(),
    }))
}

/// The questions, asked in the memories that were made; none where no memory is.
pub(super) fn after(taskset: &Bfcl, played: &[Episode]) -> Result<Option<Bfcl>, EnvError> {
    let (memories, _) = left(taskset, played)?;
    if memories.is_empty() {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    hash.update(&taskset.hash);
    for ((category, scenario), memory) in &memories {
        hash.update(format!("{}/{scenario}: {}\n", category.name(), memory.repr()));
    }
    Ok(Some(Bfcl {
        name: taskset.name.clone(),
        prefix: taskset.prefix.clone(),
        shared: shared(taskset, memories),
        entries: taskset.entries.clone(),
        parts: None,
        missing: taskset.missing.clone(),
        hash: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
    }))
}

/// What a conversation left in the memory, as the part of a score, and the value that goes with it.
pub(super) fn kept(environment: &dyn Environment) -> (f64, ScorePart) {
    let kept = environment
        .state()
        .get(KEPT)
        .and_then(|kept| Some(kept.as_str()?.to_owned()));
    let (value, why) = match kept {
        Some(kept) => (1.0, kept),
        None => (f64::NAN, "the memory is lost".to_owned()),
    };
    let part = ScorePart {
        name: KEPT.to_owned(),
        value,
        why,
    };
    (value, part)
}

/// What a memory holds, for [`kept`].
pub(super) fn written(snapshot: &Value) -> (String, serde_json::Value) {
    let text = hone_python::dumps(snapshot, &Default::default()).unwrap_or_default();
    (KEPT.to_owned(), text.into())
}
