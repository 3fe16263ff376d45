//! `POST /get_observation`, `GET /health` and `GET /metrics` over HTTP.

use crate::{Request, Service};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at the same time; more wait.
const CONNECTIONS: usize = 4_096;
/// Largest request.
const BODY: usize = 32 << 20;
/// Until the whole request is there.
const PATIENCE: Duration = Duration::from_secs(60);

type Answer = http::Response<Full<Bytes>>;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be had.
    #[error("cannot listen on {address} ({source}); choose another address, such as 127.0.0.1:0")]
    Address {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// There are no threads.
    #[error("the system gives no threads ({0}); free some and try again")]
    Threads(std::io::Error),
}

/// A server that listens but does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Listen. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(service: Arc<Service>, address: SocketAddr) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(service.settings().concurrent + 8)
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
        let bound = runtime.block_on(async {
            let listener = TcpListener::bind(address).await?;
            Ok::<_, std::io::Error>((listener.local_addr()?, listener))
        });
        let (address, listener) = bound.map_err(|source| ServerError::Address { address, source })?;
        Ok(Self {
            listener,
            address,
            service,
            runtime,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serve until the program ends. Blocks.
    pub fn run(self) {
        let Self {
            listener,
            service,
            runtime,
            ..
        } = self;
        runtime.block_on(accept(listener, service));
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
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
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(answer(&service, request).await) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A connection that breaks is its client's affair.
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            drop(place);
        });
    }
}

async fn answer(service: &Arc<Service>, request: http::Request<Incoming>) -> Answer {
    let start = Instant::now();
    let route = (request.method().clone(), request.uri().path().to_owned());
    let mut answer = match (route.0, route.1.as_str()) {
        (Method::POST, "/get_observation") => observe(service, request).await,
        (Method::GET, "/health") => health(service).await,
        (Method::GET, "/metrics") if wants_text(&request) => prometheus(service),
        (Method::GET, "/metrics") => json_answer(StatusCode::OK, &metrics(service)),
        (_, "/get_observation" | "/health" | "/metrics") => {
            json_answer(StatusCode::METHOD_NOT_ALLOWED, &json!({"detail": "Method Not Allowed"}))
        }
        _ => json_answer(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"})),
    };
    if let Ok(seconds) = HeaderValue::from_str(&start.elapsed().as_secs_f64().to_string()) {
        answer.headers_mut().insert("x-process-time", seconds);
    }
    answer
}

async fn observe(service: &Service, request: http::Request<Incoming>) -> Answer {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    // No web page can send this type to another site's server unasked.
    if !kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json")) {
        let detail = json!({"detail": "send JSON, as application/json"});
        return json_answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, &detail);
    }
    let body = tokio::time::timeout(PATIENCE, Limited::new(request.into_body(), BODY).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            let detail = json!({"detail": format!("a request has at most {} MiB; send smaller batches", BODY >> 20)});
            return json_answer(StatusCode::PAYLOAD_TOO_LARGE, &detail);
        }
        Err(_) => {
            return json_answer(
                StatusCode::REQUEST_TIMEOUT,
                &json!({"detail": "Request processing timeout"}),
            );
        }
    };
    match Request::read(&body) {
        Err(refusal) => json_answer(StatusCode::UNPROCESSABLE_ENTITY, &refusal.body()),
        Ok(request) => match serde_json::to_value(service.observe(request).await) {
            Ok(response) => json_answer(StatusCode::OK, &response),
            Err(error) => json_answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({"detail": error.to_string()})),
        },
    }
}

fn wants_text(request: &http::Request<Incoming>) -> bool {
    let accepts = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/plain") || accepts.contains("openmetrics"))
}

/// The original's fields; each tool's runtime is tried first, and one that cannot work is named.
async fn health(service: &Arc<Service>) -> Answer {
    let tried = Arc::clone(service);
    let ill = tokio::task::spawn_blocking(move || {
        let ill = tried.ill().into_iter().map(|(name, why)| format!("{name}: {why}"));
        ill.collect::<Vec<String>>()
    });
    let ill = ill.await.unwrap_or_else(|error| vec![error.to_string()]);
    let (counts, settings) = (service.counts(), service.settings());
    let mut body = json!({
        "status": "healthy",
        "concurrent_requests": counts.active,
        "thread_pool_size": settings.concurrent,
        "active_tasks": counts.trajectories,
        "max_concurrent": settings.concurrent,
        "tools": service.names(),
        "uptime_seconds": service.uptime(),
    });
    if ill.is_empty() {
        return json_answer(StatusCode::OK, &body);
    }
    body["status"] = json!("unhealthy");
    body["detail"] = json!(ill);
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &body)
}

fn metrics(service: &Service) -> Value {
    let (counts, settings) = (service.counts(), service.settings());
    json!({
        "active_requests": counts.active,
        "cached_responses": 0,
        "tools_initialized": service.names().len(),
        "uptime_seconds": service.uptime(),
        "config": {
            "max_concurrent": settings.concurrent,
            "timeout": settings.timeout.as_secs_f64(),
            "hashing_enabled": false,
        },
    })
}

/// The counts in Prometheus's text format, for scrapers, which accept text.
fn prometheus(service: &Service) -> Answer {
    let counts = service.counts();
    let rows = [
        ("active", "gauge", "Actions that run or wait now.", counts.active),
        (
            "trajectories",
            "gauge",
            "Trajectories whose tools hold something now.",
            counts.trajectories,
        ),
        (
            "actions_total",
            "counter",
            "Actions that were answered.",
            counts.actions,
        ),
        (
            "invalid_total",
            "counter",
            "Actions that were no tool's.",
            counts.invalid,
        ),
        (
            "failed_total",
            "counter",
            "Actions whose tool failed through no fault of theirs.",
            counts.failed,
        ),
        (
            "finished_total",
            "counter",
            "Trajectories that were finished.",
            counts.finished,
        ),
    ];
    let line = |(name, kind, help, value): (&str, &str, &str, u64)| {
        format!(
            "# HELP hone_verltool_{name} {help}\n# TYPE hone_verltool_{name} {kind}\nhone_verltool_{name} {value}\n"
        )
    };
    let mut text: String = rows.into_iter().map(line).collect();
    text.push_str(&service.runtime_metrics());
    with_type(StatusCode::OK, text, "text/plain; version=0.0.4")
}

fn json_answer(status: StatusCode, body: &Value) -> Answer {
    with_type(status, body.to_string(), "application/json")
}

fn with_type(status: StatusCode, body: String, kind: &'static str) -> Answer {
    let mut answer = http::Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
