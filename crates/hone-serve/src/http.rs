//! The listener: connections, their bounds, and which path leads where.

use crate::body::{Answer, whole};
use crate::error::{Refusal, ServeError};
use crate::{Options, Shared, chat, completions, metrics, tokens};
use bytes::Bytes;
use hone_engine::Sampler;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

/// Connections at the same time; more wait to be accepted.
const CONNECTIONS: usize = 4096;

/// A server that listens and does not answer yet.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Listen. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be had or is open to others without a token, or the model's tokens stand for no text.
    pub fn bind(sampler: Sampler, address: SocketAddr, options: Options) -> Result<Self, ServeError> {
        if options.token.is_none() && !address.ip().is_loopback() {
            return Err(ServeError::Open(address));
        }
        let listen = |source| ServeError::Listen { address, source };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(listen)?;
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(listen)?;
        let mut vocabulary = sampler.codec().vocabulary().map_err(ServeError::Model)?;
        // Here all tokens have a text: a client reads what the model writes.
        for (id, name) in std::mem::take(&mut vocabulary.special) {
            if let Some(text) = vocabulary.text.get_mut(id as usize) {
                *text = Some(name.into_bytes());
            }
        }
        let shared = Shared {
            places: Arc::new(Semaphore::new(options.parallel.max(1))),
            started: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
            metrics: metrics::Metrics::default(),
            sampler,
            vocabulary,
            options,
        };
        Ok(Self {
            address: listener.local_addr().map_err(listen)?,
            runtime,
            listener,
            shared: Arc::new(shared),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serve until the program ends. Blocks.
    pub fn run(self) {
        self.runtime.block_on(accept(self.listener, self.address, self.shared));
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let token = shared
        .options
        .token
        .as_ref()
        .map(|token| digest(format!("Bearer {token}").as_bytes()));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // No file descriptors, most likely: some come free when connections end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let hang_up = Arc::new(Notify::new());
            let (state, notify) = (shared.clone(), hang_up.clone());
            let answer = service_fn(move |request| {
                let (shared, hang_up) = (state.clone(), notify.clone());
                async move { Ok::<_, Infallible>(admit(shared, request, token, address, hang_up).await) }
            });
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .max_buf_size(64 << 10)
                .header_read_timeout(shared.options.patience);
            shared.metrics.connections.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                // A connection that breaks is its client's affair.
                _ = builder.serve_connection(TokioIo::new(stream), answer) => {}
                () = hang_up.notified() => {}
            }
            shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

async fn admit(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    token: Option<[u8; 32]>,
    address: SocketAddr,
    hang_up: Arc<Notify>,
) -> Answer {
    let started = Instant::now();
    let path = request.uri().path().to_owned();
    let answer = route(&shared, request, token, address, hang_up).await;
    if !matches!(path.as_str(), "/health" | "/metrics") {
        shared.metrics.done(answer.is_ok(), started.elapsed());
    }
    answer.unwrap_or_else(|refusal| {
        let mut answer = json(&refusal.json());
        *answer.status_mut() = refusal.status;
        if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(
            refusal.status,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
        ) {
            // The rest of the request is not read.
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    })
}

async fn route(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    token: Option<[u8; 32]>,
    address: SocketAddr,
    hang_up: Arc<Notify>,
) -> Result<Answer, Refusal> {
    let path = request.uri().path().to_owned();
    let get = |answer: fn(&Shared) -> Answer| match *request.method() {
        Method::GET | Method::HEAD => Ok(answer(shared)),
        _ => Err(Refusal::method("GET")),
    };
    if path == "/health" {
        return get(|_| json(&serde_json::json!({"status": "ok"})));
    }
    let shown = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| digest(value.as_bytes()));
    // Digests are compared, so that the time it takes tells nothing.
    match token {
        Some(_) if shown != token => return Err(Refusal::unauthorized()),
        // No web page may talk to a local server by a name of its own.
        None if !own_host(&request, address.port()) => return Err(Refusal::host()),
        _ => {}
    }
    match path.as_str() {
        "/metrics" => {
            return get(|shared| {
                let mut answer = Answer::new(whole(metrics::text(shared)));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4");
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            });
        }
        "/v1/models" => return get(|shared| json(&tokens::models(shared))),
        _ => {}
    }
    let name = path.strip_prefix("/v1/models/").map(str::to_owned);
    if let Some(name) = name {
        if name != shared.options.name {
            return Err(Refusal::no_model(&name, &shared.options.name));
        }
        return get(|shared| json(&tokens::model(shared)));
    }
    let known = [
        "/v1/chat/completions",
        "/v1/completions",
        "/tokenize",
        "/v1/tokenize",
        "/detokenize",
        "/v1/detokenize",
    ];
    if !known.contains(&path.as_str()) {
        return Err(Refusal::not_found(&path));
    }
    if request.method() != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let body = read(shared, request).await?;
    match path.as_str() {
        "/v1/chat/completions" => chat::answer(shared, &body, hang_up).await,
        "/v1/completions" => completions::answer(shared, &body, hang_up).await,
        "/tokenize" | "/v1/tokenize" => tokens::tokenize(shared, &body).map(|value| json(&value)),
        _ => tokens::detokenize(shared, &body).map(|value| json(&value)),
    }
}

/// Whether a request is to this machine by a name of its own and from no web page.
fn own_host(request: &Request<Incoming>, port: u16) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let own = ["localhost", "127.0.0.1", "[::1]"];
    let named = |text: &str| own.iter().any(|name| text == *name || text == format!("{name}:{port}"));
    let origin = request.headers().get(header::ORIGIN);
    let origin = origin.map(|origin| origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")));
    host.is_some_and(named) && origin.is_none_or(|origin| origin.is_some_and(named))
}

async fn read(shared: &Shared, request: Request<Incoming>) -> Result<Value, Refusal> {
    let body = tokio::time::timeout(
        shared.options.patience,
        collect(request.into_body(), shared.options.request_bytes),
    );
    let bytes = body.await.map_err(|_| Refusal::too_slow())??;
    // `serde_json` bounds the depth.
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::request(format!("the request is not JSON: {error}")))?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(Refusal::request("the request is not a JSON object")),
    }
}

/// A body of at most so many bytes. Of a larger one as much again is read and thrown away: clients that are still sending
/// would not see the answer otherwise.
async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Refusal> {
    let (mut bytes, mut seen) = (Vec::new(), 0usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::request("the request broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= limit {
            bytes.extend_from_slice(&data);
        } else if seen > limit.saturating_mul(4) {
            break;
        }
    }
    if seen > limit {
        return Err(Refusal::too_large(limit));
    }
    Ok(bytes)
}

/// An answer in JSON.
pub(crate) fn json(value: &Value) -> Answer {
    let mut answer = Answer::new(whole(value.to_string()));
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// An answer in events.
pub(crate) fn events(body: http_body_util::combinators::BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Answer::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
