//! Looking for flights.

use super::AirlineState;
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::Reply;

/// What a flight must be; `None` matches any.
struct Wanted<'a> {
    origin: &'a Value,
    destination: &'a Value,
    date: &'a Value,
    leave_after: Option<&'a str>,
}

fn find(w: &AirlineState, wanted: &Wanted<'_>) -> Outcome<Vec<Value>> {
    let fits = |asked: &Value, value: &Value| asked.is_none() || asked == value;
    let mut found = vec![];
    for (_, flight) in w.db.rows("flights") {
        if !fits(wanted.origin, py::get(flight, "origin")) || !fits(wanted.destination, py::get(flight, "destination"))
        {
            continue;
        }
        let dates = py::get(flight, "dates");
        let Some(instance) = py::keyed(wanted.date, |date| dates.get(date))? else {
            continue;
        };
        let late = wanted
            .leave_after
            .is_none_or(|time| py::text_of(flight, "scheduled_departure_time_est") >= time);
        if py::text_of(instance, "status") != "available" || !late {
            continue;
        }
        let of = |field| (field, py::get(flight, field).clone());
        found.push(py::record([
            of("flight_number"),
            of("origin"),
            of("destination"),
            ("status", py::text("available")),
            of("scheduled_departure_time_est"),
            of("scheduled_arrival_time_est"),
            ("date", Value::None),
            ("available_seats", py::get(instance, "available_seats").clone()),
            ("prices", py::get(instance, "prices").clone()),
        ]));
    }
    Ok(found)
}

pub(super) fn direct(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
    let wanted = Wanted {
        origin: &a[0],
        destination: &a[1],
        date: &a[2],
        leave_after: None,
    };
    Ok(Reply::List(find(w, &wanted)?.into_iter().map(Reply::Record).collect()))
}

/// The day on which one changes planes: the next one if the first flight arrives then. As in the reference it is written
/// without a leading zero, so that nothing connects before the tenth.
fn connecting_date(date: &Value, arrival: &str) -> Outcome<Value> {
    if !arrival.contains("+1") {
        return Ok(date.clone());
    }
    let text = date.to_string();
    let start = text.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
    match text[start..].trim().parse::<i64>() {
        Ok(day) => Ok(py::text(format!("2024-05-{}", day + 1))),
        Err(_) => raise(format!(
            "invalid literal for int() with base 10: {}",
            py::text(&text[start..]).repr()
        )),
    }
}

pub(super) fn one_stop(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
    let first = Wanted {
        origin: &a[0],
        destination: &Value::None,
        date: &a[2],
        leave_after: None,
    };
    let mut found = vec![];
    for mut first in find(w, &first)? {
        py::set(&mut first, "date", a[2].clone());
        let arrival = py::text_of(&first, "scheduled_arrival_time_est");
        let date = connecting_date(&a[2], arrival)?;
        let second = Wanted {
            origin: py::get(&first, "destination"),
            destination: &a[1],
            date: &date,
            leave_after: Some(arrival),
        };
        for mut second in find(w, &second)? {
            py::set(&mut second, "date", date.clone());
            found.push(Reply::List(vec![Reply::Record(first.clone()), Reply::Record(second)]));
        }
    }
    Ok(Reply::List(found))
}
