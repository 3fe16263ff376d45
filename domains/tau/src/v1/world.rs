//! A domain's data and the state of an episode.

use super::Domain;
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::task::{DataError, read};
use hone_python::Dict;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A table: what was loaded, and the rows that an episode changed or added.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    base: Arc<Dict>,
    changed: BTreeMap<String, Value>,
}

impl Rows {
    /// A row.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.changed.get(key).or_else(|| self.base.get(key))
    }

    /// A row, to change it.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        if !self.changed.contains_key(key) {
            self.changed.insert(key.to_owned(), self.base.get(key)?.clone());
        }
        self.changed.get_mut(key)
    }

    pub(super) fn insert(&mut self, key: &str, value: Value) {
        self.changed.insert(key.to_owned(), value);
    }

    /// Rows in the order of the file; added ones are not among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let key = |key: &'_ Value| key.as_str().and_then(|key| self.changed.get(key));
        self.base
            .iter()
            .map(move |(name, row)| (name.as_str().unwrap_or_default(), key(name).unwrap_or(row)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.iter().map(|(_, row)| row)
    }

    fn same(&self, other: &Self) -> bool {
        let text = |row: Option<&Value>| row.map(canonical);
        let mut keys = self.changed.keys().chain(other.changed.keys());
        keys.all(|key| text(self.get(key)) == text(other.get(key)))
    }

    fn whole(&self) -> Value {
        let mut dict = Dict::clone(&self.base);
        for (key, value) in &self.changed {
            dict.set(key.clone(), value.clone());
        }
        Value::Dict(dict)
    }
}

/// `str` of the nested tuples that the reference hashes: dictionaries by sorted keys, lists in order.
fn canonical(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        let between = |i: usize, out: &mut String| out.push_str(if i == 0 { "" } else { ", " });
        let count = match value {
            Value::Dict(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by(|a, b| a.0.as_str().cmp(&b.0.as_str()));
                out.push('(');
                for (i, (key, value)) in fields.iter().enumerate() {
                    between(i, out);
                    out.push('(');
                    out.push_str(&key.repr());
                    out.push_str(", ");
                    write(value, out);
                    out.push(')');
                }
                fields.len()
            }
            Value::List(items) => {
                out.push('(');
                for (i, item) in items.iter().enumerate() {
                    between(i, out);
                    write(item, out);
                }
                items.len()
            }
            scalar => {
                out.push_str(&scalar.repr());
                return;
            }
        };
        if count == 1 {
            out.push(',');
        }
        out.push(')');
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// The state of an episode. A fresh one costs microseconds: it shares what was loaded.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) domain: &'static Domain,
    /// In the order of the domain's tables.
    tables: Vec<Rows>,
}

impl World {
    /// Load the tables of a domain of τ-bench (`airline` or `retail`): files such as `users.json` of a folder, or of its folder
    /// `data`.
    ///
    /// # Errors
    /// When there is no such domain, or a file is missing or is no table.
    pub fn load(domain: &str, folder: &Path) -> Result<Self, DataError> {
        let domain = Domain::of(domain).ok_or_else(|| DataError {
            file: folder.display().to_string(),
            what: format!("τ-bench has no domain {domain}"),
            remedy: "name airline or retail",
        })?;
        let table = |name: &&str| {
            let name = format!("{name}.json");
            let inner = folder.join("data").join(&name);
            let file = if inner.is_file() { inner } else { folder.join(&name) };
            let wrong = |what: String| DataError {
                file: file.display().to_string(),
                what,
                remedy: "take the file of tau-bench as it is",
            };
            match hone_python::loads(&read(&file)?) {
                Ok(Value::Dict(base)) => Ok(Rows {
                    base: Arc::new(base),
                    changed: BTreeMap::new(),
                }),
                Ok(other) => Err(wrong(format!("holds a {} where a table is due", other.type_name()))),
                Err(error) => Err(wrong(error.to_string())),
            }
        };
        Ok(Self {
            domain,
            tables: domain.tables.iter().map(table).collect::<Result<_, _>>()?,
        })
    }

    fn index(&self, table: &str) -> usize {
        self.domain.tables.iter().position(|name| *name == table).unwrap_or(0)
    }

    /// A table of the domain.
    pub(super) fn table(&self, name: &str) -> &Rows {
        &self.tables[self.index(name)]
    }

    /// The same, to change it.
    pub(super) fn table_mut(&mut self, name: &str) -> &mut Rows {
        let index = self.index(name);
        &mut self.tables[index]
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &Rows)> {
        self.domain.tables.iter().copied().zip(&self.tables)
    }

    /// The reference's hash of the whole data.
    pub fn hash(&self) -> String {
        let parts = self.named().map(|(name, rows)| (name, rows.whole()));
        let digest = Sha256::digest(canonical(&py::record(parts)));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the hashes of two worlds of the same data are equal.
    pub fn same(&self, other: &Self) -> bool {
        self.tables.iter().zip(&other.tables).all(|(a, b)| a.same(b))
    }

    /// A hash of what was changed.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for rows in &self.tables {
            for (key, value) in &rows.changed {
                if rows.base.get(key) != Some(value) {
                    hash.update(key);
                    hash.update(canonical(value));
                }
            }
            hash.update([0]);
        }
        hash.finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// What was changed, for people.
    pub fn changes(&self) -> serde_json::Value {
        let rows = |rows: &Rows| serde_json::to_value(&rows.changed).unwrap_or_default();
        let changed = self.named().filter(|(_, table)| !table.changed.is_empty());
        changed.map(|(name, table)| (name.to_owned(), rows(table))).collect()
    }
}

/// `value[key]`.
pub(super) fn item<'a>(value: &'a Value, key: &Value) -> Outcome<&'a Value> {
    match value {
        Value::Dict(fields) => match fields.lookup(key) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => raise(key.repr()),
            Err(unhashable) => raise(unhashable.to_string()),
        },
        Value::Str(_) => raise(format!("string indices must be integers, not '{}'", key.type_name())),
        Value::List(_) => raise(format!(
            "list indices must be integers or slices, not {}",
            key.type_name()
        )),
        other => raise(format!("'{}' object is not subscriptable", other.type_name())),
    }
}

/// `value["name"]`.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> Outcome<&'a Value> {
    item(value, &py::text(name))
}

/// `table[key]`, or `None` where `key in table` is false.
pub(super) fn row<'a>(rows: &'a Rows, key: &Value) -> Outcome<Option<&'a Value>> {
    py::keyed(key, |key| rows.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashed_text_is_pythons() {
        let value: Value =
            serde_json::from_str(r#"{"b": [1, 2.0, null, true], "a": {}, "c": ["it's"], "d": "x"}"#).unwrap();
        assert_eq!(
            canonical(&value),
            r#"(('a', ()), ('b', (1, 2.0, None, True)), ('c', ("it's",)), ('d', 'x'))"#
        );
    }
}
