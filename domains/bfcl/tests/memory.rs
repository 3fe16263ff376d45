//! The memory categories: what a model keeps of earlier conversations is what it is asked in.

use hone_bfcl::multi_turn::Lexical;
use hone_bfcl::{Bfcl, Names, Recorded};
use hone_env::{Split, Task, Taskset};
use hone_harness::React;
use hone_model::{AgentTurn, Message, Model, Script, Scripted, train_tokenizer};
use hone_python::loads;
use hone_rollout::{Hooks, Job, Player, Rollout, ToolSource};
use hone_tool::ApprovalPolicy;
use hone_trace::{Episode, SamplingSettings};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A folder with two conversations and a question, as the package has them.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, lines: &[serde_json::Value]| {
        let path = dir.path().join("bfcl").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(path, text).unwrap();
    };
    let says = |text: &str| json!([{"role": "user", "content": text}]);
    write(
        "BFCL_v4_memory.json",
        &[
            json!({"id": "memory_0-customer-0", "scenario": "customer", "involved_classes": ["MemoryAPI"],
            "question": [says("Where do I live?")]}),
        ],
    );
    write(
        "possible_answer/BFCL_v4_memory.json",
        &[json!({"id": "memory_0-customer-0", "ground_truth": ["Seattle"], "source": ""})],
    );
    let told = |n: usize, turns: &[&str]| {
        json!({"id": format!("memory_prereq_{n}-customer-{n}"), "topic": "t", "scenario": "customer",
            "question": turns.iter().map(|text| says(text)).collect::<Vec<_>>()})
    };
    write(
        "memory_prereq_conversation/memory_customer.json",
        &[told(0, &["I am Michael.", "Bye."]), told(1, &["I live in Seattle."])],
    );
    let add = json!({"name": "core_memory_add", "description": "Add.", "parameters": {"type": "dict",
        "properties": {"key": {"type": "string"}, "value": {"type": "string"}}, "required": ["key", "value"]}});
    write("multi_turn_func_doc/memory_kv.json", &[add]);
    dir
}

/// Notes what it is told, and answers out of what the system message says that its memory holds.
struct Noting;

impl Script for Noting {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        let system = messages.iter().find_map(|message| match message {
            Message::System(text) => Some(text.as_str()),
            _ => None,
        });
        let add = |key: &str, value: &str| AgentTurn::call("core_memory_add", json!({"key": key, "value": value}));
        match messages.last() {
            Some(Message::User(text)) if text.contains("Michael") => add("name", "Michael"),
            // The second conversation begins with what the first left.
            Some(Message::User(text)) if text.contains("Seattle") && system.is_some_and(|s| s.contains("Michael")) => {
                add("city", "Seattle")
            }
            Some(Message::User(text)) if text.contains("Where") => {
                let known = system.filter(|system| system.contains("Seattle") && system.contains("Michael"));
                AgentTurn::Say(known.map_or("I do not know.", |_| "In Seattle.").into())
            }
            _ => AgentTurn::Say("Noted.".into()),
        }
    }
}

fn play(
    taskset: &Arc<dyn Taskset>,
    base: &Arc<dyn Taskset>,
    script: fn(&Arc<dyn Taskset>, &Task) -> Box<dyn Script>,
    phase: &str,
) -> Vec<Episode> {
    let codec =
        train_tokenizer(["[core_memory_add(key='a', value='b')] Noted."; 8], 400).and_then(|c| c.with_several_calls());
    let codec = Arc::new(codec.unwrap());
    let scripts = base.clone();
    let rollout = Rollout {
        budget: taskset.budget(),
        taskset: taskset.clone(),
        player: Player::PerEpisode(Arc::new(move |task, _, _| {
            Arc::new(Scripted::new("script", script(&scripts, task), codec.clone())) as Arc<dyn Model>
        })),
        user: None,
        judge: None,
        harness: Arc::new(React),
        sampling: SamplingSettings {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens: 0,
            stream: String::new(),
            ..SamplingSettings::default()
        },
        approval: Arc::new(ApprovalPolicy::AllowAll),
        tools: ToolSource::default(),
        forking: None,
        seed: 0,
        phase: phase.into(),
        concurrency: 2,
    };
    let job = |index| Job {
        split: Split::Test,
        index,
        group: index,
        samples: 0..1,
    };
    let jobs: Vec<_> = (0..taskset.len(Split::Test).unwrap()).map(job).collect();
    rollout.run(&jobs, Hooks::default()).unwrap()
}

fn load(dir: &Path) -> Arc<dyn Taskset> {
    Arc::new(Bfcl::load("bfcl:memory_kv", dir, Arc::new(Lexical)).unwrap())
}

/// The taskset after its conversations, and their episodes.
fn prepared(
    taskset: &Arc<dyn Taskset>,
    script: fn(&Arc<dyn Taskset>, &Task) -> Box<dyn Script>,
) -> (Arc<dyn Taskset>, Vec<Episode>) {
    let mut played = vec![];
    while let Some(round) = taskset.preparation(&played).unwrap() {
        played.extend(play(&round, taskset, script, &format!("prepare/{}", played.len())));
        assert!(played.len() < 9);
    }
    (taskset.prepared(&played).unwrap().unwrap(), played)
}

#[test]
fn a_question_is_asked_in_the_memory_that_the_conversations_left() {
    let dir = folder();
    let taskset = load(dir.path());
    let noting = |_: &Arc<dyn Taskset>, _: &Task| Box::new(Noting) as Box<dyn Script>;
    // Unprepared, the memory is empty.
    assert!(!play(&taskset, &taskset, noting, "eval")[0].succeeded());
    let (ready, played) = prepared(&taskset, noting);
    let tasks: Vec<_> = played.iter().map(|episode| episode.task.as_str()).collect();
    assert_eq!(tasks, ["prepare/0/0", "prepare/1/0"]);
    // Each conversation has its own context, with all its turns.
    let said = |episode: &Episode| {
        episode
            .turns
            .iter()
            .filter(|turn| matches!(turn, hone_trace::Turn::User { .. }))
            .count()
    };
    assert_eq!([said(&played[0]), said(&played[1])], [2, 1]);
    let asked = play(&ready, &taskset, noting, "eval").remove(0);
    assert!(asked.succeeded(), "{:?}", asked.scores);
    assert_ne!(
        asked.scores[0].hash,
        play(&taskset, &taskset, noting, "eval")[0].scores[0].hash
    );
    // From the record alone the same comes of it, as when a run is resumed in the middle.
    let round = taskset.preparation(&played[..1]).unwrap().unwrap();
    assert_eq!(round.task(Split::Test, 0).unwrap().id, "prepare/1/0");
    assert!(round.task(Split::Test, 0).unwrap().system.unwrap().contains("Michael"));
    assert!(taskset.preparation(&played).unwrap().is_none());
}

#[test]
fn gold_and_nothing_are_prepared_too() {
    let dir = folder();
    let taskset = load(dir.path());
    let gold =
        |taskset: &Arc<dyn Taskset>, task: &Task| taskset.script("gold", task, &hone_trace::Stream::new(0)).unwrap();
    let nothing = |taskset: &Arc<dyn Taskset>, task: &Task| {
        taskset.script("do_nothing", task, &hone_trace::Stream::new(0)).unwrap()
    };
    let (ready, _) = prepared(&taskset, gold);
    assert!(play(&ready, &taskset, gold, "eval")[0].succeeded());
    let (ready, _) = prepared(&taskset, nothing);
    let idle = play(&ready, &taskset, nothing, "eval").remove(0);
    assert!(idle.counts() && !idle.succeeded());
}

#[test]
fn recorded_last_words_are_judged_as_in_the_original() {
    let dir = folder();
    let recorded = Recorded::load(Names::Underscored, dir.path()).unwrap();
    let error = |result: &str| {
        let line = loads(&format!(r#"{{"id": "memory_kv_0-customer-0", "result": {result}}}"#)).unwrap();
        recorded.score(&line).unwrap().verdict.error_type
    };
    assert_eq!(error(r#"[[[{"core_memory_add": "{}"}], "In Seattle."]]"#), None);
    assert_eq!(error(r#"[["In Rome."]]"#), Some("agentic:answer_not_found"));
    assert_eq!(
        error(r#"[[[{"core_memory_add": "{}"}]]]"#),
        Some("agentic:no_last_message")
    );
    assert_eq!(error(r#"[["a"], ["In Seattle."]]"#), Some("agentic:inference_error"));
    assert_eq!(error(r#""Error during inference: x""#), Some("agentic:inference_error"));
    // Calls that cannot be read are what is said last: `str` of the first.
    assert_eq!(error(r#"[[[{"f": "{Seattle"}]]]"#), None);
    let messages = r#"{"task_id": "memory_kv_0-customer-0", "messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "1"}, {"role": "assistant", "content": "seattle"}]}"#;
    assert!(recorded.score(&loads(messages).unwrap()).unwrap().verdict.valid);
    assert!(
        recorded
            .score(&loads(r#"{"id": "memory_kv_9-customer-9", "result": []}"#).unwrap())
            .is_err()
    );
}
