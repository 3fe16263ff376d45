//! Tools and the one path that every tool call takes.
//!
//! A [`ToolHost`] is a set of tools with shared state (an environment, later an MCP server). Nothing but [`dispatch`]
//! calls [`ToolHost::call`]: parse, validate, approve, replay, run with a deadline, record. A malformed call goes back to
//! the model as an error with its raw text kept; it never becomes `{}`.
//!
//! Invariants:
//! * A host is owned, never shared: it moves into the call and comes back with the result. A call that hangs or panics
//!   loses its host and nothing else.
//! * What the model is shown is bounded, and a cut is marked ([`CUT`]). An error is shown as `error: …` ([`ERROR`]).
//! * A schema that does not compile is found before anything runs ([`Toolset::compile`]).
//! * What runs share of results ([`ToolCache`]) holds no secret and nothing that would not be the same again.
//!
//! Deliberately not here: how a model's text becomes a call request (`hone-model`), what the tools do (`domains/`).

mod approval;
mod cache;
mod dispatch;
mod guard;
mod lint;
mod replay;
mod shown;
mod spec;
mod toolset;

pub use approval::{
    Action, ApprovalPolicy, Asker, Change, Escalation, Guard, Policy, PolicyError, Question, Reply, SEPARATOR, Sticky,
    server_of,
};
pub use cache::{CacheCounts, CacheError, Difference, ToolCache, ToolMode, difference, settle};
pub use dispatch::{Asked, Dispatched, ERROR, MAX_RESULT_BYTES, Rules, ToolRequest, dispatch};
pub use guard::{Lost, caught, guarded, panic_text};
pub use lint::{Defect, Finding, Level, estimated_tokens, lint};
pub use replay::{Missing, Recording};
pub use shown::{CUT, CUT_BEFORE, Truncation};
pub use spec::*;
pub use toolset::{SchemaError, Toolset, canonical};
