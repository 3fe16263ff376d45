//! A plain Python file as tools: what its hints become, and what its errors do.

use hone_env::{Environment, Split, Task, Taskset};
use hone_project::Project;
use hone_tool::ToolError;
use hone_trace::ToolErrorClass;
use serde_json::{Value, json};
use tempfile::TempDir;

const TOOLS: &str = r#"
import os, sys
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Literal, Optional, Union

print("loaded")  # Not into the protocol.
seen = Counter()
current = None

def _hidden(): pass

@dataclass
class Item:
    name: str

def reset(task):
    global current
    current = task

def hints(a: str, b: int, c: float, d: bool, e: List[int], f: Dict[str, float], g: Literal["x", "y"],
          h: Optional[str] = None, i: Union[int, str] = 1, j=None, k: list = (), l: Item = None):
    """Takes all kinds.

    a: the first
    """
    print("called", a)
    return {"a": a, "h": h}

def task_id() -> str:
    return current["id"] + " " + str(sorted(current))

def folder() -> str:
    with open(os.path.join(os.environ["HONE_FOLDER"], "made.txt"), "w") as file:
        file.write("here")
    return "made"

def refuse(kind: str):
    if kind == "value": raise ValueError("not this one")
    if kind == "key": return {}["gone"]
    if kind == "type": return 1 + "1"
    if kind == "exit": sys.exit("enough")
    if kind == "set": return {1, 2}
    return None

refuse.read_only = True

def state():
    return {"seen": dict(seen), "task": current and current["id"]}
"#;

fn project(tools: &str) -> (TempDir, Project) {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let recipe =
        "name = \"p\"\ntasks = \"t.jsonl\"\n[[tools]]\npython = \"sub/tools.py\"\n[checkers.state]\nkind = \"state\"\n";
    write("hone.toml", recipe);
    write(
        "t.jsonl",
        r#"{"id": "one", "prompt": "go", "expected": {"state": [{"at": "/files/made.txt", "equals": "here"}]}, "metadata": {"m": 1}}"#,
    );
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    write("sub/tools.py", tools);
    let project = Project::load(dir.path(), &|_| Err("no models here".into())).unwrap();
    (dir, project)
}

fn opened(project: &Project) -> (Task, Box<dyn Environment>) {
    let task = project.task(Split::Test, 0).unwrap();
    let mut world = project.environment(&task);
    world.reset(&task).unwrap();
    (task, world)
}

fn call(world: &mut dyn Environment, tool: &str, arguments: Value) -> Result<Value, ToolError> {
    world.call(tool, &arguments).map(|output| output.data)
}

#[test]
fn hints_become_schemas_and_docstrings_descriptions() {
    let (dir, project) = project(TOOLS);
    let (_, world) = opened(&project);
    let names: Vec<&str> = world.specs().iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["hints", "task_id", "folder", "refuse"]);
    let spec = &world.specs()[0];
    assert!(spec.description.starts_with("Takes all kinds."));
    let expected = json!({
        "type": "object", "additionalProperties": false, "required": ["a", "b", "c", "d", "e", "f", "g"],
        "properties": {
            "a": {"type": "string", "description": "the first"}, "b": {"type": "integer"}, "c": {"type": "number"},
            "d": {"type": "boolean"}, "e": {"type": "array", "items": {"type": "integer"}},
            "f": {"type": "object", "additionalProperties": {"type": "number"}}, "g": {"enum": ["x", "y"]},
            "h": {"type": "string"}, "i": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "j": {},
            "k": {"type": "array"}, "l": {},
        },
    });
    assert_eq!(spec.input_schema, expected);
    assert!(world.specs()[3].annotations.read_only_hint && spec.annotations.destructive_hint);
    let left: Vec<_> = std::fs::read_dir(dir.path().join("sub")).unwrap().collect();
    assert_eq!(left.len(), 1, "no cache beside the user's files");
}

#[test]
fn calls_reach_the_functions_and_the_episodes_own_folder() {
    let (_dir, project) = project(TOOLS);
    let (task, mut world) = opened(&project);
    let world = &mut *world;
    let all = json!({"a": "ä", "b": 1, "c": 1, "d": true, "e": [], "f": {}, "g": "x"});
    assert_eq!(call(world, "hints", all), Ok(json!({"a": "ä", "h": null})));
    // What is expected is not among what the tools are told.
    let told = "one ['id', 'kind', 'metadata', 'prompt', 'seed']";
    assert_eq!(call(world, "task_id", json!({})), Ok(json!(told)));
    assert_eq!(
        world.state(),
        json!({"files": {}, "tools": {"seen": {}, "task": "one"}})
    );
    let before = world.state_hash();
    assert_eq!(call(world, "folder", json!({})), Ok(json!("made")));
    assert_eq!(world.state()["files"], json!({"made.txt": "here"}));
    assert_ne!(world.state_hash(), before);
    world.reset(&task).unwrap();
    assert_eq!(world.state_hash(), before, "a folder and a process of its own");
}

#[test]
fn a_refusal_is_the_tools_and_a_bug_is_nobodys_fault_who_plays() {
    let (_dir, project) = project(TOOLS);
    let refuse = |kind: &str| {
        let (_, mut world) = opened(&project);
        call(&mut *world, "refuse", json!({"kind": kind}))
    };
    assert_eq!(refuse("none"), Ok(json!("null")));
    for (kind, class, part) in [
        ("value", ToolErrorClass::Tool, "not this one"),
        ("key", ToolErrorClass::Tool, "gone"),
        ("type", ToolErrorClass::Infrastructure, "TypeError"),
        ("exit", ToolErrorClass::Infrastructure, "enough"),
        ("set", ToolErrorClass::Infrastructure, "set is not JSON serializable"),
    ] {
        let error = refuse(kind).unwrap_err();
        assert_eq!(error.class, class, "{kind}: {error}");
        assert!(error.message.contains(part), "{kind}: {error}");
    }
}

#[test]
fn a_file_that_does_not_load_is_said_with_its_line() {
    let dir = TempDir::new().unwrap();
    let recipe =
        "name = \"p\"\ntasks = \"t.jsonl\"\n[[tools]]\npython = \"tools.py\"\n[checkers.a]\nkind = \"exact\"\n";
    std::fs::write(dir.path().join("hone.toml"), recipe).unwrap();
    let error = |text: &str| {
        std::fs::write(dir.path().join("tools.py"), text).unwrap();
        let loaded = Project::load(dir.path(), &|_| Err("no models here".into()));
        loaded.err().unwrap().to_string()
    };
    let broken = error("def f(:\n");
    assert!(
        broken.contains("hone.toml:4: `tools.0.python`") && broken.contains("SyntaxError"),
        "{broken}"
    );
    let fine = error("from os.path import join\ndef f(): pass\n");
    assert!(fine.contains("t.jsonl: it cannot be read"), "{fine}");
}
