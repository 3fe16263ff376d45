//! Training on a project whose tools are an MCP server's.

use crate::support::{Place, make_model};
use hone_trace::{Filter, Outcome, Store};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The server of `hone-mcp`'s tests.
fn server() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../hone-mcp/tests/support/server.py")
        .canonicalize()
        .unwrap()
}

/// The project `post`: tasks for the server's tools, one of which takes the server with it.
fn project(place: &Place, row: &str) {
    let dir = place.path("post");
    std::fs::create_dir_all(&dir).unwrap();
    let task = |split: &str, prompt: &str, call: Value, answer: &str| {
        let gold = json!({"calls": [call], "answer": answer});
        json!({"split": split, "prompt": prompt, "expected": {"answer": answer}, "gold": gold}).to_string()
    };
    let echo = |text: &str| json!({"name": "echo", "arguments": {"text": text}});
    let tasks = [
        task("train", "Say cats.", echo("cats"), "cats"),
        task("train", "Say dogs.", echo("dogs"), "dogs"),
        task("train", "Die.", json!({"name": "die", "arguments": {}}), "dead"),
        task("validation", "Say mice.", echo("mice"), "mice"),
        task("test", "Say bats.", echo("bats"), "bats"),
    ];
    std::fs::write(dir.join("tasks.jsonl"), tasks.join("\n")).unwrap();
    let recipe = format!(
        r#"
name = "post"
tasks = "tasks.jsonl"
[[tools]]
{row}
only = ["echo", "die"]
[checkers.answer]
kind = "exact"
[limits]
max_turns = 2
max_turn_tokens = 12
"#
    );
    std::fs::write(dir.join("hone.toml"), recipe).unwrap();
}

/// A training recipe over it: all that a user writes besides the project.
fn recipe(place: &Place, more: &str) {
    make_model(&place.path("model"), 3);
    let text = format!(
        r#"
kind = "agent"
name = "small"
about = "a run in miniature"
seed = 3
taskset = "post"
base = "model"

[demonstrations]
script = "gold"
episodes = 4

[sft]
steps = 2
batch_tokens = 256
lr = {{ peak = 1e-3 }}

[rl]
method = "grpo"
steps = 2
tasks = 1
samples = 2
updates = 1
lr = {{ peak = 1e-4 }}
checkpoint_every = 1

[eval]
tasks = 1
validation_tasks = 1
baselines = ["gold"]
sft_matched = false
{more}
"#
    );
    std::fs::write(place.path("small.toml"), text).unwrap();
}

fn command() -> String {
    format!(
        "mcp = {{ command = [\"python3\", {:?}] }}",
        server().display().to_string()
    )
}

#[test]
fn a_run_over_an_mcp_server_resumes_to_the_same_record_and_a_crash_is_nobodys_failure() {
    let place = Place::new();
    project(&place, &command());
    recipe(&place, "");
    place.ok("recipe check small.toml");
    // Killed in the middle of reinforcement.
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("hone"))
        .args(["train", "small.toml", "--out", "killed"])
        .current_dir(place.dir.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = place.path("killed/run.db");
    let patience = Instant::now() + Duration::from_secs(300);
    while !Store::open_read_only(&path)
        .is_ok_and(|store| store.episodes(&Filter::phase("rl/0")).is_ok_and(|e| !e.is_empty()))
    {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        assert!(Instant::now() < patience, "it did not get so far");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let figures = place.ok("train --resume killed --json").json();
    assert_eq!(figures["success"]["gold"], 1.0, "{figures}");
    place.ok("train small.toml --out whole");
    assert_eq!(place.digest("killed"), place.digest("whole"));

    let store = Store::open_read_only(&path).unwrap();
    let shown = store.episodes(&Filter::phase("demonstrations")).unwrap();
    let mut outcomes = Vec::new();
    for summary in shown {
        let episode = store.episode(&summary.id).unwrap().unwrap();
        match &episode.outcome {
            Outcome::InfraFailed { cause } => {
                assert!(
                    cause.contains("server-py is lost") && cause.contains("out of luck"),
                    "{cause}"
                );
                outcomes.push((episode.task.clone(), "infra"));
            }
            _ => {
                assert_eq!(episode.tool_calls[0].tool, "echo");
                assert!(episode.tool_calls[0].error.is_none());
                outcomes.push((episode.task.clone(), "counts"));
            }
        }
    }
    outcomes.sort();
    // Three training tasks, played four times in turn.
    let expected = [
        ("train/0", "counts"),
        ("train/0", "counts"),
        ("train/1", "counts"),
        ("train/2", "infra"),
    ];
    assert_eq!(outcomes, expected.map(|(task, outcome)| (task.to_owned(), outcome)));
    // The trained model plays it as any other.
    place.ok("eval post --model killed/model --out again --no-baselines");
    // What was changed since is another project.
    let tasks = place.path("post/tasks.jsonl");
    let text = std::fs::read_to_string(&tasks).unwrap();
    std::fs::write(&tasks, text.replacen("Say cats.", "Say cows.", 1)).unwrap();
    place.fails(
        "train --resume killed",
        1,
        &["post was changed since the run in killed began"],
    );
}

#[test]
fn mistakes_are_told_before_anything_is_played() {
    let place = Place::new();
    project(&place, "mcp = { command = [\"no-such-server-of-ours\"] }");
    recipe(&place, "");
    place.fails(
        "train small.toml --out a",
        1,
        &["`tools.0.mcp`", "no-such-server-of-ours"],
    );
    let shared = command().replace("] }", ", \"{folder}\"], shared = true }");
    project(&place, &shared);
    place.fails(
        "train small.toml --out a",
        1,
        &["`tools.0.mcp`", "{folder} is an episode's own"],
    );
    project(&place, &command());
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    std::fs::write(
        place.path("many.toml"),
        text.replacen("[eval]\ntasks = 1", "[eval]\ntasks = 5", 1),
    )
    .unwrap();
    place.fails(
        "train many.toml --out a",
        1,
        &["`eval.tasks`: post has 1 tasks in its split test"],
    );
    assert!(!place.path("a").exists());
}

#[test]
fn the_rules_of_a_project_hold_in_training_too() {
    let place = Place::new();
    // A shared process: all episodes of the run call one server.
    project(&place, &command().replace("] }", "], shared = true }"));
    let file = place.path("post/hone.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let rules = "[[policy]]\ntool = \"die\"\naction = \"reject\"\n[[policy]]\naction = \"approve\"\n";
    std::fs::write(&file, text + rules).unwrap();
    recipe(&place, "");
    place.ok("train small.toml --out run");
    let demonstrations = place.ok("trace export run --phase demonstrations").json_lines();
    assert_eq!(demonstrations.len(), 4);
    for episode in demonstrations {
        let call = &episode["tool_calls"][0];
        let (denied, dies) = (call["approval"] == "denied", call["tool"] == "die");
        assert_eq!(denied, dies, "{call}");
        assert_ne!(episode["outcome"]["kind"], "infra_failed", "{episode}");
    }
}

#[test]
fn several_servers_keep_their_names_apart() {
    let place = Place::new();
    let two = format!(
        "{}\nname = \"a\"\nprefix = true\nonly = [\"echo\"]\n[[tools]]\n{}\nname = \"b\"\nprefix = true",
        command(),
        command()
    );
    project(&place, &two);
    let tasks = place.path("post/tasks.jsonl");
    let text = std::fs::read_to_string(&tasks).unwrap();
    let text = text.replace("\"echo\"", "\"a__echo\"").replace("\"die\"", "\"b__die\"");
    std::fs::write(&tasks, text).unwrap();
    let episode = place.ok("run post --task test/0 --model script:gold --json").json();
    assert_eq!(
        (&episode["tool_calls"][0]["tool"], &episode["tool_calls"][0]["shown"]),
        (&json!("a__echo"), &json!("bats"))
    );
    let without = std::fs::read_to_string(place.path("post/hone.toml"))
        .unwrap()
        .replace("prefix = true", "");
    std::fs::write(place.path("post/hone.toml"), without).unwrap();
    place.fails(
        "run post --task test/0 --model script:gold",
        1,
        &["an earlier source has a tool `echo` too", "prefix = true"],
    );
}
