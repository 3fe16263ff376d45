//! What people see of a run: the report page, terminal plots and progress, metric files for other tools.
//!
//! * [`RunReport`] (of a training run), [`EvalReport`] (of an evaluation) and [`MethodsReport`] (of methods side by side) become one HTML file that opens without network and without scripts.
//! * [`chart`] draws a [`Panel`] of curves on a terminal; [`Progress`] shows a run while it goes on.
//! * [`TokenMap`] draws what an RL method makes of rollouts, token by token.
//! * [`MetricLog`] writes numbers by step as CSV and as TensorBoard event files.
//!
//! Invariants:
//! * Text of models, tools and tasks is hostile: it is escaped and bounded before it reaches a page ([`RunReport`]) and
//!   made printable before it reaches a terminal ([`printable`]).
//! * Output is a function of what is passed in; nothing here computes a metric (that is `hone-score`'s).
//! * Human output goes to stderr, quiet when that is no terminal; `NO_COLOR` is respected.

mod chart;
mod comparison;
mod csv;
mod curve;
mod episodes;
mod evaluation;
mod html;
mod metrics;
mod progress;
mod render;
mod report;
mod svg;
mod tensorboard;
mod token_map;

pub use chart::{Look, chart};
pub use comparison::{ClaimRow, MethodRow, MethodsReport};
pub use curve::{Curve, Panel, Unit};
pub use evaluation::{EvalReport, JudgedEpisode, MAX_EPISODES, NumberRow, RateRow, ShareRow};
pub use html::printable;
pub use metrics::{MetricError, MetricLog};
pub use progress::{Progress, Status};
pub use report::{EpisodePair, Fact, KindRow, NextStep, PhaseTime, ResultRow, Role, RunReport};
pub use tensorboard::EventFile;
pub use token_map::{TokenCell, TokenMap};
