//! A recorded episode in a model's place.

use crate::{AgentTurn, CallRequest, Completion, Conversation, Message, Model, ModelError, Request};
use async_trait::async_trait;
use hone_tool::canonical;
use hone_trace::{EndReason, Episode, ModelCall, ToolCall, ToolErrorClass};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The event that holds the calls of a turn after one that waits for somebody's decision, as `calls`.
pub const WAITING: &str = "waiting_calls";

/// Says again what the agent of a recorded episode said, call by call, with the record of each as it was: tokens,
/// log-probabilities, usage, timing. One instance plays one episode. The arguments of calls are those that its words have, so
/// that a replay notices a record whose calls are others.
///
/// Played in the same environment it gives the same episode. Where the environment goes on after the last recorded turn,
/// the answer is an error: nothing is made up.
pub struct Replayed {
    name: String,
    episode: String,
    /// What was said where the model's context was full after the last call.
    full: Option<ModelError>,
    turns: Mutex<VecDeque<(AgentTurn, ModelCall)>>,
    /// Who goes on after the last recorded turn.
    then: Option<Arc<dyn Model>>,
}

impl Replayed {
    /// The agent of that episode.
    pub fn of(episode: &Episode) -> Self {
        let name = format!("replay:{}", episode.policy);
        Self::told(episode, name, ModelCall::by_policy)
    }

    /// The agent, under its own name.
    pub fn agent(episode: &Episode) -> Self {
        Self {
            name: episode.policy.clone(),
            ..Self::of(episode)
        }
    }

    /// The simulated user of that episode.
    pub fn user(episode: &Episode) -> Self {
        let mut calls = episode.model_calls.iter();
        let name = calls
            .find(|call| call.role == "user")
            .map_or_else(String::new, |call| call.policy.clone());
        Self::told(episode, name, |call| call.role == "user")
    }

    fn told(episode: &Episode, name: String, whose: impl Fn(&ModelCall) -> bool) -> Self {
        let calls = episode.model_calls.iter().filter(|call| whose(call));
        Self {
            name,
            episode: episode.id.clone(),
            full: (episode.end == EndReason::ContextOverflow).then(|| overflow(episode)),
            turns: Mutex::new(calls.map(|call| (turn(episode, call), call.clone())).collect()),
            then: None,
        }
    }

    /// The same, and after its last turn this model goes on, under its name.
    pub fn then(self, model: Arc<dyn Model>) -> Self {
        Self {
            name: model.name(),
            then: Some(model),
            ..self
        }
    }
}

/// The error that ended an episode whose context was full, in its own words.
fn overflow(episode: &Episode) -> ModelError {
    let event = episode
        .events
        .iter()
        .rev()
        .find(|event| event.kind == "context_overflow");
    let said = event
        .and_then(|event| event.detail["error"].as_str())
        .unwrap_or_default();
    let numbers: Vec<usize> = said
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    if let [tokens, limit] = numbers[..] {
        let known = ModelError::ContextOverflow { tokens, limit };
        if known.to_string() == said {
            return known;
        }
    }
    let prefix = ModelError::TooLong(String::new()).to_string();
    ModelError::TooLong(said.strip_prefix(&prefix).unwrap_or(said).to_owned())
}

/// What a call of the episode said.
fn turn(episode: &Episode, call: &ModelCall) -> AgentTurn {
    let of_turn = episode
        .tool_calls
        .iter()
        .filter(|tool| tool.model_call == Some(call.id));
    let mut calls: Vec<CallRequest> = of_turn.clone().map(request).collect();
    // A turn that was unreadable as a whole is told apart by its event.
    let unreadable =
        |event: &&hone_trace::Event| event.kind == "malformed_turn" && event.detail["model_call"] == call.id;
    if let Some(event) = episode.events.iter().find(unreadable) {
        return AgentTurn::Malformed {
            raw: call.text.clone(),
            error: event.detail["error"].as_str().unwrap_or_default().to_owned(),
        };
    }
    let last = call.id as usize + 1 == episode.model_calls.len();
    if last && episode.end == EndReason::Pending {
        let waiting = episode.events.iter().rev().find(|event| event.kind == WAITING);
        let more = waiting.map(|event| serde_json::from_value(event.detail["calls"].clone()));
        calls.extend(more.and_then(Result::<Vec<CallRequest>, _>::ok).unwrap_or_default());
    }
    if last && episode.end == EndReason::MaxCalls {
        // The call that was one too many left no trace.
        calls.push(CallRequest::new("", Value::Null));
    }
    if calls.is_empty() {
        return AgentTurn::Say(call.text.clone());
    }
    AgentTurn::Calls {
        content: said_beside(episode, call, calls.len()),
        calls,
    }
}

/// What was said before the turn's calls, as far as the record tells it apart: a conversation with a user has an event of
/// it; a remote model's text holds each call on a line of its own after it.
fn said_beside(episode: &Episode, call: &ModelCall, calls: usize) -> String {
    let beside = |event: &&hone_trace::Event| event.kind == "beside_calls" && event.detail["model_call"] == call.id;
    if let Some(event) = episode.events.iter().find(beside) {
        return event.detail["text"].as_str().unwrap_or_default().to_owned();
    }
    if call.remote.is_none() {
        return String::new();
    }
    let lines: Vec<&str> = call.text.split('\n').collect();
    lines[..lines.len().saturating_sub(calls)].join("\n")
}

/// A tool call as it was asked for.
fn request(call: &ToolCall) -> CallRequest {
    match &call.error {
        Some(error) if error.class == ToolErrorClass::Malformed => {
            let (name, why) = error.message.split_once(": ").unwrap_or(("", &error.message));
            let raw = call
                .raw
                .strip_prefix(name)
                .map_or(&*call.raw, |rest| rest.strip_prefix(' ').unwrap_or(rest));
            CallRequest {
                name: name.to_owned(),
                arguments: Value::String(raw.to_owned()),
                malformed: Some(why.to_owned()),
            }
        }
        _ => {
            // The arguments on record have been put into canonical form, and may be the policy's.
            let asked = call.decision.as_ref().and_then(|decision| decision.asked.as_ref());
            let recorded = asked.unwrap_or(&call.arguments);
            let arguments = written(&call.raw, &call.tool, recorded).unwrap_or_else(|| recorded.clone());
            CallRequest::new(call.tool.clone(), arguments)
        }
    }
}

/// A call as it stands in a turn's text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    arguments: Map<String, Value>,
}

/// Braces of a turn at which a call is looked for.
const BRACES: usize = 4_096;

/// The arguments of a call of `tool` in the text that it was read from: one call, or a turn with several of which the others
/// were not run, each with its marker or on a line of its own. A call that the record has is itself; else it is the last
/// one of the tool, since a thought before it may speak of calls. `None` where the text holds no such call.
fn written(text: &str, tool: &str, recorded: &Value) -> Option<Value> {
    let mut last = None;
    let mut from = 0;
    for (at, _) in text.match_indices('{').take(BRACES) {
        if at < from {
            continue;
        }
        let mut parts = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Written>();
        let Some(Ok(Written { name, arguments })) = parts.next() else {
            continue;
        };
        from = at + parts.byte_offset();
        if name == tool {
            let arguments = Value::Object(arguments);
            if arguments == *recorded || canonical(arguments.clone()) == *recorded {
                return Some(arguments);
            }
            last = Some(arguments);
        }
    }
    last
}

#[async_trait]
impl Model for Replayed {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let next = self.turns.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((turn, mut call)) = next else {
            if let Some(model) = &self.then {
                return model.complete(conversation, request).await;
            }
            return Err(self.full.clone().unwrap_or_else(|| {
                ModelError::Unavailable(format!(
                    "the recorded episode {} has no further turn, so its environment or its bounds have changed since",
                    self.episode
                ))
            }));
        };
        call.id = request.call_id;
        conversation.ids.truncate(call.prompt.shared as usize);
        conversation.ids.extend_from_slice(&call.prompt.new);
        conversation.ids.extend_from_slice(&call.output);
        conversation.messages.push(Message::Agent(turn.clone()));
        conversation.rendered = conversation.messages.len();
        conversation.last_call = Some(call.id);
        Ok(Completion { turn, call })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_those_of_the_text() {
        let recorded = json!({"n": 2, "who": "her"});
        for (text, found) in [
            // Alone, after a marker, after a thought that speaks of a call, before others that were not run.
            (
                r#"{"name":"send","arguments":{"n":2.0,"who":"her"}}"#,
                Some(json!({"n": 2.0, "who": "her"})),
            ),
            (
                r#"hm<|call|>{"name":"send","arguments":{"n":3}}"#,
                Some(json!({"n": 3})),
            ),
            (
                "not {\"name\": \"send\", \"arguments\": {}}, {so:\n{\"arguments\":{\"n\":4},\"name\":\"send\"}",
                Some(json!({"n": 4})),
            ),
            (
                "{\"arguments\":{\"n\":2,\"who\":\"her\"},\"name\":\"send\"}\n{\"arguments\":{\"n\":9},\"name\":\"send\"}",
                Some(recorded.clone()),
            ),
            // A call inside of another's arguments is none of the turn.
            (
                r#"{"name":"send","arguments":{"n":{"name":"send","arguments":{}}}}"#,
                Some(json!({"n": {"name": "send", "arguments": {}}})),
            ),
            // Another tool's, no call, no end.
            (r#"{"name":"look","arguments":{}}"#, None),
            ("[send(n=2)]", None),
            (r#"{"name":"send","arguments":{"n":"#, None),
        ] {
            assert_eq!(written(text, "send", &recorded), found, "{text}");
        }
        // What is hostile costs little.
        assert_eq!(
            written(
                &"{\"name\":\"send\",\"arguments\":{\"a\":".repeat(20_000),
                "send",
                &recorded
            ),
            None
        );
    }
}
