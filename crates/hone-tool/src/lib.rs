//! Tools and the one path that every tool call takes.
//!
//! A [`ToolHost`] is a set of tools with shared state (an environment, later an MCP server). Nothing but [`dispatch`]
//! calls [`ToolHost::call`]: parse, validate, approve, run with a deadline, record. A malformed call goes back to the
//! model as an error with its raw text kept; it never becomes `{}`.
//!
//! Deliberately not here: how a model's text becomes a call request (`hone-model`), what the tools do (`domains/`).

mod spec;

pub use spec::*;
