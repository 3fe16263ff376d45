//! Whether the calls of a task's turns pass.

use super::raise::{Kind, Raised};
use super::task::Task;
use super::world::{Settings, World, WorldError};
use crate::{CRASH, Verdict};
use std::borrow::Cow;

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

/// Judges answers to one task. The world in the beginning and, where the gold's calls depend on nothing else, their
/// results and worlds are made once.
#[derive(Clone, Debug)]
pub struct Checker<'a> {
    task: &'a Task,
    model: World,
    gold: World,
    /// Results of the gold calls and the gold's world after them, by turn. None where the model's calls change what they
    /// find.
    played: Option<Vec<(Vec<String>, World)>>,
}

impl<'a> Checker<'a> {
    /// A checker for answers to a task.
    ///
    /// # Errors
    /// When the task's world cannot be made.
    pub fn new(task: &'a Task, settings: &Settings) -> Result<Self, WorldError> {
        let model = task.world_of("_eval", settings)?;
        let gold = model.renamed(&task.id, "_ground_truth_eval", settings);
        let played = (!gold.shares()).then(|| {
            let mut world = gold.clone();
            let mut turn = |calls: &Vec<String>| {
                let results = calls.iter().map(|call| world.execute(call)).collect();
                (results, world.clone())
            };
            task.gold.iter().map(&mut turn).collect()
        });
        Ok(Self {
            task,
            model,
            gold,
            played,
        })
    }

    /// Judge a model's calls: by turn, by step, as source text.
    ///
    /// Per turn, in the original's order: where the gold calls something, the model must too; the public attributes of all
    /// classes must equal those of the gold's world; each gold result of the turn must be among the model's results so far.
    /// Turns whose gold is empty are executed and not judged.
    pub fn judge(&self, turns: &[Vec<Vec<String>>]) -> Judged {
        let seen = self.play(turns);
        Judged {
            verdict: seen.verdict,
            model_results: seen.model_results,
            gold_results: seen.gold_results.into_iter().map(Cow::into_owned).collect(),
            model: seen.model,
            gold: seen.gold.into_owned(),
        }
    }

    /// The verdict alone, without what was seen: see [`Checker::judge`].
    pub fn verdict(&self, turns: &[Vec<Vec<String>>]) -> Verdict {
        self.play(turns).verdict
    }

    fn play(&self, turns: &[Vec<Vec<String>>]) -> Seen<'_> {
        let mut seen = Seen {
            verdict: Verdict::right(),
            model_results: Vec::with_capacity(turns.len()),
            gold_results: Vec::with_capacity(turns.len()),
            model: self.model.clone(),
            gold: Cow::Borrowed(&self.gold),
        };
        let golden = &self.task.gold;
        if turns.len() != golden.len() {
            let why = format!("there are answers to {} of {} turns", turns.len(), golden.len());
            seen.verdict = Verdict::wrong("multi_turn:force_terminated", why);
            return seen;
        }
        for (turn, (steps, gold)) in turns.iter().zip(golden).enumerate() {
            let results = steps.iter().flatten().map(|call| seen.model.execute(call)).collect();
            seen.model_results.push(results);
            match self.played.as_ref().and_then(|played| played.get(turn)) {
                Some((results, world)) => {
                    seen.gold_results.push(Cow::Borrowed(results));
                    seen.gold = Cow::Borrowed(world);
                }
                None => {
                    let world = seen.gold.to_mut();
                    world.share(&seen.model);
                    let results = gold.iter().map(|call| world.execute(call)).collect();
                    seen.model.share(world);
                    seen.gold_results.push(Cow::Owned(results));
                }
            }
            if gold.is_empty() {
                continue;
            }
            if let Some((error_type, why)) = seen.turn(turn, steps) {
                seen.verdict = Verdict::wrong(error_type, why);
                return seen;
            }
        }
        seen
    }
}

/// What judging sees; what the gold does may be known already.
struct Seen<'c> {
    verdict: Verdict,
    model_results: Vec<Vec<String>>,
    gold_results: Vec<Cow<'c, [String]>>,
    model: World,
    gold: Cow<'c, World>,
}

/// Judge a model's calls once: see [`Checker::judge`].
///
/// # Errors
/// When the task's world cannot be made.
pub fn judge(task: &Task, turns: &[Vec<Vec<String>>], settings: &Settings) -> Result<Judged, WorldError> {
    Ok(Checker::new(task, settings)?.judge(turns))
}

impl Seen<'_> {
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
        for result in self.gold_results[turn].iter() {
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
