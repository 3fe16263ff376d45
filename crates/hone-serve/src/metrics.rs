//! Numbers for Prometheus, in its text format 0.0.4.

use crate::Shared;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the histogram of request times, in seconds.
const BUCKETS: [f64; 8] = [0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0];

#[derive(Default)]
pub(crate) struct Metrics {
    answered: AtomicU64,
    refused: AtomicU64,
    /// Clients that left or did not read before their answer was complete.
    pub(crate) left: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) waiting: AtomicU64,
    prompt: AtomicU64,
    buckets: [AtomicU64; 8],
    micros: AtomicU64,
    count: AtomicU64,
}

impl Metrics {
    /// A request came to its end after so long.
    pub(crate) fn done(&self, ok: bool, took: Duration) {
        let counter = if ok { &self.answered } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        for (bound, bucket) in BUCKETS.iter().zip(&self.buckets) {
            if took.as_secs_f64() <= *bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn prompt(&self, tokens: usize) {
        self.prompt.fetch_add(tokens as u64, Ordering::Relaxed);
    }
}

pub(crate) fn text(shared: &Shared) -> String {
    let (m, s) = (&shared.metrics, shared.sampler.stats());
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut out = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: String| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    let us = |micros: u64| format!("{:.6}", micros as f64 / 1e6);
    one(
        "hone_requests_answered_total",
        "counter",
        "Requests that were answered.",
        get(&m.answered).to_string(),
    );
    one(
        "hone_requests_refused_total",
        "counter",
        "Requests that were refused.",
        get(&m.refused).to_string(),
    );
    one(
        "hone_clients_left_total",
        "counter",
        "Clients that left before their answer was complete.",
        get(&m.left).to_string(),
    );
    one(
        "hone_connections",
        "gauge",
        "Open connections.",
        get(&m.connections).to_string(),
    );
    one(
        "hone_requests_waiting",
        "gauge",
        "Requests that wait for their turn.",
        get(&m.waiting).to_string(),
    );
    one(
        "hone_sequences_running",
        "gauge",
        "Sequences that are sampled.",
        s.running.to_string(),
    );
    one(
        "hone_prompt_tokens_total",
        "counter",
        "Tokens of prompts.",
        get(&m.prompt).to_string(),
    );
    one(
        "hone_sampled_tokens_total",
        "counter",
        "Tokens that were sampled.",
        s.sampled.to_string(),
    );
    one(
        "hone_fed_tokens_total",
        "counter",
        "Tokens that went through the model.",
        s.fed.to_string(),
    );
    one(
        "hone_forward_passes_total",
        "counter",
        "Batches that went through the model.",
        s.batches.to_string(),
    );
    one(
        "hone_cache_pages",
        "gauge",
        "Pages of cached keys and values.",
        s.pages.to_string(),
    );
    one(
        "hone_preempted_total",
        "counter",
        "Sequences that gave their pages back for a while.",
        s.preempted.to_string(),
    );
    one(
        "hone_grammar_masks_total",
        "counter",
        "Masks of grammars.",
        s.masks.to_string(),
    );
    one(
        "hone_grammar_seconds_total",
        "counter",
        "Time that making masks took.",
        us(s.mask_us),
    );
    one(
        "hone_grammar_wait_seconds_total",
        "counter",
        "Time that sampling waited for masks.",
        us(s.mask_wait_us),
    );
    let name = "hone_request_seconds";
    let _ = writeln!(
        out,
        "# HELP {name} Time from a request to the end of its answer.\n# TYPE {name} histogram"
    );
    for (bound, bucket) in BUCKETS.iter().zip(&m.buckets) {
        let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {}", get(bucket));
    }
    let count = get(&m.count);
    let _ = writeln!(
        out,
        "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {}\n{name}_count {count}",
        us(get(&m.micros))
    );
    out
}
