//! BFCL: single-turn scoring and multi-turn replay of gold answers.

use super::Args;
use super::measure::{Work, measure, on_threads};
use crate::commands::bench::Measured;
use crate::commands::bench::peer::Peer;
use crate::console::say;
use crate::data;
use hone_bfcl::multi_turn::{Checker, Settings as Worlds, Task, Tasks, gold_turns};
use hone_bfcl::{Answer, Category, Names, Record, Settings, Suite, evaluate, gold};
use serde_json::json;

/// The original's program.
const PEER: &str = include_str!("../bfcl_peer.py");

/// Figures over whatever of the suite is in the data folder.
pub fn figures(args: &Args) -> anyhow::Result<Vec<Measured>> {
    let Some(folder) = data::folder_with("bfcl") else {
        say("there is no folder bfcl in the data, so BFCL is not measured; name another with --data");
        return Ok(vec![]);
    };
    let suite = Suite::load(&folder)?;
    let tasks = Tasks::load(&folder)?;
    let answers: Vec<(&Record, Answer)> = suite
        .records()
        .map(|record| (record, gold(record, Names::Dotted)))
        .collect();
    let worlds = Worlds::default();
    // Long-context worlds hold data that are not among the records.
    let tasks = tasks
        .tasks()
        .filter(|task| task.category != Category::MultiTurnLongContext);
    let turns: Vec<(&Task, Vec<Vec<Vec<String>>>)> = tasks.map(|task| (task, gold_turns(task))).collect();
    let checkers: Vec<_> = turns
        .iter()
        .map(|(task, turns)| Ok((Checker::new(task, &worlds)?, turns)))
        .collect::<Result<_, hone_bfcl::multi_turn::WorldError>>()?;
    let mut peer = match &args.peer {
        None => None,
        Some(python) => {
            let text = |answer: &Answer| match answer {
                Answer::Text(text) => text.clone(),
                _ => String::new(),
            };
            let single: Vec<_> = answers
                .iter()
                .map(|(record, answer)| json!([record.category.name(), record.id, text(answer)]))
                .collect();
            let multi: Vec<_> = turns.iter().map(|(task, _)| task.id.as_str()).collect();
            let job = json!({"data": folder.join("bfcl"), "single_turn": single, "multi_turn": multi});
            Some(Peer::start(python, PEER, &job)?)
        }
    };
    let scored = |(record, answer): &(&Record, Answer)| evaluate(record, answer, Settings::default()).valid;
    let single = Work {
        name: "single_turn",
        suite: "bfcl",
        unit: "answers",
        count: answers.len(),
        pass: &|threads| on_threads(threads, &answers, scored),
        settings: json!({"answers are": "gold, as a prompted model writes it"}),
    };
    let mut figures = measure(args, &single, peer.as_mut())?;
    let multi = Work {
        name: "multi_turn",
        suite: "bfcl",
        unit: "tasks",
        count: checkers.len(),
        pass: &|threads| on_threads(threads, &checkers, |(checker, turns)| checker.verdict(turns).valid),
        settings: json!({
            "answers are": "gold calls, each turn in one step",
            "kept between passes": "each task's first world, and the gold's results and worlds; the original makes them anew",
        }),
    };
    figures.extend(measure(args, &multi, peer.as_mut())?);
    let anew = Work {
        name: "multi_turn",
        suite: "bfcl/anew",
        pass: &|threads| {
            let one = |(task, turns): &(&Task, Vec<Vec<Vec<String>>>)| {
                Checker::new(task, &worlds).is_ok_and(|checker| checker.verdict(turns).valid)
            };
            on_threads(threads, &turns, one)
        },
        settings: json!({"answers are": "gold calls, each turn in one step", "kept between passes": "nothing"}),
        ..multi
    };
    figures.extend(measure(args, &anew, peer.as_mut())?);
    Ok(figures)
}
