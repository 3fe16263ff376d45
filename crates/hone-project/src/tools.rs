//! Where tools come from.

mod command;
#[cfg(feature = "mcp")]
mod mcp;
mod records;
mod standard;

pub use command::{Command, HOST};
#[cfg(feature = "mcp")]
pub use mcp::Mcp;
pub use records::Records;
pub use standard::Standard;
pub(crate) use standard::settings;

use crate::TaskLine;
use hone_env::{EnvError, Environment};
use hone_tool::ToolSpec;
use std::path::Path;

/// What an episode's tools start from.
pub struct Scene<'a> {
    /// The episode's own folder, with the task's files in it.
    pub folder: &'a Path,
    /// The task.
    pub line: &'a TaskLine,
}

/// A source of tools: a row of `[[tools]]`.
pub trait Source: Send + Sync {
    /// What its part of the state is called.
    fn name(&self) -> &str;

    /// Its tools.
    fn specs(&self) -> &[ToolSpec];

    /// Its tools for one episode; they are reset next.
    ///
    /// # Errors
    /// When they cannot be had.
    fn open(&self, scene: &Scene<'_>) -> Result<Box<dyn Environment>, EnvError>;

    /// Whether a task's line is of the form that it reads.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    fn accepts(&self, line: &TaskLine) -> Result<(), (&'static str, String)> {
        let _ = line;
        Ok(())
    }

    /// Whether its tools answer in microseconds and touch nothing outside their own memory (see
    /// [`ToolHost::inline`](hone_tool::ToolHost::inline)).
    fn inline(&self) -> bool {
        false
    }

    /// A digest of whatever its tools read that is neither in the recipe nor in the episode's folder.
    fn digest(&self) -> String {
        String::new()
    }
}
