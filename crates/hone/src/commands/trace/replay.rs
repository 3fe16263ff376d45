//! A recorded run, played again from its record alone.

use super::retold::Retold;
use super::{is_timed, timed_phases};
use crate::console::{print, print_json, say};
use anyhow::{Context, bail};
use hone_env::{Budget, EnvError, Environment, Given, SimulatedUser, Task, VERDICT};
use hone_harness::{Dialogue, EpisodeSetup, Harness, Label, React, UserSetup};
use hone_model::Replayed;
use hone_tool::{ApprovalPolicy, Recording, ToolError, ToolHost, ToolOutput, ToolSpec, Toolset, difference};
use hone_trace::{Episode, Filter, Outcome, RunDigest, SamplingSettings, Store, Stream, Turn};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where a run's database keeps the bounds that its episodes were played with.
pub const BUDGET: &str = "budget";

/// The event of tools that the world chose for the agent.
const CHOSEN: &str = "chosen_tools";
/// The event of an episode that branched off another.
const FORKED: &str = "forked";

/// An hour: only a defect takes longer.
const PATIENCE_MS: u64 = 3_600_000;

/// What stands in the environment's place: the words of the user, and the final state.
struct Told {
    words: VecDeque<String>,
    state: Option<String>,
}

impl ToolHost for Told {
    fn specs(&self) -> &[ToolSpec] {
        &[]
    }

    fn call(&mut self, tool: &str, _: &Value) -> Result<ToolOutput, ToolError> {
        Err(ToolError::tool(format!("{tool} does not run in a replay")))
    }

    fn state_hash(&self) -> Option<String> {
        self.state.clone()
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Told {
    fn reset(&mut self, _: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }

    fn user(&mut self, _: &str) -> Result<Option<String>, EnvError> {
        Ok(self.words.pop_front())
    }
}

/// Play every episode of the run again and compare.
pub fn run(store: &Store, phase: Option<String>, json: bool) -> anyhow::Result<()> {
    let budget = store.get_meta(BUDGET)?.context(
        "the run does not say which bounds its episodes had, as runs of this version do; record it anew to replay it",
    )?;
    let budget: Budget = serde_json::from_value(budget).context("the bounds of the run cannot be read")?;
    let timed = timed_phases(store, phase.as_ref())?;
    let filter = Filter {
        phase,
        ..Filter::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("the system gives no threads; free some and try again")?;
    let (mut recorded, mut replayed) = (RunDigest::default(), RunDigest::default());
    let (mut equal, mut kept, mut differ) = (0u64, 0u64, Vec::new());
    store.for_each(&filter, |episode| -> anyhow::Result<()> {
        if is_timed(&timed, &episode) {
            return Ok(());
        }
        recorded.add(&episode);
        let Some(again) = again(&episode, &budget, &runtime) else {
            kept += 1;
            replayed.add(&episode);
            return Ok(());
        };
        replayed.add(&again);
        match again.digest() == episode.digest() {
            true => equal += 1,
            false => differ.push((episode.id.clone(), first(&episode, &again))),
        }
        Ok(())
    })?;
    if equal == 0 && differ.is_empty() {
        bail!("there is no episode to replay that ended by itself; `hone trace ls` shows what the run holds");
    }
    let (recorded, replayed) = (recorded.finish(), replayed.finish());
    say(format!("{equal} episodes are equal, {} differ", differ.len()));
    if kept > 0 {
        say(format!(
            "{kept} were not played: they failed for the infrastructure's reasons"
        ));
    }
    for (id, why) in differ.iter().take(10) {
        say(hone_view::printable(&format!("{id}: {why}")));
    }
    if json {
        let first = differ.first().map(|(id, why)| json!({"episode": id, "where": why}));
        print_json(&json!({
            "equal": equal, "differ": differ.len(), "kept": kept, "recorded": recorded, "replayed": replayed,
            "first": first,
        }))?;
    } else {
        print(&replayed)?;
    }
    if recorded != replayed {
        bail!("the replay is not the recorded run: its digest is {replayed}, that of the record {recorded}");
    }
    Ok(())
}

/// Where two episodes differ first.
fn first(recorded: &Episode, replayed: &Episode) -> String {
    if let Outcome::InfraFailed { cause } = &replayed.outcome {
        return cause.clone();
    }
    let tree = |episode: &Episode| {
        let mut episode = episode.clone();
        episode.clear_timing();
        episode.tool_calls.iter_mut().for_each(|call| call.replayed = false);
        serde_json::to_value(episode).unwrap_or_default()
    };
    difference(&tree(recorded), &tree(replayed)).map_or_else(String::new, |found| found.first)
}

/// The episode played again, with the scores that it had: they come from the world, which does not run. `None` if it cannot
/// be.
fn again(episode: &Episode, budget: &Budget, runtime: &tokio::runtime::Runtime) -> Option<Episode> {
    let harness: Box<dyn Harness> = match episode.harness.as_str() {
        "react" => Box::new(React),
        "dialogue" => Box::new(Dialogue),
        "external" => Box::new(Retold(Arc::new(episode.clone()))),
        _ => return None,
    };
    if !episode.counts() {
        return None;
    }
    let mut finished = runtime.block_on(harness.run(setup(episode, budget))).episode;
    finished.seed = episode.seed;
    finished.forked_from.clone_from(&episode.forked_from);
    let judged = |role: &str| role == "judge";
    let calls = episode.model_calls.iter().filter(|call| judged(&call.role));
    finished.model_calls.extend(calls.cloned());
    let verdicts = episode.events.iter().filter(|event| event.kind == VERDICT);
    finished.events.extend(verdicts.cloned());
    // What the world chose and where the episode branched off, at its time.
    for (at, event) in episode.events.iter().enumerate() {
        if matches!(event.kind.as_str(), CHOSEN | FORKED) && at <= finished.events.len() {
            finished.events.insert(at, event.clone());
        }
    }
    if finished.counts() {
        finished.outcome = episode.outcome.clone();
        finished.scores.clone_from(&episode.scores);
        finished.reward = episode.reward;
    }
    Some(finished)
}

fn setup(episode: &Episode, budget: &Budget) -> EpisodeSetup {
    let system = match episode.turns.first() {
        Some(Turn::System { text }) => Some(text.clone()),
        _ => None,
    };
    let said = episode.turns.iter().filter_map(|turn| match turn {
        Turn::User { text } => Some(text.clone()),
        _ => None,
    });
    let mut words: VecDeque<String> = said.collect();
    let dialogue = episode.harness == "dialogue";
    let instruction = if dialogue { None } else { words.pop_front() };
    let sampling = SamplingSettings {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        max_tokens: 0,
        stream: String::new(),
        ..SamplingSettings::default()
    };
    let none = Arc::new(Toolset::compile(&[]).unwrap_or_else(|_| unreachable!("no tool has no schema")));
    let user = dialogue.then(|| UserSetup {
        role: role(episode),
        model: Arc::new(Replayed::user(episode)),
        toolset: none.clone(),
        sampling: sampling.clone(),
    });
    EpisodeSetup {
        label: Label {
            id: episode.id.clone(),
            phase: episode.phase.clone(),
            taskset: episode.taskset.clone(),
            group: episode.group,
            sample: episode.sample,
        },
        task: Arc::new(Task {
            id: episode.task.clone(),
            kind: episode.task_kind.clone(),
            system,
            instruction: instruction.unwrap_or_default(),
            seed: 0,
            data: Value::Null,
        }),
        environment: Box::new(Told {
            words,
            state: episode.final_state.clone(),
        }),
        toolset: none,
        model: Arc::new(Replayed::agent(episode)),
        user,
        budget: Budget {
            tool_timeout_ms: PATIENCE_MS,
            episode_timeout_ms: PATIENCE_MS,
            ..*budget
        },
        sampling,
        approval: Arc::new(ApprovalPolicy::AllowAll),
        recording: Some(Recording::whole(episode)),
        stream: Stream::new(0),
    }
}

/// The rules that the simulated user of a recorded conversation was played by, as far as the record shows them.
fn role(episode: &Episode) -> SimulatedUser {
    let event = |kind: &str| episode.events.iter().find(|event| event.kind == kind);
    let opening: Vec<Given> = event("opening")
        .and_then(|event| serde_json::from_value(event.detail["messages"].clone()).ok())
        .unwrap_or_default();
    let stop = event("user_stop").and_then(|event| event.detail["said"].as_str());
    let strict = event("protocol").is_some_and(|event| event.detail["what"] == "sent both text and calls");
    let begins = episode.model_calls.first().is_some_and(|call| call.role == "user");
    SimulatedUser {
        instructions: String::new(),
        opening,
        // What it was told first is in the record of its model's call.
        cue: begins.then(String::new),
        stop: stop.map(str::to_owned).into_iter().collect(),
        strict_turns: strict,
    }
}
