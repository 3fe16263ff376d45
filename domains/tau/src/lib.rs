//! τ²-bench, and τ-bench ([`v1`]): their worlds, tools, tasks and rewards, equal to the reference (sierra-research/tau2-bench, a2c0247) to the bit.
//!
//! A [`world::World`] holds a domain's databases, the agent's and the user's tools, and the rule that keeps both sides
//! consistent. A [`task::Task`] says what happened before, what the user wants and how the run is judged;
//! [`evaluate::evaluate`] judges it. [`Domains`] loads the domains of a data folder: retail, mock, telecom, airline.
//!
//! Invariants:
//! * **Equal to the reference.** Results, error texts, database hashes and rewards are those of the reference under
//!   CPython 3.12 and pydantic 2.14, wrong arguments included: tools meet arguments unchecked, as they do there, and raise
//!   what the interpreter would. `tests/parity/tau2.py` compares with a checkout on random calls and edited runs.
//! * **A world costs microseconds.** A database is loaded once and shared; an episode holds the rows that it changed
//!   ([`store`]). Two worlds are compared by what changed; hashes are computed only when asked for, from the first changed
//!   row on.
//! * **Errors leave behind what they do there**: changes made before an exception stay.
//! * **Nothing here panics or waits**: arguments, tasks and recorded runs are untrusted.
//!
//! Known differences, none of which a run of the benchmark shows: the reference gives new telecom bills random ids (so
//! that its own hashes differ from run to run), here they are numbered; its standard VPN, once broken, stays broken for
//! the process, here for the world; integers beyond 64 bits in task files are read as floats; `calculate` refuses what
//! would take hours.
//!
//! [`taskset`] makes tasksets of it: the conversation with a simulated user is `hone_harness::Dialogue`, a judge of
//! assertions in words is asked through `hone_env::Question`.
//!
//! Deliberately not here: models, voice, the banking domain.

pub mod airline;
mod arithmetic;
pub mod calculate;
mod conformance;
mod domains;
mod environment;
pub mod evaluate;
pub mod message;
pub mod mock;
pub mod model;
pub mod py;
pub mod raised;
mod rescore;
pub mod retail;
pub mod store;
pub mod task;
pub mod taskset;
pub mod telecom;
mod toml_file;
pub mod toolkit;
pub mod v1;
pub mod world;

pub use conformance::{ConformanceError, conformance};
pub use domains::{DOMAINS, Domains};
pub use environment::{DONE, Mode, Stage, spec};
pub use rescore::{Rescored, Responses, Summary, rescore, rescore_v1, responses};

/// The tasksets' names on the command line, with what they mean.
pub const NAMES: [(&str, &str); 2] = [
    ("tau:airline, tau:retail", "τ-bench, with its turn rules"),
    (
        "tau2:DOMAIN[:OPTION…]",
        "τ²-bench: retail, airline, telecom, mock; options split, solo, db, protocol, small, full, generated, workflow",
    ),
];
