//! The tools and the recipe file's checks, on small books that the tests write.

mod common;

use common::play;
use hone_env::{EnvError, Environment, Fork, Split, Task, Taskset};
use hone_textcraft::{Selection, Textcraft};
use hone_trace::{Stream, ToolErrorClass};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A folder with that recipe file.
fn folder(bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("textcraft")).expect("a folder");
    std::fs::write(dir.path().join("textcraft/recipes.json"), bytes).expect("a file");
    dir
}

fn all() -> Selection {
    Selection::of("textcraft").expect("a name")
}

fn load(recipes: &Value) -> Result<Textcraft, EnvError> {
    Textcraft::load(Some(folder(recipes.to_string().as_bytes()).path()), &all())
}

fn shapeless(result: &str, makes: u32, needs: &[&str]) -> Value {
    json!({
        "type": "minecraft:crafting_shapeless",
        "ingredients": needs.iter().map(|n| json!({ "item": n })).collect::<Vec<_>>(),
        "result": { "item": result, "count": makes }
    })
}

fn kitchen() -> Textcraft {
    load(&json!({
        "plank.json": shapeless("minecraft:plank", 4, &["minecraft:log"]),
        "stick.json": shapeless("minecraft:stick", 2, &["minecraft:plank", "minecraft:plank"]),
        "sign.json": shapeless("minecraft:sign", 3, &["minecraft:stick", "minecraft:red_paint", "minecraft:red_paint"]),
        "big.json": shapeless("minecraft:big", 1, &["minecraft:stick", "minecraft:stick", "minecraft:stick"]),
        "coal_from_smelting.json": { "type": "minecraft:smelting", "result": "minecraft:coal" }
    }))
    .expect("a good file")
}

fn task(data: Value) -> Task {
    let instruction = String::new();
    Task {
        id: "train/0".into(),
        kind: "depth1".into(),
        system: None,
        instruction,
        seed: 0,
        data,
    }
}

fn world(textcraft: &Textcraft, held: Value) -> Box<dyn Environment> {
    let mut world = textcraft.environment(&task(Value::Null));
    world
        .reset(&task(json!({ "goal": "sign", "n": 1, "held": held })))
        .expect("it fits");
    world
}

fn said(world: &mut dyn Environment, tool: &str, arguments: Value) -> String {
    world.call(tool, &arguments).map_or_else(
        |e| format!("error: {e}"),
        |o| {
            assert_eq!(o.data, serde_json::from_str::<Value>(&o.text).expect("JSON"));
            o.text
        },
    )
}

#[test]
fn tools_answer_in_few_words() {
    let textcraft = kitchen();
    let mut world = world(&textcraft, json!({ "log": 1 }));
    let mut ask = |tool: &str, arguments: Value| said(&mut *world, tool, arguments);
    assert_eq!(
        ask("lookup", json!({ "item": "sign" })),
        r#"{"makes":3,"get":{"red paint":2},"craft":{"stick":1}}"#
    );
    assert_eq!(
        ask("lookup", json!({ "item": "plank" })),
        r#"{"makes":4,"get":{"log":1}}"#
    );
    assert_eq!(ask("lookup", json!({ "item": "log" })), r#"{"raw":true}"#);
    assert_eq!(
        ask("lookup", json!({ "item": "minecraft:log" })),
        "error: no item minecraft:log"
    );
    assert_eq!(ask("get", json!({ "item": "red paint", "n": 1 })), r#"{"red paint":1}"#);
    assert_eq!(
        ask("get", json!({ "item": "stick", "n": 1 })),
        "error: stick is not raw: craft it"
    );
    assert_eq!(ask("craft", json!({ "item": "log" })), "error: log is raw: get it");
    assert_eq!(
        ask("craft", json!({ "item": "sign" })),
        r#"error: missing {"red paint":1,"stick":1}"#
    );
    assert_eq!(ask("craft", json!({ "item": "plank" })), r#"{"plank":4}"#);
    assert_eq!(ask("craft", json!({ "item": "stick" })), r#"{"stick":2}"#);
    assert_eq!(ask("inventory", json!({})), r#"{"plank":2,"red paint":1,"stick":2}"#);
    // Arguments that no schema check has seen.
    for (tool, arguments) in [
        ("get", json!({ "item": "log", "n": 0 })),
        ("get", json!({ "item": "log", "n": 65 })),
        ("get", json!({ "item": "log", "n": -1 })),
        ("get", json!({ "item": "log" })),
        ("craft", json!({ "item": 3 })),
        ("lookup", Value::Null),
    ] {
        let error = world.call(tool, &arguments).expect_err("refused");
        assert_eq!(error.class, ToolErrorClass::InvalidArguments, "{tool} {arguments}");
    }
    assert_eq!(
        world.call("smelt", &json!({})).expect_err("refused").class,
        ToolErrorClass::UnknownTool
    );
}

#[test]
fn schemas_and_hints() {
    let textcraft = kitchen();
    let world = textcraft.environment(&task(Value::Null));
    let names: Vec<&str> = world.specs().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["get", "craft", "inventory", "lookup"]);
    for spec in world.specs() {
        assert_eq!(spec.input_schema["additionalProperties"], false);
        let reads = matches!(spec.name.as_str(), "inventory" | "lookup");
        assert_eq!(spec.annotations.read_only_hint, reads);
        assert!(!spec.annotations.open_world_hint);
    }
}

#[test]
fn forks_are_independent_and_hashes_follow_the_state() {
    let textcraft = kitchen();
    let mut world = world(&textcraft, json!({ "log": 1 }));
    assert_eq!(world.fork_kind(), Fork::Native);
    let mut fork = world.fork().expect("native");
    assert_eq!(world.state_hash(), fork.state_hash());
    said(&mut *fork, "craft", json!({ "item": "plank" }));
    assert_eq!(world.state(), json!({ "inventory": { "log": 1 } }));
    assert_eq!(fork.state(), json!({ "inventory": { "plank": 4 } }));
    assert_ne!(world.state_hash(), fork.state_hash());
    let before = world.state_hash();
    said(&mut *world, "lookup", json!({ "item": "sign" }));
    said(&mut *world, "craft", json!({ "item": "sign" }));
    assert_eq!(world.state_hash(), before, "reading and failing change nothing");
    said(&mut *world, "craft", json!({ "item": "plank" }));
    assert_eq!(world.state_hash(), fork.state_hash(), "the same state by another way");
}

#[test]
fn forking_and_hashing_take_microseconds() {
    let textcraft = kitchen();
    let world = world(&textcraft, json!({ "log": 9, "red paint": 4, "stick": 3 }));
    let start = std::time::Instant::now();
    for _ in 0..10_000 {
        let fork = world.fork().expect("native");
        assert!(fork.state_hash().is_some());
    }
    let mean = start.elapsed() / 10_000;
    println!("fork and hash: {mean:?}");
    assert!(mean.as_micros() < 200, "{mean:?}");
}

#[test]
fn tasks_that_do_not_fit_are_refused() {
    let textcraft = kitchen();
    for data in [
        json!({ "goal": "anvil", "n": 1 }),
        json!({ "goal": "sign", "n": 0 }),
        json!({ "goal": "sign", "n": 1, "held": { "anvil": 1 } }),
        json!({ "goal": "sign", "n": 1, "held": { "log": 65 } }),
        json!({ "goal": "sign", "n": 1, "more": 1 }),
        Value::Null,
    ] {
        let error = textcraft
            .environment(&task(Value::Null))
            .reset(&task(data.clone()))
            .expect_err("refused");
        assert!(error.to_string().contains("train/0"), "{data}: {error}");
    }
}

#[test]
fn goals_need_one_batch_of_each_item() {
    let textcraft = kitchen();
    let goals = |depth| -> Vec<String> {
        let splits = [Split::Train, Split::Validation, Split::Test];
        splits
            .iter()
            .flat_map(|&s| textcraft.goals(s, depth))
            .map(String::from)
            .collect()
    };
    assert_eq!(goals(1), ["plank"]);
    assert_eq!(goals(2), ["stick"]);
    assert_eq!(goals(3), ["sign"], "big needs two batches of sticks");
    assert_eq!(textcraft.book().depth("big"), Some(3));
    assert_eq!(textcraft.book().skipped(), 1);
    // A single goal is test, so there is nothing to train on.
    assert_eq!(
        (textcraft.len(Split::Test), textcraft.len(Split::Train)),
        (None, Some(0))
    );
    assert!(textcraft.task(Split::Train, 0).is_err());
    let played = play(
        &textcraft,
        &textcraft.task(Split::Test, 0).expect("one"),
        "nearest_template",
        &Stream::new(0),
    );
    assert!(played.episode.tool_calls.is_empty(), "no training goal, no template");
}

#[test]
fn knots_are_cut_at_the_item_most_needed() {
    let textcraft = load(&json!({
        "ingot.json": shapeless("minecraft:ingot", 9, &["minecraft:block"]),
        "block.json": shapeless("minecraft:block", 1, &["minecraft:ingot"; 9]),
        "sword.json": shapeless("minecraft:sword", 1, &["minecraft:ingot", "minecraft:grip"]),
        "itself.json": shapeless("minecraft:itself", 2, &["minecraft:itself"]),
        "a.json": shapeless("minecraft:a", 1, &["minecraft:b"]),
        "b.json": shapeless("minecraft:b", 1, &["minecraft:c"]),
        "c.json": shapeless("minecraft:c", 1, &["minecraft:a"])
    }))
    .expect("knots are no error");
    let depths = ["ingot", "block", "sword", "itself", "a", "b", "c"].map(|name| textcraft.book().depth(name));
    assert_eq!(depths, [0, 1, 1, 0, 0, 2, 1].map(Some));
}

#[test]
fn one_recipe_counts_where_there_are_several() {
    let textcraft = load(&json!({
        "dye.json": shapeless("minecraft:dye", 1, &["minecraft:bone"]),
        "dye_z.json": shapeless("minecraft:dye", 2, &["minecraft:lily"]),
        "glue_from_a.json": shapeless("minecraft:glue", 1, &["minecraft:a"]),
        "glue_from_b.json": shapeless("minecraft:glue", 1, &["minecraft:b"])
    }))
    .expect("a good file");
    assert_eq!(textcraft.book().ingredients("dye"), Some((1, vec![("bone", 1)])));
    assert_eq!(textcraft.book().ingredients("glue"), Some((1, vec![("b", 1)])));
}

#[test]
fn hostile_files_are_refused_and_named() {
    let shaped = |pattern: Value, key: Value| {
        json!({ "x.json": {
            "type": "minecraft:crafting_shaped", "pattern": pattern, "key": key, "result": { "item": "minecraft:x" }
        }})
    };
    let a = json!({ "item": "minecraft:a" });
    let cases = [
        (
            json!({ "x.json": shapeless("minecraft:x", 0, &["minecraft:a"]) }),
            "1 to 64 items, this one 0",
        ),
        (
            json!({ "x.json": shapeless("minecraft:x", 65, &["minecraft:a"]) }),
            "1 to 64 items, this one 65",
        ),
        (json!({ "x.json": shapeless("minecraft:x", 1, &[]) }), "1 to 9 cells"),
        (
            json!({ "x.json": shapeless("minecraft:x", 1, &["minecraft:a"; 10]) }),
            "1 to 9 cells",
        ),
        (
            json!({ "x.json": shapeless("minecraft:x", 1, &["../../etc"]) }),
            "no item name",
        ),
        (
            json!({ "x.json": shapeless("minecraft:", 1, &["minecraft:a"]) }),
            "no item name",
        ),
        (
            json!({ "x.json": shapeless(&"x".repeat(65), 1, &["minecraft:a"]) }),
            "no item name",
        ),
        (
            json!({ "x.json": shapeless("minecraft:say \"hi\"", 1, &["minecraft:a"]) }),
            "no item name",
        ),
        (
            json!({ "x.json": { "type": "minecraft:crafting_shaped" } }),
            "x.json: missing field",
        ),
        (json!({ "x.json": 7 }), "x.json has no `type`"),
        (
            json!({ "x.json": { "type": "minecraft:crafting_shapeless", "ingredients": [[]],
            "result": { "item": "x" } } }),
            "no alternatives",
        ),
        (shaped(json!(["##", "#?"]), json!({ "#": a })), "'?'"),
        (shaped(json!(["   "]), json!({ "#": a })), "1 to 9 cells"),
        (
            shaped(json!(["#".repeat(1_000_000)]), json!({ "#": a })),
            "1 to 9 cells",
        ),
        (shaped(json!(["#"]), json!({ "ab": a })), "x.json"),
        (json!([1, 2]), "no JSON object"),
    ];
    for (file, expected) in cases {
        let error = load(&file).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(
            error.contains("recipes.json: ") && error.contains("`hone data get textcraft`"),
            "{error}"
        );
        assert!(error.len() < 500, "{error}");
    }
    for (bytes, expected) in [
        (b"{\"x.json\": ".to_vec(), "no JSON object"),
        (vec![b'['; 100_000], "no JSON object"),
        (vec![0xff; 10], "no JSON object"),
        (vec![b' '; 5 << 20], "larger than"),
    ] {
        let error = Textcraft::load(Some(folder(&bytes).path()), &all())
            .expect_err(expected)
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    let many: serde_json::Map<String, Value> = (0..5000)
        .map(|i| (format!("{i}.json"), json!({ "type": "minecraft:smelting" })))
        .collect();
    assert!(
        load(&Value::Object(many))
            .expect_err("too many")
            .to_string()
            .contains("5000 entries")
    );
}

#[test]
fn a_missing_file_is_named_with_the_way_to_get_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let error = Textcraft::load(Some(dir.path()), &all())
        .expect_err("there is none")
        .to_string();
    assert!(
        error.contains("recipes.json") && error.contains("`hone data get textcraft`"),
        "{error}"
    );
    std::fs::create_dir_all(dir.path().join("textcraft/recipes.json")).expect("a folder");
    let error = Textcraft::load(Some(dir.path()), &all())
        .expect_err("a folder is no file")
        .to_string();
    assert!(error.contains("it is not a file"), "{error}");
}

#[test]
fn a_task_may_bring_recipes_and_bad_ones_are_refused() {
    let textcraft = kitchen();
    let mut world = textcraft.environment(&task(Value::Null));
    let bring = |recipes: Value| task(json!({ "goal": "green tea", "n": 1, "recipes": recipes }));
    let good = bring(json!({ "green tea": { "makes": 2, "needs": { "sign": 1, "hot water": 8 } } }));
    world.reset(&good).expect("good recipes");
    let ask = |world: &mut Box<dyn Environment>, item: &str| said(&mut **world, "lookup", json!({ "item": item }));
    assert_eq!(
        ask(&mut world, "green tea"),
        r#"{"makes":2,"get":{"hot water":8,"sign":1}}"#
    );
    assert_eq!(
        ask(&mut world, "plank"),
        "error: no item plank",
        "the taskset's recipes do not hold here"
    );
    world
        .reset(&task(json!({ "goal": "sign", "n": 1 })))
        .expect("the taskset's own again");
    assert_eq!(ask(&mut world, "plank"), r#"{"makes":4,"get":{"log":1}}"#);
    for wrong in [
        json!({}),
        json!({ "green tea": { "makes": 0, "needs": { "leaf": 1 } } }),
        json!({ "green tea": { "makes": 65, "needs": { "leaf": 1 } } }),
        json!({ "green tea": { "makes": 1, "needs": {} } }),
        json!({ "green tea": { "makes": 1, "needs": { "leaf": 0 } } }),
        json!({ "green tea": { "makes": 1, "needs": { "leaf": 4_294_967_295_u32, "sign": 1 } } }),
        json!({ "green tea": { "makes": 1, "needs": { "Leaf\"": 1 } } }),
        json!({ "green tea": { "makes": 1, "needs": { "leaf": 1 }, "more": 1 } }),
    ] {
        let error = world.reset(&bring(wrong.clone())).expect_err("bad recipes").to_string();
        assert!(error.contains("train/0"), "{wrong}: {error}");
    }
}

#[test]
fn the_largest_knots_are_untied() {
    // 2000 pairs that need each other, and a chain of 96: each pair must be cut.
    let mut recipes = serde_json::Map::new();
    for i in 0..2000 {
        recipes.insert(
            format!("a{i}.json"),
            shapeless(&format!("a{i}"), 1, &[&format!("b{i}")]),
        );
        recipes.insert(
            format!("b{i}.json"),
            shapeless(&format!("b{i}"), 1, &[&format!("a{i}")]),
        );
    }
    for i in 0..96 {
        recipes.insert(
            format!("c{i}.json"),
            shapeless(&format!("c{i}"), 1, &[&format!("c{}", i + 1)]),
        );
    }
    let textcraft = load(&Value::Object(recipes)).expect("knots are no error");
    assert_eq!(textcraft.book().depth("c0"), Some(96));
    assert_eq!(
        (textcraft.book().depth("a7"), textcraft.book().depth("b7")),
        (Some(0), Some(1))
    );
}

proptest! {
    /// Whatever is called: a craft changes the inventory by exactly its recipe, a get by what was asked for, and
    /// everything else, errors included, by nothing.
    #[test]
    fn crafting_conserves(calls in prop::collection::vec((0..4_usize, 0..7_usize, 1..5_u32), 1..60)) {
        let textcraft = kitchen();
        let book = textcraft.book();
        let mut world = world(&textcraft, json!({}));
        let names: Vec<String> = book.names().to_vec();
        let count = |state: &Value, name: &str| state["inventory"][name].as_i64().unwrap_or(0);
        for (tool, item, n) in calls {
            let tool = ["get", "craft", "craft", "lookup"][tool];
            let name = &names[item % names.len()];
            let before = world.state();
            let hash = world.state_hash();
            let arguments = if tool == "get" { json!({ "item": name, "n": n }) } else { json!({ "item": name }) };
            let done = world.call(tool, &arguments).is_ok();
            let after = world.state();
            for other in &names {
                let made = |makes: u32| if other == name { i64::from(makes) } else { 0 };
                let expected = match (tool, done) {
                    ("get", true) => made(n),
                    ("craft", true) => {
                        let (makes, needs) = book.ingredients(name).expect("it was crafted");
                        let used = needs.iter().find(|(need, _)| need == other).map_or(0, |(_, n)| i64::from(*n));
                        made(makes) - used
                    }
                    _ => 0,
                };
                prop_assert_eq!(count(&after, other) - count(&before, other), expected, "{} {} {}", tool, name, other);
                prop_assert!(count(&after, other) >= 0);
            }
            prop_assert_eq!(before == after, hash == world.state_hash());
        }
    }
}
