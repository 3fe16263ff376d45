//! The answer has the expected form: a pattern, or a JSON Schema.

use super::{Checker, Evidence, Finding, answered, shown};
use jsonschema::Validator;
use serde_json::Value;

/// The expected regular expression matches somewhere in the answer (`^…$` for all of it). Time is linear in the answer.
#[derive(Clone, Copy, Debug)]
pub struct Regex;

impl Checker for Regex {
    fn version(&self) -> String {
        "regex/1".to_owned()
    }

    fn accepts(&self, expected: &Value) -> Result<(), String> {
        pattern(expected).map(|_| ())
    }

    fn check(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let pattern = pattern(evidence.expected)?;
        let matches = evidence.answer.is_some_and(|answer| pattern.is_match(answer));
        let why = match matches {
            true => answered(evidence.answer),
            false => format!("expected a match of {pattern}, but {}", answered(evidence.answer)),
        };
        Ok(Finding::of(matches, why))
    }
}

fn pattern(expected: &Value) -> Result<regex::Regex, String> {
    let text = expected.as_str().ok_or("write a regular expression, as a text")?;
    regex::Regex::new(text).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim();
        format!("this is no regular expression ({})", last.trim_start_matches("error: "))
    })
}

/// The whole answer is JSON that fits the expected schema.
#[derive(Clone, Copy, Debug)]
pub struct JsonSchema;

impl Checker for JsonSchema {
    fn version(&self) -> String {
        "json_schema/1".to_owned()
    }

    fn accepts(&self, expected: &Value) -> Result<(), String> {
        schema(expected).map(|_| ())
    }

    fn check(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let validator = schema(evidence.expected)?;
        let Some(answer) = evidence.answer else {
            return Ok(Finding::of(false, answered(None)));
        };
        let why = match serde_json::from_str::<Value>(answer.trim()) {
            Err(error) => format!("the answer is not JSON ({error}): {}", shown(&Value::from(answer))),
            Ok(value) => match validator.validate(&value) {
                Ok(()) => return Ok(Finding::of(true, answered(Some(answer)))),
                Err(error) => {
                    let place = error.instance_path().as_str().to_owned();
                    let what = error.masked_with("the value").to_string();
                    format!("at {place:?}: {what}, but {}", answered(Some(answer)))
                }
            },
        };
        Ok(Finding::of(false, why))
    }
}

fn schema(expected: &Value) -> Result<Validator, String> {
    if !expected.is_object() {
        return Err("write a JSON Schema, as an object".to_owned());
    }
    Validator::new(expected).map_err(|error| format!("this is no JSON Schema ({error})"))
}
