//! Sanity worlds: a softmax policy over one decision, and for each method a world in which its mechanism must win over the same
//! method without it, on the same draws. No network, no tools: what is tested is the way from rollouts to gradients.

use hone_trace::Stream;
use hone_train::stages::{BatchObjective, Call, Memory, Method, Rollout, Row, TrainRow};
use serde_json::{Value, json};

const SEEDS: u64 = 8;

/// How the policy is trained.
struct Run {
    steps: u64,
    tasks: u64,
    samples: u64,
    /// Updates on each step's rollouts: the later ones see an older policy's.
    updates: u32,
    lr: f64,
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|l| (l - top).exp()).sum();
    logits.iter().map(|l| l - top - sum.ln()).collect()
}

fn method(name: &str, over: Value) -> Method {
    Method::resolve(name, &over).unwrap()
}

/// Probabilities of the choices after training. `play` makes a rollout out of a choice and a draw in [0, 1).
fn train(method: &Method, start: &[f64], run: &Run, seed: u64, play: impl Fn(usize, f64) -> Rollout) -> Vec<f64> {
    let mut logits = start.to_vec();
    let mut memory = Memory::default();
    for step in 0..run.steps {
        let stream = Stream::new(seed).at(step);
        let logp = log_softmax(&logits);
        let mut rollouts = Vec::new();
        for n in 0..run.tasks * run.samples {
            let mut left = stream.uniform(2 * n);
            let choice = logp.iter().position(|l| {
                left -= l.exp();
                left < 0.0
            });
            let choice = choice.unwrap_or(logp.len() - 1);
            rollouts.push(Rollout {
                id: format!("{step}/{n}"),
                group: n / run.samples,
                turns: 2,
                answers: Some(1),
                rows: vec![Row {
                    ids: vec![0, choice as u32 + 1],
                    mask: vec![false, true],
                    turns: vec![0, 0],
                    logp_sampler: vec![0.0, logp[choice] as f32],
                    ..Row::default()
                }],
                ..play(choice, stream.uniform(2 * n + 1))
            });
        }
        let prepared = method.prepare_with(step, rollouts, &mut memory).unwrap();
        let later = prepared.later.iter().map(|it| (&it.channels, &it.rows));
        let now = (0..run.updates).map(|_| (&prepared.channels, &prepared.rows));
        for (channels, rows) in now.chain(later) {
            if rows.is_empty() {
                continue;
            }
            let logp = log_softmax(&logits);
            let entropy = -logp.iter().map(|l| l.exp() * l).sum::<f64>();
            let choice = |row: &TrainRow| row.row.ids[1] as usize - 1;
            let seen: Vec<Vec<f64>> = rows.iter().map(|row| vec![0.0, logp[choice(row)]]).collect();
            let entropies = vec![vec![0.0, entropy]; rows.len()];
            let mut objective = BatchObjective::of(channels, &method.parts, rows, &[], step).unwrap();
            if objective.needs_observation() {
                objective.observe(&seen, &entropies).unwrap();
            }
            let mut gradient = vec![0.0; logits.len()];
            for (i, row) in rows.iter().enumerate() {
                let by = f64::from(objective.row(i, &seen[i], &entropies[i]).unwrap().dlogp[1]);
                for (at, slot) in gradient.iter_mut().enumerate() {
                    let one = f64::from(u8::from(at == choice(row)));
                    *slot += by * (one - logp[at].exp());
                }
            }
            logits.iter_mut().zip(&gradient).for_each(|(l, g)| *l -= run.lr * g);
        }
    }
    log_softmax(&logits).into_iter().map(f64::exp).collect()
}

/// Means over seeds of what `measure` reads of the two policies.
fn beside(
    methods: [&Method; 2],
    start: &[f64],
    run: &Run,
    play: impl Fn(usize, f64) -> Rollout + Copy,
    measure: impl Fn(&[f64]) -> f64,
) -> [f64; 2] {
    methods.map(|method| {
        let all = (0..SEEDS).map(|seed| measure(&train(method, start, run, seed, play)));
        all.sum::<f64>() / SEEDS as f64
    })
}

fn calls(n: usize, failed: usize) -> Vec<Call> {
    let one = |i| Call {
        tool: "look_up".into(),
        ok: i >= failed,
    };
    (0..n).map(one).collect()
}

fn reward(right: bool) -> f64 {
    f64::from(u8::from(right))
}

const SLOW: Run = Run {
    steps: 120,
    tasks: 4,
    samples: 8,
    updates: 1,
    lr: 0.5,
};

/// Choice n makes n calls, and none of them helps.
#[test]
fn hdpo_makes_fewer_calls_where_they_do_not_help() {
    let play = |choice: usize, draw: f64| Rollout {
        reward: reward(draw < 0.7),
        calls: calls(choice, 0),
        ..Rollout::default()
    };
    let mean = |p: &[f64]| p.iter().enumerate().map(|(n, p)| n as f64 * p).sum();
    let [with, without] = beside(
        [&method("hdpo", json!({})), &method("grpo", json!({}))],
        &[0.0; 4],
        &SLOW,
        play,
        mean,
    );
    assert!(with < 0.8 && with < without - 0.4, "{with} {without}");
}

/// The second choice is as often right, after a call that fails.
fn slip(choice: usize, draw: f64) -> Rollout {
    Rollout {
        reward: reward(draw < 0.6),
        calls: calls(1 + choice, choice),
        ..Rollout::default()
    }
}

#[test]
fn resampling_on_correct_prefers_clean_rollouts_that_are_as_right() {
    let roc = method(
        "grpo-roc-code",
        json!({"parts": {"roc": {"keep": 8, "min_wrong": 2, "min_right": 2}}}),
    );
    let run = Run { samples: 16, ..SLOW };
    let grpo = method("grpo_clip_higher", json!({"objective": {"clip": {"dual": 3}}}));
    let [with, without] = beside([&roc, &grpo], &[0.0; 2], &run, slip, |p| p[0]);
    assert!(with > 0.75 && with > without + 0.15, "{with} {without}");
}

#[test]
fn artist_rewards_calls_that_succeed() {
    let terms = json!([{"part": "reward", "weight": 2}, {"part": "tool_rate", "weight": 1}]);
    let artist = method("artist-math", json!({"reward": {"terms": terms}}));
    let plain = method(
        "artist-math",
        json!({"reward": {"terms": []}, "parts": {"tool_rate": false}}),
    );
    let [with, without] = beside([&artist, &plain], &[0.0; 2], &SLOW, slip, |p| p[0]);
    assert!(with > 0.8 && with > without + 0.2, "{with} {without}");
}

/// One choice of twenty is right, and seldom taken.
fn rare(choice: usize, _: f64) -> Rollout {
    Rollout {
        reward: reward(choice == 0),
        calls: calls(1, 0),
        ..Rollout::default()
    }
}

/// Old rollouts: a step's are learnt from many times.
const STALE: Run = Run {
    steps: 6,
    tasks: 8,
    samples: 16,
    updates: 24,
    lr: 0.5,
};

#[test]
fn a_higher_upper_bound_lets_rare_choices_rise_faster() {
    let [with, without] = beside(
        [&method("grpo_clip_higher", json!({})), &method("grpo", json!({}))],
        &[0.0; 20],
        &STALE,
        rare,
        |p| p[0],
    );
    assert!(with > 1.05 * without, "{with} {without}");
}

#[test]
fn a_gradient_kept_above_the_bound_goes_on_raising_them() {
    let [with, without] = beside(
        [&method("gppo", json!({})), &method("grpo_clip_higher", json!({}))],
        &[0.0; 20],
        &STALE,
        rare,
        |p| p[0],
    );
    assert!(with > 1.05 * without, "{with} {without}");
}

#[test]
fn m2po_learns_from_old_rollouts_what_a_clip_leaves_out() {
    let [with, without] = beside(
        [&method("m2po", json!({})), &method("grpo", json!({}))],
        &[0.0; 20],
        &STALE,
        rare,
        |p| p[0],
    );
    assert!(with > 1.05 * without, "{with} {without}");
}

#[test]
fn spear_gets_more_from_rare_successes_by_replaying_them() {
    let pad = json!({"aggregation": {"mode": "sum_over_pad", "pad": 16}});
    let bot = method("dr-bot", json!({"objective": pad}));
    let replay = json!({"size": 16, "trigger": 0.25, "rise": 1, "age": 10});
    let spear = method("spear", json!({"objective": pad, "parts": {"replay": replay}}));
    let run = Run {
        steps: 25,
        lr: 0.2,
        ..SLOW
    };
    let [with, without] = beside([&spear, &bot], &[0.0; 20], &run, rare, |p| p[0]);
    assert!(with > 1.5 * without, "{with} {without}");
}

#[test]
fn rewards_for_an_honest_confidence_make_it_honest() {
    // Choice n says n / 4; three answers of four are right.
    let play = |choice: usize, draw: f64| {
        let mut rollout = Rollout {
            reward: reward(draw < 0.75),
            ..Rollout::default()
        };
        rollout.parts.insert("confidence".into(), choice as f64 / 4.0);
        rollout
    };
    let run = Run {
        steps: 400,
        lr: 1.5,
        ..SLOW
    };
    let error = |p: &[f64]| {
        p.iter()
            .enumerate()
            .map(|(n, p)| p * (n as f64 / 4.0 - 0.75).abs())
            .sum()
    };
    for name in ["rlcr", "margin-separated"] {
        let [with, without] = beside(
            [&method(name, json!({})), &method("grpo", json!({}))],
            &[0.0; 5],
            &run,
            play,
            error,
        );
        assert!(with < 0.15 && with < without - 0.1, "{name}: {with} {without}");
    }
    // Divided by the group's deviation, the rule is no longer proper: groups with more right answers count for more, and the
    // policy ends at a confidence of 1.
    let divided = method("rlcr", json!({"advantage": {"scale": "std_unbiased"}}));
    let [with, without] = beside([&method("rlcr", json!({})), &divided], &[0.0; 5], &run, play, error);
    assert!(with < without - 0.05, "{with} {without}");
}

/// The first choice calls a tool, which is always right; the second answers unaided, which is right where the fact is known. A
/// third of the rollouts have no tools.
#[test]
fn akbe_calls_only_for_what_the_policy_does_not_know() {
    let akbe = method("akbe-paper", json!({}));
    let grpo = method(
        "grpo",
        json!({"select": {"drop_equal": false}, "parts": {"paired": {"weight": 1e-9, "best": "fewest_calls"}}}),
    );
    let run = Run {
        samples: 24,
        lr: 1.0,
        ..SLOW
    };
    let world = |known: bool| {
        move |choice: usize, draw: f64| {
            let alone = draw < 1.0 / 3.0;
            Rollout {
                variant: alone.then(|| "no_tools".into()),
                reward: reward(if choice == 0 { !alone } else { known }),
                calls: calls(usize::from(choice == 0 && !alone), 0),
                ..Rollout::default()
            }
        }
    };
    let [known, lazy] = beside([&akbe, &grpo], &[0.0; 2], &run, world(true), |p| p[0]);
    let [unknown, _] = beside([&akbe, &grpo], &[0.0; 2], &run, world(false), |p| p[0]);
    assert!(known < 0.2 && lazy > 0.35 && unknown > 0.9, "{known} {lazy} {unknown}");
}

/// A planner of three turns, each a prompt and a row of its own. The first of its choices decides; the outcome comes at the end.
fn plan(method: &Method, seed: u64, learnt: impl Fn(usize) -> bool) -> f64 {
    let mut logits = [[0.0; 3]; 3];
    for step in 0..60 {
        let stream = Stream::new(seed).at(step);
        let logp = logits.map(|turn| log_softmax(&turn));
        let rollouts = (0..32u64).map(|n| {
            let choices: Vec<usize> = (0..3)
                .map(|turn| {
                    let mut left = stream.uniform(3 * n + turn);
                    let at = logp[turn as usize].iter().position(|l| {
                        left -= l.exp();
                        left < 0.0
                    });
                    at.unwrap_or(2)
                })
                .collect();
            let row = |(turn, choice): (usize, &usize)| Row {
                ids: vec![turn as u32, *choice as u32],
                mask: vec![false, true],
                turns: vec![0, turn as u32],
                logp_sampler: vec![0.0, logp[turn][*choice] as f32],
                logp_ref: Some(vec![0.0, (1f32 / 3.0).ln()]),
                ..Row::default()
            };
            Rollout {
                id: format!("{n}"),
                group: n / 8,
                reward: reward(choices[0] == 0),
                rows: choices
                    .iter()
                    .enumerate()
                    .filter(|(turn, _)| learnt(*turn))
                    .map(row)
                    .collect(),
                ..Rollout::default()
            }
        });
        let prepared = method.prepare_at(step, rollouts.collect()).unwrap();
        let objective = BatchObjective::of(&prepared.channels, &method.parts, &prepared.rows, &[], step).unwrap();
        for (i, row) in prepared.rows.iter().enumerate() {
            let [turn, choice] = [row.row.ids[0] as usize, row.row.ids[1] as usize];
            let loss = objective.row(i, &[0.0, logp[turn][choice]], &[]).unwrap();
            for (at, slot) in logits[turn].iter_mut().enumerate() {
                let one = f64::from(u8::from(at == choice));
                *slot -= 3.0 * f64::from(loss.dlogp[1]) * (one - logp[turn][at].exp());
            }
        }
    }
    log_softmax(&logits[0])[0].exp()
}

#[test]
fn flow_grpo_teaches_the_turn_that_decides_by_giving_every_turn_the_outcome() {
    for name in ["flow-grpo-paper", "flow-grpo-code"] {
        let method = method(name, json!({}));
        let mean = |learnt: &dyn Fn(usize) -> bool| {
            (0..SEEDS).map(|seed| plan(&method, seed, learnt)).sum::<f64>() / SEEDS as f64
        };
        let (every, last) = (mean(&|_| true), mean(&|turn| turn == 2));
        assert!(every > 0.9 && last < 0.4, "{name}: {every} {last}");
    }
}
