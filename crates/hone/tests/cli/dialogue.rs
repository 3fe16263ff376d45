//! Tasks with a simulated user, through the program: played, trained on, replayed, and with a model as the user.

use crate::support::Place;
use crate::support::server::{Answer, Asked, Server, chat};
use hone_trace::{EndReason, Episode, Filter, Store, StoreError};
use std::path::Path;

fn episodes(place: &Place, run: &str, phase: &str) -> Vec<Episode> {
    let store = Store::open_read_only(place.path(run).join("run.db")).unwrap();
    let mut all = Vec::new();
    let keep = |episode| -> Result<(), StoreError> {
        all.push(episode);
        Ok(())
    };
    store.for_each(&Filter::phase(phase), keep).unwrap();
    all
}

#[test]
fn only_the_agent_learns_from_its_talk_with_the_customer() {
    let place = Place::new();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let text = format!(
        r#"kind = "agent"
name = "talk"
about = "a dialogue in miniature"
seed = 3
taskset = "shop-dialogue"
base = "{}"
max_answer_tokens = 24

[demonstrations]
script = "expert"
episodes = 60

[sft]
steps = 30
batch_tokens = 1024
lr = {{ peak = 3e-3 }}

[rl]
method = "mua-rl"
steps = 1
tasks = 2
samples = 3
updates = 1
lr = {{ peak = 1e-4 }}
checkpoint_every = 1

[eval]
tasks = 3
validation_tasks = 2
baselines = ["expert"]
sft_matched = false
"#,
        base.display()
    );
    std::fs::write(place.path("talk.toml"), text).unwrap();
    let made = place.ok("train talk.toml --out run --json").json();
    assert_eq!(made["success"]["expert"], 1.0, "{made}");
    for (phase, count) in [("demonstrations", 60), ("rl", 6)] {
        let all = episodes(&place, "run", phase);
        assert_eq!(all.len(), count);
        for episode in &all {
            assert_eq!(episode.harness, "dialogue");
            assert!(episode.counts(), "{:?}", episode.outcome);
            let (own, customers): (Vec<_>, Vec<_>) = episode.model_calls.iter().partition(|call| call.role == "agent");
            assert!(!own.is_empty() && customers.iter().all(|call| call.policy == "script:customer"));
            let words: usize = own.iter().map(|call| call.output.len()).sum();
            if phase == "rl" {
                let learnt = hone_train::rollout(episode).unwrap();
                let [row] = learnt.rows.as_slice() else {
                    panic!("{} rows", learnt.rows.len())
                };
                assert_eq!((learnt.sampled(), episode.sampled_tokens() as usize), (words, words));
                let trained = row
                    .ids
                    .iter()
                    .zip(&row.mask)
                    .filter(|(_, mask)| **mask)
                    .map(|(id, _)| *id);
                let sampled = own.iter().flat_map(|call| call.output.iter().copied());
                assert!(trained.eq(sampled));
            } else {
                let examples = hone_train::demonstration(episode).unwrap();
                let [example] = examples.as_slice() else {
                    panic!("{} examples", examples.len())
                };
                assert_eq!(example.targets.len(), words);
                assert!(
                    example.ids.len() < 448,
                    "the nano base has 512 positions: {}",
                    example.ids.len()
                );
            }
        }
    }
}

/// What a model does that follows its instructions.
fn customer(asked: &Asked) -> Answer {
    let messages = asked.body["messages"].as_array().unwrap();
    let (told, heard) = (messages[0]["content"].as_str().unwrap(), messages.last().unwrap());
    let between = |start: &str, end: &str| told.split(start).nth(1).unwrap().split(end).next().unwrap();
    match heard["content"].as_str().unwrap() {
        text if text.starts_with("hello") => chat(between("Answer its greeting with: ", "\n"), &[]),
        text if text.contains("please") => chat(between("You also know: ", ". Tell"), &[]),
        _ => chat("###STOP###", &[]),
    }
}

#[test]
fn a_model_can_play_the_customer() {
    let place = Place::new();
    let server = Server::start(customer);
    let eval = format!(
        "eval shop-dialogue --model gold --user {}#m --n 8 --no-baselines --out a --json",
        server.url
    );
    let summary = place.ok(&eval).json();
    assert_eq!(summary["outcomes"]["ok"], 8, "{summary}");
    let all = episodes(&place, "a", "eval");
    assert!(all.iter().all(|episode| episode.end == EndReason::Answered));
    // It never sees the agent's calls and results.
    assert!(server.asked().iter().all(|asked| !asked.roles().contains(&"tool")));
    place.ok("trace replay a");
    place.fails(
        "eval shop --model gold --user script:customer --n 1",
        1,
        &["no simulated users"],
    );
}
