//! The faults: how each is caused and mended, and which issues combine them.

use super::{assertion, call, function, text_arguments};
use crate::message::ToolCall;
use crate::py::{self, Value};
use crate::task::{Assertion, FunctionCall};
use crate::toolkit::Side::{self, Assistant, User};

const BILL: &str = "B1234321";
const CUSTOMER: &str = "C1001";
const LINE: &str = "L1002";

/// A fault.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// The calls that bring it about.
    pub(super) cause: fn() -> Vec<FunctionCall>,
    /// The calls that mend it; `None` if nothing does.
    pub(super) mend: Option<fn() -> Vec<ToolCall>>,
    /// What must hold besides the issue's own assertions once it is mended.
    pub(super) assertion: Option<fn() -> Assertion>,
}

/// A kind of issue.
pub(super) struct Issue {
    pub(super) name: &'static str,
    /// At most one fault of each.
    pub(super) sets: &'static [&'static [Fault]],
    /// How many of the sets, from the first on, are not the issue's own.
    pub(super) foreign: usize,
    /// What must hold at the end, if the faults can be mended and if not.
    pub(super) assertions: fn(bool) -> Vec<Assertion>,
}

const fn fault(name: &'static str, cause: fn() -> Vec<FunctionCall>, mend: Option<fn() -> Vec<ToolCall>>) -> Fault {
    Fault {
        name,
        cause,
        mend,
        assertion: None,
    }
}

fn nothing() -> Value {
    py::record([])
}

fn flag(name: &str, value: bool) -> Value {
    py::record([(name, Value::Bool(value))])
}

fn line(more: &[(&str, Value)]) -> Value {
    let ids = [("customer_id", py::text(CUSTOMER)), ("line_id", py::text(LINE))];
    py::record(ids.into_iter().chain(more.iter().cloned()))
}

fn does(name: &str) -> Vec<FunctionCall> {
    vec![function(User, name, nothing())]
}

fn taps(names: &[&str]) -> Vec<ToolCall> {
    names.iter().map(|name| call(User, name, nothing())).collect()
}

fn mode(value: &str) -> Value {
    text_arguments(&[("mode", value)])
}

fn permission(name: &str) -> Value {
    text_arguments(&[("app_name", "messaging"), ("permission", name)])
}

fn loses(names: &[&str]) -> Vec<FunctionCall> {
    names
        .iter()
        .map(|name| function(User, "remove_app_permission", permission(name)))
        .collect()
}

fn grants(names: &[&str]) -> Vec<ToolCall> {
    names
        .iter()
        .map(|name| call(User, "grant_app_permission", permission(name)))
        .collect()
}

fn refuel() -> Value {
    line(&[("gb_amount", Value::Float(2.0))])
}

fn used(gb: f64) -> FunctionCall {
    function(Assistant, "set_data_usage", line(&[("data_used_gb", Value::Float(gb))]))
}

/// Abroad, with the phone's and the line's roaming as given.
fn abroad(phone: bool, allowed: bool) -> Vec<FunctionCall> {
    let mut calls = vec![function(User, "set_user_location", flag("abroad", true))];
    calls.extend(does(if phone { "turn_roaming_on" } else { "turn_roaming_off" }));
    if allowed {
        calls.push(function(Assistant, "enable_roaming", line(&[])));
    } else {
        calls.push(function(Assistant, "disable_roaming", line(&[])));
        calls.extend(does("simulate_network_search"));
    }
    calls
}

fn allow_roaming() -> ToolCall {
    call(Assistant, "enable_roaming", line(&[]))
}

fn suspend(contract_ended: bool) -> Vec<FunctionCall> {
    let more = [
        ("new_bill_id", py::text(BILL)),
        ("contract_ended", Value::Bool(contract_ended)),
    ];
    let mut calls = vec![function(Assistant, "suspend_line_for_overdue_bill", line(&more))];
    calls.extend(does("simulate_network_search"));
    calls
}

fn pay_and_resume() -> Vec<ToolCall> {
    vec![
        call(
            Assistant,
            "send_payment_request",
            text_arguments(&[("customer_id", CUSTOMER), ("bill_id", BILL)]),
        ),
        call(User, "make_payment", nothing()),
        call(Assistant, "resume_line", line(&[])),
        call(User, "reboot_device", nothing()),
    ]
}

const AIRPLANE: &[Fault] = &[fault(
    "airplane_mode_on",
    || does("turn_airplane_mode_on"),
    Some(|| taps(&["toggle_airplane_mode"])),
)];
const SIM: &[Fault] = &[fault(
    "unseat_sim_card",
    || does("unseat_sim_card"),
    Some(|| taps(&["reseat_sim_card"])),
)];
const SIM_LOCK: &[Fault] = &[fault(
    "lock_sim_card_pin",
    || vec![function(User, "lock_sim_card", mode("pin"))],
    None,
)];
const APN: &[Fault] = &[fault(
    "break_apn_settings",
    || does("break_apn_settings"),
    Some(|| taps(&["reset_apn_settings", "reboot_device"])),
)];
const SUSPENSION: &[Fault] = &[
    fault("overdue_bill_suspension", || suspend(false), Some(pay_and_resume)),
    fault("contract_end_suspension", || suspend(true), None),
];
const ROAMING: &[Fault] = &[
    fault(
        "user_abroad_roaming_enabled_off",
        || abroad(false, true),
        Some(|| taps(&["toggle_roaming"])),
    ),
    fault(
        "user_abroad_roaming_disabled_on",
        || abroad(true, false),
        Some(|| vec![allow_roaming()]),
    ),
    fault(
        "user_abroad_roaming_disabled_off",
        || abroad(false, false),
        Some(|| [vec![allow_roaming()], taps(&["toggle_roaming"])].concat()),
    ),
];
const DATA: &[Fault] = &[fault(
    "data_mode_off",
    || does("turn_data_off"),
    Some(|| taps(&["toggle_data"])),
)];
const SAVER: &[Fault] = &[fault(
    "data_saver_mode_on",
    || does("turn_data_saver_mode_on"),
    Some(|| taps(&["toggle_data_saver_mode"])),
)];
const PREFERENCE: &[Fault] = &[fault(
    "bad_network_preference",
    || vec![function(User, "set_network_mode_preference", mode("2g_only"))],
    Some(|| vec![call(User, "set_network_mode_preference", mode("4g_5g_preferred"))]),
)];
const VPN: &[Fault] = &[fault(
    "bad_vpn",
    || does("break_vpn"),
    Some(|| taps(&["disconnect_vpn"])),
)];
const USAGE: &[Fault] = &[
    Fault {
        name: "data_usage_exceeded",
        cause: || vec![used(15.1)],
        mend: Some(|| vec![call(Assistant, "refuel_data", refuel())]),
        assertion: Some(|| {
            let expected = line(&[("expected_amount", Value::Float(2.0))]);
            assertion(Assistant, "assert_data_refueling_amount", expected, None)
        }),
    },
    fault(
        "data_usage_exceeded_no_refuel",
        || vec![function(Assistant, "refuel_data", refuel()), used(17.1)],
        None,
    ),
];
const WIFI_CALLING: &[Fault] = &[fault(
    "bad_wifi_calling",
    || {
        let on = [("enabled", Value::Bool(true)), ("mms_over_wifi", Value::Bool(true))];
        vec![function(User, "set_wifi_calling", py::record(on))]
    },
    Some(|| taps(&["toggle_wifi_calling"])),
)];
const MMS_APN: &[Fault] = &[fault(
    "break_apn_mms_setting",
    || does("break_apn_mms_setting"),
    Some(|| taps(&["reset_apn_settings", "reboot_device"])),
)];
const PERMISSIONS: &[Fault] = &[
    fault(
        "break_app_sms_permission",
        || loses(&["sms"]),
        Some(|| grants(&["sms"])),
    ),
    fault(
        "break_app_storage_permission",
        || loses(&["storage"]),
        Some(|| grants(&["storage"])),
    ),
    fault(
        "break_app_both_permissions",
        || loses(&["sms", "storage"]),
        Some(|| grants(&["sms", "storage"])),
    ),
];

/// The issues, in the order of the generated tasks.
pub(super) const ISSUES: &[Issue] = &[
    Issue {
        name: "mobile_data_issue",
        sets: &[AIRPLANE, ROAMING, DATA, SAVER, PREFERENCE, VPN, USAGE],
        foreign: 1,
        assertions: |mendable| {
            let (speed, word) = if mendable {
                (200, py::text("excellent"))
            } else {
                (0, Value::None)
            };
            let speed = py::record([("expected_speed", Value::from(speed)), ("expected_desc", word)]);
            vec![
                holds(User, "assert_mobile_data_status", flag("expected_status", mendable)),
                holds(User, "assert_internet_speed", speed),
            ]
        },
    },
    Issue {
        name: "service_issue",
        sets: &[AIRPLANE, SIM, SIM_LOCK, APN, SUSPENSION],
        foreign: 0,
        assertions: |mendable| {
            let status = |status| text_arguments(&[("expected_status", status)]);
            if !mendable {
                return vec![holds(User, "assert_service_status", status("no_service"))];
            }
            vec![
                assertion(
                    User,
                    "assert_service_status",
                    status("connected"),
                    Some("Service status is not as expected"),
                ),
                assertion(
                    Assistant,
                    "assert_no_overdue_bill",
                    text_arguments(&[("overdue_bill_id", BILL)]),
                    Some("Overdue bill is not as expected"),
                ),
            ]
        },
    },
    Issue {
        name: "mms_issue",
        sets: &[
            AIRPLANE,
            SIM,
            DATA,
            USAGE,
            ROAMING,
            PREFERENCE,
            WIFI_CALLING,
            MMS_APN,
            PERMISSIONS,
        ],
        foreign: 5,
        assertions: |mendable| vec![holds(User, "assert_can_send_mms", flag("expected_status", mendable))],
    },
];

fn holds(side: Side, name: &str, arguments: Value) -> Assertion {
    assertion(side, name, arguments, None)
}
