//! Gold and nothing, on the real records.

mod common;

use hone_bfcl::{
    Accuracy, Answer, Category, DEFECTS, Harm, Mode, Names, Settings, Suite, do_nothing, evaluate, gold, overall, tools,
};
use std::collections::{BTreeMap, BTreeSet};

fn failing(suite: &Suite, settings: Settings, answer: impl Fn(&hone_bfcl::Record) -> Answer) -> BTreeSet<&str> {
    let counted = suite
        .records()
        .map(|record| (record, evaluate(record, &answer(record), settings)));
    counted
        .filter(|(_, verdict)| verdict.counts && !verdict.valid)
        .map(|(record, _)| record.id.as_str())
        .collect()
}

#[test]
fn categories_have_as_many_records_as_published() {
    let Some(suite) = common::suite() else { return };
    for (category, records) in &suite.categories {
        assert_eq!(records.len(), category.records(), "{}", category.name());
    }
    assert_eq!(suite.digest.len(), 64);
}

#[test]
fn gold_passes_but_for_the_impossible_records() {
    let Some(suite) = common::suite() else { return };
    let there: BTreeSet<&str> = suite.records().map(|record| record.id.as_str()).collect();
    let impossible = DEFECTS
        .iter()
        .filter(|defect| defect.harm == Harm::Impossible)
        .map(|defect| defect.id);
    let impossible: BTreeSet<&str> = impossible.filter(|id| there.contains(id)).collect();
    for names in [Names::Dotted, Names::Underscored] {
        let faithful = Settings {
            names,
            ..Settings::default()
        };
        assert_eq!(
            failing(&suite, faithful, |record| gold(record, names)),
            impossible,
            "{names:?}"
        );
        let strict = Settings {
            mode: Mode::Strict,
            names,
        };
        assert_eq!(
            failing(&suite, strict, |record| gold(record, names)),
            BTreeSet::new(),
            "{names:?}"
        );
    }
}

#[test]
fn doing_nothing_passes_irrelevance_and_nothing_else() {
    let Some(suite) = common::suite() else { return };
    for answer in [do_nothing(), Answer::Calls(vec![]), Answer::Said(String::new())] {
        for (category, records) in &suite.categories {
            let verdicts: Vec<_> = records
                .iter()
                .map(|r| evaluate(r, &answer, Settings::default()))
                .collect();
            let passed = verdicts.iter().collect::<Accuracy>().correct;
            let irrelevance = matches!(category, Category::Irrelevance | Category::LiveIrrelevance);
            assert_eq!(
                passed,
                if irrelevance { records.len() } else { 0 },
                "{}",
                category.name()
            );
        }
    }
}

#[test]
fn any_call_passes_relevance_and_fails_irrelevance() {
    let Some(suite) = common::suite() else { return };
    let answer = Answer::Text("f(x=1)".into());
    for (category, records) in suite.categories.iter().filter(|(category, _)| category.relevance()) {
        let passed = records
            .iter()
            .filter(|r| evaluate(r, &answer, Settings::default()).valid)
            .count();
        assert_eq!(
            passed,
            if *category == Category::LiveRelevance {
                records.len()
            } else {
                0
            },
            "{}",
            category.name()
        );
    }
}

#[test]
fn tools_are_json_schema() {
    let Some(suite) = common::suite() else { return };
    for record in suite.records() {
        for tool in tools(record) {
            let function = tool.get("function").expect("a function");
            let name = function.get("name").and_then(|name| name.as_str()).expect("a name");
            assert!(!name.contains('.'), "{}", record.id);
            for details in function
                .get("parameters")
                .and_then(|p| p.get("properties")?.as_dict())
                .expect("p")
                .values()
            {
                let json_type = details.get("type").and_then(|t| t.as_str()).expect("a type");
                let known = ["integer", "number", "string", "boolean", "array", "object"];
                assert!(known.contains(&json_type), "{}: {json_type}", record.id);
            }
        }
    }
}

#[test]
fn the_overall_score_weighs_as_the_leaderboard() {
    let of = |values: &[(Category, usize, usize)]| -> BTreeMap<_, _> {
        values
            .iter()
            .map(|&(category, correct, total)| (category, Accuracy { correct, total }))
            .collect()
    };
    let everything: Vec<_> = Category::ALL.iter().map(|&category| (category, 1, 1)).collect();
    let all = overall(&of(&everything));
    assert!((all.score - 1.0).abs() < 1e-12);
    assert_eq!(all.missing().count(), 0);

    use Category::*;
    let some = overall(&of(&[
        (SimplePython, 300, 400),
        (SimpleJava, 60, 100),
        (SimpleJavaScript, 15, 50),
        (Multiple, 100, 200),
        (LiveSimple, 129, 258),
        (LiveMultiple, 1053, 1053),
        (LiveRelevance, 4, 16),
        (Irrelevance, 120, 240),
        (MultiTurnBase, 50, 200),
        (MemoryKv, 155, 155),
    ]));
    let scores: Vec<_> = some.groups.iter().map(|group| group.score).collect();
    // Parallel and parallel_multiple are missing and count 0; the live ones weigh with their published sizes.
    let expected = [
        ((0.75 + 0.6 + 0.3) / 3.0 + 0.5) / 4.0,
        (129.0 + 1053.0) / 1351.0,
        0.25,
        0.0625,
        (1.0 / 3.0) / 2.0,
    ];
    assert!(
        scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
        "{scores:?} {expected:?}"
    );
    let total = 0.1 * expected[0] + 0.1 * expected[1] + 0.1 * expected[2] + 0.3 * expected[3] + 0.4 * expected[4];
    assert!((some.score - total).abs() < 1e-12);
    assert_eq!(some.live_relevance, Some(0.25));
    let missing: Vec<_> = some.missing().map(Category::name).collect();
    assert_eq!(missing[..3], ["parallel", "parallel_multiple", "live_parallel"]);
    assert_eq!(missing.len(), 12);
}
