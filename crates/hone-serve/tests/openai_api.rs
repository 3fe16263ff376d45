//! The server: raw HTTP, many streams, hostile clients, and the official packages of OpenAI.

use hone_engine::{Sampler, checkpoint};
use hone_model::Codec;
use hone_serve::{Options, Server};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

struct Served {
    address: String,
}

impl Served {
    /// The nano base behind a server of its own, which ends with the test program.
    fn nano(change: impl FnOnce(&mut Options)) -> Self {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
        let codec = Arc::new(Codec::load(&model).unwrap());
        let weights = Arc::new(checkpoint::load(&model).unwrap());
        let sampler = Sampler::new("nano", codec, weights, 0, 2);
        let mut options = Options {
            name: "nano".into(),
            ..Options::default()
        };
        change(&mut options);
        let server = Server::bind(sampler, "127.0.0.1:0".parse().unwrap(), options).unwrap();
        let address = server.address().to_string();
        std::thread::spawn(move || server.run());
        Self { address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
        stream
    }

    fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = self.connect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }

    fn raw(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        read(self.send(method, path, body))
    }

    fn ask(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, text) = self.raw("POST", path, &body.to_string());
        (
            status,
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")),
        )
    }

    fn events(&self, path: &str, body: Value) -> Vec<Value> {
        let (status, text) = self.raw("POST", path, &body.to_string());
        assert_eq!(status, 200, "{text}");
        let mut lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(lines.pop(), Some("[DONE]"), "{text}");
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.raw("GET", "/metrics", "");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is missing: {text}"))
            .parse()
            .unwrap()
    }

    /// Waits until a number is that; a server that never gets there fails the test.
    fn until(&self, name: &str, value: f64) {
        for _ in 0..6000 {
            if self.metric(name) == value {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{name} stays {}", self.metric(name));
    }
}

/// Status and body of an answer, its chunks put together.
fn read(stream: TcpStream) -> (u16, String) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return (0, head);
        }
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = Vec::new();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).unwrap();
            let n = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; n + 2];
            reader.read_exact(&mut chunk).unwrap();
            body.extend_from_slice(&chunk[..n]);
            if n == 0 {
                break;
            }
        }
    } else {
        reader.read_to_end(&mut body).unwrap();
    }
    (status, String::from_utf8(body).unwrap())
}

fn chat(more: Value) -> Value {
    let mut body =
        json!({"messages": [{"role": "user", "content": "the order of a user"}], "max_tokens": 24, "seed": 7});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// What an answer says: its text and its calls.
fn words(message: &Value) -> String {
    let mut words = message["content"].as_str().unwrap_or_default().to_owned();
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        let arguments = function["arguments"].as_str().unwrap();
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into());
        words += &format!(" {}({arguments})", function["name"].as_str().unwrap());
    }
    words
}

/// The message that the deltas of a stream of one answer add up to.
fn message(events: &[Value]) -> Value {
    let (mut content, mut calls) = (String::new(), Vec::<(String, String)>::new());
    for delta in events.iter().map(|event| &event["choices"][0]["delta"]) {
        content += delta["content"].as_str().unwrap_or_default();
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            if let Some(name) = function["name"].as_str() {
                assert_eq!(call["index"], calls.len());
                calls.push((name.to_owned(), String::new()));
            }
            assert_eq!(call["index"], calls.len() - 1);
            calls.last_mut().unwrap().1 += function["arguments"].as_str().unwrap_or_default();
        }
    }
    let calls = calls
        .iter()
        .map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}}));
    json!({"content": content, "tool_calls": calls.collect::<Vec<_>>()})
}

#[test]
fn answers_streams_and_tokens_agree() {
    let served = Served::nano(|_| {});
    assert_eq!(served.raw("GET", "/health", ""), (200, "{\"status\":\"ok\"}".into()));
    let (_, models) = served.raw("GET", "/v1/models", "");
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(models["data"][0]["id"], "nano");

    let more = json!({"logprobs": true, "top_logprobs": 2, "return_token_ids": true});
    let (status, whole) = served.ask("/v1/chat/completions", chat(more));
    assert_eq!(status, 200, "{whole}");
    let choice = &whole["choices"][0];
    let said = words(&choice["message"]);
    let entries = choice["logprobs"]["content"].as_array().unwrap();
    let fits = |entry: &Value| {
        entry["top_logprobs"].as_array().unwrap().len() == 2 && entry["logprob"].as_f64().unwrap() <= 0.0
    };
    assert!(!entries.is_empty() && entries.iter().all(fits));
    let prompt = whole["prompt_token_ids"].as_array().unwrap();
    assert_eq!(whole["usage"]["prompt_tokens"], prompt.len());
    let (_, tokens) = served.ask("/tokenize", json!({"messages": chat(json!({}))["messages"]}));
    assert_eq!(&tokens["tokens"], &whole["prompt_token_ids"]);

    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = served.events("/v1/chat/completions", chat(more));
    assert_eq!(words(&message(&events)), said);
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
    let finished: Vec<&str> = events
        .iter()
        .filter_map(|event| event["choices"][0]["finish_reason"].as_str())
        .collect();
    assert_eq!(finished, [choice["finish_reason"].as_str().unwrap()]);
    let (_, several) = served.ask("/v1/chat/completions", chat(json!({"n": 3})));
    let all: Vec<String> = several["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| words(&choice["message"]))
        .collect();
    assert!(all.len() == 3 && all[0] == said && all[1] != all[2], "{all:?}");

    // The same prompt by its ids, as a text completion: the same tokens.
    let plain = |more: Value| {
        let mut body = json!({"prompt": prompt, "max_tokens": 24, "seed": 7});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let streamed = |more: Value| -> String {
        let events = served.events("/v1/completions", plain(more));
        events
            .iter()
            .filter_map(|event| event["choices"][0]["text"].as_str())
            .collect()
    };
    let (_, raw) = served.ask("/detokenize", json!({"tokens": choice["token_ids"]}));
    let raw = raw["prompt"].as_str().unwrap();
    let (status, completion) = served.ask("/v1/completions", plain(json!({"logprobs": 1})));
    assert_eq!(status, 200, "{completion}");
    let text = completion["choices"][0]["text"].as_str().unwrap();
    assert_eq!(text, raw.strip_suffix("<|end|>").unwrap_or(raw));
    assert_eq!(streamed(json!({"stream": true})), text);
    // Stop texts end before themselves, in whole answers and in streams.
    let stop: String = text.chars().skip(3).take(4).collect();
    let before = text.split(&stop).next().unwrap();
    let (_, stopped) = served.ask("/v1/completions", plain(json!({"stop": stop})));
    let stopped = &stopped["choices"][0];
    assert_eq!(
        (&stopped["text"], &stopped["finish_reason"]),
        (&json!(before), &json!("stop"))
    );
    assert_eq!(streamed(json!({"stop": [stop], "stream": true})), before);
}

#[test]
fn two_hundred_streams_at_once_say_what_one_says() {
    let served = Served::nano(|options| options.parallel = 64);
    let alone = |seed: u64| {
        let (_, value) = served.ask("/v1/chat/completions", chat(json!({"seed": seed})));
        words(&value["choices"][0]["message"])
    };
    let want: Vec<String> = (0..4).map(alone).collect();
    std::thread::scope(|scope| {
        let streams: Vec<_> = (0..200u64)
            .map(|at| {
                let served = &served;
                scope.spawn(move || {
                    let body = chat(json!({"seed": at % 4, "stream": true}));
                    words(&message(&served.events("/v1/chat/completions", body)))
                })
            })
            .collect();
        for (at, stream) in streams.into_iter().enumerate() {
            assert_eq!(stream.join().unwrap(), want[at % 4]);
        }
    });
    served.until("hone_sequences_running", 0.0);
}

#[test]
fn clients_that_leave_free_their_sequences() {
    let served = Served::nano(|options| (options.parallel, options.max_tokens) = (8, 100_000));
    let long = |stream: bool| {
        json!({"messages": [{"role": "user", "content": "the order"}], "stream": stream, "n": 4, "temperature": 2})
            .to_string()
    };
    for at in 0..12 {
        let mut stream = served.send("POST", "/v1/chat/completions", &long(at % 2 == 0));
        if at % 3 == 0 {
            let mut some = [0; 64];
            let _ = stream.read(&mut some);
        }
    }
    // All places are free again: an answer comes, and nothing is sampled after it.
    let (status, _) = served.ask("/v1/chat/completions", chat(json!({})));
    assert_eq!(status, 200);
    served.until("hone_sequences_running", 0.0);
    served.until("hone_requests_waiting", 0.0);
}

#[test]
fn a_client_that_does_not_read_is_hung_up_on() {
    let served = Served::nano(|options| (options.patience, options.max_tokens) = (Duration::from_secs(1), 100_000));
    // Far more bytes than sockets hold.
    let body = json!({
        "messages": [{"role": "user", "content": "the order"}],
        "stream": true, "n": 32, "temperature": 2, "logprobs": true, "top_logprobs": 20,
    });
    let mut unread = served.send("POST", "/v1/chat/completions", &body.to_string());
    let (status, _) = served.ask("/v1/chat/completions", chat(json!({})));
    assert_eq!(status, 200, "others are served meanwhile");
    served.until("hone_clients_left_total", 1.0);
    served.until("hone_sequences_running", 0.0);
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = unread.read_to_end(&mut rest);
    assert!(rest.starts_with(b"HTTP/1.1 200") && !rest.ends_with(b"[DONE]\n\n\r\n0\r\n\r\n"));
}

#[test]
fn what_is_too_large_too_slow_or_wrong_is_refused() {
    let served = Served::nano(|options| (options.request_bytes, options.patience) = (4096, Duration::from_secs(1)));
    let refused = |path: &str, body: Value, want: u16, says: &str| {
        let (status, error) = served.ask(path, body);
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(
            status == want && message.contains(says) && error["error"]["type"].is_string(),
            "{status} {error}"
        );
    };
    let path = "/v1/chat/completions";
    refused(
        path,
        chat(json!({"messages": [{"role": "user", "content": "x".repeat(5000)}]})),
        413,
        "4096 bytes",
    );
    refused(path, chat(json!({"model": "other"})), 404, "other");
    refused(path, chat(json!({"temperature": 3})), 400, "temperature");
    refused(path, chat(json!({"n": 0})), 400, "n is not");
    refused(path, chat(json!({"messages": []})), 400, "messages");
    refused(path, chat(json!({"messages": [{"role": "robot"}]})), 400, "role");
    refused(path, chat(json!({"stop": [1]})), 400, "stop");
    refused(
        path,
        chat(json!({"tool_choice": {"type": "function", "function": {"name": "x"}}})),
        400,
        "tool_choice",
    );
    refused(path, chat(json!({"logit_bias": {"1": 5}})), 400, "logit_bias");
    refused("/v1/completions", json!({"prompt": [999_999_999]}), 400, "no token");
    refused("/v1/completions", json!({"prompt": {"a": 1}}), 400, "prompt");
    refused("/v1/embeddings", json!({}), 404, "/v1/embeddings");
    let (status, text) = served.raw("POST", path, "{\"messages\": [");
    assert!(status == 400 && text.contains("not JSON"), "{text}");
    assert_eq!(served.raw("GET", path, "").0, 405);
    assert_eq!(served.raw("POST", path, &"[".repeat(4000)).0, 400);

    // A body without a length that never ends.
    let mut stream = served.connect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        served.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    while stream.write_all(chunk.as_bytes()).is_ok() {}
    // Headers and bodies that do not come.
    let mut slow = served.connect();
    slow.write_all(b"POST / HTTP/1.1\r\nhost:").unwrap();
    assert_ne!(read(slow).0, 200);
    let mut slow = served.connect();
    slow.write_all(
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 100\r\n\r\n{{",
            served.address
        )
        .as_bytes(),
    )
    .unwrap();
    assert_eq!(read(slow).0, 408);
    // Another name than its own: a web page that found the way here.
    let mut page = served.connect();
    page.write_all(b"GET /v1/models HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(read(page).0, 403);
    assert_eq!(served.raw("GET", "/health", "").0, 200);
}

#[test]
fn a_token_opens_the_door() {
    let served = Served::nano(|options| options.token = Some("open sesame".into()));
    assert_eq!(served.raw("GET", "/v1/models", "").0, 401);
    let mut stream = served.connect();
    stream
        .write_all(
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer open sesame\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
    assert_eq!(read(stream).0, 200);
}

/// The folder of other people's packages, if it has that; else says how to get it.
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

/// What an official client saw.
fn check(client: &mut Command) {
    let output = client.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(seen["models"], json!(["nano"]));
    assert_eq!(seen["streamed"], seen["whole"], "{seen}");
    assert_eq!(seen["completed"], seen["completion_streamed"], "{seen}");
    assert!(
        seen["logprobs"].as_u64().unwrap() > 0 && seen["top"] == 3 && seen["token_ids"].as_u64().unwrap() > 0,
        "{seen}"
    );
    assert_eq!(
        (&seen["missing_status"], &seen["missing_code"]),
        (&json!(404), &json!("model_not_found"))
    );
    assert_eq!(
        (&seen["wrong_status"], &seen["wrong_param"]),
        (&json!(400), &json!("top_p")),
        "{seen}"
    );
    assert!(seen["usage"].as_u64().unwrap() > 0);
}

#[test]
fn the_official_python_package_uses_our_server() {
    let Some(folder) = peers("python/bin/python") else {
        return;
    };
    let served = Served::nano(|_| {});
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/openai_client.py");
    check(
        Command::new(folder.join("python/bin/python"))
            .arg(script)
            .arg(format!("http://{}/v1", served.address)),
    );
}

#[test]
fn the_official_npm_package_uses_our_server() {
    let Some(folder) = peers("node_modules/openai") else {
        return;
    };
    let served = Served::nano(|_| {});
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/openai_client.mjs");
    check(
        Command::new("node")
            .arg(script)
            .arg(&folder)
            .arg(format!("http://{}/v1", served.address)),
    );
}
