//! The recipe book: reads the recipe file, checks it, and settles which recipe makes what.

use hone_env::EnvError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Bytes that a recipe file may have (the real one has 200 kB).
const MAX_BYTES: u64 = 4 << 20;
/// Entries that a recipe file may have (the real one has 860).
const MAX_ENTRIES: usize = 4096;
/// Largest batch, and largest number of one thing that a call may ask for: a stack.
pub(crate) const STACK: u32 = 64;
/// Cells of the crafting grid.
pub(crate) const GRID: usize = 9;

/// An item of the book. Items order as their names do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item(u16);

/// How one batch of an item is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// Items in one batch.
    pub makes: u32,
    /// What one batch uses up, in order of name, each item once.
    pub needs: Vec<(Item, u32)>,
}

/// All items, the one recipe of each crafted item, and how deep its crafting tree is.
///
/// * Used are the entries of type `crafting_shaped` and `crafting_shapeless`; others (smelting, stonecutting, …) are
///   skipped and counted.
/// * A tag (`minecraft:planks`) is an item by itself, of that name: raw, since no recipe makes it.
/// * Of a list of alternatives the first counts.
/// * Where several entries make an item, the one named after it counts, else the last by name (for dyes that is the one
///   that mixes other dyes).
/// * Where items need each other (nine ingots make a block, a block makes nine ingots), the one of them that most
///   unsettled recipes need becomes raw (ties: first by name), and again until no such knot is left.
#[derive(Debug)]
pub struct Book {
    names: Vec<String>,
    recipes: Vec<Option<Recipe>>,
    depths: Vec<u32>,
    skipped: usize,
    digest: String,
}

impl Book {
    /// Read a recipe file: one object of entries, keyed by their file names.
    pub(crate) fn read(path: &Path) -> Result<Self, EnvError> {
        let shown = path.display();
        let missing = |error: &dyn std::fmt::Display| {
            EnvError::Data {
            what: format!("the recipes of textcraft cannot be read from {shown}: {error}"),
            remedy: "get them with `hone data get textcraft`, or set HONE_DATA to the folder that holds textcraft/recipes.json"
                .into(),
        }
        };
        if !std::fs::metadata(path).map_err(|e| missing(&e))?.is_file() {
            return Err(missing(&"it is not a file"));
        }
        let file = std::fs::File::open(path).map_err(|e| missing(&e))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| missing(&e))?;
        Self::parse(&bytes).map_err(|what| EnvError::Data {
            what: format!("{shown}: {what}"),
            remedy: "get the file anew with `hone data get textcraft`".into(),
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("the file is larger than {MAX_BYTES} bytes"));
        }
        let entries: BTreeMap<String, Value> =
            serde_json::from_slice(bytes).map_err(|e| format!("this is no JSON object of recipes: {e}"))?;
        if entries.len() > MAX_ENTRIES {
            return Err(format!("there are {} entries, more than {MAX_ENTRIES}", entries.len()));
        }
        let mut skipped = 0;
        let mut chosen: BTreeMap<String, (bool, Entry)> = BTreeMap::new();
        for (file, value) in entries {
            match value.get("type").and_then(Value::as_str) {
                Some("minecraft:crafting_shaped" | "minecraft:crafting_shapeless") => {}
                Some(_) => {
                    skipped += 1;
                    continue;
                }
                None => return Err(format!("{file} has no `type`")),
            }
            let entry = Entry::read(value).map_err(|e| format!("{file}: {e}"))?;
            let own = file.trim_end_matches(".json").replace('_', " ") == entry.result;
            let slot = chosen.entry(entry.result.clone());
            let slot = slot.or_insert_with(|| (own, entry.clone()));
            if !slot.0 {
                *slot = (own, entry);
            }
        }
        Ok(Self::settle(
            chosen.into_values().map(|(_, entry)| entry).collect(),
            skipped,
            hex(&Sha256::digest(bytes)),
        ))
    }

    /// A book of these recipes alone, as a task may bring them along.
    ///
    /// # Errors
    /// A sentence that names the recipe that is wrong.
    pub(crate) fn of(recipes: &BTreeMap<String, RecipeData>) -> Result<Self, String> {
        if recipes.len() > MAX_ENTRIES {
            return Err(format!("there are {} recipes, more than {MAX_ENTRIES}", recipes.len()));
        }
        let entries = recipes.iter().map(|(name, recipe)| {
            let counts: u64 = recipe.needs.values().map(|&n| u64::from(n)).sum();
            let named = recipe.needs.keys().chain([name]).all(|name| plain(&name.replace(' ', "_")).as_ref() == Ok(name));
            let numbered = !recipe.needs.values().any(|&n| n == 0) && (1..=GRID as u64).contains(&counts);
            if !named || !numbered || !(1..=STACK).contains(&recipe.makes) {
                let start: String = name.chars().take(40).collect();
                return Err(format!(
                    "the recipe of {start:?} must have names of lower-case words, 1 to {GRID} ingredients and a batch of 1 to {STACK}"
                ));
            }
            Ok(Entry {
                result: name.clone(),
                makes: recipe.makes,
                needs: recipe.needs.clone(),
            })
        });
        Ok(Self::settle(entries.collect::<Result<_, _>>()?, 0, String::new()))
    }

    fn settle(entries: Vec<Entry>, skipped: usize, digest: String) -> Self {
        let mut names: Vec<String> = entries
            .iter()
            .flat_map(|e| e.needs.keys().chain([&e.result]))
            .cloned()
            .collect();
        names.sort_unstable();
        names.dedup();
        let item = |name: &String| {
            let index = names.binary_search(name).expect("every name was collected");
            Item(u16::try_from(index).expect("at most 4096 entries of ten names"))
        };
        let mut recipes = vec![None; names.len()];
        for entry in &entries {
            let needs = entry.needs.iter().map(|(name, &count)| (item(name), count)).collect();
            recipes[item(&entry.result).index()] = Some(Recipe {
                makes: entry.makes,
                needs,
            });
        }
        let depths = untie(&mut recipes);
        Self {
            names,
            recipes,
            depths,
            skipped,
            digest,
        }
    }

    /// The item of that name.
    pub(crate) fn item(&self, name: &str) -> Option<Item> {
        self.names
            .binary_search_by(|n| n.as_str().cmp(name))
            .ok()
            .map(|i| Item(i as u16))
    }

    /// The name of an item.
    pub(crate) fn name(&self, item: Item) -> &str {
        &self.names[item.index()]
    }

    /// The recipe of an item; `None` for a raw one.
    pub(crate) fn recipe(&self, item: Item) -> Option<&Recipe> {
        self.recipes[item.index()].as_ref()
    }

    pub(crate) fn depth_of(&self, item: Item) -> u32 {
        self.depths[item.index()]
    }

    /// All items, in order of name.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item> + use<> {
        (0..self.names.len()).map(|i| Item(i as u16))
    }

    /// Names of all items, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Height of an item's crafting tree: 0 for raw items, else one more than its deepest ingredient.
    pub fn depth(&self, name: &str) -> Option<u32> {
        self.item(name).map(|item| self.depth_of(item))
    }

    /// Size of one batch and what it uses up, in order of name; `None` for raw and unknown items.
    pub fn ingredients(&self, name: &str) -> Option<(u32, Vec<(&str, u32)>)> {
        let recipe = self.recipe(self.item(name)?)?;
        Some((
            recipe.makes,
            recipe.needs.iter().map(|&(item, n)| (self.name(item), n)).collect(),
        ))
    }

    /// Entries of the file that are no crafting recipes.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// SHA-256 of the recipe file.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Item {
    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|d| char::from(DIGITS[usize::from(d)]))
        .collect()
}

/// A recipe in a task's data: size of a batch, and how many of what it uses up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecipeData {
    pub makes: u32,
    pub needs: BTreeMap<String, u32>,
}

/// One crafting recipe of the file, checked.
#[derive(Clone)]
struct Entry {
    result: String,
    makes: u32,
    needs: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct RawEntry {
    pattern: Option<Vec<String>>,
    #[serde(default)]
    key: BTreeMap<char, RawIngredient>,
    #[serde(default)]
    ingredients: Vec<RawIngredient>,
    result: RawResult,
}

#[derive(Deserialize)]
struct RawResult {
    item: String,
    #[serde(default = "one")]
    count: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawIngredient {
    Item { item: String },
    Tag { tag: String },
    Any(Vec<RawIngredient>),
}

impl RawIngredient {
    fn name(&self) -> Result<String, String> {
        match self {
            Self::Item { item: name } | Self::Tag { tag: name } => plain(name),
            Self::Any(list) => list.first().ok_or("an ingredient has no alternatives")?.name(),
        }
    }
}

impl Entry {
    fn read(value: Value) -> Result<Self, String> {
        let raw: RawEntry = serde_json::from_value(value).map_err(|e| e.to_string())?;
        let cells: Vec<&RawIngredient> = match &raw.pattern {
            None => raw.ingredients.iter().collect(),
            Some(rows) => rows
                .iter()
                .flat_map(|row| row.chars())
                .take(GRID + 1)
                .filter(|c| *c != ' ')
                .map(|c| {
                    raw.key
                        .get(&c)
                        .ok_or(format!("the pattern uses {c:?}, which `key` lacks"))
                })
                .collect::<Result<_, _>>()?,
        };
        let size = raw
            .pattern
            .as_ref()
            .map_or(cells.len(), |rows| rows.iter().map(|r| r.chars().count()).sum());
        if cells.is_empty() || size > GRID {
            return Err(format!(
                "a recipe has 1 to {GRID} cells, this one {size}, of which {} are filled",
                cells.len()
            ));
        }
        if !(1..=STACK).contains(&raw.result.count) {
            return Err(format!("a batch has 1 to {STACK} items, this one {}", raw.result.count));
        }
        let mut needs = BTreeMap::new();
        for cell in cells {
            *needs.entry(cell.name()?).or_insert(0) += 1;
        }
        Ok(Self {
            result: plain(&raw.result.item)?,
            makes: raw.result.count,
            needs,
        })
    }
}

/// `minecraft:oak_planks` → `oak planks`.
fn plain(id: &str) -> Result<String, String> {
    let name = id.strip_prefix("minecraft:").unwrap_or(id);
    let fits = (1..=64).contains(&name.len())
        && name
            .split('_')
            .all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    if fits {
        Ok(name.replace('_', " "))
    } else {
        let start: String = id.chars().take(40).collect();
        Err(format!(
            "{start:?} is no item name (minecraft: and lower-case words joined by _, at most 64 letters)"
        ))
    }
}

/// Depths from the raw items upwards; makes an item of each knot raw, so that every item gets one.
fn untie(recipes: &mut [Option<Recipe>]) -> Vec<u32> {
    let mut users = vec![Vec::new(); recipes.len()];
    let mut pending = vec![0_usize; recipes.len()];
    for (index, recipe) in recipes.iter().enumerate() {
        for (need, _) in recipe.iter().flat_map(|r| &r.needs) {
            users[need.index()].push(index);
            pending[index] += 1;
        }
    }
    let mut depths: Vec<Option<u32>> = vec![None; recipes.len()];
    let mut ready: Vec<usize> = (0..recipes.len()).filter(|&i| recipes[i].is_none()).collect();
    loop {
        while let Some(index) = ready.pop() {
            let below = |r: &Recipe| {
                r.needs
                    .iter()
                    .filter_map(|(need, _)| depths[need.index()])
                    .max()
                    .unwrap_or(0)
            };
            depths[index] = Some(recipes[index].as_ref().map_or(0, |r| 1 + below(r)));
            for &user in &users[index] {
                pending[user] -= 1;
                if pending[user] == 0 && depths[user].is_none() {
                    ready.push(user);
                }
            }
        }
        let Some(index) = most_needed_in_knot(recipes, &users, &depths) else {
            break;
        };
        recipes[index] = None;
        ready.push(index);
    }
    depths
        .into_iter()
        .map(|d| d.expect("the loop ends when every item has a depth"))
        .collect()
}

/// Of the items without a depth that need each other, the one that most such recipes need.
fn most_needed_in_knot(recipes: &[Option<Recipe>], users: &[Vec<usize>], depths: &[Option<u32>]) -> Option<usize> {
    let open = |i: usize| depths[i].is_none();
    let demand: Vec<usize> = users.iter().map(|u| u.iter().filter(|&&i| open(i)).count()).collect();
    // Peel off what no open recipe needs, until only knots (and paths between them) are left.
    let mut left = demand.clone();
    let mut inside: Vec<bool> = (0..recipes.len()).map(open).collect();
    let mut peel: Vec<usize> = (0..recipes.len()).filter(|&i| inside[i] && left[i] == 0).collect();
    while let Some(index) = peel.pop() {
        inside[index] = false;
        for (need, _) in recipes[index].iter().flat_map(|r| &r.needs) {
            let need = need.index();
            left[need] -= 1;
            if inside[need] && left[need] == 0 {
                peel.push(need);
            }
        }
    }
    (0..recipes.len())
        .filter(|&i| inside[i])
        .max_by_key(|&i| (demand[i], std::cmp::Reverse(i)))
}
