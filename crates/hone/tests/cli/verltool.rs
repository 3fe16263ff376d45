//! `hone serve tools --verltool` against a client that is written to VerlTool's contract, in Python.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

struct Served {
    child: Child,
    url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server, or `None` where no sandbox can be made. Where CI is set it must be there.
fn serve(arguments: &[&str]) -> Option<Served> {
    let child = Command::new(assert_cmd::cargo::cargo_bin("hone"))
        .args(["serve", "tools"])
        .args(arguments)
        .args(["--verltool", "--http", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut served = Served {
        child,
        url: String::new(),
    };
    // What the system does not enforce is said before it.
    let mut told = String::new();
    let mut lines = BufReader::new(served.child.stderr.take().unwrap());
    let url = loop {
        let mut line = String::new();
        let read = lines.read_line(&mut line).unwrap();
        if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
            break url.to_owned();
        }
        told += &line;
        if read == 0 {
            assert!(std::env::var_os("CI").is_none(), "{told}");
            eprintln!("skipped: {told}");
            return None;
        }
    };
    served.url = url;
    Some(served)
}

const CLIENT: &str = r#"
import json, sys, urllib.error, urllib.request
url = sys.argv[1]
for line in sys.stdin:
    path, kind, body = json.loads(line)
    data = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {"Accept": kind} if kind else {}
    if data and kind:
        headers["Content-Type"] = kind
    try:
        with urllib.request.urlopen(urllib.request.Request(url.replace("/get_observation", path), data, headers), timeout=60) as answer:
            status, text = answer.status, answer.read().decode()
            assert float(answer.headers["X-Process-Time"]) >= 0
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    print(json.dumps([status, text]), flush=True)
"#;

/// Sends these requests one after the other: path, type, body.
fn ask(served: &Served, requests: &[(&str, &str, Value)]) -> Vec<(u64, Value)> {
    let mut child = Command::new("python3")
        .args(["-c", CLIENT, &served.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = requests.iter().map(|request| format!("{}\n", json!(request))).collect();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let answers = lines.lines().map(|line| {
        let (status, text): (u64, String) = serde_json::from_str(line).unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(answers.len(), requests.len());
    answers
}

fn act(trajectories: &[&str], actions: &[&str], more: Value) -> (&'static str, &'static str, Value) {
    let mut body = json!({"trajectory_ids": trajectories, "actions": actions});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    ("/get_observation", "", body)
}

#[test]
fn the_contract_is_kept() {
    let Some(served) = serve(&["python_code,calculator"]) else {
        return;
    };
    let calculated = r#"<tool_call>{"name": "calculate", "arguments": {"expression": "1/3 + 1/6"}}</tool_call>"#;
    let requests = [
        act(
            &["a", "b", "c", "d", "e"],
            &[
                "<python>print('Hello')</python> ...",
                "```python\nx = 1/0\n```\n```output",
                "nothing to run",
                "```python\nprint(input())\n```\n```input\n42\n```",
                calculated,
            ],
            json!({"finish": vec![false; 5], "is_last_step": vec![false; 5]}),
        ),
        act(
            &["a"],
            &["<python>print(x)</python>"],
            json!({"extra_fields": [{"stdin": ""}]}),
        ),
        act(
            &["a"],
            &["<python>print(sum(map(int, __import__('sys').stdin.read().split())))</python>"],
            json!({"extra_fields": [{"stdin": "1 2"}]}),
        ),
        act(
            &["a", "b"],
            &["", "<python>print(1)</python>"],
            json!({"finish": [true, false]}),
        ),
        act(&["z"], &["", "more"], json!({})),
        ("/get_observation", "", json!("{")),
        ("/get_observation", "text/plain", json!("{}")),
        ("/health", "", Value::Null),
        ("/metrics", "", Value::Null),
        ("/metrics", "text/plain", Value::Null),
        ("/nowhere", "", Value::Null),
    ];
    let answers = ask(&served, &requests);
    let (status, first) = &answers[0];
    assert_eq!(*status, 200, "{first}");
    assert_eq!(first["observations"][0], "\n<result>\nHello\n</result>\n");
    let error = first["observations"][1].as_str().unwrap();
    assert!(
        error.starts_with("\nTraceback") && error.contains("ZeroDivisionError") && error.ends_with("\n```\n"),
        "{error}"
    );
    assert_eq!(first["observations"][2]["obs"], "");
    assert_eq!(
        first["observations"][2]["invalid_reason"],
        "No valid tool found for action"
    );
    assert!(
        first["observations"][2]["available_tools"]
            .as_str()
            .unwrap()
            .contains("python_code")
    );
    assert_eq!(first["observations"][3], "\n```result\n42\n```\n");
    assert_eq!(
        first["observations"][4],
        "\n<mcp_response>\n```result\n{\"exact\":true,\"value\":\"0.5\"}\n```\n</mcp_response>\n"
    );
    assert_eq!(first["dones"], json!([false, false, false, false, false]));
    assert_eq!(first["valids"], json!([true, true, false, true, true]));
    assert!(first["processing_time_ms"].is_f64() && first["queue_time_ms"].is_f64());
    // Each action of `python_code` begins anew.
    assert!(answers[1].1["observations"][0].as_str().unwrap().contains("NameError"));
    assert_eq!(answers[2].1["observations"][0], "\n<result>\n3\n</result>\n");
    let finished = &answers[3].1;
    assert_eq!(
        (&finished["observations"][0], &finished["dones"], &finished["valids"]),
        (&json!(""), &json!([true, false]), &json!([true, true]))
    );
    assert_eq!(
        (answers[4].0, &answers[4].1["detail"][0]["loc"]),
        (422, &json!(["body", "actions"]))
    );
    assert_eq!((answers[5].0, answers[6].0), (422, 415));
    let health = &answers[7].1;
    assert_eq!(
        (&health["status"], &health["tools"]),
        (&json!("healthy"), &json!(["python_code", "mcp_interface", "finish"]))
    );
    assert_eq!(answers[8].1["tools_initialized"], 3);
    assert!(
        answers[9]
            .1
            .as_str()
            .unwrap()
            .contains("hone_verltool_finished_total 1\n"),
        "{}",
        answers[9].1
    );
    // Each action and each probe had a session of its own; probes are not counted.
    assert!(
        answers[9]
            .1
            .as_str()
            .unwrap()
            .contains("hone_sandbox_started_total 6\n"),
        "{}",
        answers[9].1
    );
    assert_eq!(answers[10].0, 404);
}

#[test]
fn a_trajectory_keeps_its_session_until_it_finishes() {
    let Some(served) = serve(&["ipython_code"]) else { return };
    let code = |text: &str| format!("```python\n{text}\n```\n```output");
    let (set, get) = (code("x = 41"), code("x + 1"));
    let requests = [
        // In one batch, in order.
        act(&["a", "a", "b"], &[&set, &get, &get], json!({})),
        act(&["a"], &[&get], json!({})),
        act(&["a"], &[""], json!({"finish": [true]})),
        act(&["a"], &[&get], json!({"is_last_step": [true]})),
        act(&["c"], &[&set], json!({"is_last_step": [true]})),
        ("/health", "", Value::Null),
    ];
    let answers = ask(&served, &requests);
    let seen = |n: usize, item: usize| {
        answers[n].1["observations"][item]["obs"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(seen(0, 1), "\n42\n```\n");
    assert!(
        seen(0, 2).contains("NameError"),
        "another trajectory has its own session"
    );
    assert_eq!(answers[0].1["observations"][2]["metrics"]["code_success"], false);
    assert_eq!(seen(1, 0), "\n42\n```\n");
    assert!(seen(3, 0).contains("NameError"), "a finished trajectory begins anew");
    // Only b's is left.
    assert_eq!(answers[5].1["active_tasks"], 1);
}

/// Live: without the barrier some call of a turn begins before all calls of the turn before it have ended; with it none does.
#[test]
fn the_order_of_calls_is_that_of_the_rollout() {
    let Some(served) = serve(&["python_code"]) else { return };
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/verltool/rollout.py");
    let overtakes = |order: &str| {
        let output = Command::new("python3")
            .args([
                program,
                &served.url,
                "--order",
                order,
                "--trajectories",
                "4",
                "--turns",
                "3",
            ])
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let calls = said["calls"].as_array().unwrap().clone();
        assert_eq!(calls.len(), 12);
        let number = |call: &Value, name: &str| call[name].as_f64().unwrap();
        calls.iter().any(|call| {
            let before = calls
                .iter()
                .filter(|other| number(other, "turn") + 1.0 == number(call, "turn"));
            before
                .into_iter()
                .any(|other| number(other, "ended") > number(call, "began"))
        })
    };
    assert!(overtakes("async"));
    assert!(!overtakes("barrier"));
}

#[test]
fn what_cannot_be_served_is_refused() {
    let refused = |arguments: &[&str], word: &str| {
        let output = Command::new(assert_cmd::cargo::cargo_bin("hone"))
            .args(["serve", "tools"])
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(word), "{arguments:?}: {said}");
    };
    refused(&["--verltool", "--http", "0.0.0.0:0"], "--allow-remote");
    refused(&["--verltool", "no_such_tools"], "no taskset");
    refused(&["--verltool", "sql"], "sql");
    refused(&[], "--verltool");
}
