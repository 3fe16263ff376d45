//! Changes of whole orders and of users.

use super::{methods, movement, order, order_mut, settle};
use crate::arithmetic::{add, order as compare, subtract};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::v1::tool::refuse;
use crate::v1::world::{World, field, item, row};
use std::cmp::Ordering;

pub(super) fn cancel(w: &mut World, a: &[Value]) -> Outcome<String> {
    let order = match order(w, &a[0], "pending", "cancelled")? {
        Ok(order) => order.clone(),
        Err(why) => return Ok(why),
    };
    if !matches!(a[1].as_str(), Some("no longer needed" | "ordered by mistake")) {
        refuse!("Error: invalid reason");
    }
    let mut refunds = vec![];
    for paid in py::iterate(field(&order, "payment_history")?)?.iter() {
        let (id, amount) = (field(paid, "payment_method_id")?, field(paid, "amount")?);
        refunds.push(movement("refund", amount.clone(), id));
        if id.as_str().is_some_and(|id| id.contains("gift_card")) {
            settle(w, &order, id, |balance| add(balance, "+=", amount))?;
        }
    }
    let order = order_mut(w, &a[0])?;
    py::set(order, "status", py::text("cancelled"));
    py::set(order, "cancel_reason", a[1].clone());
    for refund in refunds {
        py::append(order, "payment_history", refund);
    }
    Ok(py::dumps(order, false))
}

/// The address out of the arguments address1, address2, city, state, country, zip.
fn address(a: &[Value]) -> Value {
    let names = ["address1", "address2", "city", "state", "country", "zip"];
    py::record(names.into_iter().zip(a.iter().cloned()))
}

pub(super) fn change_address(w: &mut World, a: &[Value]) -> Outcome<String> {
    if let Err(why) = order(w, &a[0], "pending", "modified")? {
        return Ok(why);
    }
    let order = order_mut(w, &a[0])?;
    py::set(order, "address", address(&a[1..]));
    Ok(py::dumps(order, false))
}

pub(super) fn change_user_address(w: &mut World, a: &[Value]) -> Outcome<String> {
    let Some(user) = a[0].as_str().and_then(|id| w.table_mut("users").get_mut(id)) else {
        row(w.table("users"), &a[0])?;
        refuse!("{}", super::NO_USER);
    };
    py::set(user, "address", address(&a[1..]));
    Ok(py::dumps(user, false))
}

pub(super) fn change_payment(w: &mut World, a: &[Value]) -> Outcome<String> {
    let order = match order(w, &a[0], "pending", "modified")? {
        Ok(order) => order.clone(),
        Err(why) => return Ok(why),
    };
    let held = methods(w, &order)?;
    let Some(method) = py::keyed(&a[1], |id| held.get(id))?.cloned() else {
        refuse!("Error: payment method not found");
    };
    let history = py::list_of(&order, "payment_history");
    let Some(first) = history.first() else {
        return raise("list index out of range");
    };
    if history.len() > 1 || field(first, "transaction_type")?.as_str() != Some("payment") {
        refuse!("Error: there should be exactly one payment for a pending order");
    }
    let old = field(first, "payment_method_id")?;
    if *old == a[1] {
        refuse!("Error: the new payment method should be different from the current one");
    }
    let amount = field(first, "amount")?;
    let card = field(&method, "source")?.as_str() == Some("gift_card");
    if card && compare(field(&method, "balance")?, "<", amount)? == Some(Ordering::Less) {
        refuse!("Error: insufficient gift card balance to pay for the order");
    }
    let changed = order_mut(w, &a[0])?;
    py::append(changed, "payment_history", movement("payment", amount.clone(), &a[1]));
    py::append(changed, "payment_history", movement("refund", amount.clone(), old));
    if card {
        settle(w, &order, &a[1], |balance| subtract(balance, "-=", amount))?;
    }
    if old.as_str().is_some_and(|id| id.contains("gift_card")) {
        item(methods(w, &order)?, old)?;
        settle(w, &order, old, |balance| add(balance, "+=", amount))?;
    }
    Ok(py::dumps(order_mut(w, &a[0])?, false))
}
