//! A shop: users, their orders, the products.

mod items;
mod orders;
mod schema;
mod tools;

pub(crate) use tools::told;

use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::store::{Base, Db};
use crate::toolkit::Side;
use crate::world::{Kit, Live, State};
use std::sync::Arc;

/// The loaded database.
#[derive(Clone, Debug)]
pub struct Retail {
    base: Arc<Base>,
}

impl Retail {
    /// Check and index the database.
    ///
    /// # Errors
    /// When it does not fit its schema.
    pub fn load(data: &Value) -> Outcome<Self> {
        let base = Base::load(&schema::DB, data)?;
        Ok(Self { base })
    }

    /// A fresh world.
    ///
    /// # Errors
    /// Never.
    pub fn world(&self) -> Outcome<Live<RetailState>> {
        Live::new(RetailState {
            db: Db::new(&self.base),
        })
    }
}

/// An episode's database.
#[derive(Clone, Debug)]
pub struct RetailState {
    db: Db,
}

impl State for RetailState {
    const DOMAIN: &'static str = "retail";

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

impl RetailState {
    fn order(&self, id: &Value) -> Outcome<usize> {
        match py::keyed(id, |id| self.db.find("orders", id))? {
            Some(row) => Ok(row),
            None => raise("Order not found"),
        }
    }

    fn user(&self, id: &Value) -> Outcome<usize> {
        match py::keyed(id, |id| self.db.find("users", id))? {
            Some(row) => Ok(row),
            None => raise("User not found"),
        }
    }

    fn product(&self, id: &Value) -> Outcome<&Value> {
        match py::keyed(id, |id| self.db.get("products", id))? {
            Some(product) => Ok(product),
            None => raise("Product not found"),
        }
    }

    fn variant(&self, product: &Value, variant: &Value) -> Outcome<&Value> {
        let variants = py::get(self.product(product)?, "variants");
        match py::keyed(variant, |id| variants.get(id))? {
            Some(variant) => Ok(variant),
            None => raise("Variant not found"),
        }
    }

    /// A user's payment method: the user's row and the method's id.
    fn payment_method(&self, user: &Value, id: &Value) -> Outcome<Method> {
        let row = self.user(user)?;
        let methods = py::get(self.db.row("users", row), "payment_methods");
        match py::keyed(id, |id| methods.get(id).map(|_| id.to_owned()))? {
            Some(id) => Ok(Method { user: row, id }),
            None => raise("Payment method not found"),
        }
    }

    /// The balance of a gift card; `None` for another kind of method.
    fn gift_card(&self, method: &Method) -> Option<f64> {
        let methods = py::get(self.db.row("users", method.user), "payment_methods");
        let method = py::get(methods, &method.id);
        (py::text_of(method, "source") == "gift_card").then(|| py::number_of(method, "balance"))
    }

    /// Add to a gift card's balance and round it; nothing happens to another kind of method.
    fn credit(&mut self, method: &Method, amount: f64) {
        if let Some(balance) = self.gift_card(method) {
            let user = self.db.row_mut("users", method.user);
            let methods = py::get_mut(user, "payment_methods");
            if let Some(card) = methods.and_then(|methods| py::get_mut(methods, &method.id)) {
                py::set(card, "balance", Value::Float(py::round2(balance + amount)));
            }
        }
    }
}

/// Where a payment method is.
struct Method {
    user: usize,
    id: String,
}

fn status(order: &Value) -> &str {
    py::text_of(order, "status")
}

fn payment(kind: &str, amount: f64, method: &Value) -> Outcome<Value> {
    schema::PAYMENT.make([
        ("transaction_type", py::text(kind)),
        ("amount", Value::Float(amount)),
        ("payment_method_id", method.clone()),
    ])
}
