//! Scripted agents: the expert, an imperfect demonstrator, and baselines.

use crate::Goal;
use crate::book::{Book, Item};
use crate::goals::Goals;
use crate::plan::{Inventory, Step, ordered, plan};
use hone_env::{ScriptInfo, ScriptRole, Split};
use hone_model::{AgentTurn, CallRequest, Message, Script};
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "expert",
        about: "Recipe search: looks up, gets and crafts depth first; solves every task.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "sloppy",
        about: "Imperfect: skips look-ups and guesses, crafts too early, forgets ingredients, often gives up after an error.",
        role: ScriptRole::Demonstrator,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Says done at once.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "Random tools on random items of the goal's crafting tree.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "fixed_plan",
        about: "Looks the goal up, gets each ingredient, crafts: right where nothing must be crafted first.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "nearest_template",
        about: "Replays the plan of the training goal with the most similar name, its differing words replaced.",
        role: ScriptRole::Baseline,
    },
];

/// A script that says its turns one after the other, then that it is done.
struct Recital(std::vec::IntoIter<CallRequest>);

impl Script for Recital {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        self.0
            .next()
            .map_or_else(|| AgentTurn::Say("done".into()), AgentTurn::from)
    }
}

/// The script of that name. The world holds no surprises, so each knows its calls beforehand.
pub(crate) fn script(name: &str, real: &Book, goals: &Goals, goal: &Goal, stream: &Stream) -> Option<Box<dyn Script>> {
    let book = &*goal.book;
    let steps = match name {
        "expert" => plan(book, goal.item, &goal.held)?,
        "sloppy" => Sloppy::new(book, goal, stream.named("sloppy")).steps(goal),
        "do_nothing" => vec![],
        "random" => random(book, goal.item, stream.named("random")),
        "fixed_plan" => {
            let gets = ordered(book, goal.item).into_iter().map(|(item, n)| Step::Get(item, n));
            [Step::Lookup(goal.item)]
                .into_iter()
                .chain(gets)
                .chain([Step::Craft(goal.item)])
                .collect()
        }
        "nearest_template" => {
            return Some(Box::new(Recital(
                nearest_template(real, goals, book.name(goal.item)).into_iter(),
            )));
        }
        _ => return None,
    };
    let calls: Vec<CallRequest> = steps.into_iter().map(|step| step.request(book)).collect();
    Some(Box::new(Recital(calls.into_iter())))
}

/// Up to 12 random calls, each time ending with probability 1/10.
fn random(book: &Book, goal: Item, mut draw: Stream) -> Vec<Step> {
    let mut tree = vec![goal];
    let mut next = 0;
    while let Some(&item) = tree.get(next) {
        tree.extend(ordered(book, item).into_iter().map(|(need, _)| need));
        next += 1;
    }
    let mut steps = vec![];
    while steps.len() < 12 && !draw.random_bool(0.1) {
        let item = *tree.choose(&mut draw).expect("the tree holds the goal");
        steps.push(match draw.random_range(0..4) {
            0 => Step::Inventory,
            1 => Step::Lookup(item),
            2 => Step::Get(item, draw.random_range(1..=4)),
            _ => Step::Craft(item),
        });
    }
    steps
}

/// The plan of the training goal whose name shares most words with the goal's (ties: number of words, then name).
fn nearest_template(book: &Book, goals: &Goals, goal: &str) -> Vec<CallRequest> {
    let words = |item: Item| book.name(item).split(' ').collect::<Vec<_>>();
    let wanted: Vec<&str> = goal.split(' ').collect();
    let known: BTreeSet<&str> = wanted.iter().copied().collect();
    let candidates = goals.of_split(Split::Train).filter(|item| book.name(*item) != goal);
    let Some(template) = candidates.min_by_key(|&item| {
        let theirs = words(item);
        let shared = theirs.iter().filter(|w| known.contains(*w)).count();
        (std::cmp::Reverse(shared), theirs.len().abs_diff(wanted.len()), item)
    }) else {
        return vec![];
    };
    let replaced: BTreeMap<&str, &str> = match words(template) {
        theirs if theirs.len() == wanted.len() => theirs.into_iter().zip(wanted.iter().copied()).collect(),
        _ => BTreeMap::new(),
    };
    let rename = |name: &str| match name == book.name(template) {
        true => goal.to_owned(),
        false => name
            .split(' ')
            .map(|w| *replaced.get(w).unwrap_or(&w))
            .collect::<Vec<_>>()
            .join(" "),
    };
    let steps = plan(book, template, &Inventory::new()).unwrap_or_default();
    let rewrite = |step: Step| {
        let mut call = step.request(book);
        if let Some(name) = call.arguments.get("item").and_then(Value::as_str).map(rename) {
            call.arguments["item"] = json!(name);
        }
        call
    };
    steps.into_iter().map(rewrite).collect()
}

/// How often the sloppy demonstrator errs, for each item that it crafts.
const SKIPS_LOOKUP: f64 = 0.12;
const TOO_EARLY: f64 = 0.12;
const FORGETS: f64 = 0.2;
const GIVES_UP: f64 = 0.03;
/// How often it mends a craft that failed, instead of giving up.
const MENDS: f64 = 0.35;
/// How often it does not look at the inventory.
const IGNORES_INVENTORY: f64 = 0.5;

/// The sloppy demonstrator: the expert's order, with errors.
struct Sloppy<'a> {
    book: &'a Book,
    draw: Stream,
    held: Inventory,
    steps: Vec<Step>,
}

/// It stopped trying.
struct GaveUp;

impl<'a> Sloppy<'a> {
    fn new(book: &'a Book, goal: &Goal, mut draw: Stream) -> Self {
        let looks = !goal.held.is_empty() && !draw.random_bool(IGNORES_INVENTORY);
        let (held, steps) = if looks {
            (goal.held.clone(), vec![Step::Inventory])
        } else {
            Default::default()
        };
        Self {
            book,
            draw,
            held,
            steps,
        }
    }

    fn steps(mut self, goal: &Goal) -> Vec<Step> {
        // Giving up ends the list early; there is nothing else to do about it.
        let _: Result<(), GaveUp> = self.make(goal.item);
        self.steps
    }

    fn make(&mut self, item: Item) -> Result<(), GaveUp> {
        let guesses = self.draw.random_bool(SKIPS_LOOKUP);
        if !guesses {
            self.steps.push(Step::Lookup(item));
        }
        if self.draw.random_bool(TOO_EARLY) {
            self.steps.push(Step::Craft(item));
            self.mend_or_give_up()?;
        }
        let mut needs = ordered(self.book, item);
        needs.retain(|(need, n)| self.held.get(need).is_none_or(|h| h < n));
        let forgotten = match self.draw.random_bool(FORGETS) {
            true => needs.choose(&mut self.draw).map(|(need, _)| *need),
            false => None,
        };
        // What it has too little of when it crafts, which the error then names.
        let mut lacks = vec![];
        for (need, n) in needs {
            if forgotten == Some(need) {
                lacks.push((need, n));
            } else if self.book.recipe(need).is_some() {
                self.make(need)?;
            } else if guesses && n > 1 {
                self.steps.push(Step::Get(need, 1));
                lacks.push((need, n - 1));
            } else {
                self.steps.push(Step::Get(need, n));
            }
        }
        if self.draw.random_bool(GIVES_UP) {
            return Err(GaveUp);
        }
        self.steps.push(Step::Craft(item));
        if lacks.is_empty() {
            return Ok(());
        }
        self.mend_or_give_up()?;
        for (need, n) in lacks {
            match self.book.recipe(need) {
                None => self.steps.push(Step::Get(need, n)),
                Some(_) => self.make(need)?,
            }
        }
        self.steps.push(Step::Craft(item));
        Ok(())
    }

    fn mend_or_give_up(&mut self) -> Result<(), GaveUp> {
        if self.draw.random_bool(MENDS) {
            Ok(())
        } else {
            Err(GaveUp)
        }
    }
}
