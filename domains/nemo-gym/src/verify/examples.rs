//! The example servers: what one can copy to begin one's own.

use super::{Acts, Broken, Server, Verdict, json};
use crate::response::{Item, Response};
use hone_python::Value;
use hone_python::text::{int, strip};

/// Values of synonyms, several steps.
pub const MULTI_STEP: Server = Server {
    name: "example_multi_step",
    about: "the last `extract_synonym_values` has the expected values in their order",
    verify: |row, response, _| {
        let last = response
            .calls()
            .filter(|(name, _)| *name == "extract_synonym_values")
            .last();
        let said = match last {
            None => Value::List(vec![]),
            Some((_, arguments)) => {
                let arguments = json(arguments).ok_or_else(|| Broken("the call's arguments are no JSON".into()))?;
                arguments
                    .get("synonym_values")
                    .cloned()
                    .ok_or_else(|| Broken("the call has no `synonym_values`".into()))?
            }
        };
        if !said.as_list().is_some_and(|values| values.iter().all(whole)) {
            return Err(Broken("`synonym_values` is no list of whole numbers".into()));
        }
        let wanted = row
            .get("expected_synonym_values")
            .ok_or_else(|| Broken::field("expected_synonym_values"))?;
        Ok(Verdict::pass(said == *wanted, format!("{said} for {wanted}")))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        Some(Response::call(
            "extract_synonym_values",
            format!(r#"{{"synonym_values": {}}}"#, row.get("expected_synonym_values")?),
        ))
    },
};

/// What pydantic takes for a whole number.
fn whole(value: &Value) -> bool {
    match value {
        Value::Int(_) | Value::Bool(_) => true,
        Value::Float(x) => x.is_finite() && x.fract() == 0.0,
        Value::Str(text) => {
            let text = strip(text);
            let digits = text.split_once('.').map_or(
                text,
                |(whole, zeros)| if zeros.bytes().all(|b| b == b'0') { whole } else { "" },
            );
            int(digits).is_some()
        }
        _ => false,
    }
}

/// A counter that is kept over the session.
pub const SESSION_STATE: Server = Server {
    name: "example_session_state_mgmt",
    about: "the session's counter stands at the expected number in the end",
    verify: |row, _, state| {
        let count = state
            .get("count")
            .and_then(serde_json::Value::as_i64)
            .ok_or_else(|| Broken("there is no session".into()))?;
        let wanted = row
            .get("expected_count")
            .and_then(Value::as_i64)
            .ok_or_else(|| Broken::field("expected_count"))?;
        Ok(Verdict::pass(
            count == wanted,
            format!("it stands at {count}, wanted {wanted}"),
        ))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let count = row.get("expected_count")?.as_i64()? - row.get("initial_count")?.as_i64()?;
        Some(Response::call("increment_counter", format!(r#"{{"count": {count}}}"#)))
    },
};

/// The weather, as an example of a tool.
pub const SINGLE_TOOL_CALL: Server = Server {
    name: "example_single_tool_call",
    about: "nothing: the reward is always 1",
    verify: |_, _, _| Ok(Verdict::pass(true, "each answer is right")),
    acts: Acts::UntilAnswer,
    gold: |_| Some(Response::text("It is cold.")),
};

/// The weather, asked for over MCP.
pub const MCP_WEATHER: Server = Server {
    name: "example_mcp_weather",
    about: "the tool was asked for the expected city, and the answer holds what it said, whatever the case",
    verify: |row, response, state| {
        let city = row
            .get("verifier_metadata")
            .and_then(|meta| meta.get("expected_city"))
            .and_then(Value::as_str)
            .unwrap_or("Paris");
        let asked = state
            .get("cities")
            .and_then(serde_json::Value::as_array)
            .is_some_and(|cities| {
                cities
                    .iter()
                    .filter_map(serde_json::Value::as_str)
                    .any(|asked| folded(asked) == folded(city))
            });
        let told = folded(&response.assistant_lines()).contains(&folded(&mcp_weather(city)));
        Ok(Verdict::pass(asked && told, format!("asked: {asked}, told: {told}")))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let city = row
            .get("verifier_metadata")
            .and_then(|meta| meta.get("expected_city"))
            .and_then(Value::as_str)
            .unwrap_or("Paris");
        let mut response = Response::call("get_weather", serde_json::json!({"city": city}).to_string());
        response.items.extend(Response::text(mcp_weather(city)).items);
        Some(response)
    },
};

/// What that weather tool says.
pub fn mcp_weather(city: &str) -> String {
    format!("The weather in {city} is sunny and 72 F.")
}

/// `text.casefold()`, but for letters that only then become others than in lower case (other than ß).
fn folded(text: &str) -> String {
    text.to_lowercase().replace('ß', "ss")
}

/// A call by three measures.
pub const MULTIREWARD: Server = Server {
    name: "example_tool_call_multireward",
    about: "the sum of three parts: the expected call is made, the first call has all required arguments, there is one call and no text",
    verify: |row, response, _| {
        let calls: Vec<(&str, &str)> = response.calls().collect();
        let texts = response.items.iter().any(|item| matches!(item, Item::Message { .. }));
        let object = |arguments: &str| json(arguments).filter(|value| matches!(value, Value::Dict(_)));
        let format = calls.len() == 1 && !texts;
        let valid = calls.first().is_some_and(|(name, arguments)| {
            let tools = row
                .get("responses_create_params")
                .and_then(|params| params.get("tools"))
                .and_then(Value::as_list)
                .unwrap_or_default();
            let tool = tools
                .iter()
                .find(|tool| tool.get("name").and_then(Value::as_str) == Some(name));
            let required = tool
                .and_then(|tool| tool.get("parameters")?.get("required")?.as_list())
                .unwrap_or_default();
            object(arguments).is_some_and(|given| {
                required
                    .iter()
                    .all(|key| key.as_str().is_some_and(|key| given.get(key).is_some()))
            })
        });
        let expected = row.get("expected_call").filter(|call| call.truthy());
        let right = expected.is_some_and(|expected| {
            calls.iter().any(|(name, arguments)| {
                let given = object(arguments).unwrap_or_default();
                let wanted = expected
                    .get("arguments")
                    .and_then(Value::as_dict)
                    .cloned()
                    .unwrap_or_default();
                // A missing argument is `None` for the original.
                let same = |(key, value): (&Value, &Value)| {
                    key.as_str()
                        .is_some_and(|key| given.get(key).unwrap_or(&Value::None) == value)
                };
                expected.get("name").and_then(Value::as_str) == Some(name) && wanted.iter().all(same)
            })
        });
        let parts = [("correctness", right), ("schema_valid", valid), ("format", format)]
            .map(|(name, met)| (name, f64::from(u8::from(met))));
        Ok(Verdict {
            reward: parts.iter().map(|(_, value)| value).sum(),
            parts: parts.to_vec(),
            why: format!("{} calls", calls.len()),
        })
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let call = row.get("expected_call")?;
        Some(Response::call(
            call.get("name")?.as_str()?,
            super::calls::arguments_text(call.get("arguments")),
        ))
    },
};

/// Questions that follow one another.
pub const MULTI_TURN: Server = Server {
    name: "example_multi_turn_gymnasium",
    about: "after the row's follow-up questions, the last answer holds the expected text, whatever its case",
    verify: |row, response, _| {
        let last = response.items.iter().rev().find_map(|item| {
            if let Item::Message { texts, .. } = item {
                Some(texts.concat())
            } else {
                None
            }
        });
        let wanted = row.str("expected_answer").unwrap_or_default().to_lowercase();
        let said = last.unwrap_or_default();
        Ok(Verdict::pass(
            !wanted.is_empty() && said.to_lowercase().contains(&wanted),
            format!("said {said:.80?}"),
        ))
    },
    acts: Acts::UntilAnswer,
    gold: |row| row.str("expected_answer").map(Response::text),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use hone_python::loads;

    #[test]
    fn one_call_has_three_measures() {
        let row = r#"{"expected_call": {"name": "get_weather", "arguments": {"city": "Rome"}},
            "responses_create_params": {"tools": [{"name": "get_weather", "parameters": {"required": ["city"]}}]}}"#;
        let row = Row {
            index: 0,
            fields: loads(row).unwrap(),
        };
        let parts = |response: &Response| {
            let verdict = (MULTIREWARD.verify)(&row, response, &serde_json::Value::Null).unwrap();
            assert_eq!(
                verdict.reward,
                verdict.parts.iter().map(|(_, value)| value).sum::<f64>()
            );
            verdict.parts.iter().map(|(_, value)| *value as u8).collect::<Vec<_>>()
        };
        let call = |arguments: &str| Response::call("get_weather", arguments);
        assert_eq!(parts(&call(r#"{"city": "Rome"}"#)), [1, 1, 1]);
        assert_eq!(parts(&call(r#"{"city": "Paris"}"#)), [0, 1, 1]);
        assert_eq!(parts(&call(r#"{"town": "Rome"}"#)), [0, 0, 1]);
        let mut both = call(r#"{"city": "Rome"}"#);
        both.items.insert(
            0,
            Item::Message {
                role: "assistant".into(),
                texts: vec![],
            },
        );
        assert_eq!(parts(&both), [1, 1, 0]);
        assert_eq!(parts(&Response::default()), [0, 0, 0]);
    }
}
