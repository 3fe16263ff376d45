//! Results of tools from a cache, and whole runs from their record.

use crate::support::counting::{call, make, ran};
use crate::support::{Place, make_model};
use serde_json::json;

fn solutions() -> Vec<serde_json::Value> {
    vec![
        json!([
            call("look", json!({"word": "cats"})),
            call("send", json!({"to": "her", "text": "cats"})),
            call("look", json!({"word": "cats"})),
        ]),
        json!([call("send", json!({"to": "nobody"})),]),
    ]
}

#[test]
fn a_run_replays_from_its_record_alone_with_an_equal_digest() {
    let place = Place::new();
    make(&place, &solutions(), "");
    place.ok("eval post --model script:gold --no-baselines --out a");
    let before = ran(&place);
    assert_eq!(before.len(), 4, "{before:?}");
    let digest = place.digest("a");
    // Nothing of it can be started again.
    std::fs::remove_dir_all(place.path("post")).unwrap();
    let said = place.ok("trace replay a --json").json();
    assert_eq!(
        (&said["equal"], &said["differ"], &said["kept"]),
        (&json!(2), &json!(0), &json!(0))
    );
    assert_eq!((&said["recorded"], &said["replayed"]), (&json!(digest), &json!(digest)));

    // A record that was changed is told apart, by episode, call and field: in the text of a call, and in the arguments where
    // the text says others.
    let recorded = place.ok("trace export a").json_lines();
    for (field, value, says) in [
        (
            "raw",
            json!("send(him)"),
            "`/tool_calls/1/raw`: recorded is \"send(him)\"",
        ),
        (
            "arguments",
            json!({"to": "her", "text": "dogs"}),
            "call 1 is not the recorded one: `/text`: recorded is \"dogs\"",
        ),
    ] {
        let mut changed = recorded.clone();
        let of_first = changed.iter_mut().find(|episode| episode["id"] == "eval/0/0").unwrap();
        of_first["tool_calls"][1][field] = value;
        let changed: Vec<String> = changed.iter().map(|episode| episode.to_string()).collect();
        std::fs::write(place.path("changed.jsonl"), changed.join("\n")).unwrap();
        place.ok("trace import a changed.jsonl");
        let said = place.hone("trace replay a --json");
        assert_eq!(said.status, 1, "{}", said.stderr);
        let first = &said.json()["first"];
        assert_eq!(first["episode"], "eval/0/0");
        assert!(first["where"].as_str().unwrap().contains(says), "{first}");
    }
}

#[test]
fn models_with_tokens_and_broken_turns_replay_too() {
    let place = Place::new();
    make_model(&place.path("model"), 3);
    place.ok("eval shop --model model --n 6 --temperature 1 --samples 2 --no-baselines --out a");
    let said = place.ok("trace replay a --json").json();
    assert_eq!((&said["equal"], &said["differ"]), (&json!(12), &json!(0)));
    assert_eq!(said["replayed"], json!(place.digest("a")));
    place.ok("eval shop --model script:random --n 10 --no-baselines --out b");
    assert_eq!(place.ok("trace replay b --json").json()["equal"], 10);
}

#[test]
fn results_are_recorded_and_come_back_without_the_tools() {
    let place = Place::new();
    make(&place, &solutions(), "");
    let eval = |mode: &str, out: &str| {
        format!("eval post --model script:gold --no-baselines --tools {mode} --tool-cache cache --out {out}")
    };
    place.ok(&eval("record", "a"));
    assert_eq!(ran(&place).len(), 4);
    let said = place.ok(&eval("replay", "b"));
    assert_eq!(ran(&place).len(), 4, "nothing ran");
    assert!(said.stderr.contains("4 calls answered, 0 not found"), "{}", said.stderr);
    assert_eq!(place.digest("a"), place.digest("b"));
    // Another argument: strict replay says which, and does not blame the agent; the other mode runs it.
    let mut other = solutions();
    other[0][1]["arguments"]["text"] = json!("dogs");
    make(&place, &other, "");
    let said = place.ok(&eval("replay", "c"));
    assert!(
        said.stderr.contains("the tool cache has no such call") && said.stderr.contains("1 infrastructure failed"),
        "{}",
        said.stderr
    );
    assert_eq!(ran(&place).len(), 4, "nothing ran");
    place.ok(&eval("replay-then-live", "d"));
    place.fails("eval shop --model script:gold --tools replay", 2, &["--tool-cache"]);
}
