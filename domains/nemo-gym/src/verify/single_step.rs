//! `single_step_tool_use_with_argument_comparison`: the next step of an expert, a call or a message.

use super::calls::arguments_text;
use super::{Acts, Broken, Server, Verdict, json};
use crate::response::{Item, Response};
use crate::row::Row;
use hone_python::Value;
use std::collections::HashMap;

/// The server, as configured for these rows: texts of two words or more are alike from 0.1 on, and how many calls are made
/// beside the expected ones does not count.
pub const SERVER: Server = Server {
    name: "single_step_tool_use_with_argument_comparison",
    about: "a message where one is expected; else the expected calls, whose arguments have the same types, keys, lengths and values (texts: enough words in common)",
    verify: |row, response, _| verify(row, response),
    acts: Acts::Once,
    gold: |row| {
        let action = row.get("expected_action")?;
        match action.get("type")?.as_str()? {
            "message" => Some(Response::text(action.get("content")?.as_str()?)),
            _ => {
                let calls = expected_calls(action)?
                    .into_iter()
                    .map(|(name, arguments)| Item::Call { name, arguments });
                Some(calls.collect::<Vec<_>>().into())
            }
        }
    },
};

const ALIKE: f64 = 0.1;
const CLOSE: f64 = 1e-6;

fn expected_calls(action: &Value) -> Option<Vec<(String, String)>> {
    let one = |call: &Value| {
        Some((
            call.get("name")?.as_str()?.to_owned(),
            arguments_text(call.get("arguments")),
        ))
    };
    match action.get("type")?.as_str()? {
        "function_call" => Some(vec![one(action)?]),
        "function_call_batch" => action.get("calls")?.as_list()?.iter().map(one).collect(),
        _ => None,
    }
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let action = row
        .get("expected_action")
        .ok_or_else(|| Broken::field("expected_action"))?;
    let made: Vec<(&str, &str)> = response.calls().collect();
    let said = response
        .items
        .iter()
        .any(|item| matches!(item, Item::Message { role, texts } if role == "assistant" && !texts.is_empty()));
    if made.is_empty() && !said {
        return Ok(Verdict::pass(false, "there is neither a call nor a message"));
    }
    if action.get("type").and_then(Value::as_str) == Some("message") {
        return Ok(Verdict::pass(made.is_empty(), "a message is expected"));
    }
    let expected = expected_calls(action).ok_or_else(|| Broken::field("expected_action"))?;
    if made.is_empty() {
        return Ok(Verdict::pass(false, "a call is expected"));
    }
    // Which of the calls made could be each of the expected ones.
    let mut candidates = vec![];
    for (name, arguments) in &expected {
        let wanted = json(arguments).ok_or_else(|| Broken::field("expected_action"))?;
        let fits =
            |(made_name, made): &(&str, &str)| made_name == name && json(made).is_some_and(|made| same(&wanted, &made));
        candidates.push(
            made.iter()
                .enumerate()
                .filter(|(_, call)| fits(call))
                .map(|(i, _)| i)
                .collect::<Vec<_>>(),
        );
    }
    let matched = matching(&candidates);
    Ok(Verdict::pass(
        matched == expected.len(),
        format!("{matched} of {} expected calls", expected.len()),
    ))
}

/// The size of a greatest matching (Kuhn's algorithm).
fn matching(candidates: &[Vec<usize>]) -> usize {
    fn augment(
        one: usize,
        candidates: &[Vec<usize>],
        taken: &mut HashMap<usize, usize>,
        seen: &mut Vec<usize>,
    ) -> bool {
        for &place in &candidates[one] {
            if seen.contains(&place) {
                continue;
            }
            seen.push(place);
            let free = match taken.get(&place).copied() {
                None => true,
                Some(other) => augment(other, candidates, taken, seen),
            };
            if free {
                taken.insert(place, one);
                return true;
            }
        }
        false
    }
    let mut taken = HashMap::new();
    (0..candidates.len())
        .filter(|one| augment(*one, candidates, &mut taken, &mut vec![]))
        .count()
}

/// Whether an argument is as expected. Types are Python's: a truth value is a whole number, a whole number is no float.
fn same(wanted: &Value, made: &Value) -> bool {
    match (wanted, made) {
        (Value::Dict(wanted), Value::Dict(made)) => {
            wanted.len() == made.len()
                && wanted.iter().all(|(key, value)| {
                    key.as_str()
                        .and_then(|key| made.get(key))
                        .is_some_and(|other| same(value, other))
                })
        }
        (Value::List(wanted), Value::List(made)) => {
            wanted.len() == made.len() && wanted.iter().zip(made).all(|(a, b)| same(a, b))
        }
        (Value::Float(wanted), Value::Float(made)) => (made - wanted).abs() < CLOSE,
        (Value::Str(wanted), Value::Str(made)) => alike(wanted, made),
        (Value::None, Value::None) => true,
        (Value::Bool(wanted), Value::Bool(made)) => wanted == made,
        (Value::Int(_), Value::Int(_) | Value::Bool(_)) => wanted == made,
        _ => false,
    }
}

fn alike(wanted: &str, made: &str) -> bool {
    let words = |text: &str| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        let lower = text.to_lowercase();
        for word in lower.split(hone_python::text::is_space).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
        counts
    };
    let (a, b) = (words(wanted), words(made));
    let (all_a, all_b) = (a.values().sum::<usize>(), b.values().sum::<usize>());
    if all_a < 2 || all_b < 2 {
        return wanted == made;
    }
    let common: usize = a
        .iter()
        .map(|(word, n)| (*n).min(b.get(word).copied().unwrap_or(0)))
        .sum();
    common as f64 / (all_a + all_b) as f64 >= ALIKE
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(expected: &str, response: &Response) -> f64 {
        let row = Row {
            index: 0,
            fields: loads(&format!(r#"{{"expected_action": {expected}}}"#)).unwrap(),
        };
        verify(&row, response).unwrap().reward
    }

    #[test]
    fn arguments_are_compared_by_type_and_value() {
        let expected = r#"{"type": "function_call", "name": "f", "arguments": "{\"n\": 1, \"x\": 1.5, \"t\": \"the red door\", \"l\": [\"a\"]}"}"#;
        let call = |arguments: &str| reward(expected, &Response::call("f", arguments));
        assert_eq!(call(r#"{"l": ["a"], "t": "a RED barn", "x": 1.5000001, "n": 1}"#), 1.0);
        for wrong in [
            r#"{"n": 1.0, "x": 1.5, "t": "the red door", "l": ["a"]}"#,
            r#"{"n": 1, "x": 1.6, "t": "the red door", "l": ["a"]}"#,
            r#"{"n": 1, "x": 1.5, "t": "red", "l": ["a"]}"#,
            r#"{"n": 1, "x": 1.5, "t": "no match here", "l": ["a"]}"#,
            r#"{"n": 1, "x": 1.5, "t": "the red door", "l": []}"#,
            r#"{"n": 1, "x": 1.5, "t": "the red door", "l": ["a"], "m": 0}"#,
            "no json",
        ] {
            assert_eq!(call(wrong), 0.0, "{wrong}");
        }
        assert_eq!(reward(expected, &Response::call("g", "{}")), 0.0);
        assert_eq!(reward(expected, &Response::text("hello")), 0.0);
    }

    #[test]
    fn messages_and_batches() {
        let message = r#"{"type": "message", "content": "hi"}"#;
        assert_eq!(
            [
                reward(message, &Response::text("anything")),
                reward(message, &Response::call("f", "{}")),
                reward(message, &Response::default())
            ],
            [1.0, 0.0, 0.0]
        );
        let batch = r#"{"type": "function_call_batch", "calls": [{"type": "function_call", "name": "f", "arguments": "{\"t\": \"a b\"}"},
            {"type": "function_call", "name": "f", "arguments": "{\"t\": \"a b c\"}"}]}"#;
        let calls = |texts: &[&str]| {
            let call = |text: &&str| Item::Call {
                name: "f".into(),
                arguments: format!(r#"{{"t": "{text}"}}"#),
            };
            reward(batch, &texts.iter().map(call).collect::<Vec<_>>().into())
        };
        // The first fits both expected calls, the second only the one: a greedy choice would fail.
        assert_eq!(calls(&["a b", "c d e"]), 1.0);
        assert_eq!(
            [calls(&["a b"]), calls(&["x y", "a b"]), calls(&["a b", "b c", "q r"])],
            [0.0, 0.0, 1.0]
        );
    }
}
