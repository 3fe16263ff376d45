//! What the baselines must score, and how far SQLite is from MySQL.

use crate::data::{Kind, Record};
use crate::database::Database;
use crate::defects::defect;
use crate::judge::{Mode, equal};
use crate::mysql::translate::Class;
use crate::taskset::truth;
use hone_python::Value;
use hone_score::Conformance;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Over the records of a file: labels compared with themselves, orders followed by their own statement, and an empty answer.
///
/// What passes in the original is known from its data: each label equals itself, and each hash was made by running the
/// order's statement in MySQL, but for those that [`defect`] lists.
pub fn conformance(file: &str, records: &[Record]) -> Vec<Conformance> {
    let mut lines = vec![];
    let mut line = |name: &str, kind: Kind, expected: &dyn Fn(&Record) -> bool, passes: &dyn Fn(&Record) -> bool| {
        let records: Vec<_> = records.iter().filter(|record| record.kind == kind).collect();
        let expected = records.iter().filter(|record| expected(record)).count();
        let count = || Ok::<_, Infallible>(records.iter().filter(|record| passes(record)).count());
        let Ok(line) = Conformance::measure(format!("dbbench/{file}/{name}"), records.len(), expected, count);
        lines.push(line);
    };
    line("read/label", Kind::Read, &|_| true, &|record| {
        equal(&record.label, &record.label, Kind::Read, Mode::Faithful)
    });
    line("read/do_nothing", Kind::Read, &|_| false, &|record| {
        equal(&Value::List(vec![]), &record.label, Kind::Read, Mode::Faithful)
    });
    let reachable = |record: &Record| defect(record).is_none();
    line("change/gold", Kind::Change, &reachable, &|record| {
        followed(record, true)
    });
    line("change/do_nothing", Kind::Change, &|_| false, &|record| {
        followed(record, false)
    });
    lines
}

/// Whether the tables have the right hash after the order's statement, or (without it) from the beginning.
fn followed(record: &Record, gold: bool) -> bool {
    let Ok(mut database) = Database::of(&record.tables) else {
        return false;
    };
    if gold {
        database.execute(record.statement().unwrap_or_default());
    }
    equal(
        &database.hash(&record.tables).into(),
        &truth(record),
        Kind::Change,
        Mode::Faithful,
    )
}

/// What comes of a record's own statement here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It gives the label, or the hash.
    Equal,
    /// It runs and gives something else.
    Differs,
    /// It is refused, as MySQL refuses it too or as only this world does ([`Class::Unsupported`], [`Class::Limit`]).
    Refused(Class),
    /// Its table cannot be set up.
    NoTable,
}

/// Run a record's own statement.
pub fn outcome(record: &Record) -> Outcome {
    let Ok(mut database) = Database::of(&record.tables) else {
        return Outcome::NoTable;
    };
    let shown = match database.run(record.statement().unwrap_or_default()) {
        Ok(shown) => shown,
        Err(problem) => return Outcome::Refused(problem.class),
    };
    let right = match record.kind {
        Kind::Read => equal(&shown.into(), &record.label, Kind::Read, Mode::Faithful),
        Kind::Change => equal(
            &database.hash(&record.tables).into(),
            &truth(record),
            Kind::Change,
            Mode::Faithful,
        ),
    };
    if right { Outcome::Equal } else { Outcome::Differs }
}

/// The counts of [`differences`] in a sentence, for people.
pub fn report(records: &[Record]) -> String {
    let counts = differences(records);
    let of = |kind: Kind| {
        let part = |(_, outcome): &(Kind, Outcome), n: &usize| {
            let what = match outcome {
                Outcome::Equal => "give the label",
                Outcome::Differs => "give something else",
                Outcome::Refused(Class::Syntax) => "are no MySQL",
                Outcome::Refused(Class::Table) => "name no table of theirs",
                Outcome::Refused(Class::Column) => "name no column of theirs",
                Outcome::Refused(Class::Unsupported) => "are MySQL that is not known here",
                Outcome::Refused(Class::Limit) => "take too long",
                Outcome::Refused(Class::Other) => "are refused by MySQL's rules",
                Outcome::NoTable => "have a table that MySQL refuses",
            };
            format!("{n} {what}")
        };
        let parts: Vec<_> = counts
            .iter()
            .filter(|((k, _), _)| *k == kind)
            .map(|(key, n)| part(key, n))
            .collect();
        parts.join(", ")
    };
    format!(
        "of the statements behind questions {}; of those of orders {}",
        of(Kind::Read),
        of(Kind::Change)
    )
}

/// How many records' own statements have which outcome.
pub fn differences(records: &[Record]) -> BTreeMap<(Kind, Outcome), usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry((record.kind, outcome(record))).or_default() += 1;
    }
    counts
}
