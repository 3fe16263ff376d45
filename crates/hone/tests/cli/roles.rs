//! A planner that learns among helpers, and rollouts without tools beside the others, through the program.

use crate::support::Place;
use hone_trace::{Episode, Filter, Store};
use serde_json::json;
use std::path::Path;

fn recipe(place: &Place, taskset: &str, roles: &str) {
    write(
        place,
        taskset,
        &format!("[roles]\n{roles}"),
        "method = \"flow-grpo-paper\"",
    );
}

fn write(place: &Place, taskset: &str, roles: &str, rl: &str) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let text = format!(
        r#"kind = "agent"
name = "team"
about = "a planner in miniature"
seed = 3
taskset = "{taskset}"
base = "{}"

{roles}

[demonstrations]
script = "over_eager"
episodes = 40

[sft]
steps = 8
batch_tokens = 1024
lr = {{ peak = 2e-3 }}

[rl]
{rl}
steps = 2
tasks = 2
samples = 3
updates = 1
lr = {{ peak = 1e-4 }}
checkpoint_every = 2

[eval]
tasks = 3
validation_tasks = 2
baselines = ["expert"]
sft_matched = false
"#,
        base.display()
    );
    std::fs::write(place.path("team.toml"), text).unwrap();
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

#[test]
fn only_the_planner_learns_and_every_turn_of_it_is_a_row_with_the_outcome() {
    let place = Place::new();
    recipe(&place, "shop", "max_steps = 7");
    let made = place.ok("train team.toml --out run --json").json();
    // A planner that makes no mistake solves every task with these helpers.
    assert_eq!(made["success"]["expert"], 1.0, "{made}");
    let all = rollouts(&place, "run");
    assert_eq!(all.len(), 2 * 2 * 3);
    let mut trained = 0;
    for episode in &all {
        let of = |role: &str| episode.model_calls.iter().filter(|call| call.role == role).count();
        let learnt = hone_train::rollout(episode).unwrap();
        assert!((1..=7).contains(&of("agent")), "{}", of("agent"));
        assert_eq!((learnt.rows.len(), learnt.turns as usize), (of("agent"), of("agent")));
        let own = episode.model_calls.iter().filter(|call| call.role == "agent");
        let own: usize = own.map(|call| call.output.len()).sum();
        assert_eq!(learnt.sampled(), own);
        trained += own as u64;
        assert!(
            episode
                .model_calls
                .iter()
                .all(|call| call.role == "agent" || call.policy == "script:rules")
        );
    }
    assert_eq!(all.iter().map(Episode::sampled_tokens).sum::<u64>(), trained);
    let explained = place.ok("train explain run --step 0 --json").json();
    let rows = explained["stages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["stage"] == "rows")
        .unwrap();
    let first: usize = all
        .iter()
        .filter(|it| it.phase == "rl/0")
        .map(|it| it.model_calls.iter().filter(|call| call.role == "agent").count())
        .sum();
    assert_eq!(rows["kept"], json!(first), "{rows}");
}

#[test]
fn a_role_that_nobody_plays_is_refused() {
    let place = Place::new();
    recipe(&place, "shop", "verifier = \"script:nobody\"");
    place.fails(
        "train team.toml --dry-run",
        1,
        &["roles.verifier", "nobody", "script:rules"],
    );
    recipe(&place, "shop", "generator = \"replay:run\"");
    place.fails("train team.toml --dry-run", 1, &["roles.generator", "a model"]);
    place.ok("init mine");
    recipe(&place, "mine", "");
    place.fails(
        "train team.toml --dry-run",
        1,
        &["no script for the executor", "roles.executor"],
    );
}

#[test]
fn rollouts_without_tools_stand_beside_the_others_and_a_step_is_explained() {
    let place = Place::new();
    // A rollout counts as right here if a call or an answer of it was any good.
    let rl = "method = \"akbe-paper\"\nno_tools = 2\nmicro_batch = 2\n\
              override = { parts = { paired = { correct = \"shop.valid_calls\" } }, objective = { aggregation = { scope = \"micro\" } } }";
    write(&place, "shop", "", rl);
    place.ok("train team.toml --out run");
    let all = rollouts(&place, "run");
    let alone: Vec<&Episode> = all.iter().filter(|it| it.harness == "no_tools").collect();
    assert_eq!((all.len(), alone.len()), (2 * 2 * 5, 2 * 2 * 2));
    for episode in alone {
        assert!(
            episode.tool_calls.iter().all(|call| call.error.is_some()),
            "{:?}",
            episode.tool_calls
        );
        assert_eq!(episode.model_calls.len(), 1);
        assert_eq!(
            hone_train::rollout(episode).unwrap().variant.as_deref(),
            Some("no_tools")
        );
        assert!(episode.sample >= 3 && episode.sample < 5);
    }
    let explained = place.ok("train explain run --step 1 --json").json();
    let stages = explained["stages"].as_array().unwrap();
    let paired = stages
        .iter()
        .find(|it| it["part"] == "paired" && it["stage"] == "rows")
        .unwrap();
    let count: u64 = ["capability", "efficiency", "hallucination", "unknown"]
        .iter()
        .map(|name| paired["values"]["categories"][*name].as_u64().unwrap())
        .sum();
    assert_eq!(count, 2, "{paired}");
    let metrics = std::fs::read_to_string(place.path("run/metrics.csv")).unwrap();
    let find = |name: &str| -> f64 {
        let start = format!("1,rl,{name},");
        let line = metrics.lines().find_map(|line| line.strip_prefix(start.as_str()));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    };
    let loss = explained["loss"].as_f64().unwrap();
    assert!((loss - find("loss")).abs() < 1e-6, "{loss} {}", find("loss"));
    assert!((0.0..=1.0).contains(&find("success_without_tools")));
}
