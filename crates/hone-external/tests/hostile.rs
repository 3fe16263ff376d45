//! Commands that behave, and commands that do not.

use hone_env::{Environment, Task};
use hone_external::{CommandLine, ExternalEnvironment, ExternalError, ExternalScorer, Limits};
use hone_tool::ToolHost;
use hone_trace::ToolErrorClass;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Answers hello and reset, then does what BODY says with `m`, the request of a call.
const PRELUDE: &str = r#"
import json, os, subprocess, sys, time
def put(m, result): print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}), flush=True)
tool = {"name": "t", "description": "", "inputSchema": {"type": "object"}}
count = 0
for line in sys.stdin:
    m = json.loads(line)
    if m["method"] == "hello": put(m, {"protocol": 1, "version": "7", "tools": [tool], "state": True})
    elif m["method"] == "reset": put(m, {})
    elif m["method"] == "state": put(m, {"state": {"count": count}})
    else:
        count += 1
        BODY
"#;

fn command(dir: &Path, body: &str) -> CommandLine {
    let indented = body.replace('\n', "\n        ");
    let text = PRELUDE.replace("BODY", &indented);
    std::fs::write(dir.join("server.py"), text).unwrap();
    CommandLine {
        argv: ["python3", "server.py"].map(str::to_owned).to_vec(),
        label: None,
        folder: dir.into(),
        env: Vec::new(),
    }
}

fn task() -> Task {
    Task {
        id: "test/0".into(),
        kind: "k".into(),
        system: None,
        instruction: "do".into(),
        seed: 1,
        data: Value::Null,
    }
}

const LONG: Duration = Duration::from_secs(60);

fn started(dir: &Path, body: &str, timeout: Duration) -> ExternalEnvironment {
    let mut environment = ExternalEnvironment::new(command(dir, body), timeout, Limits::default()).unwrap();
    environment.reset(&task()).unwrap();
    environment
}

/// What a call becomes, with the class of its failure.
fn call(body: &str) -> (ToolErrorClass, String) {
    let dir = TempDir::new().unwrap();
    let error = started(dir.path(), body, LONG).call("t", &json!({})).unwrap_err();
    (error.class, error.message)
}

#[test]
fn a_good_command_is_an_environment() {
    let dir = TempDir::new().unwrap();
    let body = r#"put(m, {"text": "got " + m["params"]["arguments"]["x"], "data": [count], "end": count == 2})"#;
    let mut environment = started(dir.path(), body, LONG);
    assert_eq!(environment.specs()[0].version, "7");
    assert!(environment.specs()[0].annotations.destructive_hint, "MCP's default");
    assert_eq!(environment.state(), json!({"count": 0}));
    let before = environment.state_hash().unwrap();
    let output = environment.call("t", &json!({"x": "ä\u{2028}\n"})).unwrap();
    assert_eq!((output.text.as_str(), output.data), ("got ä\u{2028}\n", json!([1])));
    assert!(!output.terminal);
    assert_eq!(environment.state(), json!({"count": 1}));
    assert_ne!(environment.state_hash().unwrap(), before);
    assert!(environment.call("t", &json!({"x": ""})).unwrap().terminal);
    // A fresh process for the next episode.
    environment.reset(&task()).unwrap();
    assert_eq!(environment.state_hash().unwrap(), before);
}

#[test]
fn a_tools_no_is_the_policys_and_its_crash_is_not() {
    let (class, message) = call(r#"put(m, {"text": "no such order", "isError": True})"#);
    assert_eq!((class, message.as_str()), (ToolErrorClass::Tool, "no such order"));

    let (class, message) = call("sys.stderr.write('Traceback: it broke'); sys.exit(3)");
    assert_eq!(class, ToolErrorClass::Infrastructure);
    for part in [
        "python3 server.py",
        "in `call`",
        "exit status: 3",
        "Traceback: it broke",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let error = r#"print(json.dumps({"id": m["id"], "error": {"code": 1, "message": "out of order"}}), flush=True)"#;
    let (class, message) = call(error);
    assert_eq!(class, ToolErrorClass::Infrastructure);
    assert!(message.contains("failed in `call`: out of order"), "{message}");
}

#[test]
fn whatever_breaks_the_protocol_is_named() {
    for (body, part) in [
        ("print('{', flush=True)", "not a message"),
        ("print('hello, I am a tool', flush=True)", "hello, I am a tool"),
        (
            "sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush()",
            "not UTF-8",
        ),
        ("m['id'] += 1; put(m, {})", "it answered id"),
        ("put(m, {'text': 7})", "its result"),
        ("print(json.dumps({'id': m['id']}), flush=True)", "exactly one of"),
        (
            "print(json.dumps({'id': 1, 'method': 'model'}), flush=True)",
            "it asked `model`",
        ),
        ("print('[' * 100000, flush=True)", "not a message"),
        ("os.close(1); time.sleep(60)", "closed its standard output"),
        ("os.kill(os.getpid(), 11)", "signal: 11"),
    ] {
        let (class, message) = call(body);
        assert_eq!(class, ToolErrorClass::Infrastructure, "{body}: {message}");
        assert!(message.contains(part), "{body}: {message}");
        assert!(message.chars().count() < 2000, "{body}");
    }
}

#[test]
fn floods_are_cut_off() {
    // A line of 100 MB, lines without end, and stderr without end.
    let (class, message) = call("sys.stdout.write('x' * 100_000_000); sys.stdout.flush()");
    assert_eq!(class, ToolErrorClass::Infrastructure);
    assert!(message.contains("a line of more than 4194304 bytes"), "{message}");

    let dir = TempDir::new().unwrap();
    let limits = Limits {
        line: 1000,
        total: 5000,
    };
    let body = "put(m, {'text': 'x' * 900})";
    let mut environment = ExternalEnvironment::new(command(dir.path(), body), LONG, limits).unwrap();
    environment.reset(&task()).unwrap();
    let failed = (0..10).find_map(|_| environment.call("t", &json!({})).err()).unwrap();
    assert!(failed.message.contains("more than 5000 bytes in all"), "{failed}");

    let body = "for _ in range(3000): sys.stderr.write('noise ' * 1000)\nput(m, {'text': 'done'})";
    let mut environment = started(dir.path(), body, LONG);
    assert_eq!(environment.call("t", &json!({})).unwrap().text, "done");
}

#[test]
fn a_command_that_does_not_read_or_answer_meets_its_deadline() {
    let dir = TempDir::new().unwrap();
    let mut environment = started(
        dir.path(),
        "sys.stderr.write('thinking'); sys.stderr.flush(); time.sleep(1000)",
        Duration::from_secs(3),
    );
    let error = environment.call("t", &json!({})).unwrap_err();
    assert_eq!(error.class, ToolErrorClass::Timeout);
    assert!(error.message.contains("no answer in `call` within 3000 ms"), "{error}");
    assert!(error.message.contains("thinking"), "{error}");
    // Lost for this episode, and only for this one.
    let again = environment.call("t", &json!({})).unwrap_err();
    assert_eq!(again.class, ToolErrorClass::Infrastructure);
    environment.reset(&task()).unwrap();

    // More than a pipe holds, to a command that sleeps.
    let body = "time.sleep(1000)";
    let mut environment = started(dir.path(), body, Duration::from_secs(3));
    let big = "x".repeat(1 << 20);
    environment.call("t", &json!({})).unwrap_err();
    environment.reset(&task()).unwrap();
    let error = environment.call("t", &json!({"x": big})).unwrap_err();
    assert_eq!(error.class, ToolErrorClass::Timeout);
}

#[test]
fn no_process_is_left_behind() {
    let dir = TempDir::new().unwrap();
    let body = "child = subprocess.Popen(['sleep', '1000'])\nput(m, {'text': f'{os.getpid()} {child.pid}'})";
    let mut environment = started(dir.path(), body, LONG);
    let pids = environment.call("t", &json!({})).unwrap().text;
    let alive = |pid: &str| {
        // A zombie that its own new parent has not reaped yet is dead enough.
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    assert!(pids.split(' ').all(alive), "{pids}");
    drop(environment);
    // The grandchild was killed with the group; the kernel may need a moment to bury it.
    for _ in 0..1000 {
        if !pids.split(' ').any(alive) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{pids} still run");
}

#[test]
fn what_cannot_start_is_said_at_once() {
    let dir = TempDir::new().unwrap();
    let start = |argv: &[&str]| {
        let command = CommandLine {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            label: None,
            folder: dir.path().into(),
            env: Vec::new(),
        };
        ExternalEnvironment::new(command, LONG, Limits::default()).unwrap_err()
    };
    let error = start(&["no-such-program"]);
    assert!(matches!(error, ExternalError::Spawn { .. }) && error.to_string().contains("no-such-program"));
    assert!(start(&["./missing"]).to_string().contains("missing"));
    assert!(start(&[]).to_string().contains("empty"));
    let error = start(&["python3", "nowhere.py"]).to_string();
    assert!(
        error.contains("nowhere.py") && error.contains("exit status: 2"),
        "{error}"
    );
    let other = r#"print('{"id": 1, "result": {"protocol": 2}}')"#;
    let error = start(&["python3", "-c", other]).to_string();
    assert!(error.contains("speaks protocol 2"), "{error}");
    assert!(start(&["cat"]).to_string().contains("it asked `hello`"));
}

#[test]
fn scorers_judge_or_their_failure_is_known() {
    let dir = TempDir::new().unwrap();
    let judge = |body: &str| {
        let scorer = ExternalScorer::new(command(dir.path(), body), LONG, Limits::default()).unwrap();
        scorer.judge(&json!({"id": "a"}), Some("yes"), &Value::Null, &json!({}))
    };
    let body = r#"put(m, {"value": 0.5, "why": m["params"]["answer"], "parts": [{"name": "p", "value": 1}]})"#;
    let judgement = judge(body).unwrap();
    assert_eq!((judgement.value, judgement.why.as_str()), (0.5, "yes"));
    assert_eq!((judgement.parts[0].name.as_str(), judgement.parts[0].value), ("p", 1.0));
    for wrong in ["2", "-1", "float('nan')", "'1'", "None"] {
        let error = judge(&format!("put(m, {{'value': {wrong}}})")).unwrap_err();
        assert!(matches!(error, ExternalError::Protocol { .. }), "{wrong}: {error}");
    }
    assert!(judge("sys.exit(1)").unwrap_err().to_string().contains("in `score`"));
}
