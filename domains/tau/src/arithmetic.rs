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

/// `sum += n * b`. `n` times a text or list repeats it, which then cannot be added.
pub(crate) fn add_times(sum: &Value, n: i64, b: &Value) -> Outcome<Value> {
    match b {
        Value::Str(_) | Value::List(_) => mixed(sum, "+=", b, |_, _| Value::None, |_, _| Value::None),
        _ => add(sum, "+=", &multiply(&Value::from(n), b)?),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::py;

    #[test]
    fn a_repeated_text_or_list_cannot_be_added() {
        // What CPython says of `total = 7; total += 50 * x`.
        for (x, says) in [
            (py::text("x"), "unsupported operand type(s) for +=: 'int' and 'str'"),
            (
                Value::List(Vec::new()),
                "unsupported operand type(s) for +=: 'int' and 'list'",
            ),
            (Value::None, "unsupported operand type(s) for *: 'int' and 'NoneType'"),
        ] {
            assert_eq!(add_times(&Value::from(7), 50, &x).unwrap_err().to_string(), says);
        }
        assert_eq!(
            add_times(&Value::from(7), 50, &Value::from(2)).unwrap(),
            Value::from(107)
        );
    }
}
