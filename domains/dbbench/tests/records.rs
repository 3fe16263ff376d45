//! The published records: what baselines score, and what their own statements give.

use hone_dbbench::mysql::translate::Class;
use hone_dbbench::{Dbbench, FILES, Harm, Kind, Outcome, Record, conformance, defect, differences, load, outcome};
use hone_env::{Split, Taskset};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The folder of the public data. Without DBBench there: fails where `CI` is set, else says so and gives `None`.
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("HONE_DATA").map_or(beside, PathBuf::from);
    if data.join("dbbench/standard.jsonl").exists() {
        return Some(data);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} has no dbbench/standard.jsonl",
        data.display()
    );
    eprintln!(
        "skipped: this test plays the published records, and {} has no dbbench/standard.jsonl",
        data.display()
    );
    None
}

fn of(records: &[Record], wanted: impl Fn(Outcome) -> bool) -> Vec<(&str, Outcome, String)> {
    let all = records.iter().map(|record| {
        (
            record.id.as_str(),
            outcome(record),
            record.statement().unwrap_or_default().to_owned(),
        )
    });
    all.filter(|(_, outcome, _)| wanted(*outcome)).collect()
}

#[test]
fn labels_equal_themselves_and_orders_have_the_recorded_hash() {
    let Some(data) = data() else { return };
    for file in FILES {
        let records = load(&data, file).unwrap();
        for line in conformance(file, &records) {
            assert!(
                line.ok,
                "{line:?}\n{:#?}",
                of(&records, |outcome| outcome != Outcome::Equal)
            );
        }
    }
}

#[test]
fn the_differences_from_mysql_are_counted() {
    let Some(data) = data() else { return };
    let records = load(&data, "standard").unwrap();
    let counts = differences(&records);
    let reads: BTreeMap<Outcome, usize> = counts
        .iter()
        .filter(|((kind, _), _)| *kind == Kind::Read)
        .map(|((_, outcome), n)| (*outcome, *n))
        .collect();
    // A raise of the first is good news; anything else says that a change of the translation has changed what MySQL says.
    let expected = [
        (Outcome::Equal, 27),
        (Outcome::Differs, 22),
        (Outcome::Refused(Class::Syntax), 39),
        (Outcome::Refused(Class::Table), 6),
        (Outcome::Refused(Class::Column), 2),
        (Outcome::NoTable, 4),
    ];
    assert_eq!(
        reads,
        BTreeMap::from(expected),
        "{:#?}",
        of(&records, |outcome| outcome != Outcome::Equal)
    );
    // MySQL refuses these tables: two columns of one name, or a row that is too short.
    let unplayable: Vec<_> = records
        .iter()
        .filter(|record| defect(record) == Some(Harm::Unplayable))
        .map(|record| record.id.as_str())
        .collect();
    assert_eq!(unplayable, ["standard/13", "standard/14", "standard/17", "standard/77"]);
}

#[test]
fn the_taskset_deals_each_record_once_and_strict_leaves_the_broken_out() {
    let Some(data) = data() else { return };
    let all = Dbbench::load("dbbench", &data).unwrap().unwrap();
    assert_eq!(
        [Split::Test, Split::Train, Split::Validation].map(|split| all.len(split)),
        [Some(300), Some(48), Some(12)]
    );
    let strict = Dbbench::load("dbbench-strict:standard", &data).unwrap().unwrap();
    assert!(strict.len(Split::Test).unwrap() == 300 - 4 - 8 - 1 && strict.len(Split::Train) == Some(0));
    assert!(Dbbench::load("dbbench:../x", &data).unwrap().is_none() && Dbbench::load("shop", &data).unwrap().is_none());
    assert!(all.task(Split::Test, 300).is_err());
}
