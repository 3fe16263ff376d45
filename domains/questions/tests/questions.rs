//! The questions by themselves: what they ask, what leads to the answer, and that nothing gives it away.

use hone_env::{Split, Task, Taskset};
use hone_questions::{Encyclopedia, Question, Questions};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

fn question(task: &Task) -> Question {
    Question::deserialize(&task.data).unwrap()
}

#[test]
fn every_search_finds_what_the_next_one_needs_and_the_answer_last() {
    let (questions, book) = (Questions::new().unwrap(), Encyclopedia::new().unwrap());
    for split in SPLITS {
        let mut kinds = BTreeSet::new();
        for index in 0..320 {
            let task = questions.task(split, index).unwrap();
            assert_eq!(task, questions.task(split, index).unwrap());
            let Question { answer, path, found } = question(&task);
            assert_eq!(task.kind.split('/').next().unwrap(), path.len().to_string());
            kinds.insert(task.kind.clone());
            for (query, leads_to) in path.iter().zip(&found) {
                let text = book.search(query).unwrap();
                let best = text.lines().next().unwrap();
                let name = query.rsplit(' ').next().unwrap();
                // The page of what was searched for is the best one, and tells it.
                assert!(best.starts_with(&format!("{name}: ")), "{query}: {text}");
                assert!(best.contains(leads_to.as_str()), "{query}: {text}");
            }
            for (query, before) in path.iter().skip(1).zip(&found) {
                assert!(query.ends_with(before.as_str()), "{query} after {before}");
            }
            assert!(found.last().is_none_or(|last| *last == answer) && !answer.is_empty());
            if !path.is_empty() {
                // The question names its subject and not what is found.
                let named = path[0].rsplit(' ').next().unwrap();
                assert!(task.instruction.contains(named) && !task.instruction.contains(&answer));
            }
        }
        assert_eq!(kinds.len(), 13, "{kinds:?}");
    }
}

#[test]
fn no_page_answers_a_question_of_several_searches() {
    let (questions, book) = (Questions::new().unwrap(), Encyclopedia::new().unwrap());
    for index in 0..160 {
        let task = questions.task(Split::Test, index).unwrap();
        let Question { answer, path, .. } = question(&task);
        if path.len() > 1 {
            let named = path[0].rsplit(' ').next().unwrap();
            let text = book.search(&path[0]).unwrap();
            let own = text.lines().find(|line| line.starts_with(named)).unwrap();
            assert!(!own.contains(&answer), "{own} gives {answer} away");
        }
    }
}

#[test]
fn names_and_phrasings_of_a_split_are_its_own() {
    let questions = Questions::new().unwrap();
    let all = SPLITS.map(|split| {
        let (mut names, mut phrasings) = (BTreeSet::new(), BTreeSet::new());
        for index in 0..400 {
            let task = questions.task(split, index).unwrap();
            let Question { path, found, .. } = question(&task);
            let Some(first) = path.first() else { continue };
            let name = first.rsplit(' ').next().unwrap();
            phrasings.insert(task.instruction.replace(name, "X"));
            names.insert(name.to_owned());
            // Goods and seas are shared.
            names.extend(found[..found.len() - 1].iter().cloned());
        }
        (names, phrasings)
    });
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        assert!(all[one].0.is_disjoint(&all[other].0));
        assert!(all[one].1.is_disjoint(&all[other].1));
    }
}

#[test]
fn queries_of_any_kind_are_answered_or_refused() {
    let questions = Questions::new().unwrap();
    let task = questions.task(Split::Test, 1).unwrap();
    let mut world = questions.environment(&task);
    for query in ["", " ", "\u{0}\u{202e}", "AND OR NOT (", "\"", "zzzz", &"a".repeat(200)] {
        let found = world.call("search", &json!({ "query": query })).unwrap().text;
        assert!(found == "nothing found" || found.contains(": "), "{query}: {found}");
        assert!(found.len() < 240);
    }
    assert!(world.call("search", &json!({ "query": "a".repeat(201) })).is_err());
    assert!(world.call("open", &json!({})).is_err());
    let copy = world.fork().unwrap();
    assert_eq!(copy.state_hash(), world.state_hash());
}
