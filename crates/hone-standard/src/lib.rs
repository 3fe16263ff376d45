//! Tools that any agent can be given: files, SQL, search, web pages, arithmetic, memory, time, code, answers.
//!
//! Each is a [`Kit`]: tools with settings, checked once, that open an environment for one episode after the other.
//! [`Standard`] reads a list of them, [`Set`] is several as one environment, and [`catalogue`] says what there is;
//! docs/standard-tools.md is that catalogue as a page.
//!
//! Invariants:
//! * Arguments are hostile. Every tool bounds time, memory and the length of its answer by constants that its catalogue
//!   entry names, and what it refuses it refuses with a sentence that says how to mend the call.
//! * Nothing reads the wall clock or draws a random number: the same calls on the same state give the same answers. Only
//!   `fetch` depends on more, the web, and `bash` where its programs do.
//! * Settings are checked before anything is played, and mistakes name their key.
//!
//! Deliberately not here: what isolates an agent's code (`hone-sandbox`), and tools of others (`hone-mcp`, `hone-external`).

mod arguments;
pub mod calculator;
mod catalogue;
#[cfg(feature = "full")]
pub mod clock;
#[cfg(all(feature = "full", target_os = "linux"))]
pub mod code;
#[cfg(feature = "full")]
mod embedder;
#[cfg(feature = "full")]
pub mod fetch;
pub mod files;
pub mod finish;
pub mod memory;
#[cfg(feature = "full")]
pub mod search;
mod set;
pub mod sql;
mod standard;

pub use catalogue::{Card, catalogue};
pub use set::Set;
pub use standard::{Place, Standard, Wrong};

use hone_env::{EnvError, Environment};
use hone_tool::ToolSpec;
use std::path::Path;

/// Tools with their settings, ready to be opened for one episode after the other.
pub trait Kit: Send + Sync {
    /// Name, as in recipes and on the command line.
    fn name(&self) -> &'static str;

    /// Its tools.
    fn specs(&self) -> &[ToolSpec];

    /// Its tools for one episode whose folder is `folder`; they are reset next.
    ///
    /// # Errors
    /// When they cannot be had.
    fn open(&self, folder: &Path) -> Result<Box<dyn Environment>, EnvError>;

    /// Whether its tools answer in microseconds and touch nothing outside their own memory (see
    /// [`ToolHost::inline`](hone_tool::ToolHost::inline)).
    fn inline(&self) -> bool {
        false
    }

    /// A digest of whatever the tools read that is neither in their settings nor in the episode's folder.
    fn digest(&self) -> String {
        String::new()
    }
}
