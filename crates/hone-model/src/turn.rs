//! From an answer's tokens to its record: the one way in which a conversation grows by an agent turn.

use crate::{AgentTurn, Codec, CodecError, Completion, Conversation, Message, ModelError, Request};
use hone_tool::Toolset;
use hone_trace::{FinishReason, Lineage, ModelCall, Origin, Prompt, Span, Timing, TokenId};
use std::path::Path;
use std::sync::Arc;

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

/// What a call adds to a conversation's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// How many of the conversation's ids stay: all of them, unless it had to be rendered anew.
    pub kept: usize,
    /// What follows them.
    pub new: Vec<TokenId>,
    /// Why it had to be rendered anew.
    pub broken: Option<Break>,
}

/// Why a conversation's tokens could not be extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The template changes what lies before the last answer.
    Rewritten,
    /// The template leaves the last answer out, or what was rendered does not end with one.
    NoAnswer,
    /// The template writes no end token after the last answer.
    NoEnd,
    /// Other tools are offered than before.
    Tools,
}

/// Messages to tokens and back: what every model with tokens needs.
pub trait TokenCodec: Send + Sync {
    /// What a conversation's next model call adds to its ids: the messages that are not rendered yet, and what comes before
    /// the answer.
    ///
    /// # Errors
    /// When the model's chat template refuses the conversation.
    fn extend(&self, conversation: &Conversation, tools: &Toolset) -> Result<Rendered, ModelError>;

    /// The tokens of an answer that says this, as the model is to write it behind what [`TokenCodec::extend`] gives; with its
    /// end token.
    ///
    /// # Errors
    /// When the model's chat template refuses the conversation.
    fn answer(
        &self,
        conversation: &Conversation,
        tools: &Toolset,
        turn: &AgentTurn,
    ) -> Result<Vec<TokenId>, ModelError>;

    /// Write the tokenizer and the chat format to a model's directory, for `transformers` too.
    ///
    /// # Errors
    /// When the directory cannot be written.
    fn save(&self, dir: &Path) -> Result<(), CodecError>;

    /// What an answer says, and its text. The ids come from a model and are not trusted.
    fn parse(&self, ids: &[TokenId]) -> (AgentTurn, String);

    /// The tokens that end an answer.
    fn ends(&self) -> &[TokenId];

    /// One more than the largest id.
    fn vocab_size(&self) -> usize;

    /// Hash of the template and the format of calls, and of a published model's tokenizer and end tokens; recorded with every
    /// model call.
    fn hash(&self) -> &str;
}

impl TokenCodec for Codec {
    fn extend(&self, conversation: &Conversation, _: &Toolset) -> Result<Rendered, ModelError> {
        Ok(Rendered {
            kept: conversation.ids.len(),
            new: self.prompt(conversation),
            broken: None,
        })
    }

    fn answer(&self, _: &Conversation, _: &Toolset, turn: &AgentTurn) -> Result<Vec<TokenId>, ModelError> {
        Ok(self.render_agent(turn))
    }

    fn save(&self, dir: &Path) -> Result<(), CodecError> {
        self.save(dir)
    }

    fn parse(&self, ids: &[TokenId]) -> (AgentTurn, String) {
        self.parse(ids)
    }

    fn ends(&self) -> &[TokenId] {
        std::slice::from_ref(self.end())
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size()
    }

    fn hash(&self) -> &str {
        self.hash()
    }
}

impl<T: TokenCodec + ?Sized> TokenCodec for Arc<T> {
    fn extend(&self, conversation: &Conversation, tools: &Toolset) -> Result<Rendered, ModelError> {
        (**self).extend(conversation, tools)
    }

    fn answer(
        &self,
        conversation: &Conversation,
        tools: &Toolset,
        turn: &AgentTurn,
    ) -> Result<Vec<TokenId>, ModelError> {
        (**self).answer(conversation, tools, turn)
    }

    fn save(&self, dir: &Path) -> Result<(), CodecError> {
        (**self).save(dir)
    }

    fn parse(&self, ids: &[TokenId]) -> (AgentTurn, String) {
        (**self).parse(ids)
    }

    fn ends(&self) -> &[TokenId] {
        (**self).ends()
    }

    fn vocab_size(&self) -> usize {
        (**self).vocab_size()
    }

    fn hash(&self) -> &str {
        (**self).hash()
    }
}

/// Record an answer and extend the conversation by it.
///
/// `prompt` is what this call added to the conversation's ids, as [`TokenCodec::extend`] gave it. The record refers to
/// the conversation's last call for everything before. Afterwards the conversation's ids end with the answer, its
/// messages with the parsed turn, and all of them count as rendered.
pub fn finish_turn(
    codec: &impl TokenCodec,
    conversation: &mut Conversation,
    request: &Request,
    policy: &str,
    prompt: Rendered,
    output: Output,
) -> Completion {
    let (turn, text) = codec.parse(&output.ids);
    conversation.ids.truncate(prompt.kept);
    let shared = conversation.ids.len() as u32;
    let length = output.ids.len() as u32;
    conversation.ids.extend_from_slice(&prompt.new);
    conversation.ids.extend_from_slice(&output.ids);
    let call = ModelCall {
        id: request.call_id,
        parent: conversation.last_call,
        retry_of: None,
        role: "agent".into(),
        policy: policy.into(),
        lineage: Lineage::Main,
        prompt: Prompt {
            shared,
            new: prompt.new,
        },
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
    conversation.tools = Some(request.tools.clone());
    conversation.last_call = Some(call.id);
    Completion { turn, call }
}
