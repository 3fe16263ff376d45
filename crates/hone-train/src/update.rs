//! One reinforcement update: prepared rows to optimiser steps.

use crate::stages::{
    self, BatchObjective, Diagnostics, Method, Prepared, RowLoss, Spread, StageError, StageReport, StepStats, TrainRow,
};
use crate::supervised::usable;
use hone_engine::{AdamW, LearnError, Learner, Loss, Row, RowGradient, RowScore};
use serde::{Deserialize, Serialize};
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
    /// Rollouts of a micro-batch; without, a mini-batch is one. Makes a difference to what counts by the micro-batch
    /// (`objective.aggregation.scope`, and parts that say so); memory is bounded without it.
    pub micro_batch: Option<u32>,
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
    /// What the trainer saw of each row.
    pub seen: Vec<Seen>,
    /// What each stage before kept and dropped, and why.
    pub reports: Vec<StageReport>,
}

/// A row as the trainer saw it, just before the optimiser step that it took part in. With the rollouts' own record, this
/// gives every token's ratio, weight and loss again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Id of its rollout.
    pub rollout: String,
    /// Its number among the rollout's rows.
    pub row: u32,
    /// Number of the optimiser step within the update.
    pub update: u32,
    /// Number of the micro-batch within that step.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub micro: u32,
    /// Log-probabilities of the sampled tokens then, in order, in nats.
    pub logp: Vec<f32>,
    /// Entropies there, in nats; empty if the objective does not need them.
    pub entropy: Vec<f32>,
    /// Log-probabilities by the reference model, in nats; empty if the method does not need them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<f32>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// The micro-batch of each row: as many rollouts to each, in the order in which they come.
fn micro_batches(rows: &[TrainRow], most: Option<u32>) -> Vec<u32> {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    rows.iter()
        .map(|row| {
            let next = seen.len() as u32;
            let place = *seen.entry(row.rollout.as_str()).or_insert(next);
            most.map_or(0, |most| place / most.max(1))
        })
        .collect()
}

/// Values of a row's targets in their places among all its tokens, 0 elsewhere.
fn spread(n: usize, targets: &[u32], values: &[f32]) -> Vec<f32> {
    let mut full = vec![0f32; n];
    for (at, value) in targets.iter().zip(values) {
        full[*at as usize] = *value;
    }
    full
}

/// Give every row without them the log-probabilities that the reference model has for it.
pub fn refer<'a>(reference: &mut Learner, rows: impl Iterator<Item = &'a mut stages::Row>, temperature: f32) {
    let mut rows: Vec<_> = rows.filter(|row| row.logp_ref.is_none()).collect();
    let targets: Vec<_> = rows.iter().map(|row| targets(row)).collect();
    let inputs: Vec<_> = rows
        .iter()
        .zip(&targets)
        .map(|(row, targets)| Row { ids: &row.ids, targets })
        .collect();
    let scores = reference.score(&inputs, temperature);
    for ((row, targets), score) in rows.iter_mut().zip(&targets).zip(scores) {
        row.logp_ref = Some(spread(row.ids.len(), targets, &score.logp));
    }
}

/// Positions of the tokens that are learnt.
fn targets(row: &stages::Row) -> Vec<u32> {
    let mask = row.mask.iter().enumerate();
    mask.filter(|(at, m)| *at > 0 && **m).map(|(at, _)| at as u32).collect()
}

/// Deal the rows' groups to mini-batches and take one optimiser step on each, then one on each batch of earlier rows.
///
/// The old log-probabilities are those recorded at sampling: sampler and learner compute the same bits, so nothing is
/// scored twice, unless a part of the method asks for the whole batch before its loss. A KL term is towards `reference`, which scores the rows
/// first.
///
/// # Errors
/// When a log-probability, loss or gradient is not finite, or what the model gives after the last step.
pub fn update(
    learner: &mut Learner,
    reference: Option<&mut Learner>,
    method: &Method,
    mut prepared: Prepared,
    settings: &UpdateSettings,
) -> Result<Update, UpdateError> {
    if let Some(reference) = reference.filter(|_| method.needs_reference()) {
        refer(
            reference,
            prepared.rows.iter_mut().map(|row| &mut row.row),
            settings.temperature,
        );
    }
    let widths = Spread::of(&prepared.rows);
    let mut order: BTreeMap<u64, Vec<TrainRow>> = BTreeMap::new();
    for row in prepared.rows {
        order.entry(row.group).or_default().push(row);
    }
    let mut batches: Vec<Vec<TrainRow>> = vec![Vec::new(); settings.updates.max(1) as usize];
    for (n, (_, rows)) in order.into_iter().enumerate() {
        let at = n % batches.len();
        batches[at].extend(rows);
    }
    let mut out = Update {
        reports: prepared.reports,
        ..Update::default()
    };
    let mut diagnostics = Diagnostics::default();
    let mut steps = 0;
    let mut checked = None;
    let now = batches.iter().map(|rows| (&prepared.channels, rows, true));
    // What is learnt again after that stands in no figure of this step's rollouts.
    let later = prepared.later.iter().map(|it| (&it.channels, &it.rows, false));
    let silent = |channels: &[stages::Channel]| channels.iter().all(|channel| channel.weight == 0.0);
    for (channels, batch, fresh) in now.chain(later) {
        if batch.is_empty() || silent(channels) {
            continue;
        }
        let micro = micro_batches(batch, settings.micro_batch);
        let mut objective = BatchObjective::of(channels, &method.parts, batch, &micro, prepared.step)?;
        let targets: Vec<Vec<u32>> = batch.iter().map(|r| targets(&r.row)).collect();
        let rows: Vec<_> = batch
            .iter()
            .zip(&targets)
            .map(|(r, targets)| Row {
                ids: &r.row.ids,
                targets,
            })
            .collect();
        if objective.needs_observation() {
            let full = |row: &TrainRow, targets: &[u32], values: &[f32]| -> Vec<f64> {
                spread(row.row.ids.len(), targets, values)
                    .into_iter()
                    .map(f64::from)
                    .collect()
            };
            let scores = learner.score(&rows, settings.temperature);
            let each = batch.iter().zip(&targets).zip(&scores);
            let (logp, entropy): (Vec<_>, Vec<_>) = each
                .map(|((row, at), score)| (full(row, at, &score.logp), full(row, at, &score.entropy)))
                .unzip();
            objective.observe(&logp, &entropy)?;
        }
        let loss = ObjectiveLoss {
            objective,
            targets: &targets,
            results: Mutex::new(BTreeMap::new()),
            error: Mutex::default(),
        };
        let pass = learner.pass(&rows, settings.temperature, &loss);
        let ObjectiveLoss {
            results,
            error,
            objective,
            ..
        } = loss;
        if let Some(error) = error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.values().filter(|_| fresh).for_each(|row| diagnostics.add(row));
        let scored = batch.iter().zip(&targets).zip(&pass.scores);
        for (((row, targets), score), micro) in scored.zip(micro).filter(|_| fresh) {
            let reference = row.row.logp_ref.as_ref();
            out.seen.push(Seen {
                rollout: row.rollout.clone(),
                row: row.index,
                update: steps,
                micro,
                logp: score.logp.clone(),
                entropy: if objective.needs_entropy() {
                    score.entropy.clone()
                } else {
                    Vec::new()
                },
                reference: reference.map_or_else(Vec::new, |all| targets.iter().map(|at| all[*at as usize]).collect()),
            });
        }
        out.norm += learner.step(settings.lr as f32, &settings.adamw)?;
        out.tokens += pass.tokens;
        out.trained += targets.iter().map(Vec::len).sum::<usize>();
        steps += 1;
        checked = batch.first().map(|r| r.row.ids.clone()).zip(targets.into_iter().next());
    }
    if let Some((row, targets)) = checked {
        usable(learner, &row, &targets)?;
    }
    out.norm /= f64::from(steps.max(1));
    out.stats = diagnostics.finish(prepared.zero_variance_share, widths);
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
        let spread = |values: &[f32]| spread(n, targets, values);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::{self, Rollout};
    use hone_engine::{Architecture, Config, Weights};
    use hone_trace::Stream;

    fn tiny(seed: u64) -> Learner {
        let config = Config {
            vocab_size: 11,
            hidden_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 4,
            intermediate_size: 12,
            rope_theta: 1e4,
            rms_norm_eps: 1e-6,
            max_position_embeddings: 16,
            model_type: Architecture::Qwen2,
            tie_word_embeddings: true,
            rope_scaling: None,
        };
        Learner::new(Weights::random(config, &Stream::new(seed)).unwrap(), 1)
    }

    const LAST: [u32; 1] = [2];

    /// Two rollouts that `learner` sampled, of which the second is the better one.
    fn rollouts(learner: &mut Learner) -> Vec<Rollout> {
        let ids = |last| vec![1, 2, last];
        let mut rollout = |id: &str, reward, last| {
            let row = Row {
                ids: &ids(last),
                targets: &LAST,
            };
            let logp = learner.score(&[row], 1.0)[0].logp[0];
            Rollout {
                id: id.into(),
                reward,
                turns: 1,
                rows: vec![stages::Row {
                    ids: ids(last),
                    mask: vec![false, false, true],
                    logp_sampler: vec![0.0, 0.0, logp],
                    ..stages::Row::default()
                }],
                ..Rollout::default()
            }
        };
        vec![rollout("a", 0.0, 3), rollout("b", 1.0, 4)]
    }

    fn how(lr: f64) -> UpdateSettings {
        UpdateSettings {
            updates: 1,
            micro_batch: None,
            temperature: 1.0,
            lr,
            adamw: AdamW::default(),
        }
    }

    #[test]
    fn a_kl_term_is_towards_the_reference() {
        let (mut learner, mut reference) = (tiny(1), tiny(1));
        let rollouts = rollouts(&mut learner);
        let kl = serde_json::json!({"objective": {"kl": {"estimator": "k3", "beta": 0.5}}});
        let [plain, method] = [serde_json::json!({}), kl].map(|it| Method::resolve("grpo", &it).unwrap());
        let prepared = plain.prepare(rollouts.clone()).unwrap();
        update(&mut reference, None, &plain, prepared, &how(0.01)).unwrap();
        let mut take = |method: &Method, reference: Option<&mut Learner>| {
            let prepared = method.prepare(rollouts.clone()).unwrap();
            // Nothing moves at a learning rate of nearly 0.
            update(&mut learner, reference, method, prepared, &how(1e-30))
        };
        assert!(take(&method, None).is_err());
        let plain = take(&plain, Some(&mut reference)).unwrap();
        assert!(plain.seen.iter().all(|seen| seen.reference.is_empty()));
        let done = take(&method, Some(&mut reference)).unwrap();
        let mut mean = 0.0;
        for (seen, rollout) in done.seen.iter().zip(&rollouts) {
            let row = Row {
                ids: &rollout.rows[0].ids,
                targets: &LAST,
            };
            assert_eq!(seen.reference, reference.score(&[row], 1.0)[0].logp);
            // k3 by its formula: exp(d) - 1 - d, d = l_ref - l.
            let d = f64::from(seen.reference[0]) - f64::from(seen.logp[0]);
            mean += (d.exp() - 1.0 - d) / 2.0;
        }
        assert!(mean > 1e-6 && (done.stats.kl_ref - mean).abs() < 1e-9, "{mean}");
        assert!((done.stats.loss - plain.stats.loss - 0.5 * mean).abs() < 1e-6);
    }

    #[test]
    fn earlier_rows_are_learnt_after_the_others_and_stand_in_no_figure() {
        let mut learner = tiny(1);
        let rollouts = rollouts(&mut learner);
        let method = Method::resolve("grpo", &serde_json::json!({"parts": {"clip_cov": {"low": -9}}})).unwrap();
        let take = |weight: f64| {
            let mut learner = tiny(1);
            let mut prepared = method.prepare(rollouts.clone()).unwrap();
            let mut again = prepared.rows.clone();
            again.truncate(1);
            again[0].advantage[2] = 3.0;
            prepared.later.push(stages::Later {
                rows: again,
                channels: vec![stages::Channel {
                    weight,
                    ..prepared.channels[0].clone()
                }],
                values: serde_json::Value::Null,
            });
            let done = update(&mut learner, None, &method, prepared, &how(0.01)).unwrap();
            (done, learner.weights().params().to_vec())
        };
        let ((with, moved), (without, still)) = (take(0.5), take(0.0));
        assert_eq!((with.trained, without.trained), (3, 2));
        assert_eq!((with.stats, with.seen), (without.stats, without.seen));
        assert_ne!(moved, still);
    }

    #[test]
    fn micro_batches_hold_whole_rollouts_and_weigh_alike() {
        let mut learner = tiny(1);
        let rollouts = rollouts(&mut learner);
        let scope = serde_json::json!({"objective": {"aggregation": {"scope": "micro"}}});
        let method = Method::resolve("grpo", &scope).unwrap();
        let mut rows = method.prepare(rollouts.clone()).unwrap().rows;
        rows.push(rows[0].clone());
        assert_eq!(micro_batches(&rows, None), [0, 0, 0]);
        assert_eq!(micro_batches(&rows, Some(1)), [0, 1, 0]);
        assert_eq!(micro_batches(&rows, Some(2)), [0, 0, 0]);
        // A rollout of one token and one of two: a mean over all tokens, and the mean of two means.
        let long = Rollout {
            rows: vec![stages::Row {
                ids: vec![1, 2, 4, 4],
                mask: vec![false, false, true, true],
                logp_sampler: vec![0.0, 0.0, -2.0, -2.0],
                ..stages::Row::default()
            }],
            ..rollouts[1].clone()
        };
        let mut loss = |micro_batch| {
            let prepared = method.prepare(vec![rollouts[0].clone(), long.clone()]).unwrap();
            let how = UpdateSettings {
                micro_batch,
                ..how(1e-30)
            };
            let done = update(&mut learner, None, &method, prepared, &how).unwrap();
            (
                done.stats.loss,
                done.seen.iter().map(|seen| seen.micro).collect::<Vec<_>>(),
            )
        };
        let ((whole, one), (split, two)) = (loss(None), loss(Some(1)));
        assert_eq!((one, two), (vec![0, 0], vec![0, 1]));
        assert!((whole - split).abs() > 1e-3, "{whole} {split}");
    }

    #[test]
    fn a_step_that_breaks_the_model_is_an_error() {
        let mut learner = tiny(1);
        let rollouts = rollouts(&mut learner);
        let method = Method::resolve("grpo", &serde_json::json!({})).unwrap();
        let mut take = |lr| {
            let prepared = method.prepare(rollouts.clone()).unwrap();
            let how = how(lr);
            update(&mut learner, None, &method, prepared, &how)
        };
        assert_eq!(take(1e-5).unwrap().trained, 2);
        let broken = take(1e30);
        assert!(
            matches!(
                broken,
                Err(UpdateError::Learn(LearnError::NotFinite("log-probability", 2)))
            ),
            "{broken:?}"
        );
    }
}
