//! Records whose label is wrong or that cannot be played.

use crate::data::Record;
use crate::database::Database;

/// Version of the list, to be raised with every change of [`defect`].
pub const DEFECTS_VERSION: u32 = 1;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// MySQL refuses its table, so that the original ends each attempt with an error.
    Unplayable,
    /// Its label contradicts its table.
    WrongLabel,
    /// Its own statement does not lead to its hash, nor does any like it.
    WrongHash,
}

/// The defect of a record, if it has one.
pub fn defect(record: &Record) -> Option<Harm> {
    if Database::of(&record.tables).is_err() {
        return Some(Harm::Unplayable);
    }
    if WRONG_HASHES.contains(&record.id.as_str()) {
        return Some(Harm::WrongHash);
    }
    WRONG_LABELS
        .iter()
        .any(|(id, _)| *id == record.id)
        .then_some(Harm::WrongLabel)
}

/// Orders whose recorded hash is that of no table that one change of the given one makes: not of the order's own rows, of
/// no other row, column or value near them.
pub const WRONG_HASHES: &[&str] = &["standard/225"];

/// Questions whose label contradicts the table, with the reason: rows were added to tables after labels had been made.
pub const WRONG_LABELS: &[(&str, &str)] = &[
    ("standard/21", "11 locomotives are operational, the label says 3"),
    ("standard/22", "7 games are in October, the label says 4"),
    ("standard/24", "3 teams have a player from Russia, the label says 1"),
    (
        "standard/28",
        "14 participants are from Norway and France, the label says 7",
    ),
    ("standard/29", "25 trains run daily, the label says 17"),
    ("standard/75", "the teams appeared 429 times, the label says 21"),
    ("standard/84", "the greatest number is 4, the label says 3"),
    ("standard/91", "the greatest volume is 6.0L, the label says 5.4L"),
];
