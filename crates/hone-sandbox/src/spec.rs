//! What is to run, and within which bounds.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A command and everything that it may use. Nothing of the host is visible but the system's programs and libraries
/// (`/usr` and what belongs to it, read-only) and [`Spec::binds`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The program (looked for in `/usr/local/bin`, `/usr/bin`, `/bin` where it has no slash) and its arguments.
    pub argv: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Where it starts. `/work` and `/tmp` are empty and writable.
    pub cwd: String,
    pub binds: Vec<Bind>,
    pub limits: Limits,
    pub network: Network,
    /// Whether the program may make sandboxes of its own inside. Only for programs that are trusted; what they start
    /// is as confined as they make it.
    pub nesting: bool,
}

impl Spec {
    /// A command with the default bounds, in `/work`, without network.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let env = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", "/work"),
            ("LANG", "C.UTF-8"),
            ("TMPDIR", "/tmp"),
        ];
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: env.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
            cwd: "/work".to_owned(),
            binds: Vec::new(),
            limits: Limits::default(),
            network: Network::None,
            nesting: false,
        }
    }
}

/// A file or folder of the host, shown inside read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub host: PathBuf,
    /// An absolute path, at which there must be nothing yet, outside of `/tmp`, `/work`, `/dev` and `/proc`.
    pub inside: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Not even the loopback interface.
    None,
    /// The host's network, with everything that the host can reach.
    Host,
}

/// Bounds. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory of all processes together, and address space of each one.
    pub memory: u64,
    /// Processor time of each process.
    pub cpu: Duration,
    /// Processors at a time, of all processes together; all that there are without it. Only control groups can bound that.
    pub processors: Option<u32>,
    /// Time by the clock, from the start of the program to its end. For a session: of each call.
    pub wall: Duration,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// The size of each file.
    pub file_size: u64,
    /// `/tmp`, `/work` and `/dev/shm` together. They lie in memory.
    pub disk: u64,
    /// Bytes of output that are kept. Of more, the middle is dropped; a program that writes
    /// [`Limits::FLOOD`] times as much is ended.
    pub output: u64,
}

impl Limits {
    /// How many times [`Limits::output`] a program may write before it is ended.
    pub const FLOOD: u64 = 64;
    /// The longest times that can be asked for.
    pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
    /// The most processes that Linux can have.
    const PROCESSES: u64 = 1 << 22;
    /// Sizes and numbers that the system's calls can take.
    const LARGEST: u64 = 1 << 60;

    /// Refuses what no system could take as a bound.
    #[cfg(target_os = "linux")]
    pub(crate) fn check(&self) -> Result<(), crate::Error> {
        let wrong = |what: String| Err(crate::Error::Spec(what));
        for (name, time) in [("wall", self.wall), ("cpu", self.cpu)] {
            if time > Self::LONGEST {
                return wrong(format!("the bound '{name}' is longer than a year; choose less"));
            }
        }
        if self.processors == Some(0) {
            return wrong("the bound 'processors' is 0; choose 1 or more".to_owned());
        }
        for (name, n, most) in [
            ("processes", self.processes, Self::PROCESSES),
            ("memory", self.memory, Self::LARGEST),
            ("open_files", self.open_files, Self::LARGEST),
            ("file_size", self.file_size, Self::LARGEST),
            ("disk", self.disk, Self::LARGEST),
        ] {
            if n > most {
                return wrong(format!("the bound '{name}' is {n}; choose at most {most}"));
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            cpu: Duration::from_secs(30),
            processors: None,
            wall: Duration::from_secs(30),
            processes: 64,
            open_files: 256,
            file_size: 64 << 20,
            disk: 128 << 20,
            output: 64 << 10,
        }
    }
}
