//! Many episodes at once: order, determinism, failures that stay their own, hooks and cancelling.

#[path = "../../hone-harness/tests/toy/mod.rs"]
mod toy;

use hone_env::{Split, Taskset};
use hone_harness::React;
use hone_rollout::{Hooks, Job, Player, Rollout, RolloutError, Stats, ToolSource};
use hone_tool::ApprovalPolicy;
use hone_trace::{EndReason, Episode, Outcome, SamplingSettings, Timing};
use rand::RngExt;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use toy::*;

fn rollout(inline: bool, player: Player, concurrency: usize) -> Rollout {
    let taskset = Arc::new(Toy::new(inline));
    Rollout {
        budget: taskset.budget(),
        taskset,
        player,
        user: None,
        judge: None,
        harness: Arc::new(React),
        sampling: SamplingSettings {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens: 0,
            stream: String::new(),
            ..SamplingSettings::default()
        },
        approval: Arc::new(ApprovalPolicy::AllowAll),
        tools: ToolSource::default(),
        forking: None,
        seed: 5,
        phase: "rl/1".into(),
        concurrency,
    }
}

/// Counts to the target in one step, after whatever `moves` says for that target.
fn counting(moves: impl Fn(u64, u32) -> Option<Move> + Send + Sync + 'static) -> Player {
    let moves = Arc::new(moves);
    Player::PerEpisode(Arc::new(move |task, _, _| {
        let target = task.data["target"].as_u64().unwrap();
        let moves = moves.clone();
        puppet(move |turn, messages, _| {
            let solved = messages
                .iter()
                .any(|m| matches!(m, hone_model::Message::Tool(t) if t.starts_with("{\"value\"")));
            moves(target, turn).unwrap_or_else(|| {
                if solved {
                    say("done")
                } else {
                    call("add", json!({"by": target}))
                }
            })
        })
    }))
}

/// A policy that draws its steps and now and then writes nonsense.
fn dicing() -> Player {
    Player::Shared(puppet(|_, _, mut stream| match stream.random_range(0..6) {
        0 => say("done"),
        1 => malformed(),
        2 => call("fail", json!({})),
        n => call("add", json!({"by": n})),
    }))
}

fn jobs(range: std::ops::Range<u64>, samples: u32) -> Vec<Job> {
    range
        .map(|index| Job {
            split: Split::Train,
            index,
            group: index,
            samples: 0..samples,
        })
        .collect()
}

fn without_time(mut episodes: Vec<Episode>) -> Vec<Episode> {
    for episode in &mut episodes {
        episode.timing = Timing::default();
        episode.tool_calls.iter_mut().for_each(|c| c.timing = Timing::default());
        episode
            .model_calls
            .iter_mut()
            .for_each(|c| c.timing = Timing::default());
    }
    episodes
}

#[test]
fn the_same_seed_gives_the_same_episodes_at_any_concurrency() {
    let run = |inline, concurrency| {
        let episodes = rollout(inline, dicing(), concurrency)
            .run(&jobs(1..9, 4), Hooks::default())
            .unwrap();
        without_time(episodes)
    };
    let one = run(true, 1);
    assert_eq!(one.len(), 32);
    assert_eq!(one, run(true, 16));
    assert_eq!(one, run(false, 16));
    let ids: Vec<_> = one.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(ids[..5], ["rl/1/1/0", "rl/1/1/1", "rl/1/1/2", "rl/1/1/3", "rl/1/2/0"]);
    let distinct: std::collections::BTreeSet<_> = one.iter().map(|e| format!("{:?}", e.tool_calls)).collect();
    assert!(distinct.len() > 10, "the samples of a group differ: {}", distinct.len());
    // A later part of a group is the same as when it was played with the rest.
    let part = [Job {
        split: Split::Train,
        index: 3,
        group: 3,
        samples: 2..4,
    }];
    assert_eq!(
        without_time(rollout(true, dicing(), 4).run(&part, Hooks::default()).unwrap()),
        one[10..12]
    );
}

#[test]
fn success_is_scored_and_counted() {
    let player = counting(|target, turn| (target == 2 && turn == 0).then(|| say("no")));
    let episodes = rollout(true, player, 4).run(&jobs(1..5, 1), Hooks::default()).unwrap();
    let outcomes: Vec<_> = episodes.iter().map(|e| (e.succeeded(), e.reward)).collect();
    assert_eq!(
        outcomes,
        [
            (true, Some(1.0)),
            (false, Some(0.0)),
            (true, Some(1.0)),
            (true, Some(1.0))
        ]
    );
    let stats = Stats::of(&episodes);
    assert_eq!(
        (stats.success(), stats.valid_call_rate(), stats.mean_turns()),
        (Some(0.75), Some(1.0), Some(1.75))
    );
    assert_eq!(stats.ends, [("answered".to_owned(), 4)].into());
    assert_eq!(stats.sampled_tokens, 3 * (11 + 4) + 2);
    assert_eq!(Stats::of(&[]).success(), None);
}

#[test]
fn a_hanging_tool_holds_up_nobody_else() {
    let player = counting(|target, turn| (target == 1 && turn == 0).then(|| call("hang", json!({}))));
    let start = Instant::now();
    let mut finishing = Vec::new();
    let mut note = |e: &Episode| finishing.push((e.task.clone(), start.elapsed()));
    let hooks = Hooks {
        on_episode: Some(&mut note),
        ..Hooks::default()
    };
    let episodes = rollout(false, player, 4).run(&jobs(1..20, 1), hooks).unwrap();
    assert!(
        start.elapsed() < HANG,
        "the run did not wait for the thread: {:?}",
        start.elapsed()
    );
    assert_eq!((episodes[0].end, episodes[0].reward), (EndReason::ToolFailure, None));
    assert!(episodes[1..].iter().all(Episode::succeeded));
    assert_eq!(finishing.last().unwrap().0, "train/1", "the others were done first");
    assert_eq!(Stats::of(&episodes).infra_failed, 1);
}

#[test]
fn whatever_breaks_is_classed_and_the_run_goes_on() {
    let player = counting(|target, turn| match (target, turn) {
        (1, 0) => Some(call("panic", json!({}))),
        (2, 0) => Some(Move::Panic),
        (3, 0) => Some(Move::Fail(hone_model::ModelError::Unavailable("no route".into()))),
        _ => None,
    });
    let Player::PerEpisode(cast) = player else {
        unreachable!()
    };
    let player = Player::PerEpisode(Arc::new(move |task, sample, stream| {
        assert_ne!(task.id, "train/4", "no model for you");
        cast(task, sample, stream)
    }));
    let jobs: Vec<_> = (1..7).chain([666, 667]).flat_map(|i| jobs(i..i + 1, 1)).collect();
    let episodes = rollout(true, player, 3).run(&jobs, Hooks::default()).unwrap();
    let causes: Vec<_> = episodes
        .iter()
        .map(|e| match &e.outcome {
            Outcome::InfraFailed { cause } => cause.as_str(),
            _ => "",
        })
        .collect();
    let start = |i: usize, text: &str| assert!(causes[i].starts_with(text), "{:?}", causes[i]);
    start(0, "tool panic: panicked: the counter broke");
    start(1, "model: panicked: the model broke");
    start(2, "model: the model stopped answering: no route");
    start(3, "panicked: assertion");
    start(6, "scorer: panicked: assertion");
    start(7, "scorer: NaN is not a score");
    assert!(episodes[4..6].iter().all(Episode::succeeded));
    let ends: Vec<_> = episodes[..4].iter().map(|e| e.end).collect();
    use EndReason::*;
    assert_eq!(ends, [ToolFailure, ModelFailure, ModelFailure, EnvironmentFailure]);
    assert!(
        episodes
            .iter()
            .filter(|e| !e.counts())
            .all(|e| e.reward.is_none() && e.scores.is_empty())
    );
}

#[test]
fn the_sink_comes_first_and_its_failure_stops_the_run() {
    let stored = AtomicU32::new(0);
    let mut sink = |_: &Episode| {
        if stored.fetch_add(1, Ordering::Relaxed) == 3 {
            Err("disk full".into())
        } else {
            Ok(())
        }
    };
    let mut counted = 0;
    let mut count = |_: &Episode| {
        counted += 1;
        assert_eq!(stored.load(Ordering::Relaxed), counted);
    };
    let hooks = Hooks {
        sink: Some(&mut sink),
        on_episode: Some(&mut count),
        ..Hooks::default()
    };
    let error = rollout(true, counting(|_, _| None), 2)
        .run(&jobs(1..20, 1), hooks)
        .unwrap_err();
    assert!(matches!(error, RolloutError::Sink(_)) && error.to_string().contains("disk full"));
    assert_eq!(counted, 3);
}

#[test]
fn cancelling_stops_at_once_and_records_nothing_half_done() {
    let cancel = AtomicBool::new(false);
    let player = counting(|target, turn| (target > 3 && turn == 0).then(|| Move::Wait(Duration::from_secs(60))));
    let mut seen = 0;
    let mut count = |_: &Episode| {
        seen += 1;
        cancel.store(seen == 3, Ordering::Relaxed);
    };
    let hooks = Hooks {
        on_episode: Some(&mut count),
        cancel: Some(&cancel),
        ..Hooks::default()
    };
    let start = Instant::now();
    let episodes = rollout(true, player, 8).run(&jobs(1..20, 1), hooks).unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "it did not wait for the model"
    );
    assert_eq!((episodes.len(), seen), (3, 3));
    assert!(episodes.iter().all(Episode::succeeded));
}

#[test]
fn mistakes_in_the_jobs_are_found_before_anything_runs() {
    let run =
        |jobs: &[Job]| rollout(true, Player::Shared(puppet(|_, _, _| unreachable!())), 2).run(jobs, Hooks::default());
    assert!(matches!(run(&jobs(5000..5001, 1)), Err(RolloutError::Task(_))));
    let twice = [jobs(1..2, 2), jobs(1..2, 1)].concat();
    assert_eq!(
        run(&twice).unwrap_err().to_string(),
        "two jobs ask for episode rl/1/1/0; give each job a group of its own"
    );
    assert!(run(&[]).unwrap().is_empty());
    let mut broken = Toy::new(true);
    Arc::make_mut(&mut broken.specs)[0].input_schema = json!({"type": "objekt"});
    let mut rollout = rollout(true, counting(|_, _| None), 1);
    rollout.taskset = Arc::new(broken);
    assert!(matches!(
        rollout.run(&jobs(1..2, 1), Hooks::default()),
        Err(RolloutError::Schema(_))
    ));
}

/// Figures, not a check: `cargo test --release -p hone-rollout -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn episodes_per_second() {
    let counting_up = || counting(|_, turn| (turn < 3).then(|| call("add", json!({"by": 1}))));
    for (inline, concurrency, samples) in [(true, 1, 20), (true, 64, 20), (false, 1, 2), (false, 64, 2)] {
        let rollout = rollout(inline, counting_up(), concurrency);
        let start = Instant::now();
        let episodes = rollout.run(&jobs(1..500, samples), Hooks::default()).unwrap();
        let rate = episodes.len() as f64 / start.elapsed().as_secs_f64();
        println!("4 turns, 3 calls each; inline {inline}, concurrency {concurrency}: {rate:.0} episodes/s");
    }
}
