//! Episodes in bulk: groups of rollouts run concurrently over one model, failures classed, scores applied.
//!
//! A [`Rollout`] says who plays what and how; [`Rollout::run`] plays a list of [`Job`]s and gives the episodes back in
//! the order of (group, sample), handing each to the [`Hooks`] as soon as it is finished and scored.
//!
//! Invariants:
//! * An episode's randomness depends on (seed, phase, group, sample) only: not on concurrency, not on other episodes.
//! * Whatever breaks inside an episode (tool, environment, model, scorer, harness) ends that episode as `infra_failed`
//!   with its cause, and no other.
//! * An episode is handed to the sink before it is counted or returned; a cancelled one is neither.
//!
//! Deliberately not here: the agent loop (`hone-harness`), neural models (`hone-engine`), what a score means (`domains/`).

pub mod branching;
mod leaves;
mod rollout;
mod score;
mod stats;

pub use leaves::Forking;
pub use rollout::{BoxError, Cast, Hooks, Job, Player, Rollout, RolloutError, Sink, ToolSource, UserPlayer, Waiting};
pub use score::score;
pub use stats::Stats;
