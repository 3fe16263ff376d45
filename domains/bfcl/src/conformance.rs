//! What the baselines must score on the published records.

use crate::multi_turn::{Settings as Worlds, Task, Tasks, WorldError, gold_turns, idle_turns, judge};
use crate::{
    Answer, Category, DEFECTS, Harm, Memories, Names, Record, Settings, Suite, do_nothing, evaluate, gold,
    judge_answers,
};
use hone_score::Conformance;
use std::convert::Infallible;

/// Over each single-turn category in faithful mode: gold where there is gold, nothing, and for the relevance categories any
/// call.
pub fn conformance(suite: &Suite) -> Vec<Conformance> {
    let mut lines = vec![];
    for (category, records) in &suite.categories {
        let mut line = |baseline: &str, expected: usize, answer: &dyn Fn(&Record) -> Answer| {
            let passes = |record: &&Record| evaluate(record, &answer(record), Settings::default()).valid;
            let set = format!("bfcl/{}/{baseline}", category.name());
            let count = || Ok::<_, Infallible>(records.iter().filter(passes).count());
            let Ok(line) = Conformance::measure(set, records.len(), expected, count);
            lines.push(line);
        };
        let all = records.len();
        let impossible = |id: &str| DEFECTS.iter().any(|d| d.harm == Harm::Impossible && d.id == id);
        if !category.relevance() {
            let possible = records.iter().filter(|record| !impossible(&record.id)).count();
            line("gold", possible, &|record| gold(record, Names::Dotted));
            line("do_nothing", 0, &|_| do_nothing());
        } else {
            let wanted = *category == Category::LiveRelevance;
            line("do_nothing", if wanted { 0 } else { all }, &|_| do_nothing());
            line("any_call", if wanted { all } else { 0 }, &|_| {
                Answer::Text("[f(x=1)]".into())
            });
        }
    }
    lines
}

/// Gold, of which all passes, and nothing, which never does, over each multi-turn category. Long context is left out: its
/// worlds hold data that are not among the records.
///
/// # Errors
/// When a record's world cannot be made.
pub fn multi_turn_conformance(tasks: &Tasks) -> Result<Vec<Conformance>, WorldError> {
    let worlds = Worlds::default();
    let mut lines = vec![];
    for (category, tasks) in &tasks.categories {
        if *category == Category::MultiTurnLongContext {
            continue;
        }
        let mut line = |baseline: &str, expected: usize, calls: &dyn Fn(&Task) -> Vec<Vec<Vec<String>>>| {
            let set = format!("bfcl/{}/{baseline}", category.name());
            let count = || {
                let mut passed = 0;
                for task in tasks {
                    passed += usize::from(judge(task, &calls(task), &worlds)?.verdict.valid);
                }
                Ok::<_, WorldError>(passed)
            };
            lines.push(Conformance::measure(set, tasks.len(), expected, count)?);
            Ok::<_, WorldError>(())
        };
        line("gold", tasks.len(), &gold_turns)?;
        line("do_nothing", 0, &idle_turns)?;
    }
    Ok(lines)
}

/// Gold, of which all passes, and nothing, which never does, over the questions of each kind of memory. What they are asked
/// of has no part in the verdict.
pub fn memory_conformance(memories: &Memories) -> Vec<Conformance> {
    let mut lines = vec![];
    for category in memories.functions.keys() {
        let mut line = |baseline: &str, expected: usize, said: &dyn Fn(&[String]) -> String| {
            let set = format!("bfcl/{}/{baseline}", category.name());
            let passes = |gold: &[String]| judge_answers(&[Answer::Said(said(gold))], gold).valid;
            let count = || Ok::<_, Infallible>(memories.questions.iter().filter(|q| passes(&q.gold)).count());
            let Ok(line) = Conformance::measure(set, memories.questions.len(), expected, count);
            lines.push(line);
        };
        line("gold", memories.questions.len(), &|gold| {
            format!("It is {}.", gold.first().map_or("", String::as_str))
        });
        line("do_nothing", 0, &|_| String::new());
    }
    lines
}
