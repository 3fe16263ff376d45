//! From an answer's tokens to its record: the one way in which a conversation grows by an agent turn.

use crate::stream::TurnLayout;
use crate::vocabulary::Vocabulary;
use crate::{AgentTurn, Codec, CodecError, Completion, Conversation, Message, ModelError, Request};
use hone_tool::Toolset;
use hone_trace::{Constraint, FinishReason, Lineage, ModelCall, Origin, Prompt, Span, Timing, TokenId, TopToken};
use std::path::Path;
use std::sync::Arc;

/// What a model answered, in tokens.
#[derive(Clone, Debug)]
pub struct Output {
    /// The ids, with the end token if there was one.
    pub ids: Vec<TokenId>,
    /// Where they come from.
    pub origin: Origin,
    /// Places of those that the runtime put there instead, ascending: a grammar's only choice.
    pub forced: Vec<u32>,
    /// Log-probability of each id under the raw distribution, in nats; empty if unknown.
    pub logprobs: Vec<f32>,
    /// The same under the distribution that was sampled from; empty if that is the raw one.
    pub sampled_logprobs: Vec<f32>,
    /// Entropy in nats of the distribution at each id; empty if unknown.
    pub entropies: Vec<f32>,
    /// The likeliest tokens at each id; empty unless asked for.
    pub top_logprobs: Vec<Vec<TopToken>>,
    /// Hash of the grammar that constrained it, if any.
    pub grammar: Option<String>,
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

    /// What text each token stands for.
    ///
    /// # Errors
    /// A sentence where tokens stand for no text of their own.
    fn vocabulary(&self) -> Result<Vocabulary, String>;

    /// The ids of a text, in which nothing is a special token.
    ///
    /// # Errors
    /// When the tokenizer has no token for a part of it.
    fn ids_of(&self, text: &str) -> Result<Vec<TokenId>, ModelError>;

    /// The text of ids, special tokens included.
    fn text_of(&self, ids: &[TokenId]) -> String;

    /// How turns are laid out, for reading them while they come.
    fn layout(&self) -> TurnLayout;

    /// A constraint as a grammar over whole answers, without the end token, in llguidance's dialect of Lark.
    ///
    /// # Errors
    /// A sentence where this format has none for it.
    fn grammar(&self, constraint: &Constraint, tools: &Toolset) -> Result<String, String>;
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

    fn vocabulary(&self) -> Result<Vocabulary, String> {
        self.vocabulary()
    }

    fn ids_of(&self, text: &str) -> Result<Vec<TokenId>, ModelError> {
        Ok(self.encode(text))
    }

    fn text_of(&self, ids: &[TokenId]) -> String {
        self.decode(ids)
    }

    fn layout(&self) -> TurnLayout {
        TurnLayout {
            open: self.format().call.clone(),
            ..TurnLayout::default()
        }
    }

    fn grammar(&self, constraint: &Constraint, tools: &Toolset) -> Result<String, String> {
        self.grammar(constraint, tools)
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

    fn vocabulary(&self) -> Result<Vocabulary, String> {
        (**self).vocabulary()
    }

    fn ids_of(&self, text: &str) -> Result<Vec<TokenId>, ModelError> {
        (**self).ids_of(text)
    }

    fn text_of(&self, ids: &[TokenId]) -> String {
        (**self).text_of(ids)
    }

    fn layout(&self) -> TurnLayout {
        (**self).layout()
    }

    fn grammar(&self, constraint: &Constraint, tools: &Toolset) -> Result<String, String> {
        (**self).grammar(constraint, tools)
    }
}

/// Runs of origins: `origin`, but for the places that were forced.
fn origins(length: u32, origin: Origin, forced: &[u32]) -> Vec<Span<Origin>> {
    let mut spans: Vec<Span<Origin>> = Vec::new();
    let mut forced = forced.iter().peekable();
    for at in 0..length {
        let value = match forced.next_if_eq(&&at) {
            Some(_) => Origin::Forced,
            None => origin,
        };
        match spans.last_mut() {
            Some(span) if span.value == value => span.end = at + 1,
            _ => spans.push(Span {
                start: at,
                end: at + 1,
                value,
            }),
        }
    }
    spans
}

/// An answer up to its first stop text. What would be a call is none if it is cut: the text that stopped it is in it.
pub fn before_stop((turn, text): (AgentTurn, String), stop: &[String]) -> (AgentTurn, String) {
    let first = stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop))
        .min();
    match (first, turn) {
        (Some(at), AgentTurn::Say(said)) => {
            let end = said.len().saturating_sub(text.len() - at);
            let said = said.get(..end).map_or_else(|| text[..at].to_owned(), str::to_owned);
            (AgentTurn::Say(said), text[..at].to_owned())
        }
        (_, turn) => (turn, text),
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
    let (turn, text) = before_stop(codec.parse(&output.ids), &request.sampling.stop);
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
        origins: origins(length, output.origin, &output.forced),
        logprobs: output.logprobs,
        sampled_logprobs: output.sampled_logprobs,
        entropies: output.entropies,
        top_logprobs: output.top_logprobs,
        versions: output.versions,
        sampling: request.sampling.clone(),
        finish: output.finish,
        template: codec.hash().into(),
        grammar: output.grammar,
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
