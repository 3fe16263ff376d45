//! Who is measured beside us, in a Python of the user's: it does its works on demand.

use crate::commands::bench::Workspace;
use anyhow::{Context, anyhow, bail};
#[cfg(any(feature = "bfcl", feature = "tau"))]
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running peer. It ends when this is dropped.
pub struct Peer {
    child: Child,
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
    _folder: Workspace,
}

/// What it did.
#[cfg(any(feature = "bfcl", feature = "tau"))]
#[derive(Debug, Deserialize)]
pub struct Done {
    /// Which work.
    pub work: String,
    /// Seconds that it took.
    pub seconds: f64,
    /// Answers that passed.
    pub passed: usize,
}

impl Peer {
    /// Start a program in a Python, with a job to prepare.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(python: &Path, program: &str, job: &Value) -> anyhow::Result<Self> {
        let folder = Workspace::new(&std::env::temp_dir())?;
        let (code, file) = (folder.path().join("peer.py"), folder.path().join("job.json"));
        std::fs::write(&code, program).with_context(|| format!("cannot write {}", code.display()))?;
        std::fs::write(&file, job.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let mut child = Command::new(python)
            .args([&code, &file])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}; name a Python with --peer", python.display()))?;
        let (Some(asked), Some(told)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the peer has no input or output; try again");
        };
        Ok(Self {
            child,
            asked,
            told: BufReader::new(told),
            _folder: folder,
        })
    }

    /// Have it do a work once.
    ///
    /// # Errors
    /// When it has ended, or says something else.
    #[cfg(any(feature = "bfcl", feature = "tau"))]
    pub fn run(&mut self, work: &str) -> anyhow::Result<Done> {
        let done: Done = self.ask(work)?;
        if done.work != work || done.seconds.is_nan() || done.seconds <= 0.0 {
            bail!("the original was to do {work} and answered {done:?}; report this as a bug");
        }
        Ok(done)
    }

    /// Have it do a work, and say what it says of it.
    ///
    /// # Errors
    /// When it has ended, or says something else.
    pub fn ask<T: DeserializeOwned>(&mut self, work: &str) -> anyhow::Result<T> {
        let ended =
            || anyhow!("the peer ended while it was to do {work}; its last words are above: install what it misses");
        writeln!(self.asked, "{work}")
            .and_then(|()| self.asked.flush())
            .map_err(|_| ended())?;
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        if line.is_empty() {
            return Err(ended());
        }
        serde_json::from_str(&line).context("the peer's answer is not to be read; report this as a bug")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
