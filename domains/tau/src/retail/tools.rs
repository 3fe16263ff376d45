//! The shop's tools: what the model is told, and the ones that only look.

use super::{RetailState, items, orders};
use crate::calculate::calculate;
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::{Info, Kind, Param, Reply, Shape, Tool, param};
use crate::world::Kit;

const ORDER: Param = param(
    "order_id",
    Shape::Text,
    "The order's id with its leading '#', such as '#W0000000'.",
);
const USER: Param = param("user_id", Shape::Text, "The user's id, such as 'sara_doe_496'.");
const METHOD: Param = param(
    "payment_method_id",
    Shape::Text,
    "Which payment method pays or is refunded, such as 'gift_card_0000000' or 'credit_card_0000000'; the user's and \
     the order's details name them.",
);
const ITEMS: Param = param(
    "item_ids",
    Shape::Texts,
    "Ids of the items concerned, such as '1008292230'; an id may occur more than once.",
);
const NEW_ITEMS: Param = param(
    "new_item_ids",
    Shape::Texts,
    "Ids of the items wanted instead, each a variant of the product in the same place of item_ids.",
);
const ADDRESS1: Param = param("address1", Shape::Text, "First line, such as '123 Main St'.");
const ADDRESS2: Param = param("address2", Shape::Text, "Second line, such as 'Apt 1', or ''.");
const CITY: Param = param("city", Shape::Text, "City, such as 'San Francisco'.");
const STATE: Param = param("state", Shape::Text, "State, such as 'CA'.");
const COUNTRY: Param = param("country", Shape::Text, "Country, such as 'USA'.");
const ZIP: Param = param("zip", Shape::Text, "Zip code, such as '12345'.");

/// What is known of the tool of that name. There is one.
pub(crate) const fn told(name: &str) -> Info {
    let mut at = 0;
    while at < TOOLS.len() {
        if same(TOOLS[at].info.name.as_bytes(), name.as_bytes()) {
            return TOOLS[at].info;
        }
        at += 1;
    }
    panic!("the shop has no tool of that name")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

pub(super) static AGENT: Kit<RetailState> = Kit {
    class: "RetailTools",
    tools: TOOLS,
    functions: &[],
};

const TOOLS: &[Tool<RetailState>] = &[
    Tool::new(
        Kind::Generic,
        "calculate",
        "Compute an arithmetic expression.",
        &[param(
            "expression",
            Shape::Text,
            "Numbers, the operators + - * /, parentheses and spaces, such as '2 + 2'.",
        )],
        |_, a| calculate(&a[0]),
    ),
    Tool::new(
        Kind::Write,
        "cancel_pending_order",
        "Cancel a pending order; one that is processed or delivered cannot be cancelled. Explain the cancellation and \
             get the user's explicit yes first. What was paid is refunded: at once to a gift card, else within 5 to 7 \
             business days. Returns the order.",
        &[
            ORDER,
            param(
                "reason",
                Shape::Text,
                "Either 'no longer needed' or 'ordered by mistake'.",
            ),
        ],
        orders::cancel,
    ),
    Tool::new(
        Kind::Write,
        "exchange_delivered_order_items",
        "Exchange items of a delivered order for other variants of the same products. An order can be returned or \
             exchanged once only. Explain the exchange and get the user's explicit yes first. Returns the order.",
        &[ORDER, ITEMS, NEW_ITEMS, METHOD],
        items::exchange,
    ),
    Tool::new(
        Kind::Read,
        "find_user_id_by_name_zip",
        "Find a user's id by name and zip code. Use it only if the user cannot be found by email.",
        &[
            param("first_name", Shape::Text, "First name, such as 'John'."),
            param("last_name", Shape::Text, "Last name, such as 'Doe'."),
            ZIP,
        ],
        find_by_name,
    ),
    Tool::new(
        Kind::Read,
        "find_user_id_by_email",
        "Find a user's id by email address.",
        &[param(
            "email",
            Shape::Text,
            "The address, such as 'something@example.com'.",
        )],
        find_by_email,
    ),
    Tool::new(
        Kind::Read,
        "get_order_details",
        "Show an order: its status, items, payments and deliveries.",
        &[ORDER],
        |w, a| Ok(Reply::Record(w.db.row("orders", w.order(&a[0])?).clone())),
    ),
    Tool::new(
        Kind::Read,
        "get_product_details",
        "Show a product with all its variants.",
        &[param(
            "product_id",
            Shape::Text,
            "The product's id, such as '6086499569'. It is no item id.",
        )],
        |w, a| Ok(Reply::Record(w.product(&a[0])?.clone())),
    ),
    Tool::new(
        Kind::Read,
        "get_item_details",
        "Show an item: one variant of a product.",
        &[param(
            "item_id",
            Shape::Text,
            "The item's id, such as '6086499569'. It is no product id.",
        )],
        item_details,
    ),
    Tool::new(
        Kind::Read,
        "get_user_details",
        "Show a user: address, payment methods and order ids.",
        &[USER],
        |w, a| Ok(Reply::Record(w.db.row("users", w.user(&a[0])?).clone())),
    ),
    Tool::new(
        Kind::Read,
        "list_all_product_types",
        "List the names and product ids of all 50 product types; each has many items with ids of their own.",
        &[],
        product_types,
    ),
    Tool::new(
        Kind::Write,
        "modify_pending_order_address",
        "Change where a pending order is sent. Explain the change and get the user's explicit yes first.",
        &[ORDER, ADDRESS1, ADDRESS2, CITY, STATE, COUNTRY, ZIP],
        orders::change_address,
    ),
    Tool::new(
        Kind::Write,
        "modify_pending_order_items",
        "Replace items of a pending order by other variants of the same products. This can be done once per order. \
             Explain the change and get the user's explicit yes first.",
        &[ORDER, ITEMS, NEW_ITEMS, METHOD],
        items::modify,
    ),
    Tool::new(
        Kind::Write,
        "modify_pending_order_payment",
        "Change how a pending order is paid. Explain the change and get the user's explicit yes first.",
        &[ORDER, METHOD],
        orders::change_payment,
    ),
    Tool::new(
        Kind::Write,
        "modify_user_address",
        "Change a user's default address. Explain the change and get the user's explicit yes first.",
        &[USER, ADDRESS1, ADDRESS2, CITY, STATE, COUNTRY, ZIP],
        orders::change_user_address,
    ),
    Tool::new(
        Kind::Write,
        "return_delivered_order_items",
        "Return items of a delivered order. Explain the return and get the user's explicit yes first; an email then \
             tells the user how to send them back.",
        &[ORDER, ITEMS, METHOD],
        items::give_back,
    ),
    Tool::new(
        Kind::Generic,
        "transfer_to_human_agents",
        "Hand the user over to a human agent. Only for users who ask for one, and for what policy and tools cannot \
             solve.",
        &[param("summary", Shape::Text, "What the user's issue is.")],
        |_, _| Ok(Reply::text("Transfer successful")),
    ),
];

fn find_by_name(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    for (id, user) in w.db.rows("users") {
        let name = py::get(user, "name");
        if py::text_of(name, "first_name").to_lowercase() == py::lower(&a[0])?
            && py::text_of(name, "last_name").to_lowercase() == py::lower(&a[1])?
            && *py::get(py::get(user, "address"), "zip") == a[2]
        {
            return Ok(Reply::text(id));
        }
    }
    raise("User not found")
}

fn find_by_email(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    for (id, user) in w.db.rows("users") {
        if py::text_of(user, "email").to_lowercase() == py::lower(&a[0])? {
            return Ok(Reply::text(id));
        }
    }
    raise("User not found")
}

fn item_details(w: &mut RetailState, a: &[Value]) -> Outcome<Reply> {
    for (_, product) in w.db.rows("products") {
        let variants = py::get(product, "variants");
        if let Some(variant) = py::keyed(&a[0], |id| variants.get(id))? {
            return Ok(Reply::Record(variant.clone()));
        }
    }
    raise("Item not found")
}

fn product_types(w: &mut RetailState, _: &[Value]) -> Outcome<Reply> {
    let products = w.db.rows("products").map(|(_, product)| product);
    let ids = products.map(|product| (py::text_of(product, "name"), py::get(product, "product_id").clone()));
    Ok(Reply::text(py::dumps(&py::record(ids), true)))
}
