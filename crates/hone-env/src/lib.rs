//! Tasks, tasksets, environments, scorers and scripted agents: the traits that domains implement.
//!
//! A domain crate provides one or more [`Taskset`]s. A taskset deals tasks by split and index, makes the [`Environment`]
//! in which a task is played, scores finished episodes, and offers scripted agents (expert, demonstrators, baselines).
//!
//! Invariants: a task is a pure function of (taskset, split, index); an environment's state is private to its episode;
//! tools do not enforce policy unless the taskset says so; scoring reads only the task, the trace and the final state.

mod judged;
mod role;
mod user;

pub use judged::{Finding, Judges, Question, VERDICT, Vote, findings};
pub use role::{ActionStep, Brief, NEXT_STEP, NextStep, Role, VERIFY, verdict};
pub use user::{Given, Party, SimulatedUser};

use hone_model::Script;
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, Truncation};
use hone_trace::{Episode, Score, Stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which part of a taskset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// For demonstrations and training.
    Train,
    /// For choosing settings.
    Validation,
    /// Held out: entities, combinations and wordings that training never sees.
    Test,
}

impl Split {
    /// Name as written in task ids and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// `split/index`, unique within the taskset.
    pub id: String,
    /// Kind, for breakdowns (`refund/too_late`).
    pub kind: String,
    /// System message, if the taskset uses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The request, in natural language.
    pub instruction: String,
    /// Seed of the world that the task is played in.
    pub seed: u64,
    /// The domain's own data: fixture, expected state, required outcome.
    pub data: Value,
}

/// Whether an environment can branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fork {
    /// [`Environment::fork`] copies the state.
    Native,
    /// By replaying the recorded calls on a fresh instance.
    Replay,
    /// Not at all: branching is refused.
    None,
}

/// Why a task or an environment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The split has no task of that index.
    #[error("taskset {taskset} has {len} tasks in split {split}, so there is no task {index}")]
    NoSuchTask {
        /// Taskset.
        taskset: String,
        /// Split.
        split: &'static str,
        /// Asked for.
        index: u64,
        /// Available.
        len: u64,
    },
    /// Data that the taskset needs is missing or broken.
    #[error("{what}; {remedy}")]
    Data {
        /// Which file or field, and what is wrong.
        what: String,
        /// How to mend it.
        remedy: String,
    },
    /// What the world needs from outside is gone.
    #[error("{0}")]
    Lost(String),
}

/// The stateful world of an episode. Its tools are its [`ToolHost`] side.
pub trait Environment: ToolHost {
    /// Start the task: replaces all state.
    ///
    /// # Errors
    /// When the task's data does not fit this environment.
    fn reset(&mut self, task: &Task) -> Result<(), EnvError>;

    /// The whole state as canonical JSON (for scoring and for people).
    fn state(&self) -> Value;

    /// What the user says to the agent's answer, in tasks of several turns. `None` ends the episode.
    ///
    /// Afterwards [`ToolHost::specs`] may be others.
    ///
    /// # Errors
    /// When the world cannot go on, which is nobody's mistake.
    fn user(&mut self, answer: &str) -> Result<Option<String>, EnvError> {
        let _ = answer;
        Ok(None)
    }

    /// The simulated user's own tools, where both sides act on the world (dual control).
    fn user_specs(&self) -> &[ToolSpec] {
        &[]
    }

    /// Run a tool of the simulated user. Only harnesses call it, through [`hone_tool::dispatch`].
    ///
    /// # Errors
    /// What the tool reports.
    fn user_call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let _ = arguments;
        Err(ToolError::tool(format!("the user has no tool `{tool}`")))
    }

    /// Whether and how it can branch.
    fn fork_kind(&self) -> Fork {
        Fork::None
    }

    /// An independent copy, where [`Environment::fork_kind`] is native.
    fn fork(&self) -> Option<Box<dyn Environment>> {
        None
    }
}

/// A scripted agent that a taskset offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptInfo {
    /// Name, as on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// What it is for.
    pub role: ScriptRole,
}

/// What a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptRole {
    /// Solves every task.
    Expert,
    /// Writes demonstrations for the cold start; may err.
    Demonstrator,
    /// Something to compare with.
    Baseline,
}

/// What a malformed agent turn does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    /// The agent sees an error and goes on.
    #[default]
    Observe,
    /// It counts as the agent's answer: its turn ends, and the user goes on if there is one.
    EndTurn,
    /// The episode ends.
    EndEpisode,
}

/// What happens when a conversation no longer fits the model's context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOverflow {
    /// The episode ends.
    #[default]
    End,
    /// The oldest half of the tools' answers makes room, again and again while that helps. The conversation is rendered
    /// anew, so that its tokens begin a new training sequence.
    DropObservations,
}

/// Bounds and turn rules of an episode. A taskset suggests them, a recipe may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Agent turns.
    pub max_turns: u32,
    /// Tool calls.
    pub max_calls: u32,
    /// Tokens that the agent may sample in one turn.
    pub max_turn_tokens: u32,
    /// Tokens of the whole conversation.
    pub max_tokens: u32,
    /// Characters of one observation; longer ones are cut and marked.
    pub max_observation_chars: u32,
    /// Which part of a longer one is shown.
    #[serde(default)]
    pub truncation: Truncation,
    /// Characters of a tool's schema that an error in a call's arguments shows; 0 shows none.
    #[serde(default)]
    pub max_schema_chars: u32,
    /// Wall-clock bound of one tool call, in milliseconds.
    pub tool_timeout_ms: u64,
    /// Wall-clock bound of the episode, in milliseconds.
    pub episode_timeout_ms: u64,
    /// What a malformed turn does.
    pub on_malformed: OnMalformed,
    /// Agent turns from one message of the user to the next; 0 is no bound.
    #[serde(default)]
    pub max_steps: u32,
    /// With a simulated user: messages of both sides and rounds of results, together; 0 is no bound. Checked as
    /// τ²-bench does: not while calls wait for their results, and before the user's own end counts.
    #[serde(default)]
    pub max_messages: u32,
    /// With a simulated user: calls of either side that failed; 0 is no bound. Checked where `max_messages` is.
    #[serde(default)]
    pub max_errors: u32,
    /// Of a turn's calls, only the first is run and kept.
    #[serde(default)]
    pub first_call_only: bool,
    /// What a full context does.
    #[serde(default)]
    pub on_overflow: OnOverflow,
    /// Once the agent has answered, or the task is over, ask it how sure it is. Its answer is trained with the others, and no
    /// turn of the episode.
    #[serde(default)]
    pub confidence: bool,
}

impl Default for Budget {
    /// Wide bounds, for a taskset to narrow.
    fn default() -> Self {
        Self {
            max_turns: 30,
            max_calls: 100,
            max_turn_tokens: 4_096,
            max_tokens: 128_000,
            max_observation_chars: 20_000,
            truncation: Truncation::Head,
            max_schema_chars: 0,
            tool_timeout_ms: 30_000,
            episode_timeout_ms: 600_000,
            on_malformed: OnMalformed::default(),
            max_steps: 0,
            max_messages: 0,
            max_errors: 0,
            first_call_only: false,
            on_overflow: OnOverflow::default(),
            confidence: false,
        }
    }
}

/// What a suite makes of the successes of its kinds of tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aggregate {
    /// Its numbers by name, such as a leaderboard's overall score, as fractions.
    pub numbers: Vec<(String, f64)>,
    /// Parts of the suite that were not played; in the numbers they count as the suite says.
    pub missing: Vec<String>,
}

/// A loadable, possibly infinite, collection of tasks with the world they are played in.
pub trait Taskset: Send + Sync {
    /// Name, as on the command line.
    fn name(&self) -> &str;

    /// What it is, in a sentence.
    fn about(&self) -> &'static str;

    /// Number of tasks in a split; `None` if there is no end.
    fn len(&self, split: Split) -> Option<u64>;

    /// The task of that index.
    ///
    /// # Errors
    /// When there is none.
    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError>;

    /// A fresh environment with the tools of this task, to be reset with it (or another of the same tools).
    fn environment(&self, task: &Task) -> Box<dyn Environment>;

    /// What must be played before the tasks, such as conversations that a memory is made of: rounds of tasks, each once and
    /// in the order of the rounds. Given the episodes of the rounds so far, the taskset of the next round; all its tasks are
    /// in the split `test`. `None`: there is nothing more.
    ///
    /// # Errors
    /// When an episode does not hold what it must.
    fn preparation(&self, played: &[Episode]) -> Result<Option<Arc<dyn Taskset>>, EnvError> {
        let _ = played;
        Ok(None)
    }

    /// This taskset with what the episodes of its [`Taskset::preparation`] left; `None` where there is none.
    ///
    /// # Errors
    /// When an episode does not hold what it must.
    fn prepared(&self, played: &[Episode]) -> Result<Option<Arc<dyn Taskset>>, EnvError> {
        let _ = played;
        Ok(None)
    }

    /// The simulated user of a task, in tasksets that have one.
    fn user(&self, task: &Task) -> Option<SimulatedUser> {
        let _ = task;
        None
    }

    /// Whether a model can be told how to play the users.
    ///
    /// # Errors
    /// What is missing.
    fn check_user(&self) -> Result<(), EnvError> {
        Ok(())
    }

    /// Scripts on offer that play the user; at least one in tasksets that have users.
    fn user_scripts(&self) -> &'static [ScriptInfo] {
        &[]
    }

    /// A script that plays the user of one episode, with its own randomness.
    fn user_script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let _ = (name, task, stream);
        None
    }

    /// Scripts on offer for a role of a planner-executor loop.
    fn role_scripts(&self, role: Role) -> &'static [ScriptInfo] {
        let _ = role;
        &[]
    }

    /// A script that plays a role of one episode, with its own randomness. What it is told is a [`Brief`].
    fn role_script(&self, role: Role, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let _ = (role, name, task, stream);
        None
    }

    /// Default bounds.
    fn budget(&self) -> Budget;

    /// What a judge must say before [`Taskset::score`], which reads the answers from the trace ([`findings`]).
    fn questions(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Vec<Question> {
        let _ = (task, episode, environment);
        Vec::new()
    }

    /// Judges that the taskset itself names, for questions that name them.
    fn judges(&self) -> Vec<Judges> {
        Vec::new()
    }

    /// Score a finished episode: `value` is 1 for success and 0 for failure, the parts say why. A `value` that
    /// is no number means that it cannot be said, for the reasons of the parts that are none; the episode then does not count.
    fn score(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Score;

    /// What the suite itself makes of the successes and the counted tries of each kind of task.
    fn aggregate(&self, kinds: &BTreeMap<String, (u64, u64)>) -> Aggregate {
        let _ = kinds;
        Aggregate::default()
    }

    /// The scripted agents on offer.
    fn scripts(&self) -> &'static [ScriptInfo];

    /// A scripted agent for one episode, with its own randomness.
    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>>;
}
