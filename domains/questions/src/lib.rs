//! Multi-hop questions over a generated encyclopedia with a local search index.
//!
//! Pages tell of invented people, firms, towns and rivers. A question takes one to three searches, each of which needs what
//! the one before it found; a quarter of the questions everybody can answer without any, the same ones in all splits, so
//! that an agent can learn when to search.
//!
//! Invariants:
//! * The encyclopedia is the same everywhere and always; its index holds the pages of all splits.
//! * What validation and test ask about, and in which words, training never shows; what everybody knows is shared.
//! * No page answers a question of more than one search by itself: what is asked and what is named never stand on one page.
//!
//! Deliberately not here: agent loops, models, and search engines (`hone-search`).

mod question;
mod scripts;
mod world;

pub use question::Question;
pub use world::Encyclopedia;

use hone_env::{Budget, EnvError, Environment, OnMalformed, ScriptInfo, Split, Task, Taskset};
use hone_model::Script;
use hone_trace::{Episode, Score, ScorePart, Stream, Turn};
use question::{Kind, f1, normal};
use serde::Deserialize;
use std::sync::Arc;
use world::World;

const GUIDE: &str = "Answer the question. An encyclopedia of people, firms, towns and rivers can be searched; its pages name what a search \
for the next one needs, such as \"town bakilo\". Do not search for what you know. Answer with the name, word or number alone.";

/// The taskset.
pub struct Questions {
    guided: bool,
    book: Arc<Encyclopedia>,
}

impl Questions {
    /// Questions alone: what a model needs to know, it has learned.
    ///
    /// # Errors
    /// When the encyclopedia cannot be indexed.
    pub fn new() -> Result<Self, EnvError> {
        Ok(Self {
            guided: false,
            book: Arc::new(Encyclopedia::new()?),
        })
    }

    /// The same with a system message that says what there is, for models that read one.
    ///
    /// # Errors
    /// As [`Questions::new`].
    pub fn guided() -> Result<Self, EnvError> {
        Ok(Self {
            guided: true,
            ..Self::new()?
        })
    }
}

fn question(task: &Task) -> Result<Question, EnvError> {
    Question::deserialize(&task.data).map_err(|error| EnvError::Data {
        what: format!("task {} holds no question ({error})", task.id),
        remedy: "take the task from the taskset questions".to_owned(),
    })
}

/// What the agent said last, if it called nothing then.
fn answer(episode: &Episode) -> Option<&str> {
    let Some(Turn::Agent { model_call }) = episode.turns.last() else {
        return None;
    };
    let acted = episode
        .tool_calls
        .iter()
        .any(|call| call.model_call == Some(*model_call));
    let call = episode.model_calls.get(*model_call as usize)?;
    (!acted).then_some(call.text.as_str())
}

impl Taskset for Questions {
    fn name(&self) -> &str {
        if self.guided { "questions-guided" } else { "questions" }
    }

    fn about(&self) -> &'static str {
        "Answer questions with a search over an encyclopedia, in up to three steps; some need no search."
    }

    fn len(&self, _: Split) -> Option<u64> {
        None
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let mut rng = Stream::new(0).named("questions/task/1").named(split.name()).at(index);
        let kind = Kind::of(index);
        let (question, instruction) = kind.ask(&self.book, split, &mut rng);
        Ok(Task {
            id: format!("{}/{index}", split.name()),
            kind: kind.name().to_owned(),
            system: self.guided.then(|| GUIDE.to_owned()),
            instruction,
            seed: rng.seed(),
            data: serde_json::to_value(question).map_err(|error| EnvError::Data {
                what: format!("the task cannot be written as JSON ({error})"),
                remedy: "report this as a bug".to_owned(),
            })?,
        })
    }

    fn environment(&self, _: &Task) -> Box<dyn Environment> {
        Box::new(World(Arc::clone(&self.book)))
    }

    fn budget(&self) -> Budget {
        Budget {
            max_turns: 8,
            max_calls: 8,
            max_turn_tokens: if self.guided { 1_024 } else { 40 },
            max_tokens: if self.guided { 8_192 } else { 512 },
            max_observation_chars: 240,
            tool_timeout_ms: 1_000,
            on_malformed: OnMalformed::Observe,
            ..Budget::default()
        }
    }

    /// 1 if the last words are the answer, as SQuAD compares (exact match). Parts: `f1` of the words, `searches`, `spare` (searches
    /// beyond those that the question takes).
    fn score(&self, task: &Task, episode: &Episode, _: &dyn Environment) -> Score {
        let searches = episode.tool_calls.len();
        let said = answer(episode).unwrap_or_default();
        let (value, overlap, hops, why) = match question(task) {
            Err(error) => (0.0, 0.0, 0, error.to_string()),
            Ok(Question { answer, path, .. }) => {
                let (words, wanted) = (normal(said), normal(&answer));
                let value = f64::from(u8::from(words == wanted));
                let shown: String = said.chars().take(100).collect();
                (
                    value,
                    f1(&words, &wanted),
                    path.len(),
                    format!("{shown:?}; wanted {answer:?}"),
                )
            }
        };
        let part = |name: &str, value: f64, why: String| ScorePart {
            name: name.to_owned(),
            value,
            why,
        };
        Score {
            scorer: "questions".to_owned(),
            version: "1".to_owned(),
            hash: self.book.digest().to_owned(),
            value,
            parts: vec![
                part("f1", overlap, why),
                part("searches", searches as f64, format!("{hops} are needed")),
                part("spare", searches.saturating_sub(hops) as f64, String::new()),
            ],
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        scripts::SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        scripts::script(name, question(task).ok()?, &task.instruction, stream)
    }
}
