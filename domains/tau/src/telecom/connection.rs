//! How the phone is connected, how fast, and what its status bar shows.

use super::state::TelecomState;
use crate::py::{self, Value};
use crate::raised::{Outcome, no_attribute};

/// The phone's card: `active`, `missing`, `locked_pin` or `locked_puk`.
pub(super) fn sim_status(w: &TelecomState) -> &str {
    if py::get(w.device(), "sim_card_missing").truthy() {
        return "missing";
    }
    py::text_of(w.device(), "sim_card_status")
}

/// A field of the access point settings. A tool can put anything in their place; then there is no such field.
pub(super) fn apn<'a>(w: &'a TelecomState, field: &str) -> Outcome<&'a Value> {
    match py::get(w.device(), "active_apn_settings") {
        settings @ Value::Dict(_) => Ok(py::get(settings, field)),
        other => no_attribute(other, field),
    }
}

/// Search the network anew: the card, the preferred networks and the surroundings decide.
pub(super) fn search_network(w: &mut TelecomState) -> Outcome<()> {
    if sim_status(w) == "active" {
        let signal = |technology: &str| {
            let signals = py::get(w.surroundings(), "signal_strength");
            signals.get(technology).cloned().unwrap_or_else(|| py::text("none"))
        };
        let preferred = match py::text_of(w.device(), "network_mode_preference") {
            "4g_5g_preferred" if signal("5G").as_str() != Some("none") => "5G",
            "3g_only" => "3G",
            "2g_only" => "2G",
            _ => "4G",
        };
        let strength = signal(preferred);
        w.set_device("network_connection_status", py::text("connected"));
        w.set_device("network_technology_connected", py::text(preferred));
        w.set_device("network_signal_strength", strength);
    } else {
        no_service(w);
    }
    if py::get(w.device(), "airplane_mode").truthy() {
        no_service(w);
    }
    if apn(w, "apn_name")?.as_str() == Some("broken") {
        no_service(w);
    }
    if !py::get(w.surroundings(), "line_active").truthy() {
        no_service(w);
    }
    Ok(())
}

fn no_service(w: &mut TelecomState) {
    w.set_device("network_connection_status", py::text("no_service"));
    w.set_device("network_technology_connected", py::text("none"));
    w.set_device("network_signal_strength", py::text("none"));
}

/// Whether the phone reaches the internet by its mobile data.
pub(super) fn mobile_data_works(w: &TelecomState) -> bool {
    let device = |field| py::get(w.device(), field).truthy();
    let around = |field| py::get(w.surroundings(), field).truthy();
    let service = py::text_of(w.device(), "network_signal_strength") != "none"
        && py::text_of(w.device(), "network_connection_status") != "no_service";
    let roams = !around("is_abroad") || (device("roaming_enabled") && around("roaming_allowed"));
    !device("airplane_mode") && service && roams && device("data_enabled") && !around("mobile_data_usage_exceeded")
}

/// Download speed in Mbps and its word; no speed without a connection.
pub(super) fn speed(w: &TelecomState) -> (Option<f64>, &'static str) {
    if !mobile_data_works(w) {
        return (None, "No Connection");
    }
    let device = w.device();
    let slow_vpn = py::get(device, "vpn_connected").truthy()
        && py::text_of(py::get(device, "vpn_details"), "server_performance") == "poor";
    let mut base = if slow_vpn { 0.1 } else { 1.0 };
    if py::get(device, "data_saver_mode").truthy() {
        base *= 0.2;
    }
    let (least, most) = match py::text_of(device, "network_technology_connected") {
        "2G" => (0.1, 0.4),
        "3G" => (1.0, 5.0),
        "4G" => (10.0, 100.0),
        "5G" => (50.0, 500.0),
        _ => (0.0, 0.0),
    };
    let signal = match py::text_of(device, "network_signal_strength") {
        "poor" => 0.2,
        "fair" => 0.5,
        "good" => 0.8,
        "excellent" => 1.0,
        _ => 0.0,
    };
    let speed = py::round2((least + most) / 2.0 * signal * base);
    let word = match speed {
        s if s < 1.0 => "Very Poor",
        s if s < 5.0 => "Poor",
        s if s < 25.0 => "Fair",
        s if s < 100.0 => "Good",
        _ => "Excellent",
    };
    (Some(speed), word)
}

/// The speed test's words.
pub(super) fn speed_test(w: &TelecomState) -> String {
    let (speed, word) = speed(w);
    let Some(speed) = speed else {
        return format!("Speed test failed: {word}.");
    };
    let advice = match word {
        "Very Poor" => "Connection is very slow. Basic web browsing might be difficult.",
        "Poor" => "Connection is slow. Web browsing may be sluggish, streaming difficult.",
        "Fair" => "Connection is okay for web browsing and some standard definition streaming.",
        "Good" => "Connection is good for most activities, including HD streaming.",
        _ => "Connection is very fast.",
    };
    format!("Speed Test Result: {speed:.2} Mbps ({word}). {advice}")
}

/// The status bar's words.
pub(super) fn status_bar(w: &TelecomState) -> String {
    let device = w.device();
    let is = |field| py::get(device, field).truthy();
    let mut shown: Vec<String> = vec![];
    if is("airplane_mode") {
        shown.push("✈️ Airplane Mode".into());
    } else {
        let signal = match py::text_of(device, "network_signal_strength") {
            "poor" => "📶¹ Poor",
            "fair" => "📶² Fair",
            "good" => "📶³ Good",
            "excellent" => "📶⁴ Excellent",
            _ => "📵 No Signal",
        };
        shown.push(signal.into());
        let technology = py::text_of(device, "network_technology_connected");
        let connected = technology != "none";
        if connected {
            shown.push(technology.into());
        }
        if is("data_enabled") && connected {
            shown.push("📱 Data Enabled".into());
            if is("data_saver_mode") {
                shown.push("🔽 Data Saver".into());
            }
        } else {
            shown.push("📵 Data Disabled".into());
        }
    }
    if is("wifi_enabled") && is("wifi_connected") {
        let name = py::get(device, "wifi_ssid");
        shown.push(if name.truthy() {
            format!("📡 Connected to {name}")
        } else {
            "📡 Enabled".into()
        });
    }
    if is("vpn_connected") {
        shown.push("🔒 VPN Connected".into());
    }
    shown.push(format!("🔋 {}%", py::get(device, "battery_level")));
    shown.join(" | ")
}

/// The network overview's words.
pub(super) fn network_status(w: &TelecomState) -> String {
    let device = w.device();
    let word = |field, on, off| if py::get(device, field).truthy() { on } else { off };
    let text = |field| py::text_of(device, field);
    let mut lines = vec![
        format!("Airplane Mode: {}", word("airplane_mode", "ON", "OFF")),
        format!("SIM Card Status: {}", sim_status(w)),
        format!("Cellular Connection: {}", text("network_connection_status")),
        format!("Cellular Signal: {}", text("network_signal_strength")),
        format!("Cellular Network Type: {}", text("network_technology_connected")),
        format!("Mobile Data Enabled: {}", word("data_enabled", "Yes", "No")),
        format!("Data Roaming Enabled: {}", word("roaming_enabled", "Yes", "No")),
        format!("Wi-Fi Radio: {}", word("wifi_enabled", "ON", "OFF")),
        format!("Wi-Fi Connected: {}", word("wifi_connected", "Yes", "No")),
    ];
    if py::get(device, "wifi_connected").truthy() {
        lines.push(format!("Connected Wi-Fi Network: {}", py::get(device, "wifi_ssid")));
    }
    lines.join("\n")
}
