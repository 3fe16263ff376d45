//! From an answer's tokens to its record: the one way in which a conversation grows by an agent turn.

use crate::{Codec, Completion, Conversation, Message, Request};
use hone_trace::{FinishReason, Lineage, ModelCall, Origin, Prompt, Span, Timing, TokenId};

/// What a model answered, in tokens.
#[derive(Clone, Debug)]
pub struct Output {
    /// The ids, with the end token if there was one.
    pub ids: Vec<TokenId>,
    /// Where they come from.
    pub origin: Origin,
    /// Log-probability of each id under the raw distribution, in nats; empty if unknown.
    pub logprobs: Vec<f32>,
    /// The same under the distribution that was sampled from; empty if that is the raw one.
    pub sampled_logprobs: Vec<f32>,
    /// Entropy in nats of the distribution at each id; empty if unknown.
    pub entropies: Vec<f32>,
    /// Policy versions as runs over the ids; empty for a model without versions.
    pub versions: Vec<Span<u64>>,
    /// Why it ended.
    pub finish: FinishReason,
    /// Wall clock.
    pub timing: Timing,
}

/// Record an answer and extend the conversation by it.
///
/// `prompt` are the ids that this call added to the conversation's, as [`Codec::prompt`] gave them. The record refers to
/// the conversation's last call for everything before. Afterwards the conversation's ids end with the answer, its
/// messages with the parsed turn, and all of them count as rendered.
pub fn finish_turn(
    codec: &Codec,
    conversation: &mut Conversation,
    request: &Request,
    policy: &str,
    prompt: Vec<TokenId>,
    output: Output,
) -> Completion {
    let (turn, text) = codec.parse(&output.ids);
    let shared = conversation.ids.len() as u32;
    let length = output.ids.len() as u32;
    conversation.ids.extend_from_slice(&prompt);
    conversation.ids.extend_from_slice(&output.ids);
    let call = ModelCall {
        id: request.call_id,
        parent: conversation.last_call,
        retry_of: None,
        role: "agent".into(),
        policy: policy.into(),
        lineage: Lineage::Main,
        prompt: Prompt { shared, new: prompt },
        output: output.ids,
        origins: if length == 0 {
            Vec::new()
        } else {
            vec![Span {
                start: 0,
                end: length,
                value: output.origin,
            }]
        },
        logprobs: output.logprobs,
        sampled_logprobs: output.sampled_logprobs,
        entropies: output.entropies,
        versions: output.versions,
        sampling: request.sampling.clone(),
        finish: output.finish,
        template: codec.hash().into(),
        grammar: None,
        text,
        remote: None,
        timing: output.timing,
    };
    conversation.messages.push(Message::Agent(turn.clone()));
    conversation.rendered = conversation.messages.len();
    conversation.last_call = Some(call.id);
    Completion { turn, call }
}
