//! The loss of a batch and its derivatives (stage `objective`).

use serde::{Deserialize, Serialize};

use super::error::check;
use super::terms::{self, LOG_RATIO_BOUND};
use super::{Clip, KlEstimator, RowSums, StageError, Surrogate, TrainRow};

/// A KL term in the loss: + beta * agg(estimator).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kl {
    /// The estimator.
    pub estimator: KlEstimator,
    /// Its weight; 0 exactly with `none`.
    pub beta: f64,
}

/// How the losses X of tokens become one number. Only sampled tokens count; rows without any count nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregationMode {
    /// L1: sum of X / number of tokens (DAPO).
    #[default]
    TokenMean,
    /// L2: mean over rows of the sum of X.
    SeqMeanTokenSum,
    /// L3: mean over rows of the mean of X (GRPO as in its paper).
    SeqMeanTokenMean,
    /// L4: sum of X / `pad`, a constant length (Dr. GRPO). It grows with the number of rows.
    SumOverPad,
}

/// What the denominators of [`AggregationMode`] count over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The whole batch: the loss does not depend on how it is split.
    #[default]
    Global,
    /// Every micro-batch by itself, weighted by its share of the rows (verl under dynamic batches).
    Micro,
}

/// Aggregation of token losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aggregation {
    /// The mean.
    pub mode: AggregationMode,
    /// Its scope.
    pub scope: Scope,
    /// Length that `sum_over_pad` divides by: the bound on a response's tokens. 0 with any other mode.
    pub pad: u32,
}

/// The loss: agg(policy term) + beta * agg(KL) - entropy * agg(H). See [`Surrogate`], [`Clip`], [`Kl`], [`Aggregation`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// What the policy term is built on.
    pub surrogate: Surrogate,
    /// Its bounds.
    pub clip: Clip,
    /// The KL term.
    pub kl: Kl,
    /// Weight of the entropy bonus; 0 is off.
    pub entropy: f64,
    /// How token losses become one number.
    pub aggregation: Aggregation,
}

impl Objective {
    /// Checks ranges, and that no setting is given that another one would make idle.
    pub fn validate(&self) -> Result<(), StageError> {
        let Clip { low, high, dual } = self.clip;
        if self.surrogate == Surrogate::ClippedRatio {
            check(low > 0.0 && low <= 1.0, "objective.clip.low", low, "a number in (0, 1]")?;
            check(
                high > 0.0 && high.is_finite(),
                "objective.clip.high",
                high,
                "a number > 0",
            )?;
            let fits = dual == 0.0 || (dual > 1.0 && dual.is_finite());
            check(fits, "objective.clip.dual", dual, "0 (off) or a number > 1")?;
        } else {
            for (key, value) in [("low", low), ("high", high), ("dual", dual)] {
                let allowed = "0 unless objective.surrogate = \"clipped_ratio\"";
                check(value == 0.0, &format!("objective.clip.{key}"), value, allowed)?;
            }
        }
        let beta = self.kl.beta;
        if self.kl.estimator == KlEstimator::None {
            check(
                beta == 0.0,
                "objective.kl.beta",
                beta,
                "0 with objective.kl.estimator = \"none\"; name k1, abs, k2 or k3",
            )?;
        } else {
            check(
                beta > 0.0 && beta.is_finite(),
                "objective.kl.beta",
                beta,
                "a number > 0 with a KL estimator",
            )?;
        }
        check(
            (0.0..=10.0).contains(&self.entropy),
            "objective.entropy",
            self.entropy,
            "a number in [0, 10]",
        )?;
        let pad = self.aggregation.pad;
        if self.aggregation.mode == AggregationMode::SumOverPad {
            check(
                pad > 0,
                "objective.aggregation.pad",
                pad,
                "the bound on a response's tokens (> 0) with mode = \"sum_over_pad\"",
            )
        } else {
            check(
                pad == 0,
                "objective.aggregation.pad",
                pad,
                "0 unless objective.aggregation.mode = \"sum_over_pad\"",
            )
        }
    }
}

/// An [`Objective`] over the rows of one optimiser step, with its denominators counted.
///
/// Shared freely between threads: every row's loss is a function of that row alone.
#[derive(Clone, Debug)]
pub struct BatchObjective<'a> {
    settings: Objective,
    rows: &'a [TrainRow],
    weights: Vec<f64>,
}

/// The loss of one row with its derivatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowLoss {
    /// Its part of the batch's loss: the sum over rows is the loss.
    pub loss: f64,
    /// d loss / d l per token, aligned with the row's ids; 0 on tokens that were not sampled.
    pub dlogp: Vec<f32>,
    /// d loss / d H per token; empty if there is no entropy bonus.
    pub dentropy: Vec<f32>,
    /// Sums for the diagnostics.
    pub sums: RowSums,
}

/// One token's part of the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenLoss {
    /// r now over old, whatever the surrogate.
    pub ratio: f64,
    /// Whether a clip bound decided its policy term.
    pub clipped: bool,
    /// Value of the KL estimator.
    pub kl: f64,
    /// Aggregation weight: `loss` is this times the token's own loss X.
    pub weight: f64,
    /// Its part of the batch's loss.
    pub loss: f64,
    /// d loss / d l.
    pub dl: f64,
    /// d loss / d H.
    pub dentropy: f64,
}

impl<'a> BatchObjective<'a> {
    /// Counts the denominators over `rows`. `micro[i]` is the micro-batch of row i; empty means one micro-batch. Scope `global` ignores it.
    pub fn new(settings: &Objective, rows: &'a [TrainRow], micro: &[u32]) -> Result<Self, StageError> {
        settings.validate()?;
        if !micro.is_empty() && micro.len() != rows.len() {
            return Err(StageError::Micro {
                got: micro.len(),
                rows: rows.len(),
            });
        }
        for row in rows {
            row.check()?;
            if settings.kl.estimator != KlEstimator::None && row.row.logp_ref.is_none() {
                return Err(StageError::NoReference {
                    rollout: row.rollout.clone(),
                    row: row.index,
                });
            }
        }
        let weights = weights(&settings.aggregation, rows, micro);
        Ok(Self {
            settings: settings.clone(),
            rows,
            weights,
        })
    }

    /// The rows.
    pub fn rows(&self) -> &'a [TrainRow] {
        self.rows
    }

    /// The weight of each sampled token of row `i` in the loss; 0 for a row without any.
    pub fn weight(&self, i: usize) -> f64 {
        self.weights[i]
    }

    /// Whether [`row`](Self::row) needs the entropies of the tokens.
    pub fn needs_entropy(&self) -> bool {
        self.settings.entropy != 0.0
    }

    /// The part of sampled token `j` of row `i`, given its log-probability and entropy now.
    pub fn token(&self, i: usize, j: usize, l: f64, entropy: f64) -> TokenLoss {
        let TrainRow { row, advantage, .. } = &self.rows[i];
        let Objective {
            surrogate,
            clip,
            kl,
            entropy: bonus,
            ..
        } = &self.settings;
        let weight = self.weights[i];
        let l_old = f64::from(row.old()[j]);
        let (policy, clipped) = terms::policy(*surrogate, clip, advantage[j], l, l_old);
        let kl_term = row
            .logp_ref
            .as_ref()
            .map(|l_ref| terms::kl(kl.estimator, l, f64::from(l_ref[j])))
            .unwrap_or_default();
        TokenLoss {
            ratio: terms::ratio(l, l_old).0,
            clipped,
            kl: kl_term.value,
            weight,
            loss: weight * (policy.value + kl.beta * kl_term.value - bonus * entropy),
            dl: weight * (policy.dl + kl.beta * kl_term.dl),
            dentropy: -weight * bonus,
        }
    }

    /// Loss and derivatives of row `i`.
    ///
    /// `now`: log-probabilities of the row's tokens, aligned with its ids (read where sampled). `entropy`: entropies in nats, aligned
    /// likewise; may be empty if there is no entropy bonus. An error names the first token whose input, loss or derivative is not finite.
    pub fn row<T: Copy + Into<f64>>(&self, i: usize, now: &[T], entropy: &[T]) -> Result<RowLoss, StageError> {
        let TrainRow {
            rollout, index, row, ..
        } = &self.rows[i];
        let tokens = row.ids.len();
        for (what, got, optional) in [
            ("log-probs now", now.len(), false),
            ("entropies", entropy.len(), !self.needs_entropy()),
        ] {
            if got != tokens && !(optional && got == 0) {
                return Err(StageError::Length {
                    rollout: rollout.clone(),
                    row: *index,
                    what,
                    got,
                    tokens,
                });
            }
        }
        let mut out = RowLoss {
            dlogp: vec![0.0; tokens],
            dentropy: if self.needs_entropy() {
                vec![0.0; tokens]
            } else {
                Vec::new()
            },
            ..RowLoss::default()
        };
        for j in (0..tokens).filter(|&j| row.mask[j]) {
            let l: f64 = now[j].into();
            let h: f64 = entropy.get(j).map_or(0.0, |&h| h.into());
            let token = self.token(i, j, l, h);
            out.loss += token.loss;
            out.dlogp[j] = token.dl as f32;
            if let Some(d) = out.dentropy.get_mut(j) {
                *d = token.dentropy as f32;
            }
            for (what, value) in [
                ("the log-prob now", l),
                ("the entropy", h),
                ("the loss", token.loss),
                ("the gradient", f64::from(out.dlogp[j])),
            ] {
                if !value.is_finite() {
                    return Err(StageError::NonFinite {
                        rollout: rollout.clone(),
                        place: Some((*index, j)),
                        what,
                    });
                }
            }
            let log_ratio = (l - f64::from(row.old()[j])).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
            let error = (token.ratio - 1.0).abs();
            out.sums.tokens += 1;
            out.sums.clipped += usize::from(token.clipped);
            out.sums.ratio_error += error;
            out.sums.ratio_error_max = out.sums.ratio_error_max.max(error);
            out.sums.approx_kl += log_ratio.exp_m1() - log_ratio;
            out.sums.kl_ref += token.kl;
            out.sums.entropy += h;
        }
        Ok(out)
    }
}

/// The weight of each row's sampled tokens.
fn weights(aggregation: &Aggregation, rows: &[TrainRow], micro: &[u32]) -> Vec<f64> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.row.sampled()).collect();
    let part = |i: usize| match aggregation.scope {
        Scope::Global => 0,
        Scope::Micro => micro.get(i).copied().unwrap_or(0),
    };
    // Rows and tokens of each part, rows without sampled tokens left out.
    let mut counts = std::collections::BTreeMap::<u32, (f64, f64)>::new();
    for (i, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        let count = counts.entry(part(i)).or_default();
        *count = (count.0 + 1.0, count.1 + length as f64);
    }
    let all: f64 = counts.values().map(|(rows, _)| rows).sum();
    let weight = |i: usize| {
        let (rows, tokens) = counts[&part(i)];
        let inner = match aggregation.mode {
            AggregationMode::TokenMean => 1.0 / tokens,
            AggregationMode::SeqMeanTokenSum => 1.0 / rows,
            AggregationMode::SeqMeanTokenMean => 1.0 / (rows * lengths[i] as f64),
            AggregationMode::SumOverPad => 1.0 / f64::from(aggregation.pad),
        };
        inner * rows / all
    };
    (0..rows.len())
        .map(|i| if lengths[i] == 0 { 0.0 } else { weight(i) })
        .collect()
}
