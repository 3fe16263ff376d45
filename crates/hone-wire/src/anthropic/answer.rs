//! Answers in one body.

use crate::draft::{Draft, server_error};
use crate::json::{List, Object, object};
use crate::{Answer, Broken, Fault, FinishReason, Limits, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Whole {
    pub id: Option<String>,
    pub model: Option<String>,
    pub content: Option<List<Block>>,
    pub stop_reason: Option<String>,
    pub usage: Option<Object<Tokens>>,
    error: Option<Box<RawValue>>,
}

/// A block of any type: of those that we do not know, nothing is read.
#[derive(Deserialize)]
pub(super) struct Block {
    pub r#type: String,
    pub text: Option<String>,
    pub thinking: Option<String>,
    pub signature: Option<String>,
    pub data: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
    pub input: Option<Box<RawValue>>,
}

/// Counts; in a stream, what comes later replaces what came before.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct Tokens {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens_details: Option<Object<OutputDetails>>,
}

#[derive(Clone, Copy, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Tokens {
    pub fn update(&mut self, later: Tokens) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_creation_input_tokens = later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }

    /// `None` if the server left one of the two main counts out. The API counts cached tokens apart from
    /// `input_tokens`.
    pub fn usage(self) -> Option<Usage> {
        let cached = self.cache_read_input_tokens;
        let written = self.cache_creation_input_tokens;
        Some(Usage {
            input: self
                .input_tokens?
                .saturating_add(cached.unwrap_or(0))
                .saturating_add(written.unwrap_or(0)),
            output: self.output_tokens?,
            cached_input: cached,
            cache_write: written,
            reasoning: self.output_tokens_details.and_then(|d| d.0.thinking_tokens),
        })
    }
}

/// The reason behind the server's word for it.
pub(super) fn finish(word: &str) -> FinishReason {
    match word {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" => FinishReason::Length,
        "model_context_window_exceeded" => FinishReason::Context,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        other => FinishReason::Other(crate::shown(other, 80)),
    }
}

/// Adds a block; `at` is its place, for the error.
pub(super) fn add(draft: &mut Draft, block: Block, at: usize) -> Result<(), Broken> {
    let missing = |field: &str| Broken::missing(format!("content[{at}].{field}"));
    match block.r#type.as_str() {
        "text" => draft.text(block.text.ok_or_else(|| missing("text"))?),
        "thinking" => draft.reasoning(block.thinking.ok_or_else(|| missing("thinking"))?, block.signature),
        "redacted_thinking" => draft.redacted(block.data.ok_or_else(|| missing("data"))?),
        "tool_use" => draft.call(
            block.id,
            block.name.ok_or_else(|| missing("name"))?,
            block.input.ok_or_else(|| missing("input"))?.get().to_owned(),
        )?,
        _ => {} // blocks of tools that the server runs itself: we never offer any
    }
    Ok(())
}

/// The answer in a whole body.
pub(crate) fn answer(text: &str, limits: &Limits) -> Result<Answer, Fault> {
    let whole: Whole = object(text)?;
    if whole.error.is_some()
        && let Some(error) = server_error(text, None)
    {
        return Err(Fault::Server(error));
    }
    let mut draft = Draft::new(limits);
    let blocks = whole.content.ok_or_else(|| Broken::missing("content"))?.0;
    for (at, block) in blocks.into_iter().enumerate() {
        add(&mut draft, block, at)?;
    }
    let word = whole.stop_reason.ok_or_else(|| Broken::missing("stop_reason"))?;
    Ok(Answer {
        message: draft.finish(),
        finish: finish(&word),
        usage: whole.usage.and_then(|tokens| tokens.0.usage()),
        id: whole.id.unwrap_or_default(),
        model: whole.model.unwrap_or_default(),
        logprobs: None,
        prompt_token_ids: None,
        token_ids: None,
        raw: String::new(),
        raw_cut: false,
    })
}
