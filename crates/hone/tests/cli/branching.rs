//! Rollouts that fork from each other, through the program.

use crate::support::Place;
use hone_trace::{Episode, Filter, Store};
use std::collections::BTreeMap;
use std::path::Path;

fn recipe(place: &Place, branch: &str) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let text = format!(
        r#"kind = "agent"
name = "forks"
about = "a run in miniature whose rollouts fork"
seed = 3
taskset = "shop"
base = "{}"

[demonstrations]
script = "over_eager"
episodes = 300

[sft]
steps = 25
batch_tokens = 1024
lr = {{ peak = 2e-3 }}

[rl]
method = "arpo-hard-paper"
steps = 2
tasks = 3
samples = 5
updates = 1
lr = {{ peak = 1e-4 }}
checkpoint_every = 2

[rl.override]
reward = {{ terms = [{{ part = "shop.calls", weight = 1 }}] }}
parts = {{ multi_tool = false }}

[rl.branch]
probe = {{ tokens = 20, reduce = "sum" }}
{branch}

[eval]
tasks = 2
validation_tasks = 2
baselines = []
sft_matched = false
"#,
        base.display()
    );
    std::fs::write(place.path("forks.toml"), text).unwrap();
}

fn rollouts(place: &Place, run: &str) -> Vec<Episode> {
    let store = Store::open_read_only(place.path(run).join("run.db")).unwrap();
    let mut all = Vec::new();
    store
        .for_each(&Filter::phase("rl"), |episode| -> Result<(), hone_trace::StoreError> {
            all.push(episode);
            Ok(())
        })
        .unwrap();
    all
}

/// Whether a forked rollout has its parent's calls up to the fork, and goes on by itself after it.
fn check(leaf: &Episode, by_id: &BTreeMap<&str, &Episode>) {
    let Some(fork) = &leaf.forked_from else { return };
    let parent = by_id[fork.episode.as_str()];
    assert_eq!(
        (leaf.group, &leaf.phase, &leaf.task),
        (parent.group, &parent.phase, &parent.task)
    );
    let shared = fork.model_call as usize;
    assert!(shared > 0 && fork.snapshot.len() > 8, "{fork:?}");
    assert_eq!(leaf.model_calls[..shared], parent.model_calls[..shared]);
    for (own, theirs) in leaf.tool_calls.iter().zip(&parent.tool_calls) {
        if own.model_call.is_some_and(|call| call < fork.model_call) {
            assert_eq!(
                (&own.tool, &own.arguments, &own.shown),
                (&theirs.tool, &theirs.arguments, &theirs.shown)
            );
        }
    }
}

#[test]
fn leaves_are_counted_exactly_and_share_what_was_sampled_once() {
    let place = Place::new();
    // Every rollout forks at its first tool's answer, for as long as the group is short of leaves.
    recipe(
        &place,
        "roots = 2\nwhen = { rule = \"noise\", p0 = 1.0, w = 0.0 }\nsegment = \"before_result\"",
    );
    place.ok("train forks.toml --out two --threads 2");
    place.ok("train forks.toml --out one --threads 1");
    assert_eq!(place.digest("two"), place.digest("one"));
    let all = rollouts(&place, "two");
    let by_id: BTreeMap<&str, &Episode> = all.iter().map(|it| (it.id.as_str(), it)).collect();
    assert_eq!((all.len(), by_id.len()), (2 * 3 * 5, 2 * 3 * 5));
    all.iter().for_each(|leaf| check(leaf, &by_id));
    let forked = all.iter().filter(|it| it.forked_from.is_some()).count();
    assert!(forked >= 6, "{forked}");
    // The budget of tokens counts what leaves share once; their training rows all hold it.
    let own: u64 = all.iter().map(Episode::own_sampled_tokens).sum();
    let whole: u64 = all.iter().map(Episode::sampled_tokens).sum();
    let text = std::fs::read(place.path("two/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(state["sampled_tokens"], own);
    assert!(own < whole);
    // Shared tokens have one advantage, the mean of their leaves', and the record explains each step.
    for step in 0..2 {
        let explained = place.ok(&format!("train explain two --step {step} --json")).json();
        let stages = explained["stages"].as_array().unwrap();
        let tree = stages.iter().find(|it| it["part"] == "tree").unwrap();
        assert!(tree["values"]["shared_tokens"].as_u64().unwrap() > 0, "{tree}");
        let metrics = std::fs::read_to_string(place.path("two/metrics.csv")).unwrap();
        let start = format!("{step},rl,loss,");
        let loss: f64 = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            (explained["loss"].as_f64().unwrap() - loss).abs() < 1e-6,
            "{loss} {}",
            explained["loss"]
        );
    }
}

#[test]
fn a_trial_sets_the_roots_and_forks_take_the_turn_anew() {
    let place = Place::new();
    recipe(
        &place,
        "roots = { beta = 0.5 }\nwhen = { rule = \"penalised_noise\", w = 0.2, penalty = 0.05 }",
    );
    place.ok("train forks.toml --out run --threads 2");
    let all = rollouts(&place, "run");
    let by_id: BTreeMap<&str, &Episode> = all.iter().map(|it| (it.id.as_str(), it)).collect();
    assert_eq!(by_id.len(), 2 * 3 * 5);
    all.iter().for_each(|leaf| check(leaf, &by_id));
    let fork = all.iter().find_map(|it| it.forked_from.as_ref().map(|fork| (it, fork)));
    let (leaf, fork) = fork.expect("nothing forked");
    // Both took the turn after the tool's answer, each its own one.
    assert!(leaf.model_calls.len() > fork.model_call as usize);
    assert!(by_id[fork.episode.as_str()].model_calls.len() > fork.model_call as usize);
    assert!(
        leaf.events.iter().any(|event| event.kind == "forked"),
        "{:?}",
        leaf.events
    );
}

#[test]
fn what_cannot_fork_is_refused() {
    let place = Place::new();
    recipe(&place, "roots = 6\nwhen = { rule = \"noise\", p0 = 0.5, w = 0.2 }");
    place.fails("train forks.toml --dry-run", 1, &["rl.branch.roots", "between 1 and 5"]);
    recipe(&place, "roots = 2\nwhen = { rule = \"noise\", p0 = 0.5, w = 0.2 }");
    place.ok("init mine");
    let text = std::fs::read_to_string(place.path("forks.toml")).unwrap();
    let text = text.replacen("taskset = \"shop\"", "taskset = \"mine\"", 1).replacen(
        "script = \"over_eager\"",
        "script = \"expert\"",
        1,
    );
    std::fs::write(place.path("mine.toml"), text).unwrap();
    place.fails(
        "train mine.toml --dry-run",
        1,
        &["rl.branch", "cannot fork", "cannot be copied"],
    );
}
