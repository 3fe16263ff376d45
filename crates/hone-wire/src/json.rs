//! JSON in and out: typed reading that names the field, bounded lists, values kept as they were written.

use crate::Broken;
use crate::limits::MAX_ENTRIES;
use crate::shown::shown;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// A JSON value as it was written: the order of keys and the spelling of numbers stay.
///
/// A tool's schema becomes part of the prompt, so its order is part of the experiment.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// A value from its text.
    ///
    /// # Errors
    /// The parser's words if the text is not one JSON value.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| shown(&error.to_string(), 200))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self(raw(value))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value of ours as JSON text. Ours always serialise: no maps with keys other than strings, no failing types.
pub(crate) fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A request body under construction: fields in the order in which they were put.
#[derive(Default)]
pub(crate) struct Body(Vec<(String, Box<RawValue>)>);

impl Body {
    pub fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.0.push((key.to_owned(), raw(value)));
    }

    pub fn put_some<T: Serialize>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(key, &value);
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| k == key)
    }

    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Reads an object; what is wrong names the field.
pub(crate) fn object<T: DeserializeOwned>(text: &str) -> Result<T, Broken> {
    read(text).map(|Object(value)| value)
}

/// Reads a `T`; what is wrong names the field.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Broken> {
    let mut json = serde_json::Deserializer::from_str(text);
    let not_json = |error: &serde_json::Error| Broken::NotJson {
        why: shown(&error.to_string(), 200),
        begins: shown(crate::shown::beginning(text.trim_start(), 400), 80),
    };
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => Broken::Field {
                field: shown(&field, 200),
                why: shown(&inner.to_string(), 300),
            },
            _ => not_json(&inner),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// A struct that is read from an object only: the derived readers would take a list of the fields in order as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// A list of objects whose length is bounded while it is read: three bytes of JSON must not become a hundred of memory,
/// ten million times.
#[derive(Debug)]
pub(crate) struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(Object(entry)) = list.next_element()? {
                    if entries.len() == MAX_ENTRIES {
                        return Err(A::Error::custom(format_args!("more than {MAX_ENTRIES} entries")));
                    }
                    entries.push(entry);
                }
                Ok(List(entries))
            }
        }
        deserializer.deserialize_seq(Bounded(PhantomData))
    }
}
