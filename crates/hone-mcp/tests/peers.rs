//! Servers that others wrote: the protocol's own examples (TypeScript) and one with the Python SDK.
//!
//! They lie in `.peers`, where `scripts/test` installs them.

mod support;

use hone_mcp::{Connection, McpToolset, Protocol, ServerConfig};
use hone_tool::{ToolHost, ToolSpec};
use hone_trace::ToolErrorClass;
use serde_json::{Map, Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{class, eventually, play};

const MINUTE: Duration = Duration::from_secs(60);

/// The folder, if it has that; else says how to get it.
fn peers(needed: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.peers");
    let found = folder.join(needed).exists();
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{} is missing",
            folder.join(needed).display()
        );
        eprintln!("skipped: no .peers/{needed}; scripts/test gets it");
    }
    found.then(|| folder.canonicalize().unwrap())
}

/// The command of one of the protocol's example servers.
fn node(server: &str) -> Option<String> {
    let script = format!("node_modules/@modelcontextprotocol/{server}/dist/index.js");
    Some(peers(&script)?.join(script).to_string_lossy().into_owned())
}

/// The Python with the SDK, and our server in it.
fn python() -> Option<[String; 2]> {
    let python = peers("python/bin/python")?.join("python/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/python_sdk.py");
    Some([python, script].map(|path| path.to_string_lossy().into_owned()))
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn spec<'a>(host: &'a McpToolset, name: &str) -> &'a ToolSpec {
    host.specs().iter().find(|spec| spec.name == name).unwrap()
}

/// A server that is not ours to start over HTTP; ends with the test.
struct Listening {
    process: Child,
    url: String,
}

impl Listening {
    fn start(command: &mut Command, port: impl FnOnce(&mut Command, &str)) -> Self {
        // Free a moment ago; whoever takes it in between fails this test, not another.
        let number = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        port(command, &number.to_string());
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the server's port", || {
            std::net::TcpStream::connect(("127.0.0.1", number)).is_ok()
        });
        Self {
            process,
            url: format!("http://127.0.0.1:{number}/mcp"),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What server-everything must give, however it is reached.
fn everything(config: &ServerConfig) {
    let host = McpToolset::connect(config).unwrap();
    assert_eq!(host.servers()[0].info().name, "mcp-servers/everything");
    assert!(host.specs().len() >= 10, "{}", host.specs().len());
    let (host, echo) = play(host, "echo", json!({"message": "hello"}));
    assert_eq!(echo.shown, "Echo: hello");
    let (host, wrong) = play(*host.unwrap(), "echo", json!({"massage": "hello"}));
    assert_eq!(class(&wrong), Some(ToolErrorClass::InvalidArguments));
    let (host, image) = play(*host.unwrap(), "get-tiny-image", json!({}));
    assert_eq!(image.media[0].mime, "image/png", "{}", image.shown);
    let (host, data) = play(*host.unwrap(), "get-structured-content", json!({"location": "Chicago"}));
    assert!(data.result["temperature"].is_number(), "{}", data.result);
    host.unwrap().close();

    on_runtime(async {
        let connection = Connection::open(config).await.unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        let on = Arc::new(move |p: hone_mcp::Progress| notes.lock().unwrap().push(p.done));
        let arguments = json!({"duration": 0.3, "steps": 3}).as_object().unwrap().clone();
        let tool = "trigger-long-running-operation";
        connection.call(tool, arguments, MINUTE, Some(on)).await.unwrap();
        assert!(heard.lock().unwrap().contains(&1.0), "{:?}", heard.lock().unwrap());

        let resources = connection.resources().await.unwrap();
        let read = connection.read(&resources[0].uri).await.unwrap();
        assert!(!read[0].text.is_empty());
        let prompts = connection.prompts().await.unwrap();
        let simple = prompts.iter().find(|prompt| prompt.arguments.is_none()).unwrap();
        let messages = connection.prompt(&simple.name, Map::new()).await.unwrap();
        assert_eq!(messages[0].0, "user");
        connection.close().await;
    });
}

#[test]
fn server_everything_on_standard_streams() {
    let Some(script) = node("server-everything") else {
        return;
    };
    everything(&ServerConfig::command(["node", &script, "stdio"]));
}

#[test]
fn server_everything_over_http() {
    let Some(script) = node("server-everything") else {
        return;
    };
    let mut command = Command::new("node");
    command.args([&script, "streamableHttp"]);
    let server = Listening::start(&mut command, |command, port| {
        command.env("PORT", port);
    });
    everything(&ServerConfig::url(&server.url));
}

#[test]
fn server_filesystem_reads_writes_and_keeps_to_its_folder() {
    let Some(script) = node("server-filesystem") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let mut config = ServerConfig::command(["node", &script, &folder.to_string_lossy()]);
    config.name = "files".into();
    let host = McpToolset::connect(&config).unwrap();
    assert!(spec(&host, "read_text_file").annotations.read_only_hint);
    assert!(spec(&host, "write_file").annotations.destructive_hint);
    assert!(!spec(&host, "create_directory").annotations.destructive_hint);
    let (host, wrote) = play(host, "write_file", json!({"path": path("a.txt"), "content": "eins\n"}));
    assert_eq!(wrote.error, None);
    assert_eq!(std::fs::read_to_string(path("a.txt")).unwrap(), "eins\n");
    let (host, read) = play(*host.unwrap(), "read_text_file", json!({"path": path("a.txt")}));
    assert_eq!(read.shown, "eins\n");
    let (_, outside) = play(*host.unwrap(), "read_text_file", json!({"path": "/etc/hostname"}));
    assert_eq!(class(&outside), Some(ToolErrorClass::Tool));
    assert!(outside.shown.contains("Access denied"), "{}", outside.shown);
}

/// What the server with the Python SDK must give, however it is reached and whatever it speaks.
fn python_sdk(config: &ServerConfig, revision: &str) {
    let host = McpToolset::connect(config).unwrap();
    assert_eq!(host.servers()[0].info().protocol, revision);
    let add = spec(&host, "add");
    assert_eq!(add.input_schema["required"], json!(["a", "b"]));
    assert!(add.annotations.read_only_hint && add.annotations.destructive_hint);
    let (host, sum) = play(host, "add", json!({"a": 2, "b": 3}));
    assert_eq!((&sum.error, &sum.result), (&None, &json!({"sum": 5})));
    let (host, failed) = play(*host.unwrap(), "fail", json!({}));
    assert_eq!(class(&failed), Some(ToolErrorClass::Tool));
    assert!(failed.shown.contains("out of order"), "{}", failed.shown);
    host.unwrap().close();
}

#[test]
fn python_sdk_in_both_eras_on_standard_streams() {
    let Some([python, script]) = python() else { return };
    for (protocol, revision) in eras() {
        let config = ServerConfig {
            protocol,
            ..ServerConfig::command([&python, &script])
        };
        python_sdk(&config, revision);
    }
}

#[test]
fn python_sdk_in_both_eras_over_http() {
    let Some([python, script]) = python() else { return };
    let mut command = Command::new(python);
    command.arg(script);
    let server = Listening::start(&mut command, |command, port| {
        command.arg(port);
    });
    for (protocol, revision) in eras() {
        let config = ServerConfig {
            protocol,
            ..ServerConfig::url(&server.url)
        };
        python_sdk(&config, revision);
    }
}

fn eras() -> [(Protocol, &'static str); 2] {
    [(Protocol::Initialize, "2025-11-25"), (Protocol::Auto, "2026-07-28")]
}

#[test]
fn a_mixed_set_of_servers_in_one_host() {
    let (Some(script), Some([python, server])) = (node("server-everything"), python()) else {
        return;
    };
    let named = |name: &str, config: ServerConfig| ServerConfig {
        name: name.into(),
        ..config
    };
    let host = McpToolset::join(&[
        named("everything", ServerConfig::command(["node", &script, "stdio"])),
        named("python", ServerConfig::command([&python, &server])),
    ])
    .unwrap();
    let (host, echo) = play(host, "everything__echo", json!({"message": "a"}));
    assert_eq!(echo.shown, "Echo: a");
    let (_, sum) = play(*host.unwrap(), "python__add", json!({"a": 1, "b": 1}));
    assert_eq!(sum.result["sum"], Value::from(2));
}
