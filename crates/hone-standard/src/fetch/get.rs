//! One GET after the other, each to an address that was looked at.

use super::address::{AddressError, Allowed, Target, inside};
use super::page::{is_text, media_type};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error as StdError;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// Most redirects.
pub const MAX_REDIRECTS: usize = 5;
/// Most bytes of a page.
pub const MAX_BYTES: usize = 2 << 20;
/// Most bytes of the head of an answer.
const MAX_HEAD: usize = 64 << 10;
/// Longest time for everything. (Tests wait for it.)
pub const MAX_TIME: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 20 });
/// Longest time for one connection.
const CONNECT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 8 });
/// Most addresses of a host that are tried.
const TRIED: usize = 3;

/// Why a page could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Its address is not fetched.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A redirect leads to an address that is not fetched.
    #[error("{from} redirects to {to:?}: {why}")]
    Redirect {
        /// The page.
        from: String,
        /// As the server wrote it, shortened.
        to: String,
        /// Why not.
        why: AddressError,
    },
    /// It redirects again and again.
    #[error("there are more than {MAX_REDIRECTS} redirects; use another page")]
    Loop,
    /// The server says no.
    #[error("the server answers with status {status}{words}; check the address or use another page")]
    Status {
        /// HTTP status.
        status: u16,
        /// What it means, in brackets.
        words: String,
    },
    /// It is no text.
    #[error("it is {kind}, not text; use a page of text")]
    Kind {
        /// Its media type, shortened.
        kind: String,
    },
    /// It is too large.
    #[error("the page has more than {MAX_BYTES} bytes; use a smaller one")]
    TooLarge,
    /// It takes too long.
    #[error("there was no whole answer within {} seconds; use another page", MAX_TIME.as_secs())]
    Slow,
    /// There is no connection, or it broke.
    #[error("{host} cannot be asked ({why}); check the address or use another page")]
    Unreachable {
        /// The host.
        host: String,
        /// The network's words.
        why: String,
    },
    /// It is text that cannot be laid out.
    #[error("{0}; use another page")]
    Page(String),
}

/// Finds the addresses of a host.
pub type Resolve = Arc<dyn Fn(&str, u16) -> std::io::Result<Vec<SocketAddr>> + Send + Sync>;

/// By the system.
pub fn system() -> Resolve {
    Arc::new(|host, port| std::net::ToSocketAddrs::to_socket_addrs(&(host, port)).map(Iterator::collect))
}

/// What holds for all pages.
#[derive(Clone)]
pub struct Getter {
    /// The hosts that may be asked.
    pub allowed: Allowed,
    /// Whether they may lie in one's own network.
    pub private: bool,
    /// Who finds addresses.
    pub resolve: Resolve,
}

/// A page as it came.
#[derive(Clone, Debug)]
pub struct Got {
    /// Where it was in the end.
    pub target: Target,
    /// Redirects on the way.
    pub redirects: usize,
    /// Media type.
    pub kind: String,
    /// Charset, if the header names one.
    pub charset: Option<String>,
    /// Bytes.
    pub bytes: Vec<u8>,
}

impl Getter {
    /// Get a page. Blocks; needs a thread on which that may be done.
    ///
    /// # Errors
    /// Why it could not be had.
    pub fn get(&self, url: &str) -> Result<Got, FetchError> {
        let target = Target::parse(url)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unreachable(&target, &error))?;
        let got = runtime.block_on(async {
            let got = tokio::time::timeout(MAX_TIME, self.all(target)).await;
            got.unwrap_or(Err(FetchError::Slow))
        });
        // A look-up of a name that hangs keeps its thread; nobody waits for it.
        runtime.shutdown_background();
        got
    }

    async fn all(&self, mut target: Target) -> Result<Got, FetchError> {
        self.allowed.check(&target)?;
        for redirects in 0..=MAX_REDIRECTS {
            let answer = self.ask(&target).await?;
            let status = answer.status();
            if let Some(to) = redirect(&answer) {
                target = self.follow(&target, &to)?;
                continue;
            }
            if !status.is_success() {
                let words = status
                    .canonical_reason()
                    .map_or(String::new(), |words| format!(" ({words})"));
                let status = status.as_u16();
                return Err(FetchError::Status { status, words });
            }
            let (kind, charset) = content(answer.headers())?;
            let bytes = body(&target, answer).await?;
            return Ok(Got {
                target,
                redirects,
                kind,
                charset,
                bytes,
            });
        }
        Err(FetchError::Loop)
    }

    /// Every address on the way is looked at as the first one is.
    fn follow(&self, from: &Target, to: &str) -> Result<Target, FetchError> {
        let next = from
            .follow(to)
            .and_then(|next| self.allowed.check(&next).map(|()| next));
        next.map_err(|why| FetchError::Redirect {
            from: from.url(),
            to: to.chars().take(200).collect(),
            why,
        })
    }

    /// The head of an answer, over a connection of its own.
    async fn ask(&self, target: &Target) -> Result<http::Response<hyper::body::Incoming>, FetchError> {
        let stream = tokio::time::timeout(CONNECT, self.connect(target)).await;
        let stream = stream.map_err(|_| FetchError::Slow)??;
        let tls = tls(target.secure).map_err(|why| unreachable_text(target, why))?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connected(Arc::new(Mutex::new(Some(stream)))));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(MAX_HEAD)
            .build(connector);
        let request = Request::get(target.url())
            .header(header::USER_AGENT, concat!("hone/", env!("CARGO_PKG_VERSION")))
            .header(
                header::ACCEPT,
                "text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.1",
            )
            .header(header::ACCEPT_ENCODING, "identity")
            .body(Empty::<Bytes>::new());
        let request = request.map_err(|error| unreachable(target, &error))?;
        client
            .request(request)
            .await
            .map_err(|error| unreachable(target, &error))
    }

    /// A connection to an address of the host that was looked at: it is resolved once, so that it cannot be another one when
    /// it is connected to (DNS rebinding).
    async fn connect(&self, target: &Target) -> Result<TcpStream, FetchError> {
        let (resolve, host, port) = (self.resolve.clone(), target.host.clone(), target.port);
        let found = tokio::task::spawn_blocking(move || resolve(&host, port)).await;
        let found = found.map_err(|error| unreachable(target, &error))?;
        let found = found.map_err(|error| unreachable(target, &error))?;
        // One inner address among others is reason enough.
        for address in &found {
            if let Some(what) = inside(address.ip(), self.private) {
                return Err(AddressError::Inside {
                    host: target.host.clone(),
                    address: address.ip(),
                    what,
                }
                .into());
            }
        }
        let mut why = "it has no address".to_owned();
        for address in found.into_iter().take(TRIED) {
            match TcpStream::connect(SocketAddr::new(address.ip(), target.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = error.kind().to_string(),
            }
        }
        Err(unreachable_text(target, why))
    }
}

/// The system's certificates, read once; none for plain HTTP.
fn tls(secure: bool) -> Result<rustls::ClientConfig, String> {
    static SYSTEM: LazyLock<Result<rustls::ClientConfig, String>> = LazyLock::new(|| {
        let config = versions()?
            .with_native_roots()
            .map_err(|error| format!("this machine has no certificates: {error}"))?;
        Ok(config.with_no_client_auth())
    });
    match secure {
        true => SYSTEM.clone(),
        false => Ok(versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()),
    }
}

fn versions() -> Result<rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier>, String> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    builder.map_err(|error| error.to_string())
}

fn redirect(answer: &http::Response<hyper::body::Incoming>) -> Option<String> {
    let location = answer.headers().get(header::LOCATION)?;
    let moved = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    moved.then(|| String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// Media type and charset, if it is something that can be read.
fn content(headers: &HeaderMap) -> Result<(String, Option<String>), FetchError> {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    if let Some(coding) = text(header::CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        let kind = format!(
            "encoded as {}, which was not asked for",
            coding.chars().take(40).collect::<String>()
        );
        return Err(FetchError::Kind { kind });
    }
    let (kind, charset) = media_type(&text(header::CONTENT_TYPE).unwrap_or_else(|| "text/plain".to_owned()));
    if !is_text(&kind) {
        let kind = kind.chars().take(80).collect();
        return Err(FetchError::Kind { kind });
    }
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    match length.is_some_and(|length| length > MAX_BYTES as u64) {
        true => Err(FetchError::TooLarge),
        false => Ok((kind, charset)),
    }
}

async fn body(target: &Target, answer: http::Response<hyper::body::Incoming>) -> Result<Vec<u8>, FetchError> {
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreachable(target, &error))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BYTES {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn unreachable(target: &Target, error: &dyn StdError) -> FetchError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    unreachable_text(target, text)
}

fn unreachable_text(target: &Target, why: String) -> FetchError {
    FetchError::Unreachable {
        host: target.authority(),
        why: why.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}

/// A connector that has its one connection already. Connectors are copied before they are asked; whoever asks first gets it.
#[derive(Clone, Debug)]
struct Connected(Arc<Mutex<Option<TcpStream>>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready(
            stream
                .map(TokioIo::new)
                .ok_or_else(|| std::io::ErrorKind::NotConnected.into()),
        )
    }
}
