//! One request and its answer.

use super::transport::{Chunks, Head, SendError};
use super::{Deadline, Error, Inner, retry};
use crate::dialect::too_large;
use crate::draft::server_error;
use crate::shown::SERVER_WORDS;
use crate::{Answer, Broken, Delta, Fault, ServerError, shown};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::Full;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// More of an error's body is not read.
const ERROR_BYTES: usize = 64 << 10;

/// A successful attempt.
pub(super) struct Got {
    pub answer: Answer,
    /// From its start to the first byte of the body.
    pub first_byte: Duration,
}

/// An attempt under way.
pub(super) struct Try<'a> {
    pub inner: &'a Inner,
    pub started: Instant,
    /// When everything ends.
    pub end: Instant,
}

impl Try<'_> {
    pub async fn run(&self, body: Bytes, on: &mut (dyn FnMut(Delta<'_>) + Send)) -> Result<Got, Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.inner.address.uri.clone();
        *request.headers_mut() = self.inner.address.headers.clone();
        let sent = self.inner.transport.send(request);
        let head = match self.by(self.first_byte_at(), Deadline::FirstByte, sent).await? {
            Ok(head) => head,
            Err(error) => return Err(self.not_sent(error)),
        };
        if !(200..300).contains(&head.status) {
            return Err(self.refused(head).await);
        }
        self.check(&head.headers)?;
        if is_stream(&head.headers).unwrap_or(self.inner.endpoint.stream) {
            self.streamed(head.body, on).await
        } else {
            self.whole(head, on).await
        }
    }

    fn first_byte_at(&self) -> Instant {
        self.started + Duration::from_millis(self.inner.endpoint.deadlines.first_byte_ms)
    }

    /// Waits until `at`, or until the end of everything if that is earlier.
    async fn by<T>(&self, at: Instant, which: Deadline, wait: impl Future<Output = T>) -> Result<T, Error> {
        let (at, which) = if self.end < at {
            (self.end, Deadline::Total)
        } else {
            (at, which)
        };
        timeout_at(at, wait).await.map_err(|_| self.inner.timeout(which))
    }

    fn not_sent(&self, error: SendError) -> Error {
        match error {
            SendError::ConnectTimeout => self.inner.timeout(Deadline::Connect),
            SendError::NotHttp(what) => self.broken(Broken::Protocol(self.inner.redact(what))),
            SendError::Unreachable(what) => Error::Unreachable {
                url: self.inner.url(),
                what: self.inner.redact(what),
            },
        }
    }

    fn broken(&self, what: Broken) -> Error {
        Error::Broken {
            url: self.inner.url(),
            what: self.inner.redact_broken(what),
        }
    }

    fn fault(&self, fault: Fault) -> Error {
        match fault {
            Fault::Broken(what) => self.broken(what),
            // Inside an answer, an error without a name is the server's own trouble.
            Fault::Server(error) => self.inner.classify(error.status.unwrap_or(500), error, None),
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        if let Some(coding) = headers.get(header::CONTENT_ENCODING)
            && coding != "identity"
        {
            let coding = shown(&String::from_utf8_lossy(coding.as_bytes()), 40);
            return Err(self.broken(Broken::Protocol(format!(
                "it is encoded as `{coding}`, which was not asked for"
            ))));
        }
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let limits = &self.inner.endpoint.limits;
        if length.is_some_and(|length| length > limits.body_bytes as u64) {
            return Err(self.broken(too_large(limits)));
        }
        Ok(())
    }

    /// The next bytes of a body; the deadline is that of the first byte until there was one.
    async fn chunk(&self, body: &mut dyn Chunks, seen: bool) -> Result<Option<Bytes>, Error> {
        let idle = Duration::from_millis(self.inner.endpoint.deadlines.idle_ms);
        let (at, which) = if seen {
            (Instant::now() + idle, Deadline::Idle)
        } else {
            (self.first_byte_at(), Deadline::FirstByte)
        };
        match self.by(at, which, body.next()).await? {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(what)) => Err(self.broken(Broken::Cut(what))),
        }
    }

    async fn streamed(&self, mut body: Box<dyn Chunks>, on: &mut (dyn FnMut(Delta<'_>) + Send)) -> Result<Got, Error> {
        let mut decoder = self.inner.address.dialect.stream(&self.inner.endpoint.limits);
        let mut first_byte = None;
        while !decoder.is_done() {
            let Some(bytes) = self.chunk(body.as_mut(), first_byte.is_some()).await? else {
                break;
            };
            if !bytes.is_empty() {
                first_byte.get_or_insert_with(|| self.started.elapsed());
            }
            decoder.push(&bytes, on).map_err(|fault| self.fault(fault))?;
        }
        let answer = decoder.finish().map_err(|fault| self.fault(fault))?;
        Ok(self.got(answer, first_byte))
    }

    async fn whole(&self, mut head: Head, on: &mut (dyn FnMut(Delta<'_>) + Send)) -> Result<Got, Error> {
        let limits = &self.inner.endpoint.limits;
        let mut all = Vec::new();
        let mut first_byte = None;
        while let Some(bytes) = self.chunk(head.body.as_mut(), first_byte.is_some()).await? {
            if !bytes.is_empty() {
                first_byte.get_or_insert_with(|| self.started.elapsed());
            }
            if all.len() + bytes.len() > limits.body_bytes {
                return Err(self.broken(too_large(limits)));
            }
            all.extend_from_slice(&bytes);
        }
        let answer = self.inner.address.dialect.answer(&all, limits);
        let answer = answer.map_err(|fault| self.fault(fault))?;
        replay(&answer, on);
        Ok(self.got(answer, first_byte))
    }

    fn got(&self, mut answer: Answer, first_byte: Option<Duration>) -> Got {
        answer.raw = self.inner.redact(answer.raw);
        Got {
            answer,
            first_byte: first_byte.unwrap_or_else(|| self.started.elapsed()),
        }
    }

    /// The error behind a status that is no success. A body that breaks off or stalls changes nothing about it.
    async fn refused(&self, mut head: Head) -> Error {
        let mut body = Vec::new();
        while body.len() < ERROR_BYTES {
            match self.chunk(head.body.as_mut(), !body.is_empty()).await {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes[..bytes.len().min(ERROR_BYTES - body.len())]),
                Ok(None) | Err(_) => break,
            }
        }
        let text = String::from_utf8_lossy(&body);
        let status = Some(head.status);
        let mut told = server_error(&text, status).unwrap_or_else(|| ServerError::new(status, "", &text));
        if (300..400).contains(&head.status)
            && let Some(location) = head.headers.get(header::LOCATION)
        {
            let to = String::from_utf8_lossy(location.as_bytes());
            told.message = shown(&format!("it redirects to {to}"), SERVER_WORDS);
        }
        self.inner
            .classify(head.status, told, retry::retry_after(&head.headers))
    }
}

/// What the body is, if its type says so.
fn is_stream(headers: &HeaderMap) -> Option<bool> {
    let media = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(media.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

/// A whole answer, told as a stream.
fn replay(answer: &Answer, on: &mut (dyn FnMut(Delta<'_>) + Send)) {
    let mut index = 0;
    for part in &answer.message.parts {
        match part {
            crate::Part::Text { text } => on(Delta::Text(text)),
            crate::Part::Reasoning { text, .. } => on(Delta::Reasoning(text)),
            crate::Part::Redacted { .. } => {}
            crate::Part::Call(call) => {
                on(Delta::Call {
                    index,
                    name: &call.name,
                });
                on(Delta::Arguments {
                    index,
                    json: &call.arguments.raw,
                });
                index += 1;
            }
        }
    }
}
