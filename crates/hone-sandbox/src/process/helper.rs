//! The helper: this very program, started again under another name, makes the sandbox and starts the code in it.
//!
//! Starting anew has two merits over forking. The helper has one thread, so that it may allocate, and it shares no
//! memory with a parent that may hold a model's weights. Three processes come of it:
//!
//! * the *supervisor* stays outside. It ends the sandbox when the parent goes, however it goes;
//! * *init* is the first process of the new PID namespace. It builds the root, watches time and memory, and takes
//!   everything with it when it ends;
//! * the *program*, confined further and executed.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, getegid, geteuid, setgroups, sethostname, setresgid, setresuid};

use super::plan::{self, Plan, Report};
use super::{root, seccomp, watch};
use crate::{Network, Spec};

/// The helper's `argv[0]`.
pub(super) const NAME: &str = "hone-sandbox-helper";
/// Who the code is inside.
const INSIDE: u32 = 1000;

/// Runs before `main`, in whatever program this crate is linked into: so a program can start itself as the helper
/// without a line in its `main`, test programs among them.
#[used]
#[unsafe(link_section = ".init_array")]
pub(super) static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    // Not `std::env::args`, which some C libraries fill only later.
    let Ok(arguments) = fs::read("/proc/self/cmdline") else {
        return;
    };
    if arguments.strip_suffix(b"\0") == Some(NAME.as_bytes()) {
        let status = std::panic::catch_unwind(supervise).unwrap_or(2);
        exit(status)
    }
}

fn exit(status: i32) -> ! {
    // SAFETY: ends the process at once. Nothing of the program's `main` has run that would want to clean up.
    unsafe { libc::_exit(status) }
}

/// A step that failed.
#[derive(Debug)]
pub(super) struct Failure {
    step: String,
    errno: Errno,
}

impl Failure {
    pub(super) fn new(step: &str, errno: Errno) -> Self {
        Self {
            step: step.to_owned(),
            errno,
        }
    }
}

/// Names what failed.
pub(super) trait Step<T> {
    fn step(self, name: &str) -> Result<T, Failure>;
}

impl<T> Step<T> for Result<T, Errno> {
    fn step(self, name: &str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(name, errno))
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, name: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(name, e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))
    }
}

fn supervise() -> i32 {
    let Ok(socket) = fcntl(std::io::stdin().as_fd(), FcntlArg::F_DUPFD_CLOEXEC(10)) else {
        return 2;
    };
    // SAFETY: `fcntl` has just made this descriptor for us.
    let socket = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(socket) };
    let Ok(Some((plan, streams))) = plan::receive::<Plan>(socket.as_fd()) else {
        return 2;
    };
    match isolate(&plan, &socket, streams) {
        Ok(init) => stand_by(&socket, init),
        Err(failure) => failed(&socket, failure),
    }
}

fn failed(socket: &OwnedFd, failure: Failure) -> i32 {
    let _ = plan::send(
        socket.as_fd(),
        &Report::Failed {
            step: failure.step,
            errno: failure.errno as i32,
        },
        &[],
    );
    1
}

/// Enters new namespaces and starts init.
fn isolate(plan: &Plan, socket: &OwnedFd, streams: Vec<OwnedFd>) -> Result<Pid, Failure> {
    let mut spaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if plan.spec.network == Network::None {
        spaces |= CloneFlags::CLONE_NEWNET;
    }
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        // Root makes the mounts itself, and init then becomes somebody without rights.
        unshare(spaces).step("make namespaces as root")?;
    } else {
        unshare(spaces | CloneFlags::CLONE_NEWUSER).step("make a user namespace")?;
        map(uid, gid)?;
    }
    // SAFETY: this process has one thread.
    match unsafe { fork() }.step("start init")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => exit(match init(plan, socket, streams, uid.is_root()) {
            Ok(()) => 0,
            Err(failure) => failed(socket, failure),
        }),
    }
}

/// Makes the code's identity inside stand for `uid` and `gid`.
fn map(uid: Uid, gid: Gid) -> Result<(), Failure> {
    fs::write("/proc/self/setgroups", "deny").step("fix the groups of the user namespace")?;
    fs::write("/proc/self/uid_map", format!("{INSIDE} {uid} 1")).step("map the user")?;
    fs::write("/proc/self/gid_map", format!("{INSIDE} {gid} 1")).step("map the group")
}

/// Waits until init has ended or the parent has gone.
fn stand_by(socket: &OwnedFd, init: Pid) -> i32 {
    let Ok(ended) = pidfd(init) else {
        let _ = kill(init, Signal::SIGKILL);
        return 1;
    };
    loop {
        // No events: only that the other side has closed.
        let mut fds = [
            PollFd::new(socket.as_fd(), PollFlags::empty()),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {
                if fds[1].any() != Some(true) {
                    let _ = kill(init, Signal::SIGKILL);
                }
                let _ = waitpid(init, None);
                return 0;
            }
            Err(Errno::EINTR) => {}
            Err(_) => {
                let _ = kill(init, Signal::SIGKILL);
                return 1;
            }
        }
    }
}

pub(super) fn pidfd(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: a system call without pointers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd as i32) })
}

/// The first process of the sandbox.
fn init(plan: &Plan, socket: &OwnedFd, streams: Vec<OwnedFd>, is_root: bool) -> Result<(), Failure> {
    // The root's folders are for the code, whatever the caller wants of files of his own.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    prctl::set_pdeathsig(Signal::SIGKILL).step("end with the supervisor")?;
    let owner = if is_root {
        (Uid::from_raw(plan.uid), Gid::from_raw(plan.uid))
    } else {
        (Uid::from_raw(INSIDE), Gid::from_raw(INSIDE))
    };
    root::build(&plan.spec, owner)?;
    sethostname("sandbox").step("set the host's name")?;
    if is_root {
        setgroups(&[]).step("leave all groups")?;
        setresgid(owner.1, owner.1, owner.1).step("give up the group")?;
        setresuid(owner.0, owner.0, owner.0).step("give up root")?;
        // A change of user takes this and the death signal away.
        prctl::set_dumpable(true).step("open /proc/self")?;
        prctl::set_pdeathsig(Signal::SIGKILL).step("end with the supervisor")?;
        // Counts of processes are kept per user namespace.
        unshare(CloneFlags::CLONE_NEWUSER).step("make a user namespace")?;
        map(owner.0, owner.1)?;
    }
    // The code will have the same user: it must not look into this process, nor can it signal it.
    prctl::set_dumpable(false).step("close /proc/1")?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }.step("start the program")? {
        ForkResult::Parent { child } => {
            drop(streams);
            drop_capabilities()?;
            let end = watch::until_end(child, socket.as_fd(), &plan.spec.limits, !plan.spec.nesting)?;
            if let Some(end) = end {
                let _ = plan::send(socket.as_fd(), &Report::End(end), &[]);
            }
            Ok(())
        }
        ForkResult::Child => {
            let result = become_program(plan, socket.as_fd(), &streams);
            exit(match result {
                Ok(never) => match never {},
                Err(failure) => failed(socket, failure).max(125),
            })
        }
    }
}

fn become_program(
    plan: &Plan,
    socket: BorrowedFd<'_>,
    streams: &[OwnedFd],
) -> Result<std::convert::Infallible, Failure> {
    let spec = &plan.spec;
    prctl::set_dumpable(true).step("open /proc/self")?;
    nix::unistd::setsid().step("leave the session")?;
    for (target, stream) in (0..).zip(streams) {
        // SAFETY: both are open files of this process, which is about to be replaced.
        Errno::result(unsafe { libc::dup2(stream.as_raw_fd(), target) }).step("place the streams")?;
    }
    let first = if plan.channel { 4 } else { 3 };
    // SAFETY: marks open files to be closed on execution; none is closed now.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(marked).step("close what is not the program's")?;
    nix::unistd::chdir(&*spec.cwd).step("enter the working folder")?;
    // Of all processes on the host these are to go first when memory runs out.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    limits(spec)?;
    drop_capabilities()?;
    prctl::set_no_new_privs().step("forbid new rights")?;
    let environment: Vec<_> = spec
        .env
        .iter()
        .map(|(k, v)| c_string(&format!("{k}={v}")))
        .collect::<Result<_, _>>()?;
    let arguments: Vec<_> = spec.argv.iter().map(|a| c_string(a)).collect::<Result<_, _>>()?;
    let program = spec.argv.first().map_or("", String::as_str);
    let candidates: Vec<_> = if program.contains('/') {
        vec![c_string(program)?]
    } else {
        ["/usr/local/bin", "/usr/bin", "/bin"]
            .iter()
            .map(|d| c_string(&format!("{d}/{program}")))
            .collect::<Result<_, _>>()?
    };
    if !spec.nesting {
        let filters =
            seccomp::filters(spec.network, true).map_err(|_| Failure::new("make the call filter", Errno::EINVAL))?;
        plan::send(socket, &Report::Ready, &[]).step("report")?;
        for filter in filters {
            seccompiler::apply_filter(&filter).map_err(|_| Failure::new("filter system calls", Errno::EINVAL))?;
        }
    } else {
        plan::send(socket, &Report::Ready, &[]).step("report")?;
    }
    let mut errno = Errno::ENOENT;
    for candidate in candidates {
        let Err(refused) = nix::unistd::execve(&candidate, &arguments, &environment);
        if refused != Errno::ENOENT {
            errno = refused;
        }
    }
    let _ = plan::send(socket, &Report::NoProgram { errno: errno as i32 }, &[]);
    exit(127)
}

fn c_string(text: &str) -> Result<std::ffi::CString, Failure> {
    std::ffi::CString::new(text).map_err(|_| Failure::new("read the command (it has a NUL)", Errno::EINVAL))
}

fn limits(spec: &Spec) -> Result<(), Failure> {
    let limits = &spec.limits;
    let seconds = limits.cpu.as_secs().max(1);
    let mut all = vec![
        (Resource::RLIMIT_CORE, 0, 0),
        (Resource::RLIMIT_MEMLOCK, 0, 0),
        (Resource::RLIMIT_MSGQUEUE, 0, 0),
    ];
    // What makes sandboxes bounds them itself, and is trusted.
    if !spec.nesting {
        all.extend([
            // The signal at the soft limit tells this cause from others; the hard one ends what ignores it.
            (Resource::RLIMIT_CPU, seconds, seconds + 1),
            (Resource::RLIMIT_AS, limits.memory, limits.memory),
            // Init is counted too.
            (Resource::RLIMIT_NPROC, limits.processes + 1, limits.processes + 1),
            (Resource::RLIMIT_NOFILE, limits.open_files, limits.open_files),
            (Resource::RLIMIT_FSIZE, limits.file_size, limits.file_size),
        ]);
    }
    for (resource, soft, hard) in all {
        setrlimit(resource, soft, hard).step("set limits")?;
    }
    Ok(())
}

/// Gives up all rights over the user namespace, for good: together with `no_new_privs`, and since nobody inside has
/// the user id 0, no program brings them back.
fn drop_capabilities() -> Result<(), Failure> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION: u32 = 0x2008_0522;
    for capability in 0..64 {
        // SAFETY: a system call without pointers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break; // Beyond the last one.
        }
    }
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let none = [[0u32; 3]; 2];
    // SAFETY: the structures are what version 3 asks for, and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    Errno::result(result).map(drop).step("give up capabilities")
}

/// Reaps what has ended. Says whether there are children left.
pub(super) fn reap(main: Pid, status: &mut Option<nix::sys::wait::WaitStatus>, block: bool) -> bool {
    loop {
        let flags = if block { None } else { Some(WaitPidFlag::WNOHANG) };
        match waitpid(Pid::from_raw(-1), flags) {
            Ok(nix::sys::wait::WaitStatus::StillAlive) => return true,
            Ok(ended) => {
                if ended.pid() == Some(main) {
                    *status = Some(ended);
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}
