//! The published example rows: right responses, silence, hostile responses, and what is played.

use hone_env::{Split, Taskset};
use hone_model::AgentTurn;
use hone_nemo_gym::{Item, NemoGym, Response, SERVERS, World, conformance, load, play};
use hone_tool::ToolHost;
use hone_trace::Stream;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// The folder of the public data. Without NeMo Gym's rows there: fails where `CI` is set, else says so and gives `None`.
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("HONE_DATA").map_or(beside, PathBuf::from);
    if data.join("nemo-gym").is_dir() {
        return Some(data);
    }
    assert!(std::env::var_os("CI").is_none(), "{} has no nemo-gym/", data.display());
    eprintln!(
        "skipped: this test scores the published rows, and {} has no nemo-gym/",
        data.display()
    );
    None
}

#[test]
fn right_responses_pass_and_silence_does_not() {
    let Some(data) = data() else { return };
    let (lines, absent) = conformance(&data);
    assert!(absent.is_empty(), "{absent:?}");
    let wrong: Vec<_> = lines.iter().filter(|line| !line.ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let with_gold = lines
        .iter()
        .filter(|line| line.set.ends_with("/gold") && line.records >= 5)
        .count();
    assert!(with_gold >= SERVERS.len() - 2, "{with_gold} of {}", SERVERS.len());
}

#[test]
fn no_response_makes_a_verifier_panic() {
    let Some(data) = data() else { return };
    let texts = [
        "",
        "\\boxed{",
        "Answer:",
        "```",
        "[[",
        "{\"answer\": ",
        "Final Answer: [é",
        "<point>(1,",
        "\u{0}\u{fffd}",
        "é\\boxed{é}é\\text{",
    ];
    for server in SERVERS {
        let rows = Arc::new(load(&data, server.name).unwrap());
        for row in 0..rows.len() {
            let long = "a{[\"\\ ".repeat(4_000);
            for text in texts.iter().copied().chain([long.as_str()]) {
                let mut response = Response::text(text);
                response.items.push(Item::Call {
                    name: "click".into(),
                    arguments: text.into(),
                });
                response.items.push(Item::Call {
                    name: "extract_synonym_values".into(),
                    arguments: "[]".into(),
                });
                response.items.push(Item::Output(text.into()));
                response.items.push(Item::Reasoning(text.into()));
                let _ = play(server, &rows, row, &response);
                let _ = play(server, &rows, row, &Response::text(text));
            }
        }
    }
}

#[test]
fn tools_keep_state_and_forks_are_independent() {
    let Some(data) = data() else { return };
    let taskset = NemoGym::load("nemo-gym:example_session_state_mgmt", &data)
        .unwrap()
        .unwrap();
    let task = taskset.task(Split::Test, 0).unwrap();
    let mut world = taskset.environment(&task);
    world.reset(&task).unwrap();
    let before = world.call("get_counter_value", &json!({})).unwrap().data["count"]
        .as_i64()
        .unwrap();
    let mut fork = world.fork().unwrap();
    assert_eq!(fork.state_hash(), world.state_hash());
    fork.call("increment_counter", &json!({"count": 4})).unwrap();
    assert_ne!(fork.state_hash(), world.state_hash());
    assert_eq!(
        fork.call("get_counter_value", &json!({})).unwrap().data["count"],
        before + 4
    );
    assert_eq!(
        world.call("get_counter_value", &json!({})).unwrap().data["count"],
        before
    );
    assert!(
        world
            .call("increment_counter", &json!({}))
            .unwrap()
            .text
            .contains("detail")
    );
    let rows = Arc::new(load(&data, "example_multi_step").unwrap());
    let mut world = World::new("example_multi_step", rows);
    // The sum of the letters' code points.
    assert_eq!(
        world
            .call("get_synonym_value", &json!({"synonym": "Warm"}))
            .unwrap()
            .data["synonym_value"],
        407
    );
}

#[test]
fn rows_become_tasks() {
    let Some(data) = data() else { return };
    let taskset = NemoGym::load("nemo-gym:xlam_fc", &data).unwrap().unwrap();
    assert_eq!(
        (taskset.len(Split::Test), taskset.len(Split::Train)),
        (Some(5), Some(0))
    );
    let task = taskset.task(Split::Test, 1).unwrap();
    assert!(task.system.is_some() && !task.instruction.is_empty());
    assert_eq!(
        taskset.environment(&task).specs().len(),
        taskset
            .environment(&task)
            .specs()
            .iter()
            .filter(|spec| spec.unchecked)
            .count()
    );
    // Chance makes calls that the tools can take, and is the same again.
    let chance = || taskset.script("random", &task, &Stream::new(3)).unwrap().next(&[]);
    let AgentTurn::Calls { calls, .. } = chance() else {
        panic!("{:?}", chance());
    };
    let specs = taskset.environment(&task).specs().to_vec();
    assert!(specs.iter().any(|spec| spec.name == calls[0].name) && chance() == chance());
    assert!(taskset.task(Split::Test, 5).is_err());
    // Earlier turns are told; images cannot be.
    let told = NemoGym::load("nemo-gym:mrcr", &data)
        .unwrap()
        .unwrap()
        .task(Split::Test, 0)
        .unwrap();
    assert!(told.instruction.contains("[assistant]\n"), "{}", told.instruction);
    let image = NemoGym::load("nemo-gym:circle_count", &data)
        .unwrap()
        .unwrap()
        .task(Split::Test, 0);
    assert!(image.unwrap_err().to_string().contains("image"));
    assert!(NemoGym::load("nemo-gym:simpleqa", &data).is_err());
    assert!(NemoGym::load("shop", &data).unwrap().is_none());
}
