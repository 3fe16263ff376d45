//! A recorded episode in a model's place.

use crate::{AgentTurn, CallRequest, Completion, Conversation, Message, Model, ModelError, Request};
use async_trait::async_trait;
use hone_trace::{EndReason, Episode, ModelCall, ToolCall, ToolErrorClass};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Says again what the agent of a recorded episode said, call by call, with the record of each as it was: tokens,
/// log-probabilities, usage, timing. One instance plays one episode.
///
/// Played in the same environment it gives the same episode. Where the environment goes on after the last recorded turn,
/// the answer is an error: nothing is made up.
pub struct Replayed {
    name: String,
    episode: String,
    /// Whether the model's context was full after the last call.
    full: bool,
    turns: Mutex<VecDeque<(AgentTurn, ModelCall)>>,
}

impl Replayed {
    /// The agent of that episode.
    pub fn of(episode: &Episode) -> Self {
        let turns = episode
            .model_calls
            .iter()
            .map(|call| (turn(episode, call), call.clone()));
        Self {
            name: format!("replay:{}", episode.policy),
            episode: episode.id.clone(),
            full: episode.end == EndReason::ContextOverflow,
            turns: Mutex::new(turns.collect()),
        }
    }
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
    if call.id as usize + 1 == episode.model_calls.len() && episode.end == EndReason::MaxCalls {
        // The call that was one too many left no trace.
        calls.push(CallRequest::new("", Value::Null));
    }
    if calls.is_empty() {
        return AgentTurn::Say(call.text.clone());
    }
    AgentTurn::Calls {
        content: String::new(),
        calls,
    }
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
            // The arguments on record have been put into canonical form.
            let written: Option<Value> = serde_json::from_str(&call.raw).ok();
            let arguments = written
                .filter(|written| written["name"] == *call.tool)
                .and_then(|mut written| Some(written.get_mut("arguments")?.take()));
            CallRequest::new(call.tool.clone(), arguments.unwrap_or_else(|| call.arguments.clone()))
        }
    }
}

#[async_trait]
impl Model for Replayed {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let next = self.turns.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((turn, mut call)) = next else {
            return Err(if self.full {
                ModelError::TooLong(format!("so it was in the recorded episode {}", self.episode))
            } else {
                ModelError::Unavailable(format!(
                    "the recorded episode {} has no further turn, so its environment or its bounds have changed since",
                    self.episode
                ))
            });
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
