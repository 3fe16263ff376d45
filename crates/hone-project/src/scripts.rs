//! Scripted agents: the reference solutions of the tasks, and baselines.

use crate::TaskLine;
use hone_env::{ScriptInfo, ScriptRole};
use hone_model::{AgentTurn, Message, Script};
use hone_tool::ToolSpec;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value};

/// What is on offer.
pub(crate) const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "gold",
        about: "Plays the task's `gold`: the upper bound. A task without one does not count.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Answers at once with nothing: what inaction passes.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "Makes random well-formed calls, then says a word of the request.",
        role: ScriptRole::Baseline,
    },
];

/// A scripted agent.
pub(crate) enum Agent {
    /// These turns.
    Turns(std::vec::IntoIter<AgentTurn>),
    /// Random calls while `left`.
    Random {
        left: u32,
        specs: Vec<ToolSpec>,
        words: Vec<String>,
        stream: Box<Stream>,
    },
}

impl Agent {
    /// The script of that name for a task; `None` if there is none.
    pub fn new(name: &str, line: &TaskLine, specs: &[ToolSpec], stream: &Stream) -> Option<Self> {
        let turns = match name {
            "gold" => {
                let gold = line.gold.as_ref()?;
                let calls = gold
                    .calls
                    .iter()
                    .map(|call| AgentTurn::call(&call.name, Value::Object(call.arguments.clone())));
                calls.chain([AgentTurn::Say(gold.answer.clone())]).collect()
            }
            "do_nothing" => vec![AgentTurn::Say(String::new())],
            "random" => {
                let mut stream = stream.named("project").named(name);
                return Some(Self::Random {
                    left: stream.random_range(0..=4),
                    specs: specs.to_vec(),
                    words: line.prompt.split_whitespace().map(str::to_owned).collect(),
                    stream: Box::new(stream),
                });
            }
            _ => return None,
        };
        Some(Self::Turns(turns.into_iter()))
    }
}

impl Script for Agent {
    fn next(&mut self, _messages: &[Message]) -> AgentTurn {
        match self {
            Self::Turns(turns) => turns.next().unwrap_or_else(|| AgentTurn::Say(String::new())),
            Self::Random {
                left,
                specs,
                words,
                stream,
            } => {
                let tool = specs.choose(stream).filter(|_| *left > 0);
                *left = left.saturating_sub(1);
                match tool {
                    Some(tool) => {
                        let arguments = value(&tool.input_schema, words, stream, 0);
                        AgentTurn::call(&tool.name, arguments)
                    }
                    None => AgentTurn::Say(words.choose(stream).cloned().unwrap_or_default()),
                }
            }
        }
    }
}

/// A random value that fits the simple parts of a schema: types, enumerations, bounds of numbers, properties, items.
fn value(schema: &Value, words: &[String], stream: &mut Stream, depth: u32) -> Value {
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        return options.choose(stream).cloned().unwrap_or_default();
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        _ => "string",
    };
    match kind {
        "integer" | "number" => {
            let bound = |name| schema.get(name).and_then(Value::as_i64);
            let low = bound("minimum").unwrap_or(0);
            let high = low.saturating_add(9).min(bound("maximum").unwrap_or(i64::MAX)).max(low);
            Value::from(stream.random_range(low..=high))
        }
        "boolean" => Value::from(stream.random_bool(0.5)),
        "array" if depth < 4 => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            let length = stream.random_range(0..3);
            (0..length).map(|_| value(items, words, stream, depth + 1)).collect()
        }
        "object" if depth < 4 => {
            let required = schema.get("required").and_then(Value::as_array);
            let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
            let mut object = Map::new();
            for (name, inner) in schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                if required.contains(&name.as_str()) || stream.random_bool(0.5) {
                    object.insert(name.clone(), value(inner, words, stream, depth + 1));
                }
            }
            Value::Object(object)
        }
        "array" => Value::Array(Vec::new()),
        "object" => Value::Object(Map::new()),
        "null" => Value::Null,
        _ => {
            let word = words.choose(stream).map_or("", String::as_str);
            let plain = word.trim_matches(|c: char| c.is_ascii_punctuation());
            Value::from(plain)
        }
    }
}
