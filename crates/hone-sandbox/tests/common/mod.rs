//! What the tests share.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::sync::OnceLock;

use hone_sandbox::{Call, Interpreter, InterpreterSettings, Language, ProcessRuntime, Reply, Session, SessionSettings};

/// The runtime, or `None` where the system forbids it. Where CI is set it must be there.
pub fn runtime() -> Option<&'static ProcessRuntime> {
    static ONE: OnceLock<Option<ProcessRuntime>> = OnceLock::new();
    ONE.get_or_init(|| match ProcessRuntime::new() {
        Ok(runtime) => Some(runtime),
        Err(e) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    })
    .as_ref()
}

/// One Python for all tests of a program.
pub fn interpreter() -> Option<&'static Interpreter> {
    static ONE: OnceLock<Option<Interpreter>> = OnceLock::new();
    ONE.get_or_init(|| Some(Interpreter::start(runtime()?, &InterpreterSettings::default()).unwrap()))
        .as_ref()
}

pub fn open(language: Language) -> Option<Session> {
    Some(interpreter()?.session(&SessionSettings::new(language)).unwrap())
}

pub fn call(session: &mut Session, code: &str) -> Reply {
    session
        .call(&Call {
            code,
            ..Call::default()
        })
        .unwrap()
}

/// The processes of this system whose command lines hold `text`.
pub fn processes_with(text: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what}");
}

/// Runs a test of this program again as an ordinary user, where the current one is root.
pub fn as_ordinary_user(test: &str) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return; // That is what the test itself does.
    }
    // Build folders are often closed to others.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = std::process::Command::new(&program);
    command
        .args(["--exact", test, "--nocapture"])
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let output = command.uid(65534).gid(65534).current_dir("/").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
