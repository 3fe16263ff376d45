//! Whether a task was done.

mod command;
mod exact;
mod form;
mod judge;
mod state;

pub use command::Command;
pub use exact::Exact;
pub use form::{JsonSchema, Regex};
pub use judge::Judge;
pub use state::State;

use hone_env::{Judges, Question, Task};
use hone_trace::{Episode, ScorePart};
use serde_json::Value;

/// What a checker looks at.
pub struct Evidence<'a> {
    /// The task, with its line of `tasks.jsonl` as `data`.
    pub task: &'a Task,
    /// What is expected by this checker: the task's `expected.NAME`.
    pub expected: &'a Value,
    /// The agent's final answer, if it gave one.
    pub answer: Option<&'a str>,
    /// The final state of the world.
    pub state: &'a Value,
    /// The episode.
    pub episode: &'a Episode,
}

/// What a checker found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// From 0 to 1; 1 is success.
    pub value: f64,
    /// Why, in a sentence: what was expected and what there was.
    pub why: String,
    /// Named parts of the value.
    pub parts: Vec<ScorePart>,
}

impl Finding {
    /// All or nothing.
    pub fn of(success: bool, why: impl Into<String>) -> Self {
        Self {
            value: f64::from(u8::from(success)),
            why: why.into(),
            parts: Vec::new(),
        }
    }
}

/// Says whether a task was done, from what was expected and what there is.
pub trait Checker: Send + Sync {
    /// Name and version of the rule, for the record: a change of either makes scores incomparable.
    fn version(&self) -> String;

    /// Whether a task's `expected` is of the form that this checker reads.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    fn accepts(&self, expected: &Value) -> Result<(), String>;

    /// What a judge must say about an episode before [`Checker::check`], which reads the answer from the record.
    fn question(&self, evidence: &Evidence<'_>) -> Option<Question> {
        let _ = evidence;
        None
    }

    /// Who is asked it.
    fn judges(&self) -> Option<Judges> {
        None
    }

    /// Check.
    ///
    /// # Errors
    /// When there is no finding, for reasons that are not the agent's. The episode then counts for nothing; it never passes.
    fn check(&self, evidence: &Evidence<'_>) -> Result<Finding, String>;

    /// Whether it needs nothing but microseconds and memory.
    fn inline(&self) -> bool {
        true
    }
}

/// Text for a message, cut to a readable length.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn answered(answer: Option<&str>) -> String {
    match answer {
        Some(text) => format!("the answer was {}", shown(&Value::from(text))),
        None => "there was no answer".to_owned(),
    }
}
