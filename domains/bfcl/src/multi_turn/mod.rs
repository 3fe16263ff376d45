//! The multi-turn categories: tools with state, tasks of several turns, and their checker.
//!
//! * [`Tasks`] reads the records; [`Task`] says what each turn offers and says.
//! * [`World`] is the state of a task's classes: [`World::execute`] runs a call given as source text, and a clone is a
//!   fork that costs microseconds.
//! * [`Episode`] runs a task step by step, with the original's rules for ends of turns and of tasks.
//! * [`judge`] compares a model's calls with the gold ones; [`gold_turns`] and [`idle_turns`] are the baselines.
//!
//! Each task is judged as in a process of its own. (In the original, tasks that run in one process share the default of
//! one parameter: mentions of a post; so do here the two worlds of a task.)

mod backend;
mod date;
mod episode;
mod extension;
mod fares;
mod files;
mod judge;
mod math;
mod memory;
mod message;
mod operate;
mod posting;
mod precise;
mod raise;
mod random;
mod task;
mod ticket;
mod trading;
mod travel;
mod vehicle;
mod world;

pub use date::Day;
pub use episode::{Episode, Step};
pub use extension::{Extension, ExtensionError};
pub use judge::{Checker, Judged, gold_turns, idle_turns, judge};
pub use memory::{Embedder, Lexical};
pub use raise::{Kind, Raised};
pub use task::{MORE_FUNCTIONS, STEP_LIMIT, Task, Tasks, calls};
pub use world::{CLASSES, MEMORY_CLASSES, Settings, World, WorldError};
