//! Time to judge the gold answers of a data folder: `bfcl_speed DATA [ROUNDS [CATEGORY]]`, of the categories whose names begin so.

use hone_bfcl::multi_turn::{Checker, Settings as Worlds, Tasks, gold_turns, judge};
use hone_bfcl::{Names, Settings, Suite, evaluate, gold};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = std::env::args()
        .nth(1)
        .ok_or("usage: bfcl_speed DATA [ROUNDS [CATEGORY]]")?;
    let rounds: usize = std::env::args().nth(2).map_or(Ok(10), |rounds| rounds.parse())?;
    let only = std::env::args().nth(3).unwrap_or_default();
    let start = Instant::now();
    let suite = Suite::load(data.as_ref())?;
    let tasks = Tasks::load(data.as_ref())?;
    println!("load: {:.3} s", start.elapsed().as_secs_f64());
    let report = |name: &str, valid: usize, all: usize, seconds: f64| {
        let micros = seconds * 1e6 / (rounds * all.max(1)) as f64;
        println!("{name}: {valid} of {all} valid, {micros:.2} µs each");
    };
    for (category, records) in suite.categories.iter().filter(|(c, _)| c.name().starts_with(&only)) {
        let answers: Vec<_> = records.iter().map(|record| gold(record, Names::Dotted)).collect();
        let start = Instant::now();
        let mut valid = 0;
        for _ in 0..rounds {
            let judged = records
                .iter()
                .zip(&answers)
                .map(|(record, answer)| evaluate(record, answer, Settings::default()));
            valid = judged.filter(|verdict| verdict.valid).count();
        }
        report(category.name(), valid, records.len(), start.elapsed().as_secs_f64());
    }
    let worlds = Worlds::default();
    for (category, tasks) in tasks
        .categories
        .iter()
        .filter(|(c, _)| c.name() != "multi_turn_long_context" && c.name().starts_with(&only))
    {
        let turns: Vec<_> = tasks.iter().map(gold_turns).collect();
        let start = Instant::now();
        let mut valid = 0;
        for _ in 0..rounds {
            valid = 0;
            for (task, turns) in tasks.iter().zip(&turns) {
                valid += usize::from(judge(task, turns, &worlds)?.verdict.valid);
            }
        }
        report(category.name(), valid, tasks.len(), start.elapsed().as_secs_f64());
        let checkers = tasks.iter().map(|task| Checker::new(task, &worlds));
        let checkers = checkers.collect::<Result<Vec<_>, _>>()?;
        let start = Instant::now();
        for _ in 0..rounds {
            let judged = checkers
                .iter()
                .zip(&turns)
                .map(|(checker, turns)| checker.verdict(turns));
            valid = judged.filter(|verdict| verdict.valid).count();
        }
        let name = format!("{}, worlds and gold kept", category.name());
        report(&name, valid, tasks.len(), start.elapsed().as_secs_f64());
    }
    Ok(())
}
