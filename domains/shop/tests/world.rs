//! The store's state: forks, hashes, determinism.

use hone_env::{EnvError, Environment, Fork, Split, Task, Taskset};
use hone_shop::{Shop, World};
use hone_tool::ToolHost;
use proptest::prelude::*;
use serde_json::{Value, json};

fn world(index: u64) -> (Task, World) {
    let task = Shop::new().task(Split::Train, index).unwrap();
    let mut world = World::default();
    world.reset(&task).unwrap();
    (task, world)
}

/// A call of any tool with arguments that often exist.
fn any_call(world: &World, (tool, a, b): (usize, usize, usize)) -> (String, Value) {
    let specs = world.specs();
    let spec = &specs[tool % specs.len()];
    let store = world.store();
    let order = &store.orders[a % store.orders.len()];
    let customer = &store.customers[a % store.customers.len()];
    let mut arguments = serde_json::Map::new();
    for (key, schema) in spec.input_schema["properties"].as_object().unwrap() {
        let choices = schema.get("enum").and_then(Value::as_array);
        let value = match (key.as_str(), choices) {
            (_, Some(choices)) => choices[b % choices.len()].clone(),
            (_, None) if b % 7 == 0 => json!("nobody"),
            ("order", _) => json!(order.id),
            ("customer", _) => json!(customer.id),
            ("name", _) => json!(customer.name),
            ("email", _) => json!(customer.email),
            ("item", _) => json!(order.item),
            ("street", _) => json!(store.orders[b % store.orders.len()].street),
            (key, _) => panic!("no value for {key}"),
        };
        arguments.insert(key.clone(), value);
    }
    (spec.name.clone(), Value::Object(arguments))
}

proptest! {
    #[test]
    fn the_hash_changes_exactly_when_the_state_does(
        index in 0u64..50, calls in prop::collection::vec((0usize..99, 0usize..99, 0usize..99), 1..20),
    ) {
        let (_, mut world) = world(index);
        let mut seen = vec![(world.state(), world.state_hash())];
        for call in calls {
            let (tool, arguments) = any_call(&world, call);
            let before = world.state();
            let result = world.call(&tool, &arguments);
            let reads = world.specs().iter().any(|spec| spec.name == tool && spec.annotations.read_only_hint);
            prop_assert!(before == world.state() || (!reads && result.is_ok()), "{} changed the state", tool);
            for (state, hash) in &seen {
                prop_assert_eq!(*state == world.state(), *hash == world.state_hash());
            }
            seen.push((world.state(), world.state_hash()));
        }
    }

    #[test]
    fn a_fork_lives_on_its_own(
        index in 0u64..50, calls in prop::collection::vec((0usize..99, 0usize..99, 0usize..99), 1..12), at in 0usize..12,
    ) {
        let (_, mut world) = world(index);
        let calls: Vec<_> = calls.into_iter().map(|call| any_call(&world, call)).collect();
        let at = at.min(calls.len());
        for (tool, arguments) in &calls[..at] {
            let _ = world.call(tool, arguments);
        }
        let kept = (world.state(), world.state_hash());
        let mut fork = world.fork().expect("forks are native");
        let answers: Vec<_> = calls[at..].iter().map(|(tool, arguments)| fork.call(tool, arguments)).collect();
        prop_assert_eq!(&kept, &(world.state(), world.state_hash()));
        for ((tool, arguments), answer) in calls[at..].iter().zip(answers) {
            prop_assert_eq!(world.call(tool, arguments), answer);
        }
        prop_assert_eq!(fork.state(), world.state());
        prop_assert_eq!(fork.state_hash(), world.state_hash());
    }

    #[test]
    fn an_idempotent_tool_may_be_called_twice(index in 0u64..50, call in (0usize..99, 0usize..99, 0usize..99)) {
        let (_, mut world) = world(index);
        let (tool, arguments) = any_call(&world, call);
        let _ = world.call(&tool, &arguments);
        let once = world.state_hash();
        let _ = world.call(&tool, &arguments);
        let idempotent = world.specs().iter().any(|spec| spec.name == tool && spec.annotations.idempotent_hint);
        prop_assert!(!idempotent || once == world.state_hash(), "{}", tool);
    }
}

#[test]
fn the_same_task_gives_the_same_world() {
    let (task, first) = world(7);
    let (again, mut second) = world(7);
    assert_eq!((&task, first.state()), (&again, second.state()));
    assert_eq!(second.fork_kind(), Fork::Native);
    let id = first.store().orders[0].id.clone();
    second
        .call("note_refusal", &json!({"order": id, "reason": "late"}))
        .unwrap();
    assert_ne!(first.state_hash(), second.state_hash());
    second.reset(&task).unwrap();
    assert_eq!(first.state_hash(), second.state_hash());
    assert_ne!(world(8).1.state_hash(), first.state_hash());
}

#[test]
fn a_foreign_task_is_refused() {
    let (mut task, mut world) = world(3);
    task.seed ^= 1;
    assert!(matches!(world.reset(&task), Err(EnvError::Data { .. })));
    task.data = json!({"goal": "diamond"});
    assert!(matches!(world.reset(&task), Err(EnvError::Data { .. })));
}

#[test]
fn errors_are_short_and_harmless() {
    let (_, mut world) = world(1);
    let before = world.state_hash();
    for (tool, arguments) in [
        ("get_order", json!({"order": "W0"})),
        ("find_customer", json!({"name": "x"})),
        ("exchange_order", json!({"order": "W0", "color": "pink"})),
        ("get_order", json!({})),
        ("steal", json!({})),
    ] {
        let error = world.call(tool, &arguments).unwrap_err();
        assert!(error.message.len() < 60, "{error}");
    }
    assert_eq!(before, world.state_hash());
}

#[test]
fn an_order_is_compared_with_the_item_it_is_asked_for() {
    let (_, mut world) = world(1);
    let state = world.state();
    let order = &state["orders"][0];
    let (id, item) = (order["id"].as_str().unwrap(), order["item"].as_str().unwrap());
    let right = world.call("get_order", &json!({"item": item, "order": id})).unwrap();
    assert_eq!(right.data, world.call("get_order", &json!({"order": id})).unwrap().data);
    let wrong = world
        .call("get_order", &json!({"item": "nothing", "order": id}))
        .unwrap_err();
    assert_eq!(wrong.message, format!("{id} is for {item}"));
}
