//! HTTP/1.1 over TCP and TLS.

use super::SetupError;
use crate::shown;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as SendFailure};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// What carries a request: the network, or a test's script.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The head of the answer. Dropping the future, or the body, ends the exchange.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Head, SendError>;
}

/// The head of an answer, and the body to come.
pub struct Head {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; dropping it ends the exchange.
    pub body: Box<dyn Chunks>,
}

/// A body as it arrives.
#[async_trait]
pub trait Chunks: Send {
    /// The next bytes; `None` at the end; the network's words where it broke off.
    async fn next(&mut self) -> Option<Result<Bytes, String>>;
}

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection within the time for it.
    #[error("no connection in time")]
    ConnectTimeout,
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// What answered does not speak HTTP.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
}

/// The network. Needs a tokio runtime with time and I/O. Has no deadline but that for connecting, and no bound on bodies.
///
/// Redirects are not followed: an API has no reason to send them, and following one would show the key to whomever it
/// names.
pub struct Network(Client<Timed, Full<Bytes>>);

impl Network {
    /// Reads the system's certificates if `uri` needs them; `connect` bounds name, TCP and TLS together.
    ///
    /// # Errors
    /// When there are no certificates.
    pub fn new(uri: &Uri, connect: Duration) -> Result<Self, SetupError> {
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = if uri.scheme_str() == Some("https") {
            builder
                .with_provider_and_native_roots(provider)
                .map_err(|error| SetupError::NoCertificates(shown(&error.to_string(), 200)))?
        } else {
            let config = rustls::ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(|error| SetupError::NoCertificates(shown(&error.to_string(), 200)))?;
            builder.with_tls_config(
                config
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth(),
            )
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = Timed {
            inner: builder.https_or_http().enable_http1().wrap_connector(tcp),
            limit: connect,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(connector);
        Ok(Self(client))
    }
}

#[async_trait]
impl Transport for Network {
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Head, SendError> {
        let answer = self.0.request(request).await.map_err(|error| SendError::of(&error))?;
        let (head, body) = answer.into_parts();
        Ok(Head {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Box::new(body),
        })
    }
}

#[async_trait]
impl Chunks for Incoming {
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            match self.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(words(&error))),
            }
        }
    }
}

impl SendError {
    fn of(error: &SendFailure) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if error.is::<ConnectTimeout>() {
                return Self::ConnectTimeout;
            }
            if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                return Self::NotHttp(words(error));
            }
            cause = error.source();
        }
        Self::Unreachable(words(error))
    }
}

/// An error and its causes, without repetitions.
fn words(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    shown(&text, 300)
}

/// A connector with a deadline for the connection as a whole: name, TCP and TLS.
#[derive(Clone)]
struct Timed {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
struct ConnectTimeout;

type Connector = HttpsConnector<HttpConnector>;
type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<Uri> for Timed {
    type Response = <Connector as Service<Uri>>::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Boxed<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimeout.into()),
            }
        })
    }
}
