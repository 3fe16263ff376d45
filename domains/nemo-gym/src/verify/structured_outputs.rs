//! `structured_outputs`: JSON that a schema allows, said or handed to a tool.

use super::schema::valid;
use super::{Acts, Broken, Server, Verdict, json, text_field};
use crate::response::Response;
use crate::row::Row;
use hone_python::text::strip;
use hone_python::{Dict, DumpOptions, Value};

/// The server.
pub const SERVER: Server = Server {
    name: "structured_outputs",
    about: "one call of the row's tool, or an answer in JSON, that the row's schema allows with all properties and no others",
    verify: |row, response, _| verify(row, response),
    acts: Acts::Once,
    gold,
};

/// Every object with all its properties and no others.
fn strict(schema: &mut Value) -> Result<(), Broken> {
    let Some(dict) = schema.as_dict_mut() else {
        return Ok(());
    };
    let required = match dict.get("properties") {
        None => None,
        Some(Value::Dict(properties)) => Some(properties.keys().cloned().collect()),
        Some(Value::List(items)) => Some(items.clone()),
        Some(Value::Str(text)) => Some(text.chars().map(|c| c.to_string().into()).collect()),
        Some(_) => return Err(Broken("the schema's `properties` are none".into())),
    };
    if let Some(required) = required {
        dict.set("required", Value::List(required));
        dict.set("additionalProperties", false);
    }
    dict.iter_mut().try_for_each(|(_, value)| strict(value))
}

/// The JSON that was handed to the tool.
fn handed(row: &Row, response: &Response) -> Result<Value, &'static str> {
    let mut calls = response.calls();
    let (Some((name, arguments)), None) = (calls.next(), calls.next()) else {
        return Err("not one call");
    };
    let text = |key: &str| row.str(key).filter(|text| !text.is_empty());
    if text("tool_name").is_some_and(|wanted| wanted != name) {
        return Err("another tool");
    }
    let arguments = json(arguments).ok_or("arguments are no JSON")?;
    match text("tool_payload_key") {
        Some(key) => arguments.get(key).cloned().ok_or("the call lacks what it should hold"),
        None => Ok(arguments),
    }
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let fail = |why: &str| Ok(Verdict::pass(false, why));
    let schema = text_field(row, "schema_str")?;
    let form = row.str("schema_type").unwrap_or("json");
    if !["json", "yaml", "xml", "toml", "csv"].contains(&form) {
        return Err(Broken::field("schema_type"));
    }
    let by_call = row.str("response_mode") == Some("tool_call");
    if !by_call && form != "json" {
        return Err(Broken(format!(
            "the answer is {form}, which a package of Python reads in its own way"
        )));
    }
    let said = response.output_text();
    if !by_call && strip(&said).is_empty() {
        return fail("nothing was said");
    }
    let handed = if by_call {
        handed(row, response)
    } else {
        Ok(Value::None)
    };
    if let Err(why) = handed {
        return fail(why);
    }
    let Some(mut schema) = json(schema) else {
        return fail("the row's schema is no JSON");
    };
    strict(&mut schema)?;
    let value = if by_call { handed.ok() } else { json(&said) };
    let Some(value) = value else {
        return fail("the answer is no JSON");
    };
    let right = valid(&value, &schema)?;
    Ok(Verdict::pass(
        right,
        if right {
            "the schema allows it"
        } else {
            "the schema does not allow it"
        },
    ))
}

/// A value that a schema of types allows.
fn example(schema: &Value) -> Value {
    let kind = match schema.get("type") {
        Some(Value::List(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    if let Some(first) = schema.get("enum").and_then(Value::as_list).and_then(<[Value]>::first) {
        return first.clone();
    }
    match kind {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_dict);
            let mut made = Dict::new();
            for (key, schema) in properties.into_iter().flat_map(Dict::iter) {
                made.set(key.to_string(), example(schema));
            }
            Value::Dict(made)
        }
        Some("array") => schema
            .get("items")
            .map_or(Value::List(vec![]), |items| Value::List(vec![example(items)])),
        Some("string") => "text".into(),
        Some("integer" | "number") => 1i64.into(),
        Some("boolean") => true.into(),
        _ => Value::None,
    }
}

fn gold(row: &Row) -> Option<Response> {
    let mut value = example(&json(row.str("schema_str")?)?);
    if row.str("response_mode") != Some("tool_call") {
        return Some(Response::text(value.dumps(&DumpOptions::default()).ok()?));
    }
    if let Some(key) = row.str("tool_payload_key") {
        let mut outer = Dict::new();
        outer.set(key, value);
        value = Value::Dict(outer);
    }
    Some(Response::call(
        row.str("tool_name").unwrap_or("tool"),
        value.dumps(&DumpOptions::default()).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn row(more: &str) -> Row {
        let schema = r#"{\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\"}, \"t\": {\"type\": \"string\"}}}"#;
        Row {
            index: 0,
            fields: loads(&format!(r#"{{"schema_str": "{schema}"{more}}}"#)).unwrap(),
        }
    }

    #[test]
    fn all_properties_are_wanted_and_no_others() {
        let reward = |text: &str| verify(&row(""), &Response::text(text)).unwrap().reward;
        for (text, expected) in [
            (r#"{"n": 1, "t": ""}"#, 1.0),
            (r#" {"n": 1.0, "t": "x"} "#, 1.0),
            (r#"{"n": 1}"#, 0.0),
            (r#"{"n": 1, "t": "", "x": 2}"#, 0.0),
            (r#"{"n": "1", "t": ""}"#, 0.0),
            ("{", 0.0),
            ("", 0.0),
        ] {
            assert_eq!(reward(text), expected, "{text}");
        }
        assert!(verify(&row(r#", "schema_type": "yaml""#), &Response::text("n: 1")).is_err());
    }

    #[test]
    fn a_call_holds_it_under_its_key() {
        let row = row(r#", "response_mode": "tool_call", "tool_name": "f", "tool_payload_key": "p""#);
        let reward = |name: &str, text: &str| verify(&row, &Response::call(name, text)).unwrap().reward;
        assert_eq!(reward("f", r#"{"p": {"n": 1, "t": ""}}"#), 1.0);
        assert_eq!(reward("g", r#"{"p": {"n": 1, "t": ""}}"#), 0.0);
        assert_eq!(reward("f", r#"{"n": 1, "t": ""}"#), 0.0);
        assert_eq!(
            verify(&row, &Response::text(r#"{"n": 1, "t": ""}"#)).unwrap().reward,
            0.0
        );
    }
}
