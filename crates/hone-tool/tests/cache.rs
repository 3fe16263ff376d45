//! Calls answered from the cache, on the one path of every call.

use hone_tool::*;
use hone_trace::{Secrets, ToolCall, ToolErrorClass};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A counter on another thread, with or without a hash of its state.
struct World {
    specs: Vec<ToolSpec>,
    value: i64,
    hidden: bool,
    runs: Arc<AtomicUsize>,
}

fn spec(name: &str, read_only: bool) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: String::new(),
        input_schema: json!({"type": "object", "properties": {"by": {"type": "integer"}, "like": {"type": "string"}}}),
        annotations: Annotations {
            read_only_hint: read_only,
            idempotent_hint: read_only,
            ..Annotations::default()
        },
        version: "1".into(),
        unchecked: false,
    }
}

impl World {
    fn boxed(hidden: bool, runs: &Arc<AtomicUsize>) -> Box<Self> {
        Box::new(Self {
            specs: vec![
                spec("add", false),
                spec("look", true),
                spec("slow", true),
                spec("hang", false),
            ],
            value: 0,
            hidden,
            runs: runs.clone(),
        })
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        match tool {
            "add" => self.value += arguments["by"].as_i64().unwrap_or(1),
            "slow" => std::thread::sleep(Duration::from_millis(100)),
            "hang" => std::thread::sleep(Duration::from_secs(3)),
            _ => {}
        }
        Ok(ToolOutput::json(json!(self.value)))
    }

    fn state_hash(&self) -> Option<String> {
        (!self.hidden).then(|| self.value.to_string())
    }
}

struct Stage {
    folder: tempfile::TempDir,
    runs: Arc<AtomicUsize>,
    hidden: bool,
}

impl Stage {
    fn new(hidden: bool) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            runs: Arc::default(),
            hidden,
        }
    }

    fn cache(&self) -> Arc<ToolCache> {
        Arc::new(ToolCache::open(self.folder.path(), Secrets::default(), 1 << 20).unwrap())
    }

    /// These calls in one episode; the records, what ran, and what the end says.
    fn play(&self, mode: ToolMode, scope: &str, calls: &[(&str, Value)]) -> (Vec<ToolCall>, usize, Result<(), String>) {
        let before = self.runs.load(Ordering::SeqCst);
        let mut recording = Recording::cached(self.cache(), mode, scope);
        let mut host = World::boxed(self.hidden, &self.runs);
        let toolset = Toolset::compile(host.specs()).unwrap();
        let runtime = runtime();
        let mut records = Vec::new();
        for (tool, arguments) in calls {
            let request = request(tool, arguments.clone());
            let done = runtime.block_on(dispatch(host, request, &rules(&toolset), Some(&mut recording)));
            records.push(done.record);
            match done.host {
                Some(back) => host = back,
                None => host = World::boxed(self.hidden, &self.runs),
            }
        }
        let (_, end) = runtime.block_on(settle(host, &mut recording, Duration::from_secs(1)));
        runtime.shutdown_background();
        (records, self.runs.load(Ordering::SeqCst) - before, end)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

fn rules(toolset: &Toolset) -> Rules<'_> {
    Rules {
        toolset,
        approval: &ApprovalPolicy::AllowAll,
        timeout: Duration::from_secs(1),
        max_shown_chars: 1000,
        truncation: Truncation::Head,
        max_schema_chars: 0,
    }
}

fn request(tool: &str, arguments: Value) -> ToolRequest {
    ToolRequest {
        id: 0,
        model_call: None,
        raw: String::new(),
        asked: Asked::Call {
            tool: tool.into(),
            arguments,
        },
    }
}

/// What of a call must be the same again.
fn essence(records: &[ToolCall]) -> Vec<(Value, String, Option<String>, Option<String>)> {
    let of = |call: &ToolCall| {
        let (before, after) = (call.state_before.clone(), call.state_after.clone());
        (call.result.clone(), call.shown.clone(), before, after)
    };
    records.iter().map(of).collect()
}

#[test]
fn what_was_recorded_is_replayed_call_by_call_though_the_same_call_came_twice() {
    let calls = [
        ("look", json!({})),
        ("add", json!({"by": 2})),
        ("look", json!({})),
        ("add", json!({"by": 2.0})),
        ("look", json!({})),
    ];
    for hidden in [false, true] {
        let stage = Stage::new(hidden);
        let (live, ran, end) = stage.play(ToolMode::Record, "task", &calls);
        assert_eq!((ran, end), (5, Ok(())));
        assert_eq!(live[4].result, json!(4));
        let (replayed, ran, end) = stage.play(ToolMode::Replay, "task", &calls);
        assert_eq!((ran, essence(&replayed)), (0, essence(&live)), "hidden {hidden}");
        assert!(replayed.iter().all(|call| call.replayed));
        // The world that was not touched is not the one that the calls led to, where that can be told.
        assert_eq!(end.is_ok(), hidden, "{end:?}");
        // A world whose state is hidden may be another for another task.
        let (_, ran, _) = stage.play(ToolMode::ReplayThenLive, "other task", &calls[..1]);
        assert_eq!(ran, usize::from(hidden));
    }
}

#[test]
fn a_miss_fails_with_the_first_field_that_differs_or_runs_after_the_world_has_caught_up() {
    let stage = Stage::new(false);
    let _ = stage.play(
        ToolMode::Record,
        "t",
        &[("add", json!({"by": 2})), ("look", json!({"like": "cats"}))],
    );
    let other = [("add", json!({"by": 2})), ("look", json!({"like": "cat"}))];
    let (replayed, ran, _) = stage.play(ToolMode::Replay, "t", &other);
    let error = replayed[1].error.as_ref().unwrap();
    assert_eq!((error.class, ran), (ToolErrorClass::Infrastructure, 0));
    assert!(
        error
            .message
            .contains("differs at `/like`: recorded is \"cats\", this is \"cat\""),
        "{}",
        error.message
    );
    let (replayed, ran, end) = stage.play(ToolMode::ReplayThenLive, "t", &other);
    assert_eq!(
        (replayed[0].replayed, replayed[1].replayed, ran, end),
        (true, false, 2, Ok(()))
    );
    assert_eq!(replayed[1].result, json!(2));
    // What ran is kept.
    let (_, ran, _) = stage.play(ToolMode::Replay, "t", &other);
    assert_eq!(ran, 0);
    // At the end the world is brought to where cached calls led.
    let (_, ran, end) = stage.play(ToolMode::ReplayThenLive, "t", &other);
    assert_eq!((ran, end), (1, Ok(())));
}

#[test]
fn what_failed_for_other_reasons_is_asked_again() {
    let stage = Stage::new(false);
    for _ in 0..2 {
        let (records, ran, _) = stage.play(ToolMode::ReplayThenLive, "t", &[("hang", json!({}))]);
        let class = records[0].error.as_ref().map(|error| error.class);
        assert_eq!((class, ran), (Some(ToolErrorClass::Timeout), 1));
    }
}

#[test]
fn identical_calls_under_way_are_one_only_where_they_read_and_may_be_repeated() {
    let stage = Stage::new(false);
    let together = |tool: &'static str| {
        let before = stage.runs.load(Ordering::SeqCst);
        let cache = stage.cache();
        let runtime = runtime();
        runtime.block_on(async {
            let mut calls = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let (cache, host) = (cache.clone(), World::boxed(false, &stage.runs));
                calls.spawn(async move {
                    let toolset = Toolset::compile(host.specs()).unwrap();
                    let mut recording = Recording::cached(cache, ToolMode::Record, "t");
                    dispatch(host, request(tool, json!({})), &rules(&toolset), Some(&mut recording)).await
                });
            }
            while let Some(done) = calls.join_next().await {
                let done = done.unwrap();
                assert!(done.host.is_some() && done.record.error.is_none());
            }
        });
        (stage.runs.load(Ordering::SeqCst) - before, cache.counts().coalesced)
    };
    assert_eq!(together("slow"), (1, 7));
    assert_eq!(together("add"), (8, 0));
}
