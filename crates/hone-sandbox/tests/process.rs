//! Programs in sandboxes, from outside.
#![cfg(target_os = "linux")]

use hone_sandbox::{Cause, Finished, ProcessRuntime, Spec, run};

fn sh(script: &str) -> Finished {
    let runtime = ProcessRuntime::new().unwrap();
    run(&runtime, &Spec::new(["sh", "-c", script]), b"").unwrap()
}

#[test]
fn a_program_runs_and_says_so() {
    let done = sh("echo hello; echo oops >&2; exit 3");
    assert_eq!(done.end.cause, Cause::Exited(3));
    assert_eq!((done.stdout.text().as_str(), done.stderr.text().as_str()), ("hello\n", "oops\n"));
}

#[test]
fn input_reaches_it() {
    let runtime = ProcessRuntime::new().unwrap();
    let long = vec![b'x'; 300_000];
    let done = run(&runtime, &Spec::new(["wc", "-c"]), &long).unwrap();
    assert_eq!(done.stdout.text().trim(), "300000");
}

#[test]
fn look() {
    let done = sh("id; ls -la / /dev /etc /proc | head -100; cat /proc/self/status; cat /proc/mounts; ulimit -a; pwd; touch /work/a /tmp/a /usr/a /a; env");
    println!("{}\n{}\n{:?}", done.stdout.text(), done.stderr.text(), done.end);
}
