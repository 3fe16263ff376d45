//! The answer that ends an episode.

use crate::arguments::tool;
use crate::{Card, Kit};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Longest answer, as JSON, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Most mistakes that a refusal names.
const NAMED: usize = 5;
/// Longest description of a mistake, in characters.
const MISTAKE: usize = 300;

/// Settings of the answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A JSON Schema that the answer must fit; any text without it.
    pub schema: Option<Value>,
}

/// The tool that takes the answer.
#[derive(Clone, Debug)]
pub struct Finish {
    specs: Arc<Vec<ToolSpec>>,
    schema: Arc<Validator>,
    answer: Option<Value>,
}

fn spec(answer: Value) -> ToolSpec {
    let ends = Annotations {
        read_only_hint: false,
        destructive_hint: false,
        idempotent_hint: false,
        open_world_hint: false,
    };
    let about = "Give the final answer. This ends the work: call it once, when everything else is done.";
    tool("finish", about, object_schema(json!({"answer": answer}), &[]), ends)
}

/// What the tool is, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "finish",
        about: "the answer that ends the episode, if it fits a schema",
        settings: "`schema`: a JSON Schema that the answer must fit (default: a text)",
        limits: format!("an answer of {} KiB", MAX_ANSWER >> 10),
        specs: vec![spec(plain())],
    }
}

fn plain() -> Value {
    json!({"type": "string", "description": "the answer, complete and final"})
}

impl Finish {
    /// A tool whose answers must fit the schema.
    ///
    /// # Errors
    /// When that is no self-contained JSON Schema.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let schema = settings.schema.unwrap_or_else(plain);
        let validator =
            Validator::new(&schema).map_err(|error| format!("it is no self-contained JSON Schema ({error})"))?;
        // References are to the schema's own root, which it is no longer inside of another.
        let shown = match has_reference(&schema) {
            false => schema,
            true => {
                json!({"description": format!("the answer, complete and final; JSON that fits the schema {schema}")})
            }
        };
        Ok(Self {
            specs: Arc::new(vec![spec(shown)]),
            schema: Arc::new(validator),
            answer: None,
        })
    }

    fn refuse(&self, answer: &Value) -> Option<String> {
        let length = answer.to_string().len();
        if length > MAX_ANSWER {
            return Some(format!(
                "the answer has {length} bytes, and {MAX_ANSWER} are the most; shorten it"
            ));
        }
        let mut mistakes: Vec<String> = Vec::new();
        for error in self.schema.iter_errors(answer).take(NAMED) {
            let at = error.instance_path().as_str().to_owned();
            let at = if at.is_empty() { "the answer".to_owned() } else { at };
            let text: String = error.masked_with(&at).to_string().chars().take(MISTAKE).collect();
            mistakes.push(match text.contains(&at) {
                true => text,
                false => format!("{at}: {text}"),
            });
        }
        (!mistakes.is_empty()).then(|| {
            format!(
                "the answer does not fit its schema: {}; mend it and call finish again",
                mistakes.join("; ")
            )
        })
    }
}

fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.contains_key("$ref") || map.contains_key("$dynamicRef") || map.values().any(has_reference)
        }
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

impl ToolHost for Finish {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        if tool != "finish" {
            return Err(crate::arguments::unknown(tool));
        }
        if self.answer.is_some() {
            return Err(ToolError::tool(
                "the answer was given already, and the first one counts; stop here",
            ));
        }
        let answer = arguments.get("answer").unwrap_or(&Value::Null);
        if let Some(why) = self.refuse(answer) {
            return Err(ToolError::tool(why));
        }
        self.answer = Some(answer.clone());
        Ok(ToolOutput {
            data: json!({"answer": answer}),
            text: "finished".to_owned(),
            terminal: true,
            ..ToolOutput::default()
        })
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Finish {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        self.answer = None;
        Ok(())
    }

    /// `{"answer": …}`, or null before it.
    fn state(&self) -> Value {
        self.answer
            .as_ref()
            .map_or(Value::Null, |answer| json!({"answer": answer}))
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}

impl Kit for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn open(&self, _folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(Self {
            answer: None,
            ..self.clone()
        }))
    }

    fn inline(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(schema: Value) -> Finish {
        let schema = Some(schema).filter(|schema| !schema.is_null());
        Finish::new(Settings { schema }).unwrap()
    }

    #[test]
    fn the_first_answer_ends_the_episode() {
        let mut finish = made(Value::Null);
        let done = finish.call("finish", &json!({"answer": "42"})).unwrap();
        assert!(done.terminal);
        assert_eq!(
            (done.data, finish.state()),
            (json!({"answer": "42"}), json!({"answer": "42"}))
        );
        let mut copy = finish.fork().unwrap();
        assert!(
            copy.call("finish", &json!({"answer": "43"}))
                .unwrap_err()
                .message
                .contains("first one counts")
        );
        let long = "x".repeat(MAX_ANSWER);
        let error = made(Value::Null).call("finish", &json!({"answer": long})).unwrap_err();
        assert!(error.message.contains("shorten"), "{error}");
    }

    #[test]
    fn an_answer_that_does_not_fit_is_told_why() {
        let schema = json!({
            "$defs": {"day": {"type": "integer", "minimum": 1}},
            "type": "object", "required": ["days"], "properties": {"days": {"type": "array", "items": {"$ref": "#/$defs/day"}}},
        });
        let mut finish = made(schema);
        let error = finish.call("finish", &json!({"answer": {"days": [1, 0]}})).unwrap_err();
        assert!(
            error.message.contains("/days/1 is less than the minimum of 1"),
            "{error}"
        );
        assert!(finish.state().is_null(), "nothing has ended");
        assert!(
            finish
                .call("finish", &json!({"answer": {"days": [1, 2]}}))
                .unwrap()
                .terminal
        );
        let shown = &Finish::new(Settings {
            schema: Some(json!({"enum": ["a", "b"]})),
        })
        .unwrap()
        .specs[0];
        assert_eq!(shown.input_schema["properties"]["answer"], json!({"enum": ["a", "b"]}));
        for bad in [json!({"type": "objekt"}), json!({"$ref": "https://example.org/x"})] {
            assert!(
                Finish::new(Settings { schema: Some(bad) })
                    .unwrap_err()
                    .contains("JSON Schema")
            );
        }
    }
}
