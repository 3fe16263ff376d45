//! Supervised training: cross-entropy on given tokens. Pre-training of the nano base and the cold start both are this.

use crate::stages::{Schedule, StageError};
use hone_engine::{AdamW, CrossEntropy, LearnError, Learner, Row};
use hone_trace::TokenId;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// A sequence and which of its tokens to learn.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Token ids.
    pub ids: Vec<TokenId>,
    /// Positions to predict, ascending, never 0.
    pub targets: Vec<u32>,
}

/// Settings of supervised training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervised {
    /// Optimiser steps.
    pub steps: u32,
    /// Tokens fed per step, at least: examples are drawn until they reach it.
    pub batch_tokens: usize,
    /// Learning rate.
    pub lr: Schedule,
    /// Optimiser.
    #[serde(default)]
    pub adamw: AdamW,
}

impl Supervised {
    /// The learning rate of a step; `None` after the last.
    pub fn rate(&self, step: u32) -> Option<f64> {
        (step < self.steps).then(|| self.lr.at(step, self.steps))
    }

    /// Check the settings; `key` is the name of the table that holds them.
    ///
    /// # Errors
    /// Names the key and what is allowed.
    pub fn validate(&self, key: &str) -> Result<(), StageError> {
        self.lr.validate(&format!("{key}.lr"))?;
        let fail = |name: &str, value: String, allowed: &str| {
            Err(StageError::Setting {
                key: format!("{key}.{name}"),
                got: value,
                allowed: allowed.to_owned(),
            })
        };
        if self.steps == 0 {
            return fail("steps", "0".into(), "a whole number >= 1");
        }
        if self.batch_tokens == 0 || self.batch_tokens > 1 << 20 {
            return fail("batch_tokens", self.batch_tokens.to_string(), "between 1 and 1048576");
        }
        Ok(())
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub struct SupervisedStep {
    /// Number of the step, from 0.
    pub step: u32,
    /// Mean negative log-likelihood in nats per learnt token.
    pub loss: f64,
    /// Learnt tokens.
    pub targets: usize,
    /// Tokens fed.
    pub tokens: usize,
    /// Gradient norm before clipping.
    pub norm: f64,
    /// Learning rate.
    pub lr: f64,
}

/// Training that gave a number which is not finite.
#[derive(Debug, thiserror::Error)]
#[error("training broke down at step {step} (the first is 0)")]
pub struct Breakdown {
    /// The step.
    pub step: u32,
    /// What is not finite.
    pub source: LearnError,
}

/// Run steps from `from` on. `rate` gives each step's learning rate, and `None` after the last; `next` gives the examples;
/// `report` sees every step and may end the training.
///
/// The loss is the mean over all learnt tokens of the batch.
///
/// # Errors
/// When a loss, a gradient, or what the model gives after the last step is not finite.
pub fn supervised(
    learner: &mut Learner,
    settings: &Supervised,
    from: u32,
    mut rate: impl FnMut(u32) -> Option<f64>,
    mut next: impl FnMut() -> Example,
    mut report: impl FnMut(&mut Learner, &SupervisedStep) -> ControlFlow<()>,
) -> Result<(), Breakdown> {
    let mut last = None;
    for step in from.. {
        let Some(lr) = rate(step) else { break };
        let mut batch = Vec::new();
        let mut drawn = 0;
        while drawn < settings.batch_tokens {
            let example = next();
            drawn += example.ids.len().max(1);
            batch.push(example);
        }
        let rows: Vec<_> = batch
            .iter()
            .map(|e| Row {
                ids: &e.ids,
                targets: &e.targets,
            })
            .collect();
        let targets: usize = rows.iter().map(|r| r.targets.len()).sum();
        let weights = vec![1.0 / targets.max(1) as f32; rows.len()];
        let pass = learner.pass(&rows, 1.0, &CrossEntropy { weights: &weights });
        let stepped = if pass.loss.is_finite() {
            learner.step(lr as f32, &settings.adamw)
        } else {
            Err(LearnError::NotFinite("loss", learner.steps()))
        };
        let norm = stepped.map_err(|source| Breakdown { step, source })?;
        let done = SupervisedStep {
            step,
            loss: pass.loss,
            targets,
            tokens: pass.tokens,
            norm,
            lr,
        };
        if report(learner, &done).is_break() {
            return Ok(());
        }
        last = batch.into_iter().next().map(|example| (step, example));
    }
    match last {
        Some((step, example)) => {
            usable(learner, &example.ids, &example.targets).map_err(|source| Breakdown { step, source })
        }
        None => Ok(()),
    }
}

/// Check that the model still gives numbers: a step's gradient says nothing about the weights that the step leaves.
///
/// # Errors
/// When a log-probability is not finite.
pub(crate) fn usable(learner: &mut Learner, ids: &[TokenId], targets: &[u32]) -> Result<(), LearnError> {
    let scores = learner.score(&[Row { ids, targets }], 1.0);
    if scores.iter().flat_map(|s| &s.logp).all(|l| l.is_finite()) {
        Ok(())
    } else {
        Err(LearnError::NotFinite("log-probability", learner.steps()))
    }
}
