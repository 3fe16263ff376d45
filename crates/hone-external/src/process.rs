//! A command's process: lines in, lines out, with deadlines and bounds.

use crate::ExternalError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much of a command's stderr is kept, in bytes: its end.
const KEPT_STDERR: usize = 4096;
/// How much of that a message shows, in characters.
const SHOWN_STDERR: usize = 1000;
/// How long an ended command may take to say so, once it closed its output.
const GRACE: Duration = Duration::from_millis(500);
const CHUNK: usize = 64 * 1024;

/// What to run, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments. A program with a `/` in it is looked for from `folder`, others on the `PATH`.
    pub argv: Vec<String>,
    /// What messages call it, where that is not the program with its arguments.
    pub label: Option<String>,
    /// Working directory.
    pub folder: PathBuf,
    /// Added to our own environment variables.
    pub env: Vec<(String, OsString)>,
}

impl CommandLine {
    /// As it is shown in messages.
    pub fn shown(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.argv.join(" "))
    }
}

/// What a command may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line.
    pub line: usize,
    /// Bytes on standard output over its whole life.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 4 << 20,
            total: 64 << 20,
        }
    }
}

/// The processes that run now, by process group.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kill every command that is still running. For the end of the program, where threads that own some may be left behind.
pub fn end_all() {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for group in std::mem::take(&mut *running) {
        kill_group(group);
    }
}

fn kill_group(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// A running command in a process group of its own. Dropping it kills the group and leaves no zombie.
///
/// All reading and writing happens inside [`Process::send`] and [`Process::receive`], under one `poll`: no threads, and a
/// command that writes while nobody asks waits for its pipe. Any error kills it.
#[derive(Debug)]
pub struct Process {
    command: String,
    child: Child,
    group: i32,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    limits: Limits,
    /// Read and not yet taken.
    buffer: Vec<u8>,
    /// How much of `buffer` is known to hold no line end.
    scanned: usize,
    total: u64,
    complaints: Vec<u8>,
}

impl Process {
    /// Start it.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn start(command: &CommandLine, limits: Limits) -> Result<Self, ExternalError> {
        let shown = command.shown();
        let failed = |reason: String| ExternalError::Spawn {
            command: shown.clone(),
            reason,
        };
        let Some((program, arguments)) = command.argv.split_first() else {
            return Err(failed("the command is empty".to_owned()));
        };
        let program = match program.contains('/') {
            true => command.folder.join(program),
            false => PathBuf::from(program),
        };
        let mut child = Command::new(&program)
            .args(arguments)
            .current_dir(&command.folder)
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => failed(format!("there is no program `{}`", program.display())),
                _ => failed(error.to_string()),
            })?;
        let group = child.id() as i32;
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Self {
            command: shown.clone(),
            child,
            group,
            stdin,
            stdout,
            stderr,
            limits,
            buffer: Vec::new(),
            scanned: 0,
            total: 0,
            complaints: Vec::new(),
        };
        process
            .unblock()
            .map_err(|error| failed(format!("its pipes: {error}")))?;
        Ok(process)
    }

    /// Let no read or write wait.
    fn unblock(&self) -> Result<(), Errno> {
        fn one(fd: Option<&impl AsFd>) -> Result<(), Errno> {
            let Some(fd) = fd else { return Ok(()) };
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)
        }
        one(self.stdin.as_ref())?;
        one(self.stdout.as_ref())?;
        one(self.stderr.as_ref())
    }

    /// The command, as shown in messages.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The end of what it wrote to stderr, as the tail of a message; empty if it wrote nothing.
    pub fn said(&mut self) -> String {
        self.listen();
        let text = String::from_utf8_lossy(&self.complaints);
        let text = text.trim();
        if text.is_empty() {
            return String::new();
        }
        let skip = text.chars().count().saturating_sub(SHOWN_STDERR);
        let mark = if skip > 0 { "…" } else { "" };
        let end: String = text.chars().skip(skip).collect();
        format!("; its stderr ends with:\n{mark}{end}\n")
    }

    /// Write a line (without line end) until `deadline`, which is `within` from the start. `during` says in a message what
    /// was being done: "in `reset`".
    ///
    /// # Errors
    /// When it does not read in time or is gone.
    pub fn send(&mut self, line: &str, during: &str, within: Duration, deadline: Instant) -> Result<(), ExternalError> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        self.pump(&bytes, false, during, within, deadline).map(|_| ())
    }

    /// The next line, without line end.
    ///
    /// # Errors
    /// When there is none in time, it is too long, or the command is gone.
    pub fn receive(&mut self, during: &str, within: Duration, deadline: Instant) -> Result<Vec<u8>, ExternalError> {
        self.pump(&[], true, during, within, deadline)
    }

    fn pump(
        &mut self,
        mut out: &[u8],
        want_line: bool,
        during: &str,
        within: Duration,
        deadline: Instant,
    ) -> Result<Vec<u8>, ExternalError> {
        let command = self.command.clone();
        let too_much = |what: String| ExternalError::TooMuch {
            command: command.clone(),
            during: during.to_owned(),
            what,
        };
        loop {
            if out.is_empty() {
                if !want_line {
                    return Ok(Vec::new());
                }
                if let Some(line) = self.take_line() {
                    return Ok(line);
                }
            }
            if self.scanned > self.limits.line {
                self.end();
                return Err(too_much(format!("a line of more than {} bytes", self.limits.line)));
            }
            if self.total > self.limits.total {
                self.end();
                return Err(too_much(format!("more than {} bytes in all", self.limits.total)));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let stderr = self.said();
                self.end();
                return Err(ExternalError::Deadline {
                    command,
                    during: during.to_owned(),
                    within,
                    stderr,
                });
            }
            match self.step(&mut out, left) {
                Ok(true) => {}
                Ok(false) => return Err(self.gone(during)),
                Err(error) => {
                    self.end();
                    return Err(ExternalError::Ended {
                        command,
                        during: during.to_owned(),
                        status: format!("its pipes broke: {error}"),
                        stderr: String::new(),
                    });
                }
            }
        }
    }

    /// Wait until something can be read or written, at most `left`, and do it. False when the command closed a pipe.
    fn step(&mut self, out: &mut &[u8], left: Duration) -> std::io::Result<bool> {
        let (Some(stdout), false) = (&mut self.stdout, self.stdin.is_none()) else {
            return Ok(false);
        };
        let room = self.buffer.len() <= self.limits.line;
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::new(
            stdout,
            if room { PollFlags::IN } else { PollFlags::empty() },
        ));
        let writing = if out.is_empty() { None } else { self.stdin.as_ref() };
        fds.extend(writing.map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        fds.extend(self.stderr.as_ref().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
        let wait = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&wait)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let can_write = !out.is_empty() && happened.get(1).is_some_and(|flags| !flags.is_empty());
        let can_read = room && happened.first().is_some_and(|flags| !flags.is_empty());
        self.listen();
        if can_read {
            let start = self.buffer.len();
            self.buffer.resize(start + CHUNK, 0);
            let got = self
                .stdout
                .as_mut()
                .map(|stdout| stdout.read(&mut self.buffer[start..]));
            let read = match &got {
                Some(Ok(read)) => *read,
                _ => 0,
            };
            self.buffer.truncate(start + read);
            self.total += read as u64;
            match got {
                Some(Ok(0)) | None => return Ok(false),
                Some(Err(error)) if !transient(&error) => return Err(error),
                Some(_) => {}
            }
        }
        if can_write && let Some(stdin) = &mut self.stdin {
            match stdin.write(out) {
                Ok(written) => *out = out.get(written..).unwrap_or_default(),
                Err(error) if transient(&error) => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Read what stderr holds now and keep its end.
    fn listen(&mut self) {
        let mut chunk = [0; 8192];
        // A bound, so that a command that never stops complaining does not keep us here.
        for _ in 0..64 {
            let Some(stderr) = &mut self.stderr else { return };
            match stderr.read(&mut chunk) {
                Ok(0) => self.stderr = None,
                Ok(read) => {
                    self.complaints.extend_from_slice(&chunk[..read]);
                    let excess = self.complaints.len().saturating_sub(KEPT_STDERR);
                    self.complaints.drain(..excess);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.stderr = None,
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.buffer[self.scanned..].iter().position(|b| *b == b'\n') else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + end;
        if end > self.limits.line {
            self.scanned = end; // The bound is checked on it.
            return None;
        }
        let rest = self.buffer.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.truncate(end);
        self.scanned = 0;
        Some(line)
    }

    /// It closed its output: how it ended.
    fn gone(&mut self, during: &str) -> ExternalError {
        let deadline = Instant::now() + GRACE;
        let id = Pid::from_raw(self.group);
        let mut by_itself = false;
        while let Some(id) = id {
            // Without reaping it: as long as it is a zombie, nobody else can get its number.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            by_itself = matches!(waitid(WaitId::Pid(id), options), Ok(Some(_)));
            if by_itself || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let stderr = self.said();
        let status = match self.end() {
            Some(status) if by_itself => status.to_string(),
            _ => "it closed its standard output".to_owned(),
        };
        ExternalError::Ended {
            command: self.command.clone(),
            during: during.to_owned(),
            status,
            stderr,
        }
    }

    /// Kill it with all of its group, and wait for its end. Its exit status the first time.
    pub fn end(&mut self) -> Option<ExitStatus> {
        // Out of the list before it is reaped: afterwards its number may be somebody else's.
        let first = RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.group);
        if first {
            kill_group(self.group);
        }
        self.stdin = None;
        self.stdout = None;
        self.child.wait().ok().filter(|_| first)
    }
}

fn transient(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
