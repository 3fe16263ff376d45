//! Players that are no models: the reference solution, inaction, chance; and a plain user.

use super::prompt::STOP;
use crate::environment::{DONE, Mode};
use crate::evaluate::gold_actions;
use crate::task::{Component, Instructions, Task};
use crate::toolkit::Side;
use hone_env::{ScriptInfo, ScriptRole};
use hone_model::{AgentTurn, CallRequest, Message, Script};
use hone_tool::ToolSpec;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

pub(crate) const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "gold",
        about: "makes the calls of the reference solution, has the user make theirs, and says what has to be said",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "says that it cannot help, and calls nothing",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "makes up to five calls of tools by chance, with words of the task as arguments",
        role: ScriptRole::Baseline,
    },
];

pub(crate) const USER_SCRIPTS: &[ScriptInfo] = &[ScriptInfo {
    name: "plain",
    about: "says the reason, then what it knows when asked, runs the tools that the agent names, and stops; \
            not the benchmark's user",
    role: ScriptRole::Baseline,
}];

/// What the agent says when it ends.
const SORRY: &str = "I am sorry, I cannot help with that.";

/// The agents' scripts.
pub(super) fn agent(
    name: &str,
    task: &Task,
    mode: Mode,
    tools: &[ToolSpec],
    stream: &Stream,
) -> Option<Box<dyn Script>> {
    let turns = match name {
        "gold" => gold(task, mode),
        "do_nothing" => VecDeque::new(),
        "random" => {
            let text = serde_json::to_string(&task.user_scenario).unwrap_or_default();
            random(&text, tools, stream)
        }
        _ => return None,
    };
    Some(self::turns(turns, mode))
}

/// A script that takes these turns and then ends the run.
pub(crate) fn turns(turns: VecDeque<AgentTurn>, mode: Mode) -> Box<dyn Script> {
    Box::new(Turns { turns, mode })
}

/// Turns in order, then the end.
struct Turns {
    turns: VecDeque<AgentTurn>,
    mode: Mode,
}

impl Script for Turns {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        self.turns.pop_front().unwrap_or_else(|| match self.mode {
            Mode::Dialogue => AgentTurn::Say(SORRY.to_owned()),
            Mode::Solo => AgentTurn::call(DONE, json!({})),
        })
    }
}

fn gold(task: &Task, mode: Mode) -> VecDeque<AgentTurn> {
    let turn = |action: &crate::task::Action| {
        let arguments = serde_json::to_value(&action.arguments).unwrap_or_default();
        match (action.requestor, mode) {
            (Side::User, Mode::Dialogue) => AgentTurn::Say(format!("Please use {} {arguments}.", action.name)),
            _ => AgentTurn::call(&action.name, arguments),
        }
    };
    let mut turns: VecDeque<_> = gold_actions(task).iter().map(turn).collect();
    let criteria = task.evaluation_criteria.as_ref();
    let said = criteria.filter(|criteria| criteria.reward_basis.contains(&Component::Communicate));
    let said = said
        .and_then(|criteria| criteria.communicate_info.as_deref())
        .unwrap_or_default();
    if mode == Mode::Dialogue {
        let said: String = said.iter().map(|text| format!(" {text}.")).collect();
        turns.push_back(AgentTurn::Say(format!("All is done.{said}")));
    }
    turns
}

/// Up to five calls by chance, with words of a text as arguments.
pub(crate) fn random(text: &str, tools: &[ToolSpec], stream: &Stream) -> VecDeque<AgentTurn> {
    let mut rng = stream.clone();
    let plain = |c: char| c.is_alphanumeric() || "#_-@.".contains(c);
    let words: Vec<&str> = text.split(|c| !plain(c)).filter(|word| word.len() > 1).collect();
    let tools: Vec<&ToolSpec> = tools.iter().filter(|tool| tool.name != DONE).collect();
    let count = rng.random_range(1..=5);
    let turns = (0..count).filter_map(|_| {
        let tool = tools.choose(&mut rng)?;
        let fields = tool.input_schema["properties"].as_object();
        let arguments: Map<_, _> = fields
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), value(schema, &words, &mut rng)))
            .collect();
        Some(AgentTurn::call(&tool.name, Value::Object(arguments)))
    });
    turns.collect()
}

fn value(schema: &Value, words: &[&str], rng: &mut Stream) -> Value {
    if let Some(allowed) = schema["enum"].as_array().and_then(|allowed| allowed.choose(rng)) {
        return allowed.clone();
    }
    let word = |rng: &mut Stream| words.choose(rng).map_or(Value::Null, |word| (*word).into());
    match schema["type"].as_str() {
        Some("integer" | "number") => rng.random_range(0..4).into(),
        Some("boolean") => rng.random_bool(0.5).into(),
        Some("array") => vec![word(rng)].into(),
        _ => word(rng),
    }
}

/// A user without a model: it answers by rule, so that everything runs offline and reinforcement has a cheap world.
///
/// The first message is the reason for the call. Afterwards, to a message that names tools of the user, it runs them (with
/// the JSON object that follows a name, if one does) and says what they gave; to a question, it says what it knows, then
/// what it does not know, then "Yes."; to anything else, it stops.
pub(crate) struct Plain {
    tools: Vec<String>,
    /// What is left to be said, the reason first.
    facts: VecDeque<String>,
    begun: bool,
}

impl Plain {
    pub(super) fn new(task: &Task, tools: &[ToolSpec]) -> Self {
        let facts = match &task.user_scenario.instructions {
            Instructions::Text(text) => vec![Some(text.clone())],
            Instructions::Structured {
                reason_for_call,
                known_info,
                unknown_info,
                ..
            } => vec![Some(reason_for_call.clone()), known_info.clone(), unknown_info.clone()],
        };
        Self::knowing(facts.into_iter().flatten().collect(), tools)
    }

    /// A user that has these things to say, in order, and these tools.
    pub(crate) fn knowing(facts: Vec<String>, tools: &[ToolSpec]) -> Self {
        let told = |fact: &String| !fact.trim().is_empty();
        Self {
            tools: tools.iter().map(|tool| tool.name.clone()).collect(),
            facts: facts.into_iter().filter(told).collect(),
            begun: false,
        }
    }

    /// The calls of a message, in the order of their names in it.
    fn asked(&self, message: &str) -> Vec<CallRequest> {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let named = |name: &str| {
            let places = message.match_indices(name).filter(|(at, _)| {
                let before = message[..*at].chars().next_back();
                let after = message[at + name.len()..].chars().next();
                !before.is_some_and(part) && !after.is_some_and(part)
            });
            places.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let mut calls: Vec<(usize, &str)> = self
            .tools
            .iter()
            .flat_map(|name| named(name).into_iter().map(move |at| (at, name.as_str())))
            .collect();
        calls.sort_unstable();
        let call = |(at, name): (usize, &str)| {
            let rest = &message[at + name.len()..];
            let arguments = serde_json::Deserializer::from_str(rest).into_iter::<Map<_, _>>().next();
            CallRequest::new(name, Value::Object(arguments.and_then(Result::ok).unwrap_or_default()))
        };
        calls.into_iter().take(MAX_CALLS).map(call).collect()
    }
}

/// Calls that a plain user makes for one message.
const MAX_CALLS: usize = 16;

impl Script for Plain {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        let results: Vec<&str> = messages
            .iter()
            .rev()
            .map_while(|message| match message {
                Message::Tool(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        if !results.is_empty() {
            let results: Vec<_> = results
                .into_iter()
                .rev()
                .filter(|text| !text.trim().is_empty())
                .collect();
            return AgentTurn::Say(match results[..] {
                [] => "Done.".to_owned(),
                _ => results.join("\n"),
            });
        }
        let Some(Message::User(heard)) = messages.last() else {
            return AgentTurn::Say(STOP[0].to_owned());
        };
        if !std::mem::replace(&mut self.begun, true) {
            return AgentTurn::Say(self.facts.pop_front().unwrap_or_else(|| "Hello.".to_owned()));
        }
        let calls = self.asked(heard);
        if !calls.is_empty() {
            return AgentTurn::Calls {
                content: String::new(),
                calls,
            };
        }
        AgentTurn::Say(match heard.contains('?') {
            true => self.facts.pop_front().unwrap_or_else(|| "Yes.".to_owned()),
            false => STOP[0].to_owned(),
        })
    }
}
