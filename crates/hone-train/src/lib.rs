//! Selection, advantages, objectives and the training loops.

pub mod stages;
mod supervised;

pub use supervised::{Example, Supervised, SupervisedStep, supervised};
