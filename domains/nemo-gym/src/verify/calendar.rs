//! `calendar`: a calendar as JSON, without conflicts and as its wishes say.

use super::{Acts, Server, Verdict, json};
use crate::pattern::{Pattern, group};
use crate::response::{Item, Response};
use hone_python::text::{int, strip};
use hone_python::{Dict, Value};

/// The server.
pub const SERVER: Server = Server {
    name: "calendar",
    about: "the first list of objects in the answer has the expected number of events, none of them overlap, and each has its length and lies where it may",
    verify: |row, response, _| {
        let said = match response.items.last() {
            Some(Item::Message { texts, .. }) => texts.first().map(String::as_str).unwrap_or_default(),
            _ => "",
        };
        if said.is_empty() {
            return Ok(Verdict::pass(false, "nothing was said"));
        }
        let none = Dict::new();
        let wanted = row.get("exp_cal_state").and_then(Value::as_dict).unwrap_or(&none);
        Ok(match grade(said, wanted) {
            Some(why) => Verdict::pass(why == "pass", why),
            None => Verdict::pass(false, "error_in_grading"),
        })
    },
    acts: Acts::UntilAnswer,
    gold: |row| gold(row.get("exp_cal_state")?.as_dict()?),
};

static LIST: Pattern = Pattern::new(r"(?s)\[(?:[^\[\]]|\{[^}]*\})*\{(?:[^\[\]]|\{[^}]*\})*\}(?:[^\[\]]|\{[^}]*\})*\]");

/// The original's reason; `None` where it raises.
fn grade(said: &str, wanted: &Dict) -> Option<&'static str> {
    if said.contains("<think>") {
        return Some("think_found");
    }
    if wanted.is_empty() {
        return Some("pass");
    }
    let list: Option<Value> = LIST.captures(said).and_then(|found| json(group(&found, 0)));
    let events: &[Value] = list.as_ref().and_then(Value::as_list).unwrap_or_default();
    if events.is_empty() {
        return Some("no_json_list");
    }
    let mut by_id: Vec<(String, &Value)> = vec![];
    for event in events {
        let id = event.get("event_id")?.to_string();
        by_id.retain(|(other, _)| *other != id);
        by_id.push((id, event));
    }
    if by_id.len() != wanted.len() {
        return Some("different_number_of_events");
    }
    for event in events {
        let (start, end) = span(event)?;
        for other in events.iter().filter(|other| *other != event) {
            let (from, to) = span(other)?;
            if !(end <= from || start >= to) {
                return Some("conflicting_events");
            }
        }
    }
    for (id, wish) in wanted.iter() {
        let (_, event) = by_id.iter().find(|(other, _)| id.as_str() == Some(other))?;
        if !satisfied(event, wish)? {
            return Some("constraint_violated");
        }
    }
    Some("pass")
}

/// Start and end in minutes.
fn span(event: &Value) -> Option<(f64, f64)> {
    let start = minutes(event.get("start_time")?.as_str()?)? as f64;
    Some((start, start + number(event.get("duration")?)?))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        other => other.integer().map(|n| n.to_f64()),
    }
}

fn satisfied(event: &Value, wish: &Value) -> Option<bool> {
    if event.get("duration")? != wish.get("duration")? {
        return Some(false);
    }
    let time = |key: &str| wish.get(key).and_then(Value::as_str).and_then(minutes);
    let (least, most) = (time("min_time")? as f64, time("max_time")? as f64);
    let (start, end) = span(event)?;
    if start < least || end > most {
        return Some(false);
    }
    let constraint = match wish.get("constraint")? {
        Value::None => return Some(true),
        Value::Str(constraint) => constraint,
        _ => return None,
    };
    let at = |text: &str| minutes(text).map(|minutes| minutes as f64);
    Some(if constraint.starts_with("before ") {
        end <= at(&constraint.replace("before ", ""))?
    } else if constraint.starts_with("after ") {
        start >= at(&constraint.replace("after ", ""))?
    } else if constraint.starts_with("between ") {
        let times = constraint.replace("between ", "");
        let (from, to) = times.split_once(" and ").filter(|(_, to)| !to.contains(" and "))?;
        start >= at(from)? && end <= at(to)?
    } else if constraint.starts_with("at ") {
        start == at(&constraint.replace("at ", ""))?
    } else {
        true
    })
}

/// Minutes since midnight: `10am`, `2:15pm`, `14:15`. `None` where the original raises.
fn minutes(text: &str) -> Option<i64> {
    let text = strip(text);
    let whole = |text: &str| int(text)?.to_i64();
    let (rest, half, twelve) = if text.contains("am") {
        (text.replace("am", ""), 0, true)
    } else if text.contains("pm") {
        (text.replace("pm", ""), 12 * 60, true)
    } else {
        (text.to_owned(), 0, false)
    };
    let (hour, minute) = match rest.split_once(':') {
        Some((hour, minute)) => (whole(hour)?, whole(minute)?),
        None if twelve => (whole(&rest)?, 0),
        None => return None,
    };
    let hour = if twelve && hour == 12 { 0 } else { hour };
    hour.checked_mul(60)?.checked_add(minute)?.checked_add(half)
}

/// Events where they may be: each at the first quarter of an hour that is free and right.
fn gold(wanted: &Dict) -> Option<Response> {
    fn place(wishes: &[(String, &Value)], placed: &mut Vec<(String, i64, i64)>) -> bool {
        let Some((id, wish)) = wishes.get(placed.len()) else {
            return true;
        };
        let Some(duration) = wish.get("duration").and_then(Value::as_i64) else {
            return false;
        };
        for start in (0..24 * 60).step_by(15) {
            let event = event(id, start, duration);
            let free = placed
                .iter()
                .all(|(_, from, length)| start + duration <= *from || start >= from + length);
            if free && satisfied(&event, wish) == Some(true) {
                placed.push((id.clone(), start, duration));
                if place(wishes, placed) {
                    return true;
                }
                placed.pop();
            }
        }
        false
    }
    let wishes: Vec<(String, &Value)> = wanted.iter().map(|(id, wish)| (id.to_string(), wish)).collect();
    let mut placed = vec![];
    if !place(&wishes, &mut placed) {
        return None;
    }
    let events: Vec<String> = placed
        .iter()
        .map(|(id, start, duration)| {
            event(id, *start, *duration)
                .dumps(&hone_python::DumpOptions::default())
                .unwrap_or_default()
        })
        .collect();
    Some(Response::text(if events.is_empty() {
        "Nothing changes.".into()
    } else {
        format!("[{}]", events.join(", "))
    }))
}

fn event(id: &str, start: i64, duration: i64) -> Value {
    let mut event = Dict::new();
    event.set("event_id", id);
    event.set("start_time", format!("{:02}:{:02}", start / 60, start % 60));
    event.set("duration", Value::Int(duration.into()));
    Value::Dict(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    #[test]
    fn times_of_day() {
        assert_eq!(
            ["10am", "12am", "12pm", "2:15pm", " 12:30am ", "14:05"].map(|text| minutes(text).unwrap()),
            [600, 0, 720, 855, 30, 845]
        );
        assert!(["10", "ten am", "1:2:3"].iter().all(|text| minutes(text).is_none()));
    }

    #[test]
    fn events_lie_where_they_may() {
        let wanted = r#"{"0": {"event_id": 0, "duration": 60, "constraint": "after 10am", "min_time": "09:00", "max_time": "16:00"},
            "1": {"event_id": 1, "duration": 30, "constraint": null, "min_time": "09:00", "max_time": "16:00"}}"#;
        let wanted = loads(wanted).unwrap();
        let wanted = wanted.as_dict().unwrap();
        let of = |first: &str, second: &str| {
            let said = format!(
                r#"So: [{{"event_id": 0, "duration": 60, "start_time": "{first}"}}, {{"event_id": 1, "duration": 30, "start_time": "{second}"}}]"#
            );
            grade(&said, wanted)
        };
        assert_eq!(of("10am", "11am"), Some("pass"));
        assert_eq!(of("9:30am", "11am"), Some("constraint_violated"));
        assert_eq!(of("10am", "10:30am"), Some("conflicting_events"));
        assert_eq!(of("10am", "3:45pm"), Some("constraint_violated"));
        assert_eq!(of("10am", "noon"), None);
        assert_eq!(grade("none", wanted), Some("no_json_list"));
        assert_eq!(grade("<think>", wanted), Some("think_found"));
        assert_eq!(
            grade(r#"[{"event_id": 0}]"#, wanted),
            Some("different_number_of_events")
        );
        assert_eq!(grade("anything", &Dict::new()), Some("pass"));
    }
}
