//! An airline: flights, users, reservations.

mod book;
mod change;
mod schema;
mod search;
mod tools;

use crate::arithmetic::{order, subtract};
use crate::model::Model;
use crate::py::{self, Value};
use crate::raised::{Outcome, hashable, no_attribute, raise};
use crate::store::{Base, Db};
use crate::toolkit::Side;
use crate::world::{Kit, Live, State};
use std::cmp::Ordering;
use std::sync::Arc;

/// The loaded database.
#[derive(Clone, Debug)]
pub struct Airline {
    base: Arc<Base>,
}

impl Airline {
    /// Check and index the database.
    ///
    /// # Errors
    /// When it does not fit its schema.
    pub fn load(data: &Value) -> Outcome<Self> {
        let base = Base::load(&schema::DB, data)?;
        Ok(Self { base })
    }

    /// Make the database out of τ-bench's three files. They lack the users' ids in their records; the keys have them.
    ///
    /// # Errors
    /// When they do not fit the schema.
    pub fn from_parts(flights: Value, mut users: Value, reservations: Value) -> Outcome<Self> {
        if let Value::Dict(users) = &mut users {
            for (id, user) in users.iter_mut() {
                if !py::has(user, "user_id") {
                    py::set(user, "user_id", id.clone());
                }
            }
        }
        let parts = [("flights", flights), ("users", users), ("reservations", reservations)];
        Self::load(&py::record(parts))
    }

    /// A fresh world.
    ///
    /// # Errors
    /// Never.
    pub fn world(&self) -> Outcome<Live<AirlineState>> {
        Live::new(AirlineState {
            db: Db::new(&self.base),
        })
    }
}

/// An episode's database.
#[derive(Clone, Debug)]
pub struct AirlineState {
    db: Db,
}

impl State for AirlineState {
    const DOMAIN: &'static str = "airline";

    fn kit(side: Side) -> Option<&'static Kit<Self>> {
        (side == Side::Assistant).then_some(&tools::AGENT)
    }

    fn db(&self, side: Side) -> Option<&Db> {
        (side == Side::Assistant).then_some(&self.db)
    }

    fn db_mut(&mut self, side: Side) -> Option<&mut Db> {
        (side == Side::Assistant).then_some(&mut self.db)
    }
}

impl AirlineState {
    fn find(&self, table: &str, kind: &str, id: &Value) -> Outcome<usize> {
        match py::keyed(id, |id| self.db.find(table, id))? {
            Some(row) => Ok(row),
            None => raise(format!("{kind} {id} not found")),
        }
    }

    fn user(&self, id: &Value) -> Outcome<usize> {
        self.find("users", "User", id)
    }

    fn reservation(&self, id: &Value) -> Outcome<usize> {
        self.find("reservations", "Reservation", id)
    }

    fn flight(&self, number: &Value) -> Outcome<usize> {
        self.find("flights", "Flight", number)
    }

    /// A flight's row and what is known of it on a date.
    fn flight_on(&self, number: &Value, date: &Value) -> Outcome<(usize, &Value)> {
        let row = self.flight(number)?;
        let dates = py::get(self.db.row("flights", row), "dates");
        match py::keyed(date, |date| dates.get(date))? {
            Some(instance) => Ok((row, instance)),
            None => raise(format!("Flight {number} not found on date {date}")),
        }
    }

    /// A flight that can be booked for so many passengers: its row, and its price in that cabin.
    fn seats(&self, number: &Value, date: &Value, cabin: &Value, passengers: usize) -> Outcome<(usize, Value)> {
        let (row, instance) = self.flight_on(number, date)?;
        if py::text_of(instance, "status") != "available" {
            return raise(format!("Flight {number} not available on date {date}"));
        }
        let seats = item(py::get(instance, "available_seats"), cabin)?;
        if order(seats, "<", &Value::from(passengers as i64))? == Some(Ordering::Less) {
            return raise(format!("Not enough seats on flight {number}"));
        }
        Ok((row, item(py::get(instance, "prices"), cabin)?.clone()))
    }

    fn method(&self, user: usize, id: &Value) -> Outcome<Option<&Value>> {
        let methods = py::get(self.db.row("users", user), "payment_methods");
        py::keyed(id, |id| methods.get(id))
    }

    /// Take an amount from a gift card.
    fn deduct(&mut self, user: usize, id: &Value, amount: &Value) -> Outcome<()> {
        let methods = py::get_mut(self.db.row_mut("users", user), "payment_methods");
        if let Some(card) = methods.and_then(|methods| py::get_mut(methods, id.as_str().unwrap_or_default())) {
            let rest = subtract(py::get(card, "amount"), "-=", amount)?;
            py::set(card, "amount", rest);
        }
        Ok(())
    }
}

/// `dictionary[key]`.
fn item<'a>(dictionary: &'a Value, key: &Value) -> Outcome<&'a Value> {
    hashable(key)?;
    match key.as_str().and_then(|key| dictionary.get(key)) {
        Some(value) => Ok(value),
        None => raise(key.repr()),
    }
}

/// A list of records out of an argument: if all its items are dictionaries, each becomes a record; else it stays as it is,
/// and whoever reads a field of an item fails.
fn records(model: &Model, given: &Value) -> Outcome<Value> {
    let items = py::iterate(given)?;
    if !items.iter().all(|item| matches!(item, Value::Dict(_))) {
        return Ok(given.clone());
    }
    Ok(Value::List(
        items.iter().map(|item| model.validate(item)).collect::<Outcome<_>>()?,
    ))
}

/// The items of what [`records`] made, `None` for those that are no records.
fn entries(given: &Value) -> Outcome<Vec<Result<Value, Value>>> {
    let items = py::iterate(given)?;
    let made = matches!(given, Value::List(_)) && items.iter().all(|item| matches!(item, Value::Dict(_)));
    Ok(items
        .iter()
        .map(|item| if made { Ok(item.clone()) } else { Err(item.clone()) })
        .collect())
}

/// An item of [`entries`], whose field is about to be read.
fn entry<'a>(item: &'a Result<Value, Value>, field: &str) -> Outcome<&'a Value> {
    match item {
        Ok(record) => Ok(record),
        Err(other) => no_attribute(other, field),
    }
}
