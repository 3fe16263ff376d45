//! Changes of reservations, and certificates.

use super::schema::{CERTIFICATE, FLIGHT_INFO, PASSENGER, PAYMENT, RESERVED_FLIGHT};
use super::{AirlineState, entries, entry, records};
use crate::arithmetic::{add, multiply, order, subtract};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::Reply;
use std::cmp::Ordering;

pub(super) fn cancel(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
    let row = w.reservation(&a[0])?;
    let mut refunds = vec![];
    for paid in py::list_of(w.db.row("reservations", row), "payment_history") {
        refunds.push(PAYMENT.make([
            ("payment_id", py::get(paid, "payment_id").clone()),
            ("amount", subtract(&Value::from(0), "-", py::get(paid, "amount"))?),
        ])?);
    }
    let reservation = w.db.row_mut("reservations", row);
    for refund in refunds {
        py::append(reservation, "payment_history", refund);
    }
    py::set(reservation, "status", py::text("cancelled"));
    Ok(Reply::Record(reservation.clone()))
}

/// Pay for a change, or be refunded: the payment, if there is any.
fn pay(w: &mut AirlineState, user: usize, id: &Value, total: &Value) -> Outcome<Option<Value>> {
    let Some(method) = w.method(user, id)? else {
        return raise("Payment method not found");
    };
    match py::text_of(method, "source") {
        "certificate" => return raise("Certificate cannot be used to update reservation"),
        "gift_card" => {
            if order(py::get(method, "amount"), "<", total)? == Some(Ordering::Less) {
                return raise("Gift card balance is not enough");
            }
            w.deduct(user, id, total)?;
        }
        _ => {}
    }
    if *total == Value::from(0) {
        return Ok(None);
    }
    PAYMENT
        .make([("payment_id", id.clone()), ("amount", total.clone())])
        .map(Some)
}

/// The user who made a reservation, and the reservation.
fn parties(w: &AirlineState, reservation: &Value) -> Outcome<(usize, usize)> {
    let row = w.reservation(reservation)?;
    let user = w.user(py::get(w.db.row("reservations", row), "user_id"))?;
    Ok((row, user))
}

pub(super) fn baggages(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
    let (row, user) = parties(w, &a[0])?;
    let more = subtract(&a[2], "-", py::get(w.db.row("reservations", row), "nonfree_baggages"))?;
    let zero = Value::from(0);
    let more = if order(&more, ">", &zero)? == Some(Ordering::Greater) {
        more
    } else {
        zero
    };
    let total = multiply(&Value::from(50), &more)?;
    let payment = pay(w, user, &a[3], &total)?;
    let reservation = w.db.row_mut("reservations", row);
    if let Some(payment) = payment {
        py::append(reservation, "payment_history", payment);
    }
    py::set(reservation, "total_baggages", a[1].clone());
    py::set(reservation, "nonfree_baggages", a[2].clone());
    Ok(Reply::Record(reservation.clone()))
}

pub(super) fn flights(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
    let (cabin, asked) = (&a[1], records(&FLIGHT_INFO, &a[2])?);
    let (row, user) = parties(w, &a[0])?;
    let reservation = w.db.row("reservations", row).clone();
    let held = py::list_of(&reservation, "flights");
    let count = py::length(py::get(&reservation, "passengers"))?;
    let people = Value::from(count as i64);
    let mut total = Value::from(0);
    let mut flights = vec![];
    for info in &entries(&asked)? {
        let info = entry(info, "flight_number")?;
        let (number, date) = (py::get(info, "flight_number"), py::get(info, "date"));
        let kept = held.iter().find(|flight| {
            py::get(flight, "flight_number") == number
                && py::get(flight, "date") == date
                && cabin == py::get(&reservation, "cabin")
        });
        let flight = match kept {
            Some(flight) => flight.clone(),
            None => {
                let (row, price) = w.seats(number, date, cabin, count)?;
                let flight = w.db.row("flights", row);
                RESERVED_FLIGHT.make([
                    ("flight_number", number.clone()),
                    ("date", date.clone()),
                    ("price", price),
                    ("origin", py::get(flight, "origin").clone()),
                    ("destination", py::get(flight, "destination").clone()),
                ])?
            }
        };
        total = add(&total, "+=", &multiply(py::get(&flight, "price"), &people)?)?;
        flights.push(flight);
    }
    let mut before = Value::from(0);
    for flight in held {
        before = add(&before, "+", py::get(flight, "price"))?;
    }
    total = subtract(&total, "-=", &multiply(&before, &people)?)?;
    let payment = pay(w, user, &a[3], &total)?;
    let reservation = w.db.row_mut("reservations", row);
    if let Some(payment) = payment {
        py::append(reservation, "payment_history", payment);
    }
    py::set(reservation, "flights", Value::List(flights));
    py::set(reservation, "cabin", cabin.clone());
    Ok(Reply::Record(reservation.clone()))
}

pub(super) fn passengers(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
    let asked = records(&PASSENGER, &a[1])?;
    let row = w.reservation(&a[0])?;
    let held = py::length(py::get(w.db.row("reservations", row), "passengers"));
    if py::length(&asked)? != held? {
        return raise("Number of passengers does not match");
    }
    let reservation = w.db.row_mut("reservations", row);
    py::set(reservation, "passengers", asked);
    Ok(Reply::Record(reservation.clone()))
}

pub(super) fn certificate(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
    let user = w.user(&a[0])?;
    for number in [3221322, 3221323, 3221324] {
        let id = py::text(format!("certificate_{number}"));
        if w.method(user, &id)?.is_some() {
            continue;
        }
        let new = CERTIFICATE.make([
            ("id", id.clone()),
            ("amount", a[1].clone()),
            ("source", py::text("certificate")),
        ])?;
        if let Some(methods) = py::get_mut(w.db.row_mut("users", user), "payment_methods") {
            py::set(methods, id.as_str().unwrap_or_default(), new);
        }
        let text = format!("Certificate {id} added to user {} with amount {}.", a[0], a[1]);
        return Ok(Reply::text(text));
    }
    raise("Too many certificates")
}
