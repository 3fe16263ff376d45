//! Changes of whole orders and of users.
//!
//! What an error leaves behind is part of the behaviour: changes that were made before it stay.

use super::schema::ADDRESS;
use super::{RetailState, payment, status};
use crate::py::{self, Value};
use crate::raised::{Outcome, hashable, raise};
use crate::toolkit::Reply;

pub(super) fn cancel(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    let row = w.order(&a[0])?;
    let order = w.db.row("orders", row).clone();
    if status(&order) != "pending" {
        return raise("Non-pending order cannot be cancelled");
    }
    hashable(&a[1])?;
    if !matches!(a[1].as_str(), Some("no longer needed" | "ordered by mistake")) {
        return raise("Invalid reason");
    }
    let mut refunds = vec![];
    for paid in py::list_of(&order, "payment_history") {
        let (amount, id) = (py::number_of(paid, "amount"), py::get(paid, "payment_method_id"));
        refunds.push(payment("refund", amount, id)?);
        let method = w.payment_method(py::get(&order, "user_id"), id)?;
        w.credit(&method, amount);
    }
    let order = w.db.row_mut("orders", row);
    py::set(order, "status", py::text("cancelled"));
    py::set(order, "cancel_reason", a[1].clone());
    for refund in refunds {
        py::append(order, "payment_history", refund);
    }
    Ok(Reply::Record(order.clone()))
}

/// The address out of the arguments address1, address2, city, state, country, zip.
fn address(a: &[Value]) -> Outcome<Value> {
    let names = ["address1", "address2", "city", "state", "country", "zip"];
    ADDRESS.make(names.into_iter().zip(a.iter().cloned()))
}

pub(super) fn change_address(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    let row = w.order(&a[0])?;
    if !status(w.db.row("orders", row)).contains("pending") {
        return raise("Non-pending order cannot be modified");
    }
    let address = address(&a[1..])?;
    let order = w.db.row_mut("orders", row);
    py::set(order, "address", address);
    Ok(Reply::Record(order.clone()))
}

pub(super) fn change_user_address(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    let row = w.user(&a[0])?;
    let address = address(&a[1..])?;
    let user = w.db.row_mut("users", row);
    py::set(user, "address", address);
    Ok(Reply::Record(user.clone()))
}

pub(super) fn change_payment(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    let row = w.order(&a[0])?;
    let order = w.db.row("orders", row).clone();
    if !status(&order).contains("pending") {
        return raise("Non-pending order cannot be modified");
    }
    let user = py::get(&order, "user_id");
    let method = w.payment_method(user, &a[1])?;
    let [paid] = py::list_of(&order, "payment_history") else {
        return raise("There should be exactly one payment for a pending order");
    };
    if py::text_of(paid, "transaction_type") != "payment" {
        return raise("There should be exactly one payment for a pending order");
    }
    let old = py::get(paid, "payment_method_id");
    if *old == a[1] {
        return raise("The new payment method should be different from the current one");
    }
    let amount = py::number_of(paid, "amount");
    if w.gift_card(&method).is_some_and(|balance| balance < amount) {
        return raise("Insufficient gift card balance to pay for the order");
    }
    let changes = [payment("payment", amount, &a[1])?, payment("refund", amount, old)?];
    for change in changes {
        py::append(w.db.row_mut("orders", row), "payment_history", change);
    }
    w.credit(&method, -amount);
    let old = w.payment_method(user, old)?;
    w.credit(&old, amount);
    Ok(Reply::Record(w.db.row("orders", row).clone()))
}
