//! docs/protocol.md: its example is run as it stands there.

use hone_env::{Environment, Fork, Task};
use hone_external::{CommandLine, ExternalEnvironment, ExternalHarness, Limits};
use hone_harness::{EpisodeSetup, Harness, Label};
use hone_model::{AgentTurn, CallRequest, Message, Script, Scripted};
use hone_tool::{ApprovalPolicy, ToolHost, Toolset};
use hone_trace::{EndReason, Lineage, Outcome, SamplingSettings, Stream, ToolErrorClass, Turn};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    std::fs::read_to_string(path).unwrap()
}

fn python(dir: &Path, text: &str) -> CommandLine {
    std::fs::write(dir.join("it.py"), text).unwrap();
    CommandLine {
        argv: ["python3", "it.py"].map(str::to_owned).to_vec(),
        label: None,
        folder: dir.into(),
        env: Vec::new(),
    }
}

fn counter(dir: &Path) -> ExternalEnvironment {
    let page = page();
    let example = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(example.lines().count() <= 22, "it is to be short");
    let folder = dir.join("environment");
    std::fs::create_dir_all(&folder).unwrap();
    ExternalEnvironment::new(python(&folder, example), LONG, Limits::default()).unwrap()
}

fn task() -> Task {
    Task {
        id: "test/0".into(),
        kind: "k".into(),
        system: Some("Count.".into()),
        instruction: "Count to three.".into(),
        seed: 1,
        data: Value::Null,
    }
}

#[test]
fn the_example_of_the_page_is_an_environment() {
    let dir = TempDir::new().unwrap();
    let mut environment = counter(dir.path());
    environment.reset(&task()).unwrap();
    assert_eq!(environment.fork_kind(), Fork::None);
    let spec = &environment.specs()[0];
    assert_eq!((spec.name.as_str(), spec.version.as_str()), ("count", "1"));
    assert!(!spec.annotations.destructive_hint && !spec.annotations.read_only_hint);
    let output = environment.call("count", &json!({"by": 2})).unwrap();
    assert_eq!(
        (output.text.as_str(), output.data),
        (r#"{"counter":2}"#, json!({"counter": 2}))
    );
    let refusal = environment.call("count", &json!({"by": 0})).unwrap_err();
    assert_eq!(
        (refusal.class, refusal.message.as_str()),
        (ToolErrorClass::Tool, "`by` must be at least 1")
    );
    assert_eq!(environment.state(), json!({"counter": 2}));
    environment.reset(&task()).unwrap();
    assert_eq!(environment.state(), json!({"counter": 0}));
}

/// A loop that lets a planner speak first, then plays calls until the model answers.
const LOOP: &str = r#"
import json, sys
ids = 0
def read(): return json.loads(sys.stdin.readline())
def write(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def ask(method, **params):
    global ids
    ids += 1
    write(id=f"h{ids}", method=method, params=params)
    answer = read()
    assert answer["id"] == f"h{ids}", answer
    return answer["result"]
hello = read()
assert hello["params"]["role"] == "harness"
write(id=hello["id"], result={"protocol": 1})
run = read()
task = run["params"]["task"]
assert [tool["name"] for tool in run["params"]["tools"]] == ["count"]
plan = ask("model", conversation="planner", messages=[{"role": "user", "content": "Plan: " + task["prompt"]}])
messages = [{"role": "system", "content": task["system"]}, {"role": "user", "content": task["prompt"] + " " + plan["content"]}]
while True:
    turn = ask("model", messages=messages)
    messages = []
    if not turn["calls"] and "error" not in turn:
        break
    for call in turn["calls"]:
        result = ask("call", name=call["name"], arguments=call["arguments"])
write(id=run["id"], result={"answer": turn["content"].upper()})
"#;

struct Says(std::vec::IntoIter<AgentTurn>);

impl Script for Says {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        match self.0.next() {
            Some(turn) => turn,
            None => {
                // The last result is what the model reads.
                let Some(Message::Tool(text)) = messages.last() else {
                    return AgentTurn::Say("no result".into());
                };
                AgentTurn::Say(format!("read {text}"))
            }
        }
    }
}

async fn play(dir: &Path, text: &str, turns: Vec<AgentTurn>, max_turns: u32) -> hone_harness::Finished {
    let environment = counter(dir);
    let toolset = Arc::new(Toolset::compile(environment.specs()).unwrap());
    let codec = Arc::new(hone_model::train_tokenizer(["count to three: {\"by\": 1} plan read"; 8], 400).unwrap());
    let harness = ExternalHarness::new(python(dir, text), LONG, Limits::default()).unwrap();
    let setup = EpisodeSetup {
        label: Label {
            id: "eval/0/0".into(),
            phase: "eval".into(),
            taskset: "t".into(),
            group: 0,
            sample: 0,
        },
        task: Arc::new(task()),
        environment: Box::new(environment),
        toolset,
        model: Arc::new(Scripted::new("script", Box::new(Says(turns.into_iter())), codec)),
        user: None,
        budget: hone_env::Budget {
            max_turns,
            ..hone_env::Budget::default()
        },
        sampling: SamplingSettings {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens: 0,
            stream: String::new(),
            ..SamplingSettings::default()
        },
        approval: Arc::new(ApprovalPolicy::AllowAll),
        recording: None,
        stream: Stream::new(0),
    };
    harness.run(setup).await
}

fn turns() -> Vec<AgentTurn> {
    let call = |by: Value| CallRequest::new("count", json!({"by": by}));
    // The format of these tokens has one call a turn.
    let two = AgentTurn::Calls {
        content: String::new(),
        calls: vec![call(json!(1)), call(json!(2))],
    };
    vec![
        AgentTurn::Say("slowly".into()),
        call(json!("x")).into(),
        two,
        call(json!(1)).into(),
        call(json!(2)).into(),
    ]
}

#[tokio::test]
async fn a_loop_of_the_users_own_takes_the_one_path() {
    let dir = TempDir::new().unwrap();
    let finished = play(dir.path(), LOOP, turns(), 10).await;
    let episode = finished.episode;
    assert_eq!(
        (episode.end, &episode.outcome),
        (EndReason::Answered, &Outcome::PolicyFailed),
        "{episode:?}"
    );
    // A wrong argument and a turn that cannot be read did not reach the tool, and the model was told.
    let classes: Vec<_> = episode
        .tool_calls
        .iter()
        .map(|call| call.error.as_ref().map(|error| error.class))
        .collect();
    let told = [ToolErrorClass::InvalidArguments, ToolErrorClass::Malformed].map(Some);
    assert_eq!(classes, [told[0], told[1], None, None]);
    assert_eq!(finished.environment.unwrap().state(), json!({"counter": 3}));
    assert_eq!(episode.model_calls.len(), 6);
    assert_eq!(episode.model_calls[0].lineage, Lineage::SubAgent("planner".into()));
    assert_eq!(
        (&episode.model_calls[1].lineage, episode.model_calls[1].parent),
        (&Lineage::Main, None)
    );
    assert_eq!(episode.model_calls[5].parent, Some(4));
    let said = &episode
        .events
        .iter()
        .find(|event| event.kind == "answer")
        .unwrap()
        .detail["text"];
    assert_eq!(said, r#"READ {"COUNTER":3}"#);
    let texts = episode.turns.iter().filter_map(|turn| match turn {
        Turn::System { text } | Turn::User { text } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(texts.collect::<Vec<_>>(), ["Count.", "Count to three. slowly"]);
}

#[tokio::test]
async fn a_loop_meets_the_bounds_and_its_failures_are_not_the_policys() {
    let dir = TempDir::new().unwrap();
    let episode = play(dir.path(), LOOP, turns(), 2).await.episode;
    assert_eq!(
        (episode.end, &episode.outcome),
        (EndReason::MaxTurns, &Outcome::PolicyFailed)
    );
    for (from, to, part) in [
        ("run = read()", "run = read(); sys.exit('lost')", "lost"),
        (
            "\"model\", messages",
            "\"modle\", messages",
            "it may ask `model` and `call`",
        ),
        ("arguments=call", "argumenst=call", "unknown field `argumenst`"),
        ("write(id=run[\"id\"]", "write(id=77", "it answered id 77"),
    ] {
        assert!(LOOP.contains(from));
        let episode = play(dir.path(), &LOOP.replace(from, to), turns(), 10).await.episode;
        let Outcome::InfraFailed { cause } = &episode.outcome else {
            panic!("{to}: {episode:?}");
        };
        assert!(cause.starts_with("harness: ") && cause.contains(part), "{to}: {cause}");
    }
}
