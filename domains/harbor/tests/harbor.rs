//! Tasks of ours in Harbor's format: the oracle passes, doing nothing fails, cheating fails, what cannot be met is refused.
#![cfg(target_os = "linux")]

use hone_env::{EnvError, Split, Task, Taskset};
use hone_harbor::Harbor;
use hone_model::{AgentTurn, Message};
use hone_trace::{Episode, Score, Stream};
use serde_json::json;
use std::path::Path;

const TEST: &str = r#"
want=$(wc -l < /app/words.txt)
if [ "$(cat /app/answer.txt 2>/dev/null)" = "$want" ]; then echo '{"reward": 1, "lines": '$want'}' > /logs/verifier/reward.json
else echo '{"reward": 0}' > /logs/verifier/reward.json; fi
"#;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A task: count the lines of a file.
fn counting(folder: &Path) {
    write(
        folder,
        &[
            (
                "task.toml",
                "version = \"1.0\"\n[metadata]\ncategory = \"counting\"\n[verifier]\ntimeout_sec = 20\n[verifier.env]\nMODE = \"${HOME_OF_HOST:-plain}\"\n",
            ),
            (
                "instruction.md",
                "<!-- canary 123 -->\n\nWrite the number of lines of words.txt into /app/answer.txt.\n",
            ),
            (
                "environment/Dockerfile",
                "FROM scratch\nWORKDIR /app\nCOPY words.txt .\nENV GREETING=hello\n",
            ),
            ("environment/words.txt", "a\nb\nc\n"),
            ("tests/test.sh", TEST),
            ("solution/solve.sh", "wc -l < words.txt > /app/answer.txt\n"),
        ],
    );
}

/// The taskset, or `None` where no sandbox can be made. Where CI is set it must be there.
fn load(folder: &Path, only_possible: bool) -> Option<Harbor> {
    match Harbor::load("harbor:x", folder, only_possible) {
        Ok(harbor) => Some(harbor),
        Err(EnvError::Data { what, .. }) if what.contains("need a sandbox") && std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {what}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Plays a task with these scripts, and scores it.
fn play(harbor: &Harbor, task: &Task, scripts: &[&str]) -> (Score, Vec<String>) {
    let mut world = harbor.environment(task);
    world.reset(task).unwrap();
    let said = scripts
        .iter()
        .map(|code| match world.call("bash", &json!({"code": code})) {
            Ok(output) => output.text,
            Err(error) => error.message,
        });
    let said = said.collect();
    (harbor.score(task, &episode(), &*world), said)
}

fn episode() -> Episode {
    serde_json::from_value(json!({
        "schema": hone_trace::SCHEMA, "id": "x", "phase": "x", "taskset": "x", "task": "x", "task_kind": "x", "group": 0,
        "sample": 0, "seed": 0, "harness": "x", "policy": "x", "forked_from": null, "turns": [], "model_calls": [],
        "tool_calls": [], "events": [], "end": "answered", "outcome": {"kind": "policy_failed"}, "final_state": null, "scores": [],
        "reward": null, "timing": {"start_us": 0, "duration_us": 0}
    }))
    .unwrap()
}

#[test]
fn the_oracle_passes_and_doing_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    counting(folder.path());
    let Some(harbor) = load(folder.path(), false) else {
        return;
    };
    assert_eq!((harbor.len(Split::Test), harbor.len(Split::Train)), (Some(1), Some(0)));
    let task = harbor.task(Split::Test, 0).unwrap();
    assert_eq!(
        task.instruction,
        "Write the number of lines of words.txt into /app/answer.txt."
    );
    assert_eq!(task.kind, "counting");
    let mut oracle = harbor.script("oracle", &task, &Stream::new(0)).unwrap();
    let AgentTurn::Calls { calls, .. } = oracle.next(&[Message::User(String::new())]) else {
        panic!()
    };
    let code = calls[0].arguments["code"].as_str().unwrap();
    let (score, said) = play(&harbor, &task, &[code]);
    assert_eq!(score.value, 1.0, "{score:?} {said:?}");
    assert_eq!((score.parts[1].name.as_str(), score.parts[1].value), ("lines", 3.0));
    let (score, _) = play(&harbor, &task, &[]);
    assert_eq!(score.value, 0.0);
    // What the agent finds: its files and variables, and neither tests nor solution.
    let looks =
        "pwd; ls -A; echo $GREETING; cat /tests/test.sh /solution/solve.sh 2>/dev/null | wc -c; echo \"[$MODE]\"";
    let (_, said) = play(&harbor, &task, &[looks]);
    assert_eq!(said[0], "/app\nwords.txt\nhello\n0\n[]\n");
    // Programs keep their rights to be run.
    let (score, _) = play(
        &harbor,
        &task,
        &["printf '#!/bin/sh\\necho 3' > tool; chmod +x tool; ./tool > answer.txt"],
    );
    assert_eq!(score.value, 1.0);
}

#[test]
fn tampering_with_the_verifier_is_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    counting(folder.path());
    let Some(harbor) = load(folder.path(), false) else {
        return;
    };
    let task = harbor.task(Split::Test, 0).unwrap();
    for cheat in [
        "mkdir -p /logs/verifier; mkdir -p /tmp/logs/verifier; echo 1 > /tmp/logs/verifier/reward.txt; echo 1 > /tmp/logs/verifier/reward.json",
        "mkdir -p /tmp/tests; echo 'echo 1 > /logs/verifier/reward.json' > /tmp/tests/test.sh",
        "(while :; do mkdir -p /tmp/logs/verifier; echo 1 > /tmp/logs/verifier/reward.json; sleep 0.01; done) & disown",
        "mkdir .harbor-stage; echo 'echo 1 > /logs/verifier/reward.json' > .harbor-stage/test.sh",
        "echo 1 > .harbor-reward.json; echo 1 > .harbor-reward.txt",
        "cat() { echo 3; }; wc() { echo 3; }; export -f cat wc; export BASH_ENV=/app/env; echo 'wc() { :; }; cat() { :; }' > env",
        "mkdir bin; printf '#!/bin/sh\\necho 9' > bin/wc; cp bin/wc bin/cat; chmod +x bin/*; export PATH=/app/bin:$PATH",
        "ln -s /tmp/tests tests; ln -s /tmp/logs logs; mkdir -p /tmp/tests; echo exit > tests/test.sh",
        "bash() { :; }; test() { :; }; cp() { :; }; export -f bash test cp",
    ] {
        let (score, said) = play(&harbor, &task, &[cheat]);
        assert_eq!(score.value, 0.0, "{cheat}: {score:?} {said:?}");
    }
}

#[test]
fn rewards_are_finite_numbers_of_plain_files() {
    for (test, value) in [
        ("echo 0.25 > /logs/verifier/reward.txt", 0.25),
        (
            "echo 0.5 > /logs/verifier/reward.json; echo 1 > /logs/verifier/reward.txt",
            0.5,
        ),
        ("echo nan > /logs/verifier/reward.txt", 0.0),
        ("echo inf > /logs/verifier/reward.txt", 0.0),
        ("echo '{\"score\": 1}' > /logs/verifier/reward.json", 0.0),
        ("echo '{' > /logs/verifier/reward.json", 0.0),
        ("yes 1 | head -c 2000000 > /logs/verifier/reward.txt", 0.0),
        (
            "echo 1 > /tmp/elsewhere; ln -s /tmp/elsewhere /logs/verifier/reward.txt",
            0.0,
        ),
        ("exit 1", 0.0),
        ("sleep 100", 0.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        counting(folder.path());
        write(
            folder.path(),
            &[("tests/test.sh", test), ("task.toml", "[verifier]\ntimeout_sec = 2\n")],
        );
        let Some(harbor) = load(folder.path(), false) else {
            return;
        };
        let task = harbor.task(Split::Test, 0).unwrap();
        assert_eq!(play(&harbor, &task, &[]).0.value, value, "{test}");
    }
}

#[test]
fn what_cannot_be_met_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (name, files, why) in [
        (
            "image",
            ("environment/Dockerfile", "FROM python:3.12-slim\n"),
            "FROM python:3.12-slim",
        ),
        ("built", ("environment/Dockerfile", "FROM scratch\nRUN make\n"), "RUN"),
        (
            "prebuilt",
            ("task.toml", "[environment]\ndocker_image = \"ubuntu\"\n"),
            "docker_image",
        ),
        (
            "composed",
            ("environment/docker-compose.yaml", "services: {}\n"),
            "several containers",
        ),
        (
            "online",
            ("task.toml", "[environment]\nallow_internet = true\n"),
            "network",
        ),
        ("steps", ("task.toml", "[[steps]]\nname = \"a\"\n"), "several steps"),
        ("large", ("task.toml", "[environment]\nmemory_mb = 9000\n"), "4 GiB"),
    ] {
        let task = folder.path().join(name);
        counting(&task);
        write(&task, &[files]);
        let error = Harbor::load("harbor:x", &task, false).err().unwrap().to_string();
        assert!(error.contains(why), "{name}: {error}");
    }
    let all = Harbor::load("harbor:x", folder.path(), false)
        .err()
        .unwrap()
        .to_string();
    assert!(all.contains("7 of 7") && all.contains("harbor-possible:"), "{all}");
    counting(&folder.path().join("possible"));
    let Some(harbor) = load(folder.path(), true) else {
        return;
    };
    assert_eq!(harbor.len(Split::Test), Some(1));
    for (file, text, why) in [
        ("task.toml", "[agent]\ntimeout_sec = -1\n", "timeout_sec"),
        ("task.toml", "[agent\n", "task.toml"),
        ("instruction.md", "", ""),
    ] {
        let task = folder.path().join("mistaken");
        counting(&task);
        write(&task, &[(file, text)]);
        if file == "instruction.md" {
            std::fs::remove_file(task.join(file)).unwrap();
        }
        let error = Harbor::load("harbor:x", &task, false).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
}
