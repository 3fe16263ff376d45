//! A local model behind OpenAI's API: chat completions with tools, completions, models, tokens, health and metrics.
//!
//! Invariants:
//! * What clients send is bounded before it is read and checked before it is used; errors have OpenAI's shape and name the
//!   field.
//! * A client that leaves, or does not read, frees its sequence.
//! * Answers are sampled through [`hone_engine::Sampler`] like any other, by the same codec: the server adds no text.
//!
//! Deliberately not here: the dialect's client side (`hone-wire`), what a turn means (`hone-model`).

mod ask;
mod body;
mod chat;
mod completions;
mod error;
mod http;
mod metrics;
mod sample;
mod tokens;

pub use error::ServeError;
pub use http::Server;

use hone_engine::Sampler;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a server may take, and who may come in.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model's name, as clients give it.
    pub name: String,
    /// Sequences that are sampled at the same time.
    pub parallel: usize,
    /// Requests that may wait for their turn; more are refused.
    pub queue: usize,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Tokens of an answer where a request says nothing.
    pub max_tokens: u32,
    /// How long a client may take for its request, and for reading a part of the answer.
    pub patience: Duration,
    /// Bearer token that clients must show.
    pub token: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "model".into(),
            parallel: 256,
            queue: 1024,
            request_bytes: 4 << 20,
            max_tokens: 1024,
            patience: Duration::from_secs(30),
            token: None,
        }
    }
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) sampler: Sampler,
    pub(crate) vocabulary: hone_model::Vocabulary,
    pub(crate) options: Options,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) started: u64,
}
