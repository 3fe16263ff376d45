//! Rules for tool calls, from the command line on.

use crate::support::Place;
use serde_json::{Value, json};

/// Lets look-ups through and ends the episode at anything else.
const READS: &str = r#"
[[rule]]
read_only = true
action = "approve"

[[rule]]
action = "terminate"
message = "look-ups only"
"#;

fn approvals(episode: &Value) -> Vec<(&str, &str)> {
    let calls = episode["tool_calls"].as_array().unwrap();
    let of = |call: &'_ Value, key: &str| -> String { call[key].as_str().unwrap_or_default().to_owned() };
    calls
        .iter()
        .map(|call| {
            let by = call["decision"]["by"].as_str().unwrap_or("nobody");
            assert!(!of(call, "approval").is_empty());
            (call["approval"].as_str().unwrap(), by)
        })
        .collect()
}

#[test]
fn a_policy_decides_and_the_record_says_who() {
    let place = Place::new();
    std::fs::write(place.path("reads.toml"), READS).unwrap();
    let run = "run shop --task test/3 --model script:expert --json";
    let free = place.ok(run).json();
    assert!(
        approvals(&free).iter().all(|call| *call == ("allowed", "nobody")),
        "{free}"
    );
    let bound = place.ok(&format!("{run} --policy reads.toml")).json();
    let decided = approvals(&bound);
    assert_eq!(bound["end"], "terminated");
    assert_eq!(decided.last(), Some(&("terminated", "rule 2")));
    assert!(
        decided.len() > 1
            && decided[..decided.len() - 1]
                .iter()
                .all(|call| *call == ("allowed", "rule 1"))
    );
    assert_eq!(
        bound["tool_calls"].as_array().unwrap().last().unwrap()["shown"],
        "error: look-ups only"
    );
    // The same rules, of a run that is resumed with those that it began with.
    let first = place.ok("eval shop --model script:expert --n 3 --no-baselines --policy reads.toml --out a --json");
    assert_eq!(first.json()["outcomes"]["infra_failed"], 0);
    std::fs::remove_file(place.path("reads.toml")).unwrap();
    place.ok("eval --resume a --no-baselines");
    place.fails("eval --resume a --policy b.toml", 2, &["--policy"]);
}

#[test]
fn without_a_terminal_nobody_can_say_yes() {
    let place = Place::new();
    let said = place.ok("run shop --task test/3 --model script:expert --approve ask --json");
    let episode = said.json();
    assert!(approvals(&episode).iter().all(|call| call.0 == "denied"), "{episode}");
    assert!(said.stderr.contains("no terminal to ask in"), "{}", said.stderr);
    place.fails(
        "run shop --task test/3 --model script:expert --approve save",
        1,
        &["nothing of `hone run` is recorded"],
    );
}

#[test]
fn mistakes_in_a_policy_are_named_before_anything_runs() {
    let place = Place::new();
    std::fs::write(
        place.path("p.toml"),
        "[[rule]]\naction = \"approve\"\n[[rule]]\ntool = \"x\"\n",
    )
    .unwrap();
    for command in [
        "eval shop --model script:expert --policy p.toml",
        "run shop --task test/3 --model script:expert --policy p.toml",
    ] {
        place.fails(command, 1, &["p.toml, rule 2: missing field `action`"]);
    }
    place.fails(
        "eval shop --model script:expert --policy none.toml",
        1,
        &["none.toml cannot be read; name a file of rules"],
    );
    assert!(!place.path("runs").exists());
}

#[test]
fn a_projects_rules_hold_until_others_are_given() {
    let place = Place::new();
    place.ok("init my");
    let file = place.path("my/hone.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let ruled = |rules: &str| std::fs::write(&file, format!("{text}\n{rules}")).unwrap();
    ruled("[[policy]]\naction = \"aprove\"\n");
    place.fails(
        "eval my --model script:gold",
        1,
        &[
            "my/hone.toml:",
            "`policy.0`: rule 1: `action`: unknown variant `aprove`",
        ],
    );
    ruled("[[policy]]\naction = \"reject\"\nmessage = \"closed\"\n");
    let closed = place.ok("eval my --model script:gold --no-baselines --json").json();
    let open = "[[rule]]\naction = \"approve\"\n";
    std::fs::write(place.path("open.toml"), open).unwrap();
    let opened = place
        .ok("eval my --model script:gold --no-baselines --policy open.toml --json")
        .json();
    assert_eq!(opened["success"], json!(1.0));
    // Some answers are right by themselves; nothing that takes a change is.
    assert_eq!(closed["metrics"]["success/change"], json!(0.0), "{closed}");
}
