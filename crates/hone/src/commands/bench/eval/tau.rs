//! τ²-bench: reference solutions of retail, played and judged.

use super::Args;
use super::measure::{Work, measure, on_threads};
use crate::commands::bench::Measured;
use crate::commands::bench::peer::Peer;
use crate::console::say;
use crate::data;
use anyhow::bail;
use hone_tau::Domains;
use hone_tau::evaluate::{Run, evaluate, gold_messages};
use hone_tau::task::{Component, Task};
use serde_json::json;
use std::path::Path;

/// The original's program.
const PEER: &str = include_str!("../tau_peer.py");

/// Figures over the retail tasks of the data folder. `checkout` is one of tau2-bench, for the peer.
pub fn figures(args: &Args, checkout: Option<&Path>) -> anyhow::Result<Vec<Measured>> {
    let Some(folder) = data::folder_with("tau2") else {
        say("there is no folder tau2 in the data, so τ²-bench is not measured; name another with --data");
        return Ok(vec![]);
    };
    let tau2 = folder.join("tau2");
    let domains = Domains::load(&tau2, &folder.join("tau-bench").join("airline"));
    let fresh = domains.world("retail")?;
    let mut tasks = domains.tasks("retail")?;
    for criteria in tasks.iter_mut().filter_map(|task| task.evaluation_criteria.as_mut()) {
        criteria.reward_basis.retain(|component| *component == Component::Db);
    }
    let mut peer = match (&args.peer, checkout) {
        (Some(python), Some(checkout)) => {
            let ids: Vec<_> = tasks.iter().map(|task| &task.id).collect();
            let job = json!({"checkout": checkout, "data": tau2, "tasks": ids});
            Some(Peer::start(python, PEER, &job)?)
        }
        (Some(_), None) => bail!("beside the original of τ²-bench a checkout of it is needed; name one"),
        (None, _) => None,
    };
    let passes = |task: &Task| {
        let played = gold_messages(&*fresh, task).ok();
        let reward = played.and_then(|messages| evaluate(&*fresh, task, &Run::ended(&messages), None).ok());
        reward.is_some_and(|reward| reward.reward == 1.0)
    };
    let pass = |threads| on_threads(threads, &tasks, passes);
    let work = |name, original: &str| Work {
        name,
        suite: "tau2",
        unit: "tasks",
        count: tasks.len(),
        pass: &pass,
        settings: json!({
            "a task is": "its reference solution played in a fresh world, then judged by its databases",
            "the original": original,
        }),
    };
    let mut figures = measure(
        args,
        &work("retail_gold", "reads its files for each world, as it does"),
        peer.as_mut(),
    )?;
    if peer.is_some() {
        let in_memory = work("retail_gold_in_memory", "makes each world of data that were read once");
        figures.extend(measure(args, &in_memory, peer.as_mut())?);
    }
    Ok(figures)
}
