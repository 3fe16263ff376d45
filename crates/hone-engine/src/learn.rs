//! Training: log-probabilities of given tokens, their gradient, and the optimiser step.
//!
//! A batch is cut into shards of whole sequences by a rule that does not look at the number of threads. Each shard runs
//! forward and backward on one thread with its own gradient, and the gradients are added in shard order: the result is
//! the same bits for any number of threads, and no thread waits inside a step.
//!
//! Where the gradient is large or the batch long, shards go through in waves (gradient accumulation): memory is bounded by
//! those of one wave, whatever the batch. Sequences of a shard lie packed one after the other, and attend only to themselves.

mod shard;

use crate::kernels;
use crate::weights::{PackedModel, Weights};
use hone_trace::{Stream, TokenId};
use serde::{Deserialize, Serialize};
pub(crate) use shard::Gradient;
use shard::{Scratch, Setting, shard_pass};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A sequence to train or score on.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Token ids.
    pub ids: &'a [TokenId],
    /// Which of them to predict, ascending; 0 cannot be predicted.
    pub targets: &'a [u32],
}

/// What the model says of a row's targets, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowScore {
    /// Log-probability in nats, at the temperature asked for.
    pub logp: Vec<f32>,
    /// Entropy in nats of the distribution that predicts it.
    pub entropy: Vec<f32>,
    /// Whether no other token is likelier: greedy decoding would choose it (up to ties).
    pub likeliest: Vec<bool>,
}

/// A loss's answer for one row.
#[derive(Clone, Debug, Default)]
pub struct RowGradient {
    /// Contribution to the batch's loss.
    pub loss: f64,
    /// Derivative of the loss by each target's log-probability.
    pub dlogp: Vec<f32>,
    /// Derivative of the loss by each target's entropy; empty means zero.
    pub dentropy: Vec<f32>,
}

/// A loss over the log-probabilities of a batch's targets. Called from several threads, in any order of rows.
pub trait Loss: Sync {
    /// The loss and its derivatives for row `index` of the batch.
    fn row(&self, index: usize, score: &RowScore) -> RowGradient;
}

/// Cross-entropy: `-sum(weight * logp)`, with one weight per row.
pub struct CrossEntropy<'a> {
    /// Weight of each row's tokens; `1 / targets` in all rows together makes the token mean.
    pub weights: &'a [f32],
}

impl Loss for CrossEntropy<'_> {
    fn row(&self, index: usize, score: &RowScore) -> RowGradient {
        let w = self.weights[index];
        RowGradient {
            loss: score.logp.iter().map(|l| -f64::from(w) * f64::from(*l)).sum(),
            dlogp: vec![-w; score.logp.len()],
            dentropy: Vec::new(),
        }
    }
}

/// AdamW settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f32,
    /// Bound on the gradient's norm; 0 is off.
    pub clip_norm: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
        }
    }
}

/// A setting of AdamW that is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdamWError {
    /// What it is, `name = value`.
    pub got: String,
    /// What is allowed.
    pub allowed: String,
}

impl AdamW {
    /// Check the settings.
    ///
    /// # Errors
    /// Names the one that is out of range, and its range.
    pub fn validate(&self) -> Result<(), AdamWError> {
        let check = |name: &str, value: f32, fits: bool, allowed: &str| match fits {
            true => Ok(()),
            false => Err(AdamWError {
                got: format!("{{ {name} = {value} }}"),
                allowed: format!("{name} {allowed}"),
            }),
        };
        let moment = 0.0..1.0;
        let positive = |x: f32| x.is_finite() && x >= 0.0;
        check("beta1", self.beta1, moment.contains(&self.beta1), "from 0 to below 1")?;
        check("beta2", self.beta2, moment.contains(&self.beta2), "from 0 to below 1")?;
        check("eps", self.eps, positive(self.eps) && self.eps > 0.0, "above 0")?;
        check(
            "weight_decay",
            self.weight_decay,
            positive(self.weight_decay),
            "0 or more",
        )?;
        check("clip_norm", self.clip_norm, positive(self.clip_norm), "0 (off) or more")
    }
}

/// What a gradient pass found.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// Sum of the rows' losses.
    pub loss: f64,
    /// Log-probabilities and entropies by row.
    pub scores: Vec<RowScore>,
    /// Tokens fed.
    pub tokens: usize,
}

/// A model under training: weights, gradient, optimiser state.
pub struct Learner {
    weights: Arc<Weights>,
    /// The transposed matrices; none where they are frozen.
    backward: Option<PackedModel>,
    checkpointing: bool,
    dropout: Option<Stream>,
    passes: u64,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
    threads: usize,
    scratch: Vec<Mutex<Scratch>>,
    shards: Vec<Mutex<Vec<f32>>>,
}

/// Optimiser state, for checkpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// First moments, in layout order.
    pub first: Vec<f32>,
    /// Second moments.
    pub second: Vec<f32>,
    /// Steps taken.
    pub steps: u64,
}

/// Why a step was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LearnError {
    /// The loss, the gradient or what the weights give is not a number.
    #[error(
        "the {0} is not finite at optimiser step {1}: lower the learning rate, or look at the batch's log-probabilities"
    )]
    NotFinite(&'static str, u64),
    /// A sequence for which the model has no positions.
    #[error(
        "a sequence of {tokens} tokens does not fit the model's {positions} positions (`max_position_embeddings`): leave it out, or take a model with more"
    )]
    TooLong {
        /// Tokens to feed.
        tokens: usize,
        /// What the model has.
        positions: usize,
    },
    /// A saved optimiser state of another model.
    #[error("the optimiser state has {have} numbers and the model {want}; it belongs to another model")]
    State {
        /// Given.
        have: usize,
        /// Expected.
        want: usize,
    },
}

const SHARD_TOKENS: usize = 512;
const MAX_SHARDS: usize = 8;
/// Parameters from which there is one gradient for each thread and not for each shard.
const LARGE_GRADIENT: usize = 1 << 25;

impl Learner {
    /// Start training `weights` with a fresh optimiser on `threads` threads: its adapter, or all of them if it has none.
    pub fn new(weights: Weights, threads: usize) -> Self {
        let n = weights.trained().len();
        let weights_are_trained = weights.adapter().is_none();
        let mut learner = Self {
            weights: Arc::new(weights),
            backward: weights_are_trained.then(PackedModel::default),
            checkpointing: false,
            dropout: None,
            passes: 0,
            gradient: vec![0.0; n],
            first: vec![0.0; n],
            second: vec![0.0; n],
            steps: 0,
            threads: threads.max(1),
            scratch: Vec::new(),
            shards: Vec::new(),
        };
        learner.pack();
        learner.scratch.resize_with(learner.threads, Mutex::default);
        learner
    }

    fn pack(&mut self) {
        if let Some(backward) = &mut self.backward {
            self.weights.pack_backward(backward);
        }
    }

    /// Whether to keep only each block's input between forward and backward, and compute the rest again (activation
    /// checkpointing, Chen et al. 2016): the same bits, with less memory and one more forward pass.
    pub fn checkpoint_activations(&mut self, on: bool) {
        self.checkpointing = on;
    }

    /// Drop inputs of the adapter in gradient passes, by [`Lora::dropout`](crate::Lora::dropout) and draws of this stream; `None` drops
    /// nothing. Scores are never computed with drops.
    pub fn drop_from(&mut self, stream: Option<Stream>) {
        self.dropout = stream;
    }

    /// The weights as they are now; later steps make new ones.
    pub fn weights(&self) -> Arc<Weights> {
        Arc::clone(&self.weights)
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Forget the optimiser's moments.
    pub fn reset_optimizer(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.steps = 0;
    }

    /// A copy of the optimiser's state.
    pub fn optimizer_state(&self) -> OptimizerState {
        OptimizerState {
            first: self.first.clone(),
            second: self.second.clone(),
            steps: self.steps,
        }
    }

    /// Continue from a saved state.
    ///
    /// # Errors
    /// When it belongs to another model.
    pub fn restore_optimizer(&mut self, state: OptimizerState) -> Result<(), LearnError> {
        let want = self.gradient.len();
        for have in [state.first.len(), state.second.len()] {
            if have != want {
                return Err(LearnError::State { have, want });
            }
        }
        self.first = state.first;
        self.second = state.second;
        self.steps = state.steps;
        Ok(())
    }

    /// The gradient of the last pass, in layout order.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Log-probabilities and entropies of the rows' targets at `temperature`, without a gradient.
    pub fn score(&mut self, rows: &[Row<'_>], temperature: f32) -> Vec<RowScore> {
        self.run(rows, temperature, None).scores
    }

    /// Forward and backward over the batch; replaces the gradient.
    pub fn pass(&mut self, rows: &[Row<'_>], temperature: f32, loss: &dyn Loss) -> Pass {
        self.run(rows, temperature, Some(loss))
    }

    fn run(&mut self, rows: &[Row<'_>], temperature: f32, loss: Option<&dyn Loss>) -> Pass {
        let trained = self.weights.trained().len();
        // The gradient of all weights comes in few parts, that of an adapter in as many as the batch asks for.
        let (most, wave) = match (&self.backward, trained > LARGE_GRADIENT) {
            (Some(_), false) => (MAX_SHARDS, MAX_SHARDS),
            (Some(_), true) => (MAX_SHARDS, self.threads),
            (None, _) => (usize::MAX, self.threads),
        };
        let shards = cut(rows, most);
        self.shards
            .resize_with(self.shards.len().max(wave.min(shards.len())), Mutex::default);
        if loss.is_some() {
            self.gradient.fill(0.0);
            self.passes += 1;
        }
        let rate = self.weights.adapter().map_or(0.0, |adapter| adapter.settings.dropout);
        let seed = self
            .dropout
            .as_ref()
            .filter(|_| loss.is_some())
            .map(|s| s.at(self.passes).seed());
        let setting = Setting {
            temperature,
            loss,
            checkpointing: self.checkpointing && loss.is_some(),
            dropout: seed.map(|seed| (rate, seed)),
        };
        let results: Vec<Mutex<Pass>> = shards.iter().map(|_| Mutex::default()).collect();
        let (weights, backward, buffers) = (&*self.weights, self.backward.as_ref(), &self.shards);
        for first in (0..shards.len()).step_by(wave) {
            let end = shards.len().min(first + wave);
            let next = AtomicUsize::new(first);
            let work = |scratch: &Mutex<Scratch>| {
                let mut scratch = scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= end {
                        return;
                    }
                    let shard = &shards[at];
                    let mut gradient = buffers[at - first]
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    if loss.is_some() {
                        gradient.clear();
                        gradient.resize(trained, 0.0);
                    }
                    let pass = shard_pass(weights, backward, rows, shard, &setting, &mut scratch, &mut gradient);
                    *results[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = pass;
                }
            };
            std::thread::scope(|scope| {
                for scratch in &self.scratch[1..] {
                    scope.spawn(|| work(scratch));
                }
                work(&self.scratch[0]);
            });
            if loss.is_some() {
                for shard in &self.shards[..end - first] {
                    let shard = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    kernels::add(&mut self.gradient, &shard);
                }
            }
        }
        let mut total = Pass {
            scores: vec![RowScore::default(); rows.len()],
            ..Pass::default()
        };
        for (shard, result) in shards.iter().zip(results) {
            let pass = result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            total.loss += pass.loss;
            total.tokens += pass.tokens;
            for (&row, score) in shard.iter().zip(pass.scores) {
                total.scores[row] = score;
            }
        }
        total
    }

    /// One AdamW step along the last pass's gradient. Returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// When the gradient is not finite; nothing is changed then.
    pub fn step(&mut self, lr: f32, adamw: &AdamW) -> Result<f64, LearnError> {
        let norm = kernels::sum_of_squares(&self.gradient).sqrt();
        if !norm.is_finite() {
            return Err(LearnError::NotFinite("gradient", self.steps));
        }
        let clip = f64::from(adamw.clip_norm);
        let scale = if clip > 0.0 && norm > clip {
            (clip / norm) as f32
        } else {
            1.0
        };
        self.steps += 1;
        let correction = |beta: f32| (1.0 - f64::from(beta).powf(self.steps as f64)) as f32;
        let (c1, c2) = (correction(adamw.beta1), correction(adamw.beta2));
        let (gradient, first, second) = (&self.gradient, &mut self.first, &mut self.second);
        let weights = Arc::make_mut(&mut self.weights);
        let tensors = weights.trained_tensors().to_vec();
        weights.update_trained(|params| {
            for tensor in &tensors {
                let at = tensor.range.clone();
                let decay = if tensor.shape.len() > 1 {
                    lr * adamw.weight_decay
                } else {
                    0.0
                };
                kernels::adamw(
                    &mut params[at.clone()],
                    &gradient[at.clone()],
                    &mut first[at.clone()],
                    &mut second[at],
                    scale,
                    lr,
                    adamw.beta1,
                    adamw.beta2,
                    adamw.eps,
                    c1,
                    c2,
                    decay,
                );
            }
        });
        self.pack();
        Ok(norm)
    }
}

/// How many of a row's tokens must be fed: those before its last target.
fn fed(row: &Row<'_>) -> usize {
    row.targets.last().map_or(0, |t| *t as usize)
}

/// Cut a batch into at most `most` shards of about equal size: longest rows first, each to the lightest shard.
fn cut(rows: &[Row<'_>], most: usize) -> Vec<Vec<usize>> {
    let total: usize = rows.iter().map(fed).sum();
    let n = total.div_ceil(SHARD_TOKENS).next_multiple_of(2).clamp(2, most);
    let mut order: Vec<usize> = (0..rows.len()).filter(|i| fed(&rows[*i]) > 0).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(fed(&rows[*i])), *i));
    let mut shards = vec![(0usize, Vec::new()); n];
    for row in order {
        if let Some((tokens, shard)) = shards.iter_mut().min_by_key(|(tokens, _)| *tokens) {
            *tokens += fed(&rows[row]);
            shard.push(row);
        }
    }
    shards
        .into_iter()
        .map(|(_, shard)| shard)
        .filter(|shard| !shard.is_empty())
        .collect()
}
