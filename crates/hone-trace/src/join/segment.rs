//! What joining yields.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Break;
use crate::{Lineage, ModelCall, Origin, TokenId};

/// Where a call's answer stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CallSpan {
    /// The call's id.
    pub call: u32,
    /// First token of its answer in the segment.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

/// One training sequence. All token arrays have the same length.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// The thread of the episode that its calls belong to.
    pub lineage: Lineage,
    /// Token ids.
    pub ids: Vec<TokenId>,
    /// Origin of each token; context is [`Origin::Rendered`].
    pub origins: Vec<Origin>,
    /// Log-probability under the model's raw distribution (nats); 0 on context and where unknown.
    pub logprobs: Vec<f32>,
    /// Log-probability under the distribution that was sampled from (nats); 0 on context and where unknown.
    pub sampled_logprobs: Vec<f32>,
    /// Whether every sampled token has its log-probability. RL that needs them must leave the segment out if not.
    pub has_logprobs: bool,
    /// Version of the policy that sampled each token; 0, and without meaning, on context and where unknown.
    pub versions: Vec<u64>,
    /// The calls in it, in order.
    pub calls: Vec<CallSpan>,
    /// The calls whose prompt as served differs from what stands before their answer here. Always empty with
    /// [`super::Joining::ExactPrefix`].
    pub drifted: Vec<u32>,
}

impl Segment {
    pub(super) fn new(call: &ModelCall) -> Self {
        Self {
            lineage: call.lineage.clone(),
            ids: Vec::new(),
            origins: Vec::new(),
            logprobs: Vec::new(),
            sampled_logprobs: Vec::new(),
            has_logprobs: true,
            versions: Vec::new(),
            calls: Vec::new(),
            drifted: Vec::new(),
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of tokens before the first answer.
    pub fn prompt_len(&self) -> usize {
        self.calls.first().map_or(self.len(), |call| call.start as usize)
    }

    /// The loss mask of RL: true exactly on sampled tokens.
    pub fn mask(&self) -> Vec<bool> {
        self.origins.iter().map(|origin| *origin == Origin::Sampled).collect()
    }

    /// Number of sampled tokens.
    pub fn sampled(&self) -> usize {
        self.origins.iter().filter(|origin| **origin == Origin::Sampled).count()
    }

    pub(super) fn context(&mut self, ids: &[TokenId]) {
        self.ids.extend_from_slice(ids);
        self.fill(Origin::Rendered);
    }

    pub(super) fn answer(&mut self, call: &ModelCall) {
        let start = self.len();
        self.ids.extend_from_slice(&call.output);
        self.fill(Origin::Rendered);
        for span in &call.origins {
            self.origins[start + span.start as usize..start + span.end as usize].fill(span.value);
        }
        for span in &call.versions {
            self.versions[start + span.start as usize..start + span.end as usize].fill(span.value);
        }
        for index in 0..call.output.len() {
            if self.origins[start + index] != Origin::Sampled {
                self.versions[start + index] = 0;
                continue;
            }
            match (call.logprobs.get(index), call.sampling_logprob(index)) {
                (Some(raw), Some(sampled)) => {
                    self.logprobs[start + index] = *raw;
                    self.sampled_logprobs[start + index] = sampled;
                }
                _ => self.has_logprobs = false,
            }
        }
        self.calls.push(CallSpan {
            call: call.id,
            start: start as u32,
            end: self.len() as u32,
        });
    }

    /// Brings the other arrays to the length of `ids`.
    fn fill(&mut self, origin: Origin) {
        let length = self.ids.len();
        self.origins.resize(length, origin);
        self.logprobs.resize(length, 0.0);
        self.sampled_logprobs.resize(length, 0.0);
        self.versions.resize(length, 0);
    }
}

/// The segments of an episode, and why there is more than one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Joined {
    /// In the order of their first calls.
    pub segments: Vec<Segment>,
    /// One for each call that joined none, but for the very first.
    pub breaks: Vec<Break>,
}

/// How well the calls of many episodes could be joined.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JoinReport {
    /// Calls that are in a segment.
    pub calls: u64,
    /// Segments.
    pub segments: u64,
    /// Sampled tokens.
    pub sampled: u64,
    /// Tokens that are masked.
    pub masked: u64,
    /// Number of breaks by the reason's code.
    pub breaks: BTreeMap<&'static str, u64>,
}

impl JoinReport {
    /// Adds an episode.
    pub fn add(&mut self, joined: &Joined) {
        for segment in &joined.segments {
            let sampled = segment.sampled() as u64;
            self.calls += segment.calls.len() as u64;
            self.segments += 1;
            self.sampled += sampled;
            self.masked += segment.len() as u64 - sampled;
        }
        for broken in &joined.breaks {
            *self.breaks.entry(broken.reason.code()).or_default() += 1;
        }
    }

    /// Calls per segment: 1 means that nothing could be joined. 0 without segments.
    pub fn merge_ratio(&self) -> f64 {
        if self.segments == 0 {
            0.0
        } else {
            self.calls as f64 / self.segments as f64
        }
    }

    /// Share of tokens that are masked, from 0 to 1. 0 without tokens.
    pub fn masked_share(&self) -> f64 {
        let tokens = self.sampled + self.masked;
        if tokens == 0 {
            0.0
        } else {
            self.masked as f64 / tokens as f64
        }
    }
}
