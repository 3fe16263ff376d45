//! Invented recipes, so that a model can learn to craft and cannot learn the recipes by heart.
//!
//! The real book has about two hundred training goals, of depth 3 only two dozen: a model soon knows them all. Here the
//! crafting tree of a goal is drawn anew for each task: names of real items that now are made of something else, or new
//! names, from words of the real items and made-up ones; numbers and batches as in the real book. No name is that of a
//! held-out goal.

use crate::book::{Book, GRID, RecipeData};
use crate::goals::Goals;
use crate::plan::{Inventory, plan};
use hone_env::Split;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::collections::{BTreeMap, BTreeSet};

/// Recipes by the name of what they make, as in a task's data.
pub(crate) type Recipes = BTreeMap<String, RecipeData>;

/// Draws until a tree with a plan comes out. Of the trees of depth 4 about one in three has one.
const TRIES: usize = 200;
/// How often an ingredient beside the deepest one is crafted itself.
const CRAFTED: f64 = 0.3;
/// How often a name is that of a real item, and how often a new one keeps a word of what it is for.
const REAL: f64 = 0.4;
const KEEPS: f64 = 0.4;
/// How often a word of a new name is made up, so that a model copies words that it has never seen.
const MADE_UP: f64 = 0.35;
/// How often two words of a new name are joined as in `carrot on a stick`.
const JOINED: f64 = 0.1;
const JOINTS: [&str; 4] = ["on a", "of", "and", "with"];
/// Words of a new name.
const LENGTHS: [usize; 10] = [1, 1, 1, 2, 2, 2, 2, 3, 3, 4];
/// Numbers of one ingredient, and sizes of batches, about as often as in the real book.
const NEEDS: [u32; 16] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8, 8];
const BATCHES: [u32; 12] = [1, 1, 1, 1, 1, 2, 3, 4, 4, 6, 8, 16];

/// What names are made of.
#[derive(Debug)]
pub(crate) struct Names {
    /// Items of the real book that are no held-out goals.
    items: Vec<String>,
    /// Their words.
    words: Vec<String>,
    held_out: BTreeSet<String>,
}

impl Names {
    pub fn of(book: &Book, goals: &Goals) -> Self {
        let held_out: BTreeSet<String> = [Split::Validation, Split::Test]
            .into_iter()
            .flat_map(|split| goals.of_split(split))
            .map(|item| book.name(item).to_owned())
            .collect();
        let items: Vec<String> = book
            .names()
            .iter()
            .filter(|n| !held_out.contains(*n))
            .cloned()
            .collect();
        let words: BTreeSet<String> = items.iter().flat_map(|n| n.split(' ')).map(String::from).collect();
        Self {
            items,
            words: words.into_iter().collect(),
            held_out,
        }
    }

    /// The name of a goal of that depth, and the recipes of its tree. `None` if no draw has a plan, as in a book of one
    /// item, which has too few names.
    pub fn goal(&self, depth: u32, draw: &mut Stream) -> Option<(String, Recipes)> {
        (0..TRIES).find_map(|_| {
            let mut tree = Tree {
                names: self,
                used: BTreeSet::new(),
                recipes: Recipes::new(),
            };
            let goal = tree.name(None, draw)?;
            tree.grow(&goal, 1, depth, draw)?;
            let book = Book::of(&tree.recipes).ok()?;
            let item = book.item(&goal)?;
            let fits = book.depth_of(item) == depth && plan(&book, item, &Inventory::new()).is_some();
            fits.then_some((goal, tree.recipes))
        })
    }
}

/// A tree that is being drawn.
struct Tree<'a> {
    names: &'a Names,
    used: BTreeSet<String>,
    recipes: Recipes,
}

impl Tree<'_> {
    /// A name that the tree does not have yet.
    fn name(&mut self, parent: Option<&str>, draw: &mut Stream) -> Option<String> {
        (0..TRIES).find_map(|_| {
            let name = if draw.random_bool(REAL) {
                self.names.items.choose(draw)?.clone()
            } else {
                let kept = match parent {
                    Some(parent) if draw.random_bool(KEEPS) => parent.split(' ').next(),
                    _ => None,
                };
                let length = *LENGTHS.choose(draw)?;
                let mut words: Vec<String> = kept.map(String::from).into_iter().collect();
                while words.len() < length || words.is_empty() {
                    if !words.is_empty() && draw.random_bool(JOINED) {
                        words.push(JOINTS.choose(draw)?.to_string());
                    }
                    words.push(match draw.random_bool(MADE_UP) {
                        true => made_up(draw)?,
                        false => self.names.words.choose(draw)?.clone(),
                    });
                }
                words.join(" ")
            };
            let fresh = !self.names.held_out.contains(&name) && self.used.insert(name.clone());
            fresh.then_some(name)
        })
    }

    /// Draw the recipe of `name`, of which `need` are needed, and those below it.
    fn grow(&mut self, name: &str, need: u32, depth: u32, draw: &mut Stream) -> Option<()> {
        let mut room = GRID as u32;
        let mut needs = BTreeMap::new();
        for kind in 0..draw.random_range(1..=3) {
            let below = match kind {
                0 => depth - 1,
                _ if depth > 1 && draw.random_bool(CRAFTED) => draw.random_range(1..depth),
                _ => 0,
            };
            let n = *NEEDS.choose(draw)?;
            if n > room {
                break;
            }
            room -= n;
            let ingredient = self.name(Some(name), draw)?;
            if below > 0 {
                self.grow(&ingredient, n, below, draw)?;
            }
            needs.insert(ingredient, n);
        }
        let batches: Vec<u32> = BATCHES.into_iter().filter(|&makes| makes >= need).collect();
        let makes = *batches.choose(draw)?;
        self.recipes.insert(name.to_owned(), RecipeData { makes, needs });
        Some(())
    }
}

/// A word of one to three syllables that is in no dictionary, or only by chance.
fn made_up(draw: &mut Stream) -> Option<String> {
    const STARTS: [&str; 22] = [
        "b", "br", "c", "ch", "d", "f", "g", "gl", "h", "k", "l", "m", "n", "p", "pr", "r", "s", "st", "t", "tr", "v",
        "w",
    ];
    const VOWELS: [&str; 8] = ["a", "e", "i", "o", "u", "ea", "oo", "y"];
    const ENDS: [&str; 10] = ["", "", "", "", "n", "r", "s", "t", "ck", "ll"];
    let mut word = String::new();
    for _ in 0..draw.random_range(1..=3) {
        word += STARTS.choose(draw)?;
        word += VOWELS.choose(draw)?;
        word += ENDS.choose(draw)?;
    }
    Some(word)
}
