//! A model behind an HTTP API.

mod names;
mod transcript;

use crate::{AgentTurn, CallRequest, Completion, Conversation, Message, Model, ModelError, Request};
use async_trait::async_trait;
use hone_trace::{
    FinishReason, Lineage, ModelCall, Prompt, PromptMessage, Remote, SamplingSettings, Served, Timing, Usage,
};
use hone_wire::{Answer, Api, Client, Failure, Json, Prices, Reply, Settings, ToolDef};
use names::Names;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use transcript::Transcript;

/// A model behind an HTTP API: a [`Client`] in a model's place.
///
/// * Its tokens stay hidden: a call's record has words ([`Remote::asked`], [`ModelCall::text`]) instead, with what the
///   endpoint says of tokens and what they cost.
/// * What the endpoint said goes back to it as it came, with its ids of calls, reasoning and signatures.
/// * Calls whose arguments cannot be read come with their text ([`CallRequest::malformed`]); text alone is an answer. A
///   filter's refusal is an answer too, empty or cut.
/// * A server that says that the conversation is too long makes a [`ModelError::TooLong`], every other failure
///   [`ModelError::Unavailable`].
///
/// Temperature and top-p go to servers of OpenAI's dialect, and to those of Anthropic's only where the settings name
/// them: its present API has none. The record has what was applied; a server's own default counts as 1.
pub struct RemoteModel {
    client: Client,
    name: String,
    model: String,
    settings: Settings,
    prices: Prices,
}

impl RemoteModel {
    /// The endpoint's model `model`, called `name` in the record.
    ///
    /// What `settings` name goes before a request's own temperature, top-p and bound on tokens.
    pub fn new(
        client: Client,
        name: impl Into<String>,
        model: impl Into<String>,
        settings: Settings,
        prices: Prices,
    ) -> Self {
        Self {
            client,
            name: name.into(),
            model: model.into(),
            settings,
            prices,
        }
    }

    /// One answer to these messages, outside of any episode. `seed` decides the pauses between attempts.
    ///
    /// # Errors
    /// As [`Model::complete`].
    pub async fn ask(
        &self,
        messages: Vec<hone_wire::Message>,
        tools: Vec<ToolDef>,
        settings: Settings,
        seed: u64,
    ) -> Result<Reply, ModelError> {
        let request = hone_wire::Request {
            model: self.model.clone(),
            messages,
            tools,
            settings,
        };
        self.client.complete(&request, seed).await.map_err(unanswered)
    }

    /// What the record says of an answer to these words.
    pub fn remote(&self, asked: Vec<PromptMessage>, reply: &Reply) -> Remote {
        let answer = &reply.answer;
        let usage = answer.usage.as_ref();
        Remote {
            asked,
            reasoning: answer.message.reasoning(),
            usage: usage.map(|usage| Usage {
                input: usage.input,
                output: usage.output,
                cached: usage.cached_input.unwrap_or(0),
                reasoning: usage.reasoning.unwrap_or(0),
            }),
            cost_usd: usage.and_then(|usage| self.prices.cost(&self.model, usage)),
            served: Served {
                model: answer.model.clone(),
                id: answer.id.clone(),
                attempts: reply.attempts.len() as u32 + 1,
            },
        }
    }

    fn settings(&self, sampling: &SamplingSettings) -> Settings {
        let mut settings = self.settings.clone();
        if self.client.endpoint().api == Api::OpenAi {
            settings.temperature = settings.temperature.or_else(|| wide(sampling.temperature));
            settings.top_p = settings.top_p.or_else(|| wide(sampling.top_p));
        }
        settings.max_tokens = settings
            .max_tokens
            .or((sampling.max_tokens > 0).then_some(sampling.max_tokens));
        settings
    }
}

#[async_trait]
impl Model for RemoteModel {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let names = Names::of(request.tools.specs().iter().map(|spec| spec.name.as_str()));
        let mut transcript = Transcript::of(conversation, &names);
        let tools = request.tools.specs().iter().map(|spec| ToolDef {
            name: names.sent(&spec.name),
            description: spec.description.clone(),
            parameters: Json::from(&spec.input_schema),
            strict: None,
        });
        let settings = self.settings(&request.sampling);
        let sampling = SamplingSettings {
            temperature: settings.temperature.map_or(1.0, |t| t as f32),
            top_p: settings.top_p.map_or(1.0, |p| p as f32),
            top_k: 0,
            max_tokens: settings.max_tokens.unwrap_or(0),
            stream: String::new(),
            ..SamplingSettings::default()
        };
        let seed = request.stream.named("retry").seed();
        let sent = transcript.messages.clone();
        let first = conversation.last_call.is_none();
        let reply = self
            .ask(sent, tools.collect(), settings, seed)
            .await
            .map_err(|error| match error {
                // The bound on the answer is more than the whole context: settings, and no conversation's doing.
                ModelError::TooLong(why) if first && asks_too_much(&why) => {
                    ModelError::Unavailable(format!("{why}; lower `max_tokens` in the settings of the endpoint"))
                }
                error => error,
            })?;
        let (turn, text) = read(&reply.answer, &names);
        let new = if first { 0 } else { conversation.rendered };
        let asked = conversation.messages.get(new..).unwrap_or_default();
        let call = ModelCall {
            id: request.call_id,
            parent: conversation.last_call,
            retry_of: None,
            role: "agent".into(),
            policy: self.name.clone(),
            lineage: Lineage::Main,
            prompt: Prompt::default(),
            output: Vec::new(),
            origins: Vec::new(),
            logprobs: Vec::new(),
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            top_logprobs: Vec::new(),
            versions: Vec::new(),
            sampling,
            finish: finish(&reply.answer.finish),
            template: String::new(),
            grammar: None,
            text,
            remote: Some(Box::new(self.remote(asked.iter().map(in_words).collect(), &reply))),
            timing: timing(&reply),
        };
        transcript.answered(reply.answer.message);
        conversation.messages.push(Message::Agent(turn.clone()));
        conversation.rendered = conversation.messages.len();
        conversation.last_call = Some(call.id);
        conversation.cache = Some(Arc::new(transcript));
        Ok(Completion { turn, call })
    }
}

/// The number that is written like this one: 0.7 stays 0.7.
fn wide(number: f32) -> Option<f64> {
    number.to_string().parse().ok()
}

/// What an answer says, and its text: what was said, then each call on a line of its own.
fn read(answer: &Answer, names: &Names) -> (AgentTurn, String) {
    let content = answer.message.text();
    let call = |call: &hone_wire::ToolCall| {
        let name = names.ours(&call.name);
        match &call.arguments.parsed {
            Ok(object) => CallRequest::new(name, Value::Object(object.clone())),
            Err(why) => CallRequest {
                name,
                arguments: Value::String(call.arguments.raw.clone()),
                malformed: Some(why.clone()),
            },
        }
    };
    let calls: Vec<CallRequest> = answer.message.calls().map(call).collect();
    if calls.is_empty() {
        return (AgentTurn::Say(content.clone()), content);
    }
    let turn = AgentTurn::Calls { content, calls };
    let text = written(&turn);
    (turn, text)
}

/// A turn as text.
fn written(turn: &AgentTurn) -> String {
    match turn {
        AgentTurn::Say(text) | AgentTurn::Malformed { raw: text, .. } => text.clone(),
        AgentTurn::Calls { content, calls } => {
            let calls = calls.iter().map(|call| match &call.arguments {
                Value::String(raw) if call.malformed.is_some() => format!("{} {raw}", call.name),
                arguments => json!({"name": call.name, "arguments": arguments}).to_string(),
            });
            let content = (!content.is_empty()).then(|| content.clone());
            content.into_iter().chain(calls).collect::<Vec<_>>().join("\n")
        }
    }
}

fn in_words(message: &Message) -> PromptMessage {
    let (role, text) = match message {
        Message::System(text) => ("system", text.clone()),
        Message::User(text) => ("user", text.clone()),
        Message::Tool(text) => ("tool", text.clone()),
        Message::Agent(turn) => ("assistant", written(turn)),
    };
    PromptMessage {
        role: role.to_owned(),
        text,
    }
}

fn finish(reason: &hone_wire::FinishReason) -> FinishReason {
    use hone_wire::FinishReason::{ContentFilter, Context, Length, Other, Stop, ToolCalls};
    match reason {
        Stop | ToolCalls | ContentFilter | Other(_) => FinishReason::Stop,
        Length => FinishReason::Length,
        Context => FinishReason::Context,
    }
}

/// From the first attempt to the end of the answer: the wait for a place is not the endpoint's.
fn timing(reply: &Reply) -> Timing {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_micros() as u64);
    let duration_us = reply.total.as_micros() as u64;
    Timing {
        start_us: now.saturating_sub(duration_us),
        duration_us,
    }
}

fn unanswered(failure: Failure) -> ModelError {
    if failure.error.is_too_long() {
        ModelError::TooLong(failure.to_string())
    } else {
        ModelError::Unavailable(failure.to_string())
    }
}

/// Whether a server that refuses for length speaks of the answer's bound.
fn asks_too_much(why: &str) -> bool {
    ["max_tokens", "max_completion_tokens", "in the completion"]
        .iter()
        .any(|words| why.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_wire::{Assistant, Part, ToolCall};

    fn said(parts: Vec<Part>) -> (AgentTurn, String) {
        let answer = Answer {
            message: Assistant { parts },
            finish: hone_wire::FinishReason::Stop,
            usage: None,
            id: String::new(),
            model: String::new(),
            logprobs: None,
            prompt_token_ids: None,
            token_ids: None,
            raw: String::new(),
            raw_cut: false,
        };
        read(&answer, &Names::of(["a.b", "c"].into_iter()))
    }

    #[test]
    fn answers_become_turns_and_what_cannot_be_read_keeps_its_text() {
        assert_eq!(said(Vec::new()), (AgentTurn::Say(String::new()), String::new()));
        let text = Part::Text { text: "So:".into() };
        assert_eq!(said(vec![text.clone()]), (AgentTurn::Say("So:".into()), "So:".into()));
        let calls = ["{\"x\": 1}", "{\"x\""].map(|raw| Part::Call(ToolCall::new("id", "a_b", raw)));
        let [good, bad] = calls;
        let (turn, written) = said(vec![text, good, bad]);
        let [first, second] = turn.calls() else {
            panic!("two calls: {turn:?}");
        };
        assert_eq!(*first, CallRequest::new("a.b", json!({"x": 1})));
        assert_eq!((second.name.as_str(), &second.arguments), ("a.b", &json!("{\"x\"")));
        assert!(second.malformed.as_ref().is_some_and(|why| why.contains("not JSON")));
        assert_eq!(written, "So:\n{\"arguments\":{\"x\":1},\"name\":\"a.b\"}\na.b {\"x\"");
    }

    #[test]
    fn a_temperature_is_sent_as_it_is_written() {
        assert_eq!(wide(0.7), Some(0.7));
        assert_eq!(wide(0.0), Some(0.0));
    }
}
