//! Answers in one body.

use crate::draft::{Draft, server_error};
use crate::json::{List, Object, object};
use crate::{Answer, Broken, Fault, FinishReason, Limits, TokenLogprob, TopLogprob, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Whole {
    id: Option<String>,
    model: Option<String>,
    choices: Option<List<Choice>>,
    usage: Option<Object<Tokens>>,
    prompt_token_ids: Option<Vec<u32>>,
    error: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Choice {
    message: Object<Said>,
    finish_reason: Option<String>,
    logprobs: Option<Object<Logprobs>>,
    token_ids: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<List<Call>>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Object<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
pub(super) struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Object<PromptDetails>>,
    completion_tokens_details: Option<Object<OutputDetails>>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl Tokens {
    /// `None` if the server left one of the two main counts out.
    pub(super) fn usage(self) -> Option<Usage> {
        Some(Usage {
            input: self.prompt_tokens?,
            output: self.completion_tokens?,
            cached_input: self.prompt_tokens_details.as_ref().and_then(|d| d.0.cached_tokens),
            cache_write: self.prompt_tokens_details.as_ref().and_then(|d| d.0.cache_write_tokens),
            reasoning: self.completion_tokens_details.and_then(|d| d.0.reasoning_tokens),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Logprobs {
    content: Option<Vec<Object<Sampled>>>,
    refusal: Option<Vec<Object<Sampled>>>,
}

#[derive(Deserialize)]
struct Sampled {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
    top_logprobs: Option<List<Likely>>,
}

#[derive(Deserialize)]
struct Likely {
    token: String,
    logprob: f64,
}

impl Logprobs {
    /// `None` if there are no lists at all.
    pub(super) fn tokens(self) -> Option<Vec<TokenLogprob>> {
        let lists = [self.content, self.refusal];
        lists.iter().any(Option::is_some).then_some(())?;
        let sampled = lists.into_iter().flatten().flatten();
        Some(sampled.map(|Object(sampled)| sampled.token()).collect())
    }
}

impl Sampled {
    fn token(self) -> TokenLogprob {
        let likely = self.top_logprobs.unwrap_or_default().0;
        TokenLogprob {
            token: self.token,
            logprob: self.logprob,
            bytes: self.bytes,
            top: likely
                .into_iter()
                .map(|l| TopLogprob {
                    token: l.token,
                    logprob: l.logprob,
                })
                .collect(),
        }
    }
}

/// The reason behind the server's word for it.
pub(super) fn finish(word: &str, refused: bool) -> FinishReason {
    match word {
        "stop" if refused => FinishReason::ContentFilter,
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        other => FinishReason::Other(crate::shown(other, 80)),
    }
}

/// The answer in a whole body. A refusal is text with [`FinishReason::ContentFilter`].
pub(crate) fn answer(text: &str, limits: &Limits) -> Result<Answer, Fault> {
    let whole: Whole = object(text)?;
    if whole.error.is_some()
        && let Some(error) = server_error(text, None)
    {
        return Err(Fault::Server(error));
    }
    let choices = whole.choices.ok_or_else(|| Broken::missing("choices"))?.0;
    let choice = choices
        .into_iter()
        .next()
        .ok_or_else(|| Broken::missing("choices[0]"))?;
    let word = choice
        .finish_reason
        .ok_or_else(|| Broken::missing("choices[0].finish_reason"))?;
    let said = choice.message.0;
    let refusal = said.refusal.filter(|r| !r.is_empty());
    let refused = refusal.is_some();
    let mut draft = Draft::new(limits);
    draft.reasoning(said.reasoning.or(said.reasoning_content).unwrap_or_default(), None);
    draft.text(said.content.unwrap_or_default() + &refusal.unwrap_or_default());
    for call in said.tool_calls.unwrap_or_default().0 {
        draft.call(call.id, call.function.0.name, call.function.0.arguments)?;
    }
    Ok(Answer {
        message: draft.finish(),
        finish: finish(&word, refused),
        usage: whole.usage.and_then(|tokens| tokens.0.usage()),
        id: whole.id.unwrap_or_default(),
        model: whole.model.unwrap_or_default(),
        logprobs: choice.logprobs.and_then(|logprobs| logprobs.0.tokens()),
        prompt_token_ids: whole.prompt_token_ids,
        token_ids: choice.token_ids,
        raw: String::new(),
        raw_cut: false,
    })
}
