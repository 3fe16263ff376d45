//! One reinforcement update: prepared rows to optimiser steps.

use crate::stages::{BatchObjective, Diagnostics, Method, Prepared, RowLoss, Spread, StageError, StepStats, TrainRow};
use hone_engine::{AdamW, LearnError, Learner, Loss, Row, RowGradient, RowScore};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The loss cannot be computed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The optimiser refused.
    #[error(transparent)]
    Learn(#[from] LearnError),
}

/// How an update is made.
#[derive(Clone, Copy, Debug)]
pub struct UpdateSettings {
    /// Optimiser steps: the groups are dealt to that many mini-batches.
    pub updates: u32,
    /// Temperature that the rollouts were sampled at.
    pub temperature: f32,
    /// Learning rate.
    pub lr: f64,
    /// Optimiser.
    pub adamw: AdamW,
}

/// What an update did.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The objective's figures.
    pub stats: StepStats,
    /// Mean gradient norm before clipping.
    pub norm: f64,
    /// Tokens fed to the learner.
    pub tokens: usize,
    /// Sampled tokens trained on.
    pub trained: usize,
}

/// Deal the rows' groups to mini-batches and take one optimiser step on each.
///
/// The old log-probabilities are those recorded at sampling: sampler and learner compute the same bits, so nothing is
/// scored twice.
///
/// # Errors
/// When a log-probability, loss or gradient is not finite.
pub fn update(
    learner: &mut Learner,
    method: &Method,
    prepared: Prepared,
    groups: &BTreeMap<String, u64>,
    settings: &UpdateSettings,
) -> Result<Update, UpdateError> {
    let spread = Spread::of(&prepared.rows);
    let mut order: BTreeMap<u64, Vec<TrainRow>> = BTreeMap::new();
    for row in prepared.rows {
        order
            .entry(groups.get(&row.rollout).copied().unwrap_or_default())
            .or_default()
            .push(row);
    }
    let mut batches: Vec<Vec<TrainRow>> = vec![Vec::new(); settings.updates.max(1) as usize];
    for (n, (_, rows)) in order.into_iter().enumerate() {
        let at = n % batches.len();
        batches[at].extend(rows);
    }
    let mut out = Update::default();
    let mut diagnostics = Diagnostics::default();
    let mut steps = 0;
    for batch in batches.iter().filter(|b| !b.is_empty()) {
        let objective = BatchObjective::new(&method.objective, batch, &[])?;
        let targets: Vec<Vec<u32>> = batch
            .iter()
            .map(|r| {
                r.row
                    .mask
                    .iter()
                    .enumerate()
                    .filter(|(at, m)| *at > 0 && **m)
                    .map(|(at, _)| at as u32)
                    .collect()
            })
            .collect();
        let rows: Vec<_> = batch
            .iter()
            .zip(&targets)
            .map(|(r, targets)| Row {
                ids: &r.row.ids,
                targets,
            })
            .collect();
        let loss = ObjectiveLoss {
            objective,
            targets: &targets,
            results: Mutex::new(BTreeMap::new()),
            error: Mutex::default(),
        };
        let pass = learner.pass(&rows, settings.temperature, &loss);
        let ObjectiveLoss { results, error, .. } = loss;
        if let Some(error) = error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        for row in results.into_inner().unwrap_or_else(PoisonError::into_inner).values() {
            diagnostics.add(row);
        }
        out.norm += learner.step(settings.lr as f32, &settings.adamw)?;
        out.tokens += pass.tokens;
        out.trained += targets.iter().map(Vec::len).sum::<usize>();
        steps += 1;
    }
    out.norm /= f64::from(steps.max(1));
    out.stats = diagnostics.finish(prepared.zero_variance_share, spread);
    Ok(out)
}

struct ObjectiveLoss<'a> {
    objective: BatchObjective<'a>,
    targets: &'a [Vec<u32>],
    results: Mutex<BTreeMap<usize, RowLoss>>,
    error: Mutex<Option<StageError>>,
}

impl Loss for ObjectiveLoss<'_> {
    fn row(&self, index: usize, score: &RowScore) -> RowGradient {
        let targets = &self.targets[index];
        let n = self.objective.rows()[index].row.ids.len();
        let spread = |values: &[f32]| {
            let mut full = vec![0f32; n];
            for (at, value) in targets.iter().zip(values) {
                full[*at as usize] = *value;
            }
            full
        };
        match self.objective.row(index, &spread(&score.logp), &spread(&score.entropy)) {
            Ok(row) => {
                let pick = |full: &[f32]| {
                    targets
                        .iter()
                        .filter_map(|at| full.get(*at as usize))
                        .copied()
                        .collect()
                };
                let gradient = RowGradient {
                    loss: row.loss,
                    dlogp: pick(&row.dlogp),
                    dentropy: pick(&row.dentropy),
                };
                self.results
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(index, row);
                gradient
            }
            Err(error) => {
                self.error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                RowGradient {
                    loss: 0.0,
                    dlogp: vec![0.0; targets.len()],
                    dentropy: Vec::new(),
                }
            }
        }
    }
}
