//! Minimal episodes for this crate's tests.

use hone_trace::{Approval, EndReason, Episode, Outcome, SCHEMA, Timing, ToolCall, ToolErrorClass, ToolFailure};

pub fn episode(task: &str, outcome: Outcome) -> Episode {
    Episode {
        schema: SCHEMA,
        id: format!("eval/{task}"),
        phase: "eval".into(),
        taskset: "shop".into(),
        task: task.into(),
        task_kind: "refund".into(),
        group: 0,
        sample: 0,
        seed: 0,
        harness: "react".into(),
        policy: "p".into(),
        forked_from: None,
        turns: Vec::new(),
        model_calls: Vec::new(),
        tool_calls: Vec::new(),
        events: Vec::new(),
        end: EndReason::Answered,
        outcome,
        final_state: None,
        scores: Vec::new(),
        reward: None,
        timing: Timing::default(),
    }
}

pub fn call(error: Option<ToolErrorClass>) -> ToolCall {
    ToolCall {
        id: 0,
        model_call: Some(0),
        raw: "{}".into(),
        tool: "get".into(),
        tool_version: String::new(),
        arguments: serde_json::json!({}),
        approval: Approval::Allowed,
        decision: None,
        result: serde_json::Value::Null,
        shown: String::new(),
        error: error.map(|class| ToolFailure {
            class,
            message: "no".into(),
        }),
        state_before: None,
        state_after: None,
        media: Vec::new(),
        snapshot: None,
        replayed: false,
        timing: Timing::default(),
    }
}
