//! Whether the calls of a task's turns pass.

use super::raise::{Kind, Raised};
use super::task::Task;
use super::world::{Settings, World, WorldError};
use crate::{CRASH, Verdict};

/// What judging a task has seen.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Results of the model's calls, by turn, all steps of a turn together.
    pub model_results: Vec<Vec<String>>,
    /// Results of the gold calls, by turn.
    pub gold_results: Vec<Vec<String>>,
    /// The model's world in the end.
    pub model: World,
    /// The gold's world in the end.
    pub gold: World,
}

/// Judge a model's calls: by turn, by step, as source text.
///
/// Per turn, in the original's order: where the gold calls something, the model must too; the public attributes of all
/// classes must equal those of the gold's world; each gold result of the turn must be among the model's results so far.
/// Turns whose gold is empty are executed and not judged.
///
/// # Errors
/// When the task's world cannot be made.
pub fn judge(task: &Task, turns: &[Vec<Vec<String>>], settings: &Settings) -> Result<Judged, WorldError> {
    let model = task.world_of("_eval", settings)?;
    let gold = model.renamed(&task.id, "_ground_truth_eval", settings);
    let mut judged = Judged {
        verdict: Verdict::right(),
        model_results: vec![],
        gold_results: vec![],
        model,
        gold,
    };
    if turns.len() != task.gold.len() {
        let why = format!("there are answers to {} of {} turns", turns.len(), task.gold.len());
        judged.verdict = Verdict::wrong("multi_turn:force_terminated", why);
        return Ok(judged);
    }
    for (turn, (steps, gold)) in turns.iter().zip(&task.gold).enumerate() {
        let results = steps.iter().flatten().map(|call| judged.model.execute(call)).collect();
        judged.model_results.push(results);
        judged.gold.share(&judged.model);
        let results: Vec<String> = gold.iter().map(|call| judged.gold.execute(call)).collect();
        judged.model.share(&judged.gold);
        judged.gold_results.push(results);
        if gold.is_empty() {
            continue;
        }
        if let Some((error_type, why)) = judged.turn(turn, steps) {
            judged.verdict = Verdict::wrong(error_type, why);
            return Ok(judged);
        }
    }
    Ok(judged)
}

impl Judged {
    fn turn(&self, turn: usize, steps: &[Vec<String>]) -> Option<(&'static str, String)> {
        if steps.is_empty() || (steps.len() == 1 && steps[0].is_empty()) {
            let why = format!("nothing is called in turn {turn}");
            return Some(("multi_turn:empty_turn_model_response", why));
        }
        match self.gold.difference(&self.model) {
            Ok(None) => {}
            Ok(Some((class, attributes))) => {
                let why = format!("after turn {turn}, {class} differs in {}", attributes.join(", "));
                return Some(("multi_turn:instance_state_mismatch", why));
            }
            // A tree that contains itself: the original's comparison does not end.
            Err(Raised {
                kind: Kind::Recursion,
                message,
            }) => return Some((CRASH, message)),
            Err(raised) => return Some((CRASH, raised.message)),
        }
        let mut left: Vec<&String> = self.model_results.iter().flatten().collect();
        for result in &self.gold_results[turn] {
            match left.iter().position(|other| *other == result) {
                Some(at) => {
                    left.swap_remove(at);
                }
                None => {
                    let why = format!("in turn {turn}, no call gave {result}");
                    return Some(("multi_turn:execution_response_mismatch", why));
                }
            }
        }
        None
    }
}

/// The gold calls of a task, each turn in one step.
pub fn gold_turns(task: &Task) -> Vec<Vec<Vec<String>>> {
    task.gold.iter().map(|calls| vec![calls.clone()]).collect()
}

/// The calls of a model that calls nothing.
pub fn idle_turns(task: &Task) -> Vec<Vec<Vec<String>>> {
    vec![vec![]; task.gold.len()]
}
