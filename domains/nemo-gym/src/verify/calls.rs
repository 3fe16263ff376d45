//! `xlam_fc`: the calls that should be made.

use super::{Acts, Server, Verdict, json};
use crate::response::Item;
use hone_python::Value;

/// The server.
pub const XLAM_FC: Server = Server {
    name: "xlam_fc",
    about: "each expected call is made once, with the expected arguments among its own, and no other",
    verify: |row, response, _| {
        let expected = row.list("expected_answers");
        let made: Vec<(&str, Value)> = response
            .calls()
            .map(|(name, arguments)| (name, json(arguments).unwrap_or_else(empty)))
            .collect();
        let mut free: Vec<usize> = (0..made.len()).collect();
        let mut right = 0;
        for wanted in expected {
            if let Some(at) = free.iter().position(|i| matches(&made[*i], wanted)) {
                free.remove(at);
                right += 1;
            }
        }
        let all = right == expected.len() && expected.len() == made.len();
        Ok(Verdict::pass(
            all,
            format!("{right} of {} expected calls among {}", expected.len(), made.len()),
        ))
    },
    acts: Acts::Once,
    gold: |row| {
        let calls = row.list("expected_answers").iter().map(|wanted| {
            let name = wanted.get("name")?.as_str()?.to_owned();
            Some(Item::Call {
                name,
                arguments: arguments_text(wanted.get("arguments")),
            })
        });
        Some(calls.collect::<Option<Vec<_>>>()?.into())
    },
};

fn empty() -> Value {
    Value::Dict(hone_python::Dict::new())
}

/// Arguments as JSON text, given as such or as an object.
pub fn arguments_text(arguments: Option<&Value>) -> String {
    match arguments {
        Some(Value::Str(text)) => text.clone(),
        Some(object) => object
            .dumps(&hone_python::DumpOptions::default())
            .unwrap_or_else(|_| "{}".into()),
        None => "{}".into(),
    }
}

fn matches((name, made): &(&str, Value), wanted: &Value) -> bool {
    if wanted.get("name").and_then(Value::as_str) != Some(name) {
        return false;
    }
    let wanted = match wanted.get("arguments") {
        Some(Value::Str(text)) => json(text).unwrap_or_else(empty),
        Some(object @ Value::Dict(_)) => object.clone(),
        _ => empty(),
    };
    let Some(wanted) = wanted.as_dict() else { return false };
    wanted
        .iter()
        .all(|(key, value)| key.as_str().is_some_and(|key| made.get(key) == Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use hone_python::loads;

    #[test]
    fn calls_are_matched_one_to_one() {
        let row =
            r#"{"expected_answers": [{"name": "f", "arguments": {"a": 1}}, {"name": "f", "arguments": "{\"a\": 2}"}]}"#;
        let row = Row {
            index: 0,
            fields: loads(row).unwrap(),
        };
        let reward = |calls: &[&str]| {
            let items = calls
                .iter()
                .map(|arguments| Item::Call {
                    name: "f".into(),
                    arguments: (*arguments).into(),
                })
                .collect::<Vec<_>>();
            (XLAM_FC.verify)(&row, &items.into(), &serde_json::Value::Null)
                .unwrap()
                .reward
        };
        assert_eq!(reward(&[r#"{"a": 2}"#, r#"{"a": 1.0, "b": 0}"#]), 1.0);
        for wrong in [
            &[r#"{"a": 1}"#][..],
            &[r#"{"a": 1}"#, r#"{"a": 2}"#, "{}"],
            &[r#"{"a": 1}"#, r#"{"a": 1}"#],
            &[r#"{"a": "1"}"#, r#"{"a": 2}"#],
            &[],
        ] {
            assert_eq!(reward(wrong), 0.0, "{wrong:?}");
        }
    }
}
