//! Changes of an order's items.

use super::{RetailState, payment, status};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::Reply;

/// Each item must be in the order as often as it is asked for.
fn check_counts(order: &Value, asked: &Value, missing: impl Fn(&Value) -> String) -> Outcome<()> {
    let held: Vec<Value> = py::list_of(order, "items")
        .iter()
        .map(|item| py::get(item, "item_id").clone())
        .collect();
    let held = Value::List(held);
    for id in py::iterate(asked)?.iter() {
        if py::count(asked, id)? > py::count(&held, id)? {
            return raise(missing(id));
        }
    }
    Ok(())
}

fn item_of<'a>(order: &'a Value, id: &Value) -> Outcome<&'a Value> {
    match py::list_of(order, "items")
        .iter()
        .find(|item| py::get(item, "item_id") == id)
    {
        Some(item) => Ok(item),
        None => raise(format!("Item {id} not found")),
    }
}

/// A check of an old and a new item id.
type Check = fn(&Value, &Value) -> Outcome<()>;

/// The price difference of new items over old ones, and the last new variant; `None` if there are no items.
fn difference(w: &RetailState, order: &Value, a: &[Value], check: Check) -> Outcome<Option<(f64, Value)>> {
    let mut found: Option<(f64, Value)> = None;
    for (old, new) in py::iterate(&a[1])?.iter().zip(py::iterate(&a[2])?.iter()) {
        check(old, new)?;
        let item = item_of(order, old)?;
        let variant = w.variant(py::get(item, "product_id"), new)?;
        if !py::flag(variant, "available") {
            return raise(format!("New item {new} not found or available"));
        }
        let step = py::number_of(variant, "price") - py::number_of(item, "price");
        let sum = found.map_or(0.0, |(sum, _)| sum) + step;
        found = Some((sum, variant.clone()));
    }
    Ok(found)
}

pub(super) fn exchange(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    let row = w.order(&a[0])?;
    let order = w.db.row("orders", row);
    if status(order) != "delivered" {
        return raise("Non-delivered order cannot be exchanged");
    }
    check_counts(order, &a[1], |id| format!("Number of {id} not found."))?;
    if py::length(&a[1])? != py::length(&a[2])? {
        return raise("The number of items to be exchanged should match.");
    }
    // Without items the reference's sum stays the integer 0, and the database then holds that.
    let (sum, shown) = match difference(w, order, a, |_, _| Ok(()))? {
        None => (0.0, Value::from(0)),
        Some((sum, _)) => (py::round2(sum), Value::Float(py::round2(sum))),
    };
    let method = w.payment_method(py::get(order, "user_id"), &a[3])?;
    if w.gift_card(&method).is_some_and(|balance| balance < sum) {
        return raise("Insufficient gift card balance to pay for the price difference");
    }
    let (old, new) = (py::sorted(&py::iterate(&a[1])?), py::sorted(&py::iterate(&a[2])?));
    let order = w.db.row_mut("orders", row);
    py::set(order, "status", py::text("exchange requested"));
    py::set(order, "exchange_items", old);
    py::set(order, "exchange_new_items", new);
    py::set(order, "exchange_payment_method_id", a[3].clone());
    py::set(order, "exchange_price_difference", shown);
    Ok(Reply::Record(order.clone()))
}

pub(super) fn modify(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    let row = w.order(&a[0])?;
    let order = w.db.row("orders", row);
    if status(order) != "pending" {
        return raise("Non-pending order cannot be modified");
    }
    check_counts(order, &a[1], |id| format!("{id} not found"))?;
    if py::length(&a[1])? != py::length(&a[2])? {
        return raise("The number of items to be exchanged should match");
    }
    let found = difference(w, order, a, |old, new| {
        if old == new {
            return raise("The new item id should be different from the old item id");
        }
        Ok(())
    })?;
    let sum = found.as_ref().map_or(0.0, |(sum, _)| *sum);
    let method = w.payment_method(py::get(order, "user_id"), &a[3])?;
    if w.gift_card(&method).is_some_and(|balance| balance < sum) {
        return raise("Insufficient gift card balance to pay for the new item");
    }
    let paid = payment(if sum > 0.0 { "payment" } else { "refund" }, sum.abs(), &a[3])?;
    py::append(w.db.row_mut("orders", row), "payment_history", paid);
    w.credit(&method, -sum);
    for (old, new) in py::iterate(&a[1])?.iter().zip(py::iterate(&a[2])?.iter()) {
        let order = w.db.row_mut("orders", row);
        let items = match py::get_mut(order, "items") {
            Some(Value::List(items)) => items.as_mut_slice(),
            _ => &mut [],
        };
        let Some(item) = items.iter_mut().find(|item| py::get(item, "item_id") == old) else {
            return raise(format!("Item {old} not found"));
        };
        // As in the reference, every item gets the price and the options of the last new one.
        if let Some((_, last)) = &found {
            py::set(item, "item_id", new.clone());
            py::set(item, "price", py::get(last, "price").clone());
            py::set(item, "options", py::get(last, "options").clone());
        }
    }
    let order = w.db.row_mut("orders", row);
    py::set(order, "status", py::text("pending (item modified)"));
    Ok(Reply::Record(order.clone()))
}

pub(super) fn give_back(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    let row = w.order(&a[0])?;
    let order = w.db.row("orders", row);
    if status(order) != "delivered" {
        return raise("Non-delivered order cannot be returned");
    }
    let method = w.payment_method(py::get(order, "user_id"), &a[2])?;
    if w.gift_card(&method).is_none() {
        let Some(first) = py::list_of(order, "payment_history").first() else {
            return raise("list index out of range");
        };
        if *py::get(first, "payment_method_id") != a[2] {
            return raise("Payment method should be the original payment method");
        }
    }
    check_counts(order, &a[1], |_| "Some item not found".to_owned())?;
    let asked = py::sorted(&py::iterate(&a[1])?);
    let order = w.db.row_mut("orders", row);
    py::set(order, "status", py::text("return requested"));
    py::set(order, "return_items", asked);
    py::set(order, "return_payment_method_id", a[2].clone());
    Ok(Reply::Record(order.clone()))
}
