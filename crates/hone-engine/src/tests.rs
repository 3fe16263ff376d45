//! Tests of the model as a whole.

use crate::decode::{Cache, Feed, Scratch, feed};
use crate::*;
use hone_trace::Stream;

fn config() -> Config {
    Config {
        vocab_size: 50,
        hidden_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        intermediate_size: 40,
        rope_theta: 10_000.0,
        rms_norm_eps: 1e-6,
        max_position_embeddings: 256,
        model_type: Architecture::Qwen2,
        tie_word_embeddings: true,
        rope_scaling: None,
    }
}

/// Each architecture with each option at least once. Heads are wider than `hidden_size / num_attention_heads`.
fn architectures() -> [Config; 4] {
    let untied = |model_type| Config {
        model_type,
        tie_word_embeddings: false,
        ..config()
    };
    [
        config(),
        Config {
            rope_scaling: Some(RopeScaling::Llama3 {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: 64,
            }),
            ..untied(Architecture::Llama)
        },
        untied(Architecture::Qwen3),
        Config {
            model_type: Architecture::Llama,
            rope_scaling: Some(RopeScaling::Linear { factor: 2.0 }),
            ..config()
        },
    ]
}

fn model(config: &Config, seed: u64) -> Weights {
    let mut weights = Weights::random(config.clone(), &Stream::new(seed)).unwrap();
    // Biases and gains off their initial values, so that their gradients are tested too.
    let tensors = weights.layout.tensors.clone();
    weights.update(|params| {
        for tensor in tensors.iter().filter(|t| t.shape.len() == 1) {
            for (i, x) in params[tensor.range.clone()].iter_mut().enumerate() {
                *x += 0.1 * Stream::new(seed).named(&tensor.name).uniform(i as u64) as f32;
            }
        }
    });
    weights
}

fn ids(seed: u64, n: usize, vocab: usize) -> Vec<u32> {
    let stream = Stream::new(seed).named("ids");
    (0..n)
        .map(|i| (stream.uniform(i as u64) * vocab as f64) as u32)
        .collect()
}

struct Weighted;
impl Loss for Weighted {
    fn row(&self, index: usize, score: &RowScore) -> RowGradient {
        // A loss with different weights per token, and an entropy term.
        let a = |k: usize| ((index * 7 + k * 3) % 5) as f32 * 0.3 - 0.5;
        let e = |k: usize| ((index + k) % 3) as f32 * 0.2 - 0.1;
        let n = score.logp.len();
        RowGradient {
            loss: (0..n)
                .map(|k| f64::from(a(k) * score.logp[k] + e(k) * score.entropy[k]))
                .sum(),
            dlogp: (0..n).map(a).collect(),
            dentropy: (0..n).map(e).collect(),
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for config in architectures() {
        agrees_with_finite_differences(&model(&config, 1));
    }
}

/// Adapters of some matrices and of all, with `B` off its initial zeros.
fn adapted(weights: &Weights, targets: &[LoraTarget], dropout: f32) -> Weights {
    let settings = Lora {
        rank: 3,
        alpha: 5.0,
        targets: targets.to_vec(),
        dropout,
    };
    let mut weights = weights.adapted(&settings, &Stream::new(8)).unwrap();
    let noise = Stream::new(9);
    weights.update_trained(|params| {
        for (i, x) in params.iter_mut().enumerate() {
            *x += 0.1 * (noise.uniform(i as u64) as f32 - 0.5);
        }
    });
    weights
}

#[test]
fn gradients_of_adapters_agree_with_finite_differences() {
    use LoraTarget::{DownProj, KProj, OProj, QProj, VProj};
    for config in architectures() {
        let base = model(&config, 1);
        agrees_with_finite_differences(&adapted(&base, &LoraTarget::ALL, 0.0));
        agrees_with_finite_differences(&adapted(&base, &[KProj, DownProj], 0.0));
        agrees_with_finite_differences(&adapted(&base, &[QProj, VProj, OProj], 0.3));
    }
}

#[test]
fn a_new_adapter_changes_nothing_and_a_merged_one_computes_the_same() {
    for config in architectures() {
        let base = model(&config, 1);
        let data = [ids(1, 40, 50)];
        let plain = decode_logits(&base, &data, 8);
        let settings = Lora::default();
        let fresh = base.adapted(&settings, &Stream::new(1)).unwrap();
        assert_eq!(decode_logits(&fresh, &data, 8), plain);
        let learnt = adapted(&base, &LoraTarget::ALL, 0.5);
        let (with, merged) = (
            decode_logits(&learnt, &data, 8),
            decode_logits(&learnt.merged().unwrap(), &data, 8),
        );
        let gap = |a: &Vec<Vec<Vec<f32>>>, b: &Vec<Vec<Vec<f32>>>| {
            let pairs = a[0].iter().flatten().zip(b[0].iter().flatten());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(gap(&with, &merged) < 1e-4, "{}", gap(&with, &merged));
        assert!(gap(&with, &plain) > 1e-2);
    }
}

#[test]
fn an_adapter_learns_the_same_bits_on_any_number_of_threads_and_with_checkpointed_activations() {
    let data: Vec<_> = (0..40).map(|i| ids(i, 90 + (i as usize * 13) % 80, 50)).collect();
    let targets: Vec<Vec<u32>> = data.iter().map(|d| (1..d.len() as u32).collect()).collect();
    let rows: Vec<_> = data
        .iter()
        .zip(&targets)
        .map(|(ids, targets)| Row { ids, targets })
        .collect();
    let base = model(&config(), 2);
    let run = |threads, checkpointing, dropout| {
        let mut learner = Learner::new(adapted(&base, &LoraTarget::ALL, dropout), threads);
        learner.checkpoint_activations(checkpointing);
        learner.drop_from(Some(Stream::new(3).named("dropout")));
        let mut losses = Vec::new();
        for _ in 0..2 {
            losses.push(learner.pass(&rows, 1.0, &Weighted).loss);
            learner.step(1e-3, &AdamW::default()).unwrap();
        }
        assert_eq!(learner.weights().params(), base.params());
        (learner.weights().trained().to_vec(), losses, learner.score(&rows, 1.0))
    };
    let one = run(1, false, 0.2);
    assert_eq!(one, run(2, false, 0.2));
    assert_eq!(one, run(3, true, 0.2));
    let none = run(2, true, 0.0);
    assert_ne!(one.1[0], none.1[0]);
}

fn agrees_with_finite_differences(weights: &Weights) {
    let data: Vec<_> = [90, 13, 40]
        .iter()
        .enumerate()
        .map(|(i, n)| ids(i as u64, *n, 50))
        .collect();
    let targets: Vec<Vec<u32>> = vec![(60..90).collect(), vec![1, 5, 12], (3..40).step_by(2).collect()];
    let rows: Vec<_> = data
        .iter()
        .zip(&targets)
        .map(|(ids, targets)| Row { ids, targets })
        .collect();
    let drops = || Some(Stream::new(4));
    let mut learner = Learner::new(weights.clone(), 2);
    learner.drop_from(drops());
    learner.pass(&rows, 0.8, &Weighted);
    let gradient = learner.gradient().to_vec();
    assert_eq!(gradient.len(), weights.trained().len());
    for tensor in weights.trained_tensors() {
        let g = &gradient[tensor.range.clone()];
        assert!(g.iter().any(|x| *x != 0.0), "{} has no gradient", tensor.name);
        // Along the gradient's own direction a central difference is well above rounding.
        let norm = g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let h = 2e-2 / norm.max(1.0);
        let loss = |sign: f64| {
            let mut moved = weights.clone();
            moved.update_trained(|params| {
                for (x, g) in params[tensor.range.clone()].iter_mut().zip(g) {
                    *x += (sign * h * f64::from(*g) / norm) as f32;
                }
            });
            let mut moved = Learner::new(moved, 1);
            moved.drop_from(drops());
            moved.pass(&rows, 0.8, &Weighted).loss
        };
        let numeric = (loss(1.0) - loss(-1.0)) / (2.0 * h);
        assert!(
            (numeric / norm - 1.0).abs() < 2e-2,
            "{:?}, {}: {numeric} against {norm}",
            weights.config.model_type,
            tensor.name
        );
    }
}

#[test]
fn learning_is_the_same_bits_on_any_number_of_threads() {
    let config = config();
    let data: Vec<_> = (0..40).map(|i| ids(i, 30 + (i as usize * 13) % 80, 50)).collect();
    let targets: Vec<Vec<u32>> = data.iter().map(|d| (1..d.len() as u32).collect()).collect();
    let rows: Vec<_> = data
        .iter()
        .zip(&targets)
        .map(|(ids, targets)| Row { ids, targets })
        .collect();
    let run = |threads| {
        let mut learner = Learner::new(model(&config, 2), threads);
        for _ in 0..3 {
            learner.pass(&rows, 1.0, &Weighted);
            learner.step(1e-3, &AdamW::default()).unwrap();
        }
        learner.weights().params().to_vec()
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

fn decode_logits(weights: &Weights, data: &[Vec<u32>], chunk: usize) -> Vec<Vec<Vec<f32>>> {
    let mut caches: Vec<Cache> = data.iter().map(|_| Cache::default()).collect();
    let mut out: Vec<Vec<Vec<f32>>> = data.iter().map(|_| Vec::new()).collect();
    let mut scratch = Scratch::default();
    let longest = data.iter().map(Vec::len).max().unwrap();
    for start in (0..longest).step_by(chunk) {
        let mut feeds = Vec::new();
        let mut who = Vec::new();
        for (i, (cache, ids)) in caches.iter_mut().zip(data).enumerate() {
            if start < ids.len() {
                feeds.push(Feed {
                    cache,
                    ids: &ids[start..ids.len().min(start + chunk)],
                    want: true,
                });
                who.push(i);
            }
        }
        let logits = feed(weights, &mut feeds, &mut scratch);
        for (row, i) in logits.chunks_exact(weights.config.vocab_size).zip(who) {
            out[i].push(row.to_vec());
        }
    }
    out
}

#[test]
fn sampling_gives_the_same_bits_at_any_batch_size_and_as_training() {
    let wide = Config {
        head_dim: 40,
        ..config()
    };
    let all = architectures().into_iter().chain([wide]);
    let adapter = |weights: &Weights| adapted(weights, &LoraTarget::ALL, 0.5);
    for (config, with_adapter) in all.flat_map(|config| [(config.clone(), false), (config, true)]) {
        let mut weights = model(&config, 3);
        if with_adapter {
            weights = adapter(&weights);
        }
        let data: Vec<_> = (0..32).map(|i| ids(i, 20 + (i as usize * 29) % 120, 50)).collect();
        let all = decode_logits(&weights, &data, 1);
        for batch in [1, 7] {
            for (i, chunk) in data.chunks(batch).enumerate() {
                assert_eq!(
                    decode_logits(&weights, chunk, 1),
                    all[i * batch..(i * batch + batch).min(32)]
                );
            }
        }
        // Chunked prefill: the last logits of each chunk.
        let chunked = decode_logits(&weights, &data, 16);
        for (a, b) in chunked.iter().zip(&all) {
            assert_eq!(a[0], b[15]);
        }
        let targets: Vec<Vec<u32>> = data.iter().map(|d| (1..d.len() as u32).collect()).collect();
        let rows: Vec<_> = data
            .iter()
            .zip(&targets)
            .map(|(ids, targets)| Row { ids, targets })
            .collect();
        let scores = Learner::new(weights.clone(), 2).score(&rows, 1.0);
        for (i, score) in scores.iter().enumerate() {
            for (k, logp) in score.logp.iter().enumerate() {
                let mut row = all[i][k].clone();
                crate::kernels::log_softmax(&mut row, 1.0);
                assert_eq!(*logp, row[data[i][k + 1] as usize], "row {i}, token {k}");
            }
        }
    }
}

#[test]
fn a_fork_continues_alone() {
    let config = config();
    let weights = model(&config, 4);
    let mut scratch = Scratch::default();
    let (a, b) = (ids(1, 70, 50), ids(2, 20, 50));
    let mut trunk = Cache::default();
    feed(
        &weights,
        &mut [Feed {
            cache: &mut trunk,
            ids: &a,
            want: false,
        }],
        &mut scratch,
    );
    let mut fork = trunk.fork(50);
    let logits = feed(
        &weights,
        &mut [Feed {
            cache: &mut fork,
            ids: &b,
            want: true,
        }],
        &mut scratch,
    )
    .to_vec();
    let mut whole = Cache::default();
    let joined = [&a[..50], &b].concat();
    let want = feed(
        &weights,
        &mut [Feed {
            cache: &mut whole,
            ids: &joined,
            want: true,
        }],
        &mut scratch,
    )
    .to_vec();
    assert_eq!(logits, want);
    assert_eq!(trunk.ids(), a);
    trunk.truncate(50);
    let again = feed(
        &weights,
        &mut [Feed {
            cache: &mut trunk,
            ids: &b,
            want: true,
        }],
        &mut scratch,
    );
    assert_eq!(again, want);
}

#[test]
fn a_model_can_learn_a_sequence_by_heart() {
    let config = config();
    let data = ids(5, 30, 50);
    let targets: Vec<u32> = (1..30).collect();
    let rows = [Row {
        ids: &data,
        targets: &targets,
    }];
    let mut learner = Learner::new(model(&config, 5), 1);
    let weights = [1.0 / 29.0];
    let first = learner.pass(&rows, 1.0, &CrossEntropy { weights: &weights }).loss;
    for _ in 0..150 {
        learner.pass(&rows, 1.0, &CrossEntropy { weights: &weights });
        learner.step(1e-2, &AdamW::default()).unwrap();
    }
    let last = learner.pass(&rows, 1.0, &CrossEntropy { weights: &weights }).loss;
    assert!(first > 3.0 && last < 0.05, "{first} -> {last}");
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    struct Broken;
    impl Loss for Broken {
        fn row(&self, _: usize, score: &RowScore) -> RowGradient {
            RowGradient {
                loss: f64::NAN,
                dlogp: vec![f32::NAN; score.logp.len()],
                dentropy: Vec::new(),
            }
        }
    }
    let mut learner = Learner::new(model(&config(), 6), 1);
    let before = learner.weights().params().to_vec();
    learner.pass(
        &[Row {
            ids: &[1, 2, 3],
            targets: &[1, 2],
        }],
        1.0,
        &Broken,
    );
    assert!(matches!(
        learner.step(1e-3, &AdamW::default()),
        Err(LearnError::NotFinite("gradient", 0))
    ));
    assert_eq!(learner.weights().params(), before);
}

#[test]
fn induction_heads_copy_after_a_few_steps() {
    // Random tokens, then the same again: only copying can predict the second half. Chance is ln 300 = 5.7.
    let config = Config {
        vocab_size: 300,
        hidden_size: 64,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 32,
        rope_theta: 1e6,
        ..config()
    };
    let loss_after = |weights: Weights| {
        let mut learner = Learner::new(weights, 2);
        let targets: Vec<u32> = (31..60).collect();
        let mut last = 0.0;
        for step in 0..50 {
            let data: Vec<_> = (0..16)
                .map(|i| ids(step * 16 + i, 30, 300))
                .map(|half| [half.clone(), half].concat())
                .collect();
            let rows: Vec<_> = data.iter().map(|ids| Row { ids, targets: &targets }).collect();
            last = learner
                .pass(
                    &rows,
                    1.0,
                    &CrossEntropy {
                        weights: &[1.0 / (16.0 * 29.0); 16],
                    },
                )
                .loss;
            learner.step(3e-3, &AdamW::default()).unwrap();
        }
        last
    };
    let with = loss_after(induction(config.clone(), &Stream::new(1)).unwrap());
    let without = loss_after(Weights::random(config, &Stream::new(1)).unwrap());
    assert!(
        with < 2.0 && without > 5.0,
        "{with} with induction heads, {without} without"
    );
}
