//! OpenAI's Chat Completions, as OpenAI, vLLM, SGLang, llama.cpp, Ollama and most hosters speak it.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat>; reasoning and token ids as vLLM adds them
//! (`return_token_ids`, `prompt_token_ids`, `token_ids`, `reasoning`).

mod answer;
mod request;
mod stream;

use serde::{Deserialize, Serialize};

pub(crate) use answer::answer;
pub(crate) use request::body;
pub(crate) use stream::Assembler;

/// Where servers of this dialect differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAi {
    /// The field that bounds the sampled tokens.
    pub max_tokens_field: MaxTokensField,
    /// The field of an assistant message in which earlier reasoning is sent back, such as `reasoning_content`
    /// (DeepSeek). `None`: it is not sent back.
    pub reasoning_field: Option<String>,
}

/// Name of the bound on sampled tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`: every server knows it, but OpenAI's reasoning models refuse it.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's present name; servers that do not know it would sample without a bound.
    MaxCompletionTokens,
}
