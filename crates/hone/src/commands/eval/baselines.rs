//! What the taskset's own scripts reach on the tasks of an evaluation: gold, doing nothing, chance.
//!
//! Their episodes lie in a file of their own beside the run's, so that the run's holds what was measured and nothing else.
//! Those of the expert are also what a failed episode is held against.

use super::run::missing;
use super::settings::{PHASE, Settings};
use crate::interrupt;
use crate::{models, tasksets, users};
use anyhow::Context;
use hone_env::{ScriptRole, Taskset};
use hone_rollout::{Hooks, Rollout, ToolSource};
use hone_score::{Baseline, Bound, Measures, Reference};
use hone_tool::ApprovalPolicy;
use hone_trace::{Episode, Filter, OutcomeKind, SamplingSettings, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The phase of a script's episodes is this and its name.
const BASELINE: &str = "baseline";

/// The scripts to play: the expert first.
fn scripts(taskset: &dyn Taskset) -> Vec<(&'static str, Bound)> {
    let bound = |role, name| match (role, name) {
        (ScriptRole::Expert, _) => Some(Bound::Gold),
        (ScriptRole::Baseline, "do_nothing") => Some(Bound::DoNothing),
        (ScriptRole::Baseline, "random") => Some(Bound::Baseline),
        _ => None,
    };
    let mut scripts: Vec<_> = taskset
        .scripts()
        .iter()
        .filter_map(|script| Some((script.name, bound(script.role, script.name)?)))
        .collect();
    scripts.sort_by_key(|(_, bound)| *bound != Bound::Gold);
    scripts
}

/// Where they lie.
pub(super) fn file(run: &Path) -> PathBuf {
    run.join("baselines.db")
}

/// Play what is missing of them, one try a task. Whether the user stopped it.
pub(super) fn play(
    run: &Path,
    settings: &Settings,
    taskset: &Arc<dyn Taskset>,
    concurrency: usize,
) -> anyhow::Result<bool> {
    let scripts = scripts(&**taskset);
    if scripts.is_empty() {
        return Ok(false);
    }
    let path = file(run);
    let store = if path.exists() {
        Store::open(&path)?
    } else {
        Store::create(&path)?
    };
    let codec = models::script_codec()?;
    let user = users::default_user(taskset).map(|spec| users::user(&spec, taskset, &[]));
    let user = user.transpose()?.map(|user| user.player);
    for (name, _) in scripts {
        let phase = format!("{BASELINE}/{name}");
        let recorded = store.episodes(&Filter::phase(&*phase))?;
        let counts = recorded.iter().filter(|e| e.outcome.kind() != OutcomeKind::InfraFailed);
        let done: BTreeSet<String> = counts.map(|e| e.id.clone()).collect();
        let jobs = missing(&phase, settings.split, settings.n, 1, &done);
        let rollout = Rollout {
            budget: taskset.budget(),
            taskset: taskset.clone(),
            player: models::script(taskset, name, codec.clone())?,
            // Gold wants a user that does as it is told, and no baseline is worth a judge's price.
            user: user.clone(),
            judge: None,
            harness: tasksets::built_in_loop(&**taskset),
            sampling: SamplingSettings {
                temperature: 0.0,
                top_p: 1.0,
                top_k: 0,
                max_tokens: 0,
                stream: String::new(),
                ..SamplingSettings::default()
            },
            approval: Arc::new(ApprovalPolicy::AllowAll),
            tools: ToolSource::default(),
            forking: None,
            seed: settings.seed,
            phase,
            concurrency,
        };
        let mut sink = |episode: &Episode| Ok(store.append(std::slice::from_ref(episode))?);
        let hooks = Hooks {
            sink: Some(&mut sink),
            on_episode: None,
            cancel: Some(interrupt::flag()),
            enough: None,
        };
        let played = rollout
            .run(&jobs, hooks)
            .with_context(|| format!("the script {name} cannot be played"))?;
        if played.len() < jobs.len() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is recorded of them.
#[derive(Default)]
pub(super) struct Recorded {
    /// Success by script.
    pub rates: BTreeMap<String, Baseline>,
    /// What the expert did, by task.
    pub references: HashMap<String, Reference>,
}

impl Recorded {
    /// Of the run in this directory; empty if none were played.
    pub fn read(run: &Path, taskset: &dyn Taskset) -> Result<Self, StoreError> {
        let path = file(run);
        let mut found = Self::default();
        if !path.exists() {
            return Ok(found);
        }
        let store = Store::open_read_only(&path)?;
        for (name, bound) in scripts(taskset) {
            let filter = Filter::phase(format!("{BASELINE}/{name}"));
            let mut measures = Measures::default();
            store
                .episodes(&filter)?
                .iter()
                .for_each(|summary| measures.add_summary(summary));
            if let Some(rate) = measures.success() {
                found.rates.insert(name.to_owned(), Baseline { bound, rate });
            }
            if bound == Bound::Gold {
                found.references.extend(references(&store, &filter)?);
            }
        }
        Ok(found)
    }
}

/// What each task's episode did that succeeded.
pub(super) fn references(store: &Store, filter: &Filter) -> Result<HashMap<String, Reference>, StoreError> {
    let filter = Filter {
        outcome: Some(OutcomeKind::Ok),
        ..filter.clone()
    };
    let pieces = store.map_chunks(&filter, |episodes| {
        let of = |episode: &Episode| Some((episode.task.clone(), Reference::of(episode)?));
        episodes.iter().filter_map(of).collect::<Vec<_>>()
    })?;
    let references = pieces.into_iter().flatten().collect();
    Ok(references)
}

/// The phase of the run itself, for commands that read it.
pub(super) fn run_filter() -> Filter {
    Filter::phase(PHASE)
}
