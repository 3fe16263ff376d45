//! Changes of an order's items.

use super::{methods, movement, order, order_mut, rounded, settle};
use crate::arithmetic::{add, order as compare, subtract};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::v1::tool::refuse;
use crate::v1::world::{World, field, item, row};
use std::cmp::Ordering;

/// The first item that is asked for more often than the order has it.
fn lacking(order: &Value, asked: &Value) -> Outcome<Option<Value>> {
    let held = py::iterate(field(order, "items")?)?;
    let held = held.iter().map(|item| field(item, "item_id").cloned());
    let held = Value::List(held.collect::<Result<_, _>>()?);
    for id in py::iterate(asked)?.iter() {
        if py::count(asked, id)? > py::count(&held, id)? {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}

fn position(order: &Value, id: &Value) -> Outcome<usize> {
    let found = py::list_of(order, "items")
        .iter()
        .position(|item| py::get(item, "item_id") == id);
    found.map_or_else(|| raise("list index out of range"), Ok)
}

/// A variant of the product of an item; none where the product has no such variant.
fn variant<'a>(w: &'a World, of: &Value, id: &Value) -> Outcome<Option<&'a Value>> {
    let product = field(of, "product_id")?;
    let Some(product) = row(w.table("products"), product)? else {
        return raise(product.repr());
    };
    let variants = field(product, "variants")?;
    py::keyed(id, |id| variants.get(id))
}

/// What new items cost more than old ones, or why they cannot be had.
fn difference(w: &World, order: &Value, a: &[Value]) -> Outcome<Result<Value, String>> {
    if let Some(id) = lacking(order, &a[1])? {
        return Ok(Err(format!("Error: {id} not found")));
    }
    if py::length(&a[1])? != py::length(&a[2])? {
        return Ok(Err("Error: the number of items to be exchanged should match".to_owned()));
    }
    let mut sum = Value::from(0);
    for (old, new) in py::iterate(&a[1])?.iter().zip(py::iterate(&a[2])?.iter()) {
        let held = &py::list_of(order, "items")[position(order, old)?];
        let wanted = match variant(w, held, new)? {
            Some(wanted) if py::flag(wanted, "available") => wanted,
            _ => return Ok(Err(format!("Error: new item {new} not found or available"))),
        };
        let step = subtract(field(wanted, "price")?, "-", field(held, "price")?)?;
        sum = add(&sum, "+=", &step)?;
    }
    Ok(Ok(sum))
}

/// Whether a method of the user who ordered is a gift card, or why it cannot pay so much.
fn payer(w: &World, order: &Value, id: &Value, sum: &Value, what: &str) -> Outcome<Result<bool, String>> {
    let held = methods(w, order)?;
    let Some(method) = py::keyed(id, |id| held.get(id))? else {
        return Ok(Err("Error: payment method not found".to_owned()));
    };
    let card = field(method, "source")?.as_str() == Some("gift_card");
    if card && compare(field(method, "balance")?, "<", sum)? == Some(Ordering::Less) {
        return Ok(Err(format!(
            "Error: insufficient gift card balance to pay for the {what}"
        )));
    }
    Ok(Ok(card))
}

pub(super) fn exchange(w: &mut World, a: &[Value]) -> Outcome<String> {
    let order = match order(w, &a[0], "delivered", "exchanged")? {
        Ok(order) => order.clone(),
        Err(why) => return Ok(why),
    };
    let sum = match difference(w, &order, a)? {
        Ok(sum) => rounded(sum),
        Err(why) => return Ok(why),
    };
    if let Err(why) = payer(w, &order, &a[3], &sum, "price difference")? {
        return Ok(why);
    }
    let (old, new) = (py::sorted(&py::iterate(&a[1])?), py::sorted(&py::iterate(&a[2])?));
    let order = order_mut(w, &a[0])?;
    py::set(order, "status", py::text("exchange requested"));
    py::set(order, "exchange_items", old);
    py::set(order, "exchange_new_items", new);
    py::set(order, "exchange_payment_method_id", a[3].clone());
    py::set(order, "exchange_price_difference", sum);
    Ok(py::dumps(order, false))
}

pub(super) fn modify(w: &mut World, a: &[Value]) -> Outcome<String> {
    let order = match order(w, &a[0], "pending", "modified")? {
        Ok(order) => order.clone(),
        Err(why) => return Ok(why),
    };
    let sum = match difference(w, &order, a)? {
        Ok(sum) => sum,
        Err(why) => return Ok(why),
    };
    let card = match payer(w, &order, &a[3], &sum, "new item")? {
        Ok(card) => card,
        Err(why) => return Ok(why),
    };
    let zero = Value::from(0);
    let (kind, amount) = match compare(&sum, ">", &zero)? {
        Some(Ordering::Greater) => ("payment", sum.clone()),
        Some(Ordering::Equal) => ("refund", sum.clone()),
        _ => ("refund", subtract(&zero, "-", &sum)?),
    };
    py::append(order_mut(w, &a[0])?, "payment_history", movement(kind, amount, &a[3]));
    if card {
        settle(w, &order, &a[3], |balance| subtract(balance, "-=", &sum))?;
    }
    for (old, new) in py::iterate(&a[1])?.iter().zip(py::iterate(&a[2])?.iter()) {
        let order = order_mut(w, &a[0])?;
        let at = position(order, old)?;
        let held = py::list_of(order, "items")[at].clone();
        let Some(Value::List(items)) = py::get_mut(order, "items") else {
            return raise("'items'");
        };
        py::set(&mut items[at], "item_id", new.clone());
        let Some(wanted) = variant(w, &held, new)?.cloned() else {
            return raise(new.repr());
        };
        let Some(Value::List(items)) = py::get_mut(order_mut(w, &a[0])?, "items") else {
            return raise("'items'");
        };
        for name in ["price", "options"] {
            py::set(&mut items[at], name, item(&wanted, &py::text(name))?.clone());
        }
    }
    let order = order_mut(w, &a[0])?;
    py::set(order, "status", py::text("pending (item modified)"));
    Ok(py::dumps(order, false))
}

pub(super) fn give_back(w: &mut World, a: &[Value]) -> Outcome<String> {
    let order = match order(w, &a[0], "delivered", "returned")? {
        Ok(order) => order.clone(),
        Err(why) => return Ok(why),
    };
    let held = methods(w, &order)?;
    if py::keyed(&a[2], |id| held.get(id))?.is_none() {
        refuse!("Error: payment method not found");
    }
    if !a[2].as_str().is_some_and(|id| id.contains("gift_card")) {
        let Some(first) = py::list_of(&order, "payment_history").first() else {
            return raise("list index out of range");
        };
        if *field(first, "payment_method_id")? != a[2] {
            refuse!("Error: payment method should be either the original payment method or a gift card");
        }
    }
    if lacking(&order, &a[1])?.is_some() {
        refuse!("Error: some item not found");
    }
    let asked = py::sorted(&py::iterate(&a[1])?);
    let order = order_mut(w, &a[0])?;
    py::set(order, "status", py::text("return requested"));
    py::set(order, "return_items", asked);
    py::set(order, "return_payment_method_id", a[2].clone());
    Ok(py::dumps(order, false))
}
