//! Which items are goals, which split they belong to, and the tasks made of them.

use crate::book::{Book, Item, STACK};
use crate::invent::{Names, Recipes};
use crate::plan::{Inventory, may_be_held, plan};
use crate::wording;
use hone_env::{EnvError, Split, Task};
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Depths of goals. Deeper items of the real book need more than one batch of something.
pub(crate) const DEPTHS: std::ops::RangeInclusive<u32> = 1..=4;

/// Shares of the test and the validation split at each depth.
const TEST: f64 = 0.3;
const VALIDATION: f64 = 0.1;

/// Goal items by split and depth.
///
/// A goal is an item of depth 1 to 4 that the canonical plan makes. At each depth the goals are ranked by the SHA-256 of
/// their names; the first 30 % are test, the next 10 % validation (both rounded up), the rest train.
#[derive(Debug)]
pub(crate) struct Goals(BTreeMap<(&'static str, u32), Vec<Item>>);

impl Goals {
    pub fn of(book: &Book) -> Self {
        let mut by_split = BTreeMap::new();
        for depth in DEPTHS {
            let fits = |item: &Item| book.depth_of(*item) == depth && plan(book, *item, &Inventory::new()).is_some();
            let mut items: Vec<Item> = book.items().filter(fits).collect();
            items.sort_by_cached_key(|item| Sha256::digest(book.name(*item)));
            let share = |part: f64| (items.len() as f64 * part).ceil() as usize;
            let (test, rest) = items.split_at(share(TEST));
            let (validation, train) = rest.split_at(share(VALIDATION).min(rest.len()));
            for (split, part) in [
                (Split::Test, test),
                (Split::Validation, validation),
                (Split::Train, train),
            ] {
                if !part.is_empty() {
                    by_split.insert((split.name(), depth), part.to_vec());
                }
            }
        }
        Self(by_split)
    }

    pub fn at(&self, split: Split, depth: u32) -> &[Item] {
        self.0.get(&(split.name(), depth)).map_or(&[], Vec::as_slice)
    }

    pub fn of_split(&self, split: Split) -> impl Iterator<Item = Item> {
        DEPTHS.flat_map(move |depth| self.at(split, depth).iter().copied())
    }
}

/// What a task asks for, what it starts with, and the recipes that it is played by.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub book: Arc<Book>,
    pub item: Item,
    pub n: u32,
    pub held: Inventory,
}

/// [`Goal`] as it stands in [`Task::data`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoalData {
    goal: String,
    n: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    held: BTreeMap<String, u32>,
    /// Recipes of this task, instead of the book's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipes: Option<Recipes>,
}

impl Goal {
    /// The goal of a task over the book, or over the recipes that the task brings along.
    pub fn read(book: &Arc<Book>, task: &Task) -> Result<Self, EnvError> {
        let broken = |what: String| EnvError::Data {
            what: format!("the data of task {} does not fit textcraft: {what}", task.id),
            remedy: "use a task that textcraft dealt".into(),
        };
        let data: GoalData = serde_json::from_value(task.data.clone()).map_err(|e| broken(e.to_string()))?;
        let book = match &data.recipes {
            None => Arc::clone(book),
            Some(recipes) => Arc::new(Book::of(recipes).map_err(broken)?),
        };
        let item = |name: &str| {
            book.item(name)
                .ok_or_else(|| broken(format!("there is no item {name:?}")))
        };
        let held: Inventory = data
            .held
            .iter()
            .map(|(name, &n)| Ok((item(name)?, n)))
            .collect::<Result<_, EnvError>>()?;
        if !held.values().chain([&data.n]).all(|n| (1..=STACK).contains(n)) {
            return Err(broken(format!("numbers of items are 1 to {STACK}")));
        }
        Ok(Self {
            item: item(&data.goal)?,
            n: data.n,
            held,
            book,
        })
    }
}

/// Of the training tasks with invented recipes, the share that has the real ones.
const REAL: f64 = 0.25;

/// The task of that index. Depths take turns; within a depth every goal comes once, in random order, before any comes
/// again. A third of the tasks whose goal allows it start with one ingredient in the inventory. With `names`, three
/// training tasks of four have invented recipes.
pub(crate) fn deal(
    book: &Book,
    goals: &Goals,
    depths: &[u32],
    names: Option<&Names>,
    split: Split,
    index: u64,
) -> Option<Task> {
    let depths: Vec<u32> = depths
        .iter()
        .copied()
        .filter(|&d| !goals.at(split, d).is_empty())
        .collect();
    let turn = index.checked_rem(depths.len() as u64)?;
    let (depth, round) = (depths[turn as usize], index / depths.len() as u64);
    let stream = Stream::new(0).named("textcraft").named(split.name());
    let task = stream.named("task").at(u64::from(depth)).at(round);
    let id = format!("{}/{index}", split.name());

    if let (Some(names), Split::Train) = (names, split) {
        let mut draw = task.named("invent");
        if !draw.random_bool(REAL)
            && let Some((goal, recipes)) = names.goal(depth, &mut draw)
            && let Ok(book) = Book::of(&recipes)
            && let Some(item) = book.item(&goal)
        {
            return Some(ask(&book, item, Some(recipes), id, split, &task));
        }
    }
    let mut items = goals.at(split, depth).to_vec();
    let (lap, place) = (round / items.len() as u64, round % items.len() as u64);
    items.shuffle(&mut stream.named("order").at(u64::from(depth)).at(lap));
    Some(ask(book, items[place as usize], None, id, split, &task))
}

/// The task to make an item: how many, what is held, in which words.
fn ask(book: &Book, item: Item, recipes: Option<Recipes>, id: String, split: Split, stream: &Stream) -> Task {
    let mut draw = stream.named("choices");
    let makes = book.recipe(item).map_or(1, |recipe| recipe.makes);
    let n = if draw.random_bool(0.5) {
        1
    } else {
        draw.random_range(1..=makes)
    };
    let held: Inventory = match draw.random_bool(1.0 / 3.0) {
        true => may_be_held(book, item).choose(&mut draw).copied().into_iter().collect(),
        false => Inventory::new(),
    };
    let name = book.name(item);
    let data = GoalData {
        goal: name.to_owned(),
        n,
        held: held.iter().map(|(item, n)| (book.name(*item).to_owned(), *n)).collect(),
        recipes,
    };
    Task {
        id,
        kind: format!("depth{}", book.depth_of(item)),
        system: None,
        instruction: wording::request(split, name, n, !held.is_empty(), &mut draw),
        seed: stream.seed(),
        data: serde_json::to_value(data).expect("strings and numbers"),
    }
}
