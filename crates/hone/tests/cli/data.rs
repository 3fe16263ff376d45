//! Fetching public data. The network is played by a program of curl's name.

use crate::support::{Place, Said, data_with};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const COMMIT: &str = "343e8088fd930fb94f956d66e3656f6cb7df414a";

/// An archive as the code host makes them, with these files.
fn archive(place: &Place, files: &[(&str, &[u8])]) {
    let top = format!("astraflow-{COMMIT}");
    for (name, bytes) in files {
        let path = place.path("made").join(&top).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let status = Command::new("tar")
        .arg("-C")
        .arg(place.path("made"))
        .arg("-czf")
        .arg(place.path("archive"))
        .arg(top)
        .status();
    assert!(status.unwrap().success());
}

/// Call `hone` with `curl` standing for this script.
fn with_curl(place: &Place, script: &str, arguments: &str) -> Said {
    let bin = place.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join("curl"), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(bin.join("curl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = assert_cmd::Command::cargo_bin("hone")
        .unwrap()
        .args(arguments.split(' '))
        .current_dir(place.dir.path())
        .env_remove("HONE_DATA")
        .env("PATH", path)
        .output()
        .unwrap();
    Said {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Downloads what [`archive`] made, and keeps what it was asked for.
fn download(place: &Place) -> String {
    let dir = place.dir.path().display();
    format!(
        "echo \"$@\" > {dir}/asked; while [ $# -gt 1 ]; do [ \"$1\" = --output ] && out=$2; shift; done; cp {dir}/archive \"$out\""
    )
}

fn leftovers(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).map(|entries| entries.count());
    entries.unwrap_or(0)
}

#[test]
fn offline_says_what_to_do() {
    let place = Place::new();
    let said = with_curl(
        &place,
        "echo 'curl: (6) Could not resolve host' >&2; exit 6",
        "data get textcraft",
    );
    assert_eq!(said.status, 1);
    for words in ["Could not resolve host", "online", COMMIT, "--archive"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    assert_eq!(leftovers(&place.path(".hone-data")), 0);
}

#[test]
fn wrong_content_is_refused_and_not_kept() {
    let place = Place::new();
    archive(
        &place,
        &[("astraflow/core/workflow/impl/textcraft/recipes/a.json", b"{}")],
    );
    let said = with_curl(&place, &download(&place), "data get textcraft");
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("came with SHA-256"), "{}", said.stderr);
    // Another archive, and one that is none.
    let said = with_curl(&place, &download(&place), "data get dbbench");
    assert!(
        said.status == 1 && said.stderr.contains("does not hold dbbench"),
        "{}",
        said.stderr
    );
    std::fs::write(place.path("archive"), "no archive").unwrap();
    let said = with_curl(&place, "exit 1", "data get textcraft --archive archive");
    assert!(
        said.status == 1 && said.stderr.contains("archive does not hold textcraft"),
        "{}",
        said.stderr
    );
    assert_eq!(leftovers(&place.path(".hone-data")), 0);
}

#[test]
fn the_right_content_is_fetched_from_the_pinned_commit_and_found() {
    let Some(data) = data_with("dbbench") else { return };
    let place = Place::new();
    let read = |name: &str| std::fs::read(data.join("dbbench").join(name)).unwrap();
    let folder = "astraEnv/AgentBench/data/dbbench";
    archive(
        &place,
        &[
            (&format!("{folder}/dev.jsonl"), &read("dev.jsonl")),
            (&format!("{folder}/standard.jsonl"), &read("standard.jsonl")),
        ],
    );
    let said = with_curl(&place, &download(&place), "data get dbbench --json");
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(said.json()["at"], ".hone-data/dbbench");
    let asked = std::fs::read_to_string(place.path("asked")).unwrap();
    assert!(
        asked.contains(&format!(
            "https://codeload.github.com/Infini-AI-Lab/astraflow/tar.gz/{COMMIT}"
        )),
        "{asked}"
    );
    assert_eq!(
        std::fs::read(place.path(".hone-data/dbbench/dev.jsonl")).unwrap(),
        read("dev.jsonl")
    );
    let state = |id: &str| {
        let suites = with_curl(&place, "exit 1", "data list --json").json_lines();
        suites.into_iter().find(|suite| suite["id"] == id).unwrap()["state"].take()
    };
    assert_eq!(state("dbbench"), "ready");
    // Already there: nothing is fetched.
    assert_eq!(with_curl(&place, "exit 1", "data get dbbench").status, 0);
    std::fs::write(place.path(".hone-data/dbbench/dev.jsonl"), "changed").unwrap();
    assert_eq!(state("dbbench"), "differs");
    assert_eq!(
        with_curl(&place, "exit 1", "data get dbbench --archive archive").status,
        0
    );
    assert_eq!(state("dbbench"), "ready");
}

/// The list's checksums are those of the files that other tests read.
#[test]
fn public_data_is_what_the_list_says() {
    let suites = ["bfcl", "dbbench", "nemo-gym", "tau-bench", "textcraft"];
    let Some(data) = suites.iter().find_map(|suite| data_with(suite)) else {
        return;
    };
    let place = Place::new();
    let listed = place.hone_with("data list --json", &data).json_lines();
    for suite in suites {
        let entry = listed.iter().find(|entry| entry["id"] == suite).unwrap();
        let state = entry["state"].as_str().unwrap();
        assert!(["missing", "part", "ready"].contains(&state), "{suite}: {state}");
        assert_eq!(entry["can_get"], true, "{suite}");
    }
}
