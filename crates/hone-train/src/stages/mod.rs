//! The stages between rollouts and gradients: `select → reward → advantage → rows → objective`. A method is data.
//!
//! [`Method::prepare`] takes a step's [`Rollout`]s through the stages up to `rows`; [`BatchObjective`] then gives, for each [`TrainRow`] and the
//! log-probabilities of its tokens now, its part of the loss and the derivatives that the engine goes on from. Nothing here knows a model, a
//! tokenizer or a file. To read a method, read its preset in `presets.toml` and what it names:
//!
//! | stage | table of every method | what only some have |
//! | --- | --- | --- |
//! | `select`, `filter`, masks | [`Select`] | [`Part::aside`], [`Part::filter`] |
//! | `reward` | [`Reward`] | [`Part::value`] |
//! | `advantage` | [`Advantage`], [`prefix_tree`](fn@prefix_tree) | [`Part::advantage`] |
//! | `rows` | | [`Part::rows`], [`Part::later`] |
//! | `objective` | [`Surrogate`], [`Level`], [`Clip`], [`Kl`], [`Aggregation`] in [`Objective`] | [`Part::terms`] |
//!
//! A part is a type in a file of its own under `parts/` and a line in its [`Registry`]; nothing else knows it by name.
//!
//! Invariants: `infra_failed` never enters a statistic; a token that the policy did not sample has no weight; everything that is dropped stands in
//! a [`StageReport`] with its reason; sums are in f64 and in the order of the rows.

mod advantage;
mod aggregation;
mod error;
mod explain;
mod fade;
mod method;
mod objective;
mod part;
pub mod parts;
mod prefix_tree;
mod prepared;
mod presets;
mod registry;
mod report;
mod reward;
mod rollout;
mod schedule;
mod selection;
pub mod terms;
#[cfg(test)]
mod tests;

pub use advantage::{Advantage, Baseline, Credit, GroupStats, Scale, Singleton, TokenAdvantages, Unit};
pub use aggregation::{Aggregation, AggregationMode, Scope};
pub use error::StageError;
pub use explain::explain;
pub use fade::{Fade, Way};
pub use method::Method;
pub use objective::{BatchObjective, Kl, Level, Objective, RowLoss, TokenLoss};
pub use part::{Batch, Context, Later, LaterStage, Memory, Need, Part, PartType, RowStage, Scores, Term, Verdict};
pub use prefix_tree::prefix_tree;
pub use prepared::{Channel, Prepared, TrainRow};
pub use presets::{Preset, method, presets};
pub use registry::{Parts, Registry};
pub use report::{Diagnostics, Dropped, RowSums, Spread, StageReport, StepStats};
pub use reward::{Reward, Term as RewardTerm};
pub use rollout::{AgentStep, Call, Check, Fork, Rollout, Row, Validity, groups};
pub use schedule::{Schedule, Shape};
pub use selection::{Select, all_close};
pub use terms::{Clip, KlEstimator, Surrogate};
