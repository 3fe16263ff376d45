//! Question and answer files.

use crate::check::{Crash, Rule};
use crate::{Category, Language};
use hone_python::{Dict, Value, loads};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Size of a data file in bytes at most.
const MAX_FILE: u64 = 64 << 20;

/// A data file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}{place}: {what}; {remedy}")]
pub struct DataError {
    /// The file.
    pub file: String,
    /// `:line` and the field, if it is about one.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub remedy: &'static str,
}

impl DataError {
    /// A folder without the files that are looked for.
    pub(crate) fn none(dir: &Path, what: &str) -> Self {
        Self {
            file: dir.display().to_string(),
            place: String::new(),
            what: what.into(),
            remedy: "name the folder bfcl_eval/data of the package bfcl-eval, or one that holds its files as bfcl/",
        }
    }
}

/// A function that a question offers.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name, with dots where the source has them.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Parameters by name, in order: schemas with BFCL's own type names (`dict`, `float`, `tuple`, `any`, `HashMap` …).
    pub properties: Dict,
    /// What is checked of them.
    pub(crate) rules: Vec<(String, Result<Rule, Crash>)>,
    /// Names of the required parameters.
    pub required: Vec<String>,
    /// The whole entry as it stands in the file.
    pub raw: Value,
}

impl Function {
    /// A function, its calls written in a language. `raw` is the whole entry that says the same.
    pub fn new(
        name: &str,
        description: &str,
        properties: Dict,
        required: Vec<String>,
        raw: Value,
        language: Language,
    ) -> Self {
        let rule = |(name, details): (&Value, &Value)| Some((name.as_str()?.to_owned(), Rule::of(details, language)));
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            rules: properties.iter().filter_map(rule).collect(),
            properties,
            required,
            raw,
        }
    }
}

/// One gold call: a function's name, and for each parameter the values that it may have.
///
/// `""` among the values of a parameter says that it may be absent.
#[derive(Clone, Debug)]
pub struct Gold {
    /// The function's name.
    pub name: String,
    /// Allowed values by parameter.
    pub parameters: Dict,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Record {
    /// Unique within the suite.
    pub id: String,
    /// Its category.
    pub category: Category,
    /// Messages of the single turn: role and text.
    pub messages: Vec<(String, String)>,
    /// The functions on offer.
    pub functions: Vec<Function>,
    /// Gold calls; empty for the relevance categories.
    pub gold: Vec<Gold>,
}

/// The questions of a data folder.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// Records by category, in file order.
    pub categories: Vec<(Category, Vec<Record>)>,
    /// Single-turn categories whose files are not there.
    pub absent: Vec<Category>,
    /// SHA-256 over the files that were read, as hexadecimal digits: together with the scorer's version it names a score.
    pub digest: String,
}

impl Suite {
    /// Read the single-turn categories of a folder: the original's `bfcl_eval/data`, or one that holds it as `bfcl`.
    ///
    /// # Errors
    /// When a file is malformed, or there is none at all.
    pub fn load(dir: &Path) -> Result<Self, DataError> {
        let inner = dir.join("bfcl");
        let dir = if inner.is_dir() { &inner } else { dir };
        let mut suite = Self::default();
        let mut hash = Sha256::new();
        for &category in Category::ALL.iter().filter(|category| category.single_turn()) {
            let name = format!("BFCL_v4_{}.json", category.name());
            let questions = dir.join(&name);
            let answers = dir.join("possible_answer").join(&name);
            if !questions.is_file() || (!category.relevance() && !answers.is_file()) {
                suite.absent.push(category);
                continue;
            }
            let mut gold = if category.relevance() {
                HashMap::new()
            } else {
                read_gold(&answers, &mut hash)?
            };
            let mut records = vec![];
            for line in Lines::read(&questions, &mut hash)? {
                let (place, value) = line?;
                let mut record = record(&place, category, &value)?;
                if !category.relevance() {
                    let calls = gold.remove(&record.id);
                    record.gold = calls.ok_or_else(|| place.error("id", "has no gold in possible_answer", FETCH))?;
                    let known = |call: &Gold| record.functions.iter().any(|f| f.name == call.name);
                    if !record.gold.iter().all(known) {
                        return Err(place.error("function", "does not offer what the gold calls", FETCH));
                    }
                }
                records.push(record);
            }
            suite.categories.push((category, records));
        }
        if suite.categories.is_empty() {
            let what = "there are no files BFCL_v4_*.json of a single-turn category";
            return Err(DataError::none(dir, what));
        }
        suite.digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(suite)
    }

    /// Whether a folder has the questions of a single-turn category.
    pub(crate) fn is_in(dir: &Path) -> bool {
        Category::ALL
            .iter()
            .any(|category| category.single_turn() && has(dir, category.name()))
    }

    /// All records.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.categories.iter().flat_map(|(_, records)| records)
    }
}

/// Whether a folder, or its `bfcl`, has a file of questions.
pub(crate) fn has(dir: &Path, name: &str) -> bool {
    let file = format!("BFCL_v4_{name}.json");
    dir.join("bfcl").join(&file).is_file() || dir.join(file).is_file()
}

pub(crate) const FETCH: &str = "take the file from the package bfcl-eval unchanged";

/// Where a line stands.
pub(crate) struct Place {
    file: String,
    line: usize,
}

impl Place {
    pub(crate) fn error(&self, field: &str, what: impl Into<String>, remedy: &'static str) -> DataError {
        let field = if field.is_empty() {
            String::new()
        } else {
            format!(", field {field}")
        };
        DataError {
            file: self.file.clone(),
            place: format!(":{}{field}", self.line),
            what: what.into(),
            remedy,
        }
    }

    pub(crate) fn field<'a>(&self, value: &'a Value, field: &str) -> Result<&'a Value, DataError> {
        let name = field.rsplit('.').next().unwrap_or(field);
        value.get(name).ok_or_else(|| self.error(field, "is missing", FETCH))
    }

    pub(crate) fn text<'a>(&self, value: &'a Value, field: &str) -> Result<&'a str, DataError> {
        self.field(value, field)?
            .as_str()
            .ok_or_else(|| self.error(field, "must be a text", FETCH))
    }

    pub(crate) fn list<'a>(&self, value: &'a Value, field: &str) -> Result<&'a [Value], DataError> {
        self.field(value, field)?
            .as_list()
            .ok_or_else(|| self.error(field, "must be a list", FETCH))
    }

    pub(crate) fn dict<'a>(&self, value: &'a Value, field: &str) -> Result<&'a Dict, DataError> {
        self.field(value, field)?
            .as_dict()
            .ok_or_else(|| self.error(field, "must be an object", FETCH))
    }
}

/// JSON Lines.
pub(crate) struct Lines {
    file: String,
    lines: std::vec::IntoIter<(usize, String)>,
}

impl Lines {
    pub(crate) fn read(path: &Path, hash: &mut Sha256) -> Result<Self, DataError> {
        let (file, text) = Self::text(path, hash)?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let lines: Vec<_> = lines.map(|(i, line)| (i + 1, line.to_owned())).collect();
        Ok(Self {
            file,
            lines: lines.into_iter(),
        })
    }

    /// A file that is one JSON value.
    pub(crate) fn whole(path: &Path, hash: &mut Sha256) -> Result<(Place, Value), DataError> {
        let (file, text) = Self::text(path, hash)?;
        let place = Place { file, line: 1 };
        match loads(&text) {
            Ok(value) => Ok((place, value)),
            Err(e) => Err(place.error("", e.to_string(), "mend its JSON")),
        }
    }

    /// The file's name and its text.
    fn text(path: &Path, hash: &mut Sha256) -> Result<(String, String), DataError> {
        let file = path
            .file_name()
            .map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        let error = |what: String, remedy| DataError {
            file: file.clone(),
            place: String::new(),
            what,
            remedy,
        };
        let read = |path: &PathBuf| -> std::io::Result<String> {
            let mut text = String::new();
            std::fs::File::open(path)?
                .take(MAX_FILE + 1)
                .read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read(&path.to_path_buf()).map_err(|e| error(e.to_string(), "make it a readable UTF-8 file"))?;
        if text.len() as u64 > MAX_FILE {
            return Err(error("is larger than 64 MiB".into(), FETCH));
        }
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(&text);
        Ok((file, text))
    }
}

impl Iterator for Lines {
    type Item = Result<(Place, Value), DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, text) = self.lines.next()?;
        let place = Place {
            file: self.file.clone(),
            line,
        };
        Some(match loads(&text) {
            Ok(value) => Ok((place, value)),
            Err(e) => Err(place.error("", e.to_string(), FETCH)),
        })
    }
}

fn read_gold(path: &Path, hash: &mut Sha256) -> Result<HashMap<String, Vec<Gold>>, DataError> {
    let mut all = HashMap::new();
    for line in Lines::read(path, hash)? {
        let (place, value) = line?;
        let id = place.text(&value, "id")?.to_owned();
        let mut calls = vec![];
        for call in place.list(&value, "ground_truth")? {
            let entry = call
                .as_dict()
                .filter(|dict| dict.len() == 1)
                .and_then(|dict| dict.iter().next());
            let Some((Value::Str(name), Value::Dict(parameters))) = entry else {
                return Err(place.error("ground_truth", "must be a list of {name: {parameter: values}}", FETCH));
            };
            calls.push(Gold {
                name: name.clone(),
                parameters: parameters.clone(),
            });
        }
        if calls.is_empty() {
            return Err(place.error("ground_truth", "is empty", FETCH));
        }
        all.insert(id, calls);
    }
    Ok(all)
}

fn record(place: &Place, category: Category, value: &Value) -> Result<Record, DataError> {
    let turns = place.list(value, "question")?;
    let [Value::List(turn)] = turns else {
        return Err(place.error("question", "must hold one turn, a list of messages", FETCH));
    };
    let messages = turn.iter().map(|message| {
        let text = |field| place.text(message, field).map(str::to_owned);
        Ok((text("question.role")?, text("question.content")?))
    });
    let functions = place.list(value, "function")?.iter().map(|function| {
        let parameters = place.field(function, "function.parameters")?;
        let required = place.list(parameters, "function.parameters.required")?.iter();
        let required = required
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<_>>();
        Ok(Function::new(
            place.text(function, "function.name")?,
            place.text(function, "function.description")?,
            place.dict(parameters, "function.parameters.properties")?.clone(),
            required.ok_or_else(|| place.error("function.parameters.required", "must be a list of names", FETCH))?,
            function.clone(),
            category.language(),
        ))
    });
    Ok(Record {
        id: place.text(value, "id")?.to_owned(),
        category,
        messages: messages.collect::<Result<_, _>>()?,
        functions: functions.collect::<Result<_, _>>()?,
        gold: vec![],
    })
}
