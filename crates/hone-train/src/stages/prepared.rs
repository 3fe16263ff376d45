//! What the stages hand to the objective: rows with advantages, and the channels of the loss.

use serde::{Deserialize, Serialize};

use super::{Later, Objective, Row, StageError, StageReport};

/// A row with an advantage per token, ready for the objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRow {
    /// Id of its rollout.
    pub rollout: String,
    /// Its rollout's group.
    pub group: u64,
    /// Its number among the rollout's rows.
    pub index: u32,
    /// The tokens.
    pub row: Row,
    /// Advantage per token, aligned with the row's ids; 0 where not sampled.
    pub advantage: Vec<f64>,
    /// The channel of the loss that it belongs to.
    pub channel: u32,
}

impl TrainRow {
    /// `rollout#row`.
    pub fn id(&self) -> String {
        format!("{}#{}", self.rollout, self.index)
    }

    /// Checks that all arrays fit and are finite.
    pub fn check(&self) -> Result<(), StageError> {
        self.row.check(&self.rollout, self.index)?;
        let (got, tokens) = (self.advantage.len(), self.row.ids.len());
        if got != tokens {
            return Err(StageError::Length {
                rollout: self.rollout.clone(),
                row: self.index,
                what: "advantages",
                got,
                tokens,
            });
        }
        match self.advantage.iter().position(|a| !a.is_finite()) {
            None => Ok(()),
            Some(token) => {
                let place = Some((self.index, token));
                Err(StageError::NonFinite {
                    rollout: self.rollout.clone(),
                    place,
                    what: "the advantage",
                })
            }
        }
    }
}

/// A part of the loss with an objective and denominators of its own: loss = sum over channels of weight * loss of the channel's rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Name.
    pub name: String,
    /// Weight in the loss.
    pub weight: f64,
    /// How its rows become a loss.
    pub objective: Objective,
}

impl Channel {
    /// The method's own.
    pub fn main(objective: Objective) -> Self {
        Self {
            name: "main".into(),
            weight: 1.0,
            objective,
        }
    }
}

/// Rows ready for the objective, and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The rows. Log-probabilities of the trainer and of the reference model may still be filled in.
    pub rows: Vec<TrainRow>,
    /// The channels that they name.
    pub channels: Vec<Channel>,
    /// Rows of earlier steps, each for an optimiser step of its own after those of `rows`.
    pub later: Vec<Later>,
    /// Reports of the stages, in order: `select`, `reward`, `filter`, `advantage`, `rows`, each followed by those of its parts, then `later`.
    pub reports: Vec<StageReport>,
    /// Share of groups without variance, of those that the filter saw.
    pub zero_variance_share: f64,
    /// Step of the training.
    pub step: u64,
}
