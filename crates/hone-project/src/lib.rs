//! A folder as a taskset: your own agent on your own tasks.
//!
//! `hone.toml` ([`Recipe`]) names the rest: the tasks (JSON Lines, [`TaskLine`]), the tools that act on the world
//! ([`tools::Source`]), the checkers that say whether a task was done ([`checker::Checker`]), bounds, and an agent loop of
//! the user's own if there is one. [`Project::load`] reads and checks all of it before anything is played; [`init`] writes
//! a small working example.
//!
//! Invariants:
//! * What can be found wrong before an episode is: every message names the file, the line and the field.
//! * A task succeeds when every checker that its `expected` names is content. A checker that cannot tell gives no number,
//!   and the episode counts for nothing.
//! * Every episode has a world of its own: a copied folder, a fresh process for each command.
//! * Paths that come from a model stay inside that folder (`cap-std`), and tools never see what is expected.
//!
//! Deliberately not here: how a command is spoken to (`hone-external`) and an MCP server (`hone-mcp`, with the feature `mcp`), and
//! playing (`hone-rollout`).

pub mod checker;
#[cfg_attr(not(feature = "search"), allow(dead_code))]
mod chooser;
mod error;
mod init;
mod project;
mod recipe;
#[cfg(feature = "search")]
mod retrieve;
mod scripts;
mod tasks;
pub mod tools;
mod world;

pub use error::ProjectError;
pub use init::{InitError, init};
pub use project::{Models, Project};
pub use recipe::Recipe;
pub use tasks::{Gold, GoldCall, TaskFile, TaskLine};
