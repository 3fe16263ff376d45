//! A domain's database: loaded once, shared, changed copy-on-write.
//!
//! [`Base`] holds the validated records and their canonical JSON. A [`Db`] is a base and the rows that one episode has
//! changed or added, so a fresh world, a snapshot or a fork costs a few reference counts, whatever the database's size.
//!
//! [`Db::hash`] is the reference's: SHA-256 over `json.dumps(model_dump, sort_keys=True)`. The base keeps the hasher's
//! state at every row, so the hash of a changed database starts at its first changed row. [`Db::same`] says whether two
//! databases have the same hash without hashing, by comparing what changed.

use crate::model::{Model, Type};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How the rows of a table are held by the root record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `dict[str, Model]`
    Map,
    /// `list[Model]`
    List,
    /// One record.
    One,
}

#[derive(Debug)]
struct BaseTable {
    name: &'static str,
    shape: Shape,
    keys: Vec<Arc<str>>,
    rows: Vec<Value>,
    index: HashMap<Arc<str>, usize>,
    /// Row numbers in canonical order.
    order: Vec<usize>,
    /// Canonical JSON of each row, in canonical order (with its key, without separators).
    texts: Vec<String>,
    /// The hasher before the separator of each row in canonical order, and after the last row.
    states: Vec<Sha256>,
}

/// A loaded database.
#[derive(Debug)]
pub struct Base {
    model: &'static Model,
    /// In the root model's order.
    tables: Vec<BaseTable>,
    /// Table numbers in canonical order.
    order: Vec<usize>,
    hash: String,
}

impl Base {
    /// Validate a database and index it.
    ///
    /// # Errors
    /// With pydantic's text, when the data does not fit the model.
    pub fn load(model: &'static Model, data: &Value) -> Outcome<Arc<Self>> {
        let root = model.validate(data)?;
        let Value::Dict(parts) = root else {
            return raise(format!("{} is no record", model.name));
        };
        let mut parts = parts;
        let mut tables = vec![];
        for field in model.fields {
            let part = parts.remove(field.name).unwrap_or(Value::None);
            let (shape, keys, rows): (_, Vec<Arc<str>>, Vec<_>) = match (field.ty, part) {
                (Type::List(_), Value::List(rows)) => (Shape::List, rows.iter().map(|_| "".into()).collect(), rows),
                (Type::Dict(_), Value::Dict(rows)) => {
                    let (keys, rows): (Vec<Value>, Vec<_>) = rows.into_iter().unzip();
                    let keys = keys.iter().map(|key| key.to_string().into()).collect();
                    (Shape::Map, keys, rows)
                }
                (_, row) => (Shape::One, vec!["".into()], vec![row]),
            };
            let mut order: Vec<_> = (0..rows.len()).collect();
            let mut index = HashMap::new();
            if shape == Shape::Map {
                order.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
                index = keys.iter().cloned().enumerate().map(|(i, k)| (k, i)).collect();
            }
            let texts = order.iter().map(|i| row_text(shape, &keys[*i], &rows[*i])).collect();
            tables.push(BaseTable {
                name: field.name,
                shape,
                keys,
                rows,
                index,
                order,
                texts,
                states: vec![],
            });
        }
        let mut order: Vec<_> = (0..tables.len()).collect();
        order.sort_by_key(|t| tables[*t].name);
        let mut hasher = Sha256::new();
        for (i, t) in order.iter().enumerate() {
            hasher.update(table_head(i, &tables[*t]));
            let mut states = vec![];
            for (rank, text) in tables[*t].texts.iter().enumerate() {
                states.push(hasher.clone());
                hasher.update(if rank == 0 { "" } else { ", " });
                hasher.update(text);
            }
            states.push(hasher.clone());
            hasher.update(table_tail(tables[*t].shape));
            tables[*t].states = states;
        }
        hasher.update(if order.is_empty() { "{}" } else { "}" });
        Ok(Arc::new(Self {
            model,
            tables,
            order,
            hash: hex(hasher),
        }))
    }
}

fn row_text(shape: Shape, key: &str, row: &Value) -> String {
    match shape {
        Shape::Map => format!("{}: {}", py::dumps(&py::text(key), true), py::dumps(row, true)),
        Shape::List | Shape::One => py::dumps(row, true),
    }
}

fn table_head(place: usize, table: &BaseTable) -> String {
    let open = match table.shape {
        Shape::Map => "{",
        Shape::List => "[",
        Shape::One => "",
    };
    format!("{}\"{}\": {open}", if place == 0 { "{" } else { ", " }, table.name)
}

fn table_tail(shape: Shape) -> &'static str {
    match shape {
        Shape::Map => "}",
        Shape::List => "]",
        Shape::One => "",
    }
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an episode changed in a table.
#[derive(Clone, Debug, Default)]
struct Changes {
    rows: BTreeMap<usize, Arc<Value>>,
    added: Vec<(Arc<str>, Arc<Value>)>,
}

impl Changes {
    /// Whether both changed the same to the same. Else they can still be equal: a change can be undone, or its number be
    /// written as another.
    fn identical(&self, other: &Self) -> bool {
        let same = |a: &Arc<Value>, b: &Arc<Value>| Arc::ptr_eq(a, b) || a.identical(b);
        self.rows.len() == other.rows.len()
            && self.added.len() == other.added.len()
            && self
                .rows
                .iter()
                .zip(&other.rows)
                .all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
            && self
                .added
                .iter()
                .zip(&other.added)
                .all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
    }
}

/// A database as an episode sees it.
#[derive(Clone, Debug)]
pub struct Db {
    base: Arc<Base>,
    changes: Vec<Changes>,
}

impl Db {
    /// An unchanged view of a base.
    pub fn new(base: &Arc<Base>) -> Self {
        Self {
            base: Arc::clone(base),
            changes: vec![Changes::default(); base.tables.len()],
        }
    }

    /// The root model's class name.
    pub fn class(&self) -> &'static str {
        self.base.model.name
    }

    fn table(&self, name: &str) -> usize {
        let found = self.base.tables.iter().position(|t| t.name == name);
        debug_assert!(found.is_some(), "no table {name}");
        found.unwrap_or_default()
    }

    /// Number of rows.
    pub fn len(&self, table: &str) -> usize {
        let t = self.table(table);
        self.base.tables[t].rows.len() + self.changes[t].added.len()
    }

    /// The row of that number; `None` (Python's) beyond the end.
    pub fn row(&self, table: &str, row: usize) -> &Value {
        self.row_at(self.table(table), row)
    }

    fn row_at(&self, t: usize, row: usize) -> &Value {
        static NONE: Value = Value::None;
        let (base, changes) = (&self.base.tables[t], &self.changes[t]);
        if let Some(changed) = changes.rows.get(&row) {
            return changed;
        }
        match base.rows.get(row) {
            Some(row) => row,
            None => changes.added.get(row - base.rows.len()).map_or(&NONE, |(_, v)| v),
        }
    }

    fn key_at(&self, t: usize, row: usize) -> &str {
        let base = &self.base.tables[t];
        match base.keys.get(row) {
            Some(key) => key,
            None => self.changes[t].added.get(row - base.keys.len()).map_or("", |(k, _)| k),
        }
    }

    /// The number of the row with that key.
    pub fn find(&self, table: &str, key: &str) -> Option<usize> {
        let t = self.table(table);
        let base = &self.base.tables[t];
        base.index.get(key).copied().or_else(|| {
            let added = self.changes[t].added.iter().position(|(k, _)| &**k == key)?;
            Some(base.rows.len() + added)
        })
    }

    /// The row with that key.
    pub fn get(&self, table: &str, key: &str) -> Option<&Value> {
        self.find(table, key).map(|row| self.row(table, row))
    }

    /// Rows in insertion order, with their keys (empty in lists).
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (&str, &Value)> {
        let t = self.table(table);
        (0..self.len(table)).map(move |row| (self.key_at(t, row), self.row_at(t, row)))
    }

    /// A row, to change it. The row must exist.
    pub fn row_mut(&mut self, table: &str, row: usize) -> &mut Value {
        let t = self.table(table);
        let base = &self.base.tables[t];
        let changes = &mut self.changes[t];
        if row >= base.rows.len() && row - base.rows.len() < changes.added.len() {
            return Arc::make_mut(&mut changes.added[row - base.rows.len()].1);
        }
        let shared = changes
            .rows
            .entry(row)
            .or_insert_with(|| Arc::new(base.rows.get(row).cloned().unwrap_or(Value::None)));
        Arc::make_mut(shared)
    }

    /// Set the row with that key; a new key goes to the end.
    pub fn insert(&mut self, table: &str, key: &str, row: Value) {
        match self.find(table, key) {
            Some(at) => *self.row_mut(table, at) = row,
            None => self.push(table, key, row),
        }
    }

    /// Append a row (the key is empty in lists).
    pub fn push(&mut self, table: &str, key: &str, row: Value) {
        let t = self.table(table);
        self.changes[t].added.push((key.into(), Arc::new(row)));
    }

    /// The whole database as one value.
    pub fn dump(&self) -> Value {
        let parts = self.base.tables.iter().enumerate().map(|(t, table)| {
            let count = table.rows.len() + self.changes[t].added.len();
            let value = match table.shape {
                Shape::One => self.row_at(t, 0).clone(),
                Shape::List => Value::List((0..count).map(|row| self.row_at(t, row).clone()).collect()),
                Shape::Map => {
                    let rows = (0..count).map(|row| (self.key_at(t, row).to_owned(), self.row_at(t, row).clone()));
                    Value::Dict(rows.collect())
                }
            };
            (table.name, value)
        });
        py::record(parts)
    }

    /// Merge an update into the database, as a task's initialization data asks: records are merged key by key, anything
    /// else is replaced, and the result is validated anew.
    ///
    /// # Errors
    /// With pydantic's text, when the result does not fit the model.
    pub fn update(&mut self, update: &Value) -> Outcome<()> {
        let mut data = self.dump();
        merge(&mut data, update, 0)?;
        *self = Self::new(&Base::load(self.base.model, &data)?);
        Ok(())
    }

    /// Rows that differ from the base, by table and key (or row number), as canonical JSON.
    fn delta(&self) -> BTreeMap<(usize, String), String> {
        let mut delta = BTreeMap::new();
        for (t, changes) in self.changes.iter().enumerate() {
            let base = &self.base.tables[t];
            let place = |row: usize| match base.shape {
                Shape::Map => self.key_at(t, row).to_owned(),
                _ => format!("{row:09}"),
            };
            for (row, value) in &changes.rows {
                let (old, new) = (base.rows.get(*row).map(|v| py::dumps(v, true)), py::dumps(value, true));
                if old.as_ref() != Some(&new) {
                    delta.insert((t, place(*row)), new);
                }
            }
            for (i, (_, value)) in changes.added.iter().enumerate() {
                delta.insert((t, place(base.rows.len() + i)), py::dumps(value, true));
            }
        }
        delta
    }

    /// Whether both have the same hash, without hashing where both come from the same base.
    pub fn same(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.base, &other.base) {
            self.changes.iter().zip(&other.changes).all(|(a, b)| a.identical(b)) || self.delta() == other.delta()
        } else {
            self.hash() == other.hash()
        }
    }

    /// A hash of what changed: equal for equal databases over the same base. Takes microseconds, unlike [`Db::hash`].
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(&self.base.hash);
        for ((table, key), row) in self.delta() {
            hasher.update(format!("\n{table} {key:?} {row}"));
        }
        hex(hasher)
    }

    /// SHA-256 over the canonical JSON, as hexadecimal digits.
    pub fn hash(&self) -> String {
        let mut hasher: Option<Sha256> = None;
        for (place, t) in self.base.order.iter().enumerate() {
            let (base, changes) = (&self.base.tables[*t], &self.changes[*t]);
            if let Some(hasher) = &mut hasher {
                hasher.update(table_head(place, base));
            } else if changes.rows.is_empty() && changes.added.is_empty() {
                continue;
            }
            self.hash_rows(*t, &mut hasher);
            if let Some(hasher) = &mut hasher {
                hasher.update(table_tail(base.shape));
            }
        }
        match hasher {
            None => self.base.hash.clone(),
            Some(mut hasher) => {
                hasher.update("}");
                hex(hasher)
            }
        }
    }

    /// Hash a table's rows, from the first changed one on if nothing is hashed yet.
    fn hash_rows(&self, t: usize, hasher: &mut Option<Sha256>) {
        let (base, changes) = (&self.base.tables[t], &self.changes[t]);
        let mut added: Vec<_> = changes.added.iter().collect();
        if base.shape == Shape::Map {
            added.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut added = added.into_iter().peekable();
        let mut written = 0;
        let mut write = |hasher: &mut Option<Sha256>, rank: usize, clean: bool, text: &str| {
            if hasher.is_none() && clean {
                written += 1;
                return;
            }
            let hasher = hasher.get_or_insert_with(|| base.states[rank].clone());
            hasher.update(if written == 0 { "" } else { ", " });
            hasher.update(text);
            written += 1;
        };
        for (rank, row) in base.order.iter().enumerate() {
            while let Some((key, value)) = added.next_if(|(key, _)| base.shape == Shape::Map && key < &base.keys[*row])
            {
                write(hasher, rank, false, &row_text(base.shape, key, value));
            }
            match changes.rows.get(row) {
                Some(value) => write(hasher, rank, false, &row_text(base.shape, &base.keys[*row], value)),
                None => write(hasher, rank, true, &base.texts[rank]),
            }
        }
        for (key, value) in added {
            write(hasher, base.order.len(), false, &row_text(base.shape, key, value));
        }
    }
}

/// `addict.Dict.update`.
fn merge(data: &mut Value, update: &Value, depth: usize) -> Outcome<()> {
    const MAX_DEPTH: usize = 64;
    if depth > MAX_DEPTH {
        return raise(format!("the update is nested more than {MAX_DEPTH} deep; flatten it"));
    }
    let Value::Dict(update) = update else { return Ok(()) };
    for (key, value) in update.iter() {
        let key = key.to_string();
        match py::get_mut(data, &key) {
            Some(old @ Value::Dict(_)) if matches!(value, Value::Dict(_)) => merge(old, value, depth + 1)?,
            _ => py::set(data, &key, value.clone()),
        }
    }
    Ok(())
}
