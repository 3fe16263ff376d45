//! The customer's tools: the phone's switches and displays.

use super::connection::{network_status, search_network, sim_status, speed_test, status_bar};
use super::phone::{self, with_bar};
use super::state::TelecomState;
use super::{assertions, user_schema::MODES};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::{Kind, Param, Reply, Shape, Tool, param};
use crate::world::Kit;

const APP: Param = param("app_name", Shape::Text, "The app's name.");
const EXPECTED: Param = param("expected_status", Shape::Boolean, "");

type Run = fn(&mut TelecomState, &[Value]) -> Outcome<Reply>;
type ToolOf = Tool<TelecomState>;

const fn show(name: &'static str, about: &'static str, run: Run) -> ToolOf {
    Tool::new(Kind::Read, name, about, &[], run)
}

const fn act(name: &'static str, about: &'static str, run: Run) -> ToolOf {
    Tool::new(Kind::Write, name, about, &[], run)
}

const fn assert(name: &'static str, params: &'static [Param], run: Run) -> ToolOf {
    Tool::new(Kind::Read, name, "", params, run)
}

const _: () = assert!(MODES.len() == 4, "the schema of set_network_mode_preference lists them");

pub(super) static KIT: Kit<TelecomState> = Kit {
    class: "TelecomUserTools",
    tools: &[
        show(
            "check_status_bar",
            "Look at your phone's status bar: signal, mobile data, Wi-Fi and battery.",
            |w, _| Ok(Reply::text(format!("Status Bar: {}", status_bar(w)))),
        ),
        show(
            "check_network_status",
            "Look at how your phone is connected: airplane mode, signal, network type, mobile data, roaming, Wi-Fi.",
            |w, _| Ok(Reply::text(network_status(w))),
        ),
        show(
            "check_network_mode_preference",
            "Look up which kind of network your phone prefers.",
            phone::network_mode,
        ),
        Tool::new(
            Kind::Write,
            "set_network_mode_preference",
            "Choose which kind of network your phone prefers, such as 5G or 4G. Faster ones may use more battery.",
            &[param(
                "mode",
                Shape::Json(r##"{"anyOf": [{"$ref": "#/$defs/NetworkModePreference"}, {"type": "string"}]}"##),
                "",
            )],
            phone::set_network_mode,
        )
        .with_defs(
            r#"{"NetworkModePreference": {"enum": ["4g_5g_preferred", "4g_only", "3g_only", "2g_only"],
                "title": "NetworkModePreference", "type": "string"}}"#,
        ),
        show(
            "run_speed_test",
            "Measure how fast your internet connection is and learn what it is good for.",
            |w, _| Ok(Reply::text(speed_test(w))),
        ),
        act(
            "toggle_airplane_mode",
            "Switch airplane mode on or off. When on, all radio connections are cut.",
            |w, _| {
                let on = toggle_airplane(w)?;
                with_bar(w, &format!("Airplane Mode is now {}.", word(on)))
            },
        ),
        show(
            "check_sim_status",
            "Look whether your SIM card works, is missing, or is locked by a PIN or PUK.",
            |w, _| {
                Ok(Reply::text(match sim_status(w) {
                    "active" => "Your SIM card is active and working.",
                    "missing" => "No SIM card detected in the phone.",
                    "locked_pin" => "The SIM card is locked with a PIN code.",
                    _ => "The SIM card is locked with a PUK code.",
                }))
            },
        ),
        act(
            "reseat_sim_card",
            "Take your SIM card out and put it back in; that can help when it is not recognised.",
            |w, _| {
                w.set_device("sim_card_missing", Value::Bool(false));
                search_network(w)?;
                if sim_status(w) == "missing" {
                    return raise(""); // an assertion of the reference
                }
                with_bar(w, "SIM card re-seated successfully.")
            },
        ),
        act(
            "toggle_data",
            "Switch your mobile data on or off.",
            |w, _| {
                let on = toggle(w, "data_enabled", true)?;
                with_bar(w, &format!("Mobile Data is now {}.", word(on)))
            },
        ),
        act(
            "toggle_roaming",
            "Switch data roaming on or off: whether your phone uses data outside your carrier's network.",
            |w, _| {
                let on = toggle(w, "roaming_enabled", true)?;
                with_bar(w, &format!("Data Roaming is now {}.", word(on)))
            },
        ),
        show(
            "check_data_restriction_status",
            "Look whether something limits your data, such as Data Saver mode.",
            |w, _| {
                Ok(Reply::text(if py::get(w.device(), "data_saver_mode").truthy() {
                    "Data Saver mode is ON (limits data usage)."
                } else {
                    "Data Saver mode is OFF."
                }))
            },
        ),
        act(
            "toggle_data_saver_mode",
            "Switch Data Saver mode on or off. It saves data and may slow it down.",
            |w, _| {
                let on = toggle(w, "data_saver_mode", false)?;
                with_bar(w, &format!("Data Saver Mode is now {}.", word(on)))
            },
        ),
        show(
            "check_apn_settings",
            "Look at the settings by which your phone connects to the carrier's data network and sends pictures.",
            phone::apn_settings,
        ),
        Tool::new(
            Kind::Write,
            "set_apn_settings",
            "Enter new access point settings.",
            &[param(
                "apn_settings",
                Shape::Json(
                    r##"{"anyOf": [{"$ref": "#/$defs/APNSettings"}, {"additionalProperties": true, "type": "object"}]}"##,
                ),
                "",
            )],
            phone::set_apn_settings,
        )
        .with_defs(APN_DEFS),
        act(
            "reset_apn_settings",
            "Set the access point settings back; this takes effect at the next restart.",
            phone::reset_apn_settings,
        ),
        show("check_wifi_status", "Look at your Wi-Fi: whether it is on, its network and signal.", wifi_status),
        act("toggle_wifi", "Switch your phone's Wi-Fi on or off.", toggle_wifi),
        show(
            "check_wifi_calling_status",
            "Look whether your phone makes calls over Wi-Fi.",
            |w, _| {
                let on = py::get(w.device(), "wifi_calling_enabled").truthy();
                Ok(Reply::text(format!("Wi-Fi Calling is currently turned {}.", word(on))))
            },
        ),
        act(
            "toggle_wifi_calling",
            "Switch calls over Wi-Fi on or off; they help where the cellular signal is weak.",
            |w, _| {
                let on = toggle(w, "wifi_calling_enabled", false)?;
                with_bar(w, &format!("Wi-Fi Calling is now {}.", word(on)))
            },
        ),
        show("check_vpn_status", "Look whether a VPN is on and connected, and which.", phone::vpn_status),
        act("connect_vpn", "Connect your VPN.", phone::connect_vpn),
        act(
            "disconnect_vpn",
            "Disconnect the VPN, if one is connected; your traffic no longer goes through its server.",
            phone::disconnect_vpn,
        ),
        show("check_installed_apps", "List the apps on your phone.", phone::apps),
        Tool::new(
            Kind::Read,
            "check_app_status",
            "Look at an app and what it may do.",
            &[param("app_name", Shape::Text, "")],
            phone::app_status,
        ),
        Tool::new(
            Kind::Read,
            "check_app_permissions",
            "Look up what an app may do, such as using the storage.",
            &[param("app_name", Shape::Text, "")],
            phone::app_permissions,
        ),
        Tool::new(
            Kind::Write,
            "grant_app_permission",
            "Allow an app something that it needs to work.",
            &[APP, param("permission", Shape::Text, "The permission, in lower case.")],
            phone::grant_permission,
        ),
        show("can_send_mms", "Look whether your messaging app can send picture messages.", |w, _| {
            Ok(Reply::text(if phone::can_send_mms(w)?.truthy() {
                "Your messaging app can send MMS messages."
            } else {
                "Your messaging app cannot send MMS messages."
            }))
        }),
        act("reboot_device", "Restart your phone; that clears up many problems.", phone::reboot),
        show("check_payment_request", "Look whether you are asked to pay a bill.", |w, _| {
            let request = py::get(w.surroundings(), "payment_request");
            Ok(Reply::text(if request.is_none() {
                "No payment request has been made.".to_owned()
            } else {
                let (bill, due) = (py::get(request, "bill_id"), py::get(request, "amount_due"));
                format!("You have a payment request for bill {bill} of {due} USD.")
            }))
        }),
        act("make_payment", "Pay the bill that you are asked to pay.", make_payment),
    ],
    functions: &[
        Tool::new(
            Kind::Write,
            "set_user_info",
            "",
            &[param("name", Shape::Text, ""), param("phone_number", Shape::Text, "")],
            |w, a| {
                w.set_surroundings("name", a[0].clone());
                w.set_surroundings("phone_number", a[1].clone());
                Ok(NOTHING)
            },
        ),
        Tool::new(Kind::Write, "set_user_location", "", &[param("abroad", Shape::Boolean, "")], |w, a| {
            w.set_surroundings("is_abroad", a[0].clone());
            Ok(NOTHING)
        }),
        act("simulate_network_search", "", |w, _| {
            search_network(w)?;
            Ok(NOTHING)
        }),
        act("turn_airplane_mode_on", "", |w, _| turn_airplane(w, true)),
        act("turn_airplane_mode_off", "", |w, _| turn_airplane(w, false)),
        act("unseat_sim_card", "", |w, _| {
            w.set_device("sim_card_missing", Value::Bool(true));
            search_network(w)?;
            Ok(Reply::text("SIM card un-seated successfully."))
        }),
        Tool::new(Kind::Write, "lock_sim_card", "", &[param("mode", Shape::OneOf(&["pin", "puk"]), "")], |w, a| {
            if let Some(mode @ ("pin" | "puk")) = a[0].as_str() {
                w.set_device("sim_card_status", py::text(format!("locked_{mode}")));
            }
            search_network(w)?;
            Ok(Reply::text(format!("SIM card locked successfully in {} mode.", a[0])))
        }),
        act("turn_data_on", "", |w, _| {
            w.set_device("data_enabled", Value::Bool(true));
            Ok(Reply::text("Data connection restored."))
        }),
        act("turn_data_off", "", |w, _| {
            turn(w, "data_enabled", true, false)?;
            Ok(Reply::text("Data connection broken."))
        }),
        act("turn_roaming_on", "", |w, _| {
            turn(w, "roaming_enabled", true, true)?;
            Ok(Reply::text("Data Roaming is now ON."))
        }),
        act("turn_roaming_off", "", |w, _| {
            turn(w, "roaming_enabled", true, false)?;
            Ok(Reply::text("Data Roaming is now OFF."))
        }),
        act("turn_data_saver_mode_on", "", |w, _| {
            turn(w, "data_saver_mode", false, true)?;
            Ok(Reply::text("Data Saver Mode is now ON."))
        }),
        act("turn_data_saver_mode_off", "", |w, _| {
            turn(w, "data_saver_mode", false, false)?;
            Ok(Reply::text("Data Saver Mode is now OFF."))
        }),
        act("break_apn_settings", "", phone::break_apn),
        act("break_apn_mms_setting", "", phone::break_apn_mms),
        Tool::new(
            Kind::Write,
            "set_wifi_calling",
            "",
            &[
                param("enabled", Shape::Boolean, ""),
                Param {
                    name: "mms_over_wifi",
                    about: "",
                    shape: Shape::Boolean,
                    default: Some("null"),
                },
            ],
            set_wifi_calling,
        ),
        act("break_vpn", "", phone::break_vpn),
        Tool::new(
            Kind::Write,
            "remove_app_permission",
            "",
            &[APP, param("permission", Shape::Text, "")],
            phone::remove_permission,
        ),
        assert("assert_airplane_mode_status", &[EXPECTED], |w, a| assertions::device(w, "airplane_mode", a)),
        assert("assert_service_status", &[param("expected_status", Shape::Text, "")], assertions::service),
        assert("assert_mobile_data_status", &[EXPECTED], assertions::mobile_data),
        assert("assert_mobile_roaming_status", &[EXPECTED], |w, a| assertions::device(w, "roaming_enabled", a)),
        assert("assert_mobile_data_saver_mode_status", &[EXPECTED], |w, a| {
            assertions::device(w, "data_saver_mode", a)
        }),
        assert(
            "assert_internet_speed",
            &[
                param("expected_speed", Shape::Number, ""),
                Param {
                    name: "expected_desc",
                    about: "",
                    shape: Shape::Text,
                    default: Some("null"),
                },
            ],
            assertions::internet_speed,
        ),
        assert("assert_internet_not_excellent", &[], assertions::internet_not_excellent),
        assert("assert_can_send_mms", &[EXPECTED], assertions::mms),
        assert("assert_mobile_data_usage_exceeded", &[EXPECTED], assertions::usage_exceeded),
    ],
};

const NOTHING: Reply = Reply::Plain(Value::None);

const APN_DEFS: &str = r##"{
    "APNNames": {"enum": ["internet", "broken"], "title": "APNNames", "type": "string"},
    "APNSettings": {
        "additionalProperties": false, "title": "APNSettings", "type": "object",
        "properties": {
            "apn_name": {"$ref": "#/$defs/APNNames", "default": "internet"},
            "reset_at_reboot": {"default": false, "title": "Reset At Reboot", "type": "boolean"},
            "mms_apn": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": "mms", "title": "Mms Apn"},
            "mmsc_url": {
                "anyOf": [{"type": "string"}, {"type": "null"}], "default": "http://mms.carrier.com/mms/wapenc",
                "title": "Mmsc Url"
            },
            "mms_proxy": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null, "title": "Mms Proxy"},
            "mms_port": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null, "title": "Mms Port"}
        }
    }
}"##;

fn word(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// Flip a switch of the phone, and search the network if it matters to it; the new position.
fn toggle(w: &mut TelecomState, field: &str, search: bool) -> Outcome<bool> {
    let on = !py::get(w.device(), field).truthy();
    w.set_device(field, Value::Bool(on));
    if search {
        search_network(w)?;
    }
    Ok(on)
}

/// Bring a switch into a position by flipping it, once or twice.
fn turn(w: &mut TelecomState, field: &str, search: bool, on: bool) -> Outcome<()> {
    if toggle(w, field, search)? != on {
        toggle(w, field, search)?;
    }
    Ok(())
}

fn wifi_off(w: &mut TelecomState) {
    w.set_device("wifi_connected", Value::Bool(false));
    w.set_device("wifi_ssid", Value::None);
    w.set_device("wifi_signal_strength", py::text("none"));
}

fn toggle_airplane(w: &mut TelecomState) -> Outcome<bool> {
    let on = !py::get(w.device(), "airplane_mode").truthy();
    w.set_device("airplane_mode", Value::Bool(on));
    if on {
        wifi_off(w);
        phone::disconnect(w);
    } else {
        w.set_device("network_connection_status", py::text("searching"));
        if py::get(w.device(), "wifi_enabled").truthy() {
            wifi_off(w);
        }
    }
    search_network(w)?;
    Ok(on)
}

fn turn_airplane(w: &mut TelecomState, on: bool) -> Outcome<Reply> {
    if toggle_airplane(w)? != on {
        toggle_airplane(w)?;
    }
    Ok(Reply::text(format!("Airplane Mode is now {}.", word(on))))
}

fn wifi_status(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let device = w.device();
    Ok(Reply::text(if !py::get(device, "wifi_enabled").truthy() {
        "Wi-Fi is turned OFF.".to_owned()
    } else if py::get(device, "wifi_connected").truthy() {
        format!(
            "Wi-Fi is ON and connected to '{}'. Signal strength: {}.",
            py::get(device, "wifi_ssid"),
            py::text_of(device, "wifi_signal_strength")
        )
    } else {
        "Wi-Fi is ON but not connected to any network.".to_owned()
    }))
}

fn toggle_wifi(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    if py::get(w.device(), "airplane_mode").truthy() {
        return with_bar(w, "Cannot change Wi-Fi settings while Airplane Mode is ON.");
    }
    let on = toggle(w, "wifi_enabled", false)?;
    if !on {
        wifi_off(w);
    }
    with_bar(w, &format!("Wi-Fi is now {}.", word(on)))
}

fn set_wifi_calling(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    if *py::get(w.device(), "wifi_calling_enabled") != a[0] {
        toggle(w, "wifi_calling_enabled", false)?;
    }
    let mut text = format!("Wi-Fi Calling is now {}.", word(a[0].truthy()));
    if !a[1].is_none() {
        w.set_device("wifi_calling_mms_over_wifi", a[1].clone());
        text += &format!("\nMMS over Wi-Fi is now {}.", word(a[1].truthy()));
    }
    Ok(Reply::text(text))
}

fn make_payment(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let request = py::get(w.surroundings(), "payment_request");
    if request.is_none() {
        return Ok(Reply::text("You do not have a payment request."));
    }
    let (bill, due) = (py::get(request, "bill_id"), py::get(request, "amount_due"));
    let text = format!("Payment of {due} USD has been made for bill {bill}.");
    if let Some(request) = py::get_mut(w.user.row_mut("surroundings", 0), "payment_request") {
        py::set(request, "paid", Value::Bool(true));
    }
    Ok(Reply::text(text))
}
