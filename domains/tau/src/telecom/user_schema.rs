//! The customer's phone and surroundings.

use crate::model::{Default, Field, Model, Type, optional, required};
use crate::py::{self, Value};

/// Which networks the phone prefers.
pub(super) const MODES: &[&str] = &["4g_5g_preferred", "4g_only", "3g_only", "2g_only"];
/// How the phone is connected.
pub(super) const CONNECTIONS: &[&str] = &["connected", "searching", "no_service", "emergency_only"];
/// What an app may be allowed.
pub(super) const PERMISSIONS: &[&str] = &["sms", "storage", "phone", "network"];
const SIGNALS: &[&str] = &["none", "poor", "fair", "good", "excellent"];
const TECHNOLOGIES: &[&str] = &["none", "2G", "3G", "4G", "5G"];
const TEXT: Type = Type::Optional(&Type::Str);

const fn no(name: &'static str) -> Field {
    optional(name, Type::Bool, Default::Bool(false))
}

const fn named(name: &'static str, options: &'static [&'static str], default: &'static str) -> Field {
    optional(name, Type::Enum(options), Default::Str(default))
}

/// The access point settings.
pub(super) static APN: Model = Model {
    name: "APNSettings",
    strict: true,
    fields: &[
        named("apn_name", &["internet", "broken"], "internet"),
        no("reset_at_reboot"),
        optional("mms_apn", TEXT, Default::Str("mms")),
        optional("mmsc_url", TEXT, Default::Str("http://mms.carrier.com/mms/wapenc")),
        optional("mms_proxy", TEXT, Default::None),
        optional("mms_port", Type::Optional(&Type::Int), Default::None),
    ],
};

static VPN: Model = Model {
    name: "VpnDetails",
    strict: true,
    fields: &[
        optional("server_address", TEXT, Default::None),
        optional("protocol", TEXT, Default::None),
        named(
            "server_performance",
            &["unknown", "poor", "fair", "good", "excellent"],
            "unknown",
        ),
    ],
};

static APP_PERMISSIONS: Model = Model {
    name: "AppPermissions",
    strict: true,
    fields: &[no("sms"), no("storage"), no("phone"), no("network")],
};

static APP: Model = Model {
    name: "AppStatus",
    strict: true,
    fields: &[
        required("app_name", Type::Str),
        optional(
            "permissions",
            Type::Model(&APP_PERMISSIONS),
            Default::Make(|| permissions(&[])),
        ),
    ],
};

static DEVICE: Model = Model {
    name: "MockPhoneAttributes",
    strict: true,
    fields: &[
        named(
            "sim_card_status",
            &["active", "missing", "locked_pin", "locked_puk"],
            "active",
        ),
        no("sim_card_missing"),
        no("airplane_mode"),
        named("network_signal_strength", SIGNALS, "good"),
        named("network_technology_connected", TECHNOLOGIES, "5G"),
        named("network_connection_status", CONNECTIONS, "connected"),
        optional("battery_level", Type::Int, Default::Int(80)),
        optional("data_enabled", Type::Bool, Default::Bool(true)),
        no("roaming_enabled"),
        named("network_mode_preference", MODES, "4g_5g_preferred"),
        optional("active_apn_settings", Type::Model(&APN), Default::Make(default_apn)),
        no("wifi_enabled"),
        no("wifi_connected"),
        optional("wifi_ssid", TEXT, Default::None),
        named("wifi_signal_strength", SIGNALS, "none"),
        no("wifi_calling_enabled"),
        no("wifi_calling_mms_over_wifi"),
        no("data_saver_mode"),
        no("vpn_enabled_setting"),
        no("vpn_connected"),
        optional("vpn_details", Type::Optional(&Type::Model(&VPN)), Default::None),
        optional(
            "app_statuses",
            Type::Dict(&Type::Model(&APP)),
            Default::Make(default_apps),
        ),
    ],
};

/// A bill that the company asks the customer to pay.
pub(super) static PAYMENT_REQUEST: Model = Model {
    name: "PaymentRequest",
    strict: true,
    fields: &[
        required("bill_id", Type::Str),
        required("amount_due", Type::Float),
        no("paid"),
    ],
};

static SURROUNDINGS: Model = Model {
    name: "UserSurroundings",
    strict: true,
    fields: &[
        optional("name", TEXT, Default::None),
        optional("phone_number", TEXT, Default::None),
        no("is_abroad"),
        no("roaming_allowed"),
        optional(
            "signal_strength",
            Type::Keyed(TECHNOLOGIES, &Type::Enum(SIGNALS)),
            Default::Make(default_signals),
        ),
        no("mobile_data_usage_exceeded"),
        optional("line_active", Type::Bool, Default::Bool(true)),
        optional(
            "payment_request",
            Type::Optional(&Type::Model(&PAYMENT_REQUEST)),
            Default::None,
        ),
    ],
};

/// The database.
pub(super) static DB: Model = Model {
    name: "TelecomUserDB",
    strict: true,
    fields: &[
        optional("device", Type::Model(&DEVICE), Default::Make(|| made(&DEVICE))),
        optional(
            "surroundings",
            Type::Model(&SURROUNDINGS),
            Default::Make(|| made(&SURROUNDINGS)),
        ),
    ],
};

fn made(model: &Model) -> Value {
    // Every field of these models has a default that fits it.
    model.make([]).unwrap_or(Value::None)
}

/// The settings that a phone comes with.
pub(super) fn default_apn() -> Value {
    made(&APN)
}

fn permissions(granted: &[&str]) -> Value {
    py::record(
        PERMISSIONS
            .iter()
            .map(|name| (*name, Value::Bool(granted.contains(name)))),
    )
}

fn default_apps() -> Value {
    let app = |name: &'static str, granted| {
        let fields = [("app_name", py::text(name)), ("permissions", permissions(granted))];
        (name, py::record(fields))
    };
    py::record([
        app("messaging", &["sms", "storage", "phone"]),
        app("browser", &["network", "storage"]),
    ])
}

fn default_signals() -> Value {
    let signals = [("2G", "poor"), ("3G", "fair"), ("4G", "good"), ("5G", "excellent")];
    py::record(signals.map(|(technology, signal)| (technology, py::text(signal))))
}
