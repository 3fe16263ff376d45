//! How much of the machine other programs used meanwhile: a figure taken beside a busy neighbour says little.

use std::time::Instant;

/// Cores in other programs' use from which a measurement counts as disturbed.
pub const DISTURBED: f64 = 0.1;

/// Watches other programs' use of the machine, from its making on.
pub struct Neighbours {
    clock: Instant,
    machine: Option<f64>,
    own: Option<f64>,
}

impl Neighbours {
    /// Start watching.
    pub fn watch() -> Self {
        Self {
            clock: Instant::now(),
            machine: machine_seconds(),
            own: own_seconds(),
        }
    }

    /// Cores that other programs used since, on average; `None` where the system does not say, or too coarsely for so
    /// short a time.
    pub fn cores(&self) -> Option<f64> {
        let seconds = self.clock.elapsed().as_secs_f64();
        if seconds < 0.5 {
            return None;
        }
        let machine = machine_seconds()? - self.machine?;
        let own = own_seconds()? - self.own?;
        Some(((machine - own) / seconds).max(0.0))
    }
}

/// Seconds for which the machine's cores have been busy since its start, or taken from it by its host.
#[cfg(target_os = "linux")]
fn machine_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    // user nice system idle iowait irq softirq steal, summed over the cores.
    let ticks: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .map_while(|n| n.parse().ok())
        .collect();
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .map(|&at| ticks.get(at))
        .sum::<Option<f64>>()?;
    // SAFETY: asks for a constant of the system.
    let rate = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (rate > 0).then(|| busy / rate as f64)
}

#[cfg(not(target_os = "linux"))]
fn machine_seconds() -> Option<f64> {
    None
}

/// Seconds of computing by this process and the children that it has waited for.
#[cfg(unix)]
fn own_seconds() -> Option<f64> {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let of = |who| {
        // SAFETY: all zeros is a valid `rusage`, and the pointer to it is valid for the call.
        let (status, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::getrusage(who, &mut usage), usage)
        };
        (status == 0).then(|| seconds(usage.ru_utime) + seconds(usage.ru_stime))
    };
    Some(of(libc::RUSAGE_SELF)? + of(libc::RUSAGE_CHILDREN)?)
}

#[cfg(not(unix))]
fn own_seconds() -> Option<f64> {
    None
}
