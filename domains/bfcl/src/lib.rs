//! BFCL, the Berkeley Function-Calling Leaderboard (v4), scored as the original scores it.
//!
//! A record asks a question and offers functions; the answer is a list of calls, as Python, Java or JavaScript source
//! ([`Answer::Text`], prompted models) or as names with JSON arguments ([`Answer::Calls`], function-calling APIs). It is
//! decoded, compared with the values that the record allows, and the accuracies of the categories make the leaderboard's
//! overall score.
//!
//! * [`Suite`] reads the question and answer files of a data folder; [`Record`] is one question with its gold.
//! * [`evaluate`] says whether an answer passes, with the original's `error_type`.
//! * [`overall`] puts accuracies together as the leaderboard does, naming the parts that were not run.
//! * [`gold`] and [`do_nothing`] are the baselines; [`DEFECTS`] lists the records whose gold no answer can meet.
//! * [`tools`] gives a record's functions as JSON Schema, for function-calling APIs.
//! * [`multi_turn`] has the tasks of several turns, with the tools that they act on.
//! * [`Memories`] has the questions of the memory categories, [`judge_answers`] their checker.
//! * [`Bfcl`] is all of it as tasksets: each category, and groups of them, for models that call functions and for models
//!   that are prompted.
//! * [`Recorded`] scores result files of the original and lists of OpenAI messages.
//! * [`mutate`] makes wrong answers out of gold ones, for tests against the original.
//!
//! Invariants:
//! * In [`Mode::Faithful`] verdict and error type are the original's (`bfcl_eval` of 2026-03-23) on every answer, but for
//!   two things that it would run: calls and names within arithmetic are not evaluated, the answer then counts as
//!   undecodable. Where the original would crash, the verdict is the error type [`CRASH`].
//! * Answers and data files are untrusted: bounded in size and nesting, never executed.
//!
//! Deliberately not here: the data, the web-search world, the prompt formats of the format-sensitivity category.

mod agentic;
mod aggregate;
mod baseline;
mod category;
mod check;
mod conformance;
mod convert;
mod data;
mod decode;
mod defects;
pub mod multi_turn;
mod mutate;
mod schema;
mod taskset;
mod verdict;

pub use agentic::{Conversation, Memories, Question, SCENARIOS, holds, judge_answers};
pub use aggregate::{Accuracy, Group, Overall, overall};
pub use baseline::{do_nothing, gold};
pub use category::{Category, Language};
pub use check::Crash;
pub use conformance::{conformance, memory_conformance, multi_turn_conformance};
pub use convert::{java_value, javascript_value};
pub use data::{DataError, Function, Gold, Record, Suite};
pub use decode::{Answer, DecodeError, Decoded, MAX_ANSWER, decode};
pub use defects::{DEFECTS, DEFECTS_VERSION, Defect, Harm};
pub use mutate::mutate;
pub use schema::{sanitized, tools};
pub use taskset::{Bfcl, NAMES, Recorded, Scored};
pub use verdict::{CRASH, Mode, Names, SCORER, SCORER_VERSION, Settings, Verdict, evaluate};
