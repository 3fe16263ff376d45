//! The program, driven as its users drive it: a file for each of its subjects.
//!
//! One binary, since each would link all that they share again: `cargo test -p hone --test cli eval::`.

mod approval;
mod bench_methods;
mod branching;
mod confidence;
#[cfg(unix)]
mod data;
mod dialogue;
mod eval;
mod judges;
#[cfg(all(feature = "tools", target_os = "linux"))]
mod maths;
#[cfg(feature = "mcp")]
mod mcptoolbench;
mod methods_pages;
mod pending;
mod players;
mod project;
mod remote;
mod replay;
#[cfg(feature = "suites")]
mod responses;
mod results;
#[cfg(feature = "tools")]
mod retrieval;
mod roles;
mod serve_model;
#[cfg(feature = "mcp")]
mod standard_tools;
#[cfg(feature = "mcp")]
mod tools;
mod trace;
mod train;
#[cfg(feature = "mcp")]
mod train_mcp;
mod tutorial;
mod usage;
#[cfg(all(feature = "tools", target_os = "linux"))]
mod verltool;

mod support;
