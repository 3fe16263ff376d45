//! An interpreter that somebody ended (the kernel, when memory runs out) is replaced. A program of its own, since it ends
//! all interpreters that it started.
#![cfg(target_os = "linux")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use hone_sandbox::{Call, Error, InterpreterSettings, Language, Pool, PoolSettings, ProcessRuntime, SessionSettings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Numbers of the processes that this one has started.
fn children() -> Vec<i32> {
    let me = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|e| std::fs::read_to_string(e.path().join("stat")).ok());
    let mine = stats.filter(|stat| {
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        parent == Some(&me)
    });
    mine.map(|stat| stat.split(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn an_interpreter_that_was_killed_is_replaced() {
    if common::runtime().is_none() {
        return;
    }
    let runtime = Arc::new(ProcessRuntime::new().unwrap());
    let pool = Pool::start(runtime, InterpreterSettings::default(), PoolSettings::default()).unwrap();
    let session = || pool.session("run", &SessionSettings::new(Language::Python), Duration::from_secs(60));
    let one = Call {
        code: "1 + 1",
        ..Call::default()
    };
    let mut old = session().unwrap();
    assert_eq!(old.call(&one).unwrap().value.as_deref(), Some("2"));
    let helpers = children();
    assert!(!helpers.is_empty());
    for pid in helpers {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    common::eventually("its sessions go on", || matches!(old.call(&one), Err(Error::Lost(_))));
    let mut new = session().unwrap();
    assert_eq!(new.call(&one).unwrap().value.as_deref(), Some("2"));
    assert_eq!(pool.counts().interpreters, 2);
}
