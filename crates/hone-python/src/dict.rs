//! Python's `dict`.

use crate::{Int, Value};
use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A dictionary in insertion order. Keys that are equal in Python (`1`, `1.0`, `True`) are one key.
///
/// Equality ignores the order, as Python's does. A clone shares the entries until one of the two is changed: to copy a
/// world of dictionaries costs little, and so does comparing what two copies have not changed.
#[derive(Clone, Default)]
pub struct Dict(Option<Arc<Entries>>);

type Entries = IndexMap<Key, Value, RandomState>;

impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (&self.0, &other.0) else {
            return self.len() == other.len();
        };
        // As in Python, what is the same is equal, whatever it holds.
        if Arc::ptr_eq(a, b) {
            return true;
        }
        // Most that are equal have their keys in the same order, and then nothing has to be looked up.
        let aligned = || a.keys().eq(b.keys());
        a.len() == b.len() && if aligned() { a.values().eq(b.values()) } else { a == b }
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
        same(&self.0, &other.0)
    }
}

/// Whether two keys are one.
fn same(a: &Value, b: &Value) -> bool {
    let nan = |value: &Value| matches!(value, Value::Float(x) if x.is_nan());
    // Python finds a NaN key by identity; one NaN per dictionary is the nearest to it.
    a == b || (nan(a) && nan(b))
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// So many keys are read through sooner than one is hashed.
const FEW: usize = 8;

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

/// A value as a key, without a copy of it.
struct Same<'a>(&'a Value);

impl Hash for Same<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.0, state);
    }
}

impl Equivalent<Key> for Same<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        same(self.0, &key.0)
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

    fn entries(&self) -> Option<&Entries> {
        self.0.as_deref()
    }

    /// The entries, to be changed: a copy of them if another dictionary has them, too.
    fn own(&mut self) -> &mut Entries {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    /// See [`Value::identical`].
    pub(crate) fn identical(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (&self.0, &other.0) else {
            return self.len() == other.len();
        };
        let found = |key: &Key, value: &Value| {
            b.get_key_value(key)
                .is_some_and(|(other, found)| key.0.identical(&other.0) && value.identical(found))
        };
        Arc::ptr_eq(a, b) || (a.len() == b.len() && a.iter().all(|(key, value)| found(key, value)))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries().map_or(0, Entries::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `d[key] = value` for a text key. A key that is there keeps its place.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.own().insert(Key(Value::Str(key.into())), value.into());
    }

    /// `d[key] = value`; what was there is returned.
    ///
    /// # Errors
    /// When the key is unhashable.
    pub fn insert(&mut self, key: Value, value: Value) -> Result<Option<Value>, Unhashable> {
        hashable(&key)?;
        Ok(self.own().insert(Key(key), value))
    }

    /// `d.get(key)` for a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let entries = self.entries()?;
        if entries.len() > FEW {
            return entries.get(&Text(key));
        }
        let found = entries.iter().find(|(own, _)| Text(key).equivalent(own));
        found.map(|(_, value)| value)
    }

    /// The value of a text key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        // What is not there needs no copy.
        let at = self.entries()?.get_index_of(&Text(key))?;
        self.own().get_index_mut(at).map(|(_, value)| value)
    }

    /// `d.get(key)` for any key.
    ///
    /// # Errors
    /// When the key is unhashable.
    pub fn lookup(&self, key: &Value) -> Result<Option<&Value>, Unhashable> {
        hashable(key)?;
        Ok(self.entries().and_then(|entries| entries.get(&Same(key))))
    }

    /// `key in d` for a text key.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// `d.pop(key, None)` for a text key; the order of the others stays.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.entries()?.get_index_of(&Text(key))?;
        self.own().shift_remove_index(at).map(|(_, value)| value)
    }

    /// Entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Value, &Value)> + ExactSizeIterator {
        let entries = self.entries().map(Entries::iter).unwrap_or_default();
        entries.map(|(key, value)| (&key.0, value))
    }

    /// Entries in order, the values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&Value, &mut Value)> + ExactSizeIterator {
        self.own().iter_mut().map(|(key, value)| (&key.0, value))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.iter().map(|(key, _)| key)
    }

    /// Values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.iter().map(|(_, value)| value)
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
        let entries = self.0.map(Arc::unwrap_or_clone).unwrap_or_default();
        entries
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
