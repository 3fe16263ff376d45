//! What the scripted agents reach, and what that says about the tasks.

mod play;

use hone_env::{Split, Taskset};
use hone_model::{AgentTurn, Message};
use hone_shop::Shop;
use play::{play, success, transcript};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

#[test]
fn the_expert_solves_every_task_in_two_to_six_calls() {
    let shop = Shop::new();
    let mut counts = BTreeMap::new();
    for split in SPLITS {
        for index in 0..500 {
            let task = shop.task(split, index).unwrap();
            let played = play(&shop, &task, "expert");
            assert!(
                played.succeeded(),
                "{}: {:?}\n{}",
                task.id,
                played.score,
                transcript(&played)
            );
            assert_eq!(played.part("valid_calls"), 1.0);
            assert!((2..=6).contains(&played.calls), "{}\n{}", task.id, transcript(&played));
            assert_eq!(played.errors.len(), usize::from(task.kind.ends_with("/unknown")));
            *counts.entry(played.calls).or_insert(0) += 1;
        }
    }
    println!("calls per task: {counts:?}");
}

#[test]
fn the_over_eager_demonstrator_is_mediocre_and_errs_mostly_where_policy_forbids() {
    let shop = Shop::new();
    let rate = success(&shop, Split::Train, "over_eager", 1000);
    println!("over_eager on train: {rate:.3}");
    assert!((0.50..=0.70).contains(&rate), "{rate}");
    let (mut kept, mut forbidden) = (0, 0);
    for index in 0..1000 {
        let task = shop.task(Split::Train, index).unwrap();
        let case = task.kind.split('/').nth(1).unwrap();
        if matches!(case, "late" | "gone" | "shipped") && !task.kind.contains("status") {
            forbidden += 1;
            kept += u32::from(play(&shop, &task, "over_eager").succeeded());
        }
    }
    let share = f64::from(kept) / f64::from(forbidden);
    println!("over_eager where policy forbids: {share:.3} of {forbidden}");
    assert!((0.35..0.55).contains(&share), "{share}");
}

#[test]
fn baselines_stay_low() {
    let shop = Shop::new();
    for (script, bound) in [
        ("do_nothing", 0.05),
        ("random", 0.05),
        ("fixed_plan", 0.30),
        ("nearest_template", 0.30),
    ] {
        let rate = success(&shop, Split::Test, script, 400);
        println!("{script} on test: {rate:.4}");
        assert!(rate <= bound, "{script}: {rate}");
    }
}

#[test]
fn no_answer_given_at_once_is_right_often() {
    let shop = Shop::new();
    let mut right: BTreeMap<String, u32> = BTreeMap::new();
    for index in 0..4000 {
        let task = shop.task(Split::Test, index).unwrap();
        let mut world = shop.environment(&task);
        world.reset(&task).unwrap();
        let assignment = hone_shop::Assignment::of(&task).unwrap();
        if world.state_hash() == Some(assignment.state) {
            *right.entry(assignment.outcome).or_default() += 1;
        }
    }
    let best = right.iter().max_by_key(|(_, count)| **count).unwrap();
    println!("best answer at once: {best:?} of 4000");
    assert!(*best.1 <= 200);
}

#[test]
fn no_plan_fits_more_than_a_third_of_a_wish_and_most_tasks_branch() {
    let shop = Shop::new();
    let mut kinds: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    let n = 6000;
    for index in 0..n {
        let task = shop.task(Split::Train, index).unwrap();
        let (intent, case) = task.kind.split_once('/').unwrap();
        *kinds
            .entry(intent.to_owned())
            .or_default()
            .entry(case.to_owned())
            .or_default() += 1;
    }
    println!("{kinds:#?}");
    assert_eq!(kinds.len(), 7);
    let mut usual = 0;
    for cases in kinds.values() {
        let most = *cases.values().max().unwrap();
        usual += most;
        assert!(cases.len() >= 5 && 3 * most < cases.values().sum());
    }
    // Every wish has several outcomes that only a result tells apart: all tasks branch.
    assert!(f64::from(usual) / (n as f64) < 0.28);
}

#[test]
fn arguments_are_copied_and_most_tasks_need_earlier_results() {
    let shop = Shop::new();
    let mut dependent = 0;
    for index in 0..500 {
        let task = shop.task(Split::Test, index).unwrap();
        let mut seen = task.instruction.clone();
        let mut needs_result = false;
        for message in play(&shop, &task, "expert").messages {
            match message {
                Message::Agent(AgentTurn::Calls { calls, .. }) => {
                    for (key, value) in calls.iter().flat_map(|call| call.arguments.as_object().unwrap()) {
                        let value = value.as_str().unwrap();
                        let known = matches!(key.as_str(), "reason" | "topic") || seen.contains(value);
                        assert!(known, "{} guesses {key}={value}", task.id);
                        needs_result |=
                            !matches!(key.as_str(), "reason" | "topic") && !task.instruction.contains(value);
                    }
                }
                Message::Tool(text) => seen.push_str(&text),
                _ => {}
            }
        }
        dependent += u32::from(needs_result);
    }
    println!("tasks with an argument known from results only: {dependent} of 500");
    assert!(dependent > 250);
}

#[test]
fn scripts_and_scores_are_deterministic() {
    let shop = Shop::new();
    for info in shop.scripts() {
        for index in 0..10 {
            let task = shop.task(Split::Validation, index).unwrap();
            let (a, b) = (play(&shop, &task, info.name), play(&Shop::new(), &task, info.name));
            assert_eq!((a.messages, a.score), (b.messages, b.score), "{}", info.name);
        }
    }
    let task = shop.task(Split::Test, 0).unwrap();
    assert!(shop.script("nobody", &task, &hone_trace::Stream::new(0)).is_none());
}

#[test]
fn the_readme_shows_real_episodes() {
    let shop = Shop::new();
    let readme = include_str!("../README.md").replace("\r\n", "\n");
    for (split, index) in [(Split::Train, 2), (Split::Train, 13), (Split::Test, 4)] {
        let task = shop.task(split, index).unwrap();
        let text = transcript(&play(&shop, &task, "expert"));
        assert!(
            readme.contains(&text),
            "README.md lacks {} ({}):\n{text}",
            task.id,
            task.kind
        );
    }
}

#[test]
fn tools_say_what_they_take() {
    let shop = Shop::new();
    let world = shop.environment(&shop.task(Split::Test, 0).unwrap());
    assert!(world.specs().len() >= 8);
    for tool in world.specs() {
        assert_eq!(
            tool.input_schema["additionalProperties"],
            Value::Bool(false),
            "{}",
            tool.name
        );
        let properties = tool.input_schema["properties"].as_object().unwrap();
        let required = tool.input_schema["required"].as_array().unwrap();
        let optional: Vec<_> = properties
            .keys()
            .filter(|key| !required.contains(&json!(key)))
            .collect();
        assert_eq!(
            optional,
            if tool.name == "get_order" { vec!["item"] } else { vec![] },
            "{}",
            tool.name
        );
        let reads = tool.name.starts_with("find_") || tool.name.starts_with("get_") || tool.name.starts_with("list_");
        assert_eq!(tool.annotations.read_only_hint, reads, "{}", tool.name);
        assert!(!(tool.annotations.read_only_hint && tool.annotations.destructive_hint));
    }
}

#[test]
fn episodes_are_short() {
    let shop = Shop::new();
    let (mut words, mut longest) = (0, 0);
    for index in 0..1000 {
        let count = shop
            .task(Split::Train, index)
            .unwrap()
            .instruction
            .split_whitespace()
            .count();
        words += count;
        longest = longest.max(count);
    }
    println!(
        "words of a request: {:.1} on average, {longest} at most",
        words as f64 / 1000.0
    );
    assert!(words < 16_000 && longest <= 28);
}
