//! How answers are sampled.

use crate::TokenId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Sampling settings as they were applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingSettings {
    /// 0 means greedy.
    pub temperature: f32,
    /// Nucleus bound; 1 is off.
    pub top_p: f32,
    /// 0 is off.
    pub top_k: u32,
    /// Bound on sampled tokens of this call.
    pub max_tokens: u32,
    /// Name of the random stream (empty when greedy).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// Tokens below this share of the likeliest one's probability are left out (Nguyen et al. 2024); 0 is off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_p: f32,
    /// Logits of tokens that occur in the prompt or the answer are divided by this where they are above 0 and multiplied
    /// where they are below (Keskar et al. 2019); 1 is off.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub repetition_penalty: f32,
    /// Taken from the logits of tokens that occur in the answer (OpenAI); 0 is off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub presence_penalty: f32,
    /// Taken from the logits of tokens of the answer, as often as each occurs (OpenAI); 0 is off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub frequency_penalty: f32,
    /// Texts that end the answer. The text of the answer ends before the first of them, its tokens with the one that
    /// completes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Of how many of the likeliest tokens the log-probabilities are recorded.
    #[serde(default, skip_serializing_if = "is_zero_count")]
    pub top_logprobs: u32,
    /// What the answer has to fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
}

impl Default for SamplingSettings {
    /// The model's own distribution, without a bound of its own.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens: 0,
            stream: String::new(),
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            stop: Vec::new(),
            top_logprobs: 0,
            constraint: None,
        }
    }
}

impl SamplingSettings {
    /// Whether tokens are drawn from something else than the model's softmax at the temperature. The log-probabilities of
    /// such tokens are of that other distribution, so that no importance ratio can be formed from them and the model's own.
    pub fn is_shaped(&self) -> bool {
        self.top_p < 1.0 || self.top_k > 0 || self.min_p > 0.0 || self.penalises() || self.constraint.is_some()
    }

    /// Whether all numbers are.
    pub(crate) fn is_finite(&self) -> bool {
        let penalties = [self.repetition_penalty, self.presence_penalty, self.frequency_penalty];
        [self.temperature, self.top_p, self.min_p]
            .into_iter()
            .chain(penalties)
            .all(f32::is_finite)
    }

    /// Whether any penalty is on.
    pub fn penalises(&self) -> bool {
        self.repetition_penalty != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0
    }
}

/// What an answer has to fit; tokens that cannot lead there are never sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Calls fit the schemas of the tools that are offered; the answer may be text instead.
    Tools,
    /// The answer is at least one call, and all fit.
    Calls,
    /// The answer is JSON that fits this schema.
    Schema(Value),
    /// The whole answer matches this regular expression.
    Regex(String),
    /// The answer follows this grammar, in llguidance's dialect of Lark.
    Lark(String),
}

fn one() -> f32 {
    1.0
}

fn is_one(x: &f32) -> bool {
    *x == 1.0
}

fn is_zero(x: &f32) -> bool {
    *x == 0.0
}

fn is_zero_count(x: &u32) -> bool {
    *x == 0
}

/// A token that could have come, at one place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopToken {
    /// Its id.
    pub id: TokenId,
    /// Its log-probability under the model's raw distribution, in nats.
    pub logprob: f32,
    /// The same under the distribution that was sampled from; none where that is the raw one or leaves the token out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<f32>,
}
