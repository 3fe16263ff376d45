//! Standard tools through the program: listed, called, served over MCP, and in a project.

use crate::support::{Place, Said};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// `hone tools` with these arguments, in a folder.
fn tools(folder: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(program())
        .arg("tools")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    Said {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn program() -> std::path::PathBuf {
    assert_cmd::cargo::cargo_bin("hone")
}

#[test]
fn they_are_listed_without_defects() {
    let place = Place::new();
    let listed = tools(&place.path("."), &["list", "standard", "--json"]).json_lines();
    let names: Vec<&str> = listed.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    for name in [
        "calculate",
        "list_files",
        "edit_file",
        "finish",
        "remember",
        "sql_query",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let lint = tools(&place.path("."), &["lint", "standard", "--json"]);
    assert_eq!(lint.status, 0, "{}", lint.stderr);
    let last = lint.json_lines().pop().unwrap();
    assert_eq!(
        (&last["errors"], &last["warnings"]),
        (&json!(0), &json!(0)),
        "{}",
        lint.stdout
    );
    let some = tools(&place.path("."), &["list", "calculator,memory", "--json"]).json_lines();
    assert_eq!(some.len(), 6);
    let one = tools(&place.path("."), &["describe", "calculate", "--toolset", "calculator"]);
    assert!(one.stdout.contains("Calculate exactly"), "{}", one.stdout);
}

#[test]
fn they_are_called_by_hand() {
    let place = Place::new();
    std::fs::write(place.path("note.txt"), "eins\n").unwrap();
    let here = place.path(".");
    let said = tools(
        &here,
        &[
            "call",
            "calculate",
            r#"{"expression": "1/3 + 1/6"}"#,
            "--toolset",
            "calculator",
        ],
    );
    assert_eq!(
        (said.status, said.stdout.as_str()),
        (0, "{\"exact\":true,\"value\":\"0.5\"}\n"),
        "{}",
        said.stderr
    );
    let said = tools(
        &here,
        &[
            "call",
            "read_file",
            r#"{"path": "note.txt"}"#,
            "--toolset",
            "standard",
            "--root",
            ".",
        ],
    );
    assert_eq!(said.stdout, "eins\n\n", "{}", said.stderr);
    for (arguments, says) in [
        (
            vec![
                "call",
                "read_file",
                r#"{"path": "../x"}"#,
                "--toolset",
                "files",
                "--root",
                ".",
            ],
            "no path below the folder",
        ),
        (vec!["call", "list_files", "--toolset", "files"], "give --root DIR"),
        (vec!["call", "sql_query", "--toolset", "sql"], "give --database FILE"),
        (
            vec!["call", "sql_query", "--toolset", "sql", "--database", "note.txt"],
            "no SQLite database",
        ),
        (
            vec!["call", "list_files", "--toolset", "files", "--root", "nowhere"],
            "there is no folder",
        ),
        (vec!["list", "calculator,shop"], "no standard tools `shop`"),
        (vec!["list", "standard", "--toolset", "shop"], "name one"),
        (vec!["serve", "files"], "give --root DIR"),
    ] {
        let said = tools(&here, &arguments);
        assert_eq!(said.status, 1, "{arguments:?}: {}", said.stdout);
        assert!(said.stderr.contains(says), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn they_are_served_over_mcp() {
    let place = Place::new();
    std::fs::create_dir(place.path("notes")).unwrap();
    let (hone, here) = (program(), place.path("."));
    let serve = [
        "--",
        hone.to_str().unwrap(),
        "tools",
        "serve",
        "standard",
        "--root",
        "notes",
    ];
    for protocol in ["initialize", "discover"] {
        let options = ["--protocol", protocol];
        let call = |name: &str, arguments: &str| {
            tools(
                &here,
                &[["call", name, arguments].as_slice(), &options, &serve].concat(),
            )
        };
        let lint = tools(&here, &[["lint", "--json"].as_slice(), &options, &serve].concat());
        let last = lint.json_lines().pop().unwrap();
        assert_eq!(
            (&last["errors"], &last["warnings"]),
            (&json!(0), &json!(0)),
            "{}",
            lint.stdout
        );
        let said = call("write_file", r#"{"path": "a.txt", "text": "x"}"#);
        assert_eq!(said.status, 0, "{}", said.stderr);
        assert_eq!(std::fs::read_to_string(place.path("notes/a.txt")).unwrap(), "x");
        let said = call("calculate", r#"{"expression": "10^10^10"}"#);
        assert!(
            said.status == 1 && said.stderr.contains("digits, and"),
            "{}",
            said.stderr
        );
        let said = call("remember", r#"{"key": "k", "text": "v"}"#);
        assert_eq!(said.stdout, "{\"notes\":1,\"remembered\":\"k\"}\n", "{}", said.stderr);
    }
    let about = tools(&here, &[["describe", "--json"].as_slice(), &serve].concat()).json();
    assert_eq!(about["name"], "hone-standard");
}

#[test]
fn they_play_in_a_project_and_the_answer_is_what_finish_was_given() {
    let place = Place::new();
    std::fs::create_dir(place.path("p")).unwrap();
    std::fs::write(
        place.path("p/hone.toml"),
        "name = \"sums\"\ntasks = \"t.jsonl\"\n\n[[tools]]\nstandard = [\"calculator\", \"memory\", \"files\", \"finish\"]\nfolder = \"start\"\n\n\
         [checkers.answer]\nkind = \"exact\"\n\n[checkers.state]\nkind = \"state\"\n",
    )
    .unwrap();
    std::fs::create_dir(place.path("p/start")).unwrap();
    std::fs::write(place.path("p/start/price.txt"), "80\n").unwrap();
    let calls = json!([
        {"name": "read_file", "arguments": {"path": "price.txt"}},
        {"name": "calculate", "arguments": {"expression": "80 * (1 + 19%)"}},
        {"name": "remember", "arguments": {"key": "gross", "text": "95.2"}},
        {"name": "finish", "arguments": {"answer": "95.2"}},
    ]);
    let state = json!([
        {"at": "/standard/memory/gross", "equals": "95.2"}, {"at": "/standard/finish/answer", "equals": "95.2"},
        {"at": "/files/price.txt", "equals": "80\n"},
    ]);
    let task = |id: &str, calls: &Value| json!({"id": id, "prompt": "How much is it with 19 % tax?", "expected": {"answer": "95.2", "state": state}, "gold": {"calls": calls}});
    let silent = json!([calls[0].clone(), calls[1].clone(), calls[2].clone()]);
    std::fs::write(
        place.path("p/t.jsonl"),
        format!("{}\n{}\n", task("done", &calls), task("silent", &silent)),
    )
    .unwrap();
    let summary = place.ok("eval p --model script:gold --json").json();
    assert_eq!(
        (&summary["n"], &summary["success"]),
        (&json!(2), &json!(0.5)),
        "{summary}"
    );
    let run = place.ok("run p --task test/0 --model script:gold --json").json();
    assert_eq!(
        (&run["end"], &run["scores"][0]["value"]),
        (&json!("terminal"), &json!(1.0)),
        "{run}"
    );
    let random = place.ok("eval p --model script:random --samples 20 --json").json();
    assert_eq!(random["outcomes"]["infra_failed"], 0, "{random}");
    place.ok("eval p --model script:random --samples 20 --out again --concurrency 3");
    assert_eq!(
        place.digest("again"),
        place.digest(random["run"].as_str().unwrap()),
        "the same seed gives the same record"
    );
}
