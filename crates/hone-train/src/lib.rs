//! Selection, advantages, objectives and the training loops.
mod agent;
pub mod arithmetic;
mod base;
pub mod chat;
pub mod credit;
pub mod curator;
mod observe;
pub mod recipe;
mod rows;
pub mod stages;
mod supervised;
mod update;

pub use agent::{Evaluation, Run, RunError, State, TIMED, scripts, update_key};
pub use base::{BaseError, Corpus, Made, is_plain, make_base, probe};
pub use hone_rollout::branching;
pub use observe::{Observer, Step};
pub use rows::{demonstration, document, rollout};
pub use supervised::{Breakdown, Example, Supervised, SupervisedStep, supervised};
pub use update::{Seen, Update, UpdateError, UpdateSettings, update};
