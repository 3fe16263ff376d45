//! Sandboxes under random kills: what is left afterwards.

use super::super::{Better, Measured};
use super::{mib, stopped};
use crate::console::say;
use anyhow::{bail, ensure};
use hone_sandbox::{
    Call, Error, InterpreterSettings, Language, Outcome, Pool, PoolError, PoolSettings, ProcessRuntime, SessionSettings,
};
use hone_trace::Stream;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Threads that call.
const THREADS: u64 = 4;
/// On average between two kills.
const PAUSE: f64 = 0.25;

/// What this process holds of the system.
fn held() -> Value {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, |entries| entries.count());
    let lines = |path: &str| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
    json!({
        "fds": count("/proc/self/fd"),
        "threads": count("/proc/self/task"),
        "processes": descendants().len(),
        "mounts": lines("/proc/self/mountinfo"),
        "temporary_files": count(&std::env::temp_dir().display().to_string()),
        "resident_mib": mib("/proc/self/status", "VmRSS:"),
    })
}

/// The processes that came from this one.
fn descendants() -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name before it may hold spaces and brackets.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut next) = (Vec::new(), vec![std::process::id() as i32]);
    while let Some(pid) = next.pop() {
        let own = children.remove(&pid).unwrap_or_default();
        found.extend(&own);
        next.extend(own);
    }
    found
}

#[derive(Default)]
struct Counts {
    right: AtomicU64,
    /// Calls whose sandbox was killed under them, which said so.
    lost: AtomicU64,
    kills: AtomicU64,
}

/// Runs for so long, then lists.
pub fn run(time: Duration, python: &Path) -> anyhow::Result<Vec<Measured>> {
    let runtime = Arc::new(ProcessRuntime::new()?);
    let before = held();
    say(format!("before: {before}"));
    let start = InterpreterSettings {
        python: Some(python.to_owned()),
        ..InterpreterSettings::default()
    };
    let settings = PoolSettings {
        recycle: 2_000,
        ..PoolSettings::default()
    };
    let pool = Pool::start(runtime, start, settings)?;
    let (counts, over, clock) = (Counts::default(), AtomicBool::new(false), Instant::now());
    let during = std::thread::scope(|scope| -> anyhow::Result<Value> {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (pool, counts, over) = (&pool, &counts, &over);
                scope.spawn(move || call(pool, thread, counts, over))
            })
            .collect();
        let killed = kill(time, &counts);
        let during = held();
        over.store(true, Ordering::Relaxed);
        for thread in threads {
            match thread.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread of the soak ended in a panic; report this as a bug"),
            }
        }
        killed?;
        Ok(during)
    })?;
    let seconds = clock.elapsed().as_secs_f64();
    let pooled = pool.counts();
    drop(pool);
    // The last sandboxes end by themselves once nothing holds them.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !descendants().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let after = held();
    say(format!("after: {after}"));
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let settings = json!({
        "seconds": seconds, "kills": of(&counts.kills), "calls": of(&counts.right), "lost": of(&counts.lost), "wrong": 0,
        "interpreters": pooled.interpreters, "sessions": pooled.started, "before": before, "during": during, "after": after,
    });
    // Others too write to the folder of temporary files, so that its number proves nothing by itself.
    for what in ["fds", "processes", "mounts"] {
        let (first, last) = (before[what].as_u64(), after[what].as_u64());
        ensure!(
            last <= first,
            "{what} were {first:?} before and {last:?} after: {settings}; report this as a bug"
        );
    }
    Ok(vec![Measured::new(
        "sandbox/soak/calls".into(),
        "calls/s",
        Better::Higher,
        &[of(&counts.right) as f64 / seconds],
        &settings,
    )])
}

/// Kills a random process of the sandboxes again and again.
fn kill(time: Duration, counts: &Counts) -> anyhow::Result<()> {
    let (stream, clock) = (Stream::new(0).named("soak"), Instant::now());
    let mut n = 0;
    while clock.elapsed() < time {
        stopped()?;
        let mut draw = || {
            n += 1;
            stream.uniform(n)
        };
        std::thread::sleep(Duration::from_secs_f64(2.0 * PAUSE * draw()));
        let all = descendants();
        let Some(pid) = all.get((draw() * all.len() as f64) as usize) else {
            continue;
        };
        // SAFETY: a plain system call. The process is one of ours, or has just ended.
        if unsafe { libc::kill(*pid, libc::SIGKILL) } == 0 {
            counts.kills.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Calls in one session after the other. An answer is right, or the sandbox was lost and says so.
fn call(pool: &Arc<Pool>, thread: u64, counts: &Counts, over: &AtomicBool) -> anyhow::Result<()> {
    let mut n = thread;
    while !over.load(Ordering::Relaxed) {
        let settings = SessionSettings::new(Language::Python);
        let mut lease = match pool.session(&format!("run {thread}"), &settings, Duration::from_secs(60)) {
            Ok(lease) => lease,
            // The interpreter was killed while it made the session.
            Err(PoolError::Sandbox(_)) => {
                counts.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for _ in 0..20 {
            n += THREADS;
            let code = format!("x = {n}\nprint(x * x)");
            let reply = lease.call(&Call {
                code: &code,
                ..Call::default()
            });
            match reply {
                Ok(reply) if matches!(reply.outcome, Outcome::Ok { .. }) => {
                    let printed = reply.output.text();
                    ensure!(
                        printed == format!("{}\n", n * n),
                        "{code:?} printed {printed:?}; report this as a bug"
                    );
                    counts.right.fetch_add(1, Ordering::Relaxed);
                }
                // The worker was killed.
                Ok(reply) if matches!(reply.outcome, Outcome::Died { .. }) => {
                    counts.lost.fetch_add(1, Ordering::Relaxed);
                }
                Ok(reply) => bail!("{code:?} was answered with {reply:?}; report this as a bug"),
                Err(Error::Lost(_)) => {
                    counts.lost.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
