//! `hone tools`: with a small server in Python, with itself, and with clients that others wrote.

use crate::support::{Place, Said};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `hone tools` with these arguments, and the server of `hone-mcp`'s tests.
fn tools(arguments: &[&str]) -> Said {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hone-mcp/tests/support/server.py");
    let server = ["--", "python3", script.to_str().unwrap()];
    own(&[arguments, &server].concat())
}

/// `hone tools` with these arguments.
fn own(arguments: &[&str]) -> Said {
    let output = Command::new(program()).arg("tools").args(arguments).output().unwrap();
    Said {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin("hone")
}

#[test]
fn list_and_describe() {
    let said = tools(&["list"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stdout.contains("\necho     reads  "), "{}", said.stdout);
    assert!(
        said.stdout.contains("\nhang     may destroy, reaches out"),
        "{}",
        said.stdout
    );
    assert!(
        said.stderr
            .contains("14 tools of test server 7 (protocol 2025-11-25); about "),
        "{}",
        said.stderr
    );
    let lines = tools(&["list", "--json"]).json_lines();
    assert_eq!(
        (lines.len(), &lines[1]["output_schema"]["required"]),
        (14, &json!(["n"]))
    );

    let said = tools(&["describe", "data"]);
    assert!(
        said.stdout.contains("Does data.") && said.stdout.contains("result: {"),
        "{}",
        said.stdout
    );
    let said = tools(&["describe", "--json"]).json();
    assert_eq!(
        (&said["name"], &said["protocol"], &said["tools"]),
        (&json!("test server"), &json!("2025-11-25"), &json!(14))
    );
    let said = tools(&["describe", "dat"]);
    assert!(
        said.status == 1 && said.stderr.contains("no tool `dat`"),
        "{}",
        said.stderr
    );
}

#[test]
fn call_tells_results_and_whose_fault_a_failure_is() {
    let said = tools(&["call", "echo", r#"{"text": "a\u001b[2Jb"}"#]);
    assert_eq!((said.status, said.stdout.as_str()), (0, "a␛[2Jb\n"));
    let record = tools(&["call", "data", "--json"]).json();
    assert_eq!((&record["tool"], &record["result"]), (&json!("data"), &json!({"n": 1})));
    for (arguments, says) in [
        (vec!["call", "fail"], "no such file (tool)"),
        (
            vec!["call", "echo", r#"{"text": 1}"#],
            "`text` is not of type \"string\". The arguments' schema: {",
        ),
        (vec!["call", "lie"], "`outputSchema`"),
        (vec!["call", "die"], "out of luck"),
        (vec!["call", "hang", "--timeout", "1"], "within 1000 ms (timeout)"),
        (vec!["call", "nothing"], "no tool `nothing`"),
        (vec!["call", "echo", "[1]"], "no JSON object"),
        (vec!["call", "echo", "{"], "no JSON ("),
    ] {
        let said = tools(&arguments);
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(said.stderr.contains(says), "{arguments:?}: {}", said.stderr);
    }
    let record = tools(&["call", "fail", "--json"]);
    assert_eq!((record.status, &record.json()["error"]["class"]), (1, &json!("tool")));
}

#[test]
fn lint_tells_defects_and_the_cost_of_the_set() {
    let said = tools(&["lint", "--json"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let lines = said.json_lines();
    let last = lines.last().unwrap();
    assert_eq!((&last["tools"], &last["errors"]), (&json!(14), &json!(0)));
    assert!(last["estimated_tokens"].as_u64().unwrap() > 300, "{last}");
    let about = |defect: &str| lines.iter().filter(|l| l["defect"] == defect).count();
    assert_eq!(about("empty_words"), 1, "an argument that is not described");

    let said = own(&["lint", "--toolset", "shop"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("12 tools of the taskset shop: 0 errors"),
        "{}",
        said.stderr
    );
}

#[test]
fn wrong_usage_is_told() {
    for (arguments, status, says) in [
        (vec!["list"], 1, "--toolset NAME"),
        (vec!["list", "--url", "http://x", "--", "y"], 2, "cannot be used with"),
        (vec!["list", "--url", "x"], 1, "must look like"),
        (vec!["list", "--", "no-such-program-of-ours"], 1, "was not found"),
        (
            vec!["list", "--protocol", "old", "--", "x"],
            2,
            "auto, initialize or discover",
        ),
        (vec!["serve", "shopp"], 1, "no taskset `shopp`"),
        (vec!["serve", "shop", "--http", "0.0.0.0:0"], 1, "--bearer-env"),
    ] {
        let said = own(&arguments);
        assert_eq!(said.status, status, "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(says), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn what_we_serve_we_can_call_in_both_eras() {
    let hone = program();
    for (protocol, revision) in [
        ("initialize", "2025-11-25"),
        ("discover", "2026-07-28"),
        ("auto", "2026-07-28"),
    ] {
        let serve = [
            "--protocol",
            protocol,
            "--",
            hone.to_str().unwrap(),
            "tools",
            "serve",
            "shop",
        ];
        let about = own(&[["describe", "--json"].as_slice(), &serve].concat()).json();
        assert_eq!(
            (&about["name"], &about["protocol"]),
            (&json!("hone-shop"), &json!(revision))
        );
        let said = own(&[["call", "escalate", r#"{"topic": "complaint"}"#].as_slice(), &serve].concat());
        assert_eq!(
            (said.status, said.stdout.as_str()),
            (0, "{\"escalated\":\"complaint\"}\n"),
            "{}",
            said.stderr
        );
    }
    // The same call as through no protocol at all.
    let said = own(&["call", "escalate", r#"{"topic": "complaint"}"#, "--toolset", "shop"]);
    assert_eq!(said.stdout, "{\"escalated\":\"complaint\"}\n");
}

/// Rules that refuse one call, change another and let look-ups through.
const RULES: &str = r#"
[[rule]]
tool = "write_*"
arguments = { path = "secret*" }
action = "reject"
message = "not that one"

[[rule]]
tool = "write_file"
action = "modify"
set = { text = "as the rules say" }

[[rule]]
server = "standard"
read_only = true
action = "approve"
"#;

#[test]
fn rules_hold_for_calls_from_the_shell_and_for_what_we_serve() {
    let place = Place::new();
    let (hone, rules, root) = (program(), place.path("rules.toml"), place.path("notes"));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(&rules, RULES).unwrap();
    let (rules, root) = (rules.to_str().unwrap(), root.to_str().unwrap());
    let here = ["--toolset", "files", "--root", root, "--policy", rules];
    let serve = ["tools", "serve", "files", "--root", root, "--policy", rules];
    let served = [["--", hone.to_str().unwrap()].as_slice(), &serve].concat();
    for (source, class) in [(here.as_slice(), "(denied)"), (&served, "(tool)")] {
        for (tool, arguments, says) in [
            ("write_file", r#"{"path": "secret.txt", "text": "x"}"#, "not that one"),
            (
                "edit_file",
                r#"{"path": "a.txt", "old": "x", "new": "y"}"#,
                "edit_file is not allowed here",
            ),
        ] {
            let said = own(&[["call", tool, arguments].as_slice(), source].concat());
            assert_eq!(said.status, 1, "{}", said.stdout);
            assert!(
                said.stderr.contains(says) && said.stderr.contains(class),
                "{}",
                said.stderr
            );
        }
        let said = own(&[
            ["call", "write_file", r#"{"path": "a.txt", "text": "x"}"#].as_slice(),
            source,
        ]
        .concat());
        assert_eq!(said.status, 0, "{}", said.stderr);
        let written = place.path("notes/a.txt");
        assert_eq!(std::fs::read_to_string(&written).unwrap(), "as the rules say");
        let said = own(&[["call", "read_file", r#"{"path": "a.txt"}"#].as_slice(), source].concat());
        assert!(said.stdout.contains("as the rules say"), "{}", said.stderr);
        std::fs::remove_file(written).unwrap();
        assert!(!place.path("notes/secret.txt").exists());
    }
    // Whom nobody can ask.
    let said = own(&[
        "call",
        "list_files",
        "--toolset",
        "files",
        "--root",
        root,
        "--approve",
        "ask",
    ]);
    assert!(said.status == 1 && said.stderr.contains("(denied)"), "{}", said.stderr);
    for (arguments, says) in [
        (
            vec!["call", "x", "--toolset", "shop", "--policy", "/nowhere.toml"],
            "/nowhere.toml cannot be read",
        ),
        (
            vec!["serve", "shop", "--policy", "/nowhere.toml"],
            "/nowhere.toml cannot be read",
        ),
        (
            vec!["call", "x", "--toolset", "shop", "--approve", "save"],
            "no call can wait",
        ),
    ] {
        let said = own(&arguments);
        assert!(said.status == 1 && said.stderr.contains(says), "{}", said.stderr);
    }
    std::fs::write(rules, "[[rule]]\naction = \"allow\"").unwrap();
    let said = own(&["serve", "files", "--root", root, "--policy", rules]);
    assert!(said.status == 1 && said.stderr.contains("rule 1"), "{}", said.stderr);
}

/// `hone tools serve shop` over HTTP, until the end of the test.
struct Served {
    process: Child,
    url: String,
}

impl Served {
    fn shop() -> Self {
        let mut process = Command::new(program())
            .args(["tools", "serve", "shop", "--task", "test/3", "--http", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines
            .map(Result::unwrap)
            .find(|line| line.starts_with("http://"))
            .unwrap();
        Self { process, url }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of other people's packages, if it has that; else says how to get it.
fn peers(needed: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.peers");
    let found = folder.join(needed).exists();
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{} is missing",
            folder.join(needed).display()
        );
        eprintln!("skipped: no .peers/{needed}; scripts/test gets it");
    }
    found.then(|| folder.canonicalize().unwrap())
}

fn beside(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name);
    path.to_str().unwrap().to_owned()
}

/// What a client saw of the shop.
fn check(client: &mut Command, revision: &str) {
    let output = client.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(
        (&seen["server"], &seen["protocol"]),
        (&json!("hone-shop"), &json!(revision))
    );
    assert_eq!(seen["tools"].as_array().unwrap().len(), 12);
    assert_eq!(seen["refund"]["destructiveHint"], json!(true));
    assert_eq!(
        seen["noted"]["structuredContent"],
        json!({"escalated": "complaint"}),
        "{seen}"
    );
    for (call, says) in [("invalid", "unknown `nom`"), ("missing", "no")] {
        assert_eq!(seen[call]["isError"], json!(true), "{seen}");
        let text = seen[call]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn clients_of_the_typescript_sdks_use_our_server() {
    let Some(folder) = peers("node_modules/@modelcontextprotocol/client") else {
        return;
    };
    let served = Served::shop();
    let hone = program();
    for (sdk, revision) in [("1", "2025-11-25"), ("2", "2026-07-28")] {
        let node = || {
            let mut command = Command::new("node");
            command.arg(beside("client.mjs")).arg(&folder).arg(sdk);
            command
        };
        check(node().arg(&served.url), revision);
        check(
            node().arg("stdio").arg(&hone).args(["tools", "serve", "shop"]),
            revision,
        );
    }
}

#[test]
fn a_client_of_the_python_sdk_uses_our_server() {
    let Some(folder) = peers("python/bin/python") else {
        return;
    };
    let served = Served::shop();
    let hone = program();
    for (mode, revision) in [("legacy", "2025-11-25"), ("auto", "2026-07-28")] {
        let python = || {
            let mut command = Command::new(folder.join("python/bin/python"));
            command.arg(beside("client.py")).arg(mode);
            command
        };
        check(python().arg(&served.url), revision);
        check(
            python().arg("stdio").arg(&hone).args(["tools", "serve", "shop"]),
            revision,
        );
    }
}

#[test]
fn the_program_leaves_no_server_behind() {
    let place = Place::new();
    let notes = place.path("pids");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hone-mcp/tests/support/server.py");
    let command = [
        "--",
        "python3",
        script.to_str().unwrap(),
        "orphans",
        notes.to_str().unwrap(),
    ];
    let said = own(&[["call", "echo", r#"{"text": "x"}"#].as_slice(), &command].concat());
    assert_eq!((said.status, said.stdout.as_str()), (0, "x\n"), "{}", said.stderr);
    let pids = std::fs::read_to_string(notes).unwrap();
    let pids: Vec<&str> = pids.lines().next().unwrap().split(' ').collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let gone = || stat().is_empty() || stat().contains(") Z ");
        // A signal that was sent takes effect when the process next runs.
        for _ in 0..500 {
            if gone() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(gone(), "{}", stat());
    }
}
