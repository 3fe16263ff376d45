//! JavaScript.

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
    FLOAT = r"\A-?\d+(?:\.\d+)?\n?\z";
    BIGINT = r"\A-?\d+n\n?\z";
    ROWS = r"\A(?:\[\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\]|\bnew\s+Array\(\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\))";
    ROW = r"\[(.*?)\]";
    ARRAY = r"\A(?:\[(.*?)\]|\bnew\s+Array\((.*?)\))";
    OBJECT = r"\A\{(.*?)\}";
    PAIR = r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|(?=\n?\z))";
}

fn matches(regex: &Regex, text: &str) -> bool {
    regex.is_match(text).unwrap_or(false)
}

/// Whether a pattern of numbers matches. Most texts do not begin as one.
fn number(regex: &Regex, text: &str) -> bool {
    numeric(text) && matches(regex, text)
}

fn quoted(text: &str) -> bool {
    let by = |quote| text.starts_with(quote) && text.ends_with(quote);
    by('"') || by('\'')
}

/// The value of a JavaScript expression of a declared type, with the type of its items if it is an array.
///
/// # Errors
/// Where the original's converter raises: types that it does not know, numbers of thousands of digits.
pub fn javascript_value(source: &str, declared: &str, nested: Option<&str>) -> Result<Value, Crash> {
    let int = |digits: &str| text::int(digits).map(Value::from).ok_or(Crash("ValueError"));
    match declared {
        "String" if quoted(source) => Ok(inner(source).into()),
        "integer" if digits(source) || number(&INTEGER, source) => int(source),
        "float" if decimal(source) || number(&FLOAT, source) => {
            text::float(source).map(Value::from).ok_or(Crash("ValueError"))
        }
        "Bigint" if number(&BIGINT, source) => {
            // Only the last character goes: before a line break that leaves the `n`, and `int` raises.
            let mut digits = source.chars();
            digits.next_back();
            int(digits.as_str())
        }
        "Boolean" if matches!(source, "true" | "false") => Ok((source == "true").into()),
        "String" | "integer" | "float" | "Bigint" | "Boolean" | "any" => Ok(source.into()),
        "array" => Ok(array(text::strip(source), nested)),
        "dict" => Ok(object(text::strip(source))),
        _ => Err(Crash("ValueError")),
    }
}

/// What [`ARRAY`] and [`OBJECT`] find behind an opening bracket: all up to the first closing one, on one line.
fn within(source: &str, open: char, close: char) -> Option<&str> {
    let (inner, _) = source.strip_prefix(open)?.split_once(close)?;
    (!inner.contains('\n')).then_some(inner)
}

fn array(source: &str, nested: Option<&str>) -> Value {
    // Rows begin with two brackets, or with the word `new`.
    let rows = match source.strip_prefix('[') {
        Some(rest) => text::strip(rest).starts_with('['),
        None => true,
    };
    if rows && let Some(found) = find(&ROWS, source) {
        let rows = find_all(&ROW, group(&found, 0));
        let rows = rows.iter().enumerate().map(|(i, row)| {
            let row = text::strip(group(row, 1));
            let row = if i == 0 {
                row.strip_prefix('[').unwrap_or(row)
            } else {
                row
            };
            Value::List(row.split(',').map(plain).collect())
        });
        return Value::List(rows.collect());
    }
    let found;
    let items = match within(source, '[', ']') {
        Some(items) => items,
        None => {
            found = find(&ARRAY, source);
            let Some(found) = &found else {
                return source.into();
            };
            found.get(1).or_else(|| found.get(2)).map_or("", |found| found.as_str())
        }
    };
    let items = text::strip(items);
    let items: Vec<&str> = if items.is_empty() {
        vec![]
    } else {
        items.split(',').map(text::strip).collect()
    };
    let Some(nested) = nested else {
        return Value::List(items.into_iter().map(plain).collect());
    };
    let item = |item: &str| {
        let inner = item.starts_with(['\'', '"']).then_some("String");
        javascript_value(item, nested, inner)
    };
    // Where an item's conversion raises, the original keeps the whole text.
    items
        .into_iter()
        .map(item)
        .collect::<Result<_, _>>()
        .map_or_else(|_| source.into(), Value::List)
}

fn object(source: &str) -> Value {
    if source == "{}" {
        return Dict::new().into();
    }
    let found;
    let pairs = match within(source, '{', '}') {
        Some(pairs) => pairs,
        None => {
            found = find(&OBJECT, source);
            let Some(found) = &found else {
                return source.into();
            };
            group(found, 1)
        }
    };
    let mut dict = Dict::new();
    for pair in find_all(&PAIR, pairs) {
        let key = text::strip(group(&pair, 1)).trim_matches(['\'', '"']);
        let value = text::strip(group(&pair, 2));
        let value = match (value.chars().next(), value.chars().next_back()) {
            (Some('['), Some(']')) => array(value, None),
            (Some('{'), Some('}')) => object(value),
            _ => plain(value.trim_matches(['\'', '"'])),
        };
        dict.set(key, value);
    }
    dict.into()
}

/// A value without a declared type.
fn plain(source: &str) -> Value {
    let source = text::strip(source);
    match source {
        "true" => true.into(),
        "false" => false.into(),
        _ if quoted(source) => inner(source).into(),
        _ => text::int(source)
            .map(Value::from)
            .or_else(|| text::float(source).map(Value::from))
            .unwrap_or_else(|| source.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_compile() {
        assert!(PATTERNS.iter().all(|pattern| !pattern.as_str().is_empty()));
    }
}
