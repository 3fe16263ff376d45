//! Multi-turn records.

use super::world::{Settings, World, WorldError};
use crate::data::{DataError, FETCH, Lines, Place, has};
use crate::decode::{Answer, Decoded, decode};
use crate::{Category, Language};
use hone_python::{Dict, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Steps of a turn after which the original ends a task as failed.
pub const STEP_LIMIT: usize = 20;

/// What the user says where a withheld function is handed out. The words are ours; the original's differ.
pub const MORE_FUNCTIONS: &str = "Here are further functions that you may use. Can you do it with them?";

/// The file that describes the tools of each class.
const DOCUMENTS: [(&str, &str); 8] = [
    ("GorillaFileSystem", "gorilla_file_system.json"),
    ("MathAPI", "math_api.json"),
    ("MessageAPI", "message_api.json"),
    ("TwitterAPI", "posting_api.json"),
    ("TicketAPI", "ticket_api.json"),
    ("TradingBot", "trading_bot.json"),
    ("TravelAPI", "travel_booking.json"),
    ("VehicleControlAPI", "vehicle_control.json"),
];

/// A multi-turn record.
#[derive(Clone, Debug)]
pub struct Task {
    /// Unique within the suite.
    pub id: String,
    /// Its category.
    pub category: Category,
    /// Messages of each turn: role and text. Empty where a withheld function is handed out.
    pub turns: Vec<Vec<(String, String)>>,
    /// The state that each class begins in.
    pub initial_config: Value,
    /// The classes whose tools are on offer.
    pub involved_classes: Vec<String>,
    /// Descriptions of the tools on offer from the first turn on.
    pub functions: Vec<Arc<Value>>,
    /// Descriptions of the tools that come with a turn.
    pub withheld: HashMap<usize, Vec<Arc<Value>>>,
    /// Names that the record lists as excluded. The original does not act on them.
    pub excluded: Vec<String>,
    /// Gold calls of each turn, as source text.
    pub gold: Vec<Vec<String>>,
}

/// The multi-turn records of a data folder.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// Tasks by category, in file order.
    pub categories: Vec<(Category, Vec<Task>)>,
    /// Multi-turn categories whose files are not there.
    pub absent: Vec<Category>,
    /// SHA-256 over the files that were read, as hexadecimal digits.
    pub digest: String,
}

impl Tasks {
    /// Read the multi-turn categories of a folder: the original's `bfcl_eval/data`, or one that holds it as `bfcl`.
    ///
    /// # Errors
    /// When a file is malformed, or there is none at all.
    pub fn load(dir: &Path) -> Result<Self, DataError> {
        let inner = dir.join("bfcl");
        let dir = if inner.is_dir() { &inner } else { dir };
        let mut tasks = Self::default();
        let mut hash = Sha256::new();
        let mut documents = HashMap::new();
        for (class, file) in DOCUMENTS {
            let path = dir.join("multi_turn_func_doc").join(file);
            if path.is_file() {
                let all = Lines::read(&path, &mut hash)?.map(|line| line.map(|(_, value)| Arc::new(value)));
                documents.insert(class, all.collect::<Result<Vec<_>, _>>()?);
            }
        }
        for &category in Category::ALL.iter().filter(|category| category.multi_turn()) {
            let name = format!("BFCL_v4_{}.json", category.name());
            let (questions, answers) = (dir.join(&name), dir.join("possible_answer").join(&name));
            if !questions.is_file() || !answers.is_file() {
                tasks.absent.push(category);
                continue;
            }
            let mut gold = HashMap::new();
            for line in Lines::read(&answers, &mut hash)? {
                let (place, value) = line?;
                let turns = place.list(&value, "ground_truth")?;
                let calls = |turn: &Value| texts(turn.as_list()?);
                let turns: Option<Vec<_>> = turns.iter().map(calls).collect();
                let turns = turns.ok_or_else(|| place.error("ground_truth", "must hold lists of calls", FETCH))?;
                gold.insert(place.text(&value, "id")?.to_owned(), turns);
            }
            let mut read = vec![];
            for line in Lines::read(&questions, &mut hash)? {
                let (place, value) = line?;
                let mut task = task(&place, category, &value, &documents)?;
                let turns = gold.remove(&task.id).filter(|turns| turns.len() == task.turns.len());
                task.gold = turns.ok_or_else(|| place.error("id", "has no gold of as many turns", FETCH))?;
                read.push(task);
            }
            tasks.categories.push((category, read));
        }
        if tasks.categories.is_empty() {
            return Err(DataError::none(dir, "there are no files BFCL_v4_multi_turn_*.json"));
        }
        tasks.digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(tasks)
    }

    /// Whether a folder has the questions of a multi-turn category.
    pub(crate) fn is_in(dir: &Path) -> bool {
        Category::ALL
            .iter()
            .any(|category| category.multi_turn() && has(dir, category.name()))
    }

    /// All tasks.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.categories.iter().flat_map(|(_, tasks)| tasks)
    }
}

fn texts(items: &[Value]) -> Option<Vec<String>> {
    items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn task(
    place: &Place,
    category: Category,
    value: &Value,
    documents: &HashMap<&str, Vec<Arc<Value>>>,
) -> Result<Task, DataError> {
    let mut turns = vec![];
    for turn in place.list(value, "question")? {
        let messages = turn
            .as_list()
            .ok_or_else(|| place.error("question", "must be a list of turns", FETCH))?;
        let text = |message, field| place.text(message, field).map(str::to_owned);
        let pair = |message| Ok((text(message, "question.role")?, text(message, "question.content")?));
        turns.push(messages.iter().map(pair).collect::<Result<Vec<_>, _>>()?);
    }
    let involved = texts(place.list(value, "involved_classes")?);
    let involved = involved.ok_or_else(|| place.error("involved_classes", "must be a list of names", FETCH))?;
    let described = involved.iter().filter_map(|class| documents.get(class.as_str()));
    let mut functions: Vec<Arc<Value>> = described.flatten().cloned().collect();
    let mut withheld = HashMap::new();
    let missed = value.get("missed_function").and_then(Value::as_dict).cloned();
    for (turn, names) in missed.unwrap_or_default().iter() {
        let turn = turn.as_str().and_then(|turn| turn.parse().ok());
        let names = names.as_list().and_then(texts);
        let (Some(turn), Some(names)) = (turn, names) else {
            return Err(place.error("missed_function", "must be {turn: [name]}", FETCH));
        };
        let mut given = vec![];
        for name in names {
            let named = |function: &Arc<Value>| function.get("name").and_then(Value::as_str) == Some(&name);
            if let Some(at) = functions.iter().position(named) {
                given.push(functions.remove(at));
            }
        }
        withheld.insert(turn, given);
    }
    let excluded = value.get("excluded_function").and_then(Value::as_list).and_then(texts);
    Ok(Task {
        id: place.text(value, "id")?.to_owned(),
        category,
        turns,
        initial_config: place.field(value, "initial_config")?.clone(),
        involved_classes: involved,
        functions,
        withheld,
        excluded: excluded.unwrap_or_default(),
        gold: vec![],
    })
}

impl Task {
    /// The world in which a model works.
    ///
    /// # Errors
    /// When a class is unknown, its configuration does not load, or long-context data is not at hand.
    pub fn world(&self, settings: &Settings) -> Result<World, WorldError> {
        self.world_of("", settings)
    }

    pub(super) fn world_of(&self, role: &str, settings: &Settings) -> Result<World, WorldError> {
        let long_context = self.category == Category::MultiTurnLongContext;
        let (config, involved) = (&self.initial_config, &self.involved_classes);
        World::new(&self.id, config, involved, long_context, role, settings)
    }

    /// Descriptions of the tools on offer in a turn.
    pub fn offered(&self, turn: usize) -> Vec<&Value> {
        let later = (0..=turn).filter_map(|turn| self.withheld.get(&turn)).flatten();
        self.functions.iter().chain(later).map(|function| &**function).collect()
    }

    /// What is said at the beginning of a turn. Prompted models read new functions in the message, others have them in
    /// their list of tools.
    pub fn messages(&self, turn: usize, prompted: bool) -> Vec<(String, String)> {
        let Some(functions) = self.withheld.get(&turn) else {
            return self.turns.get(turn).cloned().unwrap_or_default();
        };
        let text = if prompted {
            let functions = functions.iter().map(|function| (**function).clone()).collect();
            format!("{}\n{MORE_FUNCTIONS}", Value::List(functions))
        } else {
            MORE_FUNCTIONS.to_owned()
        };
        vec![("user".to_owned(), text)]
    }
}

/// The calls of an answer, as source text. `None` ends the turn: the answer does not decode, or calls nothing.
pub fn calls(answer: &Answer) -> Option<Vec<String>> {
    let prompted = matches!(answer, Answer::Text(_));
    let Ok(Decoded::Calls(calls)) = decode(answer, Language::Python) else {
        return None;
    };
    let written: Option<Vec<_>> = calls
        .iter()
        .map(|(name, arguments)| {
            let separator = if prompted { ", " } else { "," };
            let mut parts = vec![];
            for (key, value) in arguments.iter() {
                let value = if prompted { nested(value)? } else { value.repr() };
                parts.push(format!("{key}={value}"));
            }
            Some(format!("{name}({})", parts.join(separator)))
        })
        .collect();
    // One call without text is none, too.
    written.filter(|calls| calls.iter().any(|call| !call.is_empty()) || calls.len() > 1)
}

/// An argument: dictionaries of dictionaries stand for calls, as the original reads them.
fn nested(value: &Value) -> Option<String> {
    let Value::Dict(dict) = value else {
        return Some(value.repr());
    };
    let entries = |dict: &Dict, form: fn(&Value, String) -> String| -> Option<String> {
        let parts: Option<Vec<_>> = dict
            .iter()
            .map(|(key, value)| Some(form(key, nested(value)?)))
            .collect();
        Some(parts?.join(", "))
    };
    if dict.values().all(|value| matches!(value, Value::Dict(_))) {
        let (name, arguments) = dict.iter().next()?;
        let arguments = entries(arguments.as_dict()?, |key, value| format!("{key}={value}"))?;
        return Some(format!("{name}({arguments})"));
    }
    entries(dict, |key, value| format!("'{key}': {value}")).map(|entries| format!("{{{entries}}}"))
}
