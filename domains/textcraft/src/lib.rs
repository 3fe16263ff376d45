//! TextCraft: crafting goals over the real Minecraft recipes.
//!
//! A task asks for some number of an item ("craft 2 oak door"). The agent looks recipes up, takes raw items from the
//! world, crafts what the item is made of and then the item, and says that it is done. It succeeds if the inventory then
//! holds the item in that number.
//!
//! Invariants:
//! * Crafting changes the inventory by exactly the recipe: what it needs goes, what it makes comes, or nothing changes.
//! * Goal items of the three splits are disjoint, and so are their phrasings. Invented training recipes name no held-out
//!   goal.
//! * Every goal has a canonical plan without arithmetic or memory of numbers: each number stands in the recipe just
//!   looked up ([`Textcraft`] says how goals are chosen).
//! * The recipe file is untrusted: bounded, checked in full, refused with the entry that is wrong.
//!
//! Deliberately not here: the recipes themselves (they are read from a data folder), goals that need several batches of
//! something, smelting and stonecutting.

mod book;
mod goals;
mod invent;
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
use invent::Names;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The TextCraft taskset: no end of tasks over a finite set of goal items.
///
/// A goal is an item whose crafting tree has height 1 to 4 (its *depth*), in which every crafted item occurs once and one
/// batch of it is enough, and whose canonical plan has at most 12 calls (15 at depth 4). Of each depth, 30 % of the
/// goals are test and 10 % validation, by hash of the name. Tasks of the chosen depths take turns.
#[derive(Debug)]
pub struct Textcraft {
    name: String,
    depths: Vec<u32>,
    names: Option<Names>,
    book: Arc<Book>,
    goals: Goals,
}

/// Which TextCraft: what a name on the command line selects.
///
/// `textcraft` is all of it, `textcraft:2` one depth, `textcraft:2-3` a range. `textcraft-invented`, with or without
/// depths, is the same but for training: three of four training tasks have recipes that are drawn for that task alone, so
/// that a model can learn to craft and cannot learn the recipes by heart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Depths of goals, within 1 to 4.
    pub depths: RangeInclusive<u32>,
    /// Whether training tasks have invented recipes.
    pub invented: bool,
}

impl Selection {
    /// What a name selects; `None` if it is no name of this taskset.
    pub fn of(name: &str) -> Option<Self> {
        let (base, depths) = name
            .split_once(':')
            .map_or((name, None), |(base, depths)| (base, Some(depths)));
        let invented = match base {
            "textcraft" => false,
            "textcraft-invented" => true,
            _ => return None,
        };
        let depth = |text: &str| DEPTHS.into_iter().find(|depth| depth.to_string() == text);
        let depths = match depths.map(|depths| depths.split_once('-').unwrap_or((depths, depths))) {
            None => DEPTHS,
            Some((from, to)) => depth(from)?..=depth(to)?,
        };
        (!depths.is_empty()).then_some(Self { depths, invented })
    }

    fn name(&self) -> String {
        let base = if self.invented {
            "textcraft-invented"
        } else {
            "textcraft"
        };
        match (self.depths.start(), self.depths.end()) {
            _ if self.depths == DEPTHS => base.to_owned(),
            (from, to) if from == to => format!("{base}:{from}"),
            (from, to) => format!("{base}:{from}-{to}"),
        }
    }
}

impl Textcraft {
    /// Load the recipes from `textcraft/recipes.json` under `dir`, else under `HONE_DATA`, else under `../shared/data`.
    ///
    /// # Errors
    /// When the file is missing, too large or not a recipe file, or the selection has no depths from 1 to 4.
    pub fn load(dir: Option<&Path>, selection: &Selection) -> Result<Self, EnvError> {
        let dir = dir
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HONE_DATA").map(PathBuf::from));
        let dir = dir.unwrap_or_else(|| PathBuf::from("../shared/data"));
        let name = selection.name();
        if Selection::of(&name).as_ref() != Some(selection) {
            return Err(EnvError::Data {
                what: format!("textcraft has no goals of depths {:?}", selection.depths),
                remedy: "choose depths from 1 to 4, such as textcraft:2-3".into(),
            });
        }
        let book = Book::read(&dir.join("textcraft").join("recipes.json"))?;
        let goals = Goals::of(&book);
        Ok(Self {
            name,
            depths: selection.depths.clone().collect(),
            names: selection.invented.then(|| Names::of(&book, &goals)),
            book: Arc::new(book),
            goals,
        })
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
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &'static str {
        "Craft items from raw materials with the real Minecraft recipes; held-out goals and phrasings."
    }

    fn len(&self, split: Split) -> Option<u64> {
        let none = self.depths.iter().all(|&depth| self.goals.at(split, depth).is_empty());
        none.then_some(0)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let names = self.names.as_ref();
        goals::deal(&self.book, &self.goals, &self.depths, names, split, index).ok_or_else(|| EnvError::NoSuchTask {
            taskset: self.name.clone(),
            split: split.name(),
            index,
            len: 0,
        })
    }

    fn environment(&self, _: &Task) -> Box<dyn Environment> {
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
            // Its tools answer at once: only the wait for the model counts, and a slow machine must not change the record.
            episode_timeout_ms: 600_000,
            on_malformed: OnMalformed::Observe,
            ..Budget::default()
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
                let (book, name) = (&*goal.book, goal.book.name(goal.item));
                let has = held(name);
                let share = has.min(u64::from(goal.n)) as f64 / f64::from(goal.n);
                let best = plan::plan(book, goal.item, &goal.held).unwrap_or_default();
                let best = plan::outcome(book, &goal.held, &best);
                let kept = |name: &str| book.item(name).and_then(|item| best.get(&item)).copied().unwrap_or(0);
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
