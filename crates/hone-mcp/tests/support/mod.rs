//! What the tests share: servers in Python, and a way to play their calls.

#![allow(dead_code)]

use hone_mcp::{McpToolset, ServerConfig};
use hone_tool::{ApprovalPolicy, Asked, Rules, ToolRequest, Toolset, Truncation, dispatch};
use hone_trace::{ToolCall, ToolErrorClass};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The server of `server.py` with that behaviour.
pub fn server(behaviour: &str) -> ServerConfig {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/server.py");
    let mut config = ServerConfig::command(["python3", &script.to_string_lossy(), behaviour]);
    config.name = "test".into();
    // Without the question that this server would answer with an error, so that its notes are short.
    config.protocol = hone_mcp::Protocol::Initialize;
    config
}

/// As [`server`], with a file for its notes.
pub fn noting(behaviour: &str, notes: &Path) -> ServerConfig {
    let mut config = server(behaviour);
    config.command.push(notes.to_string_lossy().into_owned());
    config
}

/// A call on the one path that calls take. The host comes back unless the call lost it.
pub fn play(host: McpToolset, tool: &str, arguments: Value) -> (Option<Box<McpToolset>>, ToolCall) {
    let toolset = Toolset::compile(hone_tool::ToolHost::specs(&host)).unwrap();
    let rules = Rules {
        toolset: &toolset,
        approval: &ApprovalPolicy::AllowAll,
        timeout: Duration::from_secs(60),
        max_shown_chars: 2000,
        truncation: Truncation::Head,
        max_schema_chars: 0,
    };
    let request = ToolRequest {
        id: 0,
        model_call: None,
        raw: String::new(),
        asked: Asked::Call {
            tool: tool.into(),
            arguments,
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let done = runtime.block_on(dispatch(Box::new(host), request, &rules, None));
    (done.host, done.record)
}

/// The class of a call's error.
pub fn class(record: &ToolCall) -> Option<ToolErrorClass> {
    record.error.as_ref().map(|error| error.class)
}

/// Whether that process is there and is no zombie.
pub fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Waits, within reason, until something is so.
pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within 30 seconds");
}
