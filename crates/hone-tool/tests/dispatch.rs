//! The dispatch path from outside, on a host whose tools count, hang, panic and talk too much.

use hone_tool::*;
use hone_trace::{Approval, ToolErrorClass};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

struct Counter {
    specs: Vec<ToolSpec>,
    value: i64,
    inline: bool,
}

impl Counter {
    fn boxed(inline: bool) -> Box<Self> {
        let spec = |name: &str, destructive_hint: bool| ToolSpec {
            name: name.into(),
            description: String::new(),
            input_schema: json!({"type": "object", "properties": {"by": {"type": "integer"}}, "additionalProperties": false}),
            annotations: Annotations {
                destructive_hint,
                ..Annotations::default()
            },
            version: "7".into(),
            unchecked: false,
        };
        let names = [
            ("add", false),
            ("reset", true),
            ("fail", false),
            ("panic", false),
            ("hang", false),
            ("talk", false),
        ];
        let specs = names
            .iter()
            .map(|&(name, destructive)| spec(name, destructive))
            .collect();
        Box::new(Self {
            specs,
            value: 0,
            inline,
        })
    }
}

impl ToolHost for Counter {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        match tool {
            "add" => self.value += arguments["by"].as_i64().unwrap_or(1),
            "reset" => self.value = 0,
            "fail" => return Err(ToolError::tool("no such order")),
            "panic" => panic!("boom {}", self.value),
            "hang" => std::thread::sleep(Duration::from_secs(2)),
            "talk" => {
                return Ok(ToolOutput {
                    text: "x".repeat(1000),
                    ..ToolOutput::default()
                });
            }
            other => unreachable!("{other} is not a tool"),
        }
        let terminal = self.value >= 100;
        Ok(ToolOutput {
            terminal,
            ..ToolOutput::json(json!({"value": self.value}))
        })
    }

    fn state_hash(&self) -> Option<String> {
        Some(self.value.to_string())
    }

    fn inline(&self) -> bool {
        self.inline
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

fn call(tool: &str, arguments: Value) -> ToolRequest {
    let raw = format!("{tool}({arguments})");
    ToolRequest {
        id: 3,
        model_call: Some(4),
        raw,
        asked: Asked::Call {
            tool: tool.into(),
            arguments,
        },
    }
}

/// One call on a host of either kind.
fn one(host: Box<Counter>, approval: &ApprovalPolicy, request: ToolRequest) -> Dispatched<Counter> {
    let toolset = Toolset::compile(host.specs()).unwrap();
    let rules = Rules {
        toolset: &toolset,
        approval,
        timeout: Duration::from_millis(50),
        max_shown_chars: 40,
        truncation: Truncation::Head,
        max_schema_chars: 0,
    };
    let runtime = runtime();
    let done = runtime.block_on(dispatch(host, request, &rules, None));
    runtime.shutdown_background();
    done
}

fn class(done: &Dispatched<Counter>) -> Option<ToolErrorClass> {
    done.record.error.as_ref().map(|e| e.class)
}

#[test]
fn a_call_is_recorded_in_full() {
    for inline in [true, false] {
        let done = one(
            Counter::boxed(inline),
            &ApprovalPolicy::AllowAll,
            call("add", json!({"by": 2.0})),
        );
        let record = &done.record;
        assert_eq!(
            (record.id, record.model_call, record.approval),
            (3, Some(4), Approval::Allowed)
        );
        assert_eq!(record.arguments.to_string(), r#"{"by":2}"#);
        assert_eq!((record.tool.as_str(), record.tool_version.as_str()), ("add", "7"));
        assert_eq!(
            (record.result.clone(), record.shown.as_str()),
            (json!({"value": 2}), r#"{"value":2}"#)
        );
        assert_eq!(
            (record.state_before.as_deref(), record.state_after.as_deref()),
            (Some("0"), Some("2"))
        );
        assert_eq!(done.host.unwrap().value, 2);
        assert!(!done.terminal && record.error.is_none() && !record.replayed);
    }
    assert!(
        one(
            Counter::boxed(true),
            &ApprovalPolicy::AllowAll,
            call("add", json!({"by": 100}))
        )
        .terminal
    );
}

#[test]
fn calls_that_are_refused_never_reach_the_tool() {
    let malformed = ToolRequest {
        raw: "{{".into(),
        asked: Asked::Malformed {
            error: "no JSON".into(),
        },
        ..call("", Value::Null)
    };
    let only = |keys: &str| {
        let policy = Policy::parse(&format!("[[rule]]\n{keys}\naction = \"approve\""), "p").unwrap();
        ApprovalPolicy::rules(policy, "counter")
    };
    let cases = [
        (
            ApprovalPolicy::AllowAll,
            malformed,
            ToolErrorClass::Malformed,
            Approval::NotReached,
        ),
        (
            ApprovalPolicy::AllowAll,
            call("sub", json!({})),
            ToolErrorClass::UnknownTool,
            Approval::NotReached,
        ),
        (
            ApprovalPolicy::AllowAll,
            call("add", json!({"by": "x"})),
            ToolErrorClass::InvalidArguments,
            Approval::NotReached,
        ),
        (
            only("destructive = false"),
            call("reset", json!({})),
            ToolErrorClass::Denied,
            Approval::Denied,
        ),
        (
            only("tool = \"fail\""),
            call("add", json!({})),
            ToolErrorClass::Denied,
            Approval::Denied,
        ),
    ];
    for (policy, request, expected, approval) in cases {
        let raw = request.raw.clone();
        let done = one(Counter::boxed(true), &policy, request);
        assert_eq!((class(&done), done.record.approval), (Some(expected), approval));
        assert_eq!(done.record.raw, raw);
        assert!(done.record.shown.starts_with(ERROR), "{}", done.record.shown);
        assert!(done.record.result.is_null() && done.record.state_after.is_none());
        assert_eq!(done.host.unwrap().value, 0);
    }
    let done = one(
        Counter::boxed(true),
        &only("destructive = false"),
        call("add", json!({})),
    );
    assert_eq!(class(&done), None);
}

#[test]
fn a_tools_own_error_keeps_the_host() {
    let done = one(
        Counter::boxed(false),
        &ApprovalPolicy::AllowAll,
        call("fail", json!({})),
    );
    assert_eq!(class(&done), Some(ToolErrorClass::Tool));
    assert_eq!(done.record.shown, "error: no such order");
    assert!(done.host.is_some());
}

#[test]
fn a_panic_is_classed_and_loses_the_host_only() {
    for inline in [true, false] {
        let done = one(
            Counter::boxed(inline),
            &ApprovalPolicy::AllowAll,
            call("panic", json!({})),
        );
        assert_eq!(class(&done), Some(ToolErrorClass::Panic));
        assert_eq!(done.record.error.as_ref().unwrap().message, "panic: panicked: boom 0");
        assert!(done.host.is_none());
    }
}

#[test]
fn a_hang_ends_at_the_deadline_and_keeps_its_host() {
    let done = one(
        Counter::boxed(false),
        &ApprovalPolicy::AllowAll,
        call("hang", json!({})),
    );
    assert_eq!(class(&done), Some(ToolErrorClass::Timeout));
    assert!(done.host.is_none());
}

#[test]
fn long_observations_are_cut_and_marked() {
    let done = one(Counter::boxed(true), &ApprovalPolicy::AllowAll, call("talk", json!({})));
    assert_eq!(done.record.shown, format!("{}{CUT}", "x".repeat(34)));
    assert_eq!(done.cut_from, Some(1000));
    let done = one(
        Counter::boxed(true),
        &ApprovalPolicy::AllowAll,
        call(&"y".repeat(500), json!({})),
    );
    assert!(done.record.shown.chars().count() <= 40 && done.cut_from.is_some());
}

/// Figures, not a check: `cargo test --release -p hone-tool -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn overhead_per_call() {
    for inline in [true, false] {
        let mut host = Some(Counter::boxed(inline));
        let toolset = Toolset::compile(host.as_ref().unwrap().specs()).unwrap();
        let approval = ApprovalPolicy::AllowAll;
        let rules = Rules {
            toolset: &toolset,
            approval: &approval,
            timeout: Duration::from_secs(1),
            max_shown_chars: 400,
            truncation: Truncation::Head,
            max_schema_chars: 0,
        };
        let calls = if inline { 200_000 } else { 20_000 };
        let start = Instant::now();
        runtime().block_on(async {
            for _ in 0..calls {
                let done = dispatch(host.take().unwrap(), call("add", json!({"by": 0})), &rules, None).await;
                host = done.host;
            }
        });
        println!(
            "dispatch, inline {inline}: {:.2} µs per call",
            start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        );
    }
}
