//! What a run was started with, and where its database keeps that.

use crate::approve::How;
use anyhow::Context;
use hone_env::Split;
use hone_trace::{SamplingSettings, Store};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The phase that the episodes are recorded under.
pub(super) const PHASE: &str = "eval";
/// Where the run's database keeps the settings.
pub(super) const SETTINGS: &str = "eval";
/// Most tasks of an evaluation.
pub(super) const MAX_TASKS: u64 = 1_000_000;

/// What decides the episodes of a run. Kept in its database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub taskset: String,
    pub model: String,
    /// See [`Cast::identity`].
    pub model_hash: Option<String>,
    /// Who plays the simulated user, where there is one, and the hash of its weights.
    #[serde(default)]
    pub user: Option<(String, Option<String>)>,
    #[serde(default)]
    pub judges: Vec<String>,
    /// The agent's loop, where it is not the taskset's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harness: Option<String>,
    /// Hash of the user's own tasks; none for a taskset that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_hash: Option<String>,
    /// What the taskset calls itself, where `taskset` is a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    pub split: Split,
    pub n: u64,
    pub samples: u32,
    pub temperature: f32,
    /// How answers are sampled, where that is more than the temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingSettings>,
    /// Whether the agent is asked how sure it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confidence: bool,
    pub seed: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PathBuf>,
    /// The text of the policy that was given with --policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What becomes of calls that a person must decide on, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<How>,
}

/// What a run was started with.
pub(super) fn settings(store: &Store, dir: &Path) -> anyhow::Result<Settings> {
    let settings = store.get_meta(SETTINGS)?.with_context(|| {
        format!(
            "{} is not the run of an evaluation; give the directory that `hone eval` named",
            dir.display()
        )
    })?;
    serde_json::from_value(settings).with_context(|| {
        format!(
            "the settings of {} cannot be read; start the evaluation anew",
            dir.display()
        )
    })
}

/// Makes the run of an evaluation out of episodes that came from elsewhere, for benches.
///
/// # Errors
/// When the directory cannot be written.
pub fn make_run(dir: &Path, taskset: &str, n: u64) -> anyhow::Result<Store> {
    std::fs::create_dir_all(dir)?;
    let store = Store::create(dir.join("run.db"))?;
    let settings = Settings {
        taskset: taskset.to_owned(),
        model: "made-up".into(),
        model_hash: None,
        user: None,
        judges: Vec::new(),
        harness: None,
        suite: None,
        tasks_hash: None,
        split: Split::Test,
        n,
        samples: 1,
        temperature: 0.0,
        sampling: None,
        confidence: false,
        seed: 0,
        prices: Vec::new(),
        policy: None,
        approve: None,
    };
    store.set_meta(SETTINGS, &serde_json::to_value(&settings)?)?;
    Ok(store)
}
