//! MySQL's functions and operators as functions of SQLite.
//!
//! In SQLite they bear MySQL's names in lower case behind [`PREFIX`], so that none hides SQLite's own; which are offered and
//! with how many arguments is [`scalar`].

use super::collation;
use super::date;
use super::datum::{Datum, Decimal};
use super::operators::{OutOfRange, arithmetic, compare, round, truth};
use super::text::{self, MAX_TEXT};
use regex::{Regex, RegexBuilder};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Error};
use std::cmp::Ordering;

/// What names begin with.
pub const PREFIX: &str = "my_";

/// Why a function fails. The text is MySQL's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

impl From<OutOfRange> for Fault {
    fn from(_: OutOfRange) -> Self {
        Self("1690 (22003): BIGINT or DOUBLE value is out of range".into())
    }
}

type Apply = fn(&[Datum]) -> Result<Datum, Fault>;

/// A function: its name in lower case, the least and the most arguments, and what it does.
struct Scalar(&'static str, usize, usize, Apply);

const ANY: usize = 100;

/// Functions whose result is NULL where an argument is.
const STRICT: &[Scalar] = &[
    Scalar("eq", 2, 2, |a| relation(a, |o| o == Ordering::Equal)),
    Scalar("ne", 2, 2, |a| relation(a, |o| o != Ordering::Equal)),
    Scalar("lt", 2, 2, |a| relation(a, |o| o == Ordering::Less)),
    Scalar("le", 2, 2, |a| relation(a, |o| o != Ordering::Greater)),
    Scalar("gt", 2, 2, |a| relation(a, |o| o == Ordering::Greater)),
    Scalar("ge", 2, 2, |a| relation(a, |o| o != Ordering::Less)),
    Scalar("add", 2, 2, |a| Ok(arithmetic('+', a[0].clone(), a[1].clone())?)),
    Scalar("sub", 2, 2, |a| Ok(arithmetic('-', a[0].clone(), a[1].clone())?)),
    Scalar("mul", 2, 2, |a| Ok(arithmetic('*', a[0].clone(), a[1].clone())?)),
    Scalar("div", 2, 2, |a| Ok(arithmetic('/', a[0].clone(), a[1].clone())?)),
    Scalar("intdiv", 2, 2, |a| Ok(arithmetic('d', a[0].clone(), a[1].clone())?)),
    Scalar("mod", 2, 2, |a| Ok(arithmetic('%', a[0].clone(), a[1].clone())?)),
    Scalar("xor", 2, 2, |a| Ok(Datum::bool(truth(&a[0]) != truth(&a[1])))),
    Scalar("like", 2, 3, |a| {
        let escape = match a.get(2) {
            None => Some('\\'),
            Some(escape) => string(escape).chars().next(),
        };
        Ok(Datum::bool(collation::like(&string(&a[0]), &string(&a[1]), escape)))
    }),
    Scalar("concat", 1, ANY, |a| made(a.iter().map(string).collect())),
    Scalar("length", 1, 1, |a| Ok(Datum::Int(string(&a[0]).len() as i64))),
    Scalar("char_length", 1, 1, |a| {
        Ok(Datum::Int(string(&a[0]).chars().count() as i64))
    }),
    Scalar("upper", 1, 1, |a| made(string(&a[0]).to_uppercase())),
    Scalar("lower", 1, 1, |a| made(string(&a[0]).to_lowercase())),
    Scalar("substring", 2, 3, |a| {
        made(text::substring(&string(&a[0]), int(&a[1]), a.get(2).map(int)))
    }),
    Scalar("left", 2, 2, |a| {
        made(text::substring(&string(&a[0]), 1, Some(int(&a[1]))))
    }),
    Scalar("right", 2, 2, |a| {
        let (text, n) = (string(&a[0]), int(&a[1]).max(0));
        let skip = (text.chars().count() as i64 - n).max(0);
        made(text.chars().skip(skip as usize).collect())
    }),
    Scalar("substring_index", 3, 3, |a| {
        made(text::substring_index(&string(&a[0]), &string(&a[1]), int(&a[2])))
    }),
    Scalar("locate", 2, 3, |a| {
        Ok(Datum::Int(text::locate(
            &string(&a[0]),
            &string(&a[1]),
            a.get(2).map_or(1, int),
        )))
    }),
    Scalar("instr", 2, 2, |a| {
        Ok(Datum::Int(text::locate(&string(&a[1]), &string(&a[0]), 1)))
    }),
    Scalar("replace", 3, 3, |a| {
        let (text, from) = (string(&a[0]), string(&a[1]));
        if from.is_empty() {
            made(text)
        } else {
            made(text.replace(&from, &string(&a[2])))
        }
    }),
    Scalar("trim", 1, 2, |a| trimmed(a, true, true)),
    Scalar("ltrim", 1, 2, |a| trimmed(a, true, false)),
    Scalar("rtrim", 1, 2, |a| trimmed(a, false, true)),
    Scalar("lpad", 3, 3, |a| {
        Ok(text_or_null(text::pad(
            &string(&a[0]),
            int(&a[1]),
            &string(&a[2]),
            true,
        )))
    }),
    Scalar("rpad", 3, 3, |a| {
        Ok(text_or_null(text::pad(
            &string(&a[0]),
            int(&a[1]),
            &string(&a[2]),
            false,
        )))
    }),
    Scalar("repeat", 2, 2, |a| {
        let (text, n) = (string(&a[0]), int(&a[1]).max(0) as usize);
        match text.len().checked_mul(n) {
            Some(length) if length <= MAX_TEXT => made(text.repeat(n)),
            _ => Ok(Datum::Null),
        }
    }),
    Scalar("reverse", 1, 1, |a| made(string(&a[0]).chars().rev().collect())),
    Scalar("md5", 1, 1, |a| made(text::md5(&string(&a[0])))),
    Scalar("ascii", 1, 1, |a| {
        Ok(Datum::Int(string(&a[0]).bytes().next().map_or(0, i64::from)))
    }),
    Scalar("strcmp", 2, 2, |a| {
        Ok(Datum::Int(collation::compare(&string(&a[0]), &string(&a[1])) as i64))
    }),
    Scalar("find_in_set", 2, 2, |a| {
        let (one, set) = (string(&a[0]), string(&a[1]));
        let at = set
            .split(',')
            .position(|item| collation::compare(item, &one) == Ordering::Equal);
        Ok(Datum::Int(at.map_or(0, |at| at as i64 + 1)))
    }),
    Scalar("format", 2, 2, |a| {
        Ok(text_or_null(text::format(&a[0].clone().number(), int(&a[1]))))
    }),
    Scalar("abs", 1, 1, |a| {
        Ok(match a[0].clone().number() {
            Datum::Int(value) => Datum::Int(value.checked_abs().ok_or(OutOfRange)?),
            Datum::Decimal(value) => Datum::Decimal(Decimal::new(value.units.saturating_abs(), value.scale)),
            other => other.double().map_or(Datum::Null, |value| Datum::Double(value.abs())),
        })
    }),
    Scalar("sign", 1, 1, |a| {
        let value = a[0].double().unwrap_or(0.0);
        Ok(Datum::Int(if value == 0.0 { 0 } else { value.signum() as i64 }))
    }),
    Scalar("neg", 1, 1, |a| Ok(arithmetic('-', Datum::Int(0), a[0].clone())?)),
    Scalar("round", 1, 2, |a| {
        Ok(whole(round(a[0].clone(), a.get(1).map_or(0, int), false), a.len() == 1))
    }),
    Scalar("truncate", 2, 2, |a| Ok(round(a[0].clone(), int(&a[1]), true))),
    Scalar("floor", 1, 1, |a| Ok(toward(a[0].clone(), f64::floor, -1))),
    Scalar("ceil", 1, 1, |a| Ok(toward(a[0].clone(), f64::ceil, 1))),
    Scalar("power", 2, 2, |a| finite(double(&a[0]).powf(double(&a[1])))),
    Scalar("sqrt", 1, 1, |a| {
        Ok(null_unless(double(&a[0]) >= 0.0, double(&a[0]).sqrt()))
    }),
    Scalar("exp", 1, 1, |a| finite(double(&a[0]).exp())),
    Scalar("ln", 1, 1, |a| Ok(null_unless(double(&a[0]) > 0.0, double(&a[0]).ln()))),
    Scalar("log10", 1, 1, |a| {
        Ok(null_unless(double(&a[0]) > 0.0, double(&a[0]).log10()))
    }),
    Scalar("greatest", 2, ANY, |a| Ok(extreme(a, Ordering::Greater))),
    Scalar("least", 2, ANY, |a| Ok(extreme(a, Ordering::Less))),
    Scalar("str_to_date", 2, 2, |a| {
        Ok(text_or_null(date::read(&string(&a[0]), &string(&a[1]))))
    }),
    Scalar("date", 1, 1, |a| {
        Ok(text_or_null(date::date(&string(&a[0])).map(|date| date.to_string())))
    }),
    Scalar("year", 1, 1, |a| {
        Ok(date::date(&string(&a[0])).map_or(Datum::Null, |date| Datum::Int(date.year.into())))
    }),
    Scalar("month", 1, 1, |a| {
        Ok(date::date(&string(&a[0])).map_or(Datum::Null, |date| Datum::Int(date.month.into())))
    }),
    Scalar("day", 1, 1, |a| {
        Ok(date::date(&string(&a[0])).map_or(Datum::Null, |date| Datum::Int(date.day.into())))
    }),
    Scalar("datediff", 2, 2, |a| {
        let days = |text: &Datum| date::date(&string(text)).map(|date| date.days());
        Ok(days(&a[0])
            .zip(days(&a[1]))
            .map_or(Datum::Null, |(a, b)| Datum::Int(a - b)))
    }),
    Scalar("cast_signed", 1, 1, |a| {
        Ok(a[0].integer().map_or(Datum::Null, Datum::Int))
    }),
    Scalar("cast_char", 1, 2, |a| {
        made(match a.get(1) {
            Some(length) => text::substring(&string(&a[0]), 1, Some(int(length))),
            None => string(&a[0]),
        })
    }),
    Scalar("cast_double", 1, 1, |a| Ok(Datum::Double(double(&a[0])))),
    Scalar("cast_decimal", 3, 3, |a| {
        Ok(cast_decimal(&a[0], int(&a[1]), int(&a[2])))
    }),
];

/// Functions that see NULLs.
const LENIENT: &[Scalar] = &[
    Scalar("same", 2, 2, |a| {
        Ok(Datum::bool(match (a[0].is_null(), a[1].is_null()) {
            (false, false) => compare(&a[0], &a[1]) == Some(Ordering::Equal),
            (x, y) => x == y,
        }))
    }),
    Scalar("in", 2, ANY, |a| {
        let mut unknown = a[0].is_null();
        for item in &a[1..] {
            match compare(&a[0], item) {
                Some(Ordering::Equal) => return Ok(Datum::Int(1)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Int(0) })
    }),
    Scalar("field", 2, ANY, |a| {
        let at = a[1..]
            .iter()
            .position(|item| compare(&a[0], item) == Some(Ordering::Equal));
        Ok(Datum::Int(at.map_or(0, |at| at as i64 + 1)))
    }),
    Scalar("concat_ws", 2, ANY, |a| {
        let Some(separator) = a[0].text() else {
            return Ok(Datum::Null);
        };
        made(
            a[1..]
                .iter()
                .filter_map(Datum::text)
                .collect::<Vec<_>>()
                .join(&separator),
        )
    }),
    // What a column of type TEXT keeps of a value.
    Scalar("store", 1, 1, |a| Ok(text_or_null(a[0].text()))),
    // What rows are ordered by: numbers that SQLite can compare.
    Scalar("key", 1, 1, |a| {
        Ok(match &a[0] {
            Datum::Decimal(value) => Datum::Double(value.to_f64()),
            other => other.clone(),
        })
    }),
    Scalar("true", 1, 1, |a| Ok(Datum::bool(truth(&a[0]) == Some(true)))),
];

/// Whether a function of that name can take so many arguments; `None` if there is no such function.
pub fn scalar(name: &str, arguments: usize) -> Option<bool> {
    let regular = STRICT
        .iter()
        .chain(LENIENT)
        .find(|f| f.0 == name)
        .map(|f| (f.1..=f.2).contains(&arguments));
    regular.or(match name {
        "regexp_like" | "regexp_substr" | "regexp_instr" => Some(arguments == 2),
        "regexp_replace" => Some(arguments == 3),
        _ => None,
    })
}

/// Offer them to a connection.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for (functions, strict) in [(STRICT, true), (LENIENT, false)] {
        for Scalar(name, .., apply) in functions {
            connection.create_scalar_function(format!("{PREFIX}{name}").as_str(), -1, flags, move |context| {
                let arguments = arguments(context);
                if strict && arguments.iter().any(Datum::is_null) {
                    return Ok(Datum::Null);
                }
                apply(&arguments).map_err(failed)
            })?;
        }
    }
    for (name, apply) in REGEXP {
        connection.create_scalar_function(format!("{PREFIX}{name}").as_str(), -1, flags, move |context| {
            let arguments = arguments(context);
            if arguments.iter().any(Datum::is_null) {
                return Ok(Datum::Null);
            }
            let pattern = context.get_or_create_aux(1, |pattern| {
                let pattern = pattern.as_str().map_err(|e| Fault(e.to_string()))?;
                let built = RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .size_limit(1 << 20)
                    .build();
                built.map_err(|_| Fault("3685 (HY000): Illegal argument to a regular expression.".into()))
            })?;
            apply(&arguments, &pattern).map_err(failed)
        })?;
    }
    Ok(())
}

type Matching = fn(&[Datum], &Regex) -> Result<Datum, Fault>;

const REGEXP: [(&str, Matching); 4] = [
    ("regexp_like", |a, pattern| {
        Ok(Datum::bool(pattern.is_match(&string(&a[0]))))
    }),
    ("regexp_substr", |a, pattern| {
        Ok(text_or_null(
            pattern.find(&string(&a[0])).map(|found| found.as_str().to_owned()),
        ))
    }),
    ("regexp_instr", |a, pattern| {
        let text = string(&a[0]);
        let at = pattern
            .find(&text)
            .map_or(0, |found| text[..found.start()].chars().count() + 1);
        Ok(Datum::Int(at as i64))
    }),
    ("regexp_replace", |a, pattern| {
        made(pattern.replace_all(&string(&a[0]), string(&a[2]).as_str()).into_owned())
    }),
];

/// The arguments of a call.
pub fn arguments(context: &Context<'_>) -> Vec<Datum> {
    (0..context.len()).map(|i| Datum::of(context.get_raw(i))).collect()
}

/// A failure as SQLite reports it.
pub fn failed(fault: Fault) -> Error {
    Error::UserFunctionError(Box::new(fault))
}

fn string(value: &Datum) -> String {
    value.text().unwrap_or_default()
}

fn int(value: &Datum) -> i64 {
    value.integer().unwrap_or(0)
}

fn double(value: &Datum) -> f64 {
    value.double().unwrap_or(0.0)
}

/// A text, unless it is too long.
fn made(text: String) -> Result<Datum, Fault> {
    if text.len() > MAX_TEXT {
        return Err(Fault(
            "1301 (HY000): Result of a text function was larger than 65535 bytes - truncated".into(),
        ));
    }
    Ok(Datum::Text(text))
}

fn text_or_null(text: Option<String>) -> Datum {
    text.map_or(Datum::Null, Datum::Text)
}

fn relation(a: &[Datum], holds: fn(Ordering) -> bool) -> Result<Datum, Fault> {
    Ok(compare(&a[0], &a[1]).map_or(Datum::Null, |order| Datum::bool(holds(order))))
}

fn trimmed(a: &[Datum], left: bool, right: bool) -> Result<Datum, Fault> {
    let what = a.get(1).map_or(" ".to_owned(), string);
    made(text::trim(&string(&a[0]), &what, left, right).to_owned())
}

fn null_unless(defined: bool, value: f64) -> Datum {
    if defined { Datum::Double(value) } else { Datum::Null }
}

fn finite(value: f64) -> Result<Datum, Fault> {
    if value.is_finite() {
        Ok(Datum::Double(value))
    } else {
        Err(OutOfRange.into())
    }
}

/// `ROUND(x)` of an exact number has no digits after the point.
fn whole(value: Datum, plain: bool) -> Datum {
    match value {
        Datum::Decimal(value) if plain => Datum::Decimal(value.rescaled(0).unwrap_or(value)),
        other => other,
    }
}

/// The next whole number downwards or upwards.
fn toward(value: Datum, step: fn(f64) -> f64, sign: i128) -> Datum {
    match value.number() {
        Datum::Decimal(value) => {
            let unit = super::datum::power(value.scale).unwrap_or(1);
            let cut = value.units / unit;
            let more = value.units % unit * sign > 0;
            i64::try_from(cut + if more { sign } else { 0 }).map_or(Datum::Null, Datum::Int)
        }
        Datum::Double(value) => Datum::Double(step(value)),
        other => other,
    }
}

fn extreme(values: &[Datum], wanted: Ordering) -> Datum {
    let better = |a: &Datum, b: &Datum| compare(a, b) == Some(wanted);
    values.iter().skip(1).fold(values[0].clone(), |best, value| {
        if better(value, &best) { value.clone() } else { best }
    })
}

fn cast_decimal(value: &Datum, precision: i64, scale: i64) -> Datum {
    let (precision, scale) = (precision.clamp(1, 38) as u32, scale.clamp(0, 30) as u32);
    let exact = match value {
        Datum::Int(value) => Some(Decimal::new(*value, 0)),
        Datum::Decimal(value) => Some(*value),
        Datum::Double(value) => Decimal::read(&format!("{value:.*}", scale as usize)),
        Datum::Text(text) => {
            let prefix = super::datum::number_prefix(text);
            Decimal::read(prefix)
                .or_else(|| Decimal::read(&format!("{:.*}", scale as usize, value.double().unwrap_or(0.0))))
        }
        Datum::Null => return Datum::Null,
    };
    let most = super::datum::power(precision).map_or(i128::MAX, |limit| limit - 1);
    let clamped = exact
        .and_then(|value| value.rescaled(scale))
        .map(|value| value.units.clamp(-most, most));
    Datum::Decimal(Decimal::new(clamped.unwrap_or(0), scale))
}
