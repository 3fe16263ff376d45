//! The stages between rollouts and gradients: `select → reward → advantage → rows → objective`. A method is data.
//!
//! [`Method::prepare`] takes a step's [`Rollout`]s through the stages up to `rows`; [`BatchObjective`] then gives, for each [`TrainRow`] and the
//! log-probabilities of its tokens now, its part of the loss and the derivatives that the engine goes on from. Nothing here knows a model, a
//! tokenizer or a file. To read a method, read its preset in [`method`] and the parts that it names:
//!
//! | stage | part |
//! | --- | --- |
//! | `select`, `filter`, masks | [`Select`] |
//! | `reward` | [`Reward`] |
//! | `advantage` | [`Advantage`], [`prefix_tree`](fn@prefix_tree) |
//! | `objective` | [`Surrogate`], [`Clip`], [`Kl`], [`Aggregation`] in [`Objective`] |
//!
//! Invariants: `infra_failed` never enters a statistic; a token that the policy did not sample has no weight; everything that is dropped stands in
//! a [`StageReport`] with its reason; sums are in f64 and in the order of the rows.
//!
//! Not here: sequence-level ratios, off-policy correction, replay, tree sampling, KL inside the reward.

mod advantage;
mod error;
mod explain;
mod method;
mod objective;
mod prefix_tree;
mod report;
mod reward;
mod rollout;
mod schedule;
mod selection;
pub mod terms;
#[cfg(test)]
mod tests;

pub use advantage::{Advantage, Baseline, Credit, GroupStats, Scale, Singleton, TokenAdvantages, Unit};
pub use error::StageError;
pub use explain::explain;
pub use method::{METHODS, Method, Prepared, TrainRow, method};
pub use objective::{Aggregation, AggregationMode, BatchObjective, Kl, Objective, RowLoss, Scope, TokenLoss};
pub use prefix_tree::prefix_tree;
pub use report::{Diagnostics, Dropped, RowSums, Spread, StageReport, StepStats};
pub use reward::{Reward, Term};
pub use rollout::{Rollout, Row, Validity};
pub use schedule::{Schedule, Shape};
pub use selection::{Select, all_close};
pub use terms::{Clip, KlEstimator, Surrogate};
