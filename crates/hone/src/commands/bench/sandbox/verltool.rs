//! Our tool server beside VerlTool's own, under the same client.

use super::super::peer::Peer;
use super::super::{Better, Measured, Workspace};
use super::{Done, THREADS, stopped};
use crate::console::say;
use anyhow::{Context, bail};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PEER: &str = "VerlTool's python_code";

/// A server that ends with us.
struct Served {
    child: Child,
    url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ours runs the `python3` of PATH, as theirs does.
fn ours() -> anyhow::Result<Served> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", "tools", "python_code", "--verltool", "--http", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .context("our server does not start")?;
    let mut line = String::new();
    if let Some(stderr) = child.stderr.take() {
        BufReader::new(stderr).read_line(&mut line)?;
    }
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .map(str::to_owned);
    let mut served = Served {
        child,
        url: url.unwrap_or_default(),
    };
    if served.url.is_empty() {
        let _ = served.child.kill();
        bail!("our server said {line:?} and no address");
    }
    Ok(served)
}

/// Theirs, in a folder of its own: it writes programs below the current one.
fn theirs(checkout: &Path, python: &Path, folder: &Path) -> anyhow::Result<Served> {
    let checkout = checkout
        .canonicalize()
        .with_context(|| format!("{} is no checkout", checkout.display()))?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut child = Command::new(python)
        .args([
            "-m",
            "verl_tool.servers.tool_server",
            "--tool_type",
            "python_code",
            "--host",
            "127.0.0.1",
            "--port",
        ])
        .arg(port.to_string())
        .args(["--log_level", "warning"])
        .env("PYTHONPATH", &checkout)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}; name a Python with --python", python.display()))?;
    let mut said = child.stderr.take();
    let mut served = Served {
        child,
        url: format!("http://127.0.0.1:{port}/get_observation"),
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        stopped()?;
        if served.child.try_wait()?.is_some() || Instant::now() > deadline {
            let mut text = String::new();
            let _ = served.child.kill();
            if let Some(said) = &mut said {
                let _ = said.read_to_string(&mut text);
            }
            let last: Vec<&str> = text.lines().rev().take(3).collect();
            bail!(
                "VerlTool's server does not start: {}; install what it misses",
                last.join(" / ")
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // What it logs must go somewhere, or it waits.
    if let Some(mut said) = said {
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    }
    Ok(served)
}

/// Calls per second of both, in turns.
pub fn run(checkout: &Path, python: &Path, calls: u32, rounds: u32) -> anyhow::Result<Vec<Measured>> {
    let folder = Workspace::new(&std::env::temp_dir())?;
    let (ours, theirs) = (ours()?, theirs(checkout, python, folder.path())?);
    let job = json!({"threads": THREADS, "ours": ours.url, "theirs": theirs.url});
    let mut client = Peer::start(python, include_str!("../verltool_client.py"), &job)?;
    // Theirs takes so much longer that fewer calls of it tell as much.
    let few = calls.div_ceil(10).max(THREADS);
    let (mut rate, mut their_rate) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        stopped()?;
        let (we, they): (Done, Done) = (
            client.ask(&format!("ours {calls}"))?,
            client.ask(&format!("theirs {few}"))?,
        );
        if round > 0 {
            rate.push(f64::from(calls) / we.whole);
            their_rate.push(f64::from(few) / they.whole);
        }
    }
    say("VerlTool's server runs code with firejail where there is one, and without isolation where there is none");
    let settings = json!({"calls": calls, "rounds": rounds, "clients": THREADS});
    let figure = Measured::new(
        "sandbox/verltool/calls".into(),
        "calls/s",
        Better::Higher,
        &rate,
        &settings,
    );
    Ok(vec![figure.beside(PEER, &their_rate)])
}
