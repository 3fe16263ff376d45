//! The categories as tasksets, played by their scripts through the real loop.

mod common;

use common::data_dir;
use hone_bfcl::multi_turn::Lexical;
use hone_bfcl::{Bfcl, Category, DEFECTS, Harm};
use hone_env::{Split, Task, Taskset};
use hone_harness::React;
use hone_model::{Model, Scripted, train_tokenizer};
use hone_rollout::{Hooks, Job, Player, Rollout, ToolSource};
use hone_tool::ApprovalPolicy;
use hone_trace::{Episode, Outcome, SamplingSettings, Stream};
use std::collections::BTreeMap;
use std::sync::Arc;

fn load(name: &str) -> Option<Arc<dyn Taskset>> {
    match Bfcl::load(name, &data_dir(), Arc::new(Lexical)) {
        Ok(taskset) => Some(Arc::new(taskset)),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: this test plays the real tasks, and {error}");
            None
        }
    }
}

/// Episodes of a script on the first `n` tasks.
fn play(taskset: &Arc<dyn Taskset>, name: &'static str, n: u64) -> Vec<Episode> {
    let codec =
        train_tokenizer(["call the function", "[name(parameter=value)]"], 512).and_then(|c| c.with_several_calls());
    let codec = Arc::new(codec.expect("a tokenizer"));
    let scripts = taskset.clone();
    let player = move |task: &Task, _: u32, stream: &Stream| {
        let script = scripts.script(name, task, stream).expect("the script is on offer");
        Arc::new(Scripted::new("script", script, codec.clone())) as Arc<dyn Model>
    };
    let rollout = Rollout {
        budget: taskset.budget(),
        taskset: taskset.clone(),
        player: Player::PerEpisode(Arc::new(player)),
        user: None,
        judge: None,
        harness: Arc::new(React),
        sampling: SamplingSettings {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens: 0,
            stream: String::new(),
            ..SamplingSettings::default()
        },
        approval: Arc::new(ApprovalPolicy::AllowAll),
        tools: ToolSource::default(),
        forking: None,
        seed: 0,
        phase: "test".into(),
        concurrency: 8,
    };
    let len = taskset.len(Split::Test).expect("an end");
    let job = |index| Job {
        split: Split::Test,
        index,
        group: index,
        samples: 0..1,
    };
    let jobs: Vec<_> = (0..len.min(n)).map(job).collect();
    rollout.run(&jobs, Hooks::default()).expect("episodes")
}

/// Successes and tries by category, of episodes that all count.
fn tally(episodes: &[Episode]) -> BTreeMap<String, (u64, u64)> {
    let mut tally = BTreeMap::new();
    for episode in episodes {
        let infra = matches!(episode.outcome, Outcome::InfraFailed { .. });
        assert!(
            !infra,
            "{} of {}: {:?}",
            episode.task, episode.task_kind, episode.outcome
        );
        let (ok, n) = tally.entry(episode.task_kind.clone()).or_insert((0, 0));
        *ok += u64::from(episode.succeeded());
        *n += 1;
    }
    tally
}

fn impossible(category: Category) -> u64 {
    let of = |id: &str| id.rsplit_once('_').map_or("", |(name, _)| name) == category.name();
    DEFECTS
        .iter()
        .filter(|d| d.harm == Harm::Impossible && of(d.id))
        .count() as u64
}

fn gold_and_nothing(name: &str) {
    let Some(taskset) = load(name) else { return };
    let gold = tally(&play(&taskset, "gold", u64::MAX));
    for (kind, (ok, n)) in &gold {
        let category = Category::of(kind).expect("a category");
        assert_eq!(*ok, n - impossible(category), "gold of {kind}");
    }
    // Prompted or not, nothing is the same.
    if name.starts_with("bfcl-prompt") {
        return;
    }
    for (kind, (ok, n)) in tally(&play(&taskset, "do_nothing", u64::MAX)) {
        let right = matches!(
            Category::of(&kind),
            Some(Category::Irrelevance | Category::LiveIrrelevance)
        );
        assert_eq!(ok, if right { n } else { 0 }, "nothing of {kind}");
    }
}

#[test]
fn single_turn_functions_as_tools() {
    gold_and_nothing("bfcl:single_turn");
}

#[test]
fn single_turn_functions_as_text() {
    gold_and_nothing("bfcl-prompt:single_turn");
}

#[test]
fn multi_turn_functions_as_tools() {
    gold_and_nothing("bfcl:multi_turn");
}

#[test]
fn multi_turn_functions_as_text() {
    gold_and_nothing("bfcl-prompt:multi_turn");
}

#[test]
fn memory() {
    gold_and_nothing("bfcl:memory");
    gold_and_nothing("bfcl-prompt:memory_rec_sum");
}

#[test]
fn chance_gets_little_and_breaks_nothing() {
    for name in [
        "bfcl:single_turn",
        "bfcl:multi_turn",
        "bfcl:memory",
        "bfcl-prompt:multi_turn",
    ] {
        let Some(taskset) = load(name) else { return };
        let tally = tally(&play(&taskset, "random", 300));
        let called = tally
            .iter()
            .filter(|(kind, _)| !kind.contains("irrelevance") && *kind != "live_relevance");
        let (ok, n) = called.fold((0, 0), |(a, b), (_, (ok, n))| (a + ok, b + n));
        assert!(n > 0 && ok * 20 < n, "{ok} of {n}");
    }
}

#[test]
fn a_suite_names_what_was_not_played() {
    let Some(taskset) = load("bfcl:all") else { return };
    let perfect = Category::ALL
        .iter()
        .map(|category| (category.name().to_owned(), (10, 10)))
        .collect();
    let whole = taskset.aggregate(&perfect);
    assert_eq!(whole.numbers[0].0, "bfcl/overall");
    assert!((whole.numbers[0].1 - 1.0).abs() < 1e-12);
    let half = [("simple_python".to_owned(), (5, 10))].into_iter().collect();
    let half = taskset.aggregate(&half);
    assert!((half.numbers[0].1 - 0.1 * 0.25 * (0.5 / 3.0)).abs() < 1e-12);
    for name in ["web_search_base", "simple_java", "multi_turn_base"] {
        assert!(half.missing.iter().any(|missing| missing == name), "{name}");
    }
}

#[test]
fn names_are_found_or_refused_with_the_list() {
    if load("bfcl:simple_python").is_none() {
        return;
    }
    let error = |name: &str| {
        Bfcl::load(name, &data_dir(), Arc::new(Lexical))
            .err()
            .expect("an error")
            .to_string()
    };
    assert!(error("bfcl:simple").contains("simple_python"));
    assert!(error("bfcl:web_search_base").contains("web search"));
    assert_eq!(load("bfcl:simple_python").and_then(|t| t.len(Split::Test)), Some(400));
    assert_eq!(load("bfcl:simple_python").and_then(|t| t.len(Split::Train)), Some(0));
}
