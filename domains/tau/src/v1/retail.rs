//! The shop's tools as τ-bench has them. What a model is told of them is what τ²-bench's are described with; what they write,
//! say and check differs.

mod items;
mod orders;

use super::Domain;
use super::tool::{CALCULATE, HAND_OVER, Run, THINK, Tool};
use super::world::{World, field, row};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::retail::told;

/// The shop.
pub(super) static RETAIL: Domain = Domain {
    name: "retail",
    about: "Serve a shop's customers by its policy, in conversation with a simulated user (τ-bench).",
    tables: &["orders", "products", "users"],
    tools: &TOOLS,
};

const fn tool(name: &'static str, class: &'static str, run: Run) -> Tool {
    Tool {
        class,
        info: told(name),
        run,
    }
}

static TOOLS: [Tool; 16] = [
    CALCULATE,
    tool("cancel_pending_order", "CancelPendingOrder", orders::cancel),
    tool(
        "exchange_delivered_order_items",
        "ExchangeDeliveredOrderItems",
        items::exchange,
    ),
    tool("find_user_id_by_email", "FindUserIdByEmail", by_email),
    tool("find_user_id_by_name_zip", "FindUserIdByNameZip", by_name),
    tool("get_order_details", "GetOrderDetails", |w, a| {
        details(w, "orders", "order", &a[0])
    }),
    tool("get_product_details", "GetProductDetails", |w, a| {
        details(w, "products", "product", &a[0])
    }),
    tool("get_user_details", "GetUserDetails", |w, a| {
        details(w, "users", "user", &a[0])
    }),
    tool("list_all_product_types", "ListAllProductTypes", product_types),
    tool(
        "modify_pending_order_address",
        "ModifyPendingOrderAddress",
        orders::change_address,
    ),
    tool("modify_pending_order_items", "ModifyPendingOrderItems", items::modify),
    tool(
        "modify_pending_order_payment",
        "ModifyPendingOrderPayment",
        orders::change_payment,
    ),
    tool("modify_user_address", "ModifyUserAddress", orders::change_user_address),
    tool(
        "return_delivered_order_items",
        "ReturnDeliveredOrderItems",
        items::give_back,
    ),
    THINK,
    HAND_OVER,
];

fn details(w: &World, table: &str, what: &str, id: &Value) -> Outcome<String> {
    let found = row(w.table(table), id)?;
    Ok(found.map_or_else(|| format!("Error: {what} not found"), |found| py::dumps(found, false)))
}

const NO_USER: &str = "Error: user not found";

fn by_email(w: &mut World, a: &[Value]) -> Outcome<String> {
    for (id, user) in w.table("users").iter() {
        if py::lower(field(user, "email")?)? == py::lower(&a[0])? {
            return Ok(id.to_owned());
        }
    }
    Ok(NO_USER.to_owned())
}

fn by_name(w: &mut World, a: &[Value]) -> Outcome<String> {
    for (id, user) in w.table("users").iter() {
        let name = field(user, "name")?;
        if py::lower(field(name, "first_name")?)? == py::lower(&a[0])?
            && py::lower(field(name, "last_name")?)? == py::lower(&a[1])?
            && *field(field(user, "address")?, "zip")? == a[2]
        {
            return Ok(id.to_owned());
        }
    }
    Ok(NO_USER.to_owned())
}

fn product_types(w: &mut World, _: &[Value]) -> Outcome<String> {
    let products = w.table("products").values();
    let ids = products.map(|product| (py::text_of(product, "name"), py::get(product, "product_id").clone()));
    Ok(py::dumps(&py::record(ids), true))
}

/// An order in a status, or why not.
fn order<'a>(w: &'a World, id: &Value, status: &str, done: &str) -> Outcome<Result<&'a Value, String>> {
    let Some(order) = row(w.table("orders"), id)? else {
        return Ok(Err("Error: order not found".to_owned()));
    };
    Ok(match field(order, "status")?.as_str() == Some(status) {
        true => Ok(order),
        false => Err(format!("Error: non-{status} order cannot be {done}")),
    })
}

/// The payment methods of the user who ordered.
fn methods<'a>(w: &'a World, order: &Value) -> Outcome<&'a Value> {
    let id = field(order, "user_id")?;
    match row(w.table("users"), id)? {
        Some(user) => field(user, "payment_methods"),
        None => raise(id.repr()),
    }
}

/// An order's row, to change it. It has been looked up before.
fn order_mut<'a>(w: &'a mut World, id: &Value) -> Outcome<&'a mut Value> {
    let found = id.as_str().and_then(|id| w.table_mut("orders").get_mut(id));
    found.map_or_else(|| raise(id.repr()), Ok)
}

/// A movement of an order's payment history.
fn movement(kind: &str, amount: Value, method: &Value) -> Value {
    py::record([
        ("transaction_type", py::text(kind)),
        ("amount", amount),
        ("payment_method_id", method.clone()),
    ])
}

/// `method["balance"] = round(change(method["balance"]), 2)` of the user who ordered.
fn settle(w: &mut World, order: &Value, method: &Value, change: impl FnOnce(&Value) -> Outcome<Value>) -> Outcome<()> {
    let user = py::text_of(order, "user_id").to_owned();
    let user = w.table_mut("users").get_mut(&user);
    let methods = user.and_then(|user| py::get_mut(user, "payment_methods"));
    let card = methods.and_then(|methods| py::get_mut(methods, method.as_str().unwrap_or_default()));
    let Some(card) = card else {
        return raise(method.repr());
    };
    let balance = change(field(card, "balance")?)?;
    py::set(card, "balance", rounded(balance));
    Ok(())
}

/// `round(value, 2)`: whole numbers stay what they are.
fn rounded(value: Value) -> Value {
    match value {
        Value::Float(number) => Value::Float(py::round2(number)),
        other => other,
    }
}
