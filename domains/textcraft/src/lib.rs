//! TextCraft: crafting goals over the real Minecraft recipes.
//!
//! A task asks for some number of an item ("craft 2 oak door"). The agent looks recipes up, takes raw items from the
//! world, crafts what the item is made of and then the item, and says that it is done. It succeeds if the inventory then
//! holds the item in that number.
//!
//! Invariants:
//! * Crafting changes the inventory by exactly the recipe: what it needs goes, what it makes comes, or nothing changes.
//! * Goal items of the three splits are disjoint, and so are their phrasings.
//! * Every goal has a canonical plan without arithmetic or memory of numbers: each number stands in the recipe just
//!   looked up ([`Textcraft`] says how goals are chosen).
//! * The recipe file is untrusted: bounded, checked in full, refused with the entry that is wrong.
//!
//! Deliberately not here: the recipes themselves (they are read from a data folder), goals that need several batches of
//! something, smelting and stonecutting.

mod book;
mod goals;
mod plan;
mod scripts;
mod wording;
mod world;

pub use book::Book;
pub(crate) use goals::Goal;

use goals::{DEPTHS, Goals};
use hone_env::{Budget, EnvError, Environment, OnMalformed, ScriptInfo, Split, Task, Taskset};
use hone_model::Script;
use hone_trace::{Episode, Score, ScorePart, Stream};
use serde_json::Value;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names of the taskset, with the depths that they select.
const NAMES: [(&str, u32, u32); 11] = [
    ("textcraft", 1, 4),
    ("textcraft:1", 1, 1),
    ("textcraft:2", 2, 2),
    ("textcraft:3", 3, 3),
    ("textcraft:4", 4, 4),
    ("textcraft:1-2", 1, 2),
    ("textcraft:1-3", 1, 3),
    ("textcraft:1-4", 1, 4),
    ("textcraft:2-3", 2, 3),
    ("textcraft:2-4", 2, 4),
    ("textcraft:3-4", 3, 4),
];

/// The TextCraft taskset: no end of tasks over a finite set of goal items.
///
/// A goal is an item whose crafting tree has height 1 to 4 (its *depth*), in which every crafted item occurs once and one
/// batch of it is enough, and whose canonical plan has at most 12 calls (15 at depth 4). Of each depth, 30 % of the
/// goals are test and 10 % validation, by hash of the name. Tasks of the chosen depths take turns.
#[derive(Debug)]
pub struct Textcraft {
    name: &'static str,
    depths: Vec<u32>,
    book: Arc<Book>,
    goals: Goals,
}

impl Textcraft {
    /// Load the recipes from `textcraft/recipes.json` under `dir`, else under `HONE_DATA`, else under `../shared/data`.
    /// Goals of all depths.
    ///
    /// # Errors
    /// When the file is missing, too large or not a recipe file.
    pub fn load(dir: Option<&Path>) -> Result<Self, EnvError> {
        let dir = dir
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HONE_DATA").map(PathBuf::from));
        let dir = dir.unwrap_or_else(|| PathBuf::from("../shared/data"));
        let book = Book::read(&dir.join("textcraft").join("recipes.json"))?;
        let goals = Goals::of(&book);
        Ok(Self {
            name: NAMES[0].0,
            depths: DEPTHS.collect(),
            book: Arc::new(book),
            goals,
        })
    }

    /// The same with goals of these depths only.
    ///
    /// # Errors
    /// When the range is empty or leaves 1 to 4.
    pub fn with_depths(mut self, depths: RangeInclusive<u32>) -> Result<Self, EnvError> {
        let name = NAMES
            .iter()
            .find(|(_, from, to)| (from, to) == (depths.start(), depths.end()));
        self.name = name.map(|(name, ..)| *name).ok_or_else(|| EnvError::Data {
            what: format!(
                "textcraft has no goals of depths {} to {}",
                depths.start(),
                depths.end()
            ),
            remedy: "choose depths from 1 to 4, such as textcraft:2-3".into(),
        })?;
        self.depths = depths.collect();
        Ok(self)
    }

    /// The depths that a name on the command line selects: `textcraft` all, `textcraft:2` one, `textcraft:2-3` a range.
    /// `None` if it is not a name of this taskset.
    pub fn depths_of(name: &str) -> Option<RangeInclusive<u32>> {
        NAMES
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|&(_, from, to)| from..=to)
    }

    /// The recipes.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Names of the goal items of a split and depth, whatever depths were chosen.
    pub fn goals(&self, split: Split, depth: u32) -> Vec<&str> {
        self.goals
            .at(split, depth)
            .iter()
            .map(|item| self.book.name(*item))
            .collect()
    }
}

impl Taskset for Textcraft {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        "Craft items from raw materials with the real Minecraft recipes; held-out goals and phrasings."
    }

    fn len(&self, split: Split) -> Option<u64> {
        let none = self.depths.iter().all(|&depth| self.goals.at(split, depth).is_empty());
        none.then_some(0)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        goals::deal(&self.book, &self.goals, &self.depths, split, index).ok_or_else(|| EnvError::NoSuchTask {
            taskset: self.name.into(),
            split: split.name(),
            index,
            len: 0,
        })
    }

    fn environment(&self) -> Box<dyn Environment> {
        Box::new(world::World::new(Arc::clone(&self.book)))
    }

    fn budget(&self) -> Budget {
        Budget {
            max_turns: 20,
            max_calls: 20,
            max_turn_tokens: 32,
            max_tokens: 512,
            max_observation_chars: 240,
            tool_timeout_ms: 1_000,
            episode_timeout_ms: 60_000,
            on_malformed: OnMalformed::Observe,
        }
    }

    /// 1 if the inventory holds the goal in the number asked for. Parts: `goal` (share of that number), `valid_calls`
    /// (share of tool calls without error; 1 if there were none), `waste` (items left over that the expert would not
    /// have left).
    fn score(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Score {
        let state = environment.state();
        let held = |name: &str| state["inventory"][name].as_u64().unwrap_or(0);
        let (value, goal, waste, why) = match Goal::read(&self.book, task) {
            Err(error) => (0.0, 0.0, 0, error.to_string()),
            Ok(goal) => {
                let (name, has) = (self.book.name(goal.item), held(self.book.name(goal.item)));
                let share = has.min(u64::from(goal.n)) as f64 / f64::from(goal.n);
                let best = plan::plan(&self.book, goal.item, &goal.held).unwrap_or_default();
                let best = plan::outcome(&self.book, &goal.held, &best);
                let kept = |name: &str| {
                    self.book
                        .item(name)
                        .and_then(|item| best.get(&item))
                        .copied()
                        .unwrap_or(0)
                };
                let extra =
                    |(name, n): (&String, &Value)| n.as_u64().unwrap_or(0).saturating_sub(u64::from(kept(name)));
                let waste: u64 = state["inventory"].as_object().into_iter().flatten().map(extra).sum();
                let value = if has >= u64::from(goal.n) { 1.0 } else { 0.0 };
                (value, share, waste, format!("{} {name} asked for, {has} held", goal.n))
            }
        };
        let calls = episode.tool_calls.len();
        let valid = episode.tool_calls.iter().filter(|call| call.error.is_none()).count();
        let share = if calls == 0 { 1.0 } else { valid as f64 / calls as f64 };
        let part = |name: &str, value: f64, why: String| ScorePart {
            name: name.into(),
            value,
            why,
        };
        Score {
            scorer: "textcraft".into(),
            version: "1".into(),
            hash: self.book.digest().into(),
            value,
            parts: vec![
                part("goal", goal, why),
                part("valid_calls", share, format!("{valid} of {calls} calls")),
                part(
                    "waste",
                    waste as f64,
                    "items left over that the expert would not have left".into(),
                ),
            ],
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        scripts::SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let goal = Goal::read(&self.book, task).ok()?;
        scripts::script(name, &self.book, &self.goals, &goal, stream)
    }
}
