//! HTTP for rmcp's streamable HTTP transport, on the client that the rest of Hone uses.
//!
//! What that adds to the transport: bounds on every body, a token that goes to one address only (redirects are not
//! followed) and into no message, the system's certificates.

use crate::watch::Watch;
use crate::{Error, ServerConfig};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hone_wire::{Chunks, Head, Key, Network, Transport, shown};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// More of an error's body is not read.
const ERROR_BYTES: usize = 16 << 10;

/// Calls that one connection carries at the same time; more wait.
const CALLS: usize = 1024;

/// A client for one server.
#[derive(Clone)]
pub(crate) struct Http {
    network: Arc<Network>,
    key: Option<Arc<Key>>,
    auth: Option<HeaderValue>,
    watch: Arc<Watch>,
    message_bytes: usize,
}

/// What went wrong, in words that are fit to be shown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HttpError(String);

type Failure = StreamableHttpError<HttpError>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

fn failure(why: impl Into<String>) -> Failure {
    StreamableHttpError::Client(HttpError(why.into()))
}

/// The transport to the server at `url`. Call it on the runtime: it starts a task.
pub(crate) fn transport(
    config: &ServerConfig,
    url: &str,
    uri: &Uri,
    watch: Arc<Watch>,
) -> Result<StreamableHttpClientTransport<Http>, Error> {
    let wrong = |why: String| Error::Config {
        server: config.label(),
        why,
    };
    let network =
        Network::new(uri, Duration::from_millis(config.connect_timeout_ms)).map_err(|e| wrong(e.to_string()))?;
    let key = match &config.bearer_env {
        Some(variable) => Some(Key::from_env(variable).map_err(|error| wrong(error.to_string()))?),
        None => None,
    };
    let auth = match &key {
        Some(key) => Some(key.header("Bearer ").map_err(|error| wrong(error.to_string()))?),
        None => None,
    };
    let client = Http {
        network: Arc::new(network),
        key: key.map(Arc::new),
        auth,
        watch,
        message_bytes: config.limits.message_bytes,
    };
    let mut settings = StreamableHttpClientTransportConfig::with_uri(url).max_concurrent_requests(CALLS);
    let mut backoff = ExponentialBackoff::default();
    backoff.max_times = Some(3);
    settings.retry_config = Arc::new(backoff);
    Ok(StreamableHttpClientTransport::with_client(client, settings))
}

impl StreamableHttpClient for Http {
    type Error = HttpError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.watch.asked();
        let body = Bytes::from(serde_json::to_vec(&message)?);
        let in_session = session.is_some();
        let request = self.request(Method::POST, &uri, body, session, headers)?;
        let mut head = self.send(request).await?;
        if matches!(head.status, 202 | 204) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if head.status == 404 && in_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        let session = text(&head.headers, &SESSION);
        if !(200..300).contains(&head.status) {
            return self.refused(&message, head, in_session, session).await;
        }
        if !matches!(message, ClientJsonRpcMessage::Request(_)) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        match media(&head.headers).as_str() {
            "text/event-stream" => Ok(StreamableHttpPostResponse::Sse(self.events(head.body), session)),
            "application/json" => {
                let body = self.whole(&mut head).await?;
                match serde_json::from_slice(&body) {
                    Ok(message) => Ok(StreamableHttpPostResponse::Json(message, session)),
                    Err(error) => Err(failure(format!(
                        "the answer is no message of the protocol ({error}): {}",
                        self.words(&body)
                    ))),
                }
            }
            other => Err(StreamableHttpError::UnexpectedContentType(Some(shown(other, 80)))),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &uri, Bytes::new(), Some(session), headers)?;
        // A server need not let sessions be ended; whatever it says, this side is done with it.
        self.send(request).await.map(|_| ())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Failure> {
        let mut request = self.request(Method::GET, &uri, Bytes::new(), session, headers)?;
        if let Some(id) = last_event {
            request.headers_mut().insert(LAST_EVENT, value(&id)?);
        }
        let head = self.send(request).await?;
        match head.status {
            405 => Err(StreamableHttpError::ServerDoesNotSupportSse),
            200 if media(&head.headers) == "text/event-stream" => Ok(self.events(head.body)),
            200 => Err(StreamableHttpError::UnexpectedContentType(Some(shown(
                &media(&head.headers),
                80,
            )))),
            status => Err(failure(format!("HTTP status {status}"))),
        }
    }
}

impl Http {
    fn request(
        &self,
        method: Method,
        uri: &str,
        body: Bytes,
        session: Option<Arc<str>>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let uri: Uri = uri.parse().map_err(|_| failure("the URL cannot be read"))?;
        let mut request = Request::new(Full::new(body));
        let all = request.headers_mut();
        all.extend(headers);
        all.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        if let Some(host) = uri.authority() {
            all.insert(header::HOST, value(host.as_str())?);
        }
        all.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("hone/", env!("CARGO_PKG_VERSION"))),
        );
        if method == Method::POST {
            all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(session) = session {
            all.insert(SESSION, value(&session)?);
        }
        if let Some(auth) = &self.auth {
            all.insert(header::AUTHORIZATION, auth.clone());
        }
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        Ok(request)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Head, Failure> {
        let head = self.network.send(request).await;
        head.map_err(|error| failure(self.redact(error.to_string())))
    }

    /// What an answer without success means.
    async fn refused(
        &self,
        message: &ClientJsonRpcMessage,
        mut head: Head,
        in_session: bool,
        session: Option<String>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let status = head.status;
        let mut body = Vec::new();
        while let Some(Ok(bytes)) = head.body.next().await {
            body.extend_from_slice(&bytes[..bytes.len().min(ERROR_BYTES - body.len())]);
            if body.len() == ERROR_BYTES {
                break;
            }
        }
        let said = match serde_json::from_slice(&body) {
            Ok(ServerJsonRpcMessage::Error(error)) => Some(error.error),
            _ => None,
        };
        let words = self.words(&body);
        if matches!(status, 401 | 403) {
            let how = match &self.key {
                Some(key) => format!("it does not accept the token in {key:?}"),
                None => "it wants a token; name the variable that holds it in `bearer_env`".to_owned(),
            };
            return Err(failure(format!("HTTP status {status}: {how}: {words}")));
        }
        let ClientJsonRpcMessage::Request(request) = message else {
            return Err(failure(format!("HTTP status {status}: {words}")));
        };
        // A server of the older era knows no request without a session; that is its way to say so.
        let older =
            !in_session && (400..500).contains(&status) && matches!(request.request, ClientRequest::DiscoverRequest(_));
        let error = match said {
            Some(error) => error,
            None if older => ErrorData::new(
                ErrorCode::INVALID_REQUEST,
                format!("HTTP status {status}: {words}"),
                None,
            ),
            None if (300..400).contains(&status) => {
                let to = text(&head.headers, &header::LOCATION).unwrap_or_default();
                return Err(failure(format!(
                    "it redirects to `{}`, which is not followed; give that address if you trust it",
                    shown(&to, 200)
                )));
            }
            None => return Err(failure(format!("HTTP status {status}: {words}"))),
        };
        // Such errors often name no request or a wrong one, though they answer this one.
        let error = ServerJsonRpcMessage::error(error, Some(request.id.clone()));
        Ok(StreamableHttpPostResponse::Json(error, session))
    }

    async fn whole(&self, head: &mut Head) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(bytes) = head.body.next().await {
            let bytes = bytes.map_err(|why| failure(self.redact(why)))?;
            self.watch.came(bytes.len())?;
            if body.len() + bytes.len() > self.message_bytes {
                return Err(self.watch.too_large().into());
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    fn events(&self, body: Box<dyn Chunks>) -> Events {
        let bounded = Bounded {
            body,
            watch: self.watch.clone(),
            limit: self.message_bytes,
            event: 0,
            line: 0,
        };
        let bytes = stream::unfold(Some(bounded), |state| async move {
            let mut state = state?;
            match state.next().await? {
                Ok(bytes) => Some((Ok(bytes), Some(state))),
                Err(error) => Some((Err(error), None)),
            }
        });
        SseStream::from_bytes_stream(bytes.boxed()).boxed()
    }

    fn words(&self, body: &[u8]) -> String {
        self.redact(shown(String::from_utf8_lossy(body).trim(), crate::error::SERVER_WORDS))
    }

    fn redact(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.redact(text),
            None => text,
        }
    }
}

/// A body whose events are bounded.
struct Bounded {
    body: Box<dyn Chunks>,
    watch: Arc<Watch>,
    limit: usize,
    /// Bytes since the last empty line, and since the last line end.
    event: usize,
    line: usize,
}

impl Bounded {
    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        let bytes = match self.body.next().await? {
            Ok(bytes) => bytes,
            Err(why) => return Some(Err(std::io::Error::other(why))),
        };
        Some(self.look(&bytes).map(|()| bytes))
    }

    fn look(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.watch.came(bytes.len())?;
        for piece in bytes.split_inclusive(|b| *b == b'\n' || *b == b'\r') {
            let ends = piece.ends_with(b"\n") || piece.ends_with(b"\r");
            let text = piece.len() - usize::from(ends);
            self.line += text;
            self.event += text;
            if self.event > self.limit {
                return Err(self.watch.too_large());
            }
            if ends {
                if self.line == 0 {
                    self.event = 0;
                }
                self.line = 0;
            }
        }
        Ok(())
    }
}

fn value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|_| failure("the server gave an id that no header can hold"))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The media type, without parameters.
fn media(headers: &HeaderMap) -> String {
    let full = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
