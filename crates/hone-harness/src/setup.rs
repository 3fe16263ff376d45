//! What an episode starts from and what comes out of it.

use hone_env::{Budget, Environment, SimulatedUser, Task};
use hone_model::Model;
use hone_tool::{ApprovalPolicy, Recording, Toolset};
use hone_trace::{EndReason, Episode, Outcome, SCHEMA, SamplingSettings, Stream, Timing};
use std::sync::Arc;

/// Which episode of which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// `phase/group/sample`.
    pub id: String,
    /// Phase of the run.
    pub phase: String,
    /// Taskset name.
    pub taskset: String,
    /// Group of rollouts of the same task, within the phase.
    pub group: u64,
    /// Index within the group.
    pub sample: u32,
}

impl Label {
    /// An episode of which nothing has happened yet, ended as `end` for the infrastructure's fault `cause`.
    pub fn failed(self, task: &Task, stream: &Stream, end: EndReason, cause: String) -> Episode {
        let mut episode = self.blank(task, stream);
        episode.end = end;
        episode.outcome = Outcome::InfraFailed { cause };
        episode
    }

    pub(crate) fn blank(self, task: &Task, stream: &Stream) -> Episode {
        Episode {
            schema: SCHEMA,
            id: self.id,
            phase: self.phase,
            taskset: self.taskset,
            task: task.id.clone(),
            task_kind: task.kind.clone(),
            group: self.group,
            sample: self.sample,
            seed: stream.seed(),
            harness: String::new(),
            policy: String::new(),
            forked_from: None,
            turns: Vec::new(),
            model_calls: Vec::new(),
            tool_calls: Vec::new(),
            events: Vec::new(),
            end: EndReason::Cancelled,
            outcome: Outcome::PolicyFailed,
            final_state: None,
            scores: Vec::new(),
            reward: None,
            timing: Timing::default(),
        }
    }
}

/// Who plays the simulated user.
pub struct UserSetup {
    /// Whom, and by which rules.
    pub role: SimulatedUser,
    /// The model that does.
    pub model: Arc<dyn Model>,
    /// The user's own tools, compiled.
    pub toolset: Arc<Toolset>,
    /// Its sampling settings.
    pub sampling: SamplingSettings,
}

/// All that an episode starts from.
pub struct EpisodeSetup {
    /// Which episode it is.
    pub label: Label,
    /// What to do.
    pub task: Arc<Task>,
    /// Where; the harness resets it with the task.
    pub environment: Box<dyn Environment>,
    /// The environment's tools, compiled.
    pub toolset: Arc<Toolset>,
    /// Who.
    pub model: Arc<dyn Model>,
    /// The simulated user, for harnesses that have one.
    pub user: Option<UserSetup>,
    /// Bounds.
    pub budget: Budget,
    /// Sampling settings; the budget lowers `max_tokens` further (0 means: by the budget only), and the harness names
    /// the stream.
    pub sampling: SamplingSettings,
    /// Which tools may run.
    pub approval: Arc<ApprovalPolicy>,
    /// Tool results to replay instead of running the tools.
    pub recording: Option<Recording>,
    /// The episode's randomness. Model call `n` draws from its child `call`, `n`.
    pub stream: Stream,
}

/// What comes out of an episode.
pub struct Finished {
    /// The record, not yet scored.
    pub episode: Episode,
    /// The environment in its final state, unless a tool call lost it.
    pub environment: Option<Box<dyn Environment>>,
}
