//! Python's `dict`.

use crate::{Int, Value};
use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexMap};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A dictionary in insertion order. Keys that are equal in Python (`1`, `1.0`, `True`) are one key.
///
/// Equality ignores the order, as Python's does.
#[derive(Clone, Default)]
pub struct Dict(IndexMap<Key, Value, RandomState>);

impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        // Most that are equal have their keys in the same order, and then nothing has to be looked up.
        let aligned = || self.0.keys().eq(other.0.keys());
        self.len() == other.len()
            && if aligned() {
                self.0.values().eq(other.0.values())
            } else {
                self.0 == other.0
            }
    }
}

/// A key cannot be a list or a dictionary, nor a tuple that holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unhashable type: '{0}'")]
pub struct Unhashable(pub &'static str);

#[derive(Clone)]
struct Key(Value);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let nan = |value: &Value| matches!(value, Value::Float(x) if x.is_nan());
        // Python finds a NaN key by identity; one NaN per dictionary is the nearest to it.
        self.0 == other.0 || (nan(&self.0) && nan(&other.0))
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// A text as a key, without building a value.
struct Text<'a>(&'a str);

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (1u8, self.0).hash(state);
    }
}

impl Equivalent<Key> for Text<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(&key.0, Value::Str(text) if text == self.0)
    }
}

fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::None => 0u8.hash(state),
        Value::Str(text) => (1u8, text.as_str()).hash(state),
        Value::Bool(b) => (2u8, Int::from(i64::from(*b))).hash(state),
        Value::Int(n) => (2u8, n).hash(state),
        Value::Float(x) => match Int::exactly(*x) {
            Some(n) => (2u8, n).hash(state),
            None if x.is_nan() => 3u8.hash(state),
            None => (4u8, x.to_bits()).hash(state),
        },
        Value::Tuple(items) => {
            (5u8, items.len()).hash(state);
            items.iter().for_each(|item| hash(item, state));
        }
        Value::Opaque(other) => (6u8, &other.repr).hash(state),
        Value::List(_) | Value::Dict(_) => {}
    }
}

fn hashable(value: &Value) -> Result<(), Unhashable> {
    match value {
        Value::List(_) => Err(Unhashable("list")),
        Value::Dict(_) => Err(Unhashable("dict")),
        Value::Tuple(items) => items.iter().try_for_each(hashable),
        _ => Ok(()),
    }
}

impl Dict {
    /// `{}`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `d[key] = value` for a text key. A key that is there keeps its place.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(Key(Value::Str(key.into())), value.into());
    }

    /// `d[key] = value`; what was there is returned.
    ///
    /// # Errors
    /// When the key is unhashable.
    pub fn insert(&mut self, key: Value, value: Value) -> Result<Option<Value>, Unhashable> {
        hashable(&key)?;
        Ok(self.0.insert(Key(key), value))
    }

    /// `d.get(key)` for a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&Text(key))
    }

    /// The value of a text key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(&Text(key))
    }

    /// `d.get(key)` for any key.
    ///
    /// # Errors
    /// When the key is unhashable.
    pub fn lookup(&self, key: &Value) -> Result<Option<&Value>, Unhashable> {
        hashable(key)?;
        Ok(self.0.get(&Key(key.clone())))
    }

    /// `key in d` for a text key.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(&Text(key))
    }

    /// `d.pop(key, None)` for a text key; the order of the others stays.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(&Text(key))
    }

    /// Entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Value, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (&key.0, value))
    }

    /// Entries in order, the values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&Value, &mut Value)> + ExactSizeIterator {
        self.0.iter_mut().map(|(key, value)| (&key.0, value))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.0.keys().map(|key| &key.0)
    }

    /// Values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.0.values()
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl IntoIterator for Dict {
    type Item = (Value, Value);
    type IntoIter = std::vec::IntoIter<(Value, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0
            .into_iter()
            .map(|(key, value)| (key.0, value))
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut dict = Self::new();
        entries.into_iter().for_each(|(key, value)| dict.set(key, value));
        dict
    }
}
