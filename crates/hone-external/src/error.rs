//! What can go wrong with a command.

use crate::PROTOCOL;
use std::time::Duration;

/// Why a command could not be used, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// It cannot be started.
    #[error("`{command}` cannot be started: {reason}; install the program or correct the command")]
    Spawn {
        /// The command.
        command: String,
        /// What the system says.
        reason: String,
    },
    /// It is not there any more, or closed its output.
    #[error(
        "`{command}` ended {during} ({status}){stderr}; it must answer each line that it reads until its input is closed"
    )]
    Ended {
        /// The command.
        command: String,
        /// What was asked.
        during: String,
        /// Its exit status, or what is known of it.
        status: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// No answer in time.
    #[error("`{command}` gave no answer {during} within {} ms{stderr}; mend what hangs there or raise `timeout_ms`", .within.as_millis())]
    Deadline {
        /// The command.
        command: String,
        /// What was asked.
        during: String,
        /// The bound.
        within: Duration,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// It wrote more than it may.
    #[error("`{command}` wrote {what} {during}; it must write one short JSON message per line")]
    TooMuch {
        /// The command.
        command: String,
        /// What was asked.
        during: String,
        /// Which bound it broke.
        what: String,
    },
    /// It wrote something else than the protocol's messages.
    #[error(
        "`{command}` broke the protocol {during}: {what}{stderr}; docs/protocol.md says what it must write (text for people belongs on stderr)"
    )]
    Protocol {
        /// The command.
        command: String,
        /// What was asked.
        during: String,
        /// What is wrong.
        what: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// It speaks another version.
    #[error("`{command}` speaks protocol {theirs} and this version of hone {PROTOCOL}; use a matching pair")]
    Version {
        /// The command.
        command: String,
        /// What it said.
        theirs: u64,
    },
    /// It says itself that it failed.
    #[error("`{command}` failed {during}: {message}{stderr}; mend it there")]
    Failed {
        /// The command.
        command: String,
        /// What was asked.
        during: String,
        /// Its message.
        message: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
}
