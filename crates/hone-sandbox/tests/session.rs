//! Sessions of Python and bash, from outside.
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use common::{call, interpreter, open, runtime};
use hone_sandbox::{
    Call, Case, Deterministic, Entry, Error, Interpreter, InterpreterSettings, Language, Limits, Outcome, Reply,
    Session, SessionSettings, Verdict, judge,
};

fn kind(reply: &Reply) -> &str {
    match &reply.outcome {
        Outcome::Error { kind, .. } => kind,
        other => panic!("{other:?}"),
    }
}

fn traceback(reply: &Reply) -> &str {
    match &reply.outcome {
        Outcome::Error { traceback, .. } => traceback,
        other => panic!("{other:?}"),
    }
}

#[test]
fn variables_stay_and_the_last_expression_is_shown() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    let first = call(&mut session, "import math\nx = 3\nprint('hi')\nx + 1");
    assert_eq!(first.outcome, Outcome::Ok { status: None });
    assert_eq!(
        (first.output.text().as_str(), first.value.as_deref()),
        ("hi\n", Some("4"))
    );
    assert_eq!(call(&mut session, "math.factorial(x) + _").value.as_deref(), Some("10"));
    assert_eq!(call(&mut session, "x = 5").value, None);
    assert_eq!(call(&mut session, "None").value, None);
    // Names are kept per session.
    let mut other = open(Language::Python).unwrap();
    assert_eq!(kind(&call(&mut other, "x")), "NameError");
    // What classes and pickles need.
    assert_eq!(
        call(
            &mut session,
            "class A: pass\nimport pickle\ntype(pickle.loads(pickle.dumps(A()))).__name__"
        )
        .value
        .as_deref(),
        Some("'A'")
    );
}

#[test]
fn output_is_interleaved_as_it_was_written_and_bounded() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    let code = "import sys, os\nprint('a'); print('b', file=sys.stderr); os.system('echo c'); sys.stdout.write('d')";
    assert_eq!(call(&mut session, code).output.text(), "a\nb\nc\nd");
    let long = call(&mut session, "print('start'); print('x' * 1000000); print('end')");
    assert_eq!(long.outcome, Outcome::Ok { status: None });
    let text = long.output.text();
    assert!(
        text.len() < 70_000 && text.starts_with("start\nxxx") && text.ends_with("xxx\nend\n"),
        "{}",
        text.len()
    );
    assert!(text.contains("bytes left out"));
    // A value too.
    assert!(call(&mut session, "'y' * 1000000").value.unwrap().len() < 20_000);
}

#[test]
fn errors_say_where_and_what_helps() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    call(&mut session, "def f(n):\n    return 1 / n");
    let error = call(&mut session, "f(0)");
    assert_eq!(kind(&error), "ZeroDivisionError");
    let text = traceback(&error);
    assert!(
        text.contains("File \"<cell 1>\", line 2, in f\n    return 1 / n"),
        "{text}"
    );
    assert!(!text.contains("File \"<string>\""), "the driver shows: {text}");
    for (code, error, hint) in [
        (
            "import no_such_module",
            "ModuleNotFoundError",
            "packages cannot be installed here",
        ),
        ("input()", "EOFError", "there is no more input"),
        (
            "open('/usr/x', 'w')",
            "OSError",
            "only /work and /tmp can be written to",
        ),
        (
            "open('/home/me/data.csv')",
            "FileNotFoundError",
            "the host's files are not here",
        ),
        (
            "import socket; socket.create_connection(('1.2.3.4', 80))",
            "PermissionError",
            "there is no network here",
        ),
        (
            "import urllib.request as u; u.urlopen('http://example.com')",
            "URLError",
            "",
        ),
        ("bytearray(1 << 40)", "MemoryError", "512 MiB of memory"),
        ("open('big', 'wb').write(bytes(100 << 20))", "OSError", "64 MiB each"),
        ("def g(n): return g(n + 1)\ng(0)", "RecursionError", ""),
        ("x = (", "SyntaxError", ""),
    ] {
        let reply = call(&mut session, code);
        assert_eq!(kind(&reply), error, "{code}");
        let text = traceback(&reply);
        assert!(text.contains(hint) && text.len() < 10_000, "{code}: {text}");
    }
    assert_eq!(
        call(&mut session, "import sys; sys.exit(4)").outcome,
        Outcome::Exit { status: 4 }
    );
    assert_eq!(call(&mut session, "f(4)").value.as_deref(), Some("0.25"));
}

#[test]
fn input_is_read_once() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    let with = |code, stdin| Call {
        code,
        stdin: Some(stdin),
        wall: None,
    };
    let reply = session
        .call(&with("a = input(); b = input(); (a, b)", "eins\nzwei\n"))
        .unwrap();
    assert_eq!(reply.value.as_deref(), Some("('eins', 'zwei')"));
    assert_eq!(
        session
            .call(&with("import sys; sys.stdin.read()", "é\n"))
            .unwrap()
            .value
            .as_deref(),
        Some("'é\\n'")
    );
}

#[test]
fn input_may_be_long() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    let long = "é\n".repeat(3 << 20);
    let with = |stdin| Call {
        code: "import sys; len(sys.stdin.read())",
        stdin: Some(stdin),
        wall: None,
    };
    let reply = session.call(&with(&long)).unwrap();
    assert_eq!(reply.value.as_deref(), Some("6291456"), "{reply:?}");
    // More than a file may have.
    let limits = Limits {
        file_size: 1 << 20,
        ..Limits::default()
    };
    let settings = SessionSettings {
        limits,
        ..*session.settings()
    };
    let mut small = interpreter().unwrap().session(&settings).unwrap();
    let refused = small.call(&with(&long)).unwrap_err();
    assert!(
        matches!(&refused, Error::Spec(what) if what.contains("raise 'file_size'")),
        "{refused}"
    );
    assert_eq!(call(&mut small, "1 + 1").value.as_deref(), Some("2"));
    // The code has filled the disk: it is told, and goes on.
    call(
        &mut small,
        "n = 0\ntry:\n    while True:\n        n += 1\n        open(f'{n}', 'wb').write(bytes(1 << 20))\nexcept OSError: pass",
    );
    let reply = small.call(&with("x")).unwrap();
    assert_eq!(kind(&reply), "OSError", "{reply:?}");
    assert_eq!(call(&mut small, "1 + 1").value.as_deref(), Some("2"));
}

#[test]
fn bounds_that_no_clock_can_count_are_refused() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    let endless = Call {
        code: "1",
        stdin: None,
        wall: Some(Duration::MAX),
    };
    assert!(matches!(session.call(&endless), Err(Error::Spec(_))));
    let limits = Limits {
        wall: Duration::MAX,
        ..Limits::default()
    };
    let settings = SessionSettings {
        limits,
        ..*session.settings()
    };
    assert!(matches!(interpreter().unwrap().session(&settings), Err(Error::Spec(_))));
}

#[test]
fn time_is_up_and_the_state_is_kept_where_it_can_be() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    call(&mut session, "x = 1");
    let short = |code| Call {
        code,
        stdin: None,
        wall: Some(Duration::from_millis(200)),
    };
    let reply = session.call(&short("print('before')\nwhile True: pass")).unwrap();
    assert_eq!(
        (reply.outcome, reply.lost, reply.output.text().as_str()),
        (Outcome::Timeout, false, "before\n")
    );
    assert_eq!(call(&mut session, "x").value.as_deref(), Some("1"));
    call(
        &mut session,
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
    );
    let stubborn = "while True: pass";
    let reply = session.call(&short(stubborn)).unwrap();
    assert_eq!((reply.outcome, reply.lost), (Outcome::Timeout, true));
    assert_eq!(kind(&call(&mut session, "x")), "NameError");
}

#[test]
fn nothing_runs_between_calls() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    let code = "import threading, time\nn = 0\ndef count():\n    global n\n    while True:\n        n += 1\n        \
                time.sleep(0.001)\nthreading.Thread(target=count, daemon=True).start()\ntime.sleep(0.05)";
    call(&mut session, code);
    let before: u64 = call(&mut session, "n").value.unwrap().parse().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let after: u64 = call(&mut session, "n").value.unwrap().parse().unwrap();
    assert!(before > 0 && after < before + 300, "{before} {after}");
}

#[test]
fn processes_that_wake_each_other_do_not_run_between_calls() {
    let Some(mut session) = open(Language::Bash) else {
        return;
    };
    let mark = format!("waker-{}", std::process::id());
    // One that is not yet stopped may tell one that is to go on, and so on.
    let code = format!(
        "for i in 1 2 3 4 5 6; do bash -c 'while :; do kill -CONT -1; done' {mark} 2>/dev/null & done; sleep 0.1"
    );
    call(&mut session, &code);
    let stopped = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let mine = entries.filter(|e| {
            let line = std::fs::read(e.path().join("cmdline")).unwrap_or_default();
            line.starts_with(b"bash\0-c\0while") && String::from_utf8_lossy(&line).contains(&mark)
        });
        let stats = mine.map(|e| std::fs::read_to_string(e.path().join("stat")).unwrap());
        stats.filter(|stat| stat.contains(") T ")).count()
    };
    for _ in 0..10 {
        common::eventually("they go on", || stopped() == 6);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(stopped(), 6, "they go on again");
        call(&mut session, "sleep 0.01");
    }
}

#[test]
fn files_go_in_and_out_and_links_lead_nowhere() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    session.put("data/in.bin", &[0, 255, 10]).unwrap();
    let code = "import os\ndata = open('data/in.bin', 'rb').read()\nopen('out.bin', 'wb').write(data[::-1])\n\
                os.symlink('/etc/passwd', 'link'); os.symlink('/', 'root'); os.mkfifo('pipe'); list(data)";
    assert_eq!(call(&mut session, code).value.as_deref(), Some("[0, 255, 10]"));
    assert_eq!(session.get("out.bin", 100).unwrap(), [10, 255, 0]);
    let (mut files, complete) = session.files(100).unwrap();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        (files, complete),
        (vec![Entry("data/in.bin".into(), 3), Entry("out.bin".into(), 3)], true)
    );
    assert_eq!(session.files(1).unwrap().0.len(), 1);
    for path in [
        "",
        "/etc/passwd",
        "../etc/passwd",
        "data/../../x",
        "./x",
        "link",
        "root/etc/passwd",
        "pipe",
        "data",
        "none",
        "a\0b",
    ] {
        assert!(matches!(session.get(path, 100), Err(Error::Spec(_))), "{path:?}");
    }
    for path in ["", "/x", "../x", "link", "root/x", "data"] {
        assert!(matches!(session.put(path, b"x"), Err(Error::Spec(_))), "{path:?}");
    }
    assert!(matches!(session.get("out.bin", 2), Err(Error::Spec(_))));
    // The disk's bound holds for these too, and the session goes on.
    let disk = Limits {
        disk: 1 << 20,
        ..Limits::default()
    };
    let mut small = interpreter()
        .unwrap()
        .session(&SessionSettings {
            limits: disk,
            ..*session.settings()
        })
        .unwrap();
    assert!(matches!(small.put("big", &vec![0; 2 << 20]), Err(Error::Spec(_))));
    assert_eq!(call(&mut small, "1 + 1").value.as_deref(), Some("2"));
}

#[test]
fn many_files_and_deep_folders_can_be_listed() {
    let Some(python) = interpreter() else { return };
    let limits = Limits {
        disk: 256 << 20,
        wall: Duration::from_secs(60),
        ..Limits::default()
    };
    let settings = SessionSettings {
        limits,
        ..SessionSettings::new(Language::Python)
    };
    let mut session = python.session(&settings).unwrap();
    let deep =
        "import os\nfor i in range(1500):\n    os.mkdir('d'); os.chdir('d')\nopen('f', 'w').close()\nos.chdir('/work')";
    call(&mut session, deep);
    let (files, complete) = session.files(10).unwrap();
    assert_eq!((files.len(), complete), (1, true));
    assert_eq!(files[0].0, format!("{}f", "d/".repeat(1500)));
    // Beyond the longest path.
    let code = "os.chdir('d/' * 1500)\nfor i in range(1500):\n    os.mkdir('d'); os.chdir('d')\nopen('f', 'w').close()\nos.chdir('/work')";
    call(&mut session, code);
    let (files, complete) = session.files(10).unwrap();
    assert_eq!((files.len(), complete), (1, false));
    // More names than a header holds.
    let code = "for i in range(8000): open(f'{i:0200}', 'w').close()";
    assert_eq!(call(&mut session, code).outcome, Outcome::Ok { status: None });
    let (files, complete) = session.files(100_000).unwrap();
    assert_eq!((files.len(), complete), (8001, false));
    assert_eq!(call(&mut session, "1 + 1").value.as_deref(), Some("2"));
}

#[test]
fn a_fork_leaves_nothing_and_copies_only_what_is_its_own() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    let branches = "import os; sorted(f for f in os.listdir('/tmp') if f.startswith('.branch'))";
    call(&mut session, "import os; os.chdir('/')");
    let mut branch = session.fork().unwrap();
    assert_eq!(call(&mut branch, "os.getcwd()").value.as_deref(), Some("'/'"));
    drop(branch);
    call(&mut session, "os.chdir('/tmp'); open('f', 'w').close()");
    let mut branch = session.fork().unwrap();
    assert_eq!(call(&mut branch, "os.listdir()").value.as_deref(), Some("['f']"));
    assert_ne!(call(&mut session, branches).value.as_deref(), Some("[]"));
    drop(branch);
    common::eventually("the branch's files are left", || {
        call(&mut session, branches).value.as_deref() == Some("[]")
    });
    // No process may be made: the fork is refused, and the session goes on.
    let code = "x = 7\ntry:\n    while True:\n        if os.fork() == 0:\n            while True: os.read(os.pipe()[0], 1)\n\
                except BlockingIOError: pass";
    // Again, since what has ended makes room when a call does.
    call(&mut session, code);
    call(&mut session, code);
    let refused = session.fork().err().unwrap();
    assert!(matches!(refused, Error::Spec(_)), "{refused}");
    assert_eq!(call(&mut session, "x").value.as_deref(), Some("7"));
}

#[test]
fn a_fork_goes_its_own_way() {
    let Some(mut session) = open(Language::Python) else {
        return;
    };
    call(&mut session, "x = [1]\nopen('f', 'w').write('root')");
    let mut branches: Vec<Session> = (0..3).map(|_| session.fork().unwrap()).collect();
    for (i, branch) in branches.iter_mut().enumerate() {
        let reply = call(
            branch,
            &format!("x.append({i})\nopen('g', 'w').write(open('f').read() + '{i}')\nprint(x)\nx"),
        );
        assert_eq!(reply.value.as_deref(), Some(&*format!("[1, {i}]")));
        assert_eq!(reply.output.text(), format!("[1, {i}]\n"));
    }
    assert_eq!(
        call(&mut session, "import os; (x, os.path.exists('g'))")
            .value
            .as_deref(),
        Some("([1], False)")
    );
    let mut second = branches[1].fork().unwrap();
    assert_eq!(
        call(&mut second, "(x, open('g').read())").value.as_deref(),
        Some("([1, 1], 'root1')")
    );
    // A branch that dies takes nobody with it.
    let dead = call(&mut branches[0], "import os; os._exit(1)");
    assert!(matches!(dead.outcome, Outcome::Died { .. }) && dead.lost);
    assert!(matches!(
        branches[0].call(&Call {
            code: "1",
            ..Call::default()
        }),
        Err(Error::Lost(_))
    ));
    assert_eq!(call(&mut branches[2], "x").value.as_deref(), Some("[1, 2]"));
    assert_eq!(call(&mut session, "x").value.as_deref(), Some("[1]"));
    // The root takes all.
    drop(session);
    common::eventually("the branch goes on", || {
        branches[2]
            .call(&Call {
                code: "x",
                ..Call::default()
            })
            .is_err()
    });
}

#[test]
fn the_same_seed_gives_the_same() {
    let Some(python) = interpreter() else { return };
    let code = "import random, time, datetime, uuid, os, secrets\nt = time.time(); time.sleep(1000)\n\
                (hash('a'), list({'x', 'y', 'z', 'w'}), random.random(), uuid.uuid4(), os.urandom(4), secrets.token_hex(4), \
                t, time.time(), time.monotonic(), datetime.datetime.now(), datetime.date.today(), time.strftime('%c'), \
                isinstance(datetime.datetime(2020, 1, 1), datetime.datetime))";
    let run = |seed| {
        let deterministic = Some(Deterministic {
            seed,
            now: 1_700_000_000.0,
        });
        let settings = SessionSettings {
            deterministic,
            ..SessionSettings::new(Language::Python)
        };
        let reply = call(&mut python.session(&settings).unwrap(), code);
        assert_eq!(reply.outcome, Outcome::Ok { status: None }, "{}", reply.output.text());
        assert!(reply.wall < Duration::from_secs(20));
        reply.value.unwrap()
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
    assert!(
        first.contains("datetime.datetime(2023, 11, 14, 22, 29, 60")
            || first.contains("datetime.datetime(2023, 11, 14, 22, 3"),
        "{first}"
    );
    assert!(first.contains("'Tue Nov 14 22:30:00 2023'"), "{first}");
}

#[test]
fn bash_keeps_its_folder_variables_and_functions() {
    let Some(mut session) = open(Language::Bash) else {
        return;
    };
    let first = call(
        &mut session,
        "x=3; f() { echo \"f $1\"; }; mkdir d; cd d; echo out; echo err >&2; false",
    );
    assert_eq!(
        (first.outcome, first.output.text().as_str()),
        (Outcome::Ok { status: Some(1) }, "out\nerr\n")
    );
    let second = call(
        &mut session,
        "pwd; f $x; cat <<EOF\n$x\nEOF\nread line; echo \"<$line>\"",
    );
    assert_eq!(second.output.text(), "/work/d\nf 3\n3\n<>\n");
    let syntax = call(&mut session, "if");
    assert!(syntax.output.text().contains("syntax error"), "{syntax:?}");
    let exit = call(&mut session, "exit 7");
    assert_eq!(
        (exit.outcome, exit.lost),
        (
            Outcome::Died {
                status: Some(7),
                signal: None
            },
            true
        )
    );
    assert_eq!(call(&mut session, "echo \"<$x>\"; pwd").output.text(), "<>\n/work\n");
    session.put("in.txt", b"text").unwrap();
    assert_eq!(call(&mut session, "cat in.txt").output.text(), "text");
    assert!(matches!(
        session.call(&Call {
            code: "a\0b",
            ..Call::default()
        }),
        Err(Error::Spec(_))
    ));
    assert!(session.fork().is_err());
}

#[test]
fn a_judge_compares_outside() {
    let Some(python) = interpreter() else { return };
    let limits = Limits {
        wall: Duration::from_millis(500),
        ..Limits::default()
    };
    let settings = SessionSettings {
        limits,
        ..SessionSettings::new(Language::Python)
    };
    let cases = [
        Case {
            stdin: "1 2\n",
            expected: "3",
        },
        Case {
            stdin: "5 5\n",
            expected: "10\n",
        },
    ];
    let run = |code, all| judge(python, &settings, code, &cases, all).unwrap();
    let right = "import sys\nprint(sum(map(int, input().split())), ' ')\nprint('noise', file=sys.stderr)";
    assert_eq!(run(right, false), [Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(
        run("print(3)", true),
        [Verdict::Accepted, Verdict::WrongAnswer("3\n".into())]
    );
    assert_eq!(run("print(4)", false), [Verdict::WrongAnswer("4\n".into())]);
    assert_eq!(run("while True: pass", false), [Verdict::Failed(Outcome::Timeout)]);
    let raised = run("print(3); 1/0", false);
    assert!(matches!(&raised[..], [Verdict::Failed(Outcome::Error { kind, .. })] if kind == "ZeroDivisionError"));
}

/// Makes a virtual environment with modules of its own.
fn environment(modules: &[(&str, &str)]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    // What lies in `/tmp` cannot be shown in a sandbox.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let python = |arguments: &[&str], program: &std::path::Path| {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let place = folder.path().to_str().unwrap();
    python(&["-m", "venv", "--without-pip", place], "python3".as_ref());
    let packages = python(
        &["-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')"],
        &folder.path().join("bin/python"),
    );
    for (name, text) in modules {
        std::fs::write(std::path::Path::new(&packages).join(name), text).unwrap();
    }
    folder
}

#[test]
fn modules_that_write_much_or_hold_chance_can_be_preloaded() {
    let Some(runtime) = runtime() else { return };
    let numpy = "import sys, types\nrandom = types.SimpleNamespace(state=0)\n\
                 def seed(n=None): random.state = (n, __import__('os').urandom(8))\nrandom.seed = seed";
    let folder = environment(&[
        ("noisy.py", "import sys\nsys.stderr.write('x' * 300000)"),
        ("numpy.py", numpy),
    ]);
    let settings = InterpreterSettings {
        python: Some(folder.path().join("bin/python")),
        preload: vec!["noisy".to_owned(), "numpy".to_owned()],
    };
    let python = Interpreter::start(runtime, &settings).unwrap();
    let state = |deterministic| {
        let settings = SessionSettings {
            deterministic,
            ..SessionSettings::new(Language::Python)
        };
        let mut session = python.session(&settings).unwrap();
        call(&mut session, "import numpy; numpy.random.state").value.unwrap()
    };
    let (one, other) = (state(None), state(None));
    assert!(one.starts_with("(None, ") && one != other, "{one} {other}");
    let fixed = Deterministic { seed: 5, now: 0.0 };
    assert!(state(Some(fixed)).starts_with("(5, "));
}

#[test]
fn what_is_preloaded_must_be_there() {
    let Some(runtime) = runtime() else { return };
    let start = |preload: &str| {
        let settings = InterpreterSettings {
            preload: vec![preload.to_owned()],
            ..InterpreterSettings::default()
        };
        Interpreter::start(runtime, &settings)
    };
    let error = start("no_such_module").err().unwrap().to_string();
    assert!(error.contains("no_such_module"), "{error}");
    let python = start("sqlite3").unwrap();
    let mut session = python.session(&SessionSettings::new(Language::Python)).unwrap();
    assert_eq!(
        call(&mut session, "import sys; 'sqlite3' in sys.modules")
            .value
            .as_deref(),
        Some("True")
    );
    let none = InterpreterSettings {
        python: Some("/no/python".into()),
        ..InterpreterSettings::default()
    };
    assert!(
        Interpreter::start(runtime, &none)
            .err()
            .unwrap()
            .to_string()
            .contains("name the interpreter")
    );
}
