//! `repr` and `str`.

use crate::{Value, float_repr};
use std::fmt::{self, Write};
use unicode_general_category::{GeneralCategory as Category, get_general_category};

impl Value {
    /// As `repr(value)`.
    pub fn repr(&self) -> String {
        let mut out = String::new();
        write(self, &mut out);
        out
    }
}

/// As `str(value)`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => f.write_str(text),
            other => f.write_str(&other.repr()),
        }
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Float(x) => out.push_str(&float_repr(*x)),
        Value::Str(text) => write_str(text, out),
        Value::List(items) => {
            out.push('[');
            write_items(items, out);
            out.push(']');
        }
        Value::Tuple(items) => {
            out.push('(');
            write_items(items, out);
            out.push_str(if items.len() == 1 { ",)" } else { ")" });
        }
        Value::Dict(dict) => {
            out.push('{');
            for (i, (key, value)) in dict.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(key, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
        Value::Opaque(other) => out.push_str(&other.repr),
    }
}

fn write_items(items: &[Value], out: &mut String) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
}

/// `repr` of a text: single quotes, unless only double quotes need no escape.
fn write_str(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        let n = u32::from(c);
        let _ = match c {
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if c == quote => write!(out, "\\{c}"),
            ' '..='~' => out.write_char(c),
            c if printable(c) => out.write_char(c),
            _ if n < 0x100 => write!(out, "\\x{n:02x}"),
            _ if n < 0x1_0000 => write!(out, "\\u{n:04x}"),
            _ => write!(out, "\\U{n:08x}"),
        };
    }
    out.push(quote);
}

/// `repr` of bytes.
pub(crate) fn bytes_repr(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        b'"'
    } else {
        b'\''
    };
    let mut out = format!("b{}", char::from(quote));
    for &byte in bytes {
        let _ = match byte {
            b'\\' => out.write_str("\\\\"),
            b'\n' => out.write_str("\\n"),
            b'\r' => out.write_str("\\r"),
            b'\t' => out.write_str("\\t"),
            _ if byte == quote => write!(out, "\\{}", char::from(byte)),
            b' '..=b'~' => out.write_char(char::from(byte)),
            _ => write!(out, "\\x{byte:02x}"),
        };
    }
    out.push(char::from(quote));
    out
}

/// As `str.isprintable` of one character.
fn printable(c: char) -> bool {
    use Category::*;
    !matches!(
        get_general_category(c),
        Control | Format | Surrogate | PrivateUse | Unassigned | LineSeparator | ParagraphSeparator | SpaceSeparator
    )
}
