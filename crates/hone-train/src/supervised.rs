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

impl Example {
    /// The same, borrowed for the learner.
    pub fn row(&self) -> Row<'_> {
        Row {
            ids: &self.ids,
            targets: &self.targets,
        }
    }

    /// How many of its tokens the model is fed: those before the last that is learnt.
    pub fn fed(&self) -> usize {
        self.targets.last().map_or(0, |target| *target as usize)
    }
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
        if let Err(e) = self.adamw.validate() {
            return fail("adamw", e.got, &e.allowed);
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

/// A step that could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("training broke down at step {step} (the first is 0)")]
pub struct Breakdown {
    /// The step.
    pub step: u32,
    /// What is not finite, or does not fit.
    pub source: LearnError,
}

/// Run steps from `from` on. `rate` gives each step's learning rate, and `None` after the last; `next` gives the examples;
/// `report` sees every step and may end the training.
///
/// The loss is the mean over all learnt tokens of the batch.
///
/// # Errors
/// When an example is longer than the model's positions, or a loss, a gradient, or what the model gives after the last step
/// is not finite.
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
        let positions = learner.weights().config.max_position_embeddings;
        if let Some(tokens) = batch.iter().map(Example::fed).find(|tokens| *tokens > positions) {
            let source = LearnError::TooLong { tokens, positions };
            return Err(Breakdown { step, source });
        }
        let rows: Vec<_> = batch.iter().map(Example::row).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use hone_engine::{Config, Weights};
    use hone_trace::Stream;

    #[test]
    fn an_example_without_a_position_is_an_error() {
        let config: Config = serde_json::from_str(
            r#"{"vocab_size": 16, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1,
                "num_key_value_heads": 1, "head_dim": 32, "intermediate_size": 32, "rope_theta": 1e4,
                "rms_norm_eps": 1e-6, "max_position_embeddings": 8}"#,
        )
        .unwrap();
        let mut learner = Learner::new(Weights::random(config, &Stream::new(0)).unwrap(), 1);
        let settings: Supervised =
            serde_json::from_str(r#"{"steps": 2, "batch_tokens": 1, "lr": {"peak": 1e-3}}"#).unwrap();
        let mut train = |tokens: u32| {
            let example = Example {
                ids: vec![1; tokens as usize],
                targets: vec![tokens - 1],
            };
            supervised(
                &mut learner,
                &settings,
                0,
                |step| settings.rate(step),
                || example.clone(),
                |_, _| ControlFlow::Continue(()),
            )
        };
        train(9).unwrap();
        let error = train(10).unwrap_err();
        assert!(
            matches!(
                error.source,
                LearnError::TooLong {
                    tokens: 9,
                    positions: 8
                }
            ),
            "{error}"
        );
    }
}
