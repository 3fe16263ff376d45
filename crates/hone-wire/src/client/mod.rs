//! An asynchronous client for one endpoint.

mod attempt;
mod endpoint;
mod error;
mod gate;
mod key;
mod post;
mod retry;
mod transport;

#[cfg(test)]
mod tests;

use crate::{Answer, Broken, Delta, Request, ServerError, shown};
use attempt::Try;
use bytes::Bytes;
use endpoint::Address;
use gate::Gate;
use retry::Backoff;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub use endpoint::{Api, Deadlines, Endpoint, Pace, Retry};
pub use error::{Attempt, Deadline, Error, Failure, SetupError};
pub use key::Key;
pub use post::{PostError, Posted, Poster};
pub use transport::{Chunks, Head, Network, SendError, Transport};

/// A client for one endpoint. Clones share connections and [`Pace`].
///
/// Runs on a tokio runtime with time and I/O enabled. Dropping a future that it gave closes the connection, so that the
/// server stops computing too.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    endpoint: Endpoint,
    address: Address,
    transport: Box<dyn Transport>,
    gate: Gate,
}

/// An answer and how it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// Attempts before the one that succeeded.
    pub attempts: Vec<Attempt>,
    /// Wait for a place in [`Pace`] before the first attempt.
    pub queued: Duration,
    /// From the start of the successful attempt to the first byte of its body.
    pub first_byte: Duration,
    /// From the start of the first attempt to the end of the answer.
    pub total: Duration,
}

impl Client {
    /// A client for that endpoint.
    ///
    /// # Errors
    /// When a setting is wrong, or an environment variable that it names is not set.
    pub fn new(endpoint: Endpoint) -> Result<Self, SetupError> {
        let address = endpoint.resolve()?;
        let connect = Duration::from_millis(endpoint.deadlines.connect_ms);
        let transport = Network::new(&address.uri, connect)?;
        Ok(Self::over(endpoint, address, Box::new(transport)))
    }

    fn over(endpoint: Endpoint, address: Address, transport: Box<dyn Transport>) -> Self {
        let gate = Gate::new(endpoint.pace);
        Self {
            inner: Arc::new(Inner {
                endpoint,
                address,
                transport,
                gate,
            }),
        }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// A whole answer. Attempts that fail half-way through a stream are repeated as well: nobody saw the half.
    ///
    /// `seed` decides the pauses between attempts.
    ///
    /// # Errors
    /// The last attempt's, with the ones before.
    pub async fn complete(&self, request: &Request, seed: u64) -> Result<Reply, Failure> {
        self.exchange(request, seed, None).await
    }

    /// A whole answer, whose pieces `on` gets as they arrive. After the first piece, nothing is repeated.
    ///
    /// # Errors
    /// As [`Client::complete`].
    pub async fn stream(
        &self,
        request: &Request,
        seed: u64,
        on: &mut (dyn FnMut(Delta<'_>) + Send),
    ) -> Result<Reply, Failure> {
        self.exchange(request, seed, Some(on)).await
    }

    async fn exchange(
        &self,
        request: &Request,
        seed: u64,
        mut on: Option<&mut (dyn FnMut(Delta<'_>) + Send)>,
    ) -> Result<Reply, Failure> {
        let inner = &*self.inner;
        let body = match inner.address.dialect.body(request, inner.endpoint.stream) {
            Ok(body) => Bytes::from(body),
            Err(what) => return Err(inner.unsayable(what)),
        };
        let estimate = estimate(&body, request);
        let mut backoff = Backoff::new(inner.endpoint.retry, seed);
        let mut attempts: Vec<Attempt> = Vec::new();
        let asked = Instant::now();
        let mut first: Option<Instant> = None;
        loop {
            let place = inner.gate.enter(estimate).await;
            let started = Instant::now();
            let begun = *first.get_or_insert(started);
            let end = begun + Duration::from_millis(inner.endpoint.deadlines.total_ms);
            let mut surfaced = false;
            let mut pass = |delta: Delta<'_>| {
                if let Some(on) = on.as_deref_mut() {
                    surfaced = true;
                    on(delta);
                }
            };
            let attempt = Try { inner, started, end };
            let result = attempt.run(body.clone(), &mut pass).await;
            drop(place);
            let error = match result {
                Ok(got) => {
                    if let Some(usage) = &got.answer.usage {
                        inner.gate.settle(estimate, usage.total());
                    }
                    return Ok(Reply {
                        answer: got.answer,
                        attempts,
                        queued: begun - asked,
                        first_byte: got.first_byte,
                        total: begun.elapsed(),
                    });
                }
                Err(error) => error,
            };
            inner.gate.settle(estimate, 0);
            if let (Error::RateLimited { .. }, Some(pause)) = (&error, error.retry_after()) {
                inner
                    .gate
                    .hold(pause.min(Duration::from_millis(inner.endpoint.retry.max_retry_after_ms)));
            }
            let again = !surfaced && error.is_transient();
            let pause = again.then(|| backoff.pause(error.retry_after())).flatten();
            match pause.filter(|pause| Instant::now() + *pause < end) {
                None => return Err(Failure { error, attempts }),
                Some(pause) => {
                    attempts.push(Attempt {
                        error,
                        took: started.elapsed(),
                        pause,
                    });
                    sleep(pause).await;
                }
            }
        }
    }
}

/// Tokens that a request may cost: a token is about four bytes, and the answer may be as long as allowed.
fn estimate(body: &Bytes, request: &Request) -> u64 {
    body.len() as u64 / 4 + u64::from(request.settings.max_tokens.unwrap_or(0))
}

impl Inner {
    fn url(&self) -> String {
        self.redact(shown(&self.address.uri.to_string(), 300))
    }

    fn redact(&self, text: String) -> String {
        self.address.keys.iter().fold(text, |text, key| key.redact(text))
    }

    fn redact_broken(&self, what: Broken) -> Broken {
        match what {
            Broken::NotJson { why, begins } => Broken::NotJson {
                why: self.redact(why),
                begins: self.redact(begins),
            },
            Broken::Field { field, why } => Broken::Field {
                field: self.redact(field),
                why: self.redact(why),
            },
            Broken::Cut(why) => Broken::Cut(self.redact(why)),
            Broken::Protocol(why) => Broken::Protocol(self.redact(why)),
            Broken::InvalidUtf8 { .. } | Broken::TooLarge { .. } => what,
        }
    }

    fn unsayable(&self, what: crate::Unsayable) -> Failure {
        Failure {
            error: Error::Unsayable { url: self.url(), what },
            attempts: Vec::new(),
        }
    }

    fn timeout(&self, which: Deadline) -> Error {
        let deadlines = &self.endpoint.deadlines;
        let after = Duration::from_millis(match which {
            Deadline::Connect => deadlines.connect_ms,
            Deadline::FirstByte => deadlines.first_byte_ms,
            Deadline::Idle => deadlines.idle_ms,
            Deadline::Total => deadlines.total_ms,
        });
        Error::Timeout {
            url: self.url(),
            which,
            after,
        }
    }

    /// The class of an error that the server reports.
    fn classify(&self, status: u16, told: ServerError, retry_after: Option<Duration>) -> Error {
        let url = self.url();
        let mut message = self.redact(told.message);
        if message.is_empty() {
            message = "it gives no reason".to_owned();
        }
        // OpenAI's word for an account without money, sent with the status for haste.
        if told.kind == "insufficient_quota" {
            return Error::Refused {
                url,
                status,
                message,
                remedy: "see to the account's quota and billing",
            };
        }
        match status {
            429 => Error::RateLimited {
                url,
                status,
                message,
                retry_after,
            },
            _ if status >= 500 || retry::is_retried(status) => Error::Overloaded {
                url,
                status,
                message,
                retry_after,
            },
            _ => Error::Refused {
                url,
                status,
                message,
                remedy: remedy(status),
            },
        }
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        300..400 => "redirects are not followed, so that nobody else sees the key; name the right base URL",
        401 => "see whether the environment variable with the key is the right one and its key is valid",
        402 => "see to the account's quota and billing",
        403 => "see whether the key may use this model",
        404 => "see whether the base URL ends where it should (often in `/v1`) and the server has this model",
        413 => "shorten the conversation",
        400 | 422 => {
            "change the request: the model's name, a setting that it does not take, or the length of the conversation"
        }
        _ => "see whether this is the right server",
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.inner.endpoint)
            .finish_non_exhaustive()
    }
}
