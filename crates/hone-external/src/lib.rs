//! Tools, environments, scorers and harnesses in any language: commands that speak JSON lines with us.
//!
//! The protocol is one page, `docs/protocol.md`: JSON-RPC 2.0, a message per line, on a command's standard input and
//! output. A [`Process`] is such a command, a [`Session`] a conversation with one. [`ExternalEnvironment`] makes it an
//! [`Environment`](hone_env::Environment) (a set of tools is an environment without state), [`ExternalScorer`] judges
//! finished episodes, [`ExternalHarness`] plays them.
//!
//! Invariants:
//! * Every exchange has a deadline. A command that misses it, breaks the protocol, floods or dies is killed with its whole
//!   process group, and the failure is the infrastructure's, with the end of its stderr in the message.
//! * What a command may write is bounded by the line and in total ([`Limits`]); nothing of ours grows with what it writes.
//! * A command plays one episode. The next one gets a fresh command, so no crash and no state is carried over.
//! * No process outlives its owner: dropping kills, and [`end_all`] kills what is left when the program ends.
//!
//! Deliberately not here: what the commands are for (`hone-project`), MCP, and isolation: a command runs with the user's
//! own rights, and one that leaves its process group is not followed.

mod environment;
mod error;
mod harness;
mod process;
mod scorer;
mod session;

pub use environment::ExternalEnvironment;
pub use error::ExternalError;
pub use harness::ExternalHarness;
pub use process::{CommandLine, Limits, Process, end_all};
pub use scorer::{ExternalScorer, Judgement};
pub use session::{Hello, Message, PROTOCOL, Role, Session};
