//! A plain request to a server that is no model: bytes there, a status back.

use super::SetupError;
use super::endpoint::{bad_header, header_name, plain_url};
use super::transport::{Network, SendError, Transport};
use crate::shown;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// More of an answer's body is not read.
const ANSWER_BYTES: usize = 64 << 10;
/// Bound on connecting.
const CONNECT: Duration = Duration::from_secs(10);

/// Where to post to. Redirects are not followed.
pub struct Poster {
    uri: Uri,
    headers: HeaderMap,
    network: Network,
}

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Status.
    pub status: u16,
    /// Pause that it asks for before another try.
    pub retry_after: Option<Duration>,
    /// The beginning of its body, made inert.
    pub said: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Too slow.
    #[error("no answer in time")]
    Timeout,
    /// Not there, or not HTTP.
    #[error("{0}")]
    Unreachable(String),
}

impl Poster {
    /// For that URL, with these headers besides the content's.
    ///
    /// # Errors
    /// When the URL or a header cannot be sent.
    pub fn new(url: &str, headers: &[(String, String)]) -> Result<Self, SetupError> {
        let uri = plain_url(url, "")?;
        let mut all = HeaderMap::new();
        let agent = HeaderValue::from_static(concat!("hone/", env!("CARGO_PKG_VERSION")));
        all.insert(header::USER_AGENT, agent);
        for (name, value) in headers {
            let mut value = HeaderValue::try_from(value.as_str())
                .map_err(|_| bad_header(name, "its value is not one line of text"))?;
            value.set_sensitive(true);
            all.insert(header_name(name)?, value);
        }
        let network = Network::new(&uri, CONNECT)?;
        Ok(Self {
            uri,
            headers: all,
            network,
        })
    }

    /// Post once, within `limit`. Runs on a tokio runtime with time and I/O enabled.
    ///
    /// # Errors
    /// When there is no answer. An answer of any status is one.
    pub async fn post(&self, content_type: &'static str, body: Bytes, limit: Duration) -> Result<Posted, PostError> {
        let end = Instant::now() + limit;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let sent = timeout_at(end, self.network.send(request))
            .await
            .map_err(|_| PostError::Timeout)?;
        let mut head = sent.map_err(|error| match error {
            SendError::ConnectTimeout => PostError::Timeout,
            SendError::Unreachable(what) | SendError::NotHttp(what) => PostError::Unreachable(what),
        })?;
        let mut said = Vec::new();
        while let Ok(Some(Ok(bytes))) = timeout_at(end, head.body.next()).await {
            said.extend_from_slice(&bytes[..bytes.len().min(ANSWER_BYTES - said.len())]);
            if said.len() >= ANSWER_BYTES {
                break;
            }
        }
        let retry_after = head
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Posted {
            status: head.status,
            retry_after: retry_after.map(Duration::from_secs),
            said: shown(&String::from_utf8_lossy(&said), 300),
        })
    }
}
