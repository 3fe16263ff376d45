//! The phone's settings: access point, VPN, apps, messages.

use super::connection::{apn, mobile_data_works, search_network, status_bar};
use super::state::TelecomState;
use super::user_schema::{APN, MODES, PERMISSIONS, default_apn};
use crate::py::{self, Value};
use crate::raised::{Outcome, no_attribute, raise};
use crate::toolkit::Reply;

/// A reply with the status bar below it.
pub(super) fn with_bar(w: &TelecomState, text: &str) -> Outcome<Reply> {
    Ok(Reply::text(format!("{text}\nStatus Bar: {}", status_bar(w))))
}

/// The text of an enumeration's value. A tool can put anything in its place; then there is no text.
fn enumerated(value: &Value) -> Outcome<&str> {
    match value.as_str() {
        Some(text) => Ok(text),
        None => no_attribute(value, "value"),
    }
}

pub(super) fn network_mode(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let mode = enumerated(py::get(w.device(), "network_mode_preference"))?;
    Ok(Reply::text(format!("Network Mode Preference: {mode}")))
}

pub(super) fn set_network_mode(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let known = a[0].as_str().is_none_or(|mode| MODES.contains(&mode));
    if known {
        w.set_device("network_mode_preference", a[0].clone());
        search_network(w)?;
    }
    if !known || a[0].is_none() {
        let text = format!(
            "Failed to set network mode: '{}' is not a valid option. Please use one of: {}",
            a[0],
            MODES.join(", ")
        );
        return with_bar(w, &text);
    }
    let text = format!("Preferred Network Mode set to: {}", enumerated(&a[0])?);
    with_bar(w, &text)
}

pub(super) fn apn_settings(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let settings = py::get(w.device(), "active_apn_settings");
    if !matches!(settings, Value::Dict(_)) {
        return no_attribute(settings, "model_copy");
    }
    let or_unset = |value: &Value| {
        if value.truthy() {
            value.to_string()
        } else {
            "Not Set".into()
        }
    };
    Ok(Reply::text(format!(
        "Current APN Name: {}\nMMSC URL (for picture messages): {}\n(These are technical settings, usually best left \
         unchanged.)",
        or_unset(apn(w, "apn_name")?),
        or_unset(apn(w, "mmsc_url")?)
    )))
}

pub(super) fn set_apn_settings(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let settings = match &a[0] {
        given @ Value::Dict(_) => APN.validate(given)?,
        other => other.clone(),
    };
    w.set_device("active_apn_settings", settings);
    let text = format!("APN settings set to: {}", apn(w, "apn_name")?);
    search_network(w)?;
    with_bar(w, &text)
}

fn change_apn(w: &mut TelecomState, field: &str, value: Value) -> Outcome<()> {
    apn(w, field)?;
    if let Some(settings) = py::get_mut(w.user.row_mut("device", 0), "active_apn_settings") {
        py::set(settings, field, value);
    }
    Ok(())
}

pub(super) fn reset_apn_settings(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    change_apn(w, "reset_at_reboot", Value::Bool(true))?;
    search_network(w)?;
    with_bar(w, "APN settings will reset at reboot.")
}

pub(super) fn break_apn(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    change_apn(w, "apn_name", py::text("broken"))?;
    search_network(w)?;
    Ok(Reply::text(
        "APN settings broken. Please call reset_apn_settings() to fix.",
    ))
}

pub(super) fn break_apn_mms(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    change_apn(w, "mmsc_url", Value::None)?;
    Ok(Reply::text(
        "APN MMS setting broken. Please call reset_apn_settings() to fix.",
    ))
}

pub(super) fn reboot(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let mut lines = vec![];
    if apn(w, "reset_at_reboot")?.truthy() {
        lines.push("Resetting APN settings...");
        w.set_device("active_apn_settings", default_apn());
    }
    lines.push("Restarting network services...");
    w.set_device("network_connection_status", py::text("searching"));
    search_network(w)?;
    with_bar(w, &lines.join("\n"))
}

pub(super) fn vpn_status(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let device = w.device();
    if !py::get(device, "vpn_connected").truthy() {
        return Ok(Reply::text(if py::get(device, "vpn_enabled_setting").truthy() {
            "VPN is turned ON in settings, but currently not connected."
        } else {
            "VPN is turned OFF."
        }));
    }
    let details = py::get(device, "vpn_details");
    if details.is_none() {
        return Ok(Reply::text("VPN is ON and connected (no specific details available)."));
    }
    // The reference shows the record as Python prints it, its enumeration included.
    let performance = py::text_of(details, "server_performance");
    Ok(Reply::text(format!(
        "VPN is ON and connected. Details: {{'server_address': {}, 'protocol': {}, 'server_performance': \
         <PerformanceLevel.{}: '{performance}'>}}",
        py::get(details, "server_address").repr(),
        py::get(details, "protocol").repr(),
        performance.to_uppercase()
    )))
}

/// Connect the standard VPN; `false` if one is connected already.
fn connect(w: &mut TelecomState) -> bool {
    if py::get(w.device(), "vpn_connected").truthy() {
        return false;
    }
    let performance = if w.vpn_broken { "poor" } else { "excellent" };
    let details = py::record([
        ("server_address", py::text("192.168.1.1")),
        ("protocol", py::text("OpenVPN")),
        ("server_performance", py::text(performance)),
    ]);
    w.set_device("vpn_connected", Value::Bool(true));
    w.set_device("vpn_details", details);
    w.standard_vpn = true;
    true
}

/// Disconnect; `false` if no VPN is connected.
pub(super) fn disconnect(w: &mut TelecomState) -> bool {
    if !py::get(w.device(), "vpn_connected").truthy() {
        return false;
    }
    w.set_device("vpn_connected", Value::Bool(false));
    w.set_device("vpn_details", Value::None);
    w.standard_vpn = false;
    true
}

pub(super) fn connect_vpn(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    if !connect(w) {
        return Ok(Reply::text("VPN already connected."));
    }
    with_bar(w, "VPN connected successfully.")
}

pub(super) fn disconnect_vpn(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let done = disconnect(w);
    with_bar(
        w,
        if done {
            "VPN disconnected successfully."
        } else {
            "No active VPN connection to disconnect."
        },
    )
}

pub(super) fn break_vpn(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    connect(w);
    w.vpn_broken |= w.standard_vpn;
    match py::get_mut(w.user.row_mut("device", 0), "vpn_details") {
        Some(details @ Value::Dict(_)) => py::set(details, "server_performance", py::text("poor")),
        _ => return raise("'NoneType' object has no attribute 'server_performance'"),
    }
    Ok(Reply::text("VPN connection broken."))
}

pub(super) fn apps(w: &mut TelecomState, _: &[Value]) -> Outcome<Reply> {
    let names = match py::get(w.device(), "app_statuses") {
        Value::Dict(apps) => apps.keys().map(Value::to_string).collect(),
        _ => vec![],
    };
    let names = names.join(", ");
    Ok(Reply::text(format!(
        "The following apps are installed on the phone: {names}"
    )))
}

/// An app's permissions.
fn permissions<'a>(w: &'a TelecomState, app: &Value) -> Outcome<Option<&'a Value>> {
    let apps = py::get(w.device(), "app_statuses");
    Ok(py::keyed(app, |name| apps.get(name))?.map(|app| py::get(app, "permissions")))
}

fn granted(permissions: &Value) -> Vec<&'static str> {
    PERMISSIONS
        .iter()
        .copied()
        .filter(|name| py::get(permissions, name).truthy())
        .collect()
}

pub(super) fn app_status(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let Some(permissions) = permissions(w, &a[0])? else {
        return Ok(Reply::text(format!("App '{}' not found on this phone.", a[0])));
    };
    let mut lines = vec![format!("Status for App: {}", a[0])];
    let granted = granted(permissions);
    if granted.is_empty() {
        lines.push(" - Permissions: None granted.".into());
    } else {
        lines.push(" - Permissions Granted:".into());
        lines.extend(granted.iter().map(|name| format!("   - {name}")));
    }
    Ok(Reply::text(lines.join("\n")))
}

pub(super) fn app_permissions(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let Some(permissions) = permissions(w, &a[0])? else {
        return Ok(Reply::text(format!("App '{}' not found on this phone.", a[0])));
    };
    let granted = granted(permissions);
    Ok(Reply::text(if granted.is_empty() {
        format!("App '{}' currently has no permissions granted.", a[0])
    } else {
        format!("App '{}' has permission for: {}.", a[0], granted.join(", "))
    }))
}

fn set_permission(w: &mut TelecomState, app: &Value, permission: &str, value: bool) {
    let apps = py::get_mut(w.user.row_mut("device", 0), "app_statuses");
    let app = apps.and_then(|apps| py::get_mut(apps, app.as_str().unwrap_or_default()));
    if let Some(permissions) = app.and_then(|app| py::get_mut(app, "permissions")) {
        py::set(permissions, permission, Value::Bool(value));
    }
}

pub(super) fn grant_permission(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let found = permissions(w, &a[0])?.is_some();
    let permission = py::lower(&a[1])?;
    let text = if !found {
        format!("Error. App '{}' not found. Cannot grant permission.", a[0])
    } else if PERMISSIONS.contains(&permission.as_str()) {
        set_permission(w, &a[0], &permission, true);
        format!("Success. Permission '{permission}' granted to app '{}'.", a[0])
    } else {
        let known: Vec<_> = PERMISSIONS.iter().map(|name| format!("'{name}'")).collect();
        format!(
            "Error. Permission '{permission}' not tracked for app '{}', available permissions: [{}]",
            a[0],
            known.join(", ")
        )
    };
    with_bar(w, &text)
}

pub(super) fn remove_permission(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let found = permissions(w, &a[0])?.is_some();
    let permission = py::lower(&a[1])?;
    let known = PERMISSIONS.contains(&permission.as_str());
    let text = if !found {
        format!("App '{}' not found. Cannot remove permission.", a[0])
    } else if known {
        set_permission(w, &a[0], &permission, false);
        format!("Permission '{permission}' removed from app '{}'.", a[0])
    } else {
        format!("Permission '{permission}' not tracked for app '{}'.", a[0])
    };
    Ok(Reply::Plain(Value::List(vec![
        Value::Bool(found && known),
        py::text(text),
    ])))
}

/// Whether the messaging app can send picture messages. (What Python's `and` gives, which is a truth value.)
pub(super) fn can_send_mms(w: &TelecomState) -> Outcome<Value> {
    let device = w.device();
    let is = |field| py::get(device, field).truthy();
    if !mobile_data_works(w)
        || py::text_of(device, "network_technology_connected") == "2G"
        || (is("wifi_calling_enabled") && is("wifi_calling_mms_over_wifi"))
        || apn(w, "mmsc_url")?.is_none()
    {
        return Ok(Value::Bool(false));
    }
    let Some(permissions) = permissions(w, &py::text("messaging"))? else {
        return Ok(Value::Bool(false));
    };
    let storage = py::get(permissions, "storage");
    Ok(if storage.truthy() {
        py::get(permissions, "sms").clone()
    } else {
        storage.clone()
    })
}
