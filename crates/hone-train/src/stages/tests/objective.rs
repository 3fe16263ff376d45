//! Golden aggregations, finite differences of the whole loss, what must not matter, what is refused.

use hone_trace::Stream;

use super::super::*;

/// A row that is sampled throughout, with all log-probabilities at -1.
fn sampled(rollout: &str, advantage: &[f64]) -> TrainRow {
    let n = advantage.len();
    let row = Row {
        ids: vec![5; n],
        mask: vec![true; n],
        logp_sampler: vec![-1.0; n],
        ..Row::default()
    };
    TrainRow {
        rollout: rollout.into(),
        group: 0,
        index: 0,
        row,
        advantage: advantage.to_vec(),
        channel: 0,
    }
}

const MODES: [AggregationMode; 6] = [
    AggregationMode::TokenMean,
    AggregationMode::SeqMeanTokenSum,
    AggregationMode::SeqMeanTokenMean,
    AggregationMode::SumOverPad,
    AggregationMode::GroupTokenSum,
    AggregationMode::RolloutTurnMean,
];

fn aggregate(mode: AggregationMode, scope: Scope, rows: &[TrainRow], micro: &[u32]) -> f64 {
    let pad = if mode == AggregationMode::SumOverPad { 8 } else { 0 };
    let settings = Objective {
        aggregation: Aggregation { mode, scope, pad },
        ..Objective::default()
    };
    total(&settings, rows, micro)
}

/// The loss of a batch whose log-probabilities are the old ones.
fn total(settings: &Objective, rows: &[TrainRow], micro: &[u32]) -> f64 {
    let batch = BatchObjective::new(settings, rows, micro).unwrap();
    (0..rows.len())
        .map(|i| batch.row(i, rows[i].row.old(), &[]).unwrap().loss)
        .sum()
}

#[test]
fn golden_aggregations() {
    // At ratio 1 the loss of a token is -A: token losses [2, 2] and [0, 0, 0, 2].
    let rows = [sampled("a", &[-2.0, -2.0]), sampled("b", &[0.0, 0.0, 0.0, -2.0])];
    for (mode, global, micro) in MODES
        .iter()
        .zip([1.0, 3.0, 1.25, 0.75, 0.5, 1.25])
        .zip([1.25, 3.0, 1.25, 0.375, 1.25, 1.25])
        .map(|((m, g), i)| (*m, g, i))
    {
        assert!(
            (aggregate(mode, Scope::Global, &rows, &[]) - global).abs() < 1e-12,
            "{mode:?}"
        );
        assert!(
            (aggregate(mode, Scope::Global, &rows, &[0, 1]) - global).abs() < 1e-12,
            "{mode:?}"
        );
        assert!(
            (aggregate(mode, Scope::Micro, &rows, &[]) - global).abs() < 1e-12,
            "{mode:?}"
        );
        assert!(
            (aggregate(mode, Scope::Micro, &rows, &[0, 1]) - micro).abs() < 1e-12,
            "{mode:?}"
        );
        assert!(
            (aggregate(mode, Scope::Micro, &rows, &[3, 3]) - global).abs() < 1e-12,
            "{mode:?}"
        );
    }
}

#[test]
fn rows_without_sampled_tokens_count_nowhere() {
    let rows = [sampled("a", &[-2.0, -2.0]), sampled("b", &[0.0, 0.0, 0.0, -2.0])];
    let mut empty = sampled("c", &[-9.0, -9.0]);
    empty.row.mask = vec![false, false];
    let more = [rows[0].clone(), empty, rows[1].clone()];
    for mode in MODES {
        let want = aggregate(mode, Scope::Global, &rows, &[]);
        assert_eq!(aggregate(mode, Scope::Global, &more, &[]), want, "{mode:?}");
        assert_eq!(aggregate(mode, Scope::Micro, &more, &[0, 1, 0]), want, "{mode:?}");
    }
    let batch = BatchObjective::new(&Objective::default(), &more[1..2], &[]).unwrap();
    let row = batch.row(0, &[f32::NAN, f32::NAN], &[]).unwrap();
    assert_eq!((row.loss, row.dlogp, row.sums.tokens), (0.0, vec![0.0, 0.0], 0));
}

/// Random rows and log-probabilities now.
fn random_batch(seed: u64) -> (Vec<TrainRow>, Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let stream = Stream::new(seed);
    let mut position = 0;
    let mut uniform = |low: f64, high: f64| {
        position += 1;
        low + (high - low) * stream.uniform(position)
    };
    let (mut rows, mut now, mut entropy) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..5 {
        let n = 1 + uniform(0.0, 8.0) as usize;
        let mask: Vec<bool> = (0..n).map(|_| uniform(0.0, 1.0) < 0.7).collect();
        let old: Vec<f32> = (0..n).map(|_| uniform(-3.0, -0.1) as f32).collect();
        let reference: Vec<f32> = old.iter().map(|l| l + uniform(-0.8, 0.8) as f32).collect();
        now.push(old.iter().map(|&l| f64::from(l) + uniform(-0.6, 0.6)).collect());
        entropy.push((0..n).map(|_| uniform(0.0, 2.0)).collect());
        let advantage = mask.iter().map(|&m| if m { uniform(-2.0, 2.0) } else { 0.0 }).collect();
        let row = Row {
            ids: vec![1; n],
            mask,
            logp_sampler: old,
            logp_ref: Some(reference),
            ..Row::default()
        };
        rows.push(TrainRow {
            rollout: format!("r{i}"),
            group: i / 2,
            index: 0,
            row,
            advantage,
            channel: 0,
        });
    }
    (rows, now, entropy)
}

fn all_objectives() -> Vec<Objective> {
    let mut out = Vec::new();
    let clips = [
        (Surrogate::LogProb, Clip::OFF),
        (Surrogate::Ratio, Clip::OFF),
        (Surrogate::ClippedRatio, Clip::default()),
        (
            Surrogate::ClippedRatio,
            Clip {
                low: 0.2,
                high: 0.28,
                dual: 1.3,
                ..Clip::default()
            },
        ),
    ];
    let kls = [
        KlEstimator::None,
        KlEstimator::K1,
        KlEstimator::Abs,
        KlEstimator::K2,
        KlEstimator::K3,
    ];
    for (surrogate, clip) in clips {
        for (estimator, mode) in kls.into_iter().flat_map(|k| MODES.map(|m| (k, m))) {
            for scope in [Scope::Global, Scope::Micro] {
                let beta = if estimator == KlEstimator::None { 0.0 } else { 0.3 };
                let pad = if mode == AggregationMode::SumOverPad { 16 } else { 0 };
                let aggregation = Aggregation { mode, scope, pad };
                out.push(Objective {
                    surrogate,
                    ratio: Level::Token,
                    clip,
                    kl: Kl { estimator, beta },
                    entropy: 0.05,
                    aggregation,
                });
            }
        }
    }
    out
}

/// Distance of a log-ratio or a KL difference from the nearest point where the loss has no derivative.
fn from_kink(clip: &Clip, l: f64, old: f64, reference: f64) -> f64 {
    let kinks = [1.0 - clip.low, 1.0 + clip.high, clip.dual];
    let nearest = kinks
        .iter()
        .map(|k| ((l - old).exp() - k).abs())
        .fold(f64::INFINITY, f64::min);
    nearest.min((l - reference).abs())
}

#[test]
fn finite_differences_of_the_whole_loss() {
    let step = 1e-5;
    let (mut checked, mut clipped) = (0, 0);
    for seed in 0..4 {
        let (rows, now, entropy) = random_batch(seed);
        for settings in all_objectives() {
            let batch = BatchObjective::new(&settings, &rows, &[0, 1, 1, 2, 0]).unwrap();
            let whole = |now: &[Vec<f64>], entropy: &[Vec<f64>]| -> f64 {
                (0..rows.len())
                    .map(|i| batch.row(i, &now[i], &entropy[i]).unwrap().loss)
                    .sum()
            };
            for i in 0..rows.len() {
                let row = batch.row(i, &now[i], &entropy[i]).unwrap();
                clipped += row.sums.clipped;
                for j in 0..now[i].len() {
                    let (old, reference) = (rows[i].row.old()[j], rows[i].row.logp_ref.as_ref().unwrap()[j]);
                    if from_kink(&settings.clip, now[i][j], f64::from(old), f64::from(reference)) < 1e-3 {
                        continue;
                    }
                    let shifted = |by: f64| {
                        let mut moved = now.clone();
                        moved[i][j] += by;
                        whole(&moved, &entropy)
                    };
                    let slope = (shifted(step) - shifted(-step)) / (2.0 * step);
                    assert!(
                        (slope - f64::from(row.dlogp[j])).abs() < 1e-6,
                        "{settings:?} {i} {j}: {slope} {}",
                        row.dlogp[j]
                    );
                    let shifted = |by: f64| {
                        let mut moved = entropy.clone();
                        moved[i][j] += by;
                        whole(&now, &moved)
                    };
                    let slope = (shifted(step) - shifted(-step)) / (2.0 * step);
                    assert!(
                        (slope - f64::from(row.dentropy[j])).abs() < 1e-6,
                        "{settings:?} {i} {j}"
                    );
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 5000 && clipped > 500, "{checked} {clipped}");
}

/// Every preset's loss, with what its parts observed held fixed. Bounds that keep a gradient have another slope than their value, by design.
#[test]
fn finite_differences_under_every_preset() {
    let step = 1e-5;
    let mut checked = 0;
    for preset in presets() {
        let Method {
            mut objective, parts, ..
        } = preset.method.clone();
        (objective.clip.keep_high, objective.clip.keep_low) = (0.0, 0.0);
        let (mut rows, now, entropy) = random_batch(5);
        for row in &mut rows {
            // A sequence's ratio has the slope of its mean where its tokens have one advantage.
            let one = row.advantage.iter().copied().find(|a| *a != 0.0).unwrap_or(0.7);
            row.advantage = row.row.mask.iter().map(|m| if *m { one } else { 0.0 }).collect();
            row.row.logp_old = Some(row.row.logp_sampler.iter().map(|l| l + 0.3).collect());
        }
        let channels = [Channel::main(objective.clone())];
        let mut batch = BatchObjective::of(&channels, &parts, &rows, &[0, 1, 1, 0, 0], 3).unwrap();
        if batch.needs_observation() {
            assert!(batch.observe(&now[1..], &entropy[1..]).is_err());
            batch.observe(&now, &entropy).unwrap();
        }
        if parts.has("dpo") {
            continue;
        }
        for i in 0..rows.len() {
            let slopes = batch.row(i, &now[i], &entropy[i]).unwrap().dlogp;
            let sides = |at: &[f64]| -> Vec<bool> {
                batch
                    .tokens(i, at, &entropy[i])
                    .unwrap()
                    .iter()
                    .map(|(_, token)| token.clipped)
                    .collect()
            };
            for j in (0..now[i].len()).filter(|&j| rows[i].row.mask[j]) {
                let moved = |by: f64| {
                    let mut other = now[i].clone();
                    other[j] += by;
                    (batch.row(i, &other, &entropy[i]).unwrap().loss, sides(&other))
                };
                let ((up, above), (down, below)) = (moved(step), moved(-step));
                if above == below {
                    let slope = (up - down) / (2.0 * step);
                    let name = &preset.name;
                    assert!(
                        (slope - f64::from(slopes[j])).abs() < 2e-6,
                        "{name} {i} {j}: {slope} {}",
                        slopes[j]
                    );
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn masked_tokens_do_not_matter() {
    let (rows, now, entropy) = random_batch(7);
    let (mut other, mut other_now, mut other_entropy) = (rows.clone(), now.clone(), entropy.clone());
    for (i, row) in other.iter_mut().enumerate() {
        for j in 0..row.row.ids.len() {
            if !row.row.mask[j] {
                row.row.ids[j] += 77;
                row.row.logp_sampler[j] = f32::NAN;
                row.row.logp_ref.as_mut().unwrap()[j] = f32::INFINITY;
                other_now[i][j] = f64::NAN;
                other_entropy[i][j] = f64::NAN;
            }
        }
    }
    assert!(rows.iter().any(|row| row.row.mask.contains(&false)));
    for settings in all_objectives() {
        let a = BatchObjective::new(&settings, &rows, &[]).unwrap();
        let b = BatchObjective::new(&settings, &other, &[]).unwrap();
        for i in 0..rows.len() {
            let plain = a.row(i, &now[i], &entropy[i]).unwrap();
            assert_eq!(plain, b.row(i, &other_now[i], &other_entropy[i]).unwrap());
        }
    }
}

#[test]
fn a_split_into_micro_batches_changes_nothing_under_global_scope() {
    let (rows, now, entropy) = random_batch(3);
    for settings in all_objectives()
        .into_iter()
        .filter(|s| s.aggregation.scope == Scope::Global)
    {
        let batch = |micro: &[u32]| -> Vec<RowLoss> {
            let batch = BatchObjective::new(&settings, &rows, micro).unwrap();
            (0..rows.len())
                .map(|i| batch.row(i, &now[i], &entropy[i]).unwrap())
                .collect()
        };
        assert_eq!(batch(&[]), batch(&[0, 1, 2, 1, 0]));
    }
}

#[test]
fn bad_numbers_are_named() {
    let rows = [sampled("a", &[1.0, -1.0])];
    let batch = BatchObjective::new(&Objective::default(), &rows, &[]).unwrap();
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let error = batch.row(0, &[-1.0, bad], &[]).unwrap_err();
        assert_eq!(
            error,
            StageError::NonFinite {
                rollout: "a".into(),
                place: Some((0, 1)),
                what: "the log-prob now"
            }
        );
        assert!(
            error
                .to_string()
                .contains("rollout `a` is not finite at row 0, token 1."),
            "{error}"
        );
    }
    let huge = [sampled("a", &[1e300])];
    let batch = BatchObjective::new(&Objective::default(), &huge, &[]).unwrap();
    assert!(matches!(
        batch.row(0, &[-1.0f32], &[]),
        Err(StageError::NonFinite {
            what: "the gradient",
            ..
        })
    ));
    assert!(matches!(
        batch.row(0, &[-1.0f32, 0.0], &[]),
        Err(StageError::Length {
            what: "log-probs now",
            got: 2,
            ..
        })
    ));
    let kl = Objective {
        kl: Kl {
            estimator: KlEstimator::K3,
            beta: 0.1,
        },
        ..Objective::default()
    };
    assert!(matches!(
        BatchObjective::new(&kl, &rows, &[]),
        Err(StageError::NoReference { .. })
    ));
    assert!(matches!(
        BatchObjective::new(&Objective::default(), &rows, &[0, 1]),
        Err(StageError::Micro { .. })
    ));
    let entropy = Objective {
        entropy: 0.1,
        ..Objective::default()
    };
    let batch = BatchObjective::new(&entropy, &rows, &[]).unwrap();
    assert!(matches!(
        batch.row(0, &[-1.0f32, -1.0], &[]),
        Err(StageError::Length { what: "entropies", .. })
    ));
}

#[test]
fn diagnostics_count_what_happened() {
    let rows = [sampled("a", &[1.0, 1.0]), sampled("b", &[-1.0, 0.0])];
    let batch = BatchObjective::new(&Objective::default(), &rows, &[]).unwrap();
    let ln = |r: f64| r.ln() - 1.0;
    let mut diagnostics = Diagnostics::default();
    diagnostics.add(&batch.row(0, &[ln(1.5), ln(1.0)], &[0.5, 0.7]).unwrap());
    diagnostics.add(&batch.row(1, &[ln(0.9), ln(1.1)], &[0.2, 0.6]).unwrap());
    let stats = diagnostics.finish(0.25, Spread::of(&rows));
    assert_eq!(
        (stats.rows, stats.tokens, stats.clip_fraction, stats.zero_variance_share),
        (2, 4, 0.25, 0.25)
    );
    assert!((stats.loss - (-1.2 - 1.0 + 0.9) / 4.0).abs() < 1e-12);
    assert!((stats.ratio_error - 0.7 / 4.0).abs() < 1e-12 && (stats.ratio_error_max - 0.5).abs() < 1e-12);
    let k3 = |r: f64| r - 1.0 - r.ln();
    assert!((stats.approx_kl - (k3(1.5) + k3(0.9) + k3(1.1)) / 4.0).abs() < 1e-12);
    assert!((stats.entropy - 0.5).abs() < 1e-12);
    let Spread {
        mean,
        min,
        max,
        nonzero,
        std,
    } = stats.advantage;
    assert_eq!((mean, min, max, nonzero), (0.25, -1.0, 1.0, 0.75));
    assert!((std - (2.75f64 / 4.0).sqrt()).abs() < 1e-12);
    assert_eq!(Spread::of(&[]), Spread::default());
}

#[test]
fn batches_are_shared_between_threads() {
    fn shared<T: Sync + Send>(_: &T) {}
    let rows = [sampled("a", &[1.0])];
    shared(&BatchObjective::new(&Objective::default(), &rows, &[]).unwrap());
}
