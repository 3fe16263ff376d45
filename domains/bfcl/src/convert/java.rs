//! Java.

use super::{decimal, digits, find, find_all, group, numeric, pattern};
use crate::check::Crash;
use crate::decode::inner;
use fancy_regex::Regex;
use hone_python::{Dict, Value, text};
use std::sync::LazyLock;

macro_rules! patterns {
    ($($name:ident = $text:expr;)*) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| pattern($text));)*

        #[cfg(test)]
        const PATTERNS: &[&LazyLock<Regex>] = &[$(&$name),*];
    };
}

// Python's `$` also matches before a last line break.
patterns! {
    INTEGER = r"\A-?\d+\n?\z";
    FLOAT = r"\A-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[fF]\n?\z";
    DOUBLE = r"\A-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\n?\z";
    LONG = r"\A-?\d+[lL]\n?\z";
    AS_LIST = r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)";
    ADDED = r"(?s)new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}";
    ADD = r"add\((.+?)\)";
    EMPTY_LIST = r"new\s+ArrayList<\w*>\(\)";
    ARRAY = r"new\s+\w+\[\]\s*\{(.*?)\}";
    MAP = r"(?s)new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}";
    PUT = r#"put\("(.*?)",\s*(.*?)\)"#;
    EMPTY_MAP = r"new\s+HashMap<.*?>\s*\(\)";
}

fn matches(regex: &Regex, text: &str) -> bool {
    regex.is_match(text).unwrap_or(false)
}

/// Whether a pattern of numbers matches. Most texts do not begin as one.
fn number(regex: &Regex, text: &str) -> bool {
    numeric(text) && matches(regex, text)
}

/// The value of a Java expression of a declared type, with the type of its items if it is a collection.
///
/// # Errors
/// Where the original's converter raises: types that it does not know, numbers of thousands of digits.
pub fn java_value(source: &str, declared: &str, nested: Option<&str>) -> Result<Value, Crash> {
    let as_is = || Ok(source.into());
    let int = |digits: &str| text::int(digits).map(Value::from).ok_or(Crash("ValueError"));
    let float = |digits: &str| text::float(digits).map(Value::from).ok_or(Crash("ValueError"));
    match declared {
        "byte" | "short" | "integer" if digits(source) || number(&INTEGER, source) => int(source),
        "float" if number(&FLOAT, source) => float(&before_suffix(source, ['f', 'F'])),
        "double" if decimal(source) || number(&DOUBLE, source) => float(source),
        "long" if number(&LONG, source) => int(&before_suffix(source, ['l', 'L'])),
        "boolean" if matches!(source, "true" | "false") => Ok((source == "true").into()),
        "byte" | "short" | "integer" | "float" | "double" | "long" | "boolean" | "char" | "String" | "any" => as_is(),
        "Array" => array(source, nested),
        "ArrayList" => array_list(source, nested),
        "HashMap" => Ok(map(source)),
        "Set" | "Hashtable" | "Queue" | "Stack" => Err(Crash("NotImplementedError")),
        _ => Err(Crash("ValueError")),
    }
}

/// Python's `re.sub(r"[lL]$", "", text)`: `$` also stands before a last line break.
fn before_suffix(text: &str, suffix: [char; 2]) -> String {
    match text.strip_suffix('\n') {
        Some(line) => format!("{}\n", line.strip_suffix(suffix).unwrap_or(line)),
        None => text.strip_suffix(suffix).unwrap_or(text).to_owned(),
    }
}

fn item(source: &str, nested: Option<&str>) -> Result<Value, Crash> {
    nested.map_or_else(|| plain(source), |nested| java_value(source, nested, None))
}

/// An item of an `ArrayList`, whose texts lose their quotes.
fn list_item(source: &str, nested: Option<&str>) -> Result<Value, Crash> {
    match nested {
        Some("char" | "String") => Ok(inner(source).into()),
        _ => item(source, nested),
    }
}

fn array_list(source: &str, nested: Option<&str>) -> Result<Value, Crash> {
    if let Some(found) = find(&AS_LIST, source) {
        let items = group(&found, 1)
            .split(',')
            .map(|item| list_item(text::strip(item), nested));
        return items.collect::<Result<_, _>>().map(Value::List);
    }
    if let Some(found) = find(&ADDED, source) {
        let added = find_all(&ADD, group(&found, 1));
        let items = added
            .iter()
            .map(|added| list_item(text::strip(group(added, 1)), nested));
        return items.collect::<Result<_, _>>().map(Value::List);
    }
    Ok(if matches(&EMPTY_LIST, source) {
        Value::List(vec![])
    } else {
        source.into()
    })
}

fn array(source: &str, nested: Option<&str>) -> Result<Value, Crash> {
    let Some(found) = find(&ARRAY, source) else {
        return Ok(source.into());
    };
    let items = group(&found, 1)
        .split(',')
        .map(text::strip)
        .filter(|item| !item.is_empty());
    items
        .map(|source| item(source, nested))
        .collect::<Result<_, _>>()
        .map(Value::List)
}

fn map(source: &str) -> Value {
    let mut entries = Dict::new();
    if let Some(found) = find(&MAP, source) {
        for put in find_all(&PUT, group(&found, 1)) {
            // A number of thousands of digits stays text here.
            let value = text::strip(group(&put, 2));
            entries.set(group(&put, 1), plain(value).unwrap_or_else(|_| value.into()));
        }
        return entries.into();
    }
    if matches(&EMPTY_MAP, source) {
        entries.into()
    } else {
        source.into()
    }
}

/// A value without a declared type.
fn plain(source: &str) -> Result<Value, Crash> {
    Ok(match source {
        "true" => true.into(),
        "false" => false.into(),
        _ if source.starts_with('"') && source.ends_with('"') => inner(source).into(),
        _ if number(&LONG, source) => text::int(inner_end(source)).ok_or(Crash("ValueError"))?.into(),
        _ if number(&FLOAT, source) => text::float(&before_suffix(source, ['f', 'F']))
            .ok_or(Crash("ValueError"))?
            .into(),
        _ => text::int(source)
            .map(Value::from)
            .or_else(|| text::float(source).map(Value::from))
            .unwrap_or_else(|| source.into()),
    })
}

/// Without the last character.
fn inner_end(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next_back();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_compile() {
        assert!(PATTERNS.iter().all(|pattern| !pattern.as_str().is_empty()));
    }
}
