//! What becomes of an evaluation: shown, told as a page, gated, handed to other programs.

use crate::support::Place;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn failures_are_shown_with_their_reasons_beside_the_expert() {
    let place = Place::new();
    let said = place.ok("eval shop --model script:over_eager --n 60 --out run --json");
    let summary = said.json();
    let baselines = &summary["baselines"];
    assert_eq!(
        (&baselines["expert"]["value"], &baselines["expert"]["bound"]),
        (&json!(1.0), &json!("gold"))
    );
    assert_eq!(
        (&baselines["do_nothing"]["n"], &baselines["do_nothing"]["bound"]),
        (&json!(60), &json!("do_nothing"))
    );
    assert!(baselines["random"]["value"].as_f64().unwrap() < 0.2);
    assert_eq!(
        summary.get("alarms"),
        None,
        "it does better than nothing and worse than the expert"
    );
    assert!(said.stderr.contains("script:expert"), "{}", said.stderr);
    let failed = summary["outcomes"]["policy_failed"].as_u64().unwrap();
    assert!(failed > 5, "{summary}");
    let metrics = summary["metrics"].as_object().unwrap();
    let classes: f64 = metrics
        .iter()
        .filter(|(name, _)| name.starts_with("failure/"))
        .filter_map(|(_, v)| v.as_f64())
        .sum();
    assert!((classes - 1.0).abs() < 1e-9, "{summary}");
    // It grants what policy forbids.
    assert!(metrics["failure/policy_violation"].as_f64().unwrap() > 0.3, "{summary}");
    for name in [
        "precision",
        "recall",
        "f1",
        "argument_accuracy",
        "edit_similarity",
        "redundancy",
    ] {
        assert!(metrics.contains_key(&format!("trajectory/{name}")), "{name}");
    }
    // Nothing of the scripts is among the run's own episodes.
    assert_eq!(place.ok("trace ls run --json").json_lines().len(), 60);
    assert_eq!(
        place
            .ok("trace ls run/baselines.db --phase baseline/expert --json")
            .json_lines()
            .len(),
        60
    );

    let shown = place.ok("eval show run --failed --json").json_lines();
    assert_eq!(shown.len() as u64, failed);
    for episode in &shown {
        assert_eq!(
            (&episode["outcome"], &episode["end"]),
            (&json!("policy_failed"), &json!("answered"))
        );
        assert!(
            !episode["expected"]["calls"].as_array().unwrap().is_empty(),
            "{episode}"
        );
        assert!(
            episode["difference"].is_object() && episode["failure"]["evidence"].is_string(),
            "{episode}"
        );
        let wrong_state = episode["parts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "state" && p["value"] == 0.0);
        assert_eq!(episode["state_difference"].is_object(), wrong_state, "{episode}");
    }
    let is = |episode: &&Value, class: &str| episode["failure"]["class"] == class;
    let granted = shown.iter().find(|episode| is(episode, "policy_violation")).unwrap();
    let step = granted["step"]["call"].as_str().unwrap();
    assert!(
        granted["failure"]["evidence"].as_str().unwrap().starts_with(step),
        "{granted}"
    );
    assert_eq!(granted["state_difference"]["what"], "state");
    let only = place
        .ok("eval show run --class policy_violation --limit 1 --json")
        .json_lines();
    assert_eq!(only, std::slice::from_ref(granted));
    let task = granted["task"].as_str().unwrap();
    let text = place.ok(&format!("eval show run --task {task}"));
    for words in [
        "expected  ",
        "     got  ",
        "   first  state /",
        "    step  turn",
        "changed the state",
    ] {
        assert!(text.stdout.contains(words), "{words:?} in {}", text.stdout);
    }
    place.fails(
        "eval show run --task test/999",
        1,
        &["no episode of run is that", "hone trace ls run"],
    );

    let page = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    for words in [
        "Beside the scripts",
        "Why it failed",
        "policy violation",
        "culprit",
        "hone eval show run --failed",
    ] {
        assert!(page.contains(words), "{words}");
    }

    // Without the scripts there is nothing to compare with, and that is said.
    let alone = place
        .ok("eval shop --model script:over_eager --n 60 --no-baselines --out alone --json")
        .json();
    assert_eq!((alone.get("baselines"), &alone["success"]), (None, &summary["success"]));
    let said = place.ok("eval show alone --failed --limit 1 --json");
    assert!(said.stderr.contains("no run of the expert"), "{}", said.stderr);
    assert_eq!(said.json()["expected"], Value::Null);
    // They can be played later.
    assert_eq!(
        place.ok("eval --resume alone --json").json()["baselines"],
        summary["baselines"]
    );
    assert_eq!(place.digest("alone"), place.digest("run"));
}

#[test]
fn gates_end_with_a_status_of_their_own() {
    let place = Place::new();
    let eval = "eval shop --model script:do_nothing --n 20 --json";
    let said = place.hone(&format!("{eval} --fail-under 0.8 --fail-over seconds_p95=100"));
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert_eq!(said.json()["n"], 20, "it was measured all the same");
    assert!(
        said.stderr.contains("gate failed: success is 0.") && said.stderr.contains("under the 0.8"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("seconds_p95 is"), "{}", said.stderr);
    let said = place.hone(&format!("{eval} --fail-under pass_hat/4=0.1 --fail-over turns=0.5"));
    assert_eq!(said.status, 3);
    assert!(
        said.stderr.contains("pass_hat/4 is absent") && said.stderr.contains("turns is 1.0000, over the 0.5"),
        "{}",
        said.stderr
    );
    place.ok(&format!("{eval} --fail-under success=0 --fail-under end/answered=1"));
    place.fails(
        "eval shop --model script:do_nothing --fail-under nothing=1",
        2,
        &["hone metrics"],
    );
}

#[test]
fn a_log_for_inspect_comes_back_as_it_was() {
    let place = Place::new();
    place.ok("eval shop --model script:over_eager --n 10 --samples 2 --out run");
    for name in ["log.eval", "log.json"] {
        let said = place.ok(&format!("trace export run --format inspect -o {name} --json"));
        assert_eq!(said.json()["episodes"], 20);
        place.ok(&format!("trace import back-{name} {name}"));
        assert_eq!(place.digest(&format!("back-{name}")), place.digest("run"));
    }
    place.fails(
        "trace export run --format inspect",
        1,
        &["only JSON Lines are for stdout"],
    );
    std::fs::write(place.path("broken.eval"), "PK\u{3}\u{4}...").unwrap();
    place.fails(
        "trace import other broken.eval",
        1,
        &["broken.eval cannot be imported", "Check that the file is whole"],
    );
}

/// Head and body of a request.
type Received = (String, Vec<u8>);

/// A receiver that answers with these statuses, one a request, and gives what it was sent: heads and bodies.
fn receiver(statuses: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<Received>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        let mut got = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let (head, length) = loop {
                let mut piece = [0; 4096];
                let n = stream.read(&mut piece).unwrap();
                assert!(n > 0, "closed before the end of the head");
                bytes.extend_from_slice(&piece[..n]);
                if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                    let length = head
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "))
                        .unwrap();
                    let length: usize = length.trim().parse().unwrap();
                    bytes.drain(..end + 4);
                    break (head, length);
                }
            };
            let read = bytes.len();
            bytes.resize(length, 0);
            stream.read_exact(&mut bytes[read..]).unwrap();
            got.push((head, bytes));
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
            )
            .unwrap();
        }
        got
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn spans_reach_a_receiver_without_what_was_said() {
    let place = Place::new();
    place.ok("eval shop --model script:expert --n 3 --no-baselines --out run");
    let (url, thread) = receiver(&["503 later", "200 OK"]);
    let said = place
        .ok(&format!("trace export run --format otlp --endpoint {url} --json"))
        .json();
    let got = thread.join().unwrap();
    assert_eq!(
        (&said["episodes"], got.len()),
        (&json!(3), 2),
        "a receiver that is busy is asked again"
    );
    assert_eq!(got[0].1, got[1].1);
    assert!(
        got[0].0.starts_with("post /v1/traces http/1.1") && got[0].0.contains("content-type: application/x-protobuf")
    );
    let said_in = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("gen_ai.tool.call.arguments");
    assert!(!said_in(&got[0].1));
    let (url, thread) = receiver(&["200 OK"]);
    place.ok(&format!(
        "trace export run --format otlp --endpoint {url}/v1/traces --content --otlp-json"
    ));
    let (head, body) = thread.join().unwrap().remove(0);
    assert!(head.contains("content-type: application/json") && said_in(&body));
    let tree: Value = serde_json::from_slice(&body).unwrap();
    assert!(
        tree["resourceSpans"][0]["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap()
            .len()
            > 9
    );
    let (url, thread) = receiver(&["401 Unauthorized"]);
    place.fails(
        &format!("trace export run --format otlp --endpoint {url}"),
        1,
        &["answered 401: no", "OTEL_EXPORTER_OTLP_HEADERS"],
    );
    thread.join().unwrap();
    place.fails("trace export run --format otlp", 1, &["--endpoint"]);
    place.fails(
        "trace export run --format otlp --endpoint http://user:secret@host",
        1,
        &["must not hold a user or a password"],
    );
}
