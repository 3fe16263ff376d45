//! What init does while the program runs: it waits, looks at the clock and at memory, and ends what exceeds them.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::helper::{Failure, Step, pidfd, reap};
use crate::{Cause, End, Limits};

/// Between two looks at memory.
const TICK: Duration = Duration::from_millis(20);

/// Until the program has ended by itself, a bound ended it, or the other side of `socket` has gone (then `None`).
/// Everything else in the sandbox is gone too when this returns.
pub(super) fn until_end(
    program: Pid,
    socket: BorrowedFd<'_>,
    limits: &Limits,
    bounded: bool,
) -> Result<Option<End>, Failure> {
    let start = Instant::now();
    let ended = pidfd(program).step("watch the program")?;
    let (mut status, mut ours, mut peak) = (None, None, 0);
    let mut gone = false;
    while status.is_none() {
        let left = limits.wall.saturating_sub(start.elapsed());
        let wait = if bounded {
            left.min(TICK)
        } else {
            Duration::from_secs(1)
        };
        // Rounded up, so that the last wait does not become many of no time.
        let wait = PollTimeout::try_from(wait + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        let mut fds = [
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
            PollFd::new(socket, PollFlags::empty()),
        ];
        match poll(&mut fds, wait) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).step("wait for the program"),
        }
        gone = fds[1].any() == Some(true);
        reap(program, &mut status, false);
        if status.is_some() || gone {
            break;
        }
        if bounded {
            let memory = memory(limits.memory);
            peak = peak.max(memory);
            ours = if memory > limits.memory {
                Some(Cause::Memory)
            } else if start.elapsed() >= limits.wall {
                Some(Cause::Wall)
            } else {
                None
            };
            if ours.is_some() {
                break;
            }
        }
    }
    let wall = start.elapsed();
    // Signals to all reach everything but this process: no other namespace is in sight.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while reap(program, &mut status, true) {}
    if gone {
        return Ok(None);
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).step("read what was used")?;
    let cpu = duration(usage.user_time()) + duration(usage.system_time());
    // Of the largest process alone, but exact.
    let largest = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    let cause = ours.unwrap_or(match status {
        Some(WaitStatus::Exited(_, status)) => Cause::Exited(status),
        Some(WaitStatus::Signaled(_, Signal::SIGXCPU, _)) => Cause::Cpu,
        Some(WaitStatus::Signaled(_, Signal::SIGKILL, _)) if cpu >= limits.cpu => Cause::Cpu,
        Some(WaitStatus::Signaled(_, signal, _)) => Cause::Signal(signal as i32),
        _ => Cause::Signal(Signal::SIGKILL as i32),
    });
    Ok(Some(End {
        cause,
        wall,
        cpu,
        peak_memory: peak.max(largest),
    }))
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0))
}

/// Bytes that all processes of this PID namespace have for themselves or share among them, if that may be more than
/// `limit`; otherwise an upper bound, which is quicker to have: it counts pages of programs too, and shared ones for each
/// process. What cannot be looked at is too much.
fn memory(limit: u64) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else {
        return u64::MAX;
    };
    let processes: Vec<_> = entries
        .flatten()
        .filter(|e| e.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .map(|e| e.path())
        .collect();
    let resident = |path: &std::path::PathBuf| match fs::read_to_string(path.join("statm")) {
        Ok(line) => line.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * page(),
        // It has ended.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => 0,
        Err(_) => u64::MAX,
    };
    let exact = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path.join("smaps_rollup")).ok()?;
        let part = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        Some((part("Pss_Anon:")? + part("Pss_Shmem:")?) * 1024)
    };
    let sum = |total: u64, n: u64| total.saturating_add(n);
    let total = processes.iter().map(resident).fold(0, sum);
    if total <= limit {
        return total;
    }
    processes
        .iter()
        .map(|path| exact(path).unwrap_or_else(|| resident(path)))
        .fold(0, sum)
}

fn page() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|n| u64::try_from(n).ok())
        .unwrap_or(4096)
}
