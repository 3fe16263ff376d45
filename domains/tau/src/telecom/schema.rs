//! The company's records.

use crate::model::{Default, Field, Model, Type, optional, required};

const TEXT: Type = Type::Optional(&Type::Str);
const DATE: Type = Type::Optional(&Type::Date);
const TIME: Type = Type::Optional(&Type::DateTime);
const TEXTS: Type = Type::List(&Type::Str);

const fn maybe(name: &'static str, ty: Type) -> Field {
    optional(name, ty, Default::None)
}

static ADDRESS: Model = Model {
    name: "Address",
    strict: true,
    fields: &[
        required("street", Type::Str),
        required("city", Type::Str),
        required("state", Type::Str),
        required("zip_code", Type::Str),
    ],
};

static PLAN: Model = Model {
    name: "Plan",
    strict: true,
    fields: &[
        required("plan_id", Type::Str),
        required("name", Type::Str),
        required("data_limit_gb", Type::Float),
        required("price_per_month", Type::Float),
        required("data_refueling_price_per_gb", Type::Float),
    ],
};

static DEVICE: Model = Model {
    name: "Device",
    strict: true,
    fields: &[
        required("device_id", Type::Str),
        required(
            "device_type",
            Type::Enum(&["phone", "router", "tablet", "watch", "other"]),
        ),
        required("model", Type::Str),
        maybe("imei", TEXT),
        required("is_esim_capable", Type::Bool),
        optional("activated", Type::Bool, Default::Bool(false)),
        maybe("activation_date", TIME),
        maybe("last_esim_transfer_date", TIME),
    ],
};

static LINE: Model = Model {
    name: "Line",
    strict: true,
    fields: &[
        required("line_id", Type::Str),
        required("phone_number", Type::Str),
        optional(
            "status",
            Type::Enum(&["Active", "Suspended", "Pending Activation", "Closed"]),
            Default::Str("Pending Activation"),
        ),
        required("plan_id", Type::Str),
        maybe("device_id", TEXT),
        optional("data_used_gb", Type::Float, Default::Float(0.0)),
        optional("data_refueling_gb", Type::Float, Default::Float(0.0)),
        optional("roaming_enabled", Type::Bool, Default::Bool(false)),
        maybe("contract_end_date", DATE),
        maybe("last_plan_change_date", DATE),
        maybe("last_sim_replacement_date", DATE),
        maybe("suspension_start_date", DATE),
    ],
};

/// A charge or credit of a bill.
pub(super) static LINE_ITEM: Model = Model {
    name: "LineItem",
    strict: true,
    fields: &[
        required("description", Type::Str),
        required("amount", Type::Float),
        required("date", Type::Date),
        required("item_type", Type::Str),
    ],
};

/// A bill.
pub(super) static BILL: Model = Model {
    name: "Bill",
    strict: true,
    fields: &[
        required("bill_id", Type::Str),
        required("customer_id", Type::Str),
        required("period_start", Type::Date),
        required("period_end", Type::Date),
        required("issue_date", Type::Date),
        required("total_due", Type::Float),
        required("due_date", Type::Date),
        optional("line_items", Type::List(&Type::Model(&LINE_ITEM)), Default::EmptyList),
        optional(
            "status",
            Type::Enum(&["Draft", "Issued", "Awaiting Payment", "Paid", "Overdue", "Disputed"]),
            Default::Str("Draft"),
        ),
    ],
};

static PAYMENT_METHOD: Model = Model {
    name: "PaymentMethod",
    strict: true,
    fields: &[
        required("method_type", Type::Enum(&["Credit Card", "Debit Card", "PayPal"])),
        required("account_number_last_4", Type::Str),
        required("expiration_date", Type::Str),
    ],
};

static CUSTOMER: Model = Model {
    name: "Customer",
    strict: true,
    fields: &[
        required("customer_id", Type::Str),
        required("full_name", Type::Str),
        required("date_of_birth", Type::Str),
        required("email", Type::Str),
        required("phone_number", Type::Str),
        required("address", Type::Model(&ADDRESS)),
        optional(
            "account_status",
            Type::Enum(&["Active", "Suspended", "Pending Verification", "Closed"]),
            Default::Str("Pending Verification"),
        ),
        optional(
            "payment_methods",
            Type::List(&Type::Model(&PAYMENT_METHOD)),
            Default::EmptyList,
        ),
        optional("line_ids", TEXTS, Default::EmptyList),
        optional("bill_ids", TEXTS, Default::EmptyList),
        optional("created_at", Type::DateTime, Default::Str("2025-01-01")),
        maybe("last_extension_date", DATE),
        optional("goodwill_credit_used_this_year", Type::Float, Default::Float(0.0)),
    ],
};

/// The database.
pub(super) static DB: Model = Model {
    name: "TelecomDB",
    strict: true,
    fields: &[
        optional("plans", Type::List(&Type::Model(&PLAN)), Default::EmptyList),
        optional("customers", Type::List(&Type::Model(&CUSTOMER)), Default::EmptyList),
        optional("lines", Type::List(&Type::Model(&LINE)), Default::EmptyList),
        optional("bills", Type::List(&Type::Model(&BILL)), Default::EmptyList),
        optional("devices", Type::List(&Type::Model(&DEVICE)), Default::EmptyList),
    ],
};
