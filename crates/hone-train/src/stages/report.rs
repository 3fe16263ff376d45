//! What a step leaves behind: which stage kept and dropped what, and the figures of the update.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RowLoss, TrainRow};

/// Something that a stage left out, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Id of the rollout; a row is `rollout#row`.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// What a stage did. `kept + dropped.len()` is the number of things it was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// `select`, `reward`, `filter`, `advantage`, `rows`, `later` or `objective`.
    pub stage: String,
    /// The part of the method that did it, if it is not the stage's own table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// How many rollouts (from `rows` on: rows) go on.
    pub kept: usize,
    /// What does not.
    pub dropped: Vec<Dropped>,
    /// The stage's own figures.
    pub values: Value,
}

impl StageReport {
    /// A report.
    pub fn new(stage: &str, kept: usize, dropped: Vec<Dropped>, values: Value) -> Self {
        Self {
            stage: stage.into(),
            part: None,
            kept,
            dropped,
            values,
        }
    }

    /// A report of a part.
    pub fn of(stage: &str, part: &str, kept: usize, dropped: Vec<Dropped>, values: Value) -> Self {
        Self {
            part: Some(part.into()),
            ..Self::new(stage, kept, dropped, values)
        }
    }
}

/// Mean, spread and range of the advantages over sampled tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation (population).
    pub std: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Share of tokens with an advantage other than 0.
    pub nonzero: f64,
}

impl Spread {
    /// Of the advantages on the sampled tokens of `rows`; all 0 if there are none.
    pub fn of(rows: &[TrainRow]) -> Self {
        let values = || {
            rows.iter().flat_map(|row| {
                row.advantage
                    .iter()
                    .zip(&row.row.mask)
                    .filter(|(_, m)| **m)
                    .map(|(a, _)| *a)
            })
        };
        let n = values().count() as f64;
        if n == 0.0 {
            return Self::default();
        }
        let mean = values().sum::<f64>() / n;
        Self {
            mean,
            std: (values().map(|a| (a - mean).powi(2)).sum::<f64>() / n).sqrt(),
            min: values().fold(f64::INFINITY, f64::min),
            max: values().fold(f64::NEG_INFINITY, f64::max),
            nonzero: values().filter(|a| *a != 0.0).count() as f64 / n,
        }
    }
}

/// Figures of an update, gathered from its rows.
///
/// Add the rows in their order, whatever thread computed them: then the sums do not depend on the threads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Diagnostics {
    sum: RowSums,
    rows: usize,
    loss: f64,
}

/// Sums over the sampled tokens of a row (or of rows).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowSums {
    /// Sampled tokens.
    pub tokens: usize,
    /// Tokens whose ratio was clipped (C1 to C3).
    pub clipped: usize,
    /// Sum of |r - 1|.
    pub ratio_error: f64,
    /// Largest |r - 1|.
    pub ratio_error_max: f64,
    /// Sum of k3 of old to new policy: (r - 1) - ln r, an estimate of KL(old || new) on tokens that the old one sampled.
    pub approx_kl: f64,
    /// Sum of the KL term against the reference model (0 without one).
    pub kl_ref: f64,
    /// Sum of the entropies given (0 if none were).
    pub entropy: f64,
}

/// The figures of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepStats {
    /// Rows.
    pub rows: usize,
    /// Sampled tokens in them.
    pub tokens: usize,
    /// Loss of the batch.
    pub loss: f64,
    /// Share of groups whose rewards were all the same, of those that the filter stage saw.
    pub zero_variance_share: f64,
    /// Mean of |r - 1|.
    pub ratio_error: f64,
    /// Largest |r - 1|.
    pub ratio_error_max: f64,
    /// Share of tokens whose ratio was clipped.
    pub clip_fraction: f64,
    /// Mean of (r - 1) - ln r: how far this update's policy is from the old one.
    pub approx_kl: f64,
    /// Mean KL term against the reference model.
    pub kl_ref: f64,
    /// Mean entropy in nats.
    pub entropy: f64,
    /// Advantages on the sampled tokens.
    pub advantage: Spread,
}

impl Diagnostics {
    /// Adds a row.
    pub fn add(&mut self, row: &RowLoss) {
        let (a, b) = (&mut self.sum, &row.sums);
        a.tokens += b.tokens;
        a.clipped += b.clipped;
        a.ratio_error += b.ratio_error;
        a.ratio_error_max = a.ratio_error_max.max(b.ratio_error_max);
        a.approx_kl += b.approx_kl;
        a.kl_ref += b.kl_ref;
        a.entropy += b.entropy;
        self.rows += 1;
        self.loss += row.loss;
    }

    /// The figures; means over sampled tokens.
    pub fn finish(&self, zero_variance_share: f64, advantage: Spread) -> StepStats {
        let sum = &self.sum;
        let n = sum.tokens.max(1) as f64;
        StepStats {
            rows: self.rows,
            tokens: sum.tokens,
            loss: self.loss,
            zero_variance_share,
            ratio_error: sum.ratio_error / n,
            ratio_error_max: sum.ratio_error_max,
            clip_fraction: sum.clipped as f64 / n,
            approx_kl: sum.approx_kl / n,
            kl_ref: sum.kl_ref / n,
            entropy: sum.entropy / n,
            advantage,
        }
    }
}
