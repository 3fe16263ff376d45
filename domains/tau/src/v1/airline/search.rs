//! Looking for flights.

use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::v1::world::{World, field, item};

/// A flight without its days, with what holds on one of them.
fn on_day(flight: &Value, date: &Value) -> Outcome<Value> {
    let day = item(field(flight, "dates")?, date)?;
    let (Value::Dict(flight), Value::Dict(day)) = (flight, day) else {
        return raise("a flight is no record");
    };
    let fields = flight
        .iter()
        .filter(|(key, _)| key.as_str() != Some("dates"))
        .chain(day.iter());
    let mut merged = hone_python::Dict::new();
    for (key, value) in fields {
        merged.set(key.as_str().unwrap_or_default(), value.clone());
    }
    Ok(Value::Dict(merged))
}

/// Whether a flight can be booked on a day.
fn available(flight: &Value, date: &Value) -> Outcome<bool> {
    let dates = field(flight, "dates")?;
    match py::keyed(date, |date| dates.get(date))? {
        Some(day) => Ok(field(day, "status")?.as_str() == Some("available")),
        None => Ok(false),
    }
}

pub(super) fn direct(w: &mut World, a: &[Value]) -> Outcome<String> {
    let mut results = vec![];
    for flight in w.table("flights").values() {
        if field(flight, "origin")? == &a[0] && field(flight, "destination")? == &a[1] && available(flight, &a[2])? {
            results.push(on_day(flight, &a[2])?);
        }
    }
    Ok(py::dumps(&Value::List(results), false))
}

/// `f"2024-05-{int(date[-2:]) + 1}"`.
fn next_day(date: &Value) -> Outcome<Value> {
    let Value::Str(date) = date else {
        return raise(format!("'{}' object is not subscriptable", date.type_name()));
    };
    let start = date.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
    let last = &date[start..];
    match last.trim().parse::<i64>() {
        Ok(day) => Ok(py::text(format!("2024-05-{}", day + 1))),
        Err(_) => raise(format!(
            "invalid literal for int() with base 10: {}",
            py::text(last).repr()
        )),
    }
}

pub(super) fn one_stop(w: &mut World, a: &[Value]) -> Outcome<String> {
    let mut results = vec![];
    for first in w.table("flights").values() {
        if field(first, "origin")? != &a[0] {
            continue;
        }
        for second in w.table("flights").values() {
            if field(second, "destination")? != &a[1] || field(first, "destination")? != field(second, "origin")? {
                continue;
            }
            let arrival = py::text_of(first, "scheduled_arrival_time_est");
            let next = if arrival.contains("+1") {
                next_day(&a[2])?
            } else {
                a[2].clone()
            };
            if arrival > py::text_of(second, "scheduled_departure_time_est") {
                continue;
            }
            if available(first, &a[2])? && available(second, &next)? {
                let mut one = on_day(first, &a[2])?;
                py::set(&mut one, "date", a[2].clone());
                // The reference takes the first day's price and seats for the second flight as well.
                let mut two = on_day(second, &a[2])?;
                py::set(&mut two, "date", next);
                results.push(Value::List(vec![one, two]));
            }
        }
    }
    Ok(py::dumps(&Value::List(results), false))
}
