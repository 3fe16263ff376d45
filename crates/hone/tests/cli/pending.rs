//! Calls that wait for a decision: saved with the run, decided, and gone on from.

use crate::support::Place;
use crate::support::counting::{call, make, ran};
use crate::support::server::{Server, chat};
use serde_json::json;

const ASK: &str = r#"
[[policy]]
tool = "look"
action = "approve"
[[policy]]
tool = "send"
action = "escalate"
message = "leaves the house"
"#;

#[test]
fn a_call_that_waits_is_decided_later_and_nothing_is_asked_or_run_twice() {
    let place = Place::new();
    make(&place, &[json!([])], ASK);
    let server = Server::start(|asked| match asked.roles().contains(&"tool") {
        false => chat(
            "first I look",
            &[
                ("1", "look", r#"{"word": "cats"}"#),
                ("2", "send", r#"{"to": "her"}"#),
                ("3", "look", r#"{"word": "dogs"}"#),
                ("4", "send", r#"{"to": "him"}"#),
            ],
        ),
        true => chat("done", &[]),
    });
    let eval = format!("eval post --model {}#m --no-baselines --out a", server.url);
    let said = place.hone(&eval);
    assert!(
        said.stderr.contains("1 episodes wait for a decision"),
        "{}",
        said.stderr
    );
    assert_eq!(ran(&place), ["look cats"]);
    let waiting = place.ok("trace pending a --json").json_lines();
    assert_eq!(
        waiting,
        [json!({
            "episode": "eval/0/0", "call": 1, "tool": "send", "arguments": {"to": "her"}, "why": "leaves the house",
            "decided": null,
        })]
    );
    let listed = place.ok("trace ls a --json").json();
    assert_eq!(
        (&listed["end"], &listed["outcome"]),
        (&json!("pending"), &json!("infra_failed"))
    );
    // Without a decision it goes on waiting.
    place.hone("eval --resume a --no-baselines");
    assert_eq!((ran(&place).len(), server.asked().len()), (1, 1));

    place.fails("trace decide a eval/9/9 approve", 1, &["`hone trace pending a`"]);
    place.fails(
        "trace decide a all approve --message x",
        1,
        &["--message is for reject"],
    );
    // An edit that does not fit comes back.
    place.hone("trace decide a all edit --arguments {\"too\":1}");
    place.hone("eval --resume a --no-baselines");
    let waiting = place.ok("trace pending a --json").json();
    assert!(waiting["why"].as_str().unwrap().contains("`too`"), "{waiting}");
    assert_eq!((&waiting["decided"], ran(&place).len()), (&json!(null), 1));

    place.ok("trace decide a eval/0/0 approve");
    place.hone("eval --resume a --no-baselines");
    assert_eq!(ran(&place), ["look cats", "send her", "look dogs"]);
    assert_eq!(place.ok("trace pending a --json").json()["call"], 3);
    place.ok("trace decide a all edit --arguments {\"to\":\"us\"}");
    let said = place.ok("eval --resume a --no-baselines --json");
    assert_eq!(said.json()["success"], json!(1.0), "{}", said.stderr);
    assert_eq!(ran(&place), ["look cats", "send her", "look dogs", "send us"]);
    assert_eq!(server.asked().len(), 2);
    assert_eq!(place.ok("trace pending a --json").stdout, "");
    let exported = place.ok("trace export a").json();
    let calls = exported["tool_calls"].as_array().unwrap();
    let of = |key: &str| -> Vec<_> { calls.iter().map(|call| call[key].clone()).collect() };
    assert_eq!(
        of("approval"),
        [json!("allowed"), json!("allowed"), json!("allowed"), json!("modified")]
    );
    assert_eq!(calls[3]["decision"]["asked"], json!({"to": "him"}));
    assert_eq!(calls[1]["decision"]["by"], "person");
    assert_eq!(place.ok("trace replay a --json").json()["equal"], 1);
}

#[test]
fn what_is_decided_for_good_holds_for_the_rest_of_the_run_and_is_kept_with_it() {
    let place = Place::new();
    let send = |to: &str| json!([call("send", json!({"to": to}))]);
    make(&place, &[send("a"), send("b"), send("c")], ASK);
    place.hone("eval post --model script:gold --no-baselines --concurrency 1 --out a");
    assert_eq!(place.ok("trace pending a --json").json_lines().len(), 3);
    place.ok("trace decide a eval/0/0 never --exactly");
    place.ok("trace decide a eval/1/0 always");
    // The third was not decided on, but the tool was.
    let said = place.ok("eval --resume a --no-baselines --concurrency 1 --json").json();
    assert_eq!(ran(&place), ["send b", "send c"]);
    assert_eq!(said["outcomes"]["infra_failed"], 0, "{said}");
    let exported = place.ok("trace export a").json_lines();
    let by = |episode: usize| exported[episode]["tool_calls"][0]["decision"]["by"].clone();
    assert_eq!(
        [by(0), by(1), by(2)],
        [json!("never"), json!("always"), json!("always")]
    );
}
