//! The shop in a dialogue: what the customer keeps back, when it says it, and what comes of asking or not.

mod play;

use hone_env::{Split, Task, Taskset};
use hone_model::Message;
use hone_shop::scenario::{Fact, Intent, Scenario};
use hone_shop::wording::lines;
use hone_shop::{Assignment, STOP, Shop};
use hone_trace::Stream;
use play::{Customer, play, success, transcript};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

fn dialogue() -> Shop {
    Shop::new().in_dialogue()
}

fn customer(shop: &Shop, task: &Task) -> Customer {
    let script = shop.user_script("customer", task, &Stream::new(0)).unwrap();
    Customer::new(script, shop.user(task).unwrap())
}

#[test]
fn the_expert_asks_acts_tells_and_solves_every_task() {
    let shop = dialogue();
    let mut questions = BTreeMap::new();
    for split in SPLITS {
        for index in 0..400 {
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
            let said = played
                .messages
                .iter()
                .filter(|it| matches!(it, Message::User(_)))
                .count();
            *questions.entry(said - 1).or_insert(0) += 1;
        }
    }
    println!("questions per task: {questions:?}");
    assert!(questions.keys().all(|count| [1, 2].contains(count)) && questions[&2] > 100);
}

#[test]
fn what_is_kept_back_is_not_in_the_opening_and_comes_when_asked() {
    let shop = dialogue();
    let mut kept: BTreeMap<Fact, u32> = BTreeMap::new();
    for split in SPLITS {
        for index in 0..300 {
            let task = shop.task(split, index).unwrap();
            let Assignment { request, withheld, .. } = Assignment::of(&task).unwrap();
            assert!(withheld.contains(&Fact::Who));
            let role = shop.user(&task).unwrap();
            for fact in Fact::ALL {
                let Some(value) = request.value(fact) else { continue };
                assert_ne!(
                    task.instruction.contains(value),
                    withheld.contains(&fact),
                    "{}",
                    task.instruction
                );
                assert!(role.instructions.contains(value), "{}", role.instructions);
                let question = match fact {
                    Fact::Who => "who are you",
                    Fact::Color => "which color",
                    Fact::Street => "which street",
                };
                let mut customer = customer(&shop, &task);
                assert_eq!(customer.open(), task.instruction);
                let answer = customer.answer(question.to_owned()).unwrap();
                let others = withheld
                    .iter()
                    .filter(|it| **it != fact)
                    .filter_map(|it| request.value(*it));
                assert!(
                    answer.contains(value) && !others.into_iter().any(|it| answer.contains(it)),
                    "{answer}"
                );
                *kept.entry(fact).or_default() += u32::from(withheld.contains(&fact));
            }
        }
    }
    println!("kept back in 900 tasks: {kept:?}");
    assert!(kept[&Fact::Color] > 100 && kept[&Fact::Street] > 50);
}

#[test]
fn openings_and_answers_are_of_the_splits_own_lists() {
    let shop = dialogue();
    for split in SPLITS {
        let all: BTreeSet<String> = Intent::ALL
            .into_iter()
            .flat_map(|intent| lines(split, intent))
            .collect();
        for index in 0..200 {
            let task = shop.task(split, index).unwrap();
            let request = Assignment::of(&task).unwrap().request;
            assert_eq!(Scenario::generate(split, task.seed).request, request);
            let mut customer = customer(&shop, &task);
            let mut said = vec![customer.open()];
            for question in ["who are you", "which color", "which street", "what"] {
                said.extend(customer.answer(question.to_owned()));
            }
            for text in said {
                let slots = [
                    ("{who}", request.name.as_ref().or(request.email.as_ref())),
                    ("{id}", request.order.as_ref()),
                    ("{item}", request.item.as_ref()),
                    ("{color}", request.color.as_ref()),
                    ("{street}", request.street.as_ref()),
                ];
                let template = slots.into_iter().fold(text, |text, (slot, value)| {
                    value.map_or(text.clone(), |value| text.replace(value.as_str(), slot))
                });
                assert!(all.contains(&template), "{template}");
            }
        }
    }
}

#[test]
fn baselines_stay_low_and_hardly_anything_succeeds_without_a_question() {
    let shop = dialogue();
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
    let rate = success(&shop, Split::Train, "over_eager", 1000);
    println!("over_eager on train: {rate:.3}");
    assert!((0.45..=0.70).contains(&rate), "{rate}");
    // Without a question no order is known: only answers at once, and an escalation, can be right.
    let mut right: BTreeMap<String, u32> = BTreeMap::new();
    for index in 0..2000 {
        let task = shop.task(Split::Test, index).unwrap();
        let mut world = shop.environment(&task);
        world.reset(&task).unwrap();
        let expected = Assignment::of(&task).unwrap();
        let untouched = world.state_hash();
        world
            .call("escalate", &serde_json::json!({"topic": "unknown"}))
            .unwrap();
        if [untouched, world.state_hash()].contains(&Some(expected.state)) {
            *right.entry(expected.outcome).or_default() += 1;
        }
    }
    println!("right without a question, of 2000: {right:?}");
    assert!(right.values().all(|count| *count <= 100), "{right:?}");
}

#[test]
fn an_outcome_ends_it_right_or_wrong() {
    let shop = dialogue();
    for index in 0..20 {
        let task = shop.task(Split::Test, index).unwrap();
        let mut customer = customer(&shop, &task);
        customer.open();
        assert_eq!(customer.answer("refused: late".to_owned()), None);
        let played = play(&shop, &task, "do_nothing");
        assert!(!played.succeeded() || task.kind == "status/shipped" || task.kind == "cancel_else_status/shipped");
    }
}

proptest! {
    #[test]
    fn whatever_the_agent_says_the_customer_says_little_and_leaves(
        index in 0u64..60,
        said in prop::collection::vec(
            prop_oneof![any::<String>(), "(who|name|color|street|address|done: |###STOP###|[a-z ]{0,9}|\\PC){0,20}"], 12,
        ),
    ) {
        let shop = dialogue();
        let task = shop.task(Split::Train, index).unwrap();
        let withheld = Assignment::of(&task).unwrap().withheld.len();
        let mut customer = customer(&shop, &task);
        customer.open();
        let replies: Vec<String> = said.into_iter().map_while(|text| customer.answer(text)).collect();
        // Each message either brings something out, or costs patience, of which there is enough for three.
        prop_assert!(replies.len() <= withheld + 3, "{:?}", replies);
        prop_assert!(replies.iter().all(|reply| reply.len() <= 150 && !reply.contains(STOP)));
    }
}

#[test]
fn tasks_and_customers_are_deterministic() {
    let (one, other) = (dialogue(), dialogue());
    for info in one.scripts() {
        for index in 0..10 {
            let task = one.task(Split::Validation, index).unwrap();
            assert_eq!(task, other.task(Split::Validation, index).unwrap());
            let (a, b) = (play(&one, &task, info.name), play(&other, &task, info.name));
            assert_eq!((a.messages, a.score), (b.messages, b.score), "{}", info.name);
        }
    }
    assert!(Shop::new().user_scripts().is_empty());
    let task = Shop::new().task(Split::Test, 0).unwrap();
    assert!(Shop::new().user(&task).is_none() && Shop::new().user_script("customer", &task, &Stream::new(0)).is_none());
}

#[test]
fn the_readme_shows_a_real_dialogue() {
    let shop = dialogue();
    let readme = include_str!("../README.md").replace("\r\n", "\n");
    let task = shop.task(Split::Train, 0).unwrap();
    let text = transcript(&play(&shop, &task, "expert"));
    assert!(
        readme.contains(&text),
        "README.md lacks {} ({}):\n{text}",
        task.id,
        task.kind
    );
}
