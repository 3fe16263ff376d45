//! The record of an episode, its store, and training sequences out of model calls.
//!
//! Everything in Hone flows through the [`Episode`]: rollout writes it, everything else reads it or adds scores to it.
//! This crate knows no other: not how text becomes tokens, not what a tool does, not how a score is computed.
//!
//! Invariants:
//! * A model call's prompt is a reference to its parent call plus what is new; the whole history is never stored twice.
//! * Every token has an [`Origin`]; only [`Origin::Sampled`] tokens carry log-probabilities that RL may train on.
//! * An episode is on disk before it is counted ([`Store`]); a killed process loses only episodes in flight.
//! * [`Episode::digest`] covers everything but the wall-clock fields, which all live in [`Timing`] values.

mod record;
mod stream;

pub use record::*;
pub use stream::Stream;
