//! What a taskset wants to have been played before its tasks, such as conversations to be remembered.

use super::run::{Run, missing};
use super::watch::{self, Then, Watch};
use crate::interrupt;
use anyhow::bail;
use hone_env::{Split, Taskset};
use hone_rollout::{Hooks, Stats};
use hone_trace::{Episode, Filter, Outcome, Store, StoreError};
use hone_view::{Progress, Status};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The phase of a round's episodes is this and its number.
pub(super) const PREPARE: &str = "prepare";

/// What it has cost so far, in US dollars.
pub(super) fn cost(store: &Store) -> Result<f64, StoreError> {
    let mut usd = 0.0;
    store.for_each(&Filter::phase(PREPARE), |episode| {
        usd += watch::cost(&episode);
        Ok::<_, StoreError>(())
    })?;
    Ok(usd)
}

impl Run {
    /// Play round after round what is missing, then go on with the taskset that comes of it. Whether the user stopped it.
    pub fn prepare(&mut self, concurrency: usize, max_cost: Option<f64>) -> anyhow::Result<bool> {
        let mut played = Vec::new();
        for round in 0.. {
            let Some(taskset) = self.taskset.preparation(&played)? else {
                if let Some(prepared) = self.taskset.prepared(&played)? {
                    self.taskset = prepared;
                }
                break;
            };
            let phase = format!("{PREPARE}/{round}");
            if self.round(&taskset, &phase, concurrency, max_cost)? {
                return Ok(true);
            }
            played.extend(recorded(&self.store, &phase)?);
        }
        Ok(false)
    }

    fn round(
        &self,
        taskset: &Arc<dyn Taskset>,
        phase: &str,
        concurrency: usize,
        max_cost: Option<f64>,
    ) -> anyhow::Result<bool> {
        let done: BTreeSet<String> = recorded(&self.store, phase)?
            .into_iter()
            .map(|episode| episode.id)
            .collect();
        let jobs = missing(phase, Split::Test, taskset.len(Split::Test).unwrap_or(0), 1, &done);
        let spent = match self.cast.priced {
            true => self.spent()?.1,
            false => 0.0,
        };
        let mut watch = Watch::new(max_cost, spent);
        let enough = AtomicBool::new(watch.stop().is_some());
        let cancel = interrupt::flag();
        let mut progress = Progress::stderr().of("episode");
        progress.phase(phase);
        let (mut stats, mut steps, all) = (Stats::default(), 0, jobs.len() as u64);
        let mut count = |episode: &Episode| {
            match watch.see(episode) {
                Then::Go => {}
                Then::Finish => enough.store(true, Ordering::Relaxed),
                Then::Drop => cancel.store(true, Ordering::Relaxed),
            }
            stats.add(episode);
            steps += 1;
            progress.update(Status {
                step: steps,
                steps: all,
                valid_calls: stats.valid_call_rate(),
                turns: stats.mean_turns(),
                ..Status::default()
            });
        };
        let mut sink = |episode: &Episode| Ok(self.store.append(std::slice::from_ref(episode))?);
        let hooks = Hooks {
            sink: Some(&mut sink),
            on_episode: Some(&mut count),
            cancel: Some(cancel),
            enough: Some(&enough),
        };
        let played = self.rollout(taskset.clone(), phase, concurrency).run(&jobs, hooks)?;
        progress.finish();
        if let (Some(why), true) = (watch.stop(), played.len() < jobs.len()) {
            bail!("{why}");
        }
        let failed = played.iter().find_map(|episode| match &episode.outcome {
            Outcome::InfraFailed { cause } => Some((&episode.task, cause)),
            _ => None,
        });
        if let Some((task, cause)) = failed {
            bail!("{task}, on which later tasks depend, could not be played: {cause}");
        }
        Ok(played.len() < jobs.len())
    }
}

/// The episodes of a round that count.
fn recorded(store: &Store, phase: &str) -> Result<Vec<Episode>, StoreError> {
    let mut found = Vec::new();
    store.for_each(&Filter::phase(phase), |episode| {
        if episode.counts() {
            found.push(episode);
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(found)
}
