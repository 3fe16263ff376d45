//! τ-bench's airline: hashes, the reward, recorded runs.

mod common;

use hone_tau::v1::{Act, Played, Task, World, gold, reward, tasks};
use hone_tau::{Summary, rescore_v1, responses};
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let folder = common::folder()?.join("../tau-bench/airline");
    let there = folder.join("flights.json").is_file() || folder.join("data").is_dir();
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{} is missing",
        folder.display()
    );
    there.then_some(folder)
}

fn call(name: &str, arguments: &str) -> Act {
    Act::Call(name.into(), serde_json::from_str(arguments).unwrap())
}

fn task(actions: &str, outputs: &[&str]) -> Task {
    Task {
        user_id: "u".into(),
        instruction: "i".into(),
        actions: serde_json::from_str(actions).unwrap(),
        outputs: outputs.iter().map(|output| (*output).to_owned()).collect(),
    }
}

#[test]
fn the_data_hash_as_in_the_reference() {
    let Some(folder) = folder() else { return };
    let fresh = World::load("airline", &folder).unwrap();
    // Of another copy of the reference's data and code: MUA-RL's tools over the same three files.
    assert_eq!(
        fresh.hash(),
        "4587e6b48ad2b2c4f3e1fecb40aabec7bb2286513273b8f8cec3f5865222f290"
    );
}

/// The shop's data are not among those that every machine has.
#[test]
fn the_shops_gold_and_idleness() {
    let Some(folder) = folder().map(|folder| folder.with_file_name("retail")) else {
        return;
    };
    if !folder.join("data").is_dir() {
        eprintln!("skipped: {} has no data", folder.display());
        return;
    }
    let fresh = World::load("retail", &folder).unwrap();
    // Of another copy of the reference's data and code: MUA-RL's tools over the same three files.
    assert_eq!(
        fresh.hash(),
        "5a4b2cb59f4d12dea7e4adff24a7f8fada510ead49372ea4a729a82bbb5f49b5"
    );
    let tasks = tasks("retail", &folder).unwrap();
    let hashes: std::collections::BTreeSet<_> = tasks.iter().map(|task| gold(&fresh, task).hash()).collect();
    let unchanged = tasks.iter().filter(|task| gold(&fresh, task).same(&fresh)).count();
    assert_eq!((tasks.len(), hashes.len(), unchanged), (115, 99, 11));
}

#[test]
fn the_reward_asks_for_the_state_and_for_what_is_said() {
    let Some(folder) = folder() else { return };
    let fresh = World::load("airline", &folder).unwrap();
    let wanted = task(
        r#"[{"name": "cancel_reservation", "kwargs": {"reservation_id": "Z7GOZK"}}]"#,
        &["1,000"],
    );
    assert_ne!(gold(&fresh, &wanted).hash(), fresh.hash());
    let cancel = || call("cancel_reservation", r#"{"reservation_id": "Z7GOZK"}"#);
    let say = |text: &str| Act::Respond(text.into());
    let found = |acts: Vec<Act>, ended| reward(&fresh, &wanted, &Played { acts, ended });
    // The message's commas are removed, those of the text are not: this one can never be said.
    assert_eq!(found(vec![cancel(), say("It is 1,000.")], true).outputs, [false]);
    let wanted = task(
        r#"[{"name": "cancel_reservation", "kwargs": {"reservation_id": "Z7GOZK"}}]"#,
        &["Yes 1000"],
    );
    let found = |acts: Vec<Act>, ended| reward(&fresh, &wanted, &Played { acts, ended }).reward;
    assert_eq!(found(vec![cancel(), say("yes, 1,000!")], true), 1.0);
    assert_eq!(found(vec![cancel(), say("yes, 1,000!")], false), 0.0);
    assert_eq!(found(vec![cancel()], true), 0.0);
    assert_eq!(found(vec![say("yes 1000")], true), 0.0);
    // Twice refunds twice.
    assert_eq!(found(vec![cancel(), cancel(), say("yes 1000")], true), 0.0);
    // What fails changes nothing, and looking up neither.
    let more = vec![
        call("cancel_reservation", r#"{"reservation_id": "NONE"}"#),
        call("get_user_details", r#"{"user_id": ["x"]}"#),
        call("no_such_tool", "{}"),
        call("think", r#"{"thought": "hm", "more": 1}"#),
        cancel(),
        say("yes 1000"),
    ];
    assert_eq!(found(more, true), 1.0);
}

#[test]
fn errors_are_worded_as_in_the_reference() {
    let Some(folder) = folder() else { return };
    let mut world = World::load("airline", &folder).unwrap();
    let mut says = |name: &str, arguments: &str| world.respond(name, &serde_json::from_str(arguments).unwrap());
    assert_eq!(says("nothing", "{}"), "Unknown action nothing");
    assert_eq!(
        says("get_reservation_details", r#"{"reservation_id": "X"}"#),
        "Error: user not found"
    );
    assert_eq!(
        says("think", "{}"),
        "Error: Think.invoke() missing 1 required positional argument: 'thought'"
    );
    assert_eq!(
        says("think", r#"{"thought": "", "x": 1}"#),
        "Error: Think.invoke() got an unexpected keyword argument 'x'"
    );
    assert_eq!(says("calculate", r#"{"expression": "2 + 2"}"#), "4.0");
    assert_eq!(
        says("calculate", r#"{"expression": "two"}"#),
        "Error: invalid characters in expression"
    );
    assert_eq!(
        says("get_user_details", r#"{"user_id": []}"#),
        "Error: unhashable type: 'list'"
    );
}

#[test]
fn recorded_runs_get_their_recorded_rewards() {
    let Some(folder) = folder() else { return };
    let file = folder.join("gpt-4o-airline.json");
    if !file.is_file() {
        eprintln!(
            "skipped: this test scores tau-bench's recorded runs, and {} is missing",
            file.display()
        );
        return;
    }
    let fresh = World::load("airline", &folder).unwrap();
    let recorded = responses(&file).unwrap();
    let sum = Summary::of(rescore_v1(&fresh, &[], &recorded));
    assert_eq!((sum.runs, sum.compared, sum.passed), (200, 200, 84));
    assert!(sum.different.is_empty(), "{:?}", sum.different);
    assert_eq!(tasks("airline", &folder).unwrap().len(), 50);
}
