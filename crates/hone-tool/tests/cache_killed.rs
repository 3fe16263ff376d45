//! Processes that share a cache and are killed while they record.
#![cfg(unix)]

use hone_tool::*;
use hone_trace::{Secrets, ToolCall};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Where a child records, and under which name.
const FOLDER: &str = "HONE_TEST_CACHE";
const NAME: &str = "HONE_TEST_NAME";

/// Says a long text about what it is asked.
struct Talker(Vec<ToolSpec>);

fn said(arguments: &Value) -> String {
    format!("{arguments} {}", "x".repeat(5_000))
}

impl Talker {
    fn boxed() -> Box<Self> {
        Box::new(Self(vec![ToolSpec {
            name: "say".into(),
            description: String::new(),
            input_schema: json!({"type": "object"}),
            annotations: Annotations {
                read_only_hint: true,
                ..Annotations::default()
            },
            version: "1".into(),
            unchecked: false,
        }]))
    }
}

impl ToolHost for Talker {
    fn specs(&self) -> &[ToolSpec] {
        &self.0
    }

    fn call(&mut self, _: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::json(json!(said(arguments))))
    }
}

/// Calls of one process after the other, until `enough`.
fn play(folder: &Path, mode: ToolMode, name: &str, mut enough: impl FnMut(u64, ToolCall) -> bool) {
    let cache = ToolCache::open(folder, Secrets::default(), ToolCache::DEFAULT_BYTES).unwrap();
    let mut recording = Recording::cached(Arc::new(cache), mode, "task");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut host = Talker::boxed();
    let toolset = Toolset::compile(host.specs()).unwrap();
    let rules = Rules {
        toolset: &toolset,
        approval: &ApprovalPolicy::AllowAll,
        timeout: Duration::from_secs(60),
        max_shown_chars: 100,
        truncation: Truncation::Head,
        max_schema_chars: 0,
    };
    for n in 0.. {
        let request = ToolRequest {
            id: 0,
            model_call: None,
            raw: String::new(),
            asked: Asked::Call {
                tool: "say".into(),
                arguments: json!({"by": name, "n": n}),
            },
        };
        let done = runtime.block_on(dispatch(host, request, &rules, Some(&mut recording)));
        host = done.host.unwrap();
        if enough(n, done.record) {
            break;
        }
    }
}

/// No test of its own: what the other one starts and kills.
#[test]
fn child() {
    let (Some(folder), Ok(name)) = (std::env::var_os(FOLDER), std::env::var(NAME)) else {
        return;
    };
    let mut out = std::io::stdout();
    play(Path::new(&folder), ToolMode::Record, &name, |n, record| {
        assert!(record.error.is_none(), "{:?}", record.error);
        writeln!(out, "kept {n}").and_then(|()| out.flush()).is_err()
    });
}

fn start(folder: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_two_processes_recorded_is_there_whenever_they_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..8u64 {
        // The first is killed by the other's progress, so at any moment of its own.
        let names = [format!("a{round}"), format!("b{round}")];
        let mut children = names.each_ref().map(|name| start(folder.path(), name));
        let lines = |child: &mut Child| BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = children.each_mut().map(lines);
        let kept = |line: std::io::Result<String>| -> Option<u64> { line.ok()?.strip_prefix("kept ")?.parse().ok() };
        let mut told: [Option<u64>; 2] = [None, None];
        told[1] = heard[1].by_ref().filter_map(kept).find(|n| *n >= round * 3);
        assert!(told[1].is_some(), "the second recorded nothing");
        for (which, child) in children.iter_mut().enumerate() {
            child.kill().unwrap(); // SIGKILL
            child.wait().unwrap();
            told[which] = heard[which].by_ref().filter_map(kept).last().or(told[which]);
        }
        for (name, told) in names.iter().zip(told) {
            let Some(last) = told else { continue };
            play(folder.path(), ToolMode::Replay, name, |n, record| {
                assert_eq!((record.error, record.replayed), (None, true), "{name} {n} of {last}");
                assert_eq!(record.result, json!(said(&json!({"by": name, "n": n}))));
                n == last
            });
        }
    }
    // What the two left is whole and can be written.
    let database = rusqlite::Connection::open(folder.path().join("calls.db")).unwrap();
    let whole: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");
    play(folder.path(), ToolMode::ReplayThenLive, "c", |_, record| {
        assert_eq!((record.error, record.replayed), (None, false));
        true
    });
}
