//! `hone bench methods` in miniature.

use crate::support::Place;
use std::path::Path;

fn world(place: &Place) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let text = format!(
        r#"kind = "agent"
name = "tiny"
about = "a world in miniature"
seed = 0
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
steps = 1
tasks = 4
samples = 4
updates = 2
lr = {{ peak = 1e-4 }}
validate_every = 1
checkpoint_every = 5

[eval]
tasks = 8
validation_tasks = 4
baselines = []
sft_matched = false
"#,
        base.display()
    );
    std::fs::write(place.path("tiny.toml"), text).unwrap();
}

#[test]
fn methods_start_alike_spend_alike_and_are_not_trained_twice() {
    let place = Place::new();
    world(&place);
    let call = "bench methods --world tiny.toml --methods rloo,prefix_tree,hdpo --seeds 2 --budget 1500 --jobs 2 --out all --json";
    let report = place.ok(call).json();
    let methods = report["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 3);
    for method in methods {
        for seed in ["0", "1"] {
            let run = &method["runs"][seed];
            let tokens = run["sampled_tokens"].as_f64().unwrap();
            // The step that reaches the budget is the last.
            let steps = run["steps"].as_f64().unwrap();
            assert!(
                tokens >= 1500.0 && tokens * (steps - 1.0) / steps < 1500.0 * 1.5,
                "{run}"
            );
            for measure in [
                "success",
                "success_sampled",
                "learning",
                "entropy",
                "tokens",
                "seconds",
                "rollouts",
            ] {
                assert!(run[measure].is_number(), "{measure} in {run}");
            }
        }
        assert!(method["means"]["success"]["lo"].is_number(), "{method}");
    }
    // Runs of a seed meet the same tasks: the first step's are the same tasks, behind those of the demonstrations.
    let tasks = |run: &str| {
        let listed = place
            .ok(&format!("trace ls all/runs/{run} --phase rl/0 --json"))
            .json_lines();
        let mut tasks: Vec<String> = listed
            .iter()
            .map(|it| it["task"].as_str().unwrap().to_owned())
            .collect();
        tasks.dedup();
        tasks
    };
    assert_eq!(tasks("rloo/0")[0], "train/200");
    assert_eq!(tasks("rloo/1"), tasks("prefix_tree/1"));
    assert_ne!(tasks("rloo/0"), tasks("rloo/1"));
    // HDPO's claim is beside grpo, which was not asked for.
    let claims = report["claims"].as_array().unwrap();
    assert_eq!((claims.len(), &claims[0]["answer"]), (1, &"not asked".into()));
    assert!(place.path("all/report.html").is_file() && place.path("all/runs/hdpo/1/report.html").is_file());
    // A second call makes nothing, and says the same.
    let made = |run: &str| {
        std::fs::metadata(place.path("all/runs").join(run).join("run.db"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = made("rloo/0");
    assert_eq!(place.ok(call).json(), report);
    assert_eq!(made("rloo/0"), before);
    place.fails(
        &call.replace("--budget 1500", "--budget 1600"),
        1,
        &["other settings", "--out"],
    );
    place.fails(
        "bench methods --world tiny.toml --methods grppo --out x",
        1,
        &["grppo", "hone train methods"],
    );
}
