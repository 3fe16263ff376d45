//! Changes of reservations and users.

use super::booking::{below, booked, count, found, seats};
use crate::arithmetic::{add, multiply, order, subtract};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::v1::tool::refuse;
use crate::v1::world::{World, field, row};
use std::cmp::Ordering;

pub(super) fn cancel(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(reservation) = a[0].as_str().and_then(|id| w.table_mut("reservations").get_mut(id)) else {
        row(w.table("reservations"), &a[0])?;
        refuse!("Error: reservation not found");
    };
    let mut refunds = vec![];
    for payment in py::iterate(field(reservation, "payment_history")?)?.iter() {
        let amount = subtract(&Value::from(0), "-", field(payment, "amount")?)?;
        refunds.push(py::record([
            ("payment_id", field(payment, "payment_id")?.clone()),
            ("amount", amount),
        ]));
    }
    for refund in refunds {
        py::append(reservation, "payment_history", refund);
    }
    py::set(reservation, "status", py::text("cancelled"));
    Ok(py::dumps(reservation, false))
}

pub(super) fn certificate(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(user) = a[0].as_str().and_then(|id| w.table_mut("users").get_mut(id)) else {
        row(w.table("users"), &a[0])?;
        refuse!("Error: user not found");
    };
    let Some(methods) = py::get_mut(user, "payment_methods") else {
        return raise("'payment_methods'");
    };
    for number in [3_221_322, 3_221_323, 3_221_324] {
        let id = format!("certificate_{number}");
        if py::has(methods, &id) {
            continue;
        }
        let new = [
            ("source", py::text("certificate")),
            ("amount", a[1].clone()),
            ("id", py::text(&id)),
        ];
        py::set(methods, &id, py::record(new));
        return Ok(format!("Certificate {id} added to user {} with amount {}.", a[0], a[1]));
    }
    Ok(String::new())
}

/// Whether a method of the user who made a reservation can pay: its source, or the refusal.
fn payer(w: &World, reservation: &Value, id: &Value, total: &Value) -> Outcome<Result<bool, String>> {
    let user = field(reservation, "user_id")?;
    let user = found(row(w.table("users"), user)?, user)?;
    let methods = field(user, "payment_methods")?;
    let Some(method) = py::keyed(id, |id| methods.get(id))? else {
        return Ok(Err("Error: payment method not found".to_owned()));
    };
    match field(method, "source")?.as_str() {
        Some("certificate") => Ok(Err("Error: certificate cannot be used to update reservation".to_owned())),
        Some("gift_card") if below(field(method, "amount")?, total)? => {
            Ok(Err("Error: gift card balance is not enough".to_owned()))
        }
        source => Ok(Ok(source == Some("gift_card"))),
    }
}

/// Take from a gift card.
fn deduct(w: &mut World, reservation: &Value, id: &Value, total: &Value) -> Outcome<()> {
    let user = w.table_mut("users").get_mut(py::text_of(reservation, "user_id"));
    let method = user
        .and_then(|user| py::get_mut(user, "payment_methods"))
        .and_then(|methods| py::get_mut(methods, id.as_str().unwrap_or_default()));
    if let Some(method) = method {
        let left = subtract(field(method, "amount")?, "-=", total)?;
        py::set(method, "amount", left);
    }
    Ok(())
}

/// Add what was paid to a reservation, unless it is nothing.
fn paid(reservation: &mut Value, id: &Value, total: &Value) {
    if *total != Value::from(0) {
        let payment = py::record([("payment_id", id.clone()), ("amount", total.clone())]);
        py::append(reservation, "payment_history", payment);
    }
}

pub(super) fn baggages(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(reservation) = row(w.table("reservations"), &a[0])?.cloned() else {
        refuse!("Error: reservation not found");
    };
    let more = subtract(&a[2], "-", field(&reservation, "nonfree_baggages")?)?;
    let zero = Value::from(0);
    let more = if order(&more, ">", &zero)? == Some(Ordering::Greater) {
        more
    } else {
        zero
    };
    let total = multiply(&Value::from(50), &more)?;
    let card = match payer(w, &reservation, &a[3], &total)? {
        Ok(card) => card,
        Err(why) => return Ok(why),
    };
    if card {
        deduct(w, &reservation, &a[3], &total)?;
    }
    let Some(reservation) = w.table_mut("reservations").get_mut(a[0].as_str().unwrap_or_default()) else {
        return raise(a[0].repr());
    };
    py::set(reservation, "total_baggages", a[1].clone());
    py::set(reservation, "nonfree_baggages", a[2].clone());
    paid(reservation, &a[3], &total);
    Ok(py::dumps(reservation, false))
}

pub(super) fn flights(w: &mut World, a: &[Value]) -> Outcome<String> {
    let (cabin, id) = (&a[1], &a[3]);
    let Some(reservation) = row(w.table("reservations"), &a[0])?.cloned() else {
        refuse!("Error: reservation not found");
    };
    let people = count(field(&reservation, "passengers")?)?;
    let held = py::list_of(&reservation, "flights");
    let mut flights = py::iterate(&a[2])?.into_owned();
    let mut total = Value::from(0);
    for flight in &mut flights {
        let (number, date) = (field(flight, "flight_number")?.clone(), field(flight, "date")?.clone());
        let same = |old: &&Value| {
            py::get(old, "flight_number") == &number
                && py::get(old, "date") == &date
                && cabin == py::get(&reservation, "cabin")
        };
        let (from, price) = match held.iter().find(same) {
            Some(old) => (old, field(old, "price")?),
            None => match seats(w, &number, &date, cabin, &people)? {
                Ok(found) => found,
                Err(why) => return Ok(why),
            },
        };
        booked(flight, price, field(from, "origin")?, field(from, "destination")?);
        total = add(&total, "+=", &multiply(price, &people)?)?;
    }
    let mut before = Value::from(0);
    for flight in held {
        before = add(&before, "+", field(flight, "price")?)?;
    }
    total = subtract(&total, "-=", &multiply(&before, &people)?)?;
    let card = match payer(w, &reservation, id, &total)? {
        Ok(card) => card,
        Err(why) => return Ok(why),
    };
    if card {
        deduct(w, &reservation, id, &total)?;
    }
    let Some(reservation) = w.table_mut("reservations").get_mut(a[0].as_str().unwrap_or_default()) else {
        return raise(a[0].repr());
    };
    // The cabin stays what it was, as in the reference.
    py::set(reservation, "flights", Value::List(flights));
    paid(reservation, id, &total);
    Ok(py::dumps(reservation, false))
}

pub(super) fn passengers(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(reservation) = a[0].as_str().and_then(|id| w.table_mut("reservations").get_mut(id)) else {
        row(w.table("reservations"), &a[0])?;
        refuse!("Error: reservation not found");
    };
    if py::length(&a[1])? != py::length(field(reservation, "passengers")?)? {
        refuse!("Error: number of passengers does not match");
    }
    py::set(reservation, "passengers", a[1].clone());
    Ok(py::dumps(reservation, false))
}
