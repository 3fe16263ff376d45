//! `hone serve model`, and what `hone run` says of sampling options. The server itself is tested in `hone-serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

fn hone() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin("hone"))
}

#[test]
fn a_model_is_served_under_its_name() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let mut served = hone()
        .args(["serve", "model"])
        .arg(model)
        .args(["--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(served.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let address = said.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{said}"));
    let address = address.strip_suffix("/v1").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    served.kill().unwrap();
    served.wait().unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"id\":\"nano\""),
        "{answer}"
    );
    let open = hone()
        .args(["serve", "model", "x", "--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert!(!open.status.success());
}

#[test]
fn options_of_sampling_are_for_local_models() {
    let run = |arguments: &[&str]| {
        let output = hone()
            .args(["run", "shop", "--task", "test/0"])
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (status, said) = run(&["--model", "gold", "--sampling", "min_p=0.1"]);
    assert!(status == Some(1) && said.contains("sampled here"), "{said}");
    let (status, said) = run(&["--model", "gold", "--constrain", "poetry"]);
    assert!(status == Some(2) && said.contains("regex:PATTERN"), "{said}");
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let nano = nano.to_str().unwrap();
    if !hone_engine::CONSTRAINS {
        let (status, said) = run(&["--model", nano, "--constrain", "calls"]);
        assert!(status == Some(1) && said.contains("--features constrain"), "{said}");
    }
    let (status, said) = run(&[
        "--model",
        nano,
        "--temperature",
        "1",
        "--sampling",
        "min_p=0.1,top_k=20",
        "--stop",
        "\n\n",
    ]);
    assert_eq!(status, Some(0), "{said}");
}
