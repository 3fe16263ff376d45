//! Where untrusted code runs: programs that a model wrote, in isolation and within bounds.
//!
//! A [`Runtime`] starts a program as a [`Spec`] says; [`ProcessRuntime`] does so with what Linux has (namespaces,
//! seccomp, rlimits), as root and as an ordinary user.
//!
//! Invariants: where code cannot be isolated it is not run, and the error says what to do ([`Error::Unavailable`]).
//! What a runtime enforces here it says ([`Guarantees`]), and callers can demand a minimum. What the code does is never
//! an [`Error`] but an [`End`] with its cause. After any end, even of this program by `kill -9`, no process, mount or
//! file of a sandbox is left.
//!
//! Not here: what is to be run, and what its results are worth. See docs/security.md for what sandboxes do not protect from.

mod error;
mod guarantee;
mod output;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod python;
#[cfg(target_os = "linux")]
mod run;
mod runtime;
mod spec;

pub use error::Error;
pub use guarantee::{Guarantee, Guarantees, Level, Property};
pub use output::{Bounded, Output};
#[cfg(target_os = "linux")]
pub use pool::{Lease, Pool, PoolCounts, PoolError, PoolSettings};
#[cfg(target_os = "linux")]
pub use process::cgroup::Groups;
#[cfg(target_os = "linux")]
pub use process::{ProcessRuntime, in_use};
#[cfg(target_os = "linux")]
pub use python::{
    Artifact, ArtifactLimits, Call, Case, Deterministic, Entry, Interpreter, InterpreterSettings, Language, Outcome,
    Reply, Session, SessionSettings, Verdict, judge,
};
#[cfg(target_os = "linux")]
pub use run::{Finished, run};
pub use runtime::{Cause, End, Running, Runtime, Streams};
pub use spec::{Bind, Limits, Network, Spec};
