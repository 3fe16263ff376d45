//! The state of a store and what its tools do to it.
//!
//! Nothing here asks whether policy allows an effect: acting wrongly succeeds, and spoils the state.

use crate::words::COLORS;
use hone_tool::ToolError;
use hone_trace::ToolErrorClass;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Paid for, still in the store.
    Pending,
    /// On its way.
    Shipped,
    /// At the customer's.
    Delivered,
    /// Called off.
    Cancelled,
    /// Money given back.
    Refunded,
    /// Swapped for another color.
    Exchanged,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::Refunded,
        Self::Exchanged,
    ];

    /// As the tools write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
            Self::Exchanged => "exchanged",
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The order's status does not allow it.
    Status(Status),
    /// The return window is over.
    Late,
    /// The wanted color is gone.
    Stock,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Status(Status::Pending),
        Self::Status(Status::Shipped),
        Self::Status(Status::Delivered),
        Self::Status(Status::Cancelled),
        Self::Status(Status::Refunded),
        Self::Status(Status::Exchanged),
        Self::Late,
        Self::Stock,
    ];

    /// As the tools write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status(status) => status.name(),
            Self::Late => "late",
            Self::Stock => "stock",
        }
    }
}

/// Who buys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Customer {
    /// `c` and two digits.
    pub id: String,
    /// First and last name.
    pub name: String,
    /// Address for letters without paper.
    pub email: String,
    /// Money given back so far.
    pub credit: u32,
}

/// What was bought: one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    /// `W` and two or three digits.
    pub id: String,
    /// Id of the customer.
    pub customer: String,
    /// The item.
    pub item: &'static str,
    /// Its color, an index into [`COLORS`].
    pub color: usize,
    /// Where it goes.
    pub street: String,
    /// What it cost.
    pub price: u32,
    /// Where it is.
    pub status: Status,
    /// Days since delivery; 0 before it.
    pub days: u8,
    /// Why a request about it was refused.
    pub note: Option<&'static str>,
}

/// What is on the shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    /// The item.
    pub item: &'static str,
    /// Pieces of each of [`COLORS`]; below zero, pieces that were promised but are not there.
    pub stock: [i32; COLORS.len()],
}

/// The whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Store {
    /// Customers.
    pub customers: Vec<Customer>,
    /// Orders.
    pub orders: Vec<Order>,
    /// Products.
    pub products: Vec<Product>,
    /// Topics handed on to a person.
    pub tickets: Vec<&'static str>,
}

/// Topics that may be handed on to a person.
pub const TOPICS: [&str; 2] = ["unknown", "complaint"];

fn text<'a>(arguments: &'a Value, key: &str) -> Result<&'a str, ToolError> {
    arguments.get(key).and_then(Value::as_str).ok_or_else(|| ToolError {
        class: ToolErrorClass::InvalidArguments,
        message: format!("{key} is missing; give it as a string"),
    })
}

fn pair(key: &str, value: impl Into<Value>) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value.into())]))
}

fn color(arguments: &Value) -> Result<usize, ToolError> {
    let wanted = text(arguments, "color")?;
    COLORS
        .iter()
        .position(|color| *color == wanted)
        .ok_or_else(|| ToolError::tool("no such color"))
}

impl Store {
    fn customer(&self, test: impl Fn(&Customer) -> bool) -> Result<&Customer, ToolError> {
        self.customers
            .iter()
            .find(|customer| test(customer))
            .ok_or_else(|| ToolError::tool("no such customer"))
    }

    fn order(&mut self, arguments: &Value) -> Result<&mut Order, ToolError> {
        let id = text(arguments, "order")?;
        self.orders
            .iter_mut()
            .find(|order| order.id == id)
            .ok_or_else(|| ToolError::tool("no such order"))
    }

    fn product(&mut self, item: &str) -> Result<&mut Product, ToolError> {
        self.products
            .iter_mut()
            .find(|product| product.item == item)
            .ok_or_else(|| ToolError::tool("no such item"))
    }

    /// Run a tool.
    ///
    /// # Errors
    /// When an id, item or color is not known, or there is no such tool.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value, ToolError> {
        match tool {
            "find_customer" => {
                let name = text(arguments, "name")?;
                Ok(pair("customer", self.customer(|c| c.name == name)?.id.as_str()))
            }
            "find_email" => {
                let email = text(arguments, "email")?;
                Ok(pair("customer", self.customer(|c| c.email == email)?.id.as_str()))
            }
            "get_customer" => {
                let id = text(arguments, "customer")?;
                let customer = self.customer(|c| c.id == id)?;
                Ok(json!({"email": customer.email, "name": customer.name}))
            }
            "list_orders" => {
                let id = text(arguments, "customer")?;
                let customer = self.customer(|c| c.id == id)?;
                let own = self.orders.iter().filter(|order| order.customer == customer.id);
                let mut entries: Vec<_> = own.map(|o| (o.item.to_owned(), Value::from(o.id.as_str()))).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Ok(Value::Object(Map::from_iter(entries)))
            }
            "get_order" => {
                let order = self.order(arguments)?;
                if arguments.get("item").is_some_and(|item| *item != *order.item) {
                    return Err(ToolError::tool(format!("{} is for {}", order.id, order.item)));
                }
                Ok(match order.status {
                    Status::Delivered => {
                        json!({"days": format!("{:02}", order.days), "item": order.item, "status": order.status})
                    }
                    _ => json!({"item": order.item, "status": order.status}),
                })
            }
            "get_stock" => {
                let color = color(arguments)?;
                Ok(pair("stock", self.product(text(arguments, "item")?)?.stock[color]))
            }
            "cancel_order" => {
                self.order(arguments)?.status = Status::Cancelled;
                Ok(pair("done", "cancelled"))
            }
            "refund_order" => {
                let order = self.order(arguments)?;
                order.status = Status::Refunded;
                let (customer, price) = (order.customer.clone(), order.price);
                for owner in self.customers.iter_mut().filter(|c| c.id == customer) {
                    owner.credit = owner.credit.saturating_add(price);
                }
                Ok(pair("done", "refunded"))
            }
            "exchange_order" => {
                let color = color(arguments)?;
                let order = self.order(arguments)?;
                let (item, old) = (order.item, order.color);
                order.color = color;
                order.status = Status::Exchanged;
                let product = self.product(item)?;
                product.stock[old] += 1;
                product.stock[color] -= 1;
                Ok(pair("done", "exchanged"))
            }
            "change_address" => {
                let street = text(arguments, "street")?.to_owned();
                self.order(arguments)?.street = street;
                Ok(pair("done", "moved"))
            }
            "note_refusal" => {
                let wanted = text(arguments, "reason")?;
                let reason = Reason::ALL.iter().find(|reason| reason.name() == wanted);
                let reason = reason.ok_or_else(|| ToolError::tool("no such reason"))?.name();
                self.order(arguments)?.note = Some(reason);
                Ok(pair("noted", reason))
            }
            "escalate" => {
                let wanted = text(arguments, "topic")?;
                let topic = TOPICS.iter().find(|topic| **topic == wanted);
                let topic = topic.ok_or_else(|| ToolError::tool("no such topic"))?;
                self.tickets.push(topic);
                Ok(pair("escalated", *topic))
            }
            _ => Err(ToolError {
                class: ToolErrorClass::UnknownTool,
                message: format!("no such tool: {tool}"),
            }),
        }
    }

    /// The state as canonical JSON: sorted keys, lists in their fixed order.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).expect("strings and numbers always serialise")
    }

    /// SHA-256 of the state, in hex: over a byte encoding in which every text carries its length and every list its
    /// count, so that different states have different encodings.
    pub fn hash(&self) -> String {
        let mut bytes = Vec::with_capacity(1024);
        let count = |bytes: &mut Vec<u8>, n: usize| bytes.extend_from_slice(&(n as u32).to_le_bytes());
        let put = |bytes: &mut Vec<u8>, text: &str| {
            count(bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        };
        count(&mut bytes, self.customers.len());
        for customer in &self.customers {
            put(&mut bytes, &customer.id);
            put(&mut bytes, &customer.name);
            put(&mut bytes, &customer.email);
            bytes.extend_from_slice(&customer.credit.to_le_bytes());
        }
        count(&mut bytes, self.orders.len());
        for order in &self.orders {
            put(&mut bytes, &order.id);
            put(&mut bytes, &order.customer);
            put(&mut bytes, order.item);
            put(&mut bytes, &order.street);
            bytes.extend_from_slice(&order.price.to_le_bytes());
            bytes.extend_from_slice(&[order.color as u8, order.status as u8, order.days]);
            put(&mut bytes, order.note.unwrap_or(""));
        }
        count(&mut bytes, self.products.len());
        for product in &self.products {
            put(&mut bytes, product.item);
            product
                .stock
                .iter()
                .for_each(|pieces| bytes.extend_from_slice(&pieces.to_le_bytes()));
        }
        count(&mut bytes, self.tickets.len());
        self.tickets.iter().for_each(|topic| put(&mut bytes, topic));
        Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
