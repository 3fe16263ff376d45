//! Processes on Linux, isolated by namespaces, system call filters and resource limits. No daemon, no other program and
//! no set-uid file is needed, and nothing is written to the host's file system: a sandbox's folders and mounts are
//! gone with its last process.

pub(crate) mod cgroup;
mod helper;
mod plan;
mod root;
pub(crate) mod seccomp;
mod watch;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::guarantee::{Guarantee, Level, Property};
use crate::{Cause, End, Error, Guarantees, Running, Runtime, Spec, Streams};
use cgroup::{Group, Groups};
use plan::{Plan, Report};

/// Host users that sandboxes of root run as, one each, in turn: a range that no system hands out (systemd's unused
/// part below the containers' range).
const UIDS: std::ops::Range<u32> = 0x7000_0000..0x7000_ffff;
/// Folders inside over which something else is mounted, here or in sessions.
const COVERED: &[&str] = &["/tmp", "/work", "/dev", "/proc", "/.box", "/.old"];
/// How long setting up may take on a machine that is busy.
const SET_UP: Duration = Duration::from_secs(30);

static IN_USE: OnceLock<Guarantees> = OnceLock::new();

/// What holds for the code that this process runs in sandboxes; `None` as long as it has made no runtime.
pub fn in_use() -> Option<&'static Guarantees> {
    IN_USE.get()
}

/// See the module.
#[derive(Debug)]
pub struct ProcessRuntime {
    guarantees: Guarantees,
    groups: Option<Arc<Groups>>,
}

impl ProcessRuntime {
    /// Proves by an empty sandbox that code can be isolated here. Where control groups (cgroup v2) can be made, they bound
    /// memory; where a sandbox cannot be put into one, it is as if there were none.
    pub fn new() -> Result<Self, Error> {
        let made = Self::make()?;
        let _ = IN_USE.set(made.guarantees.clone());
        Ok(made)
    }

    fn make() -> Result<Self, Error> {
        let why = match Groups::find() {
            Ok(groups) => match Self::tried(Ok(Arc::new(groups))) {
                Ok(runtime) => return Ok(runtime),
                Err(error) => error.to_string(),
            },
            Err(why) => why,
        };
        Self::tried(Err(why))
    }

    /// Without control groups, whether there are any or not.
    pub fn without_groups() -> Result<Self, Error> {
        Self::tried(Err("they were not asked for".to_owned()))
    }

    /// One that works.
    fn tried(groups: Result<Arc<Groups>, String>) -> Result<Self, Error> {
        let runtime = Self {
            guarantees: guarantees(groups.as_ref().map(|groups| &**groups)),
            groups: groups.ok(),
        };
        let null = || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/null")
                .map(OwnedFd::from)
        };
        let stream = || null().map_err(Error::io("cannot open /dev/null"));
        let streams = Streams {
            stdin: stream()?,
            stdout: stream()?,
            stderr: stream()?,
            channel: None,
        };
        let mut running = runtime.start(&Spec::new(["true"]), streams)?;
        match running.wait(SET_UP)? {
            Some(End {
                cause: Cause::Exited(0),
                ..
            }) => Ok(runtime),
            end => Err(Error::Lost(format!("the trial ended with {end:?}"))),
        }
    }
}

impl Runtime for ProcessRuntime {
    fn guarantees(&self) -> &Guarantees {
        &self.guarantees
    }

    fn groups(&self) -> Option<Arc<Groups>> {
        self.groups.clone()
    }

    fn start(&self, spec: &Spec, streams: Streams) -> Result<Box<dyn Running>, Error> {
        // Keeps the linker from dropping what runs before `main`.
        std::hint::black_box(&helper::BEFORE_MAIN);
        check(spec)?;
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(Error::errno("cannot make a socket for the sandbox"))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(helper::NAME).env_clear().current_dir("/").process_group(0);
        command
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let helper = command
            .spawn()
            .map_err(Error::io("cannot start the sandbox's helper"))?;
        let mut running = Process {
            helper,
            socket: Some(ours),
            program: spec.argv[0].clone(),
            ended: false,
            early: None,
            group: None,
            start: Instant::now(),
        };
        // What makes sandboxes bounds them itself.
        if let Some(groups) = self.groups.as_ref().filter(|_| !spec.nesting) {
            let cannot = Error::io("cannot make a control group for the sandbox");
            let group = groups.make(&spec.limits).map_err(cannot)?;
            let (_, group) = running.group.insert((Arc::clone(groups), group));
            // The helper waits for its order: nothing runs yet that could have started something else.
            let added = group.add(running.helper.id());
            added.map_err(Error::io("cannot put the sandbox into its control group"))?;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Of several programs at once each begins elsewhere.
        let n = NEXT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(std::process::id().wrapping_mul(251));
        let plan = Plan {
            spec: spec.clone(),
            uid: UIDS.start + n % (UIDS.end - UIDS.start),
            channel: streams.channel.is_some(),
        };
        let mut files = vec![
            streams.stdin.as_raw_fd(),
            streams.stdout.as_raw_fd(),
            streams.stderr.as_raw_fd(),
        ];
        files.extend(streams.channel.as_ref().map(AsRawFd::as_raw_fd));
        plan::send(running.socket()?, &plan, &files).map_err(|errno| match errno {
            Errno::EMSGSIZE => Error::Spec("the command and its environment are longer than 100 KiB".to_owned()),
            errno => Error::Io {
                doing: "cannot send the command to the sandbox",
                source: errno.into(),
            },
        })?;
        drop(streams);
        match running.report(SET_UP)? {
            Some(Report::Ready) => Ok(Box::new(running)),
            // On a busy machine a short bound is over before the program begins.
            Some(Report::End(end)) => {
                running.early = Some(end);
                Ok(Box::new(running))
            }
            Some(_) => Err(Error::Lost("it said nothing that makes sense".to_owned())),
            None => Err(Error::Lost(format!("it was not set up within {} s", SET_UP.as_secs()))),
        }
    }
}

fn check(spec: &Spec) -> Result<(), Error> {
    let wrong = |what: String| Err(Error::Spec(what));
    if spec.argv.first().is_none_or(String::is_empty) {
        return wrong("the command is empty".to_owned());
    }
    for bind in &spec.binds {
        for path in [&bind.host, &bind.inside] {
            if !path.is_absolute() || path.components().any(|c| c == std::path::Component::ParentDir) {
                return wrong(format!(
                    "the path '{}' of a bind is not absolute and plain",
                    path.display()
                ));
            }
        }
        if bind.inside.parent().is_none() {
            return wrong("a bind cannot take the place of the root folder".to_owned());
        }
        if let Some(folder) = COVERED.iter().find(|folder| bind.inside.starts_with(folder)) {
            return wrong(format!(
                "'{}' cannot be shown in it, since {folder} is the sandbox's own there; move what is to be shown (for an \
                 interpreter: its virtual environment) to a folder outside of {folder}",
                bind.inside.display()
            ));
        }
    }
    spec.limits.check()?;
    if spec.limits.memory < 4 << 20 || spec.limits.disk < 64 << 10 || spec.limits.open_files < 16 {
        return wrong("a program needs at least 4 MiB of memory, 64 KiB of disk and 16 open files".to_owned());
    }
    Ok(())
}

/// A sandbox from outside.
struct Process {
    helper: Child,
    /// Closing it ends the sandbox.
    socket: Option<OwnedFd>,
    program: String,
    ended: bool,
    /// What was reported before anybody waited.
    early: Option<End>,
    group: Option<(Arc<Groups>, Group)>,
    start: Instant,
}

impl Process {
    /// The end that the kernel made when the group had more memory than it may.
    fn out_of_memory(&self) -> Option<End> {
        let (_, group) = self.group.as_ref()?;
        (group.killed() > 0).then(|| End {
            cause: Cause::Memory,
            wall: self.start.elapsed(),
            cpu: group.cpu(),
            peak_memory: group.peak(),
        })
    }

    fn socket(&self) -> Result<BorrowedFd<'_>, Error> {
        self.socket
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or_else(|| Error::Lost("it was ended".to_owned()))
    }

    /// The next report, or `None` if none came in time.
    fn report(&self, timeout: Duration) -> Result<Option<Report>, Error> {
        let socket = self.socket()?;
        let deadline = Instant::now() + timeout.min(crate::Limits::LONGEST);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(socket, PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(0) if Instant::now() >= deadline => return Ok(None),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => break,
                Err(errno) => return Err(Error::errno("cannot wait for the sandbox")(errno)),
            }
        }
        match plan::receive(socket) {
            Ok(Some((Report::Failed { step, errno }, _))) => Err(unavailable(&step, Errno::from_raw(errno))),
            Ok(Some((Report::NoProgram { errno }, _))) => {
                let reason = std::io::Error::from_raw_os_error(errno).to_string();
                Err(Error::Start {
                    program: self.program.clone(),
                    reason,
                })
            }
            Ok(Some((report, _))) => Ok(Some(report)),
            Ok(None) => Err(Error::Lost("it ended without a report".to_owned())),
            Err(errno) => Err(Error::errno("cannot read the sandbox's report")(errno)),
        }
    }
}

impl Running for Process {
    fn wait(&mut self, timeout: Duration) -> Result<Option<End>, Error> {
        if let Some(end) = self.early.take() {
            self.kill();
            return Ok(Some(end));
        }
        let report = match self.report(timeout) {
            Err(Error::Lost(why)) => match self.out_of_memory() {
                Some(end) => {
                    self.kill();
                    return Ok(Some(end));
                }
                None => return Err(Error::Lost(why)),
            },
            report => report?,
        };
        match report {
            Some(Report::End(end)) => {
                self.kill();
                Ok(Some(end))
            }
            Some(_) => Err(Error::Lost("it said nothing that makes sense".to_owned())),
            None => Ok(None),
        }
    }

    fn ended(&self) -> BorrowedFd<'_> {
        // Once it has ended, a file that is always readable.
        self.socket.as_ref().map_or_else(|| null(), AsFd::as_fd)
    }

    fn kill(&mut self) {
        self.socket = None;
        if !self.ended {
            // The helper ends by itself when it sees the socket closed, after everything inside has ended.
            self.ended = self.helper.wait().is_ok();
        }
        if let Some((groups, group)) = self.group.take() {
            groups.end(&group);
        }
    }
}

fn null() -> BorrowedFd<'static> {
    static NULL: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let open = || std::fs::File::open("/dev/null").ok().map(OwnedFd::from);
    match NULL.get_or_init(open) {
        Some(fd) => fd.as_fd(),
        // SAFETY: standard input is never closed by us; polling a closed one reports an error, which is an end too.
        None => unsafe { BorrowedFd::borrow_raw(0) },
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a failed step means for the user.
fn unavailable(step: &str, errno: Errno) -> Error {
    let what = format!("to {step} was refused ({})", errno.desc());
    let remedy = match errno {
        Errno::ENOSYS => "Linux 5.14 or later is needed, without a filter that hides its calls (a container's seccomp profile)".to_owned(),
        Errno::ENOSPC | Errno::EUSERS => {
            "raise the limits in /proc/sys/user (max_user_namespaces, max_mnt_namespaces, max_pid_namespaces)".to_owned()
        }
        Errno::EPERM | Errno::EACCES if step.contains("namespace") || step.starts_with("map") || step.contains("mount") => {
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces=10000); in a container, run it with \
             '--security-opt seccomp=unconfined --security-opt systempaths=unconfined --cap-add SYS_ADMIN'"
                .to_owned()
        }
        Errno::ENOENT => "see that the path exists".to_owned(),
        _ => "see the message of the system".to_owned(),
    };
    Error::Unavailable { what, remedy }
}

/// What holds with these control groups, or without any for that reason.
fn guarantees(groups: Result<&Groups, &String>) -> Guarantees {
    use Level::{Enforced, Watched};
    let root = nix::unistd::geteuid().is_root();
    let identity = if root {
        "a user of its own for each sandbox (an interpreter's sessions share one), which owns nothing on this host"
            .to_owned()
    } else {
        format!(
            "user {} of this host, without its groups, files and rights",
            nix::unistd::geteuid()
        )
    };
    let row = |property, level, how| Guarantee { property, level, how };
    let (grouped, processors) = (groups.is_ok(), groups.is_ok_and(Groups::bound_processors));
    Guarantees {
        runtime: "process",
        identity,
        without_groups: groups.err().cloned(),
        properties: vec![
            row(
                Property::Files,
                Enforced,
                "mount namespace: a new root with the system's programs, read-only",
            ),
            row(
                Property::Network,
                Enforced,
                "network namespace without interfaces; sockets refused",
            ),
            row(Property::Processes, Enforced, "PID, IPC and user namespaces"),
            row(Property::SystemCalls, Enforced, "seccomp: a list of allowed calls"),
            row(
                Property::Privileges,
                Enforced,
                "no capabilities, no_new_privs, no set-uid programs",
            ),
            match grouped {
                true => row(
                    Property::Memory,
                    Enforced,
                    "cgroup v2: with the files in memory at most both bounds and 32 MiB; the processes' sum looked at every 20 ms",
                ),
                false => row(
                    Property::Memory,
                    Watched,
                    "address space of each process by rlimit; the sum looked at every 20 ms",
                ),
            },
            match processors {
                true => row(
                    Property::Cpu,
                    Enforced,
                    "rlimit for each process; cgroup v2 for the processors of all together, where they are bounded",
                ),
                false => row(
                    Property::Cpu,
                    Watched,
                    "rlimit for each process; for all together only by wall time",
                ),
            },
            row(
                Property::ProcessCount,
                Enforced,
                match grouped {
                    true => "rlimit, counted in a user namespace of its own, and cgroup v2",
                    false => "rlimit, counted in a user namespace of its own",
                },
            ),
            row(Property::OpenFiles, Enforced, "rlimit for each process"),
            row(
                Property::Disk,
                Enforced,
                "all writable folders in one tmpfs of fixed size; rlimit for each file",
            ),
            row(
                Property::Output,
                Enforced,
                "read and cut by the parent; a flood ends the program",
            ),
            row(
                Property::Wall,
                Watched,
                "looked at every 20 ms from inside, and by the parent",
            ),
        ],
    }
}
