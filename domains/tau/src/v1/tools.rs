//! The airline's tools as τ-bench has them. They differ from τ²-bench's in what they write, say and check.

use super::world::{World, field, item, row};
use crate::arithmetic::{add, multiply, order, subtract};
use crate::calculate::calculate;
use crate::py::{self, Value};
use crate::raised::{Outcome, Raised, raise};
use crate::toolkit::{Info, Kind, Param, Shape, bind, param};
use std::cmp::Ordering;

/// The tool that ends a run.
pub const TRANSFER: &str = "transfer_to_human_agents";

type Run = fn(&mut World, &[Value]) -> Outcome<String>;

/// A tool: the class that the reference names in error texts, what a model is told, what it does.
pub(super) struct Tool {
    class: &'static str,
    pub(super) info: Info,
    run: Run,
}

const fn tool(
    kind: Kind,
    name: &'static str,
    class: &'static str,
    about: &'static str,
    params: &'static [Param],
    run: Run,
) -> Tool {
    let info = Info {
        name,
        about,
        kind,
        mutates: matches!(kind, Kind::Write),
        params,
        defs: None,
    };
    Tool { class, info, run }
}

const USER: Param = param("user_id", Shape::Text, "The user's id, such as 'sara_doe_496'.");
const RESERVATION: Param = param("reservation_id", Shape::Text, "The reservation's id, such as 'ZFA04Y'.");
const ORIGIN: Param = param("origin", Shape::Text, "Airport code of the start, such as 'JFK'.");
const DESTINATION: Param = param("destination", Shape::Text, "Airport code of the goal, such as 'LAX'.");
const DATE: Param = param("date", Shape::Text, "The day, as YYYY-MM-DD, such as '2024-05-01'.");
const CABIN: Param = param(
    "cabin",
    Shape::OneOf(&["basic_economy", "economy", "business"]),
    "The cabin class.",
);
const FLIGHTS: Param = param(
    "flights",
    Shape::Json(
        r#"{"type": "array", "items": {"type": "object", "required": ["flight_number", "date"], "properties": {
            "flight_number": {"type": "string", "description": "Such as 'HAT001'."},
            "date": {"type": "string", "description": "As YYYY-MM-DD."}}}}"#,
    ),
    "Every flight of the whole reservation, those that stay included.",
);
const PASSENGERS: Param = param(
    "passengers",
    Shape::Json(
        r#"{"type": "array", "items": {"type": "object", "required": ["first_name", "last_name", "dob"], "properties": {
            "first_name": {"type": "string"}, "last_name": {"type": "string"},
            "dob": {"type": "string", "description": "Date of birth, as YYYY-MM-DD."}}}}"#,
    ),
    "Every passenger.",
);
const PAYMENTS: Param = param(
    "payment_methods",
    Shape::Json(
        r#"{"type": "array", "items": {"type": "object", "required": ["payment_id", "amount"], "properties": {
            "payment_id": {"type": "string", "description": "Which payment method of the user's."},
            "amount": {"type": "number", "description": "How much it pays."}}}}"#,
    ),
    "What is paid by which of the user's payment methods.",
);
const TOTAL_BAGS: Param = param("total_baggages", Shape::Integer, "How many bags in all.");
const PAID_BAGS: Param = param("nonfree_baggages", Shape::Integer, "How many of the bags are paid for.");
const METHOD: Param = param(
    "payment_id",
    Shape::Text,
    "Which of the user's payment methods pays or is refunded.",
);

/// All of them, in the reference's order.
pub(super) static TOOLS: [Tool; 14] = [
    tool(
        Kind::Write,
        "book_reservation",
        "BookReservation",
        "Book a trip.",
        &[
            USER,
            ORIGIN,
            DESTINATION,
            param(
                "flight_type",
                Shape::OneOf(&["one_way", "round_trip"]),
                "Whether the trip goes back.",
            ),
            CABIN,
            FLIGHTS,
            PASSENGERS,
            PAYMENTS,
            TOTAL_BAGS,
            PAID_BAGS,
            param(
                "insurance",
                Shape::OneOf(&["yes", "no"]),
                "Whether the trip is insured.",
            ),
        ],
        book,
    ),
    tool(
        Kind::Generic,
        "calculate",
        "Calculate",
        "Compute an arithmetic expression.",
        &[param(
            "expression",
            Shape::Text,
            "Numbers, the operators + - * /, parentheses and spaces, such as '2 + 2'.",
        )],
        |_, a| match &a[0] {
            Value::Str(text) if !text.chars().all(|c| "0123456789+-*/(). ".contains(c)) => {
                Ok("Error: invalid characters in expression".to_owned())
            }
            other => match calculate(other) {
                Ok(reply) => Ok(reply.shown()),
                Err(Raised(why)) => Ok(format!("Error: {why}")),
            },
        },
    ),
    tool(
        Kind::Write,
        "cancel_reservation",
        "CancelReservation",
        "Cancel a whole reservation.",
        &[RESERVATION],
        cancel,
    ),
    tool(
        Kind::Read,
        "get_reservation_details",
        "GetReservationDetails",
        "Look a reservation up.",
        &[RESERVATION],
        |w, a| {
            let found = row(&w.reservations, &a[0])?;
            Ok(found.map_or("Error: user not found".to_owned(), |found| py::dumps(found, false)))
        },
    ),
    tool(
        Kind::Read,
        "get_user_details",
        "GetUserDetails",
        "Look a user up, with their reservations.",
        &[USER],
        |w, a| {
            let found = row(&w.users, &a[0])?;
            Ok(found.map_or("Error: user not found".to_owned(), |found| py::dumps(found, false)))
        },
    ),
    tool(
        Kind::Read,
        "list_all_airports",
        "ListAllAirports",
        "List the airports with their cities.",
        &[],
        |_, _| {
            let airports = AIRPORTS.map(|(code, city)| (code, py::text(city)));
            Ok(py::dumps(&py::record(airports), false))
        },
    ),
    tool(
        Kind::Read,
        "search_direct_flight",
        "SearchDirectFlight",
        "Find direct flights between two cities on a day.",
        &[ORIGIN, DESTINATION, DATE],
        direct,
    ),
    tool(
        Kind::Read,
        "search_onestop_flight",
        "SearchOnestopFlight",
        "Find flights with one stop between two cities on a day.",
        &[ORIGIN, DESTINATION, DATE],
        one_stop,
    ),
    tool(
        Kind::Write,
        "send_certificate",
        "SendCertificate",
        "Send a user a certificate. Be careful.",
        &[USER, param("amount", Shape::Number, "Its worth.")],
        certificate,
    ),
    tool(
        Kind::Think,
        "think",
        "Think",
        "Note a thought. Nothing is looked up or changed.",
        &[param("thought", Shape::Text, "The thought.")],
        |_, _| Ok(String::new()),
    ),
    tool(
        Kind::Generic,
        TRANSFER,
        "TransferToHumanAgents",
        "Hand the user over to a person: if they ask for it, or if the tools cannot solve the matter.",
        &[param("summary", Shape::Text, "The user's matter, in short.")],
        |_, _| Ok("Transfer successful".to_owned()),
    ),
    tool(
        Kind::Write,
        "update_reservation_baggages",
        "UpdateReservationBaggages",
        "Change the bags of a reservation.",
        &[RESERVATION, TOTAL_BAGS, PAID_BAGS, METHOD],
        baggages,
    ),
    tool(
        Kind::Write,
        "update_reservation_flights",
        "UpdateReservationFlights",
        "Change the flights of a reservation.",
        &[RESERVATION, CABIN, FLIGHTS, METHOD],
        flights,
    ),
    tool(
        Kind::Write,
        "update_reservation_passengers",
        "UpdateReservationPassengers",
        "Change the passengers of a reservation.",
        &[RESERVATION, PASSENGERS],
        passengers,
    ),
];

const AIRPORTS: [(&str, &str); 20] = [
    ("SFO", "San Francisco"),
    ("JFK", "New York"),
    ("LAX", "Los Angeles"),
    ("ORD", "Chicago"),
    ("DFW", "Dallas"),
    ("DEN", "Denver"),
    ("SEA", "Seattle"),
    ("ATL", "Atlanta"),
    ("MIA", "Miami"),
    ("BOS", "Boston"),
    ("PHX", "Phoenix"),
    ("IAH", "Houston"),
    ("LAS", "Las Vegas"),
    ("MCO", "Orlando"),
    ("EWR", "Newark"),
    ("CLT", "Charlotte"),
    ("MSP", "Minneapolis"),
    ("DTW", "Detroit"),
    ("PHL", "Philadelphia"),
    ("LGA", "LaGuardia"),
];

impl World {
    /// What the agent is shown for a call. Errors are texts, some of which the tool itself gives, as in the reference.
    pub fn respond(&mut self, name: &str, arguments: &Value) -> String {
        let Some(tool) = TOOLS.iter().find(|tool| tool.info.name == name) else {
            return format!("Unknown action {name}");
        };
        let invoked = Info {
            name: "invoke",
            ..tool.info
        };
        let bound = bind(tool.class, &invoked, arguments);
        match bound.and_then(|bound| (tool.run)(self, &bound)) {
            Ok(text) => text,
            Err(Raised(why)) => format!("Error: {why}"),
        }
    }
}

/// `Err` of a text that the tool returns: what was changed before stays.
macro_rules! refuse {
    ($($text:tt)*) => { return Ok(format!($($text)*)) };
}

fn below(a: &Value, b: &Value) -> Outcome<bool> {
    Ok(order(a, "<", b)? == Some(Ordering::Less))
}

fn found<'a>(value: Option<&'a Value>, key: &Value) -> Outcome<&'a Value> {
    value.map_or_else(|| raise(key.repr()), Ok)
}

/// A flight on a day that can be booked for so many: the flight, and its price in the cabin; or why not.
fn seats<'a>(
    w: &'a World,
    number: &Value,
    date: &Value,
    cabin: &Value,
    people: &Value,
) -> Outcome<Result<(&'a Value, &'a Value), String>> {
    let Some(flight) = row(&w.flights, number)? else {
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
fn booked(flight: &mut Value, price: &Value, origin: &Value, destination: &Value) {
    py::set(flight, "price", price.clone());
    py::set(flight, "origin", origin.clone());
    py::set(flight, "destination", destination.clone());
}

fn count(value: &Value) -> Outcome<Value> {
    Ok(Value::from(py::length(value)? as i64))
}

fn book(w: &mut World, a: &[Value]) -> Outcome<String> {
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
    let Some(user) = row(&w.users, user_id)? else {
        refuse!("Error: user not found");
    };
    let ids = ["HATHAT", "HATHAU", "HATHAV"];
    let id = ids[..2]
        .iter()
        .find(|id| w.reservations.get(id).is_none())
        .unwrap_or(&ids[2]);
    let mut flights: Vec<Value> = py::iterate(flights)?.into_owned();
    let mut total = Value::from(0);
    for flight in &mut flights {
        let (number, date) = (field(flight, "flight_number")?.clone(), field(flight, "date").cloned());
        if row(&w.flights, &number)?.is_none() {
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
    total = add(&total, "+=", &multiply(&Value::from(50), paid_bags)?)?;
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
            .users
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
    w.reservations.insert(id, reservation.clone());
    if let Some(user) = w.users.get_mut(key) {
        py::append(user, "reservations", py::text(*id));
    }
    Ok(py::dumps(&reservation, false))
}

fn cancel(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(reservation) = a[0].as_str().and_then(|id| w.reservations.get_mut(id)) else {
        row(&w.reservations, &a[0])?;
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

fn direct(w: &mut World, a: &[Value]) -> Outcome<String> {
    let mut results = vec![];
    for flight in w.flights.values() {
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

fn one_stop(w: &mut World, a: &[Value]) -> Outcome<String> {
    let mut results = vec![];
    for first in w.flights.values() {
        if field(first, "origin")? != &a[0] {
            continue;
        }
        for second in w.flights.values() {
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

fn certificate(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(user) = a[0].as_str().and_then(|id| w.users.get_mut(id)) else {
        row(&w.users, &a[0])?;
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
    let user = found(row(&w.users, user)?, user)?;
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
    let user = w.users.get_mut(py::text_of(reservation, "user_id"));
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

fn baggages(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(reservation) = row(&w.reservations, &a[0])?.cloned() else {
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
    let Some(reservation) = w.reservations.get_mut(a[0].as_str().unwrap_or_default()) else {
        return raise(a[0].repr());
    };
    py::set(reservation, "total_baggages", a[1].clone());
    py::set(reservation, "nonfree_baggages", a[2].clone());
    paid(reservation, &a[3], &total);
    Ok(py::dumps(reservation, false))
}

fn flights(w: &mut World, a: &[Value]) -> Outcome<String> {
    let (cabin, id) = (&a[1], &a[3]);
    let Some(reservation) = row(&w.reservations, &a[0])?.cloned() else {
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
    let Some(reservation) = w.reservations.get_mut(a[0].as_str().unwrap_or_default()) else {
        return raise(a[0].repr());
    };
    // The cabin stays what it was, as in the reference.
    py::set(reservation, "flights", Value::List(flights));
    paid(reservation, id, &total);
    Ok(py::dumps(reservation, false))
}

fn passengers(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(reservation) = a[0].as_str().and_then(|id| w.reservations.get_mut(id)) else {
        row(&w.reservations, &a[0])?;
        refuse!("Error: reservation not found");
    };
    if py::length(&a[1])? != py::length(field(reservation, "passengers")?)? {
        refuse!("Error: number of passengers does not match");
    }
    py::set(reservation, "passengers", a[1].clone());
    Ok(py::dumps(reservation, false))
}
