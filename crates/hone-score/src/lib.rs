//! Metrics over scored traces: success with intervals, pass@k, pass^k, call validity, comparisons of two policies,
//! trajectories beside a reference, reasons of failures by rule and by judge, calibration; and [`judge`]s, which are models. [`DICTIONARY`] says what each number means.
//!
//! Feed finished [`hone_trace::Episode`]s to [`Measures`]; read numbers from it; turn it into the [`EvalSummary`] that
//! `hone eval --json` prints; compare two of them with [`Paired`]. All but the judges is a pure function of the episodes
//! (and of a [`hone_trace::Stream`] for the bootstrap), in any order.
//!
//! Invariants:
//! * An episode whose outcome is `infra_failed` is counted as such and enters no other number.
//! * Success is read from the episode's recorded outcome; nothing is scored again here.
//! * A number that nothing supports is absent (`None`, a missing key), never zero.
//!
//! Not here: what success means (a domain's scorer says so), and how numbers look (`hone-view`).

mod bootstrap;
mod calibration;
mod claim;
mod conformance;
mod dictionary;
mod estimate;
mod failure;
pub mod judge;
mod measures;
mod paired;
mod summary;
mod taxonomy;
pub mod trajectory;

pub use bootstrap::bootstrap;
pub use calibration::{Bin, Calibration, Stated};
pub use claim::{Answer, Claim, Keeps, SeedMean};
pub use conformance::Conformance;
pub use dictionary::{Better, DICTIONARY, Metric, define};
pub use estimate::{MeanSd, Rate, clustered_error, cost_per_success, pass_at, pass_hat, percentile, sign_test, wilson};
pub use failure::{Failure, FailureClass, Reference, Unpaired, answer, as_call, classify, first_difference, shown};
pub use measures::{Measures, Outcomes, Tally};
pub use paired::Paired;
pub use summary::{Baseline, Bound, EvalSummary, alarms};
pub use taxonomy::{AGENT, ClassCount, ENVIRONMENT, JudgedClass, Party, Reading, TAXONOMIES, Taxonomy};

#[cfg(test)]
mod fixture;
