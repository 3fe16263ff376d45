//! The categories as tasksets.

mod answers;
mod environment;
mod memory;
mod prompt;
mod recorded;
mod script;
mod split;

use crate::aggregate::{Accuracy, overall};
use crate::multi_turn::{Embedder, Episode as Played, Extension, STEP_LIMIT, Settings as Worlds, Task as Turns, Tasks};
use crate::{
    Answer, Category, DEFECTS_VERSION, DataError, Memories, Mode, Names, Question, Record, SCORER, SCORER_VERSION,
    Settings, Suite, Verdict, evaluate, judge_answers,
};
use environment::Play;
use hone_env::{Aggregate, Budget, EnvError, Environment, OnMalformed, ScriptInfo, Split, Task, Taskset};
use hone_model::Script;
use hone_trace::{Episode, Score, ScorePart, Stream};
use memory::Prior;
use serde_json::json;
use sha2::{Digest, Sha256};
use split::Parts;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use recorded::{Recorded, Scored};

/// Names of tasksets, with what they mean. `bfcl-prompt:…` is the same for prompted models.
pub const NAMES: [(&str, &str); 8] = [
    ("bfcl:CATEGORY", "BFCL v4, a category such as bfcl:simple_python"),
    ("bfcl:non_live, bfcl:live", "its single-turn categories"),
    ("bfcl:single_turn", "both"),
    ("bfcl:multi_turn", "its tasks of several turns"),
    ("bfcl:memory", "its questions about earlier conversations"),
    ("bfcl:all", "all, with the leaderboard's overall score"),
    ("bfcl-prompt:…", "the same, functions and calls as text"),
    (
        "bfcl-split:CATEGORY+…@SEED",
        "single-turn categories to train on: split by the functions that are called",
    ),
];

/// A record of any category.
#[derive(Clone, Debug)]
enum Entry {
    Single(Arc<Record>),
    Turns(Arc<Turns>),
    Memory(Arc<Question>, Category),
    /// A conversation that a memory is made of, before the questions.
    Before(Arc<Prior>),
}

impl Entry {
    fn id(&self) -> String {
        match self {
            Self::Single(record) => record.id.clone(),
            Self::Turns(task) => task.id.clone(),
            Self::Memory(question, category) => question.id.replacen("memory", category.name(), 1),
            Self::Before(prior) => prior.conversation.id.replacen("memory", prior.category.name(), 1),
        }
    }

    fn category(&self) -> Category {
        match self {
            Self::Single(record) => record.category,
            Self::Turns(task) => task.category,
            Self::Memory(_, category) => *category,
            Self::Before(prior) => prior.category,
        }
    }
}

/// What all tasks of a taskset have in common.
struct Shared {
    /// Functions and calls are text, in the prompt and in the answers.
    prompted: bool,
    memories: Memories,
    worlds: Worlds,
}

/// Categories of BFCL as a taskset. All tasks are in the split `test`; those of `bfcl-split:` are in three, for training.
///
/// The memory categories are prepared as in the original: the model lives through the conversations of each scenario, one
/// after the other, each in a context of its own and with the memory that the one before left. What the last one left is the
/// memory that every question of the scenario is asked in.
pub struct Bfcl {
    name: String,
    /// What its tasks' ids begin with.
    prefix: String,
    shared: Arc<Shared>,
    entries: Vec<Entry>,
    /// Which entries each split holds, where it is not all in `test`.
    parts: Option<Parts>,
    missing: Vec<String>,
    hash: String,
}

/// The categories of a name behind `bfcl:` or `bfcl-prompt:`.
fn categories(name: &str) -> Vec<Category> {
    let group: fn(Category) -> bool = match name {
        "all" => |_| true,
        "single_turn" => Category::single_turn,
        "non_live" => |category| category <= Category::Irrelevance,
        "live" => |category| (Category::LiveSimple..=Category::LiveRelevance).contains(&category),
        "multi_turn" => Category::multi_turn,
        "memory" => Category::memory,
        _ => return name.split('+').filter_map(Category::of).collect(),
    };
    Category::ALL
        .iter()
        .copied()
        .filter(|category| group(*category))
        .collect()
}

impl Bfcl {
    /// The taskset of that name, over the data of a folder: the original's `bfcl_eval/data`, or one that holds it as `bfcl`.
    ///
    /// Of a group of categories, those whose data is not there are named by [`Taskset::aggregate`].
    ///
    /// Vector memories find their texts with the embedder.
    ///
    /// # Errors
    /// When no category has that name, a file is malformed, or there is no data for any of it.
    pub fn load(name: &str, dir: &Path, embedder: Arc<dyn Embedder>) -> Result<Self, EnvError> {
        let data = |error: DataError| EnvError::Data {
            what: format!("{}{}: {}", error.file, error.place, error.what),
            remedy: error.remedy.to_owned(),
        };
        let (kind, part) = name.split_once(':').unwrap_or((name, "all"));
        let (part, seed) = match kind {
            "bfcl-split" => part.split_once('@').unwrap_or((part, "0")),
            _ => (part, "0"),
        };
        let wanted = categories(part);
        let single = wanted
            .iter()
            .all(|category| category.single_turn() && !category.relevance());
        let seed = seed.parse::<u64>().ok();
        let whole = part.split('+').count() == wanted.len() || !part.contains('+');
        let known = match kind {
            "bfcl-split" => single && seed.is_some(),
            _ => matches!(kind, "bfcl" | "bfcl-prompt"),
        };
        if wanted.is_empty() || !whole || !known {
            let names: Vec<_> = Category::ALL.iter().map(|category| category.name()).collect();
            return Err(EnvError::Data {
                what: format!("`{name}` names no categories of BFCL"),
                remedy: format!(
                    "write bfcl: or bfcl-prompt: and one of all, single_turn, non_live, live, multi_turn, memory, {}; or bfcl-split: and single-turn categories with gold calls, such as bfcl-split:simple_python+multiple@0",
                    names.join(", ")
                ),
            });
        }
        let any = |of: fn(Category) -> bool| wanted.iter().any(|category| of(*category));
        let mut found: BTreeMap<Category, Vec<Entry>> = BTreeMap::new();
        let mut hash = Sha256::new();
        hash.update(format!("{SCORER}/{SCORER_VERSION}/defects {DEFECTS_VERSION}/{kind}"));
        let mut worlds = Worlds {
            embedder,
            ..Worlds::default()
        };
        let mut memories = Memories::default();
        if any(Category::single_turn) && Suite::is_in(dir) {
            let suite = Suite::load(dir).map_err(data)?;
            hash.update(&suite.digest);
            for (category, records) in suite.categories {
                found.insert(
                    category,
                    records.into_iter().map(|r| Entry::Single(Arc::new(r))).collect(),
                );
            }
        }
        if any(Category::multi_turn) && Tasks::is_in(dir) {
            let tasks = Tasks::load(dir).map_err(data)?;
            hash.update(&tasks.digest);
            worlds.extension = long_context(dir)?.map(Arc::new);
            if let Some(extension) = &worlds.extension {
                hash.update(&extension.digest);
            }
            for (category, tasks) in tasks.categories {
                if category != Category::MultiTurnLongContext || worlds.extension.is_some() {
                    found.insert(category, tasks.into_iter().map(|t| Entry::Turns(Arc::new(t))).collect());
                }
            }
        }
        if any(Category::memory) && Memories::is_in(dir) {
            memories = Memories::load(dir).map_err(data)?;
            hash.update(&memories.digest);
            hash.update(worlds.embedder.name());
            let questions: Vec<_> = std::mem::take(&mut memories.questions)
                .into_iter()
                .map(Arc::new)
                .collect();
            for category in memories.functions.keys() {
                let asked = questions
                    .iter()
                    .map(|question| Entry::Memory(question.clone(), *category));
                found.insert(*category, asked.collect());
            }
        }
        let missing = wanted.iter().filter(|category| !found.contains_key(*category));
        let missing: Vec<String> = missing.map(|category| category.name().to_owned()).collect();
        let entries: Vec<Entry> = wanted
            .iter()
            .filter_map(|category| found.remove(category))
            .flatten()
            .collect();
        if entries.is_empty() {
            return Err(EnvError::Data {
                what: format!("{} has no data of {}", dir.display(), missing.join(", ")),
                remedy:
                    "name the folder bfcl_eval/data of the package bfcl-eval, or one that holds its files as bfcl/; \
                         web search is not to be had here, and long context also needs the package's long_context.py"
                        .into(),
            });
        }
        let parts = seed
            .filter(|_| kind == "bfcl-split")
            .map(|seed| Parts::of(&entries, seed));
        Ok(Self {
            parts,
            name: name.to_owned(),
            prefix: "test".to_owned(),
            shared: Arc::new(Shared {
                prompted: kind == "bfcl-prompt",
                memories,
                worlds,
            }),
            entries,
            missing,
            hash: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// The record of a task: of this taskset, or of its preparation.
    fn entry(&self, task: &Task) -> Option<Entry> {
        if let Some(parts) = &self.parts {
            let (split, index) = task.id.split_once('/')?;
            let at = parts.named(split)?.get(index.parse::<usize>().ok()?)?;
            return self.entries.get(*at).cloned();
        }
        match task.id.strip_prefix(&self.prefix) {
            Some(index) => self
                .entries
                .get(index.strip_prefix('/')?.parse::<usize>().ok()?)
                .cloned(),
            None => memory::prior(self, &task.id),
        }
    }

    /// The verdict on an episode in a mode.
    fn judge(&self, entry: &Entry, episode: &Episode, mode: Mode) -> Verdict {
        let prompted = self.shared.prompted;
        let answers = answers::answers(episode, prompted);
        match entry {
            Entry::Single(record) => {
                let settings = Settings {
                    mode,
                    names: if prompted { Names::Dotted } else { Names::Underscored },
                };
                let silent = || {
                    if prompted {
                        Answer::Text(String::new())
                    } else {
                        Answer::Said(String::new())
                    }
                };
                evaluate(record, &answers.into_iter().next().unwrap_or_else(silent), settings)
            }
            Entry::Turns(task) => {
                let judged = Played::new(task, &self.shared.worlds).and_then(|mut played| {
                    answers.iter().for_each(|answer| {
                        played.step(answer);
                    });
                    played.judge()
                });
                judged.map_or_else(
                    |e| Verdict::wrong("multi_turn:inference_error", e.to_string()),
                    |j| j.verdict,
                )
            }
            Entry::Memory(question, _) => judge_answers(&answers, &question.gold),
            // Nothing is asked of it.
            Entry::Before(_) => Verdict::right(),
        }
    }
}

/// The package's `long_context.py`: in the folder, or where the package has it.
fn long_context(dir: &Path) -> Result<Option<Extension>, EnvError> {
    let places = [
        "bfcl/long_context.py",
        "long_context.py",
        "../eval_checker/multi_turn_eval/func_source_code/long_context.py",
    ];
    let Some(path) = places.iter().map(|place| dir.join(place)).find(|path| path.is_file()) else {
        return Ok(None);
    };
    Extension::load(&path).map(Some).map_err(|error| EnvError::Data {
        what: format!("{}: {}", error.file, error.what),
        remedy: "take long_context.py from the package bfcl-eval unchanged".into(),
    })
}

impl Taskset for Bfcl {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &'static str {
        "The Berkeley Function-Calling Leaderboard, v4: calls compared with gold, and tools with states."
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(match (&self.parts, split) {
            (Some(parts), _) => parts.of_split(split).len() as u64,
            (None, Split::Test) => self.entries.len() as u64,
            (None, _) => 0,
        })
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let at = usize::try_from(index).ok();
        let at = match &self.parts {
            Some(parts) => at.and_then(|at| parts.of_split(split).get(at).copied()),
            None => at.filter(|_| split == Split::Test),
        };
        let prefix = match &self.parts {
            Some(_) => split.name(),
            None => &self.prefix,
        };
        let Some(entry) = at.and_then(|at| self.entries.get(at)) else {
            return Err(EnvError::NoSuchTask {
                taskset: self.name.clone(),
                split: split.name(),
                index,
                len: self.len(split).unwrap_or(0),
            });
        };
        let (system, instruction) = prompt::messages(entry, &self.shared)?;
        Ok(Task {
            id: format!("{prefix}/{index}"),
            kind: entry.category().name().to_owned(),
            system,
            instruction,
            seed: 0,
            data: json!({ "record": entry.id() }),
        })
    }

    fn environment(&self, task: &Task) -> Box<dyn Environment> {
        Box::new(Play::new(self.entry(task), self.shared.clone()))
    }

    fn budget(&self) -> Budget {
        // One turn of calls is all that a single-turn record asks for.
        let single = self.entries.iter().all(|entry| matches!(entry, Entry::Single(_)));
        Budget {
            max_turns: if single { 1 } else { 1_000 },
            max_calls: 5_000,
            max_tokens: 1_000_000,
            max_observation_chars: 1 << 20,
            episode_timeout_ms: 3_600_000,
            on_malformed: OnMalformed::EndTurn,
            // The answer that calls nothing more is a step, too.
            max_steps: STEP_LIMIT as u32 + 1,
            ..Budget::default()
        }
    }

    fn preparation(&self, played: &[Episode]) -> Result<Option<Arc<dyn Taskset>>, EnvError> {
        Ok(memory::next(self, played)?.map(|round| Arc::new(round) as _))
    }

    fn prepared(&self, played: &[Episode]) -> Result<Option<Arc<dyn Taskset>>, EnvError> {
        Ok(memory::after(self, played)?.map(|taskset| Arc::new(taskset) as _))
    }

    fn score(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Score {
        let part = |name: &str, verdict: &Verdict| ScorePart {
            name: name.to_owned(),
            value: f64::from(u8::from(verdict.valid)),
            why: match verdict.error_type {
                Some(error_type) => format!("{error_type}: {}", verdict.why),
                None => String::new(),
            },
        };
        let mut parts = vec![];
        let mut value = 0.0;
        if let Some(Entry::Before(_)) = self.entry(task) {
            let (found, part) = memory::kept(environment);
            value = found;
            parts.push(part);
        } else if let Some(entry) = self.entry(task) {
            let faithful = self.judge(&entry, episode, Mode::Faithful);
            value = f64::from(u8::from(faithful.valid));
            parts.push(part("faithful", &faithful));
            // The corrected rule leaves records out that no sensible answer passes, and changes nothing else.
            let strict = Verdict {
                counts: !crate::DEFECTS.iter().any(|defect| defect.id == entry.id()),
                ..faithful
            };
            if strict.counts {
                parts.push(part("strict", &strict));
            }
        }
        Score {
            scorer: SCORER.to_owned(),
            version: SCORER_VERSION.to_owned(),
            hash: self.hash.clone(),
            value,
            parts,
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        script::SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        script::script(name, &self.entry(task)?, &self.shared, stream)
    }

    fn aggregate(&self, kinds: &BTreeMap<String, (u64, u64)>) -> Aggregate {
        let accuracies = kinds.iter().filter_map(|(kind, (ok, n))| {
            let accuracy = Accuracy {
                correct: *ok as usize,
                total: *n as usize,
            };
            Some((Category::of(kind)?, accuracy))
        });
        let accuracies: BTreeMap<_, _> = accuracies.collect();
        let mut missing = self.missing.clone();
        // A part of the leaderboard says nothing of the whole.
        if !self.name.ends_with(":all") && self.name.contains(':') {
            return Aggregate {
                numbers: vec![],
                missing,
            };
        }
        let whole = overall(&accuracies);
        for category in whole.missing() {
            if !missing.iter().any(|name| name == category.name()) {
                missing.push(category.name().to_owned());
            }
        }
        let mut numbers = vec![("bfcl/overall".to_owned(), whole.score)];
        numbers.extend(
            whole
                .groups
                .iter()
                .map(|group| (format!("bfcl/{}", group.name), group.score)),
        );
        Aggregate { numbers, missing }
    }
}
