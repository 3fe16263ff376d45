//! Selection, advantages, objectives and the training loops.
mod base;
mod observe;
pub mod recipe;
mod rows;
pub mod stages;
mod supervised;

pub use base::{BaseError, Corpus, make_base, probe};
pub use observe::{Observer, Step};
pub use rows::{demonstration, document, rollout};
pub use supervised::{Example, Supervised, SupervisedStep, supervised};
