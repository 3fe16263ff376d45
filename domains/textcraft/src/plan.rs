//! Recipe search: the calls that make a goal, in the canonical order.

use crate::book::{Book, Item};
use hone_model::CallRequest;
use serde_json::json;
use std::collections::BTreeMap;

/// What an episode starts with, or ends with: items and how many of each.
pub(crate) type Inventory = BTreeMap<Item, u32>;

/// One tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Inventory,
    Lookup(Item),
    Get(Item, u32),
    Craft(Item),
}

impl Step {
    /// The call that does it.
    pub fn request(self, book: &Book) -> CallRequest {
        match self {
            Self::Inventory => CallRequest::new("inventory", json!({})),
            Self::Lookup(item) => CallRequest::new("lookup", json!({ "item": book.name(item) })),
            Self::Get(item, n) => CallRequest::new("get", json!({ "item": book.name(item), "n": n })),
            Self::Craft(item) => CallRequest::new("craft", json!({ "item": book.name(item) })),
        }
    }
}

/// Calls that a goal of that depth may take.
pub(crate) fn max_calls(depth: u32) -> usize {
    if depth <= 3 { 12 } else { 15 }
}

/// An ingredient with its number, in the order of the canonical plan: raw ones first, then crafted ones, each by name.
pub(crate) fn ordered(book: &Book, item: Item) -> Vec<(Item, u32)> {
    let needs = book.recipe(item).map_or(&[][..], |recipe| &recipe.needs);
    let (raw, crafted): (Vec<_>, Vec<_>) = needs.iter().partition(|(need, _)| book.recipe(*need).is_none());
    raw.into_iter().chain(crafted).collect()
}

/// The canonical plan: look the item up, get its raw ingredients, make each crafted one the same way, craft.
///
/// Nothing is held twice, counted or remembered: every number in it stands in the recipe last looked up. Ingredients that
/// are held in sufficient number are left out; if anything is held, the plan starts by looking at the inventory.
/// `None` unless that simple plan works: every crafted item occurs once in the tree, one batch of each is enough, and
/// there are at most [`max_calls`] calls.
pub(crate) fn plan(book: &Book, goal: Item, held: &Inventory) -> Option<Vec<Step>> {
    let mut steps = if held.is_empty() { vec![] } else { vec![Step::Inventory] };
    visit(book, goal, 1, held, max_calls(book.depth_of(goal)), &mut steps)?;
    Some(steps)
}

fn visit(book: &Book, item: Item, need: u32, held: &Inventory, limit: usize, steps: &mut Vec<Step>) -> Option<()> {
    if need > book.recipe(item)?.makes || steps.contains(&Step::Lookup(item)) || steps.len() >= limit {
        return None;
    }
    steps.push(Step::Lookup(item));
    for (ingredient, count) in ordered(book, item) {
        if held.get(&ingredient).is_some_and(|&h| h >= count) {
            continue;
        }
        match book.recipe(ingredient) {
            None => steps.push(Step::Get(ingredient, count)),
            Some(_) => visit(book, ingredient, count, held, limit, steps)?,
        }
    }
    steps.push(Step::Craft(item));
    (steps.len() <= limit).then_some(())
}

/// What is left in the inventory after a plan.
pub(crate) fn outcome(book: &Book, held: &Inventory, steps: &[Step]) -> Inventory {
    let mut inventory = held.clone();
    for step in steps {
        match *step {
            Step::Get(item, n) => *inventory.entry(item).or_default() += n,
            Step::Craft(item) => {
                if let Some(recipe) = book.recipe(item) {
                    for (need, n) in &recipe.needs {
                        inventory.entry(*need).and_modify(|h| *h = h.saturating_sub(*n));
                    }
                    *inventory.entry(item).or_default() += recipe.makes;
                }
            }
            Step::Inventory | Step::Lookup(_) => {}
        }
    }
    inventory.retain(|_, n| *n > 0);
    inventory
}

/// Single ingredients that a task may give beforehand: those that leave the height of the goal's tree as it is, occur
/// once in it, and do not make every `get` needless.
pub(crate) fn may_be_held(book: &Book, goal: Item) -> Vec<(Item, u32)> {
    let Some(steps) = plan(book, goal, &Inventory::new()) else {
        return vec![];
    };
    let crafted = steps
        .iter()
        .filter_map(|s| if let Step::Craft(item) = s { Some(*item) } else { None });
    let edges: Vec<(Item, u32)> = crafted.flat_map(|item| ordered(book, item)).collect();
    let fits = |&(item, count): &(Item, u32)| {
        let held = Inventory::from([(item, count)]);
        edges.iter().filter(|(other, _)| *other == item).count() == 1
            && height(book, goal, &held) == book.depth_of(goal)
            && plan(book, goal, &held).is_some_and(|steps| steps.iter().any(|s| matches!(s, Step::Get(..))))
    };
    edges.iter().copied().filter(fits).collect()
}

fn height(book: &Book, item: Item, held: &Inventory) -> u32 {
    let below = ordered(book, item)
        .into_iter()
        .filter(|(need, _)| !held.contains_key(need));
    below
        .map(|(need, _)| 1 + height(book, need, held))
        .max()
        .unwrap_or(u32::from(book.recipe(item).is_some()))
}
