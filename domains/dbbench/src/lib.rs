//! DBBench, AgentBench's database tasks: questions that are answered and orders that are followed with SQL.
//!
//! The original runs MySQL 8; here each task has an SQLite database in memory that is spoken to as to MySQL. Statements are
//! parsed as MySQL's and written anew for SQLite, so that comparison, arithmetic, functions, collation and messages are
//! MySQL's ([`mysql`]); what is not known there is refused with MySQL's error 1235. [`differences`] counts, over the records,
//! how their own statements fare.
//!
//! * [`load`] reads records, [`Database`] runs statements, [`equal`] compares answers, [`Dbbench`] is the taskset.
//! * [`conformance`] is what baselines must score; [`DEFECTS_VERSION`] and [`defect`] say which records are broken.
//!
//! Invariants:
//! * In [`Mode::Faithful`] the comparison is the original's (commit 578c5e9), and so is the hash of a table.
//! * A statement is bounded in length, nesting, steps, memory and size of values; it reaches nothing but its own database.
//! * The same statements give the same results: no clock, no random numbers.
//!
//! Deliberately not here: the data, MySQL's types other than TEXT for columns, users, keys, transactions over statements.

mod conformance;
mod data;
mod database;
mod defects;
mod judge;
pub mod mysql;
mod taskset;
mod world;

pub use conformance::{Outcome, conformance, differences, outcome, report};
pub use data::{DataError, FILES, Kind, Record, Table, load, record};
pub use database::{Database, Image, MAX_SHOWN, SetupError};
pub use defects::{DEFECTS_VERSION, Harm, WRONG_HASHES, WRONG_LABELS, defect};
pub use judge::{Mode, equal};
pub use taskset::{Dbbench, SCORER_VERSION};
pub use world::{Records, World};
