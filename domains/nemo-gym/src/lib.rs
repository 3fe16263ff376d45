//! NeMo Gym: rows of an OpenAI Responses request and what its verifier needs, with the verifiers that are deterministic and
//! need nothing but the row.
//!
//! NeMo Gym runs a server for each kind of task, which offers its tools and rewards what the agent did. Here each verifier is
//! a function of a row and a response ([`SERVERS`]), and the tools are a [`World`]; [`NemoGym`] is a server's rows as a
//! taskset. The README lists all servers with examples, and why some are not here.
//!
//! Invariants:
//! * A verifier gives the reward that its server gives (commit 07d6b0d) on every response. Where the server would answer with
//!   an error, so does the verifier ([`Broken`]).
//! * Rows and responses are untrusted: patterns that rows bring are bounded in their steps, texts in their length.
//!
//! Deliberately not here: the data; verifiers that ask a model, run code, or reach out to a network.

mod conformance;
mod difflib;
mod html;
mod pattern;
mod response;
mod row;
mod taskset;
mod verify;
mod world;

pub use conformance::conformance;
pub use html::unescape;
pub use response::{Item, Response};
pub use row::{DataError, Row, load};
pub use taskset::{LoadError, NemoGym, SCORER_VERSION, play};
pub use verify::{Acts, Broken, SERVERS, Server, Verdict, Verify, server};
pub use world::World;
