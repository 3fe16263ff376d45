//! One session: calls, files, branches.

use std::io::{ErrorKind, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Deserialize;
use serde_json::{Value, json};

use super::group::SessionGroup;
use super::{Artifact, Interpreter, SessionSettings, artifact, frame};
use crate::{Error, Limits, Output};

/// How long the supervisor may take for what is not the code's doing, on a machine that is busy.
const GRACE: Duration = Duration::from_secs(20);

/// A conversation with an interpreter: what one call defines, the next ones find.
pub struct Session {
    socket: UnixStream,
    settings: SessionSettings,
    /// Set once the supervisor has gone.
    over: Option<String>,
    /// Ends what is in it when the last of a session and its branches goes.
    group: Option<Arc<SessionGroup>>,
    /// How many processes of the group the kernel had ended by the last call.
    killed: u64,
    /// For a branch its root session's; ends last.
    _interpreter: Interpreter,
}

/// One call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    pub code: &'a str,
    /// What `input()` and `sys.stdin` read, for Python. Without it there is no input.
    pub stdin: Option<&'a str>,
    /// Instead of the session's.
    pub wall: Option<Duration>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub outcome: Outcome,
    /// Standard output and standard error, as they were written.
    pub output: Output,
    /// `repr` of the last expression, unless it was `None`. For Python.
    pub value: Option<String>,
    /// Figures of matplotlib that were shown or left open, and the table that the last expression is (of pandas). For
    /// Python, where [`SessionSettings::artifacts`] asks for them.
    pub shown: Vec<Artifact>,
    /// Files below the session's own folder that were written, where [`SessionSettings::artifacts`] asks for them. Those
    /// below names that begin with a dot are left out.
    pub files: Vec<Artifact>,
    /// How many more were written.
    pub more_files: u64,
    /// The session's variables are gone, and a fresh interpreter is there; a branch is over.
    pub lost: bool,
    pub wall: Duration,
    /// Of the interpreter and the children that it waited for; in steps of the kernel's clock (10 ms, mostly).
    pub cpu: Duration,
}

/// How a call ended. All of it is the code's doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With the status of the last command, for bash.
    Ok { status: Option<i32> },
    /// An exception that nobody caught.
    Error {
        kind: String,
        message: String,
        traceback: String,
    },
    /// `sys.exit`, which ends the call only.
    Exit { status: i32 },
    /// It ran longer than it may.
    Timeout,
    /// All processes together had more memory than they may.
    Memory,
    /// It wrote [`Limits::FLOOD`] times what is kept of its output.
    Output,
    /// The interpreter ended: by `os._exit`, `exit` in bash, or a signal.
    Died { status: Option<i32>, signal: Option<i32> },
    /// The interpreter said what makes no sense: the code changed what it must not.
    Protocol,
}

/// A file of a session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry(pub String, pub u64);

impl Session {
    pub(super) fn open(
        socket: UnixStream,
        settings: SessionSettings,
        interpreter: Interpreter,
        group: Option<Arc<SessionGroup>>,
    ) -> Result<Self, Error> {
        let mut session = Self {
            socket,
            settings,
            over: None,
            killed: group.as_ref().map_or(0, |group| group.killed()),
            group,
            _interpreter: interpreter,
        };
        let (answer, _) = session.read(GRACE)?;
        match answer["failed"].as_str() {
            None => Ok(session),
            Some(reason) => Err(Error::Unavailable {
                what: format!("a session could not be set up ({reason})"),
                remedy: "see the limits in /proc/sys/user, and those of processes and memory".to_owned(),
            }),
        }
    }

    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Runs code and waits for its end.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Reply, Error> {
        if self.settings.language == super::Language::Bash && call.code.contains('\0') {
            return Err(Error::Spec("a script for bash cannot hold a NUL".to_owned()));
        }
        let limits = &self.settings.limits;
        let wall = call.wall.unwrap_or(limits.wall);
        if wall > Limits::LONGEST {
            return Err(Error::Spec(
                "the call's 'wall' is longer than a year; choose less".to_owned(),
            ));
        }
        let stdin = call.stdin.unwrap_or_default();
        let most = limits.file_size.min(limits.disk);
        if stdin.len() as u64 > most {
            return Err(Error::Spec(format!(
                "the input has {} bytes, and files of this session {most}; raise 'file_size' and 'disk'",
                stdin.len()
            )));
        }
        let header = json!({
            "op": "exec",
            "wall": wall.as_secs_f64(),
            "output": limits.output,
            "flood": Limits::FLOOD,
            "code": call.code.len(),
            "stdin": call.stdin.is_some(),
        });
        self.write(&header, &[call.code.as_bytes(), stdin.as_bytes()].concat())?;
        let (header, output) = self.read(wall + GRACE)?;
        let reply = reply(&header, &output);
        let mut reply = reply.ok_or_else(|| self.lose("it answered with what makes no sense"))?;
        // The kernel may have been faster than the supervisor's look.
        let killed = self.group.as_ref().map_or(0, |group| group.killed());
        if matches!(reply.outcome, Outcome::Died { signal: Some(9), .. }) && killed > self.killed {
            reply.outcome = Outcome::Memory;
        }
        self.killed = killed;
        Ok(reply)
    }

    /// Writes a file below `/work`. Folders on the way are made.
    pub fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        self.write(&json!({"op": "put", "path": path}), bytes)?;
        self.done(path).map(drop)
    }

    /// Reads a plain file below `/work` that has at most `max` bytes.
    pub fn get(&mut self, path: &str, max: u64) -> Result<Vec<u8>, Error> {
        self.write(&json!({"op": "get", "path": path, "max": max}), b"")?;
        self.done(path)
    }

    /// Up to `max` plain files below `/work`, and whether those are all. Files beyond what fits into an answer, in folders
    /// that are closed and in folders nested more deeply than a path can say are left out.
    pub fn files(&mut self, max: usize) -> Result<(Vec<Entry>, bool), Error> {
        self.write(&json!({"op": "list", "max": max}), b"")?;
        let (header, body) = self.read(GRACE)?;
        match serde_json::from_slice(&body) {
            Ok(files) => Ok((files, header["complete"] == json!(true))),
            Err(_) => Err(self.lose("it answered with what makes no sense")),
        }
    }

    /// A second session with this one's variables and a copy of the files in its current folder. The two go on
    /// independently, but share processes, `/tmp` and bounds: code in one can see and end the other. It ends with
    /// this one. For Python.
    pub fn fork(&mut self) -> Result<Session, Error> {
        let (ours, theirs) = UnixStream::pair().map_err(Error::io("cannot make a socket for a session"))?;
        let header = json!({"op": "fork"}).to_string();
        let mut bytes = Vec::from((header.len() as u32).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(header.as_bytes());
        let files = [theirs.as_raw_fd()];
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            &[ControlMessage::ScmRights(&files)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        if sent.ok() != Some(bytes.len()) {
            return Err(self.lose("it has ended"));
        }
        drop(theirs);
        let (answer, _) = self.read(GRACE)?;
        match answer["refused"].as_str() {
            Some(reason) => Err(Error::Spec(reason.to_owned())),
            None => Session::open(ours, self.settings, self._interpreter.clone(), self.group.clone()),
        }
    }

    fn done(&mut self, path: &str) -> Result<Vec<u8>, Error> {
        let (header, body) = self.read(GRACE)?;
        match header["refused"].as_str() {
            Some(reason) => Err(Error::Spec(format!("'{path}': {reason}"))),
            None => Ok(body),
        }
    }

    fn write(&mut self, header: &Value, body: &[u8]) -> Result<(), Error> {
        if let Some(reason) = &self.over {
            return Err(Error::Lost(reason.clone()));
        }
        frame::write(&mut self.socket, header, body, GRACE).map_err(|e| match e.kind() {
            ErrorKind::InvalidInput => Error::Spec(e.to_string()),
            _ => self.lose(&e.to_string()),
        })
    }

    fn read(&mut self, timeout: Duration) -> Result<(Value, Vec<u8>), Error> {
        let deadline = Instant::now() + timeout;
        let Some(group) = self.group.clone() else {
            return frame::read(&mut self.socket, deadline).map_err(|e| self.unread(&e));
        };
        loop {
            let (header, body, sender) = frame::read_from(&mut self.socket, deadline).map_err(|e| self.unread(&e))?;
            if header["worker"] != json!(true) {
                return Ok((header, body));
            }
            // A new worker, which waits until it is in its group.
            let sender = sender.ok_or_else(|| self.lose("it does not say who it is"))?;
            group.add(sender).map_err(|error| self.lose(&error.to_string()))?;
            self.write(&json!({"op": "go"}), b"")?;
        }
    }

    fn unread(&mut self, error: &std::io::Error) -> Error {
        match error.kind() {
            ErrorKind::UnexpectedEof => self.lose("it has ended"),
            ErrorKind::TimedOut => self.lose("it does not answer"),
            _ => self.lose(&error.to_string()),
        }
    }

    /// After this the supervisor ends, and everything in the session with it.
    fn lose(&mut self, reason: &str) -> Error {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.over = Some(reason.to_owned());
        Error::Lost(reason.to_owned())
    }
}

fn reply(header: &Value, output: &[u8]) -> Option<Reply> {
    let text = |key: &str| header[key].as_str().map(str::to_owned);
    let number = |key: &str| header[key].as_i64().and_then(|n| i32::try_from(n).ok());
    let duration = |key: &str| header[key].as_u64().map(Duration::from_micros);
    let outcome = match header["outcome"].as_str()? {
        "ok" => Outcome::Ok {
            status: number("status"),
        },
        "error" => Outcome::Error {
            kind: text("type").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            traceback: text("traceback").unwrap_or_default(),
        },
        "exit" => Outcome::Exit {
            status: number("status").unwrap_or(1),
        },
        "timeout" => Outcome::Timeout,
        "memory" => Outcome::Memory,
        "output" => Outcome::Output,
        "died" => Outcome::Died {
            status: number("status"),
            signal: number("signal"),
        },
        "protocol" => Outcome::Protocol,
        _ => return None,
    };
    let head = usize::try_from(header["head"].as_u64()?).ok()?;
    let (bytes, mut artifacts) = output.split_at_checked(output.len().checked_sub(artifact::bytes(header)?)?)?;
    let (head, tail) = bytes.split_at_checked(head)?;
    Some(Reply {
        outcome,
        output: Output {
            head: head.to_vec(),
            tail: tail.to_vec(),
            dropped: header["dropped"].as_u64()?,
        },
        value: text("value"),
        shown: artifact::shown(header, &mut artifacts)?,
        files: artifact::files(header, &mut artifacts)?,
        more_files: header["more_files"].as_u64().unwrap_or(0),
        lost: header["lost"].as_bool()?,
        wall: duration("wall_us")?,
        cpu: duration("cpu_us")?,
    })
}
