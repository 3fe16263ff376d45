//! Streamable HTTP: the listener around rmcp's service.

use super::{Offer, REQUEST_BYTES};
use crate::{Error, runtime};
use bytes::Bytes;
use hone_wire::Key;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Where the server is found.
const PATH: &str = "/mcp";

/// Connections at the same time; more wait.
const CONNECTIONS: usize = 4096;

/// A session that nobody used for so long ends. Models can think long between two calls.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// Who may come in.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// Environment variable with the bearer token that clients must show.
    pub bearer_env: Option<String>,
    /// Names by which clients reach the server, besides the loopback ones. A request to any other is refused, so that no web
    /// page can talk to a local server by a name of its own.
    pub hosts: Vec<String>,
}

/// A server at `http://ADDRESS/mcp`, listening but not answering yet.
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    service: Service,
    token: Option<HeaderValue>,
}

impl HttpServer {
    /// Listen. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be had, or is open to others without a token.
    pub fn bind(offer: &Offer, address: SocketAddr, options: &HttpOptions) -> Result<Self, Error> {
        let wrong = |why: String| Error::Config {
            server: offer.name.clone(),
            why,
        };
        let token = match &options.bearer_env {
            Some(variable) => {
                let key = Key::from_env(variable).map_err(|error| wrong(error.to_string()))?;
                Some(key.header("Bearer ").map_err(|error| wrong(error.to_string()))?)
            }
            None if !address.ip().is_loopback() => {
                return Err(wrong(format!(
                    "everybody who reaches {address} could use these tools; ask for a token with `--bearer-env NAME`, or \
                     listen on 127.0.0.1"
                )));
            }
            None => None,
        };
        let bound = async move {
            let listener = TcpListener::bind(address).await?;
            Ok::<_, std::io::Error>((listener.local_addr()?, listener))
        };
        let Some(Ok((address, listener))) = runtime::block(bound) else {
            return Err(wrong(format!(
                "cannot listen on {address}; choose another address, such as 127.0.0.1:0"
            )));
        };
        Ok(Self {
            listener,
            address,
            service: service(offer, options, address.port()),
            token,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serve until the program ends. Blocks.
    pub fn run(self) {
        runtime::block(accept(self.listener, self.service, self.token));
    }
}

type Service = StreamableHttpService<super::Client, LocalSessionManager>;
type Answer = Response<BoxBody<Bytes, Infallible>>;

fn service(offer: &Offer, options: &HttpOptions, port: u16) -> Service {
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(IDLE);
    let mut settings = StreamableHttpServerConfig::default().enforce_origin_validation();
    settings.max_request_body_bytes = REQUEST_BYTES;
    settings.allowed_hosts.extend(options.hosts.iter().cloned());
    // A web page may call only what it came from.
    let own = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("http://{host}:{port}"));
    settings.allowed_origins.extend(own);
    let (offer, shared) = (offer.clone(), Arc::new(OnceLock::new()));
    StreamableHttpService::new(move || Ok(offer.client(shared.clone())), Arc::new(sessions), settings)
}

async fn accept(listener: TcpListener, service: Service, token: Option<HeaderValue>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let token = token.map(|token| digest(token.as_bytes()));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // No file descriptors, most likely: some come free when connections end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(admit(&service, request, token).await) }
            });
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30));
            // A connection that breaks is its client's affair.
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            drop(place);
        });
    }
}

async fn admit(service: &Service, request: Request<Incoming>, token: Option<[u8; 32]>) -> Answer {
    let shown = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| digest(value.as_bytes()));
    // Digests are compared, so that the time it takes tells nothing.
    if token.is_some() && shown != token {
        let mut answer = plain(StatusCode::UNAUTHORIZED, "a bearer token is wanted\n");
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return answer;
    }
    if request.uri().path() != PATH {
        return plain(StatusCode::NOT_FOUND, "the server is at /mcp\n");
    }
    service.handle(request).await
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *answer.status_mut() = status;
    answer
}
