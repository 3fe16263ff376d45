//! What a run has done so far, and why it ended early.

use crate::stages::{Memory, StageError};
use crate::update::UpdateError;
use hone_engine::checkpoint::CheckpointError;
use hone_engine::{LearnError, WeightsError};
use hone_env::EnvError;
use hone_model::CodecError;
use hone_rollout::RolloutError;
use hone_score::Rate;
use hone_trace::{Flaw, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Update(#[from] UpdateError),
    #[error(
        "{phase} broke down at step {step} (the first is 0); lower `{key}` in {} before you resume",
        recipe.display()
    )]
    Broken {
        phase: String,
        step: u32,
        key: &'static str,
        recipe: PathBuf,
        source: Box<UpdateError>,
    },
    #[error(
        "nothing of {phase} was recorded, because what plays it failed: {cause}; take another base model, or a lower learning rate if training brought it here"
    )]
    Policy { phase: String, cause: String },
    #[error("cannot write the tokenizer to {}; check that it may be written and that the disk is not full", path.display())]
    Codec { path: PathBuf, source: CodecError },
    #[error(transparent)]
    Learn(#[from] LearnError),
    #[error(transparent)]
    Chat(#[from] crate::chat::ChatError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("a recorded episode is damaged: {0}; delete the run directory and start again")]
    Flaw(#[from] Flaw),
    #[error("taskset {taskset} has no scripted agent {name}; it has {have}")]
    NoScript {
        taskset: String,
        name: String,
        have: String,
    },
    #[error("the demonstrations of {script} hold no token to learn; choose another `demonstrations.script`")]
    NoDemonstrations { script: String },
    #[error(
        "every demonstration of {script} is longer than the model's {positions} positions; take a base model with more"
    )]
    TooLong { script: String, positions: usize },
    #[error("{path}: {what}; the file is damaged, so the run cannot be resumed: start a new one")]
    State { path: PathBuf, what: String },
    #[error(
        "`eval.constraint` needs constrained decoding, which this program was built without; build it with `--features constrain`, or remove the key"
    )]
    Unconstrained,
    #[error("stopped")]
    Stopped,
}

/// Success on the held-out tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Greedy decoding; for scripts, the way they play.
    pub greedy: Option<Rate>,
    /// Temperature 1.
    pub sampled: Option<Rate>,
    /// Greedy decoding of answers that fit the recipe's `eval.constraint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constrained: Option<Rate>,
}

/// What a run has done so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Phases that are done.
    pub done: Vec<String>,
    /// Wall-clock seconds by phase.
    pub seconds: BTreeMap<String, f64>,
    /// Held-out success by agent.
    pub evaluations: BTreeMap<String, Evaluation>,
    /// Success of the demonstrations themselves.
    pub demonstrations: Option<Rate>,
    /// Tokens sampled during reinforcement.
    pub sampled_tokens: u64,
    /// Tokens trained on in all phases.
    pub trained_tokens: u64,
    /// Reinforcement steps done.
    pub rl_step: u32,
    /// Next training task.
    pub cursor: u64,
    /// Running estimate of success by kind of task.
    pub kinds: BTreeMap<String, f64>,
    /// Checkpoint that reinforcement continues from.
    pub checkpoint: Option<String>,
    /// Hash of the base model that the run began with: weights and chat format.
    pub base: Option<String>,
    /// What the method's parts keep from step to step.
    #[serde(default, skip_serializing_if = "Memory::is_empty")]
    pub memory: Memory,
}

impl State {
    /// The state of a run's directory; a fresh one if there is none.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read.
    pub fn load(dir: &Path) -> Result<Self, RunError> {
        let path = dir.join("state.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| RunError::State {
                path,
                what: e.to_string(),
            }),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(RunError::Checkpoint(CheckpointError::File {
                action: "read",
                path,
                source,
                remedy: "make it readable, then resume",
            })),
        }
    }
}
