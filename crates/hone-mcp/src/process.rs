//! A server as a child process: its own process group, a bounded stream, and an end that leaves nothing behind.
//!
//! The end is the protocol's: standard input is closed, then SIGTERM, then SIGKILL, the signals to the whole group. A group
//! that is still alive when the program ends gets SIGKILL then; on Linux the process itself also dies with a program that
//! is killed.

use crate::watch::{Watch, Watched};
use crate::{Error, ServerConfig};
use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use std::collections::BTreeSet;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a server may take to end by itself, and then once more after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);

/// Variables that every command gets.
const HARMLESS: [&str; 12] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "SSL_CERT_FILE",
];

/// The stream to a child process.
pub(crate) struct Process {
    stream: AsyncRwTransport<RoleClient, Watched<ChildStdout>, ChildStdin>,
    watch: Arc<Watch>,
    child: Option<Owned>,
}

/// A child and its group; dropped, it ends them in the background.
struct Owned {
    child: Child,
    group: Group,
    /// Reads its standard error.
    words: JoinHandle<()>,
}

impl Process {
    /// Start the command. Call it on the runtime, whose threads last: a process is told of its parent's end when the
    /// thread that started it ends.
    pub fn start(config: &ServerConfig, program: &str, arguments: &[String], watch: Arc<Watch>) -> Result<Self, Error> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(
                HARMLESS
                    .iter()
                    .filter_map(|name| Some((*name, std::env::var_os(name)?))),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in &config.pass_env {
            let Some(value) = std::env::var_os(name) else {
                return Err(Error::Config {
                    server: config.label(),
                    why: format!("`pass_env`: the environment has no variable `{name}`; set it or take it out"),
                });
            };
            command.env(name, value);
        }
        command.envs(&config.env);
        if let Some(cwd) = &config.cwd {
            command.current_dir(cwd);
        }
        #[cfg(target_os = "linux")]
        // SAFETY: between fork and exec only the system call `prctl` is made, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let failed = |why: String| Error::Connect {
            server: config.label(),
            why,
        };
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed(format!(
                "`{program}` was not found{}; install it or correct the command",
                config
                    .cwd
                    .as_ref()
                    .map_or(String::new(), |cwd| format!(", or `{}`", cwd.display()))
            )),
            _ => failed(format!("`{program}` cannot be started ({error}); correct the command")),
        })?;
        let (Some(id), Some(stdin), Some(stdout), Some(stderr)) =
            (child.id(), child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("its pipes are missing; try again".to_owned()));
        };
        let group = Group::new(id);
        let words = tokio::spawn(keep_words(stderr, watch.clone()));
        Ok(Self {
            stream: AsyncRwTransport::new(Watched::new(stdout, watch.clone()), stdin)
                .with_max_line_length(config.limits.message_bytes.saturating_add(1)),
            watch,
            child: Some(Owned { child, group, words }),
        })
    }
}

impl Transport<RoleClient> for Process {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.watch.asked();
        self.stream.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.stream.receive().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.stream.close().await?;
        if let Some(owned) = self.child.take() {
            owned.end(&self.watch).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    /// Where the transport is dropped before it was closed: a handshake that failed or took too long.
    fn drop(&mut self) {
        let Some(owned) = self.child.take() else { return };
        let watch = self.watch.clone();
        if let Some(runtime) = crate::runtime::handle() {
            runtime.spawn(async move { owned.end(&watch).await });
        }
    }
}

impl Owned {
    /// Standard input is closed by now, or is about to be.
    async fn end(mut self, watch: &Watch) {
        let mut status = timeout(GRACE, self.child.wait()).await;
        if status.is_err() {
            self.group.signal(libc::SIGTERM);
            status = timeout(GRACE, self.child.wait()).await;
        }
        // What it said last comes before its end; whoever else holds its standard error is not waited for.
        if status.is_ok() {
            let _ = timeout(GRACE, &mut self.words).await;
        }
        match status {
            Ok(Ok(status)) => watch.ended(status),
            _ => {
                self.group.signal(libc::SIGKILL);
                if let Ok(status) = self.child.wait().await {
                    watch.ended(status);
                }
            }
        }
        // What the process started and did not end. Dropping the group does the rest.
    }
}

/// Keeps the end of what a server says on standard error, and lets it never block on that.
async fn keep_words(mut stderr: ChildStderr, watch: Arc<Watch>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
        watch.said(&buffer[..n]);
    }
}

/// A process group that is killed when this is dropped, or at the program's end.
struct Group(i32);

static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

impl Group {
    fn new(id: u32) -> Self {
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| {
            // SAFETY: `kill_all` is an `extern "C" fn` that does not unwind.
            unsafe {
                libc::atexit(kill_all);
            }
        });
        let id = i32::try_from(id).unwrap_or(i32::MAX);
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Self(id)
    }

    fn signal(&self, signal: i32) {
        kill(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0) {
            self.signal(libc::SIGKILL);
        }
    }
}

fn kill(group: i32, signal: i32) {
    // SAFETY: a system call on a number; that the group may be gone is an error that does not matter.
    unsafe {
        libc::killpg(group, signal);
    }
}

extern "C" fn kill_all() {
    // Whoever holds the lock at the end of the program will not come back.
    if let Ok(mut live) = LIVE.try_lock() {
        for group in std::mem::take(&mut *live) {
            kill(group, libc::SIGKILL);
        }
    }
}
