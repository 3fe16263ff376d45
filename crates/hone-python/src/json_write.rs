//! `json.dumps`.

use crate::{Value, float_repr};
use std::fmt::Write as _;

/// Settings of [`dumps`], with Python's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpOptions {
    /// Entries by key, as `sort_keys=True`.
    pub sort_keys: bool,
    /// Escape everything beyond ASCII.
    pub ensure_ascii: bool,
    /// Between entries, and between a key and its value.
    pub separators: (&'static str, &'static str),
    /// Spaces per level, as `indent=n`; with it the separator between entries is a bare comma.
    pub indent: Option<usize>,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            sort_keys: false,
            ensure_ascii: true,
            separators: (", ", ": "),
            indent: None,
        }
    }
}

/// What `json.dumps` raises `TypeError` for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSerializable {
    /// A value.
    #[error("Object of type {0} is not JSON serializable")]
    Value(&'static str),
    /// A key.
    #[error("keys must be str, int, float, bool or None, not {0}")]
    Key(&'static str),
    /// Keys of types that cannot be sorted together.
    #[error("'<' not supported between instances of '{0}' and '{1}'")]
    Order(&'static str, &'static str),
}

/// As `json.dumps(value, …)`, byte for byte.
///
/// # Errors
/// Where Python raises `TypeError`.
pub fn dumps(value: &Value, options: &DumpOptions) -> Result<String, NotSerializable> {
    let mut out = String::new();
    write(value, options, 0, &mut out)?;
    Ok(out)
}

impl Value {
    /// As `json.dumps(value)`.
    ///
    /// # Errors
    /// Where Python raises `TypeError`.
    pub fn dumps(&self, options: &DumpOptions) -> Result<String, NotSerializable> {
        dumps(self, options)
    }
}

fn write(value: &Value, options: &DumpOptions, level: usize, out: &mut String) -> Result<(), NotSerializable> {
    match value {
        Value::Str(text) => write_str(text, options.ensure_ascii, out),
        Value::List(items) | Value::Tuple(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(i, options, level + 1, out);
                write(item, options, level + 1, out)?;
            }
            close(items.is_empty(), ']', options, level, out);
        }
        Value::Dict(dict) => {
            out.push('{');
            if options.sort_keys {
                let mut entries: Vec<_> = dict.iter().collect();
                sort(&mut entries)?;
                for (i, (key, value)) in entries.into_iter().enumerate() {
                    write_entry(i, key, value, options, level, out)?;
                }
            } else {
                for (i, (key, value)) in dict.iter().enumerate() {
                    write_entry(i, key, value, options, level, out)?;
                }
            }
            close(dict.is_empty(), '}', options, level, out);
        }
        Value::None => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => {
            // Writing to a text does not fail.
            let _ = write!(out, "{n}");
        }
        other => out.push_str(&scalar(other).ok_or_else(|| NotSerializable::Value(other.type_name()))?),
    }
    Ok(())
}

fn write_entry(
    i: usize,
    key: &Value,
    value: &Value,
    options: &DumpOptions,
    level: usize,
    out: &mut String,
) -> Result<(), NotSerializable> {
    separate(i, options, level + 1, out);
    match key {
        Value::Str(name) => write_str(name, options.ensure_ascii, out),
        key => {
            let name = scalar(key).ok_or_else(|| NotSerializable::Key(key.type_name()))?;
            write_str(&name, options.ensure_ascii, out);
        }
    }
    out.push_str(options.separators.1);
    write(value, options, level + 1, out)
}

fn separate(i: usize, options: &DumpOptions, level: usize, out: &mut String) {
    match options.indent {
        None if i > 0 => out.push_str(options.separators.0),
        None => {}
        Some(width) => {
            if i > 0 {
                out.push(',');
            }
            out.push('\n');
            out.push_str(&" ".repeat(width * level));
        }
    }
}

fn close(empty: bool, bracket: char, options: &DumpOptions, level: usize, out: &mut String) {
    if let (false, Some(width)) = (empty, options.indent) {
        out.push('\n');
        out.push_str(&" ".repeat(width * level));
    }
    out.push(bracket);
}

fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::None => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(x) if x.is_nan() => "NaN".into(),
        Value::Float(x) if x.is_infinite() => if *x > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Value::Float(x) => float_repr(*x),
        _ => return None,
    })
}

/// By key, as Python sorts the entries before it turns keys into text.
fn sort(entries: &mut [(&Value, &Value)]) -> Result<(), NotSerializable> {
    let kind = |key: &Value| match key {
        Value::Str(_) => 0,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => 1,
        _ => 2,
    };
    let first = entries.first().map_or(&Value::None, |entry| entry.0);
    let odd = entries
        .iter()
        .skip(1)
        .map(|entry| entry.0)
        .find(|key| kind(key) != kind(first) || kind(key) == 2);
    if let Some(odd) = odd {
        return Err(NotSerializable::Order(odd.type_name(), first.type_name()));
    }
    entries.sort_by(|(a, _), (b, _)| match (a, b) {
        // Code points order as UTF-8 does.
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal),
        (a, Value::Float(b)) => a
            .integer()
            .and_then(|a| a.cmp_f64(*b))
            .unwrap_or(std::cmp::Ordering::Equal),
        (Value::Float(a), b) => b
            .integer()
            .and_then(|b| b.cmp_f64(*a))
            .map_or(std::cmp::Ordering::Equal, std::cmp::Ordering::reverse),
        (a, b) => a.integer().cmp(&b.integer()),
    });
    Ok(())
}

fn write_str(text: &str, ensure_ascii: bool, out: &mut String) {
    out.push('"');
    let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        let _ = match c {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\u{8}' => out.write_str("\\b"),
            '\u{c}' => out.write_str("\\f"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)),
            // DEL is escaped as what lies beyond ASCII.
            c if c <= '~' || !ensure_ascii => out.write_char(c),
            c => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .try_for_each(|unit| write!(out, "\\u{unit:04x}")),
        };
    }
    out.push('"');
}
