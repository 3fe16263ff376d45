//! Sessions of Python and bash in a sandbox.
//!
//! An [`Interpreter`] is one sandbox with one Python that has everything imported and waits. A [`Session`] is a fork of
//! it with namespaces, folders and bounds of its own, so that starting one costs a few milliseconds and its memory is
//! shared with all others until it is written to. Between calls nothing in a session runs.

mod artifact;
mod find;
mod frame;
mod group;
mod judge;
mod session;

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, send, sendmsg, socketpair};
use serde_json::{Value, json};

use crate::process::cgroup::Groups;
use crate::process::seccomp;
use crate::{Bounded, Error, Limits, Network, Running, Runtime, Spec, Streams};
pub use artifact::{Artifact, ArtifactLimits};
use group::SessionGroup;
pub use judge::{Case, Verdict, judge};
pub use session::{Call, Entry, Outcome, Reply, Session};

const DRIVER: &str = include_str!("driver.py");
/// Until Python runs and has imported what it shall.
const START: Duration = Duration::from_secs(60);

/// How sessions are made.
#[derive(Debug, Clone, Default)]
pub struct InterpreterSettings {
    /// The interpreter; otherwise the first `python3` of `PATH`. That of a virtual environment brings its packages.
    pub python: Option<PathBuf>,
    /// Modules to import once for all sessions, besides much of the standard library.
    pub preload: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Python,
    Bash,
}

/// What a session is.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    pub language: Language,
    /// `wall` holds for each call. `cpu` is not used: a call's processor time is bounded by its wall time and the
    /// number of processors.
    pub limits: Limits,
    /// Whether standard error is part of the output.
    pub stderr: bool,
    /// Fixed hashes, random numbers and clock (of Python; what other programs read is not changed).
    pub deterministic: Option<Deterministic>,
    /// Whether figures, tables and files that a call makes come with its reply, and how much of them.
    pub artifacts: Option<ArtifactLimits>,
}

impl SessionSettings {
    pub fn new(language: Language) -> Self {
        Self {
            language,
            limits: Limits::default(),
            stderr: true,
            deterministic: None,
            artifacts: None,
        }
    }
}

/// The same code then does the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deterministic {
    /// Of `random`, `os.urandom` and, if it is preloaded, `numpy.random`.
    pub seed: u64,
    /// The time at the start, in seconds since 1970. Each look at a clock moves it on by a millisecond, sleeping by
    /// what is slept, without waiting.
    pub now: f64,
}

/// A warm Python that sessions are forked from. Sessions keep it alive.
#[derive(Clone)]
pub struct Interpreter {
    inner: Arc<Zygote>,
}

struct Zygote {
    control: OwnedFd,
    version: String,
    groups: Option<Arc<Groups>>,
    /// Ends with us.
    _running: Mutex<Box<dyn Running>>,
}

impl Interpreter {
    /// Starts Python in a sandbox and imports what is asked for.
    pub fn start(runtime: &dyn Runtime, settings: &InterpreterSettings) -> Result<Self, Error> {
        let found = find::find(settings.python.as_deref())?;
        let program = found.program.to_string_lossy().into_owned();
        let mut spec = Spec::new([&*program, "-s", "-c", DRIVER]);
        spec.binds = found.binds;
        spec.nesting = true;
        for (name, value) in [
            // Hashes are fixed for all sessions: Python takes them at its start.
            ("PYTHONHASHSEED", "0"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONUTF8", "1"),
            // Threads of numeric libraries would not survive a fork.
            ("OMP_NUM_THREADS", "1"),
            ("OPENBLAS_NUM_THREADS", "1"),
            ("MKL_NUM_THREADS", "1"),
            ("MPLBACKEND", "Agg"),
            ("MPLCONFIGDIR", "/tmp"),
        ] {
            spec.env.push((name.to_owned(), value.to_owned()));
        }
        let (control, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(Error::errno("cannot make a socket for Python"))?;
        let (errors, stderr) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(Error::errno("cannot make a pipe"))?;
        let null = || {
            let file = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
            file.map(OwnedFd::from).map_err(Error::io("cannot open /dev/null"))
        };
        let streams = Streams {
            stdin: null()?,
            stdout: null()?,
            stderr,
            channel: Some(theirs),
        };
        let running = runtime.start(&spec, streams)?;
        // Read while it runs, so that modules that write much while they are imported do not wait for ever.
        let errors = std::thread::spawn(move || last_words(errors));
        let start = json!({"filters": filters()?, "preload": settings.preload}).to_string();
        let failed = |reason: String| Error::Start {
            program: program.clone(),
            reason,
        };
        send(control.as_raw_fd(), start.as_bytes(), MsgFlags::MSG_NOSIGNAL).map_err(|e| failed(e.to_string()))?;
        let answer: Value = match packet(&control, START).map_err(|e| failed(e.to_string()))? {
            Some(bytes) if !bytes.is_empty() => serde_json::from_slice(&bytes).unwrap_or_default(),
            Some(_) => {
                drop(running);
                let text = errors.join().unwrap_or_default();
                return Err(failed(format!("it ended at once: {}", text.trim())));
            }
            None => return Err(failed(format!("it was not ready within {} s", START.as_secs()))),
        };
        if let Some(reason) = answer["failed"].as_str() {
            return Err(failed(format!("a module cannot be imported: {reason}")));
        }
        let Some(version) = answer["ready"].as_str() else {
            return Err(failed("it said nothing sensible".to_owned()));
        };
        let version = version.to_owned();
        Ok(Self {
            inner: Arc::new(Zygote {
                control,
                version,
                groups: runtime.groups(),
                _running: Mutex::new(running),
            }),
        })
    }

    /// Python's version, such as "3.11.2".
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// Whether the two are one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Starts a session. Dropping it ends everything in it.
    pub fn session(&self, settings: &SessionSettings) -> Result<Session, Error> {
        let limits = &settings.limits;
        limits.check()?;
        if limits.memory < 32 << 20 || limits.disk < 1 << 20 || limits.open_files < 128 {
            return Err(Error::Spec(
                "a session needs at least 32 MiB of memory, 1 MiB of disk and 128 open files".to_owned(),
            ));
        }
        settings.artifacts.iter().try_for_each(ArtifactLimits::check)?;
        let (ours, theirs) = UnixStream::pair().map_err(Error::io("cannot make a socket for a session"))?;
        let group = match &self.inner.groups {
            Some(groups) => Some(SessionGroup::new(groups, settings, &ours)?),
            None => None,
        };
        let config = json!({
            "language": match settings.language { Language::Python => "python", Language::Bash => "bash" },
            "memory": limits.memory,
            "processes": limits.processes,
            "open_files": limits.open_files,
            "file_size": limits.file_size,
            "disk": limits.disk,
            "stderr": settings.stderr,
            "deterministic": settings.deterministic.map(|d| json!({"seed": d.seed, "now": d.now})),
            "artifacts": settings.artifacts,
            "group": self.inner.groups.is_some(),
        })
        .to_string();
        let parts = [std::io::IoSlice::new(config.as_bytes())];
        let files = [theirs.as_raw_fd()];
        sendmsg::<()>(
            self.inner.control.as_raw_fd(),
            &parts,
            &[ControlMessage::ScmRights(&files)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .map_err(|errno| Error::Lost(format!("Python has ended ({})", errno.desc())))?;
        drop(theirs);
        Session::open(ours, *settings, self.clone(), group)
    }
}

/// What of standard error is kept for a message.
fn last_words(errors: OwnedFd) -> String {
    let (mut file, mut kept) = (std::fs::File::from(errors), Bounded::new(4096));
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return kept.finish().text(),
            Ok(n) => kept.push(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// The filters as the driver wants them: what the kernel reads, in hexadecimal digits.
fn filters() -> Result<Vec<String>, Error> {
    let filters = seccomp::filters(Network::None, false).map_err(Error::Spec)?;
    Ok(filters
        .iter()
        .map(|f| seccomp::bytes(f).iter().map(|b| format!("{b:02x}")).collect())
        .collect())
}

fn packet(socket: &OwnedFd, timeout: Duration) -> Result<Option<Vec<u8>>, Errno> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) if left.is_zero() => return Ok(None),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => break,
            Err(errno) => return Err(errno),
        }
    }
    let mut bytes = vec![0; 64 << 10];
    let n = recv(socket.as_raw_fd(), &mut bytes, MsgFlags::empty())?;
    bytes.truncate(n);
    Ok(Some(bytes))
}
