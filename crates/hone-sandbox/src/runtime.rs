//! The interface that ways to isolate code share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Guarantees, Spec};

/// A way to run code in isolation. Processes are the first; containers, WebAssembly and machines elsewhere can join.
pub trait Runtime: Send + Sync {
    fn guarantees(&self) -> &Guarantees;

    /// Control groups for what is started in a sandbox that makes others, if there are any.
    #[cfg(target_os = "linux")]
    fn groups(&self) -> Option<std::sync::Arc<crate::Groups>> {
        None
    }

    /// Starts a program. Dropping the result ends it and everything that it started.
    fn start(&self, spec: &Spec, streams: Streams) -> Result<Box<dyn Running>, Error>;
}

/// What a program reads and writes, as open files of the host.
#[derive(Debug)]
pub struct Streams {
    pub stdin: std::os::fd::OwnedFd,
    pub stdout: std::os::fd::OwnedFd,
    pub stderr: std::os::fd::OwnedFd,
    /// Becomes file descriptor 3 inside.
    pub channel: Option<std::os::fd::OwnedFd>,
}

/// A program in its sandbox.
pub trait Running: Send {
    /// Waits for the end, at most so long. `None` if it has not come.
    fn wait(&mut self, timeout: Duration) -> Result<Option<End>, Error>;

    /// Becomes readable when the program has ended.
    fn ended(&self) -> std::os::fd::BorrowedFd<'_>;

    /// Ends everything inside at once, and waits until it is gone.
    fn kill(&mut self);
}

/// How a program ended and what it used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub cause: Cause,
    pub wall: Duration,
    /// Processor time of all processes.
    pub cpu: Duration,
    /// The most memory that all processes were seen to have at a time, in bytes. Looked at about every 20 ms.
    pub peak_memory: u64,
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It ended by itself, with this status.
    Exited(i32),
    /// A signal ended it that was not ours.
    Signal(i32),
    /// It used more processor time than [`Limits::cpu`](crate::Limits::cpu).
    Cpu,
    /// All processes together had more than [`Limits::memory`](crate::Limits::memory).
    Memory,
    /// It ran longer than [`Limits::wall`](crate::Limits::wall).
    Wall,
    /// It wrote [`Limits::FLOOD`](crate::Limits::FLOOD) times what is kept of its output.
    Output,
}
