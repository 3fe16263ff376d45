//! `recipes/mcptoolbench`: its projects on the real servers, its metrics, and the published format.

use crate::support::Place;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

fn recipe() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/mcptoolbench");
    folder.canonicalize().unwrap()
}

/// Whether the servers that others wrote are here; else says how to get them.
fn peers() -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.peers");
    let here = folder.join("installed").exists();
    assert!(
        here || std::env::var_os("CI").is_none(),
        "{} is missing",
        folder.display()
    );
    if !here {
        eprintln!("skipped: no .peers; scripts/test gets it");
    }
    here
}

fn python(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new("python3");
    command
        .current_dir(recipe())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(arguments)
        .output()
        .unwrap()
}

/// The metrics that the recipe's own program reads out of a run.
fn metrics(place: &Place, run: &str) -> Value {
    let hone = assert_cmd::cargo::cargo_bin("hone");
    let run = place.path(run);
    let output = python(&[
        "metrics.py",
        run.to_str().unwrap(),
        "--hone",
        hone.to_str().unwrap(),
        "--json",
    ]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn labels_run_on_the_real_servers_and_doing_nothing_passes_nothing() {
    if !peers() {
        return;
    }
    let place = Place::new();
    // Each episode starts the servers. With `HONE_ALL` set all tasks are played, else the first of each part.
    let most = std::env::var_os("HONE_ALL").map_or(8, |_| 1000);
    for (part, all) in [("filesystem", 33), ("desk", 19), ("multi", 12)] {
        let tasks = most.min(all);
        let project = recipe().join(part);
        let eval = |player: &str, out: &str| {
            place
                .ok(&format!(
                    "eval {} --model script:{player} --n {tasks} --no-baselines --json --out {out}",
                    project.display()
                ))
                .json()
        };
        let gold = eval("gold", &format!("{part}-gold"));
        assert_eq!(
            (&gold["n"], &gold["success"]),
            (&json!(tasks), &json!(1.0)),
            "{part}: {gold}"
        );
        let figures = metrics(&place, &format!("{part}-gold"));
        for name in ["ast", "pass@1", "tool_pass@1"] {
            assert_eq!(figures[name], json!(1.0), "{part}: {figures}");
        }
        // The smallest part stands for the others.
        if part == "multi" {
            let idle = eval("do_nothing", &format!("{part}-idle"));
            assert_eq!(idle["success"], json!(0.0), "{part}: {idle}");
        }
    }
}

#[test]
fn random_calls_are_told_from_right_ones_and_trials_make_pass_at_k() {
    if !peers() {
        return;
    }
    let place = Place::new();
    let project = recipe().join("desk");
    let random = place
        .ok(&format!(
            "eval {} --model script:random --n 8 --samples 4 --no-baselines --json --out r",
            project.display()
        ))
        .json();
    assert_eq!(random["outcomes"]["infra_failed"], json!(0), "{random}");
    let figures = metrics(&place, "r");
    assert_eq!(
        (&figures["tasks"], &figures["trials"]),
        (&json!(8), &json!(4)),
        "{figures}"
    );
    let number = |name: &str| figures[name].as_f64().unwrap();
    assert!(number("tool_pass@1") > 0.0 && number("tool_pass@1") < 0.5, "{figures}");
    assert!(number("pass@1") <= number("parameter_pass@1") && number("parameter_pass@1") <= number("tool_pass@1"));
    assert!(number("tool_pass@4") >= number("tool_pass@1"), "{figures}");
    // Hone's own estimator of the same.
    assert!(
        (random["pass_at"]["4"].as_f64().unwrap() - number("pass@4")).abs() < 1e-9,
        "{random} {figures}"
    );
}

#[test]
fn the_published_format_is_read_and_its_mistakes_are_named() {
    let output = python(&["-m", "unittest", "test_score"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let place = Place::new();
    let label = |input: Value| json!([{"name": "t", "step": "1", "id": "1", "mcp_server": "s", "similar_tools": [], "input": input}]);
    let record = |label: Value| {
        json!({
            // The hub's form: JSON in text.
            "uuid": "u1", "category": "c", "call_type": "single", "query": "Do t",
            "tools": json!([{"name": "t", "description": "", "input_schema": {"properties": {"n": {"type": "integer"}}, "required": ["n"]}}]).to_string(),
            "mcp_tools_dict": "{\"s\": [\"t\"]}", "function_call_label": label,
        })
    };
    let prepare = |records: &Value| {
        std::fs::write(place.path("data.json"), records.to_string()).unwrap();
        let (data, folder) = (place.path("data.json"), place.path("."));
        let output = python(&["prepare.py", data.to_str().unwrap(), folder.to_str().unwrap()]);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let said = prepare(&json!([
        record(label(json!({"n": 3}))),
        record(label(json!({"n": "3"})))
    ]));
    assert_eq!(said, (true, "2 tasks; 1 labels break their tool's schema\n".to_owned()));
    let tasks = std::fs::read_to_string(place.path("tasks.jsonl")).unwrap();
    let tasks: Vec<Value> = tasks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(tasks[0]["gold"]["calls"], json!([{"name": "t", "arguments": {"n": 3}}]));
    assert_eq!(
        (&tasks[1]["gold"], &tasks[1]["kind"]),
        (&Value::Null, &json!("c/single"))
    );

    let mut wrong = record(label(json!({"n": 3})));
    wrong["mcp_tools_dict"] = "{".into();
    assert!(
        prepare(&json!([wrong]))
            .1
            .contains("record 0: field `mcp_tools_dict` holds text that is no JSON")
    );
    let mut other = record(label(json!({})));
    other["function_call_label"][0]["name"] = "u".into();
    assert!(
        prepare(&json!([other]))
            .1
            .contains("the label calls `u`, which is not on offer")
    );

    // The tasks that are kept are those that the data give.
    for part in ["filesystem", "desk", "multi"] {
        let kept = std::fs::read_to_string(recipe().join(part).join("tasks.jsonl")).unwrap();
        let folder = place.path(".");
        assert!(
            python(&["prepare.py", &format!("{part}/tasks.json"), folder.to_str().unwrap()])
                .status
                .success()
        );
        assert_eq!(
            std::fs::read_to_string(place.path("tasks.jsonl")).unwrap(),
            kept,
            "{part}"
        );
    }
}
