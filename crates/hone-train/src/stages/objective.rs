//! The loss of a batch and its derivatives (stage `objective`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::aggregation::weights;
use super::error::check;
use super::part::{Batch, Scores, Term};
use super::terms::{self, LOG_RATIO_BOUND};
use super::{
    Aggregation, AggregationMode, Channel, Clip, KlEstimator, Parts, RowSums, StageError, Surrogate, TrainRow,
};

/// A KL term in the loss: + beta * agg(estimator).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kl {
    /// The estimator.
    pub estimator: KlEstimator,
    /// Its weight; 0 exactly with `none`.
    pub beta: f64,
}

/// What a ratio compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Q1: every token by itself.
    #[default]
    Token,
    /// Q2: the whole row, as the geometric mean of its tokens' ratios; see [`terms::sequence_ratio`].
    Sequence,
}

/// The loss: agg(policy term) + beta * agg(KL) - entropy * agg(H). See [`Surrogate`], [`Clip`], [`Kl`], [`Aggregation`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// What the policy term is built on.
    pub surrogate: Surrogate,
    /// What its ratio compares.
    pub ratio: Level,
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
        let Clip {
            low,
            high,
            dual,
            keep_high,
            keep_low,
        } = self.clip;
        for (key, value) in [("keep_high", keep_high), ("keep_low", keep_low)] {
            check(
                (0.0..=1.0).contains(&value),
                &format!("objective.clip.{key}"),
                value,
                "a number in [0, 1]",
            )?;
        }
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
            for (key, value) in [
                ("low", low),
                ("high", high),
                ("dual", dual),
                ("keep_high", keep_high),
                ("keep_low", keep_low),
            ] {
                let allowed = "0 unless objective.surrogate = \"clipped_ratio\"";
                check(value == 0.0, &format!("objective.clip.{key}"), value, allowed)?;
            }
        }
        check(
            self.ratio == Level::Token || self.surrogate != Surrogate::LogProb,
            "objective.ratio",
            "sequence",
            "token with objective.surrogate = \"log_prob\", which knows no ratio",
        )?;
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

/// The objectives over the rows of one optimiser step, with their denominators counted.
///
/// Shared freely between threads: every row's loss is a function of that row alone, once [`observe`](Self::observe) told what parts ask of the
/// whole batch.
#[derive(Clone, Debug)]
pub struct BatchObjective<'a> {
    channels: Cow<'a, [Channel]>,
    parts: Parts,
    rows: &'a [TrainRow],
    micro: Vec<u32>,
    step: u64,
    weights: Vec<Vec<f64>>,
    /// What parts changed, if there are any that change something.
    terms: Option<Vec<Vec<Term>>>,
    observed: bool,
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
    /// The advantage after all parts.
    pub advantage: f64,
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
    /// One objective over `rows`, without further parts. `micro[i]` is the micro-batch of row i; empty means one micro-batch. Scope `global`
    /// ignores it.
    pub fn new(settings: &Objective, rows: &'a [TrainRow], micro: &[u32]) -> Result<Self, StageError> {
        let channels = vec![Channel::main(settings.clone())];
        Self::build(Cow::Owned(channels), &Parts::default(), rows, micro, 0)
    }

    /// The objectives of all channels over `rows`, with what `parts` change at step `step` of the training.
    pub fn of(
        channels: &'a [Channel],
        parts: &Parts,
        rows: &'a [TrainRow],
        micro: &[u32],
        step: u64,
    ) -> Result<Self, StageError> {
        Self::build(Cow::Borrowed(channels), parts, rows, micro, step)
    }

    fn build(
        channels: Cow<'a, [Channel]>,
        parts: &Parts,
        rows: &'a [TrainRow],
        micro: &[u32],
        step: u64,
    ) -> Result<Self, StageError> {
        if !micro.is_empty() && micro.len() != rows.len() {
            return Err(StageError::Micro {
                got: micro.len(),
                rows: rows.len(),
            });
        }
        for channel in channels.iter() {
            channel.objective.validate()?;
        }
        for row in rows {
            row.check()?;
            let channel = channels.get(row.channel as usize).ok_or_else(|| StageError::Channel {
                rollout: row.rollout.clone(),
                channel: row.channel,
            })?;
            if channel.objective.kl.estimator != KlEstimator::None && row.row.logp_ref.is_none() {
                return Err(StageError::NoReference {
                    rollout: row.rollout.clone(),
                    row: row.index,
                });
            }
        }
        let mut each = vec![Vec::new(); rows.len()];
        for (number, channel) in channels.iter().enumerate() {
            let own: Vec<usize> = (0..rows.len())
                .filter(|&i| rows[i].channel as usize == number)
                .collect();
            let its: Vec<&TrainRow> = own.iter().map(|&i| &rows[i]).collect();
            let its_micro: Vec<u32> = own.iter().filter_map(|&i| micro.get(i).copied()).collect();
            let all = weights(&channel.objective.aggregation, &its, &its_micro);
            for (i, mut weights) in own.into_iter().zip(all) {
                if channel.weight != 1.0 {
                    weights.iter_mut().for_each(|w| *w *= channel.weight);
                }
                each[i] = weights;
            }
        }
        let mut out = Self {
            channels,
            parts: parts.clone(),
            rows,
            micro: if micro.is_empty() {
                vec![0; rows.len()]
            } else {
                micro.to_vec()
            },
            step,
            weights: each,
            terms: None,
            observed: !parts.need_scores(),
        };
        if out.observed {
            out.collect_terms(None)?;
        }
        Ok(out)
    }

    /// The rows.
    pub fn rows(&self) -> &'a [TrainRow] {
        self.rows
    }

    /// The weight of token `j` of row `i` in the loss; 0 if it was not sampled.
    pub fn weight(&self, i: usize, j: usize) -> f64 {
        self.weights[i][j]
    }

    /// Whether [`row`](Self::row) needs the entropies of the tokens.
    pub fn needs_entropy(&self) -> bool {
        self.channels.iter().any(|channel| channel.objective.entropy != 0.0) || self.parts.need_entropy()
    }

    /// Whether [`observe`](Self::observe) must come before [`row`](Self::row).
    pub fn needs_observation(&self) -> bool {
        !self.observed
    }

    /// Tells the parts what all tokens' log-probabilities and entropies are now, each row's aligned with its ids.
    pub fn observe(&mut self, logp: &[Vec<f64>], entropy: &[Vec<f64>]) -> Result<(), StageError> {
        let (rows, got) = (self.rows.len(), logp.len().min(entropy.len()));
        if logp.len() != entropy.len() || got != rows {
            return Err(StageError::Rows { got, rows });
        }
        for (row, (l, h)) in self.rows.iter().zip(logp.iter().zip(entropy)) {
            let tokens = row.row.ids.len();
            for (what, values) in [("log-probs now", l), ("entropies", h)] {
                if values.len() != tokens && !(what == "entropies" && values.is_empty() && !self.parts.need_entropy()) {
                    return Err(StageError::Length {
                        rollout: row.rollout.clone(),
                        row: row.index,
                        what,
                        got: values.len(),
                        tokens,
                    });
                }
            }
        }
        self.collect_terms(Some(Scores { logp, entropy }))?;
        self.observed = true;
        Ok(())
    }

    fn collect_terms(&mut self, now: Option<Scores<'_>>) -> Result<(), StageError> {
        if !self.parts.change_terms() {
            return Ok(());
        }
        let mut terms: Vec<Vec<Term>> = self
            .rows
            .iter()
            .map(|row| {
                let clip = self.channels[row.channel as usize].objective.clip;
                row.advantage
                    .iter()
                    .map(|&advantage| Term::new(advantage, clip))
                    .collect()
            })
            .collect();
        let batch = Batch {
            rows: self.rows,
            micro: &self.micro,
            channels: &self.channels,
            step: self.step,
            now,
        };
        for part in self.parts.iter() {
            part.terms(&batch, &mut terms)?;
        }
        self.terms = Some(terms);
        Ok(())
    }

    /// The ratio of row `i`, if its channel compares whole sequences.
    fn sequence(&self, i: usize, now: impl Fn(usize) -> f64) -> Option<(f64, bool)> {
        let TrainRow { row, channel, .. } = &self.rows[i];
        let objective = &self.channels[*channel as usize].objective;
        let old = row.old();
        (objective.ratio == Level::Sequence).then(|| {
            let sampled = (0..row.ids.len()).filter(|&j| row.mask[j]);
            terms::sequence_ratio(sampled.map(|j| now(j) - f64::from(old[j])))
        })
    }

    fn token(&self, i: usize, j: usize, l: f64, entropy: f64, sequence: Option<(f64, bool)>) -> TokenLoss {
        let TrainRow {
            row,
            advantage,
            channel,
            ..
        } = &self.rows[i];
        let Objective {
            surrogate,
            clip,
            kl,
            entropy: bonus,
            ..
        } = &self.channels[*channel as usize].objective;
        let weight = self.weights[i][j];
        let l_old = f64::from(row.old()[j]);
        let ratio = sequence.unwrap_or_else(|| terms::ratio(l, l_old));
        let term = match &self.terms {
            Some(terms) => terms[i][j],
            None => Term::new(advantage[j], *clip),
        };
        let (mut policy, clipped) = match term.own {
            Some(slope) => (slope, false),
            None => terms::policy(*surrogate, &term.clip, term.advantage, l, ratio),
        };
        if term.factor != 1.0 {
            policy.value *= term.factor;
            policy.dl *= term.factor;
        }
        if term.pull != 0.0 {
            policy.value += term.pull * (l - l_old).abs();
            policy.dl += term.pull * if l == l_old { 0.0 } else { (l - l_old).signum() };
        }
        let kl_term = row
            .logp_ref
            .as_ref()
            .map(|l_ref| terms::kl(kl.estimator, l, f64::from(l_ref[j])))
            .unwrap_or_default();
        TokenLoss {
            advantage: term.advantage,
            ratio: ratio.0,
            clipped,
            kl: kl_term.value,
            weight,
            loss: weight * (policy.value + kl.beta * kl_term.value - bonus * entropy),
            dl: weight * (policy.dl + kl.beta * kl_term.dl),
            dentropy: -weight * bonus,
        }
    }

    /// The sampled tokens of row `i` with their places, from the log-probabilities and entropies as [`row`](Self::row) takes them.
    ///
    /// An error names the first token whose input, loss or derivative is not finite.
    pub fn tokens<T: Copy + Into<f64>>(
        &self,
        i: usize,
        now: &[T],
        entropy: &[T],
    ) -> Result<Vec<(usize, TokenLoss)>, StageError> {
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
        if !self.observed {
            return Err(StageError::Unobserved {
                part: self.parts.scored().to_owned(),
            });
        }
        let sequence = self.sequence(i, |j| now[j].into());
        let mut out = Vec::with_capacity(row.sampled());
        for j in (0..tokens).filter(|&j| row.mask[j]) {
            let l: f64 = now[j].into();
            let h: f64 = entropy.get(j).map_or(0.0, |&h| h.into());
            let token = self.token(i, j, l, h, sequence);
            for (what, value) in [
                ("the log-prob now", l),
                ("the entropy", h),
                ("the loss", token.loss),
                ("the gradient", f64::from(token.dl as f32)),
            ] {
                if !value.is_finite() {
                    return Err(StageError::NonFinite {
                        rollout: rollout.clone(),
                        place: Some((*index, j)),
                        what,
                    });
                }
            }
            out.push((j, token));
        }
        Ok(out)
    }

    /// Loss and derivatives of row `i`.
    ///
    /// `now`: log-probabilities of the row's tokens, aligned with its ids (read where sampled). `entropy`: entropies in nats, aligned
    /// likewise; may be empty if nothing needs them.
    ///
    /// # Errors
    /// As of [`tokens`](Self::tokens).
    pub fn row<T: Copy + Into<f64>>(&self, i: usize, now: &[T], entropy: &[T]) -> Result<RowLoss, StageError> {
        let TrainRow { row, channel, .. } = &self.rows[i];
        let bonus = self.channels[*channel as usize].objective.entropy != 0.0;
        let tokens = row.ids.len();
        let mut out = RowLoss {
            dlogp: vec![0.0; tokens],
            dentropy: if bonus { vec![0.0; tokens] } else { Vec::new() },
            ..RowLoss::default()
        };
        for (j, token) in self.tokens(i, now, entropy)? {
            let l: f64 = now[j].into();
            out.loss += token.loss;
            out.dlogp[j] = token.dl as f32;
            if let Some(d) = out.dentropy.get_mut(j) {
                *d = token.dentropy as f32;
            }
            let log_ratio = (l - f64::from(row.old()[j])).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
            let error = (token.ratio - 1.0).abs();
            out.sums.tokens += 1;
            out.sums.clipped += usize::from(token.clipped);
            out.sums.ratio_error += error;
            out.sums.ratio_error_max = out.sums.ratio_error_max.max(error);
            out.sums.approx_kl += log_ratio.exp_m1() - log_ratio;
            out.sums.kl_ref += token.kl;
            out.sums.entropy += entropy.get(j).map_or(0.0, |&h| h.into());
        }
        Ok(out)
    }
}
