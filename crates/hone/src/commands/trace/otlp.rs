//! `hone trace export --format otlp`: spans to a receiver over HTTP.

use crate::console::{counted, print_json, say};
use crate::interrupt::{self, Interrupted};
use anyhow::{Context, bail};
use hone_trace::otlp::{Encoding, OtlpSpan, otlp_spans};
use hone_trace::{Filter, Store};
use hone_wire::{PostError, Posted, Poster};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The variables that OpenTelemetry's own exporters read.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Spans in one request.
const BATCH: usize = 512;
/// Bound on one request.
const LIMIT: Duration = Duration::from_secs(30);
/// Tries of one request.
const TRIES: u32 = 5;
/// Longest pause that a server can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Where the spans go, and what is in them.
#[derive(Clone, Debug, clap::Args)]
pub struct Otlp {
    /// With --format otlp: the receiver, such as http://localhost:4318 [default: OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// With --format otlp: also what was said, tools' arguments and their results
    #[arg(long)]
    content: bool,
    /// With --format otlp: JSON instead of protobuf
    #[arg(long)]
    otlp_json: bool,
}

impl Otlp {
    /// Send the episodes that pass.
    pub fn send(&self, store: &Store, filter: &Filter, json: bool) -> anyhow::Result<()> {
        let base = match &self.endpoint {
            Some(url) => url.clone(),
            None => std::env::var(ENDPOINT)
                .ok()
                .filter(|url| !url.is_empty())
                .with_context(|| {
                    format!(
                        "there is no receiver to send to; name one with --endpoint http://HOST:4318, or in {ENDPOINT}"
                    )
                })?,
        };
        let base = base.trim_end_matches('/');
        let url = if base.ends_with("/v1/traces") {
            base.to_owned()
        } else {
            format!("{base}/v1/traces")
        };
        let mut sender = Sender {
            poster: Poster::new(&url, &headers(&std::env::var(HEADERS).unwrap_or_default())?)?,
            url,
            encoding: if self.otlp_json {
                Encoding::Json
            } else {
                Encoding::Protobuf
            },
            run: super::run_name(store),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            batch: Vec::new(),
            sent: 0,
        };
        let stop = interrupt::flag();
        let mut episodes = 0u64;
        store.for_each(filter, |episode| -> anyhow::Result<()> {
            if stop.load(Ordering::Relaxed) {
                return Err(Interrupted(format!(
                    "stopped: {} spans are sent; sending again sends the same",
                    sender.sent
                ))
                .into());
            }
            sender.batch.extend(otlp_spans(&sender.run, &episode, self.content));
            episodes += 1;
            if sender.batch.len() >= BATCH {
                sender.flush()
            } else {
                Ok(())
            }
        })?;
        sender.flush()?;
        let Sender { url, sent, .. } = sender;
        say(format!("{}, {sent} spans, sent to {url}", counted(episodes, "episode")));
        if json {
            print_json(&json!({"episodes": episodes, "spans": sent, "endpoint": url}))?;
        }
        Ok(())
    }
}

struct Sender {
    poster: Poster,
    url: String,
    encoding: Encoding,
    run: String,
    runtime: tokio::runtime::Runtime,
    batch: Vec<OtlpSpan>,
    sent: u64,
}

impl Sender {
    fn flush(&mut self) -> anyhow::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let body = self.encoding.request(&self.run, &self.batch);
        self.runtime
            .block_on(deliver(&self.poster, &self.url, self.encoding, body.into()))?;
        self.sent += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }
}

/// Until it is taken; tries that may do better later are repeated, as the protocol says.
async fn deliver(poster: &Poster, url: &str, encoding: Encoding, body: bytes::Bytes) -> anyhow::Result<()> {
    let mut pause = Duration::from_millis(500);
    for attempt in 1.. {
        let (what, asked) = match poster.post(encoding.content_type(), body.clone(), LIMIT).await {
            Ok(Posted { status: 200..300, .. }) => return Ok(()),
            Ok(Posted {
                status,
                said,
                retry_after,
            }) => {
                let what = format!("the receiver at {url} answered {status}: {said}");
                if !matches!(status, 429 | 502 | 503 | 504) {
                    bail!("{what}; check the address, the headers in {HEADERS}, and try --otlp-json");
                }
                (what, retry_after)
            }
            Err(error @ (PostError::Timeout | PostError::Unreachable(_))) => {
                (format!("the receiver at {url} cannot be reached: {error}"), None)
            }
        };
        if attempt >= TRIES {
            bail!("{what}; start it, or name another with --endpoint");
        }
        tokio::time::sleep(asked.unwrap_or(pause).min(MAX_PAUSE)).await;
        pause *= 2;
    }
    unreachable!("the loop ends within {TRIES} tries")
}

/// `name=value,name=value`, the values percent-encoded.
fn headers(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("{HEADERS} holds a part without `=`; write NAME=VALUE,NAME=VALUE"))?;
            Ok((name.trim().to_owned(), decoded(value.trim())))
        })
        .collect()
}

/// Percent-encoding undone; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = |at: usize| (*rest.get(at)? as char).to_digit(16);
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &rest[3..];
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_others_write_them() {
        let pairs = headers("authorization=Basic%20YTpi=, x-key = 1%").unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(pairs, [pair("authorization", "Basic YTpi="), pair("x-key", "1%")]);
        assert_eq!(headers("").unwrap(), []);
        assert!(headers("nothing").is_err());
    }
}
