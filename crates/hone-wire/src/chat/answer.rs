//! What a model answers.

use super::Assistant;
use serde::{Deserialize, Serialize};

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What the model said.
    pub message: Assistant,
    /// Why it stopped, in the server's view: some servers say `stop` although there are calls.
    pub finish: FinishReason,
    /// Tokens, if the server counted them.
    pub usage: Option<Usage>,
    /// The server's id of the answer; empty if it gave none.
    pub id: String,
    /// The model as the server names it; empty if it does not.
    pub model: String,
    /// Each sampled token with its log-probability, if the server gave them.
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// Ids of the prompt as the server rendered it, if it gave them.
    pub prompt_token_ids: Option<Vec<u32>>,
    /// Ids of the answer, if the server gave them.
    pub token_ids: Option<Vec<u32>>,
    /// The body, or the stream, as it came: its first [`crate::Limits::raw_bytes`]. Not made safe for a terminal.
    pub raw: String,
    /// Whether `raw` is only a beginning.
    pub raw_cut: bool,
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It ended its turn, or wrote one of the stop texts.
    Stop,
    /// The bound on tokens was reached.
    Length,
    /// The context window is full.
    Context,
    /// It wants tools to be run.
    ToolCalls,
    /// It, or a filter, refused.
    ContentFilter,
    /// Another reason, in the server's word.
    Other(String),
}

/// Tokens of one answer. `None` is unknown, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached or not.
    pub input: u64,
    /// Tokens sampled, reasoning included.
    pub output: u64,
    /// Those of `input` that were read from a cache.
    pub cached_input: Option<u64>,
    /// Those of `input` that were written to a cache, where that has its own price.
    pub cache_write: Option<u64>,
    /// Those of `output` that were reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Input and output.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// One sampled token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Its text; with vLLM's `return_tokens_as_token_ids`, `token_id:` and the id.
    pub token: String,
    /// Natural logarithm of its probability. Servers write −9999 for very small ones.
    pub logprob: f64,
    /// Its bytes, where the text alone cannot tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// The most likely tokens at this position.
    #[serde(default)]
    pub top: Vec<TopLogprob>,
}

/// A token that could have been sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// Its text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}
