//! How sure an agent is: asked, recorded, measured, trained.

use crate::support::Place;
use hone_trace::{CONFIDENCE, Episode, Filter, Store, StoreError};
use serde_json::Value;
use std::path::Path;

fn recipe(place: &Place, confidence: bool) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let text = format!(
        r#"kind = "agent"
name = "sure"
about = "an honest word in miniature"
seed = 3
taskset = "shop"
confidence = {confidence}
base = "{}"

[demonstrations]
script = "expert"
episodes = 60

[sft]
steps = 40
batch_tokens = 1024
lr = {{ peak = 3e-3 }}

[rl]
method = "rlcr"
steps = 1
tasks = 2
samples = 3
updates = 1
lr = {{ peak = 1e-4 }}
checkpoint_every = 1

[eval]
tasks = 4
validation_tasks = 2
baselines = []
sft_matched = false
"#,
        base.display()
    );
    std::fs::write(place.path("sure.toml"), text).unwrap();
}

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

/// The event, which there is once.
fn said(episode: &Episode) -> &Value {
    let mut events = episode.events.iter().filter(|event| event.kind == CONFIDENCE);
    let event = events.next().unwrap();
    assert!(events.next().is_none());
    &event.detail
}

#[test]
fn an_agent_is_asked_how_sure_it_is_and_learns_and_is_measured_by_its_answer() {
    let place = Place::new();
    recipe(&place, true);
    place.ok("train sure.toml --out run");
    // Every demonstration names some number.
    let shown = episodes(&place, "run", "demonstrations");
    let named: Vec<f64> = shown.iter().filter_map(Episode::confidence).collect();
    assert_eq!(named.len(), shown.len());
    assert!(named.iter().any(|q| *q != named[0]), "{named:?}");
    for episode in episodes(&place, "run", "rl") {
        let rollout = hone_train::rollout(&episode).unwrap();
        assert_eq!(rollout.parts["confidence"], episode.confidence().unwrap_or(-1.0));
        let Some(asked) = said(&episode)["model_call"].as_u64() else {
            continue;
        };
        // The last call, no turn, and learnt.
        assert_eq!(asked as usize, episode.model_calls.len() - 1);
        let calls: usize = episode.model_calls.iter().map(|call| call.output.len()).sum();
        assert_eq!(rollout.sampled(), calls);
        assert!(rollout.turns < episode.model_calls.len() as u32);
    }
    let json = place
        .ok("eval shop --model run/model --confidence --n 12 --no-baselines --out told --json")
        .json();
    let stated = json["metrics"]["confidence_stated"].as_f64().unwrap();
    assert!(stated > 0.5, "{json}");
    let calibration = &json["calibration"];
    assert_eq!(calibration["n"].as_f64().unwrap(), stated * 12.0, "{calibration}");
    assert_eq!(calibration["ece"], json["metrics"]["ece"]);
    let bins = calibration["reliability"].as_array().unwrap();
    assert_eq!(
        bins.iter().map(|bin| bin["n"].as_u64().unwrap()).sum::<u64>(),
        calibration["n"].as_u64().unwrap()
    );
    let metrics = json["metrics"].as_object().unwrap();
    assert!(metrics.keys().any(|name| name.starts_with("ece/")), "{metrics:?}");
    let all = episodes(&place, "told", "eval");
    assert_eq!(all.iter().map(said).count(), 12);
}

#[test]
fn what_needs_a_confidence_is_refused_where_nobody_is_asked() {
    let place = Place::new();
    recipe(&place, false);
    place.fails(
        "train sure.toml --dry-run",
        1,
        &["parts.calibration", "confidence = true"],
    );
}
