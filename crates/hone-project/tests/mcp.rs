//! An MCP server as a source of tools.
#![cfg(feature = "mcp")]

use hone_env::{Split, Taskset};
use hone_project::Project;
use hone_trace::ToolErrorClass;
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

fn load(mcp: &str) -> Result<(TempDir, Project), String> {
    let dir = TempDir::new().unwrap();
    let recipe = format!(
        "name = \"p\"\ntasks = \"t.jsonl\"\n\n[[tools]]\nonly = [\"echo\", \"fail\", \"die\"]\nmcp = {mcp}\n\n[checkers.a]\nkind = \"exact\"\n"
    );
    std::fs::write(dir.path().join("hone.toml"), recipe).unwrap();
    let task = json!({
        "prompt": "go", "expected": {"a": 1},
        "gold": {"calls": [{"name": "echo", "arguments": {"text": "x"}}], "answer": "1"},
    });
    std::fs::write(dir.path().join("t.jsonl"), task.to_string()).unwrap();
    let project = Project::load(dir.path(), &|_| Err("no models here".into()));
    project.map(|project| (dir, project)).map_err(|error| error.to_string())
}

#[test]
fn its_tools_are_the_projects() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hone-mcp/tests/support/server.py");
    let mcp = format!("{{ command = [\"python3\", {server:?}, \"well\"], protocol = \"initialize\" }}");
    let (_dir, project) = load(&mcp).unwrap();
    let task = project.task(Split::Test, 0).unwrap();
    let mut world = project.environment(&task);
    world.reset(&task).unwrap();
    let names: Vec<&str> = world.specs().iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["echo", "fail", "die"]);
    assert_eq!(world.call("echo", &json!({"text": "grüße"})).unwrap().text, "grüße");
    assert_eq!(world.call("fail", &json!({})).unwrap_err().class, ToolErrorClass::Tool);
    assert_eq!(world.state(), json!({"files": {}}), "nobody sees its state");
    // A server that dies costs its own episode only.
    world.call("die", &json!({})).unwrap_err();
    world.reset(&task).unwrap();
    assert_eq!(world.call("echo", &json!({"text": "again"})).unwrap().text, "again");
}

#[test]
fn what_is_wrong_with_it_is_said_with_its_line() {
    for (mcp, part) in [
        ("{}", "`command`: is missing"),
        ("{ comand = [\"x\"] }", "unknown field `comand`"),
        ("{ command = [\"no-such-program\"] }", "no-such-program"),
        ("{ url = \"ftp://x\" }", "https://host/path"),
    ] {
        let error = load(mcp).err().unwrap();
        assert!(
            error.contains("hone.toml:6: `tools.0.mcp`") && error.contains(part),
            "{mcp}: {error}"
        );
    }
}
