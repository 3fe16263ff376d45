//! Judges call lists and runs single calls, for `tests/parity/bfcl_multi_turn.py`; with `--time`, times gold replays.
//!
//! Lines of JSON come in, `{"id", "turns"}` (to judge) or `{"id", "calls"}` (to run in a new world), and go out.

use hone_bfcl::multi_turn::{Extension, Settings, Task, Tasks, World, gold_turns, idle_turns, judge};
use hone_python::{Dict, DumpOptions, Value, dumps, loads};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn texts(value: &Value) -> Vec<String> {
    value
        .as_list()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn lists(turns: &Value) -> Vec<Vec<Vec<String>>> {
    let steps = |turn: &Value| turn.as_list().unwrap_or_default().iter().map(texts).collect();
    turns.as_list().unwrap_or_default().iter().map(steps).collect()
}

fn state(world: &World) -> Value {
    let class = |(name, attributes): (&str, Dict)| {
        let shown = attributes.iter().map(|(name, value)| (name.to_string(), value.repr()));
        (name.to_owned(), Value::Dict(shown.collect()))
    };
    Value::Dict(world.state().into_iter().map(class).collect())
}

fn answer(
    tasks: &HashMap<&str, &Task>,
    settings: &Settings,
    asked: &Value,
) -> Result<Value, Box<dyn std::error::Error>> {
    let id = asked.get("id").and_then(Value::as_str).ok_or("no id")?;
    let task = tasks.get(id).ok_or("an unknown id")?;
    let mut out = Dict::new();
    out.set("id", id);
    if let Some(calls) = asked.get("calls") {
        let mut world = task.world(settings)?;
        let results: Vec<_> = texts(calls).iter().map(|call| world.execute(call)).collect();
        out.set("results", results);
        out.set("state", state(&world));
    } else {
        let judged = judge(task, &lists(asked.get("turns").ok_or("no turns")?), settings)?;
        out.set("valid", judged.verdict.valid);
        out.set("error_type", judged.verdict.error_type.map(str::to_owned));
        out.set("model_results", judged.model_results);
        out.set("gold_results", judged.gold_results);
        out.set("model", state(&judged.model));
        out.set("gold", state(&judged.gold));
    }
    Ok(out.into())
}

fn time(tasks: &Tasks, settings: &Settings) -> Result<(), Box<dyn std::error::Error>> {
    for (category, tasks) in &tasks.categories {
        let calls: usize = tasks
            .iter()
            .map(|task| task.gold.iter().map(Vec::len).sum::<usize>())
            .sum();
        let turns: Vec<_> = tasks.iter().map(gold_turns).collect();
        let started = Instant::now();
        let mut passed = 0;
        for (task, turns) in tasks.iter().zip(&turns) {
            passed += usize::from(judge(task, turns, settings)?.verdict.valid);
        }
        let judged = started.elapsed();
        let idle = tasks.iter().map(|task| judge(task, &idle_turns(task), settings));
        let idle = idle
            .filter(|judged| judged.as_ref().is_ok_and(|judged| judged.verdict.valid))
            .count();
        let worlds = tasks
            .iter()
            .map(|task| task.world(settings))
            .collect::<Result<Vec<_>, _>>()?;
        let started = Instant::now();
        let mut shown = 0;
        for (world, task) in worlds.iter().zip(tasks) {
            let mut world = world.clone();
            for call in task.gold.iter().flatten() {
                shown += world.execute(call).len();
            }
        }
        let replayed = started.elapsed();
        let started = Instant::now();
        for _ in 0..100 {
            for world in &worlds {
                std::hint::black_box(world.clone());
            }
        }
        let forked = started.elapsed() / (100 * worlds.len().max(1) as u32);
        println!(
            "{}: gold {passed}/{}, nothing {idle}, {calls} gold calls; judged in {judged:?}, replayed in {replayed:?} \
             ({shown} bytes), fork {forked:?}",
            category.name(),
            tasks.len()
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = arguments.first().ok_or("name the data folder")?;
    let extension = arguments
        .iter()
        .position(|a| a == "--long-context")
        .and_then(|at| arguments.get(at + 1));
    let extension = extension.map(|path| Extension::load(Path::new(path))).transpose()?;
    let settings = Settings {
        extension: extension.map(Arc::new),
        ..Settings::default()
    };
    let mut tasks = Tasks::load(Path::new(dir))?;
    if settings.extension.is_none() {
        tasks
            .categories
            .retain(|(category, _)| category.name() != "multi_turn_long_context");
    }
    if arguments.iter().any(|a| a == "--time") {
        return time(&tasks, &settings);
    }
    let by_id: HashMap<&str, &Task> = tasks.tasks().map(|task| (task.id.as_str(), task)).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let found = answer(&by_id, &settings, &loads(&line?)?)?;
        writeln!(out, "{}", dumps(&found, &DumpOptions::default())?)?;
    }
    Ok(())
}
