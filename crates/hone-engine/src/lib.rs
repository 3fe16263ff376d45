//! The in-process neural engine: decoder-only transformers for sampling and training.
//!
//! One model definition ([`Config`], [`Weights`]) serves both. [`decode`] feeds token sequences with cached keys and
//! values; [`Learner`] computes log-probabilities, gradients and AdamW steps; [`Sampler`] is the batching service that
//! rollouts talk to.
//!
//! Invariants:
//! * Same bits: a token's log-probability does not depend on the batch, the number of threads, the instruction set, or
//!   on whether the sampler or the learner computed it. Matrix products and row operations fix their order of summation.
//! * Parallelism is over sequences; inside a product there is one thread.
//! * Of a model with an adapter ([`Lora`]) only the adapter is trained; its base is shared and never copied.
//! * A gradient that is not finite changes nothing.
//!
//! Deliberately not here: text (`hone-model`), what a loss means (`hone-train`), when to sample (`hone-rollout`).

mod cache;
pub mod checkpoint;
mod choose;
mod config;
pub mod decode;
pub mod gemm;
#[cfg(feature = "constrain")]
mod guide;
#[cfg(not(feature = "constrain"))]
#[path = "no_guide.rs"]
mod guide;
mod head_norm;
mod induction;
mod kernels;
mod learn;
mod lora;
mod sampler;
mod simd;
mod weights;

/// Whether this build can hold answers to grammars.
pub const CONSTRAINS: bool = cfg!(feature = "constrain");

pub use choose::{Before, Choice, choose};
pub use config::{Architecture, Config, ConfigError, Layout, RopeScaling, Tensor};
pub use induction::induction;
pub use learn::{AdamW, CrossEntropy, LearnError, Learner, Loss, OptimizerState, Pass, Row, RowGradient, RowScore};
pub use lora::{Adapter, Lora, LoraTarget};
pub use sampler::{Bounds, Generation, Sampler, SamplerStats};
pub use simd::{Level, level};
pub use weights::{Weights, WeightsError};

#[cfg(test)]
mod tests;
