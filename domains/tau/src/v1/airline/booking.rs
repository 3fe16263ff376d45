//! Booking a trip.

use crate::arithmetic::{add, add_times, multiply, order, subtract};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::v1::tool::refuse;
use crate::v1::world::{World, field, item, row};
use std::cmp::Ordering;

pub(super) fn below(a: &Value, b: &Value) -> Outcome<bool> {
    Ok(order(a, "<", b)? == Some(Ordering::Less))
}

pub(super) fn found<'a>(value: Option<&'a Value>, key: &Value) -> Outcome<&'a Value> {
    value.map_or_else(|| raise(key.repr()), Ok)
}

/// A flight on a day that can be booked for so many: the flight, and its price in the cabin; or why not.
pub(super) fn seats<'a>(
    w: &'a World,
    number: &Value,
    date: &Value,
    cabin: &Value,
    people: &Value,
) -> Outcome<Result<(&'a Value, &'a Value), String>> {
    let Some(flight) = row(w.table("flights"), number)? else {
        return Ok(Err(format!("Error: flight {number} not found")));
    };
    let dates = field(flight, "dates")?;
    let Some(day) = py::keyed(date, |date| dates.get(date))? else {
        return Ok(Err(format!("Error: flight {number} not found on date {date}")));
    };
    if field(day, "status")?.as_str() != Some("available") {
        return Ok(Err(format!("Error: flight {number} not available on date {date}")));
    }
    if below(item(field(day, "available_seats")?, cabin)?, people)? {
        return Ok(Err(format!("Error: not enough seats on flight {number}")));
    }
    Ok(Ok((flight, item(field(day, "prices")?, cabin)?)))
}

/// `flight[name] = value` for what a flight is booked at.
pub(super) fn booked(flight: &mut Value, price: &Value, origin: &Value, destination: &Value) {
    py::set(flight, "price", price.clone());
    py::set(flight, "origin", origin.clone());
    py::set(flight, "destination", destination.clone());
}

pub(super) fn count(value: &Value) -> Outcome<Value> {
    Ok(Value::from(py::length(value)? as i64))
}

pub(super) fn book(w: &mut World, a: &[Value]) -> Outcome<String> {
    let [
        user_id,
        origin,
        destination,
        kind,
        cabin,
        flights,
        passengers,
        payments,
        bags,
        paid_bags,
        insurance,
    ] = a
    else {
        return raise("book_reservation takes eleven arguments");
    };
    let Some(user) = row(w.table("users"), user_id)? else {
        refuse!("Error: user not found");
    };
    let ids = ["HATHAT", "HATHAU", "HATHAV"];
    let id = ids[..2]
        .iter()
        .find(|id| w.table("reservations").get(id).is_none())
        .unwrap_or(&ids[2]);
    let mut flights: Vec<Value> = py::iterate(flights)?.into_owned();
    let mut total = Value::from(0);
    for flight in &mut flights {
        let (number, date) = (field(flight, "flight_number")?.clone(), field(flight, "date").cloned());
        if row(w.table("flights"), &number)?.is_none() {
            refuse!("Error: flight {number} not found");
        }
        let people = count(passengers)?;
        let (found, price) = match seats(w, &number, &date?, cabin, &people)? {
            Ok(found) => found,
            Err(why) => return Ok(why),
        };
        booked(flight, price, field(found, "origin")?, field(found, "destination")?);
        total = add(&total, "+=", &multiply(price, &people)?)?;
    }
    if insurance.as_str() == Some("yes") {
        total = add(&total, "+=", &multiply(&Value::from(30), &count(passengers)?)?)?;
    }
    total = add_times(&total, 50, paid_bags)?;
    let methods = field(user, "payment_methods")?;
    let mut sum = Value::from(0);
    for payment in py::iterate(payments)?.iter() {
        let (id, amount) = (field(payment, "payment_id")?, field(payment, "amount")?);
        let Some(method) = py::keyed(id, |id| methods.get(id))? else {
            refuse!("Error: payment method {id} not found");
        };
        if matches!(field(method, "source")?.as_str(), Some("gift_card" | "certificate"))
            && below(field(method, "amount")?, amount)?
        {
            refuse!("Error: not enough balance in payment method {id}");
        }
        sum = add(&sum, "+", amount)?;
    }
    if sum != total {
        refuse!("Error: payment amount does not add up, total price is {total}, but paid {sum}");
    }
    let reservation = py::record([
        ("reservation_id", py::text(*id)),
        ("user_id", user_id.clone()),
        ("origin", origin.clone()),
        ("destination", destination.clone()),
        ("flight_type", kind.clone()),
        ("cabin", cabin.clone()),
        ("flights", Value::List(flights)),
        ("passengers", passengers.clone()),
        ("payment_history", payments.clone()),
        ("created_at", py::text("2024-05-15T15:00:00")),
        ("total_baggages", bags.clone()),
        ("nonfree_baggages", paid_bags.clone()),
        ("insurance", insurance.clone()),
    ]);
    let key = user_id.as_str().unwrap_or_default();
    for payment in py::iterate(payments)?.iter() {
        let (id, amount) = (field(payment, "payment_id")?, field(payment, "amount")?);
        let methods = w
            .table_mut("users")
            .get_mut(key)
            .and_then(|user| py::get_mut(user, "payment_methods"));
        let Some(Value::Dict(methods)) = methods else {
            return raise("'payment_methods'");
        };
        let name = id.as_str().unwrap_or_default();
        // A certificate that an earlier payment used up is gone.
        let method = found(methods.get(name), id)?;
        match field(method, "source")?.as_str() {
            Some("gift_card") => {
                let left = subtract(field(method, "amount")?, "-=", amount)?;
                if let Some(method) = methods.get_mut(name) {
                    py::set(method, "amount", left);
                }
            }
            Some("certificate") => {
                methods.remove(name);
            }
            _ => {}
        }
    }
    w.table_mut("reservations").insert(id, reservation.clone());
    if let Some(user) = w.table_mut("users").get_mut(key) {
        py::append(user, "reservations", py::text(*id));
    }
    Ok(py::dumps(&reservation, false))
}
