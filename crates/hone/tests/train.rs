//! Training through the program: the nano base, the shop, demonstrations, cold start, reinforcement; stopped and resumed.

mod support;

use hone_trace::{Filter, Store};
use std::path::Path;
use std::time::{Duration, Instant};
use support::Place;

/// A whole run in miniature: every phase, seconds long.
fn recipe(place: &Place) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let text = format!(
        r#"kind = "agent"
name = "small"
about = "a run in miniature"
seed = 3
taskset = "shop"
base = "{}"

[demonstrations]
script = "over_eager"
episodes = 200

[sft]
steps = 12
batch_tokens = 1024
lr = {{ peak = 2e-3 }}

[rl]
method = "grpo"
steps = 4
tasks = 4
samples = 4
updates = 2
lr = {{ peak = 1e-4 }}
focus = 0.5
validate_every = 2
checkpoint_every = 2

[eval]
tasks = 10
validation_tasks = 5
baselines = ["do_nothing", "expert"]
sft_matched = true
"#,
        base.display()
    );
    std::fs::write(place.path("small.toml"), text).unwrap();
}

#[test]
fn a_run_gives_its_figures_its_report_and_the_same_record_on_any_number_of_threads() {
    let place = Place::new();
    recipe(&place);
    let figures = place.ok("train small.toml --out two --threads 2 --json").json();
    for name in ["before", "sft", "rl", "sft_matched", "do_nothing", "expert"] {
        assert!(figures["success"][name].is_f64(), "{name} in {figures}");
    }
    assert_eq!(
        (&figures["success"]["expert"], &figures["n_heldout"]),
        (&1.0.into(), &10.into())
    );
    assert!(figures["sampled_tokens"].as_u64().unwrap() > 100);
    for file in [
        "report.html",
        "metrics.csv",
        "result.json",
        "model/config.json",
        "model/tokenizer.json",
    ] {
        assert!(place.path("two").join(file).is_file(), "{file} is missing");
    }
    place.ok("train small.toml --out one --threads 1");
    assert_eq!(place.digest("two"), place.digest("one"));
    // The trained model is a model like any other.
    let summary = place.ok("eval shop --model two/model --n 10 --out again --json").json();
    assert_eq!(summary["success"], figures["success"]["rl"]);
}

#[test]
fn a_killed_run_resumes_to_the_record_of_one_that_was_not() {
    let place = Place::new();
    recipe(&place);
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("hone"))
        .args(["train", "small.toml", "--out", "killed"])
        .current_dir(place.dir.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Kill it in the middle of reinforcement: after the first checkpoint, with a step played beyond it.
    let path = place.path("killed/run.db");
    let begun = || {
        let played = |s: Store| s.episodes(&Filter::phase("rl/2")).is_ok_and(|e| !e.is_empty());
        Store::open_read_only(&path).is_ok_and(played)
    };
    let patience = Instant::now() + Duration::from_secs(300);
    while !begun() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        assert!(Instant::now() < patience, "reinforcement did not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    place.ok("train --resume killed");
    place.ok("train small.toml --out whole");
    assert_eq!(place.digest("killed"), place.digest("whole"));
}

#[test]
fn a_recipe_is_checked_before_anything_runs() {
    let place = Place::new();
    recipe(&place);
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    for (from, to, words) in [
        (
            "samples = 4",
            "sampels = 4",
            vec!["bad.toml:21:", "unknown field `sampels`"],
        ),
        (
            "samples = 4",
            "samples = 1",
            vec!["bad.toml:21:", "rl.samples", "between 2"],
        ),
        ("\"shop\"", "\"shoop\"", vec!["shoop", "shop"]),
        ("\"over_eager\"", "\"over_eagre\"", vec!["over_eagre", "over_eager"]),
        ("models/nano", "models/gone", vec!["models/gone", "--base"]),
    ] {
        assert!(text.contains(from));
        std::fs::write(place.path("bad.toml"), text.replacen(from, to, 1)).unwrap();
        place.fails("train bad.toml --out bad", 1, &words);
        assert!(!place.path("bad").join("run.db").exists(), "{to}");
        std::fs::remove_dir_all(place.path("bad")).ok();
    }
    let plan = place.ok("train small.toml --dry-run");
    assert!(
        plan.stdout.contains("method = \"grpo\"") && plan.stderr.contains("64 rollouts"),
        "{}",
        plan.stderr
    );
    assert!(!place.path("runs").exists());
    place.fails("train nothing.toml", 1, &["nothing.toml"]);
    place.fails("train --resume nowhere", 1, &["nowhere"]);
}
