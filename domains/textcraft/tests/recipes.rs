//! On the real recipes: goals, splits, depths, scripts.

mod common;

use common::{play, selected, textcraft, transcript};
use hone_env::{Split, Taskset};
use hone_textcraft::{Selection, Textcraft};
use hone_trace::Stream;
use std::collections::{BTreeMap, BTreeSet};

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Success, mean number of calls and mean waste of a script over `tasks` tasks.
fn success(textcraft: &Textcraft, split: Split, script: &str, tasks: u64) -> (f64, f64, f64) {
    let (mut value, mut calls, mut waste) = (0.0, 0.0, 0.0);
    for index in 0..tasks {
        let task = textcraft.task(split, index).expect("the taskset has no end");
        let played = play(textcraft, &task, script, &Stream::new(5).at(index));
        let score = textcraft.score(&task, &played.episode, &*played.environment);
        value += score.value;
        calls += played.episode.tool_calls.len() as f64;
        waste += score.parts.iter().find(|p| p.name == "waste").map_or(0.0, |p| p.value);
    }
    (value / tasks as f64, calls / tasks as f64, waste / tasks as f64)
}

#[test]
fn reads_the_file_as_counted_by_hand() {
    let Some(textcraft) = textcraft() else { return };
    let book = textcraft.book();
    // 860 entries: 491 shaped and 144 shapeless are read.
    assert_eq!(book.skipped(), 225);
    assert_eq!(book.ingredients("oak planks"), Some((4, vec![("oak logs", 1)])));
    assert_eq!(book.ingredients("oak boat"), Some((1, vec![("oak planks", 5)])));
    assert_eq!(
        book.ingredients("tripwire hook"),
        Some((2, vec![("iron ingot", 1), ("planks", 1), ("stick", 1)]))
    );
    assert_eq!(
        book.ingredients("torch"),
        Some((4, vec![("coal", 1), ("stick", 1)])),
        "the first alternative"
    );
    assert_eq!(
        book.ingredients("cyan dye"),
        Some((2, vec![("blue dye", 1), ("green dye", 1)]))
    );
    assert_eq!(
        book.ingredients("pink dye"),
        Some((2, vec![("red dye", 1), ("white dye", 1)])),
        "mixed from dyes"
    );
}

#[test]
fn depths_as_worked_out_by_hand() {
    let Some(textcraft) = textcraft() else { return };
    let expected = [
        ("planks", 0),                  // a tag
        ("green dye", 0),               // only smelting makes it
        ("iron ingot", 0),              // knot of ingot, nugget and block
        ("stick", 1),                   // planks
        ("iron block", 1),              // iron ingot
        ("torch", 2),                   // coal; stick 1
        ("oak fence", 2),               // stick 1; oak planks 1
        ("book", 2),                    // paper 1 (sugar cane); leather 1 (rabbit hide)
        ("writable book", 3),           // book 2; ink sac; feather
        ("jack o lantern", 3),          // carved pumpkin; torch 2
        ("dispenser", 3),               // bow 2 (stick 1; string); cobblestone; redstone
        ("cyan stained glass", 3),      // cyan dye 2 (blue dye 1 (lapis lazuli); green dye); glass
        ("cyan stained glass pane", 4), // cyan stained glass 3
        ("gray wool", 4), // gray dye 3 (black dye 1 (ink sac); white dye 2 (bone meal 1 (bone))); white wool (4 string) 1
    ];
    for (name, depth) in expected {
        assert_eq!(textcraft.book().depth(name), Some(depth), "{name}");
    }
}

#[test]
fn the_expert_solves_every_goal_of_every_split_in_few_short_calls() {
    let Some(textcraft) = textcraft() else { return };
    let budget = textcraft.budget();
    let (mut longest, mut held) = (0, BTreeMap::<&str, u32>::new());
    for split in SPLITS {
        for depth in 1..=4 {
            let only = selected(&format!("textcraft:{depth}")).expect("loaded before");
            let mut goals: BTreeSet<String> = only.goals(split, depth).into_iter().map(String::from).collect();
            for index in 0..3 * goals.len() as u64 {
                let task = only.task(split, index).expect("no end");
                assert_eq!(task.kind, format!("depth{depth}"));
                let played = play(&only, &task, "expert", &Stream::new(0));
                let score = only.score(&task, &played.episode, &*played.environment);
                let said = transcript(&played.messages);
                assert_eq!(score.value, 1.0, "{}\n{said}", task.data);
                let parts: Vec<f64> = score.parts.iter().map(|p| p.value).collect();
                assert_eq!(parts, [1.0, 1.0, 0.0], "goal, valid calls, waste of\n{said}");
                assert!(
                    played.episode.tool_calls.len() <= if depth <= 3 { 12 } else { 15 },
                    "{said}"
                );
                for call in &played.episode.tool_calls {
                    assert!(
                        call.shown.len() <= budget.max_observation_chars as usize,
                        "{}",
                        call.shown
                    );
                }
                longest = longest.max(said.len());
                *held.entry(split.name()).or_default() += u32::from(task.data.get("held").is_some());
                goals.remove(task.data["goal"].as_str().expect("a name"));
            }
            assert!(goals.is_empty(), "never asked for in {}: {goals:?}", split.name());
        }
    }
    println!("longest transcript {longest} characters; tasks with something held {held:?}");
    assert!(held.values().all(|&n| n > 10));
}

#[test]
fn splits_are_disjoint_and_large_enough() {
    let Some(textcraft) = textcraft() else { return };
    let count = |split| {
        (1..=4)
            .map(|depth| textcraft.goals(split, depth).len())
            .collect::<Vec<_>>()
    };
    println!(
        "goals of depth 1 to 4: {:?}",
        SPLITS.map(|split| (split.name(), count(split)))
    );
    assert_eq!(SPLITS.map(count), [[91, 87, 24, 12], [16, 15, 4, 2], [47, 45, 12, 6]]);
    let mut seen = BTreeSet::new();
    for split in SPLITS {
        for depth in 1..=4 {
            for goal in textcraft.goals(split, depth) {
                assert!(seen.insert(goal), "{goal} is in two splits");
            }
        }
    }
}

#[test]
fn tasks_are_a_function_of_split_and_index() {
    let Some(textcraft) = textcraft() else { return };
    let again = common::textcraft().expect("loaded before");
    let mut instructions = BTreeSet::new();
    for index in 0..200 {
        let task = textcraft.task(Split::Train, index).expect("no end");
        assert_eq!(task, again.task(Split::Train, index).expect("no end"));
        assert_eq!(task.kind, format!("depth{}", index % 4 + 1), "depths take turns");
        instructions.insert(task.instruction);
    }
    assert!(instructions.len() > 180);
    let some = selected("textcraft:2-3").expect("loaded before");
    assert_eq!(some.name(), "textcraft:2-3");
    let kinds: Vec<String> = (0..4)
        .map(|i| some.task(Split::Test, i).expect("no end").kind)
        .collect();
    assert_eq!(kinds, ["depth2", "depth3", "depth2", "depth3"]);
    assert_eq!(some.task(Split::Test, 7).expect("no end").id, "test/7");
    assert!(some.task(Split::Train, u64::MAX).is_ok());
}

#[test]
fn names_select_depths() {
    let of = |name| Selection::of(name).map(|s| (s.depths, s.invented));
    assert_eq!(of("textcraft"), Some((1..=4, false)));
    assert_eq!(of("textcraft:2"), Some((2..=2, false)));
    assert_eq!(of("textcraft-invented"), Some((1..=4, true)));
    assert_eq!(of("textcraft-invented:2-3"), Some((2..=3, true)));
    for wrong in [
        "textcraft:5",
        "textcraft:0-2",
        "textcraft:3-2",
        "textcraft:",
        "textcraft:2-",
        "textcraft:02",
        "shop",
    ] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
    let outside = Selection {
        depths: 0..=2,
        invented: false,
    };
    let error = Textcraft::load(None, &outside).expect_err("no depth 0").to_string();
    assert!(error.contains("from 1 to 4"), "{error}");
}

#[test]
fn invented_recipes_are_new_solvable_and_name_no_held_out_goal() {
    let (Some(real), Some(invented)) = (textcraft(), selected("textcraft-invented")) else {
        return;
    };
    let held_out: BTreeSet<&str> = [Split::Validation, Split::Test]
        .into_iter()
        .flat_map(|split| (1..=4).map(move |depth| (split, depth)))
        .flat_map(|(split, depth)| real.goals(split, depth))
        .collect();
    let (mut new, mut goals, mut longest) = (0, BTreeSet::new(), 0);
    for index in 0..400 {
        let task = invented.task(Split::Train, index).expect("no end");
        assert_eq!(task, invented.task(Split::Train, index).expect("no end"));
        assert_eq!(task.kind, format!("depth{}", index % 4 + 1));
        let played = play(&invented, &task, "expert", &Stream::new(0));
        let said = transcript(&played.messages);
        let score = invented.score(&task, &played.episode, &*played.environment);
        assert_eq!(score.value, 1.0, "{said}");
        assert!(played.episode.tool_calls.len() <= 15, "{said}");
        for call in &played.episode.tool_calls {
            assert!(
                call.error.is_none() && call.shown.len() <= invented.budget().max_observation_chars as usize,
                "{said}"
            );
        }
        longest = longest.max(said.len());
        let Some(recipes) = task.data.get("recipes").and_then(|r| r.as_object()) else {
            continue;
        };
        new += 1;
        goals.insert(task.data["goal"].to_string());
        let names = recipes.iter().flat_map(|(name, r)| {
            let needs = r["needs"].as_object().expect("an object").keys();
            needs.chain([name])
        });
        for name in names {
            assert!(!held_out.contains(name.as_str()), "{name}");
        }
    }
    println!(
        "{new} of 400 invented, {} goals, longest transcript {longest} characters",
        goals.len()
    );
    assert!((250..350).contains(&new), "{new}");
    assert!(goals.len() > 200, "{}", goals.len());
    for split in [Split::Validation, Split::Test] {
        for index in 0..50 {
            let (a, b) = (real.task(split, index), invented.task(split, index));
            assert_eq!(
                a.expect("no end"),
                b.expect("no end"),
                "held-out tasks are the real ones"
            );
        }
    }
}

#[test]
fn scripts_reach_what_they_are_for() {
    let Some(textcraft) = textcraft() else { return };
    let mut table = BTreeMap::new();
    for name in ["textcraft", "textcraft:1", "textcraft:2-3", "textcraft:4"] {
        let some = selected(name).expect("loaded before");
        for script in some.scripts() {
            for split in [Split::Train, Split::Test] {
                let (value, calls, waste) = success(&some, split, script.name, 600);
                println!(
                    "{name:14} {:5} {:16} {value:.3} calls {calls:.1} waste {waste:.2}",
                    split.name(),
                    script.name
                );
                table.insert((name, split.name(), script.name), value);
            }
        }
    }
    let at = |name, split, script| table[&(name, split, script)];
    for split in ["train", "test"] {
        assert_eq!(at("textcraft", split, "expert"), 1.0);
        assert_eq!(at("textcraft", split, "do_nothing"), 0.0);
        assert!(at("textcraft:2-3", split, "random") < 0.02);
        assert_eq!(at("textcraft:1", split, "fixed_plan"), 1.0);
    }
    for name in ["textcraft", "textcraft:2-3"] {
        let sloppy = at(name, "train", "sloppy");
        assert!((0.40..=0.65).contains(&sloppy), "{name}: {sloppy}");
    }
    assert!(at("textcraft:2-3", "test", "fixed_plan") < 0.3);
    assert!(
        textcraft
            .script(
                "nobody",
                &textcraft.task(Split::Train, 0).expect("no end"),
                &Stream::new(0)
            )
            .is_none()
    );
}

#[test]
fn the_readme_shows_real_episodes() {
    let readme = include_str!("../README.md");
    for (name, split, index) in [
        ("textcraft", Split::Train, 9),
        ("textcraft", Split::Test, 6),
        ("textcraft-invented", Split::Train, 5),
    ] {
        let Some(textcraft) = selected(name) else { return };
        let task = textcraft.task(split, index).expect("no end");
        let said = transcript(&play(&textcraft, &task, "expert", &Stream::new(0)).messages);
        assert!(readme.contains(&said), "the README does not show {}:\n{said}", task.id);
    }
}
