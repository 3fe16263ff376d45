//! The families of problems, and the tasks that they make.

use hone_env::{Split, Taskset};
use hone_maths::Maths;
use hone_maths::answer::Expected;
use hone_maths::problem::{FAMILIES, Problem};
use serde_json::json;

fn plain(expected: &Expected) -> String {
    match expected {
        Expected::Exact(value) | Expected::Decimal { value, .. } => value.clone(),
        Expected::Set(values) => values.join(", "),
    }
}

#[test]
fn problems_are_their_seeds_and_differ() {
    for family in FAMILIES {
        let problems: Vec<Problem> = (0..20).map(|seed| family.problem(seed)).collect();
        assert_eq!(problems[7], family.problem(7), "{}", family.name);
        for (n, problem) in problems.iter().enumerate() {
            let shown = problem.expected.shown();
            assert_eq!(
                problem.expected.check(&plain(&problem.expected)),
                Ok(()),
                "{}: {shown}",
                family.name
            );
            // What is asked is not the answer.
            assert!(problem.expected.check(&problem.text).is_err(), "{}", problem.text);
            assert!(
                problems[..n].iter().all(|other| other.text != problem.text),
                "{}",
                family.name
            );
            assert!(
                problem.text.len() < 1_000 && problem.code.len() < 1_000,
                "{}",
                family.name
            );
        }
    }
}

#[test]
fn every_split_has_families_of_its_own() {
    for split in [Split::Train, Split::Validation, Split::Test] {
        assert!(FAMILIES.iter().filter(|family| family.split == split).count() >= 3);
    }
    for (n, family) in FAMILIES.iter().enumerate() {
        assert!(FAMILIES[..n].iter().all(|other| other.name != family.name));
    }
}

/// In a sandbox: where `CI` is set there must be one.
#[test]
fn an_episode_begins_without_files() {
    let maths = match Maths::new() {
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {error}");
            return;
        }
        maths => maths.unwrap(),
    };
    let task = maths.task(Split::Train, 0).unwrap();
    let mut world = maths.environment(&task);
    world.reset(&task).unwrap();
    let seen = world
        .call("python", &json!({"code": "import os\nos.listdir()"}))
        .unwrap();
    assert_eq!(seen.text, "[]", "not those of the folder that Hone was started in");
}
