//! New reservations.

use super::schema::{FLIGHT_INFO, PASSENGER, PAYMENT, RESERVATION, RESERVED_FLIGHT};
use super::{AirlineState, entries, entry, records};
use crate::arithmetic::{add, add_times, multiply, order, subtract};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::Reply;
use std::cmp::Ordering;

/// The time at which everything happens.
const NOW: &str = "2024-05-15T15:00:00";

pub(super) fn book(w: &mut AirlineState, a: &[Value]) -> Outcome<Reply> {
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
    let flights = records(&FLIGHT_INFO, flights)?;
    let passengers = records(&PASSENGER, passengers)?;
    let payments = records(&PAYMENT, payments)?;
    let user = w.user(user_id)?;
    let free = ["HATHAT", "HATHAU", "HATHAV"]
        .into_iter()
        .find(|id| w.db.find("reservations", id).is_none());
    let Some(id) = free else {
        return raise("Too many reservations");
    };
    let mut reservation = RESERVATION.make([
        ("reservation_id", py::text(id)),
        ("user_id", user_id.clone()),
        ("origin", origin.clone()),
        ("destination", destination.clone()),
        ("flight_type", kind.clone()),
        ("cabin", cabin.clone()),
        ("flights", Value::List(vec![])),
        ("passengers", passengers.clone()),
        ("payment_history", payments.clone()),
        ("created_at", py::text(NOW)),
        ("total_baggages", bags.clone()),
        ("nonfree_baggages", paid_bags.clone()),
        ("insurance", insurance.clone()),
    ])?;
    let count = py::length(&passengers)?;
    let people = Value::from(count as i64);
    let mut total = Value::from(0);
    let mut booked = vec![];
    for info in &entries(&flights)? {
        let info = entry(info, "flight_number")?;
        let (number, date) = (py::get(info, "flight_number"), py::get(info, "date"));
        let (row, price) = w.seats(number, date, cabin, count)?;
        let flight = w.db.row("flights", row);
        let reserved = RESERVED_FLIGHT.make([
            ("origin", py::get(flight, "origin").clone()),
            ("destination", py::get(flight, "destination").clone()),
            ("flight_number", number.clone()),
            ("date", date.clone()),
            ("price", price.clone()),
        ])?;
        py::append(&mut reservation, "flights", reserved);
        booked.push((row, date.clone()));
        total = add(&total, "+=", &multiply(&price, &people)?)?;
    }
    if insurance.as_str() == Some("yes") {
        total = add(&total, "+=", &multiply(&Value::from(30), &people)?)?;
    }
    total = add_times(&total, 50, paid_bags)?;
    pay(w, user, &payments, &total)?;
    for (row, date) in booked {
        take_seats(w, row, &date, cabin, &people)?;
    }
    w.db.insert("reservations", id, reservation.clone());
    py::append(w.db.row_mut("users", user), "reservations", py::text(id));
    Ok(Reply::Record(reservation))
}

/// Check that the payments cover the total, then take them from the user's methods.
fn pay(w: &mut AirlineState, user: usize, payments: &Value, total: &Value) -> Outcome<()> {
    let mut sum = Value::from(0);
    for payment in py::iterate(payments)?.iter() {
        let (id, amount) = (py::get(payment, "payment_id"), py::get(payment, "amount"));
        let Some(method) = w.method(user, id)? else {
            return raise(format!("Payment method {id} not found"));
        };
        let limited = ["gift_card", "certificate"].contains(&py::text_of(method, "source"));
        if limited && order(py::get(method, "amount"), "<", amount)? == Some(Ordering::Less) {
            return raise(format!("Not enough balance in payment method {id}"));
        }
        sum = add(&sum, "+", amount)?;
    }
    if sum != *total {
        return raise(format!(
            "Payment amount does not add up, total price is {total}, but paid {sum}"
        ));
    }
    for payment in py::iterate(payments)?.iter() {
        let (id, amount) = (py::get(payment, "payment_id"), py::get(payment, "amount"));
        let Some(method) = w.method(user, id)? else {
            return raise(id.repr()); // a certificate that an earlier payment used up
        };
        match py::text_of(method, "source") {
            "gift_card" => w.deduct(user, id, amount)?,
            "certificate" => {
                if let Some(Value::Dict(methods)) = py::get_mut(w.db.row_mut("users", user), "payment_methods") {
                    methods.remove(id.as_str().unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn take_seats(w: &mut AirlineState, row: usize, date: &Value, cabin: &Value, people: &Value) -> Outcome<()> {
    let (date, cabin) = (date.as_str().unwrap_or_default(), cabin.as_str().unwrap_or_default());
    let dates = py::get_mut(w.db.row_mut("flights", row), "dates");
    let instance = dates.and_then(|dates| py::get_mut(dates, date));
    if let Some(seats) = instance.and_then(|instance| py::get_mut(instance, "available_seats")) {
        let left = subtract(py::get(seats, cabin), "-=", people)?;
        py::set(seats, cabin, left);
    }
    Ok(())
}
