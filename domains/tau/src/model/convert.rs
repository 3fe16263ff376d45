//! Conversion of a value to a field's type, in pydantic's lax mode.

use super::{Misfit, Model, Type, misfit};
use crate::py::{self, Value};

impl Type {
    pub(super) fn convert(&self, input: &Value, path: &mut Vec<String>, misfits: &mut Vec<Misfit>) -> Value {
        let fault = match self {
            Type::Any => return input.clone(),
            Type::Str => match input {
                Value::Str(_) => return input.clone(),
                _ => ("Input should be a valid string".to_owned(), "string_type"),
            },
            Type::Bool => match boolean(input) {
                Ok(b) => return Value::Bool(b),
                Err(fault) => fault,
            },
            Type::Int => match integer(input) {
                Ok(value) => return value,
                Err(fault) => fault,
            },
            Type::Float => match float(input) {
                Ok(f) => return Value::Float(f),
                Err(fault) => fault,
            },
            Type::Date | Type::DateTime => match moment(input, matches!(self, Type::DateTime)) {
                Ok(text) => return py::text(text),
                Err(fault) => fault,
            },
            Type::Literal(options) | Type::Enum(options) => match input {
                Value::Str(s) if options.contains(&s.as_str()) => return input.clone(),
                _ => (
                    format!("Input should be {}", one_of(options)),
                    if matches!(self, Type::Enum(_)) {
                        "enum"
                    } else {
                        "literal_error"
                    },
                ),
            },
            Type::Optional(inner) => match input {
                Value::None => return Value::None,
                _ => return inner.convert(input, path, misfits),
            },
            Type::List(inner) => match input {
                Value::List(items) => {
                    let items = items.iter().enumerate();
                    let items = items.map(|(i, item)| nested(inner, item, i.to_string(), path, misfits));
                    return Value::List(items.collect());
                }
                _ => ("Input should be a valid list".to_owned(), "list_type"),
            },
            Type::Dict(inner) => match input {
                Value::Dict(fields) => {
                    let fields = fields.iter().map(|(key, value)| (key.to_string(), value));
                    let fields = fields.map(|(k, v)| (k.clone(), nested(inner, v, k, path, misfits)));
                    return Value::Dict(fields.collect());
                }
                _ => ("Input should be a valid dictionary".to_owned(), "dict_type"),
            },
            Type::Keyed(keys, inner) => match input {
                Value::Dict(fields) => {
                    let mut converted = vec![];
                    for (key, value) in fields.iter() {
                        let name = key.to_string();
                        if !keys.contains(&name.as_str()) {
                            path.push(format!("{name}.[key]"));
                            let message = format!("Input should be {}", one_of(keys));
                            misfits.push(misfit(path, message, "literal_error", key));
                            path.pop();
                        }
                        converted.push((name.clone(), nested(inner, value, name, path, misfits)));
                    }
                    return Value::Dict(converted.into_iter().collect());
                }
                _ => ("Input should be a valid dictionary".to_owned(), "dict_type"),
            },
            Type::Model(model) => return model.convert(input, path, misfits),
            Type::Union(models) => return union(models, input, path, misfits),
        };
        misfits.push(misfit(path, fault.0, fault.1, input));
        Value::None
    }
}

fn nested(inner: &Type, value: &Value, at: String, path: &mut Vec<String>, misfits: &mut Vec<Misfit>) -> Value {
    path.push(at);
    let value = inner.convert(value, path, misfits);
    path.pop();
    value
}

fn union(models: &[&'static Model], input: &Value, path: &mut Vec<String>, misfits: &mut Vec<Misfit>) -> Value {
    let mut all = vec![];
    for model in models {
        let mut faults = vec![];
        path.push(model.name.to_owned());
        let value = model.convert(input, path, &mut faults);
        path.pop();
        if faults.is_empty() {
            return value;
        }
        all.append(&mut faults);
    }
    misfits.append(&mut all);
    Value::None
}

type Fault = (String, &'static str);

fn fault<T>(message: &str, kind: &'static str) -> Result<T, Fault> {
    Err((message.to_owned(), kind))
}

fn boolean(input: &Value) -> Result<bool, Fault> {
    const TRUE: [&str; 7] = ["1", "true", "t", "yes", "y", "on", "1.0"];
    const FALSE: [&str; 7] = ["0", "false", "f", "no", "n", "off", "0.0"];
    match input {
        Value::Bool(b) => Ok(*b),
        Value::Str(s) => {
            let s = s.to_lowercase();
            if TRUE[..6].contains(&s.as_str()) {
                Ok(true)
            } else if FALSE[..6].contains(&s.as_str()) {
                Ok(false)
            } else {
                fault(
                    "Input should be a valid boolean, unable to interpret input",
                    "bool_parsing",
                )
            }
        }
        Value::Int(_) | Value::Float(_) => match py::number(input) {
            Some(1.0) => Ok(true),
            Some(0.0) => Ok(false),
            _ if matches!(input, Value::Float(_)) => fault("Input should be a valid boolean", "bool_type"),
            _ => fault(
                "Input should be a valid boolean, unable to interpret input",
                "bool_parsing",
            ),
        },
        _ => fault("Input should be a valid boolean", "bool_type"),
    }
}

fn integer(input: &Value) -> Result<Value, Fault> {
    match input {
        Value::Bool(b) => Ok(Value::from(i64::from(*b))),
        Value::Int(_) => Ok(input.clone()),
        Value::Float(f) if !f.is_finite() => fault("Input should be a finite number", "finite_number"),
        Value::Float(f) if f.fract() != 0.0 => fault(
            "Input should be a valid integer, got a number with a fractional part",
            "int_from_float",
        ),
        Value::Float(f) if f.abs() >= i64::MAX as f64 => too_large(),
        Value::Float(f) => Ok(hone_python::Int::exactly(*f).map_or(Value::None, Value::Int)),
        Value::Str(s) if s.len() > hone_python::text::MAX_INT_DIGITS => too_large(),
        Value::Str(s) => {
            let digits = s.trim();
            let digits = digits.split_once('.').map_or(digits, |(whole, zeros)| {
                if zeros.bytes().all(|b| b == b'0') {
                    whole
                } else {
                    digits
                }
            });
            match hone_python::text::int(digits) {
                Some(i) => Ok(Value::Int(i)),
                None => fault(
                    "Input should be a valid integer, unable to parse string as an integer",
                    "int_parsing",
                ),
            }
        }
        _ => fault("Input should be a valid integer", "int_type"),
    }
}

fn too_large<T>() -> Result<T, Fault> {
    fault(
        "Unable to parse input string as an integer, exceeded maximum size",
        "int_parsing_size",
    )
}

fn float(input: &Value) -> Result<f64, Fault> {
    match (py::number(input), input) {
        (Some(f), _) => Ok(f),
        (None, Value::Str(s)) => match hone_python::text::float(s) {
            Some(f) => Ok(f),
            None => fault(
                "Input should be a valid number, unable to parse string as a number",
                "float_parsing",
            ),
        },
        _ => fault("Input should be a valid number", "float_type"),
    }
}

/// A date or a time, from the text forms that the data use: `YYYY-MM-DD`, `YYYY-MM-DDTHH:MM[:SS]`, with `T` or a space.
fn moment(input: &Value, with_time: bool) -> Result<String, Fault> {
    let wrong = || {
        if with_time {
            fault("Input should be a valid datetime", "datetime_type")
        } else {
            fault("Input should be a valid date", "date_type")
        }
    };
    let Value::Str(s) = input else { return wrong() };
    let (date, time) = match s.split_once(['T', ' ']) {
        Some((date, time)) => (date, time),
        None => (s.as_str(), "00:00:00"),
    };
    let numbers = |text: &str, separator: char, widths: &[usize]| -> Option<Vec<u32>> {
        let parts: Vec<_> = text.split(separator).collect();
        let fits = parts.len() == widths.len() && parts.iter().zip(widths).all(|(p, w)| p.len() == *w);
        let digits = fits && parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_digit()));
        if digits {
            parts.iter().map(|p| p.parse().ok()).collect()
        } else {
            None
        }
    };
    let time = if time.len() == 5 {
        format!("{time}:00")
    } else {
        time.to_owned()
    };
    let (Some(day), Some(clock)) = (numbers(date, '-', &[4, 2, 2]), numbers(&time, ':', &[2, 2, 2])) else {
        return wrong();
    };
    let real =
        (1..=12).contains(&day[1]) && (1..=31).contains(&day[2]) && clock[0] < 24 && clock[1] < 60 && clock[2] < 60;
    if !real || (!with_time && clock != [0, 0, 0]) {
        return wrong();
    }
    Ok(if with_time {
        format!("{date} {time}")
    } else {
        date.to_owned()
    })
}

/// `'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`.
fn one_of(options: &[&str]) -> String {
    let quoted: Vec<_> = options.iter().map(|o| format!("'{o}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
