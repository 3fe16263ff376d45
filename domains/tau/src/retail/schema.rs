//! The shop's records.

use crate::model::{Default, Field, Model, Type, optional, required};

const TEXTS: Type = Type::List(&Type::Str);

static VARIANT: Model = Model {
    name: "Variant",
    strict: false,
    fields: &[
        required("item_id", Type::Str),
        required("options", Type::Dict(&Type::Str)),
        required("available", Type::Bool),
        required("price", Type::Float),
    ],
};

static PRODUCT: Model = Model {
    name: "Product",
    strict: false,
    fields: &[
        required("name", Type::Str),
        required("product_id", Type::Str),
        required("variants", Type::Dict(&Type::Model(&VARIANT))),
    ],
};

static NAME: Model = Model {
    name: "UserName",
    strict: false,
    fields: &[required("first_name", Type::Str), required("last_name", Type::Str)],
};

/// A postal address.
pub(super) static ADDRESS: Model = Model {
    name: "UserAddress",
    strict: false,
    fields: &[
        required("address1", Type::Str),
        required("address2", Type::Str),
        required("city", Type::Str),
        required("country", Type::Str),
        required("state", Type::Str),
        required("zip", Type::Str),
    ],
};

static CREDIT_CARD: Model = Model {
    name: "CreditCard",
    strict: false,
    fields: &[
        required("source", Type::Literal(&["credit_card"])),
        required("id", Type::Str),
        required("brand", Type::Str),
        required("last_four", Type::Str),
    ],
};

static GIFT_CARD: Model = Model {
    name: "GiftCard",
    strict: false,
    fields: &[
        required("source", Type::Literal(&["gift_card"])),
        required("id", Type::Str),
        required("balance", Type::Float),
    ],
};

static PAYPAL: Model = Model {
    name: "Paypal",
    strict: false,
    fields: &[
        required("source", Type::Literal(&["paypal"])),
        required("id", Type::Str),
    ],
};

static USER: Model = Model {
    name: "User",
    strict: false,
    fields: &[
        required("user_id", Type::Str),
        required("name", Type::Model(&NAME)),
        required("address", Type::Model(&ADDRESS)),
        required("email", Type::Str),
        required(
            "payment_methods",
            Type::Dict(&Type::Union(&[&CREDIT_CARD, &GIFT_CARD, &PAYPAL])),
        ),
        required("orders", TEXTS),
    ],
};

static FULFILLMENT: Model = Model {
    name: "OrderFullfilment",
    strict: false,
    fields: &[required("tracking_id", TEXTS), required("item_ids", TEXTS)],
};

static ITEM: Model = Model {
    name: "OrderItem",
    strict: false,
    fields: &[
        required("name", Type::Str),
        required("product_id", Type::Str),
        required("item_id", Type::Str),
        required("price", Type::Float),
        required("options", Type::Dict(&Type::Str)),
    ],
};

/// A payment or a refund.
pub(super) static PAYMENT: Model = Model {
    name: "OrderPayment",
    strict: false,
    fields: &[
        required("transaction_type", Type::Literal(&["payment", "refund"])),
        required("amount", Type::Float),
        required("payment_method_id", Type::Str),
    ],
};

const STATUS: &[&str] = &[
    "processed",
    "pending",
    "pending (item modified)",
    "delivered",
    "cancelled",
    "exchange requested",
    "return requested",
];

const fn maybe(name: &'static str, ty: &'static Type) -> Field {
    optional(name, Type::Optional(ty), Default::None)
}

static ORDER: Model = Model {
    name: "Order",
    strict: false,
    fields: &[
        required("order_id", Type::Str),
        required("user_id", Type::Str),
        required("address", Type::Model(&ADDRESS)),
        required("items", Type::List(&Type::Model(&ITEM))),
        required("status", Type::Literal(STATUS)),
        required("fulfillments", Type::List(&Type::Model(&FULFILLMENT))),
        required("payment_history", Type::List(&Type::Model(&PAYMENT))),
        maybe(
            "cancel_reason",
            &Type::Literal(&["no longer needed", "ordered by mistake"]),
        ),
        maybe("exchange_items", &TEXTS),
        maybe("exchange_new_items", &TEXTS),
        maybe("exchange_payment_method_id", &Type::Str),
        maybe("exchange_price_difference", &Type::Float),
        maybe("return_items", &TEXTS),
        maybe("return_payment_method_id", &Type::Str),
    ],
};

/// The database.
pub(super) static DB: Model = Model {
    name: "RetailDB",
    strict: true,
    fields: &[
        required("products", Type::Dict(&Type::Model(&PRODUCT))),
        required("users", Type::Dict(&Type::Model(&USER))),
        required("orders", Type::Dict(&Type::Model(&ORDER))),
    ],
};
