//! A project whose tools write down, outside of their world, that they ran.

use super::Place;
use serde_json::{Value, json};

const TOOLS: &str = r#"
import os
HERE = os.path.dirname(os.path.abspath(__file__))

def ran(what):
    with open(os.path.join(HERE, "ran.txt"), "a") as file:
        file.write(what + "\n")

_ran, ran = ran, None

def look(word: str) -> str:
    """Look a word up."""
    _ran("look " + word)
    return "about " + word + "x" * 300

look.read_only = True

def send(to: str, text: str = "") -> str:
    """Send a message."""
    _ran("send " + to)
    if to == "nobody":
        raise ValueError("there is nobody of that name")
    return "sent to " + to
"#;

const RECIPE: &str = r#"
name = "post"
tasks = "tasks.jsonl"
[[tools]]
python = "tools.py"
[checkers.answer]
kind = "exact"
[limits]
max_observation_chars = 100
truncation = "middle"
"#;

/// Make the project `post` with a task for each of these reference solutions; every answer is `done`.
pub fn make(place: &Place, solutions: &[Value], more: &str) {
    let dir = place.path("post");
    std::fs::create_dir_all(&dir).unwrap();
    let lines: Vec<String> = solutions
        .iter()
        .map(|calls| {
            json!({"prompt": "Do it.", "expected": {"answer": "done"}, "gold": {"calls": calls, "answer": "done"}})
                .to_string()
        })
        .collect();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("tools.py", TOOLS);
    write("tasks.jsonl", &lines.join("\n"));
    write("hone.toml", &format!("{RECIPE}\n{more}"));
}

/// What ran so far.
pub fn ran(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path("post/ran.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A call of a reference solution.
pub fn call(name: &str, arguments: Value) -> Value {
    json!({"name": name, "arguments": arguments})
}
