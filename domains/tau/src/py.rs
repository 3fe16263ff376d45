//! The few operations on Python values that the ported tools share.

use crate::raised::{Outcome, hashable, no_attribute, raise};
use hone_python::DumpOptions;
pub use hone_python::Value;
use std::borrow::Cow;

const NONE: Value = Value::None;

/// The name that Python gives to the value's type.
pub fn type_name(value: &Value) -> &'static str {
    value.type_name()
}

/// A string value.
pub fn text(value: impl Into<String>) -> Value {
    Value::Str(value.into())
}

/// A record with these fields, in this order.
pub fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Dict(fields.into_iter().collect())
}

/// A record's field; `None` where there is no such field or the value is no record.
pub fn get<'a>(record: &'a Value, field: &str) -> &'a Value {
    match record {
        Value::Dict(fields) => fields.get(field).unwrap_or(&NONE),
        _ => &NONE,
    }
}

/// Whether a record has the field.
pub fn has(record: &Value, field: &str) -> bool {
    matches!(record, Value::Dict(fields) if fields.get(field).is_some())
}

/// Set a record's field; a new one goes to the end. Nothing happens to what is no record.
pub fn set(record: &mut Value, field: &str, value: Value) {
    if let Value::Dict(fields) = record {
        fields.set(field, value);
    }
}

/// A record's field, to change it.
pub fn get_mut<'a>(record: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    match record {
        Value::Dict(fields) => fields.get_mut(field),
        _ => None,
    }
}

/// A record's text field; empty where it is no text.
pub fn text_of<'a>(record: &'a Value, field: &str) -> &'a str {
    match get(record, field) {
        Value::Str(text) => text,
        _ => "",
    }
}

/// A value as a number (`True` is 1); `None` where it is none.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Int(i) => Some(i.to_f64()),
        Value::Float(f) => Some(*f),
        _ => None,
    }
}

/// A record's number; 0 where it is no number.
pub fn number_of(record: &Value, field: &str) -> f64 {
    number(get(record, field)).unwrap_or_default()
}

/// A record's truth value: whether the field is `True`.
pub fn flag(record: &Value, field: &str) -> bool {
    matches!(get(record, field), Value::Bool(true))
}

/// A record's list; empty where it is no list.
pub fn list_of<'a>(record: &'a Value, field: &str) -> &'a [Value] {
    match get(record, field) {
        Value::List(items) => items,
        _ => &[],
    }
}

/// Append to a record's list.
pub fn append(record: &mut Value, field: &str, value: Value) {
    if let Some(Value::List(items)) = get_mut(record, field) {
        items.push(value);
    }
}

/// Longest text whose characters are taken one by one, in bytes.
const MAX_ITERATED: usize = 1 << 20;

/// `iter(value)`: the items of a list, the characters of a string, the keys of a dictionary.
pub fn iterate(value: &Value) -> Outcome<Cow<'_, [Value]>> {
    match value {
        Value::List(items) => Ok(Cow::Borrowed(items)),
        Value::Str(s) if s.len() > MAX_ITERATED => raise(format!("a text of {} bytes is no list", s.len())),
        Value::Str(s) => Ok(Cow::Owned(s.chars().map(|c| text(c.to_string())).collect())),
        Value::Dict(fields) => Ok(Cow::Owned(fields.keys().cloned().collect())),
        other => raise(format!("'{}' object is not iterable", type_name(other))),
    }
}

/// `len(value)`.
pub fn length(value: &Value) -> Outcome<usize> {
    match value {
        Value::List(items) => Ok(items.len()),
        Value::Str(s) => Ok(s.chars().count()),
        Value::Dict(fields) => Ok(fields.len()),
        other => raise(format!("object of type '{}' has no len()", type_name(other))),
    }
}

/// `value.lower()`.
pub fn lower(value: &Value) -> Outcome<String> {
    match value {
        Value::Str(s) => Ok(s.to_lowercase()),
        other => no_attribute(other, "lower"),
    }
}

/// `container.count(item)` of a list or a string.
pub fn count(container: &Value, item: &Value) -> Outcome<usize> {
    match (container, item) {
        (Value::List(items), _) => Ok(items.iter().filter(|i| *i == item).count()),
        (Value::Str(s), Value::Str(part)) if part.is_empty() => Ok(s.chars().count() + 1),
        (Value::Str(s), Value::Str(part)) => Ok(s.matches(part.as_str()).count()),
        (other, _) => no_attribute(other, "count"),
    }
}

/// `sorted(values)` of strings; other values keep their order (the tools sort ids only).
pub fn sorted(values: &[Value]) -> Value {
    let mut values = values.to_vec();
    values.sort_by(|a, b| match (a, b) {
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        _ => std::cmp::Ordering::Equal,
    });
    Value::List(values)
}

/// Look a key up in a dictionary with text keys.
///
/// # Errors
/// When the key is unhashable.
pub fn keyed<T>(key: &Value, look: impl FnOnce(&str) -> Option<T>) -> Outcome<Option<T>> {
    hashable(key)?;
    Ok(key.as_str().and_then(look))
}

/// `json.dumps(value, sort_keys=…)`. (Values come from JSON and from the tools, so all of them can be written.)
pub fn dumps(value: &Value, sort_keys: bool) -> String {
    let options = DumpOptions {
        sort_keys,
        ..DumpOptions::default()
    };
    value.dumps(&options).unwrap_or_default()
}

/// `round(value, 2)`: the nearest number with two decimals, halves to even.
pub fn round2(value: f64) -> f64 {
    if !value.is_finite() || value.abs() >= 1e15 {
        return value;
    }
    // Exact in both libraries: the decimal expansion of the binary value decides, a true half goes to the even digit.
    format!("{value:.2}").parse().unwrap_or(value)
}
