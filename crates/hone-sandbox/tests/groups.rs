//! Control groups, as the host sees them. Where the system has none that are ours to divide, sandboxes say so; where
//! `HONE_CGROUPS` is set there must be some (see tests/sandbox/cgroup_vm.sh).
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{call, eventually, interpreter, runtime};
use hone_sandbox::{
    Cause, Language, Level, Limits, Outcome, ProcessRuntime, Property, Runtime, Session, SessionSettings, Spec, Streams,
};

const MIB: u64 = 1 << 20;
/// What a group has beside the bounds of memory and disk.
const OURS: u64 = 32 * MIB;

const LIMITS: Limits = Limits {
    memory: 64 * MIB,
    cpu: Duration::from_secs(300),
    processors: Some(1),
    wall: Duration::from_secs(300),
    processes: 20,
    open_files: 256,
    file_size: 64 * MIB,
    disk: 16 * MIB,
    output: 64 << 10,
};

const SESSION: Limits = Limits {
    memory: 256 * MIB,
    ..LIMITS
};

/// The tests look at all groups of this program, one after the other.
fn alone() -> Option<(&'static ProcessRuntime, MutexGuard<'static, ()>)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = runtime()?;
    match &runtime.guarantees().without_groups {
        None => Some((runtime, guard)),
        Some(why) if std::env::var_os("HONE_CGROUPS").is_none() => {
            eprintln!("skipped: no control groups: {why}");
            None
        }
        Some(why) => panic!("no control groups: {why}"),
    }
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("hone-") && !name.ends_with("-self") {
                found.push(path.clone());
            }
            below(&path, found);
        }
    }
}

/// Every group of a sandbox on this system.
fn groups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    below(Path::new("/sys/fs/cgroup"), &mut found);
    found
}

fn read(group: &Path, file: &str) -> String {
    fs::read_to_string(group.join(file)).unwrap().trim().to_owned()
}

fn number(group: &Path, file: &str) -> u64 {
    read(group, file).parse().unwrap()
}

fn event(group: &Path, file: &str, key: &str) -> u64 {
    let text = read(group, file);
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

/// The one that is there beside `others`.
fn only(others: &[PathBuf]) -> PathBuf {
    let mut new = groups();
    new.retain(|group| !others.contains(group));
    assert_eq!(new.len(), 1, "{new:?}");
    new.remove(0)
}

fn streams() -> Streams {
    let null = || {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap()
            .into()
    };
    Streams {
        stdin: null(),
        stdout: null(),
        stderr: null(),
        channel: None,
    }
}

fn program(script: &str) -> Spec {
    Spec {
        limits: LIMITS,
        ..Spec::new(["bash", "-c", script])
    }
}

fn session(language: Language) -> Session {
    let settings = SessionSettings {
        limits: SESSION,
        ..SessionSettings::new(language)
    };
    interpreter().unwrap().session(&settings).unwrap()
}

#[test]
fn what_is_said_is_what_there_is() {
    let Some(runtime) = runtime() else { return };
    let guarantees = runtime.guarantees();
    let (level, weak) = (guarantees.level(Property::Memory), guarantees.weak().unwrap());
    match &guarantees.without_groups {
        None => assert!(level == Level::Enforced && !weak.contains("memory"), "{weak}"),
        Some(why) => assert!(
            level == Level::Watched && weak.contains("memory") && weak.contains(why),
            "{weak}"
        ),
    }
}

#[test]
fn a_program_has_a_group_with_its_bounds_as_long_as_it_runs() {
    let Some((runtime, _guard)) = alone() else { return };
    let others = groups();
    let mut running = runtime.start(&program("sleep 1000 & wait"), streams()).unwrap();
    let group = only(&others);
    assert_eq!(number(&group, "memory.max"), LIMITS.memory + LIMITS.disk + OURS);
    assert_eq!(number(&group, "pids.max"), LIMITS.processes + 3);
    // The helper, init, bash and sleep.
    eventually("all are in it", || read(&group, "cgroup.procs").lines().count() == 4);
    running.kill();
    assert_eq!(groups(), others);
}

#[test]
fn a_memory_bomb_is_ended_at_its_bound() {
    let Some((runtime, _guard)) = alone() else { return };
    let others = groups();
    // Each has a little and all together have too much: the kernel may be faster than the look at the sum, or slower.
    let bomb = "for i in $(seq 15); do (head -c 30M /dev/zero | tail -c 30M | sleep 100) & done; wait";
    let mut running = runtime.start(&program(bomb), streams()).unwrap();
    let group = only(&others);
    let end = running.wait(LIMITS.wall).unwrap().unwrap();
    assert_eq!(end.cause, Cause::Memory, "{end:?}");
    assert_eq!(groups(), others);
    drop(running);

    // The kernel's own: below what anybody else looks at.
    let slow = "sleep 2; head -c 40M /dev/zero | tail -c 40M > /dev/null; sleep 100";
    let mut running = runtime.start(&program(slow), streams()).unwrap();
    let small = only(&others);
    assert_ne!(group, small);
    fs::write(small.join("memory.max"), (24 * MIB).to_string()).unwrap();
    let end = running.wait(LIMITS.wall).unwrap().unwrap();
    assert_eq!(end.cause, Cause::Memory, "{end:?}");
    // Where Linux tells (5.19).
    assert!(end.peak_memory <= 24 * MIB, "{end:?}");
    assert_eq!(groups(), others);
}

#[test]
fn a_fork_bomb_stops_at_its_bound() {
    let Some((runtime, _guard)) = alone() else { return };
    let others = groups();
    let bomb = "sleep 2; for i in $(seq 60); do sleep 1000 & done; wait";
    // Its rlimit says 20; the group is told to hold it at 9, ours with it.
    let mut running = runtime.start(&program(bomb), streams()).unwrap();
    let group = only(&others);
    fs::write(group.join("pids.max"), "9").unwrap();
    eventually("it is refused more", || event(&group, "pids.events", "max") > 0);
    assert!(number(&group, "pids.current") <= 9);
    running.kill();
    assert_eq!(groups(), others);
}

#[test]
fn a_group_has_no_more_processors_than_it_may() {
    let Some((runtime, _guard)) = alone() else { return };
    let busy = "for i in 1 2 3 4; do (while true; do :; done) & done; wait";
    let others = groups();
    let mut running = runtime.start(&program(busy), streams()).unwrap();
    let group = only(&others);
    assert_eq!(runtime.guarantees().level(Property::Cpu), Level::Enforced);
    assert_eq!(read(&group, "cpu.max"), "100000 100000");
    eventually("it is held back", || event(&group, "cpu.stat", "nr_throttled") > 3);
    running.kill();
    assert_eq!(groups(), others);
    let all = Limits {
        processors: None,
        ..LIMITS
    };
    let spec = Spec {
        limits: all,
        ..program("sleep 1000")
    };
    let _running = runtime.start(&spec, streams()).unwrap();
    assert_eq!(read(&only(&others), "cpu.max"), "max 100000");
}

#[test]
fn a_sessions_worker_has_a_group_and_the_next_one_too() {
    let Some((_, _guard)) = alone() else { return };
    interpreter().unwrap();
    let others = groups();
    for language in [Language::Python, Language::Bash] {
        let mut session = session(language);
        let group = only(&others);
        assert_eq!(number(&group, "memory.max"), SESSION.memory + SESSION.disk + OURS);
        // The worker alone.
        assert_eq!(read(&group, "cgroup.procs").lines().count(), 1);
        let (grow, fine) = match language {
            Language::Python => ("x = bytes(b'x') * (40 << 20)", "print(6 * 7)"),
            Language::Bash => ("head -c 40M /dev/zero | tail -c 40M > /dev/null", "echo 42"),
        };
        let grown = call(&mut session, grow);
        assert_eq!(grown.outcome, call(&mut session, fine).outcome, "{grown:?}");
        // Below what its supervisor looks at.
        fs::write(group.join("memory.max"), (30 * MIB).to_string()).unwrap();
        let killed = call(&mut session, grow);
        assert!(killed.outcome == Outcome::Memory && killed.lost, "{killed:?}");
        assert!(event(&group, "memory.events", "oom_kill") > 0);
        fs::write(group.join("memory.max"), (500 * MIB).to_string()).unwrap();
        let again = call(&mut session, fine);
        assert_eq!(again.output.head, b"42\n", "{again:?}");
        assert_eq!(read(&group, "cgroup.procs").lines().count(), 1);

        fs::write(group.join("pids.max"), "4").unwrap();
        let bomb = match language {
            Language::Python => {
                "import os\nfor i in range(10):\n if os.fork() == 0: os.execvp('sleep', ['sleep', '1000'])"
            }
            Language::Bash => "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done",
        };
        call(&mut session, bomb);
        assert!(event(&group, "pids.events", "max") > 0);
        assert!(number(&group, "pids.current") <= 4);
        drop(session);
        assert_eq!(groups(), others);
    }
}

#[test]
fn a_branch_stays_in_the_group_until_the_last_one_goes() {
    let Some((_, _guard)) = alone() else { return };
    interpreter().unwrap();
    let others = groups();
    let mut root = session(Language::Python);
    call(&mut root, "x = 41");
    let mut branch = root.fork().unwrap();
    let group = only(&others);
    eventually("both are in it, alone", || {
        read(&group, "cgroup.procs").lines().count() == 2
    });
    assert_eq!(call(&mut branch, "x + 1").value.as_deref(), Some("42"));
    drop(branch);
    assert_eq!(only(&others), group);
    assert_eq!(call(&mut root, "x").value.as_deref(), Some("41"));
    drop(root);
    assert_eq!(groups(), others);
}

/// Not a test of its own: it is started to be killed.
#[test]
#[ignore = "started by another test"]
fn that_is_killed() {
    let (runtime, _guard) = alone().unwrap();
    let _running = runtime.start(&program("sleep 1000 & wait"), streams()).unwrap();
    let mut session = session(Language::Python);
    call(
        &mut session,
        "import subprocess\np = subprocess.Popen(['sleep', '1000'])",
    );
    println!("ready");
    std::thread::sleep(Duration::from_secs(1000));
}

#[test]
fn the_groups_of_who_was_killed_go_at_the_next_start() {
    let Some((_, _guard)) = alone() else { return };
    let others = groups();
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "that_is_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    assert_eq!(groups().len(), others.len() + 2, "a program's and a session's");
    // One that lives is not touched.
    ProcessRuntime::new().unwrap();
    assert_eq!(groups().len(), others.len() + 2);
    killed.kill().unwrap();
    killed.wait().unwrap();
    eventually("nothing is in them", || {
        let left = groups();
        let left = left.iter().filter(|group| !others.contains(group));
        left.clone().count() == 2 && left.clone().all(|group| read(group, "cgroup.procs").is_empty())
    });
    ProcessRuntime::new().unwrap();
    assert_eq!(groups(), others);
}
