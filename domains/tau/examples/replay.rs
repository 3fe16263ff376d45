//! Plays lists of calls and says what they give: the other half of `tests/parity/tau2.py`.
//!
//!     replay DATA [AIRLINE] < calls.jsonl
//!
//! DATA is the folder with the domains' folders, AIRLINE that with τ-bench's airline. A line of input is `{"domain", "task"?, "calls": [{"side", "name",
//! "arguments", "function"?}]}`: a fresh world (or that of a task's initial state) plays the calls. A line of output is
//! `{"results": [[text, error], …], "assistant", "user"}` with the hashes of both databases at the end. With `"messages"`
//! and `"termination"` instead of calls the answer is the run's reward or `{"error"}`, with `"tools": true` the schemas, with
//! `"generate": true` the generated tasks.

use hone_tau::evaluate::{Replay, Reward, Run, evaluate, restore};
use hone_tau::message::{Message, Termination};
use hone_tau::py::Value;
use hone_tau::task::Task;
use hone_tau::toolkit::{Side, schema};
use hone_tau::{Domains, world::World};
use serde::Deserialize;
use std::io::{BufRead, Write};
use std::path::PathBuf;

#[derive(Deserialize)]
struct Line {
    domain: String,
    #[serde(default)]
    task: Option<Task>,
    #[serde(default)]
    calls: Vec<Call>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
    #[serde(default)]
    termination: Option<Termination>,
    #[serde(default)]
    tools: bool,
    #[serde(default)]
    generate: bool,
}

#[derive(Deserialize)]
struct Call {
    side: Side,
    name: String,
    arguments: Value,
    #[serde(default)]
    function: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folders = std::env::args_os().skip(1).map(PathBuf::from);
    let data = folders.next().ok_or("say where the data are")?;
    let domains = Domains::load(&data, &folders.next().unwrap_or_default());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line: Line = serde_json::from_str(&line?)?;
        let mut world = domains.world(&line.domain)?;
        if line.generate {
            let small = domains.tasks(&line.domain)?;
            writeln!(out, "{}", serde_json::to_string(&hone_tau::telecom::generate(&small)?)?)?;
            continue;
        }
        if line.tools {
            writeln!(out, "{}", tools(&*world))?;
            continue;
        }
        if let (Some(task), Some(messages), Some(termination)) = (&line.task, &line.messages, line.termination) {
            let run = Run {
                termination,
                ..Run::ended(messages)
            };
            let answer = match evaluate(&*world, task, &run, None) {
                Ok(reward) => reward_json(&reward),
                Err(error) => serde_json::json!({"error": error.to_string()}),
            };
            writeln!(out, "{answer}")?;
            continue;
        }
        if let Some(task) = &line.task {
            let history = hone_tau::evaluate::idle_messages(task);
            restore(&mut *world, task, &history, Replay::Strict)?;
        }
        let results: Vec<_> = line.calls.iter().map(|call| play(&mut *world, call)).collect();
        let answer = serde_json::json!({
            "results": results, "assistant": world.hash(Side::Assistant), "user": world.hash(Side::User),
        });
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn reward_json(reward: &Reward) -> serde_json::Value {
    let mut json = serde_json::to_value(reward).unwrap_or_default();
    if let Some(fields) = json.as_object_mut() {
        fields.remove("nl_assertions");
        fields.remove("note");
    }
    json
}

fn tools(world: &dyn World) -> serde_json::Value {
    let kit = |side| {
        let tools = world.tools(side).unwrap_or_default().into_iter();
        let tools = tools.map(|info| {
            let about = serde_json::json!({"kind": info.kind, "mutates": info.mutates, "schema": schema(info)});
            (info.name.to_owned(), about)
        });
        tools.collect::<serde_json::Map<_, _>>()
    };
    serde_json::json!({"assistant": kit(Side::Assistant), "user": kit(Side::User)})
}

fn play(world: &mut dyn World, call: &Call) -> (String, bool) {
    if !call.function {
        let response = world.respond(call.side, &call.name, &call.arguments);
        return (response.content, response.error);
    }
    match world.function(call.side, &call.name, &call.arguments) {
        Ok(reply) => (reply.shown(), false),
        Err(raised) => (format!("Error: {raised}"), true),
    }
}
