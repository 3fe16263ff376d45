//! After any end nothing of a sandbox is left: no process, mount, open file or file.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use common::{call, eventually, interpreter, processes_with, runtime};
use hone_sandbox::{Call, Language, Limits, SessionSettings, Spec, Streams, run};

/// What marks the processes of this program's sandboxes, and of those that it starts to be killed.
static MARK: LazyLock<String> =
    LazyLock::new(|| std::env::var("MARK").unwrap_or_else(|_| format!("sleep 31415{}", std::process::id())));

fn marked() -> usize {
    processes_with(&MARK).len()
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The numbers of this process's children, zombies too.
fn children() -> BTreeSet<String> {
    let me = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|e| e.path());
    let stats = processes.filter_map(|path| std::fs::read_to_string(path.join("stat")).ok());
    let parent = |stat: &str| {
        stat.rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1))
            .map(str::to_owned)
    };
    let mine = stats.filter(|stat| parent(stat).as_ref() == Some(&me));
    mine.filter_map(|stat| stat.split(' ').next().map(str::to_owned))
        .collect()
}

fn streams() -> Streams {
    let null = || {
        std::fs::OpenOptions::new()
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

/// A program that starts others, which leave its group.
fn stubborn() -> Spec {
    Spec::new([
        "sh",
        "-c",
        &format!("trap '' TERM INT HUP; setsid {0} & {0} & wait", *MARK),
    ])
}

// These count what the whole process has.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn nothing_is_left() {
    let _guard = ONE_AT_A_TIME.lock();
    let (Some(runtime), Some(python)) = (runtime(), interpreter()) else {
        return;
    };
    use hone_sandbox::Runtime;
    let before = (mounts(), open_files(), children());
    let clean = |after: &str| {
        eventually(&format!("processes are left after {after}"), || marked() == 0);
        eventually(&format!("children are left after {after}"), || children() == before.2);
        assert_eq!(mounts(), before.0, "mounts are left after {after}");
        assert_eq!(open_files(), before.1, "open files are left after {after}");
    };

    run(runtime, &Spec::new(["true"]), b"").unwrap();
    clean("success");

    run(runtime, &Spec::new(["no-such-program"]), b"").unwrap_err();
    clean("a program that is not there");

    let broken = Spec {
        binds: vec![hone_sandbox::Bind {
            host: "/no/such".into(),
            inside: "/x".into(),
        }],
        ..stubborn()
    };
    run(runtime, &broken, b"").unwrap_err();
    clean("a failed setting up");

    let limits = Limits {
        wall: Duration::from_millis(300),
        ..Limits::default()
    };
    let late = run(runtime, &Spec { limits, ..stubborn() }, b"").unwrap();
    assert_eq!(late.end.cause, hone_sandbox::Cause::Wall);
    clean("the end of its time");

    let running = runtime.start(&stubborn(), streams()).unwrap();
    eventually("it does not start", || marked() >= 2);
    drop(running);
    clean("being dropped");

    let panicked = std::thread::spawn(move || {
        let _running = runtime.start(&stubborn(), streams()).unwrap();
        eventually("it does not start", || marked() >= 2);
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.join().is_err());
    clean("a panic");

    let settings = SessionSettings::new(Language::Bash);
    let mut session = python.session(&settings).unwrap();
    call(&mut session, &format!("setsid {0} & {0} & sleep 0.2", *MARK));
    assert!(marked() > 0);
    drop(session);
    clean("a session");

    let mut session = python.session(&settings).unwrap();
    let code = format!("setsid {0} & {0}", *MARK);
    let call = Call {
        code: &code,
        wall: Some(Duration::from_millis(300)),
        stdin: None,
    };
    assert_eq!(session.call(&call).unwrap().outcome, hone_sandbox::Outcome::Timeout);
    drop(session);
    clean("a call that took too long");

    for victim in ["kill_me_with_a_program", "kill_me_with_a_session"] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", victim, "--nocapture"])
            .env("MARK", &*MARK)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap().contains("ready")),
            "{victim} did not start"
        );
        assert!(marked() > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        drop(lines);
        clean(victim);
    }
}

#[test]
fn nothing_is_left_of_an_ordinary_users_sandboxes() {
    let _guard = ONE_AT_A_TIME.lock();
    common::as_ordinary_user("nothing_is_left");
}

/// Not a test: what [`nothing_is_left`] kills.
#[test]
#[ignore = "run by the other test"]
fn kill_me_with_a_program() {
    use hone_sandbox::Runtime;
    let _running = runtime().unwrap().start(&stubborn(), streams()).unwrap();
    eventually("it does not start", || marked() >= 2);
    println!("ready");
    std::thread::sleep(Duration::from_secs(600));
}

/// Not a test: what [`nothing_is_left`] kills.
#[test]
#[ignore = "run by the other test"]
fn kill_me_with_a_session() {
    let mut session = interpreter()
        .unwrap()
        .session(&SessionSettings::new(Language::Bash))
        .unwrap();
    let code = format!("setsid {0} & {0} & sleep 0.2", *MARK);
    call(&mut session, &code);
    println!("ready");
    let endless = Call {
        code: "while true; do :; done",
        wall: Some(Duration::from_secs(600)),
        stdin: None,
    };
    let _ = session.call(&endless);
}
