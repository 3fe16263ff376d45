//! Arithmetic on arguments, whose types nobody checked: numbers as Python computes them, type errors as it raises them.

use crate::py::Value;
use crate::raised::{Outcome, raise};
use hone_python::Int;
use std::cmp::Ordering;

fn mixed<T>(
    a: &Value,
    sign: &str,
    b: &Value,
    ints: impl FnOnce(&Int, &Int) -> T,
    floats: impl FnOnce(f64, f64) -> T,
) -> Outcome<T> {
    let as_float = |value: &Value| match value {
        Value::Float(x) => Some(*x),
        other => other.integer().map(|n| n.to_f64()),
    };
    match (a.integer(), b.integer(), as_float(a), as_float(b)) {
        (Some(a), Some(b), ..) => Ok(ints(&a, &b)),
        (_, _, Some(a), Some(b)) => Ok(floats(a, b)),
        _ => raise(format!(
            "unsupported operand type(s) for {sign}: '{}' and '{}'",
            a.type_name(),
            b.type_name()
        )),
    }
}

/// `a + b`; `sign` is `+` or `+=`, as the error shows it.
pub(crate) fn add(a: &Value, sign: &str, b: &Value) -> Outcome<Value> {
    let int = |a: &Int, b: &Int| Value::Int((a.to_big() + b.to_big()).into());
    mixed(a, sign, b, int, |a, b| Value::Float(a + b))
}

/// `a - b`; `sign` is `-` or `-=`.
pub(crate) fn subtract(a: &Value, sign: &str, b: &Value) -> Outcome<Value> {
    let int = |a: &Int, b: &Int| Value::Int((a.to_big() - b.to_big()).into());
    mixed(a, sign, b, int, |a, b| Value::Float(a - b))
}

/// `a * b` of numbers.
pub(crate) fn multiply(a: &Value, b: &Value) -> Outcome<Value> {
    let int = |a: &Int, b: &Int| Value::Int((a.to_big() * b.to_big()).into());
    mixed(a, "*", b, int, |a, b| Value::Float(a * b))
}

/// How two numbers compare; `None` if one is NaN. `sign` is the comparison that the error shows.
pub(crate) fn order(a: &Value, sign: &str, b: &Value) -> Outcome<Option<Ordering>> {
    let ordered = match (a, b) {
        (Value::Float(x), Value::Float(y)) => Some(x.partial_cmp(y)),
        (Value::Float(x), other) => other.integer().map(|n| n.cmp_f64(*x).map(Ordering::reverse)),
        (other, Value::Float(y)) => other.integer().map(|n| n.cmp_f64(*y)),
        (a, b) => a.integer().zip(b.integer()).map(|(a, b)| Some(a.cmp(&b))),
    };
    match ordered {
        Some(order) => Ok(order),
        None => raise(format!(
            "'{sign}' not supported between instances of '{}' and '{}'",
            a.type_name(),
            b.type_name()
        )),
    }
}
