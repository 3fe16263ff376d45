//! Episodes as OpenTelemetry spans, by the semantic conventions for generative AI.
//!
//! An episode is a trace of its own: `invoke_agent` above `chat` for each model call and `execute_tool` for each tool call;
//! its scores are `gen_ai.evaluation.result` events. Ids follow from the run's name and the episode, so that sending a run
//! twice sends the same spans. What was said, tools' arguments and results are left out unless they are asked for.

mod encode;

use crate::{Episode, FinishReason, ModelCall, Outcome, Said, Timing, ToolCall};
pub use encode::Encoding;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The version of the conventions that the spans follow.
pub const CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.37.0";

/// Most bytes of a conversation in one attribute; older messages are left out.
const MAX_CONTENT: usize = 256 << 10;

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpSpan {
    /// The episode.
    pub trace: [u8; 16],
    /// The span.
    pub id: [u8; 8],
    /// The span above it.
    pub parent: Option<[u8; 8]>,
    /// `<operation> <what>`.
    pub name: String,
    /// 1 for internal ones, 3 for those of a client.
    pub kind: u8,
    /// Wall clock.
    pub timing: Timing,
    /// Attributes.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Events, at its end.
    pub events: Vec<(&'static str, Vec<(&'static str, Attribute)>)>,
    /// What went wrong, if it ended with an error.
    pub error: Option<String>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// Whole number.
    Int(i64),
    /// Number.
    Float(f64),
    /// Texts.
    Texts(Vec<String>),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Attribute {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

/// The spans of an episode of that run, the agent's first; with what was said if `content`.
pub fn otlp_spans(run: &str, episode: &Episode, content: bool) -> Vec<OtlpSpan> {
    let seed = format!("{run}\0{}\0{}\0{}", episode.id, episode.seed, episode.timing.start_us);
    let hash = |of: &str| Sha256::digest(format!("{seed}\0{of}"));
    let mut trace = [0; 16];
    trace.copy_from_slice(&hash("trace")[..16]);
    let id = |of: String| {
        let mut id = [0; 8];
        id.copy_from_slice(&hash(&of)[..8]);
        id
    };
    let root = id("agent".into());
    let agent = |name: String, id, kind, timing| OtlpSpan {
        trace,
        id,
        parent: (id != root).then_some(root),
        name,
        kind,
        timing,
        attributes: Vec::new(),
        events: Vec::new(),
        error: None,
    };
    let mut spans = vec![invoke_agent(
        agent(format!("invoke_agent {}", episode.harness), root, 1, episode.timing),
        episode,
        content,
    )];
    for call in &episode.model_calls {
        let span = agent(
            format!("chat {}", call.policy),
            id(format!("model/{}", call.id)),
            3,
            call.timing,
        );
        spans.push(chat(span, episode, call));
    }
    for call in &episode.tool_calls {
        let tool = if call.tool.is_empty() { "unknown" } else { &call.tool };
        let span = agent(
            format!("execute_tool {tool}"),
            id(format!("tool/{}", call.id)),
            1,
            call.timing,
        );
        spans.push(execute_tool(span, tool, call, content));
    }
    if content {
        add_content(&mut spans[1..=episode.model_calls.len()], episode);
    }
    spans
}

fn invoke_agent(mut span: OtlpSpan, episode: &Episode, content: bool) -> OtlpSpan {
    let tokens = episode.model_calls.iter().map(ModelCall::tokens);
    let (input, output) = tokens.fold((0, 0), |sum, call| (sum.0 + call.0, sum.1 + call.1));
    span.attributes = vec![
        ("gen_ai.operation.name", "invoke_agent".into()),
        ("gen_ai.provider.name", "hone".into()),
        ("gen_ai.agent.name", episode.harness.as_str().into()),
        ("gen_ai.request.model", episode.policy.as_str().into()),
        ("gen_ai.conversation.id", episode.id.as_str().into()),
        ("gen_ai.usage.input_tokens", input.into()),
        ("gen_ai.usage.output_tokens", output.into()),
        ("hone.phase", episode.phase.as_str().into()),
        ("hone.taskset", episode.taskset.as_str().into()),
        ("hone.task", episode.task.as_str().into()),
        ("hone.task_kind", episode.task_kind.as_str().into()),
        ("hone.outcome", episode.outcome.kind().name().into()),
        ("hone.end", crate::record_name(&episode.end).into()),
    ];
    if let Some(reward) = episode.reward {
        span.attributes.push(("hone.reward", reward.into()));
    }
    if let Outcome::InfraFailed { cause } = &episode.outcome {
        span.attributes
            .push(("error.type", crate::record_name(&episode.end).into()));
        span.error = Some(cause.clone());
    }
    for score in &episode.scores {
        let label = if episode.succeeded() { "pass" } else { "fail" };
        let mut event = vec![
            ("gen_ai.evaluation.name", score.scorer.as_str().into()),
            ("gen_ai.evaluation.score.value", score.value.into()),
            ("gen_ai.evaluation.score.label", label.into()),
        ];
        let why: Vec<&str> = score
            .parts
            .iter()
            .map(|part| part.why.as_str())
            .filter(|why| !why.is_empty())
            .collect();
        // Reasons quote what was said.
        if content && !why.is_empty() {
            event.push(("gen_ai.evaluation.explanation", why.join("; ").into()));
        }
        span.events.push(("gen_ai.evaluation.result", event));
    }
    span
}

fn chat(mut span: OtlpSpan, episode: &Episode, call: &ModelCall) -> OtlpSpan {
    let sampling = &call.sampling;
    let (input, output) = call.tokens();
    let calls = episode.tool_calls.iter().any(|tool| tool.model_call == Some(call.id));
    span.attributes = vec![
        ("gen_ai.operation.name", "chat".into()),
        ("gen_ai.provider.name", "hone".into()),
        ("gen_ai.request.model", call.policy.as_str().into()),
        ("gen_ai.conversation.id", episode.id.as_str().into()),
        ("gen_ai.request.temperature", f64::from(sampling.temperature).into()),
        ("gen_ai.request.top_p", f64::from(sampling.top_p).into()),
        ("gen_ai.request.max_tokens", u64::from(sampling.max_tokens).into()),
        (
            "gen_ai.response.finish_reasons",
            Attribute::Texts(vec![finish(call.finish, calls).into()]),
        ),
        ("gen_ai.usage.input_tokens", input.into()),
        ("gen_ai.usage.output_tokens", output.into()),
        ("hone.role", call.role.as_str().into()),
    ];
    if let Some(remote) = &call.remote {
        let served = &remote.served;
        for (name, value) in [
            ("gen_ai.response.model", &served.model),
            ("gen_ai.response.id", &served.id),
        ] {
            if !value.is_empty() {
                span.attributes.push((name, value.as_str().into()));
            }
        }
        if let Some(usage) = remote.usage {
            span.attributes
                .push(("gen_ai.usage.cache_read.input_tokens", usage.cached.into()));
            span.attributes
                .push(("gen_ai.usage.reasoning.output_tokens", usage.reasoning.into()));
        }
    }
    if sampling.top_k > 0 {
        span.attributes
            .push(("gen_ai.request.top_k", u64::from(sampling.top_k).into()));
    }
    if call.finish == FinishReason::Error {
        span.attributes.push(("error.type", "model_failure".into()));
        span.error = Some("the model endpoint failed".into());
    }
    span
}

fn finish(reason: FinishReason, calls: bool) -> &'static str {
    match reason {
        FinishReason::Stop if calls => "tool_call",
        FinishReason::Stop => "stop",
        FinishReason::Length | FinishReason::Context => "length",
        FinishReason::Cancelled | FinishReason::Error => "error",
    }
}

fn execute_tool(mut span: OtlpSpan, tool: &str, call: &ToolCall, content: bool) -> OtlpSpan {
    span.attributes = vec![
        ("gen_ai.operation.name", "execute_tool".into()),
        ("gen_ai.tool.name", tool.into()),
        ("gen_ai.tool.call.id", call_id(call).into()),
        ("gen_ai.tool.type", "function".into()),
    ];
    if let Some(error) = &call.error {
        let class = crate::record_name(&error.class);
        span.attributes.push(("error.type", class.clone().into()));
        span.error = Some(if content { error.message.clone() } else { class });
    }
    if content {
        let arguments = if call.arguments.is_null() {
            call.raw.clone()
        } else {
            call.arguments.to_string()
        };
        span.attributes.push(("gen_ai.tool.call.arguments", arguments.into()));
        span.attributes
            .push(("gen_ai.tool.call.result", call.shown.as_str().into()));
    }
    span
}

fn call_id(call: &ToolCall) -> String {
    format!("call_{}", call.id)
}

/// Input and output messages of each model call that is a turn of the conversation. `spans` are those of the model calls.
fn add_content(spans: &mut [OtlpSpan], episode: &Episode) {
    let mut before: Vec<(String, usize)> = Vec::new();
    for said in episode.dialogue() {
        let message = message(&said);
        if let Said::Agent { model_call, calls, .. } = &said
            && let Some(span) = spans.get_mut(model_call.id as usize)
        {
            span.attributes.push(("gen_ai.input.messages", recent(&before).into()));
            let mut output = message.clone();
            output["finish_reason"] = finish(model_call.finish, !calls.is_empty()).into();
            span.attributes
                .push(("gen_ai.output.messages", json!([output]).to_string().into()));
        }
        let text = message.to_string();
        let length = text.len();
        before.push((text, length));
    }
}

/// The newest messages that fit, as a JSON array.
fn recent(messages: &[(String, usize)]) -> String {
    let mut room = MAX_CONTENT;
    let fits = messages.iter().rev().take_while(|(_, length)| {
        let fits = *length <= room;
        room = room.saturating_sub(*length);
        fits
    });
    let first = messages.len() - fits.count();
    let texts: Vec<&str> = messages[first..].iter().map(|(text, _)| text.as_str()).collect();
    format!("[{}]", texts.join(","))
}

/// A message as the conventions' JSON schema has it.
fn message(said: &Said<'_>) -> Value {
    let text = |role: &str, text: &str| json!({"role": role, "parts": [{"type": "text", "content": text}]});
    match said {
        Said::System(words) => text("system", words),
        Said::User(words) => text("user", words),
        Said::Agent { text: words, calls, .. } => {
            let mut parts = Vec::new();
            if !words.is_empty() || calls.is_empty() {
                parts.push(json!({"type": "text", "content": words}));
            }
            parts.extend(calls.iter().map(|call| {
                let arguments = if call.arguments.is_null() {
                    json!(call.raw)
                } else {
                    call.arguments.clone()
                };
                json!({"type": "tool_call", "id": call_id(call), "name": call.tool, "arguments": arguments})
            }));
            json!({"role": "assistant", "parts": parts})
        }
        Said::Tool(call) => json!({"role": "tool", "parts": [
            {"type": "tool_call_response", "id": call_id(call), "response": call.shown}
        ]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, sample};

    fn attribute<'a>(span: &'a OtlpSpan, name: &str) -> Option<&'a Attribute> {
        span.attributes
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    #[test]
    fn an_episode_is_a_tree_of_spans_without_what_was_said() {
        let episode = sample::episode(&Stream::new(5), "eval/0/0", 3);
        let spans = otlp_spans("run", &episode, false);
        assert_eq!(spans.len(), 1 + 3 + 2);
        assert_eq!(spans[0].name, "invoke_agent react");
        assert!(
            spans[1..]
                .iter()
                .all(|span| span.parent == Some(spans[0].id) && span.trace == spans[0].trace)
        );
        assert_eq!(attribute(&spans[1], "gen_ai.operation.name"), Some(&"chat".into()));
        assert_eq!(spans[4].name, "execute_tool orders.get");
        let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| span.id).collect();
        assert_eq!(ids.len(), spans.len());
        assert_eq!(spans, otlp_spans("run", &episode, false), "the same each time");
        assert_ne!(spans[0].trace, otlp_spans("other", &episode, false)[0].trace);
        let text = format!("{spans:?}");
        for secret in ["Refund order", "no such order", "stock", "It never said"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }

    #[test]
    fn content_comes_when_it_is_asked_for() {
        let episode = sample::episode(&Stream::new(5), "eval/0/0", 3);
        let spans = otlp_spans("run", &episode, true);
        let Some(Attribute::Text(input)) = attribute(&spans[2], "gen_ai.input.messages") else {
            panic!()
        };
        let input: Value = serde_json::from_str(input).unwrap();
        let roles: Vec<&str> = input
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|m| m["role"].as_str())
            .collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool"]);
        assert_eq!(input[2]["parts"][0]["id"], input[3]["parts"][0]["id"]);
        assert!(attribute(&spans[4], "gen_ai.tool.call.result").is_some());
    }

    #[test]
    fn long_conversations_keep_their_end() {
        let message = |n: usize| (format!("\"{}\"", "x".repeat(n)), n + 2);
        let kept: Value =
            serde_json::from_str(&recent(&[message(100), message(MAX_CONTENT - 100), message(50)])).unwrap();
        assert_eq!(kept.as_array().unwrap().len(), 2);
        assert_eq!(recent(&[message(MAX_CONTENT)]), "[]");
    }
}
