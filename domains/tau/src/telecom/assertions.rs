//! What tasks assert about either side.

use super::connection::{mobile_data_works, speed};
use super::phone::can_send_mms;
use super::state::{TelecomState, compare};
use super::user_schema::CONNECTIONS;
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::Reply;

fn holds(value: bool) -> Outcome<Reply> {
    Ok(Reply::Plain(Value::Bool(value)))
}

pub(super) fn data_refueling_amount(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let line = w.agent.row("lines", w.target_line(&a[0], &a[1])?);
    let Some(expected) = py::number(&a[2]) else {
        return raise(format!(
            "unsupported operand type(s) for -: 'float' and '{}'",
            a[2].type_name()
        ));
    };
    holds((py::number_of(line, "data_refueling_gb") - expected).abs() < 1e-6)
}

pub(super) fn line_status(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let line = w.agent.row("lines", w.target_line(&a[0], &a[1])?);
    holds(*py::get(line, "status") == a[2])
}

pub(super) fn overdue_bill_exists(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let customer = w.agent.row("customers", w.customer(&a[0])?);
    if !py::list_of(customer, "bill_ids").contains(&a[1]) {
        return raise(format!("Overdue bill {} not found", a[1]));
    }
    if py::text_of(w.agent.row("bills", w.bill(&a[1])?), "status") != "Overdue" {
        return raise(format!("Overdue bill {} is not overdue", a[1]));
    }
    holds(true)
}

pub(super) fn no_overdue_bill(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    match w.bill(&a[0]) {
        Ok(bill) => holds(py::text_of(w.agent.row("bills", bill), "status") == "Paid"),
        Err(_) => holds(true),
    }
}

/// Whether a field of the phone has the expected value.
pub(super) fn device(w: &TelecomState, field: &str, a: &[Value]) -> Outcome<Reply> {
    holds(*py::get(w.device(), field) == a[0])
}

pub(super) fn service(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    if !a[0].as_str().is_some_and(|status| CONNECTIONS.contains(&status)) {
        return raise(format!("{} is not a valid NetworkStatus", a[0].repr()));
    }
    device(w, "network_connection_status", a)
}

pub(super) fn mobile_data(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    holds(Value::Bool(mobile_data_works(w)) == a[0])
}

pub(super) fn internet_speed(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let (speed, word) = speed(w);
    let fast = compare(&Value::Float(speed.unwrap_or_default()), ">=", &a[0])?;
    if a[1].is_none() || !fast {
        return holds(fast);
    }
    holds(word.to_lowercase() == py::lower(&a[1])?)
}

pub(super) fn internet_not_excellent(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    holds(speed(w).1 != "Excellent")
}

pub(super) fn mms(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    holds(can_send_mms(w)? == a[0])
}

pub(super) fn usage_exceeded(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    holds(*py::get(w.surroundings(), "mobile_data_usage_exceeded") == a[0])
}
