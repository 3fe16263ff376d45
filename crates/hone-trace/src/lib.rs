//! The record of an episode, its store, and training sequences out of model calls.
//!
//! Everything in Hone flows through the [`Episode`]: rollout writes it, everything else reads it or adds scores to it.
//! This crate knows no other: not how text becomes tokens, not what a tool does, not how a score is computed.
//!
//! Invariants:
//! * A model call's prompt is a reference to its parent call plus what is new; the whole history is never stored twice.
//! * Every token has an [`Origin`]; only [`Origin::Sampled`] tokens carry log-probabilities that RL may train on.
//! * An episode is on disk before it is counted ([`Store`]); a killed process loses only episodes in flight.
//! * [`Episode::digest`] covers everything but the wall-clock fields ([`Timing`]) and an endpoint's own ids ([`Served`]).
//! * [`Secrets`] that a store was told of are taken out before anything is written.

mod check;
mod dialogue;
mod digest;
mod exchange;
#[cfg(feature = "inspect")]
pub mod inspect;
mod join;
pub mod otlp;
mod record;
pub mod sample;
mod sampling;
mod secret;
mod store;
mod stream;
#[cfg(feature = "parquet")]
mod table;

pub use check::Flaw;
pub use dialogue::Said;
pub use digest::{RunDigest, run_digest};
pub use exchange::{ExchangeError, Import, MAX_LINE, export_jsonl, import_jsonl, write_episode};
pub use join::{Break, BreakReason, CallSpan, JoinReport, Joined, Joining, Segment};
pub use record::*;
pub use sampling::{Constraint, SamplingSettings, TopToken};
pub use secret::Secrets;
pub(crate) use store::name as record_name;
pub use store::{EpisodeSummary, Filter, Metric, OutcomeKind, Store, StoreError};
pub use stream::Stream;
#[cfg(feature = "parquet")]
pub use table::{ParquetCount, TABLE, export_parquet};
