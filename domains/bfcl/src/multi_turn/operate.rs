//! Python's operators, built-in functions and methods, as far as the tools use them.

use super::raise::{Kind, Outcome, Raised};
use hone_python::{BinaryOp, CompareOp, Dict, Expr, Int, Literal, NotConstant, Undefined, Value, constant, text};
use std::cmp::Ordering;

/// A dictionary with text keys.
macro_rules! dict {
    ($($key:expr => $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut dict = hone_python::Dict::new();
        $(dict.set($key, $value);)*
        hone_python::Value::Dict(dict)
    }};
}
pub(super) use dict;

/// What a tool answers that reports an error.
pub(super) fn error(message: impl Into<String>) -> Outcome {
    Ok(dict! { "error" => message.into() })
}

/// A list of texts.
pub(super) fn texts(items: &[&str]) -> Value {
    Value::List(items.iter().map(|&item| item.into()).collect())
}

/// `a op b`
pub(super) fn binary(op: BinaryOp, a: &Value, b: &Value) -> Outcome {
    if let (Value::Float(x), Value::Float(y)) = (a, b) {
        match op {
            BinaryOp::Add => return Ok((x + y).into()),
            BinaryOp::Sub => return Ok((x - y).into()),
            BinaryOp::Mul => return Ok((x * y).into()),
            _ => {}
        }
    }
    let floats = matches!(a, Value::Float(_)) || matches!(b, Value::Float(_));
    let too_large = |v: &Value| floats && v.integer().is_some_and(|n| n.to_f64().is_infinite());
    if (too_large(a) && number(b)) || (too_large(b) && number(a)) {
        return Err(Raised::new(Kind::Overflow, "int too large to convert to float"));
    }
    let literal = |v: &Value| Box::new(Expr::Literal(Literal::Value(v.clone())));
    let made = constant(&Expr::Binary(op, literal(a), literal(b)));
    made.map_err(|e| match e {
        NotConstant::Undefined(e) => undefined(op, a, b, floats, e),
        other => Raised::refused(other.to_string()),
    })
}

fn undefined(op: BinaryOp, a: &Value, b: &Value, floats: bool, e: Undefined) -> Raised {
    let sequence = |v: &Value| matches!(v, Value::Str(_) | Value::List(_) | Value::Tuple(_));
    let (left, right) = (a.type_name(), b.type_name());
    match (e, op) {
        (Undefined::Types, BinaryOp::Add) if sequence(a) => {
            Raised::types(format!("can only concatenate {left} (not \"{right}\") to {left}"))
        }
        (Undefined::Types, BinaryOp::Mul) if sequence(a) => {
            Raised::types(format!("can't multiply sequence by non-int of type '{right}'"))
        }
        (Undefined::Types, BinaryOp::Mul) if sequence(b) => {
            Raised::types(format!("can't multiply sequence by non-int of type '{left}'"))
        }
        (Undefined::Types, _) => {
            let symbol = if op == BinaryOp::Pow {
                "** or pow()"
            } else {
                op.symbol()
            };
            Raised::types(format!(
                "unsupported operand type(s) for {symbol}: '{left}' and '{right}'"
            ))
        }
        (Undefined::ZeroDivision, _) => {
            let message = match (op, floats) {
                (BinaryOp::Pow, _) => "0.0 cannot be raised to a negative power",
                (BinaryOp::Div, true) => "float division by zero",
                (BinaryOp::FloorDiv, true) => "float floor division by zero",
                (BinaryOp::Mod, true) => "float modulo",
                (BinaryOp::Mod | BinaryOp::FloorDiv, false) => "integer division or modulo by zero",
                _ => "division by zero",
            };
            Raised::new(Kind::ZeroDivision, message)
        }
        (Undefined::Range, BinaryOp::Pow) => Raised::new(Kind::Overflow, "(34, 'Numerical result out of range')"),
        (Undefined::Range, BinaryOp::Div) => {
            Raised::new(Kind::Overflow, "integer division result too large for a float")
        }
        (Undefined::Range, _) => Raised::refused("the result is out of range"),
        // A number as long as this cannot be shown, whatever it is.
        (Undefined::TooLarge, BinaryOp::Pow | BinaryOp::Add | BinaryOp::Sub) => unshowable(),
        (Undefined::TooLarge, _) if !sequence(a) && !sequence(b) => unshowable(),
        (Undefined::TooLarge, _) => Raised::refused(e.to_string()),
    }
}

/// `str` of an integer that is too long.
pub(super) fn unshowable() -> Raised {
    Raised::value(
        "Exceeds the limit (4300 digits) for integer string conversion; use sys.set_int_max_str_digits() to increase the limit",
    )
}

pub(super) fn add(a: &Value, b: &Value) -> Outcome {
    binary(BinaryOp::Add, a, b)
}

pub(super) fn sub(a: &Value, b: &Value) -> Outcome {
    binary(BinaryOp::Sub, a, b)
}

pub(super) fn mul(a: &Value, b: &Value) -> Outcome {
    binary(BinaryOp::Mul, a, b)
}

pub(super) fn div(a: &Value, b: &Value) -> Outcome {
    binary(BinaryOp::Div, a, b)
}

/// Whether it is a `bool`, an `int` or a `float`.
pub(super) fn number(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_))
}

/// `a op b` of an ordering.
pub(super) fn compare(op: CompareOp, a: &Value, b: &Value) -> Outcome<bool> {
    let by = |order: Option<Ordering>| match op {
        CompareOp::Less => order == Some(Ordering::Less),
        CompareOp::LessEq => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        CompareOp::Greater => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    };
    let order = match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            return match a.iter().zip(b).find(|(x, y)| x != y) {
                Some((x, y)) => compare(op, x, y),
                None => Ok(by(Some(a.len().cmp(&b.len())))),
            };
        }
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        _ => match (a, a.integer(), b, b.integer()) {
            (_, Some(a), _, Some(b)) => Some(a.cmp(&b)),
            (_, Some(a), Value::Float(b), _) => a.cmp_f64(*b),
            (Value::Float(a), _, _, Some(b)) => b.cmp_f64(*a).map(Ordering::reverse),
            _ => {
                return Err(Raised::types(format!(
                    "'{}' not supported between instances of '{}' and '{}'",
                    op.symbol(),
                    a.type_name(),
                    b.type_name()
                )));
            }
        },
    };
    Ok(by(order))
}

pub(super) fn lt(a: &Value, b: impl Into<Value>) -> Outcome<bool> {
    compare(CompareOp::Less, a, &b.into())
}

pub(super) fn le(a: &Value, b: impl Into<Value>) -> Outcome<bool> {
    compare(CompareOp::LessEq, a, &b.into())
}

pub(super) fn gt(a: &Value, b: impl Into<Value>) -> Outcome<bool> {
    compare(CompareOp::Greater, a, &b.into())
}

pub(super) fn ge(a: &Value, b: impl Into<Value>) -> Outcome<bool> {
    compare(CompareOp::GreaterEq, a, &b.into())
}

/// `a == text`
pub(super) fn is(a: &Value, text: &str) -> bool {
    a.as_str() == Some(text)
}

/// `item in container`
pub(super) fn contains(container: &Value, item: &Value) -> Outcome<bool> {
    match container {
        Value::Str(whole) => match item {
            Value::Str(part) => Ok(whole.contains(part.as_str())),
            other => Err(Raised::types(format!(
                "'in <string>' requires string as left operand, not {}",
                other.type_name()
            ))),
        },
        Value::List(items) | Value::Tuple(items) => Ok(items.contains(item)),
        Value::Dict(dict) => Ok(dict.lookup(item)?.is_some()),
        other => Err(Raised::types(format!(
            "argument of type '{}' is not iterable",
            other.type_name()
        ))),
    }
}

/// `value[key]`
pub(super) fn item<'a>(value: &'a Value, key: &Value) -> Outcome<&'a Value> {
    match value {
        Value::Dict(dict) => dict.lookup(key)?.ok_or_else(|| Raised::key(key)),
        Value::List(items) | Value::Tuple(items) => {
            let kind = value.type_name();
            let Some(index) = key.integer() else {
                return Err(Raised::types(format!(
                    "{kind} indices must be integers or slices, not {}",
                    key.type_name()
                )));
            };
            let index = index.to_i64().map(|i| if i < 0 { i + items.len() as i64 } else { i });
            let found = index.and_then(|i| usize::try_from(i).ok()).and_then(|i| items.get(i));
            found.ok_or_else(|| Raised::new(Kind::Index, format!("{kind} index out of range")))
        }
        other => Err(Raised::types(format!(
            "'{}' object is not subscriptable",
            other.type_name()
        ))),
    }
}

/// `value[name]` of a text key, to be changed.
pub(super) fn item_mut<'a>(value: &'a mut Value, name: &str) -> Outcome<&'a mut Value> {
    match value {
        Value::Dict(dict) => dict.get_mut(name).ok_or_else(|| Raised::key(&name.into())),
        other => {
            item(other, &name.into())?;
            Err(Raised::types(format!(
                "'{}' object does not support item assignment",
                other.type_name()
            )))
        }
    }
}

/// `value[name]`, of a text key.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> Outcome<&'a Value> {
    match value {
        Value::Dict(dict) => dict.get(name).ok_or_else(|| Raised::key(&name.into())),
        other => item(other, &name.into()),
    }
}

/// The dictionary that a method of dictionaries is called on.
pub(super) fn mapping<'a>(value: &'a Value, method: &str) -> Outcome<&'a Dict> {
    value.as_dict().ok_or_else(|| Raised::attribute(value, method))
}

/// The dictionary that a method of dictionaries is called on, to be changed.
pub(super) fn mapping_mut<'a>(value: &'a mut Value, method: &str) -> Outcome<&'a mut Dict> {
    match value {
        Value::Dict(dict) => Ok(dict),
        other => Err(Raised::attribute(other, method)),
    }
}

/// The list that a method of lists is called on.
pub(super) fn sequence_mut<'a>(value: &'a mut Value, method: &str) -> Outcome<&'a mut Vec<Value>> {
    match value {
        Value::List(items) => Ok(items),
        other => Err(Raised::attribute(other, method)),
    }
}

/// `del dict[key]`, for any key; the order of the others stays.
pub(super) fn remove(dict: &mut Dict, key: &Value) -> Option<Value> {
    if let Value::Str(key) = key {
        return dict.remove(key);
    }
    let mut removed = None;
    let mut rest = Dict::new();
    for (k, v) in std::mem::take(dict) {
        if removed.is_none() && k == *key {
            removed = Some(v);
        } else {
            // The key was one before.
            let _ = rest.insert(k, v);
        }
    }
    *dict = rest;
    removed
}

/// The text that a method of texts is called on.
pub(super) fn string<'a>(value: &'a Value, method: &str) -> Outcome<&'a str> {
    value.as_str().ok_or_else(|| Raised::attribute(value, method))
}

/// What a loop over a value goes through.
pub(super) fn iterate(value: &Value) -> Outcome<Vec<Value>> {
    match value {
        Value::List(items) | Value::Tuple(items) => Ok(items.clone()),
        Value::Str(text) => Ok(text.chars().map(|c| c.to_string().into()).collect()),
        Value::Dict(dict) => Ok(dict.keys().cloned().collect()),
        other => Err(Raised::types(format!("'{}' object is not iterable", other.type_name()))),
    }
}

/// `len(value)`
pub(super) fn len(value: &Value) -> Outcome<i64> {
    let len = match value {
        Value::List(items) | Value::Tuple(items) => items.len(),
        Value::Str(text) => text.chars().count(),
        Value::Dict(dict) => dict.len(),
        other => {
            return Err(Raised::types(format!(
                "object of type '{}' has no len()",
                other.type_name()
            )));
        }
    };
    Ok(len as i64)
}

/// `float(value)`
pub(super) fn float(value: &Value) -> Outcome<f64> {
    match value {
        Value::Float(x) => Ok(*x),
        Value::Str(text) => text::float(text)
            .ok_or_else(|| Raised::value(format!("could not convert string to float: {}", value.repr()))),
        other => match other.integer().map(|n| n.to_f64()) {
            Some(x) if x.is_infinite() => Err(Raised::new(Kind::Overflow, "int too large to convert to float")),
            Some(x) => Ok(x),
            None => Err(Raised::types(format!(
                "float() argument must be a string or a real number, not '{}'",
                other.type_name()
            ))),
        },
    }
}

/// `int(value)`
pub(super) fn int(value: &Value) -> Outcome<Int> {
    match value {
        Value::Float(x) if x.is_nan() => Err(Raised::value("cannot convert float NaN to integer")),
        Value::Float(x) => Int::exactly(x.trunc())
            .ok_or_else(|| Raised::new(Kind::Overflow, "cannot convert float infinity to integer")),
        Value::Str(text) => text::int(text)
            .ok_or_else(|| Raised::value(format!("invalid literal for int() with base 10: {}", value.repr()))),
        other => other.integer().ok_or_else(|| {
            Raised::types(format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                other.type_name()
            ))
        }),
    }
}

/// `f"{value:.2f}"`
pub(super) fn two_places(value: &Value) -> Outcome<String> {
    match value {
        Value::Float(x) if x.is_nan() => Ok("nan".into()),
        v if number(v) => float(v).map(|x| format!("{x:.2}")),
        Value::Str(_) => Err(Raised::value("Unknown format code 'f' for object of type 'str'")),
        other => Err(Raised::types(format!(
            "unsupported format string passed to {}.__format__",
            other.type_name()
        ))),
    }
}

/// `separator.join(items)`
pub(super) fn join(separator: &str, items: &[Value]) -> Outcome<String> {
    let mut parts = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        parts.push(item.as_str().ok_or_else(|| {
            Raised::types(format!(
                "sequence item {i}: expected str instance, {} found",
                item.type_name()
            ))
        })?);
    }
    Ok(parts.join(separator))
}

/// `text.splitlines()`
pub(super) fn lines(text: &str) -> Vec<&str> {
    let boundary = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut found = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find(boundary) else {
            found.push(rest);
            break;
        };
        found.push(&rest[..at]);
        let end = &rest[at..];
        let width = if end.starts_with("\r\n") {
            2
        } else {
            end.chars().next().map_or(1, char::len_utf8)
        };
        rest = &end[width..];
    }
    found
}
