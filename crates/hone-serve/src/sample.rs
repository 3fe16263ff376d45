//! Answers under way: several continuations of one prompt, token by token.

use crate::Shared;
use crate::error::Refusal;
use hone_engine::Generation;
use hone_model::{OnToken, Request, Sampled};
use hone_tool::Toolset;
use hone_trace::{FinishReason, SamplingSettings, Stream, TokenId, TopToken};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

/// What is to be sampled.
pub(crate) struct Order {
    pub(crate) prompt: Vec<TokenId>,
    pub(crate) settings: SamplingSettings,
    pub(crate) tools: Arc<Toolset>,
    pub(crate) seed: u64,
    pub(crate) n: usize,
}

/// Answers being sampled; dropping it frees their sequences.
pub(crate) struct Answers {
    tokens: UnboundedReceiver<(usize, Sampled)>,
    done: JoinSet<(usize, Result<Generation, hone_model::ModelError>)>,
    _places: OwnedSemaphorePermit,
}

/// What happens next.
pub(crate) enum Step {
    /// An answer has one more token.
    Token(usize, Sampled),
    /// An answer is complete.
    Done(usize, Box<Generation>),
}

impl Answers {
    /// Starts, once there is a place.
    pub(crate) async fn start(shared: &Arc<Shared>, order: Order) -> Result<Self, Refusal> {
        let waiting = shared.metrics.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(shared);
        if waiting >= shared.options.queue as u64 {
            return Err(Refusal::busy());
        }
        let want = order.n.min(shared.options.parallel.max(1)) as u32;
        let places = shared
            .places
            .clone()
            .acquire_many_owned(want)
            .await
            .map_err(|_| Refusal::busy())?;
        shared.metrics.prompt(order.prompt.len());
        let (told, tokens) = unbounded_channel();
        let mut done = JoinSet::new();
        for index in 0..order.n {
            let told = told.clone();
            let request = Request {
                sampling: order.settings.clone(),
                stream: Stream::new(order.seed).at(index as u64),
                call_id: 0,
                tools: order.tools.clone(),
                // As many as the bound on tokens, at most.
                on_token: Some(OnToken(Arc::new(move |token| {
                    let _ = told.send((index, token));
                }))),
            };
            let (shared, prompt) = (shared.clone(), order.prompt.clone());
            done.spawn(async move { (index, shared.sampler.generate(prompt, &request).await) });
        }
        Ok(Self {
            tokens,
            done,
            _places: places,
        })
    }

    /// The next step; none at the end. All tokens of an answer come before its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>, Refusal> {
        tokio::select! {
            biased;
            Some((index, token)) = self.tokens.recv() => Ok(Some(Step::Token(index, token))),
            done = self.done.join_next() => match done {
                None => Ok(None),
                Some(Ok((index, Ok(generation)))) => Ok(Some(Step::Done(index, Box::new(generation)))),
                Some(Ok((_, Err(error)))) => Err(error.into()),
                Some(Err(_)) => Err(hone_model::ModelError::Unavailable("an answer was lost".into()).into()),
            }
        }
    }

    /// All answers, by index.
    pub(crate) async fn all(mut self, n: usize) -> Result<Vec<Generation>, Refusal> {
        let mut all: Vec<Option<Generation>> = (0..n).map(|_| None).collect();
        while let Some(step) = self.next().await? {
            if let Step::Done(index, generation) = step {
                all[index] = Some(*generation);
            }
        }
        Ok(all.into_iter().flatten().collect())
    }
}

struct Waits<'a>(&'a Shared);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.metrics.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Turns tokens into text as it becomes certain: whole characters, and nothing from a stop text on.
pub(crate) struct Text {
    bytes: Vec<u8>,
    stops: Vec<String>,
    stopped: bool,
}

impl Text {
    pub(crate) fn new(stops: &[String]) -> Self {
        Self {
            bytes: Vec::new(),
            stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(),
            stopped: false,
        }
    }

    /// What is certain after these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.bytes.extend_from_slice(bytes);
        let find = |stop: &String| {
            self.bytes
                .windows(stop.len())
                .position(|window| window == stop.as_bytes())
        };
        if let Some(at) = self.stops.iter().filter_map(find).min() {
            self.stopped = true;
            self.bytes.truncate(at);
            return self.rest();
        }
        let begins = |n: &usize| {
            self.stops
                .iter()
                .any(|stop| stop.as_bytes().starts_with(&self.bytes[self.bytes.len() - n..]))
        };
        let longest = self
            .stops
            .iter()
            .map(|stop| stop.len() - 1)
            .max()
            .unwrap_or(0)
            .min(self.bytes.len());
        let held = (1..=longest).rev().find(begins).unwrap_or(0);
        let sure = &self.bytes[..self.bytes.len() - held];
        // The beginning of a character waits for its end.
        let end = match std::str::from_utf8(sure) {
            Ok(_) => sure.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => {
                sure.len()
                    - sure
                        .iter()
                        .rev()
                        .take(3)
                        .position(|byte| *byte >= 0xc0)
                        .map_or(0, |at| at + 1)
            }
        };
        let text = String::from_utf8_lossy(&sure[..end]).into_owned();
        self.bytes.drain(..end);
        text
    }

    /// What is left at the end.
    pub(crate) fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned()
    }
}

/// A token as OpenAI's log-probabilities show it.
pub(crate) fn logprob(shared: &Shared, id: TokenId, logprob: f32) -> Value {
    let bytes = shared.vocabulary.bytes(id);
    json!({"token": String::from_utf8_lossy(bytes), "logprob": logprob, "bytes": bytes})
}

/// The same with its alternatives.
pub(crate) fn entry(shared: &Shared, id: TokenId, own: f32, top: &[TopToken], n: u32) -> Value {
    let mut value = logprob(shared, id, own);
    let tops = top
        .iter()
        .take(n as usize)
        .map(|top| logprob(shared, top.id, top.logprob));
    value["top_logprobs"] = tops.collect();
    value
}

/// Why an answer ended, in OpenAI's words.
pub(crate) fn finish(reason: FinishReason, called: bool) -> &'static str {
    match reason {
        FinishReason::Length | FinishReason::Context => "length",
        _ if called => "tool_calls",
        _ => "stop",
    }
}

/// Tokens taken.
pub(crate) fn usage(prompt: usize, sampled: usize) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": sampled, "total_tokens": prompt + sampled})
}

/// The time of an answer, in seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// An id that no other answer of this server has.
pub(crate) fn id(kind: &str, shared: &Shared) -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    format!(
        "{kind}-{:x}{:08x}",
        shared.started,
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_in_whole_characters_and_ends_before_a_stop() {
        let mut text = Text::new(&["\n\nUser".to_owned()]);
        let euro = "€".as_bytes();
        assert_eq!(text.push(&euro[..1]), "");
        assert_eq!(text.push(&euro[1..]), "€");
        assert_eq!(text.push(b"a\n"), "a");
        assert_eq!(text.push(b"\nUs"), "");
        assert_eq!(text.push(b"b"), "\n\nUsb");
        assert_eq!(text.push(b"c\n\nUser: x"), "c");
        assert_eq!(text.push(b"more") + &text.rest(), "");
        let mut broken = Text::new(&[]);
        assert_eq!(broken.push(b"\xffa\xe2"), "\u{fffd}a");
        assert_eq!(broken.rest(), "\u{fffd}");
    }
}
