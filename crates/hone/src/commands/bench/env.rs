//! Worlds: what an episode costs outside the model.

use super::{Better, Measured};
use crate::console::say;
use crate::tasksets;
use anyhow::{Context, bail};
use hone_env::{Environment, Fork, ScriptRole, Split, Task, Taskset};
use hone_model::{CallRequest, Message};
use hone_tool::{ApprovalPolicy, Asked, ERROR, Rules, ToolRequest, Toolset, Truncation, dispatch};
use hone_trace::Stream;
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Reset, step, fork and hash of worlds.
///
/// The steps are those of the taskset's expert: `step` is the world's own work, `step_dispatch` the whole way of a
/// tool call (validate, approve, run, hash the state before and after, record). A sample is the mean over one task.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tasksets to measure
    #[arg(default_values = ["shop", "textcraft"])]
    tasksets: Vec<String>,
    /// Tasks of each, which is the number of samples
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    tasks: u64,
    /// Times that each task is played
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeats: u32,
}

impl Args {
    /// The figures of every taskset whose data is here.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        let mut figures = Vec::new();
        for name in &self.tasksets {
            match tasksets::taskset(name) {
                Ok(taskset) => figures.extend(self.measure(&*taskset)?),
                // Its data is not everybody's.
                Err(error) if name.starts_with("textcraft") && self.tasksets.len() > 1 => {
                    say(format!("{name} is left out: {error}"))
                }
                Err(error) => return Err(error),
            }
        }
        Ok(figures)
    }

    fn measure(&self, taskset: &dyn Taskset) -> anyhow::Result<Vec<Measured>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no async runtime")?;
        let toolset = Toolset::compile(taskset.environment(&taskset.task(Split::Train, 0)?).specs())?;
        let budget = taskset.budget();
        let rules = Rules {
            toolset: &toolset,
            approval: &ApprovalPolicy::AllowAll,
            timeout: Duration::from_millis(budget.tool_timeout_ms),
            max_shown_chars: budget.max_observation_chars as usize,
            truncation: Truncation::Head,
            max_schema_chars: 0,
        };
        let mut samples = [const { Vec::new() }; 5];
        for index in 0..self.tasks {
            let task = taskset.task(Split::Train, index)?;
            let calls = play(taskset, &task)?;
            let mut spent = [Duration::ZERO; 5];
            for _ in 0..self.repeats {
                let mut world = taskset.environment(&task);
                spent[0] += timed(|| world.reset(&task))?;
                let clock = Instant::now();
                for call in &calls {
                    // An error is an answer like another.
                    let _ = black_box(world.call(&call.name, &call.arguments));
                }
                spent[1] += clock.elapsed();
                let mut world = taskset.environment(&task);
                world.reset(&task)?;
                spent[2] += runtime.block_on(dispatched(world, &calls, &rules))?;
                let mut world = taskset.environment(&task);
                world.reset(&task)?;
                spent[3] += timed(|| Ok::<_, anyhow::Error>(black_box(world.state_hash())))?;
                spent[4] += timed(|| Ok::<_, anyhow::Error>(black_box(world.fork())))?;
            }
            let per_call = |at| matches!(at, 1 | 2);
            for (at, (samples, spent)) in samples.iter_mut().zip(spent).enumerate() {
                let times = self.repeats as usize * if per_call(at) { calls.len() } else { 1 };
                if times > 0 {
                    samples.push(spent.as_nanos() as f64 / times as f64);
                }
            }
        }
        let world = taskset.environment(&taskset.task(Split::Train, 0)?);
        let settings = json!({
            "taskset": taskset.name(), "tasks": self.tasks, "repeats": self.repeats,
            "inline": world.inline(),
        });
        let names = ["reset", "step", "step_dispatch", "hash", "fork"];
        let has = |name: &str| match name {
            "hash" => world.state_hash().is_some(),
            "fork" => world.fork_kind() == Fork::Native,
            _ => true,
        };
        let figures = names
            .into_iter()
            .zip(&samples)
            .filter(|(name, samples)| has(name) && !samples.is_empty());
        Ok(figures
            .map(|(name, samples)| {
                Measured::new(
                    format!("env/{}/{name}", taskset.name()),
                    "ns",
                    Better::Lower,
                    samples,
                    &settings,
                )
            })
            .collect())
    }
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let clock = Instant::now();
    let result = work()?;
    let spent = clock.elapsed();
    drop(result);
    Ok(spent)
}

/// The calls by which the taskset's expert solves a task.
fn play(taskset: &dyn Taskset, task: &Task) -> anyhow::Result<Vec<CallRequest>> {
    let expert = taskset
        .scripts()
        .iter()
        .find(|script| script.role == ScriptRole::Expert);
    let expert = expert.and_then(|expert| taskset.script(expert.name, task, &Stream::new(0)));
    let Some(mut expert) = expert else {
        bail!(
            "taskset {} has no expert script to play its tasks; choose another taskset",
            taskset.name()
        );
    };
    let mut world = taskset.environment(task);
    world.reset(task)?;
    let mut messages: Vec<Message> = task.system.clone().map(Message::System).into_iter().collect();
    messages.push(Message::User(task.instruction.clone()));
    let mut calls = Vec::new();
    for _ in 0..taskset.budget().max_turns {
        let turn = expert.next(&messages);
        if turn.calls().is_empty() {
            break;
        }
        messages.push(Message::Agent(turn.clone()));
        for call in turn.calls() {
            messages.push(Message::Tool(match world.call(&call.name, &call.arguments) {
                Ok(output) => output.text,
                Err(error) => format!("{ERROR}{error}"),
            }));
        }
        calls.extend_from_slice(turn.calls());
    }
    Ok(calls)
}

/// The time of taking the calls through the one path of every tool call.
async fn dispatched(
    mut world: Box<dyn Environment>,
    calls: &[CallRequest],
    rules: &Rules<'_>,
) -> anyhow::Result<Duration> {
    let request = |(id, call): (usize, &CallRequest)| ToolRequest {
        id: id as u32,
        model_call: Some(id as u32),
        raw: call.arguments.to_string(),
        asked: Asked::Call {
            tool: call.name.clone(),
            arguments: call.arguments.clone(),
        },
    };
    let requests: Vec<ToolRequest> = calls.iter().enumerate().map(request).collect();
    let mut records = Vec::with_capacity(requests.len());
    let clock = Instant::now();
    for request in requests {
        let done = dispatch(world, request, rules, None).await;
        let Some(host) = done.host else {
            bail!(
                "a tool of the world was lost: {}; this is a defect of its taskset",
                done.record.shown
            );
        };
        world = host;
        records.push(done.record);
    }
    Ok(clock.elapsed())
}
