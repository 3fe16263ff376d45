//! Scripted players.

use super::{Entry, Shared, prompt};
use crate::multi_turn::World;
use crate::{Answer, Names, gold};
use hone_env::{ScriptInfo, ScriptRole};
use hone_model::{AgentTurn, CallRequest, Message, Script};
use hone_python::{Dict, Expr, Value, constant, parse};
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Map, json};

pub(super) const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "gold",
        about: "Calls and says what the gold says.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Says nothing and calls nothing.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "In each turn calls one of the functions with made-up arguments of the right types.",
        role: ScriptRole::Baseline,
    },
];

/// Says its turns one after the other, then nothing.
struct Recital(std::vec::IntoIter<AgentTurn>);

impl Script for Recital {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        self.0.next().unwrap_or_else(|| AgentTurn::Say(String::new()))
    }
}

/// Makes up a call, then says that it is done.
struct Random {
    entry: Entry,
    shared: std::sync::Arc<Shared>,
    stream: Stream,
    turn: usize,
    called: bool,
}

impl Script for Random {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        if self.called {
            self.called = false;
            self.turn += 1;
            return AgentTurn::Say("Done.".into());
        }
        self.called = true;
        let offered = prompt::specs(&self.entry, self.turn, &function_calling(&self.shared));
        let Some(tool) = offered.choose(&mut self.stream) else {
            return AgentTurn::Say(String::new());
        };
        let properties = tool.input_schema.get("properties").and_then(|p| p.as_object()).cloned();
        let required = tool
            .input_schema
            .get("required")
            .and_then(|r| r.as_array())
            .cloned()
            .unwrap_or_default();
        let mut arguments = Map::new();
        for (name, schema) in properties.unwrap_or_default() {
            let needed = required.iter().any(|r| r.as_str() == Some(&name));
            if needed || self.stream.random_bool(0.3) {
                arguments.insert(name, made_up(&schema, &mut self.stream));
            }
        }
        if !self.shared.prompted {
            return AgentTurn::call(tool.name.clone(), arguments.into());
        }
        let arguments: Value = serde_json::from_value(arguments.into()).unwrap_or_default();
        let parts = arguments.as_dict().cloned().unwrap_or_default();
        let parts: Vec<_> = parts
            .iter()
            .map(|(name, value)| format!("{name}={}", value.repr()))
            .collect();
        AgentTurn::Say(format!("[{}({})]", tool.name, parts.join(", ")))
    }
}

/// The same for a model that is told of tools.
fn function_calling(shared: &Shared) -> Shared {
    Shared {
        prompted: false,
        memories: crate::Memories {
            functions: shared.memories.functions.clone(),
            ..Default::default()
        },
        worlds: shared.worlds.clone(),
    }
}

fn made_up(schema: &serde_json::Value, stream: &mut Stream) -> serde_json::Value {
    if let Some(choice) = schema
        .get("enum")
        .and_then(|e| e.as_array())
        .and_then(|e| e.choose(stream))
    {
        return choice.clone();
    }
    match schema.get("type").and_then(|t| t.as_str()) {
        Some("integer") => json!(stream.random_range(0..10)),
        Some("number") => json!(f64::from(stream.random_range(0..100u32)) / 10.0),
        Some("boolean") => json!(stream.random_bool(0.5)),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!(
            *["a", "name", "file.txt", "New York", "2024-01-01"]
                .choose(stream)
                .unwrap_or(&"a")
        ),
    }
}

/// The script of that name.
pub(super) fn script(
    name: &str,
    entry: &Entry,
    shared: &std::sync::Arc<Shared>,
    stream: &Stream,
) -> Option<Box<dyn Script>> {
    let turns = match name {
        "gold" => golden(entry, shared)?,
        "do_nothing" => vec![],
        "random" => {
            return Some(Box::new(Random {
                entry: entry.clone(),
                shared: shared.clone(),
                stream: stream.named("random"),
                turn: 0,
                called: false,
            }));
        }
        _ => return None,
    };
    Some(Box::new(Recital(turns.into_iter())))
}

fn golden(entry: &Entry, shared: &Shared) -> Option<Vec<AgentTurn>> {
    match entry {
        Entry::Single(record) => {
            let names = if shared.prompted {
                Names::Dotted
            } else {
                Names::Underscored
            };
            Some(vec![match gold(record, names) {
                Answer::Calls(calls) if !calls.is_empty() => AgentTurn::Calls {
                    content: String::new(),
                    calls: calls.into_iter().map(|(name, json)| request(name, &json)).collect(),
                },
                Answer::Text(text) if shared.prompted => AgentTurn::Say(text),
                _ => AgentTurn::Say("None of the functions fits.".into()),
            }])
        }
        Entry::Turns(task) => {
            let world = task.world(&shared.worlds).ok()?;
            let mut turns = vec![];
            for calls in &task.gold {
                if !calls.is_empty() {
                    turns.push(golden_turn(calls, &world, shared.prompted)?);
                }
                turns.push(AgentTurn::Say("Done.".into()));
            }
            Some(turns)
        }
        Entry::Before(prior) => {
            let noted = || AgentTurn::Say("I have noted it.".into());
            Some(
                std::iter::repeat_with(noted)
                    .take(prior.conversation.turns.len())
                    .collect(),
            )
        }
        Entry::Memory(question, _) => {
            let answer = question.gold.first()?;
            let said = [("answer", answer.as_str()), ("context", "It was said before.")];
            Some(vec![AgentTurn::Say(Value::Dict(said.into_iter().collect()).repr())])
        }
    }
}

fn request(name: String, arguments: &str) -> CallRequest {
    CallRequest::new(name, serde_json::from_str(arguments).unwrap_or_default())
}

/// A turn's gold calls, with all arguments by name. `None` where a call is not one of a tool with literals.
fn golden_turn(calls: &[String], world: &World, prompted: bool) -> Option<AgentTurn> {
    let mut made: Vec<(String, Dict)> = vec![];
    for call in calls {
        let Ok(Expr::Call(call)) = parse(call.trim()) else {
            return None;
        };
        let name = call.dotted_name();
        let parameters = world.parameters(&name)?;
        let mut arguments = Dict::new();
        for (parameter, value) in parameters.iter().zip(&call.args) {
            arguments.set(*parameter, constant(value).ok()?);
        }
        for keyword in &call.keywords {
            arguments.set(keyword.name.clone()?, constant(&keyword.value).ok()?);
        }
        made.push((name, arguments));
    }
    if prompted {
        let argument = |(name, value): (&Value, &Value)| format!("{name}={}", value.repr());
        let call = |(name, arguments): &(String, Dict)| {
            format!(
                "{name}({})",
                arguments.iter().map(argument).collect::<Vec<_>>().join(", ")
            )
        };
        return Some(AgentTurn::Say(format!(
            "[{}]",
            made.iter().map(call).collect::<Vec<_>>().join(", ")
        )));
    }
    let request = |(name, arguments): (String, Dict)| {
        Some(CallRequest::new(
            name,
            serde_json::to_value(Value::Dict(arguments)).ok()?,
        ))
    };
    Some(AgentTurn::Calls {
        content: String::new(),
        calls: made.into_iter().map(request).collect::<Option<_>>()?,
    })
}
