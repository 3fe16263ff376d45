//! The benchmark's own data: hashes, reference solutions, doing nothing.

mod common;

use hone_tau::evaluate::{Run, evaluate, gold_actions, gold_messages, idle_messages};
use hone_tau::task::{Component, Task};
use hone_tau::toolkit::Side;
use hone_tau::world::World;
use hone_tau::{Domains, telecom};

fn hashes(world: &dyn World) -> (Option<String>, Option<String>) {
    (world.hash(Side::Assistant), world.hash(Side::User))
}

fn after_gold(domains: &Domains, domain: &str, id: &str) -> Option<String> {
    let mut world = domains.world(domain).unwrap();
    let tasks = domains.tasks(domain).unwrap();
    let task = tasks.iter().find(|task| task.id == id)?;
    for action in gold_actions(task) {
        world.respond(action.requestor, &action.name, &action.arguments);
    }
    world.hash(Side::Assistant)
}

/// How many tasks are passed by the reference solution and by doing nothing, the assertions in words left out.
fn baselines(domains: &Domains, domain: &str, tasks: &[Task]) -> (usize, usize) {
    let fresh = domains.world(domain).unwrap();
    let passed = |task: &Task, gold: bool| {
        let mut task = task.clone();
        if let Some(criteria) = &mut task.evaluation_criteria {
            criteria
                .reward_basis
                .retain(|component| *component != Component::NlAssertion);
        }
        let messages = if gold {
            gold_messages(&*fresh, &task).unwrap()
        } else {
            idle_messages(&task)
        };
        evaluate(&*fresh, &task, &Run::ended(&messages), None).unwrap().reward == 1.0
    };
    let count = |gold| tasks.iter().filter(|task| passed(task, gold)).count();
    (count(true), count(false))
}

#[test]
fn databases_hash_as_in_the_reference() {
    let Some(domains) = common::domains() else { return };
    let hash = |domain: &str| hashes(&*domains.world(domain).unwrap());
    let text = |hash: &str| Some(hash.to_owned());
    assert_eq!(
        hash("retail"),
        (
            text("b25c9cb211f5efcaee5dd646054a73c4a9f43f4f5acc32c10713cd9f9ac20e9c"),
            None
        )
    );
    assert_eq!(
        hash("mock").0,
        text("107f83a70b7bf4f616e283b0b0b8451346fe7681173398d4498a1ec15c5fdfc6")
    );
    assert_eq!(
        hash("telecom"),
        (
            text("304cf5ef059852e117ea801ab9a5efc24c9713ec887679dc2e30acceb4b6742d"),
            text("e1f3a8637388808221228ff3f87294444e6b64caf721f5eb243a85d0a9380b28")
        )
    );
    // Of the reference over the same three files, with the users' ids filled in.
    assert_eq!(
        hash("airline"),
        (
            text("7d1714e959830778e6b38d63428b660ef6c9009261f0adaa178adb97bfb469d6"),
            None
        )
    );
}

#[test]
fn retail_ends_where_the_reference_does() {
    let Some(domains) = common::domains() else { return };
    for (id, hash) in [
        ("0", "a109be174767fde0ebb50fe3be37cdb2f1ce017fefd7bd29ea3e4d38bd3ac25a"),
        ("1", "eab1dde2ca84a093a334a25db9258213e882d849bb487a966d69c056a67c2846"),
        ("2", "9b66e83dbc00ef3e826a50a5a8b645ae06ba53cca06354b7d003a84a8af1d05a"),
    ] {
        // The file may hold one split only.
        if let Some(found) = after_gold(&domains, "retail", id) {
            assert_eq!(found, hash, "task {id}");
        }
    }
}

#[test]
fn reference_solutions_pass_and_inaction_does_not() {
    let Some(domains) = common::domains() else { return };
    let retail = domains.tasks("retail").unwrap();
    let (gold, idle) = baselines(&domains, "retail", &retail);
    assert_eq!(gold, retail.len());
    let unchanged = ["10", "12", "24", "25", "50", "57", "62", "65", "67", "68", "105"];
    assert_eq!(
        idle,
        retail
            .iter()
            .filter(|task| unchanged.contains(&task.id.as_str()))
            .count()
    );

    let airline = domains.tasks("airline").unwrap();
    let (gold, idle) = baselines(&domains, "airline", &airline);
    // Six tasks want something to be said, which the reference solution does not do.
    assert_eq!((airline.len(), gold, idle), (50, 44, 23));

    let small = domains.tasks("telecom").unwrap();
    assert_eq!(baselines(&domains, "telecom", &small), (small.len(), 0));
}

#[test]
fn generated_telecom_tasks_pass_and_inaction_does_not() {
    let Some(domains) = common::domains() else { return };
    let small = domains.tasks("telecom").unwrap();
    let tasks = telecom::generate(&small).unwrap();
    assert_eq!(tasks.len(), 3405);
    assert_eq!(baselines(&domains, "telecom", &tasks), (3405, 0));
    for task in small {
        let same = tasks.iter().find(|other| other.id == task.id).unwrap();
        let [a, b] = [&task, same].map(|task| serde_json::to_value(task).unwrap());
        assert_eq!(a, b);
    }
}

#[test]
fn a_fork_is_independent_and_the_hash_of_a_changed_database_is_that_of_a_fresh_one() {
    let Some(domains) = common::domains() else { return };
    for domain in ["retail", "airline", "telecom"] {
        let fresh = domains.world(domain).unwrap();
        for task in domains.tasks(domain).unwrap().iter().take(20) {
            let mut world = fresh.fork();
            for action in gold_actions(task) {
                let before = hashes(&*world);
                let mut branch = world.fork();
                branch.respond(action.requestor, &action.name, &action.arguments);
                assert_eq!(hashes(&*world), before);
                world.respond(action.requestor, &action.name, &action.arguments);
                assert!(world.same(&*branch));
                assert_eq!(world.same(&*fresh), hashes(&*world) == hashes(&*fresh));
            }
        }
    }
}
