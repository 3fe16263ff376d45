//! A server of a model's API for the tests: real TCP, answers by the test.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What to do with a request.
pub enum Answer {
    /// A status, a content type and a body.
    Body(u16, &'static str, Vec<u8>),
    /// A head without a length, then these bytes so many times, then the end of the connection.
    Flood(&'static str, Vec<u8>, usize),
    /// Neither send nor close, until the client hangs up.
    Stall,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The first line and the headers, in lower case.
    pub head: String,
    pub body: Value,
}

impl Asked {
    /// The messages, in short: their roles.
    pub fn roles(&self) -> Vec<&str> {
        let messages = self.body["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|message| message["role"].as_str().unwrap())
            .collect()
    }

    /// What the user asks for.
    pub fn request(&self) -> &str {
        let messages = self.body["messages"].as_array().unwrap();
        let user = messages.iter().find(|message| message["role"] == "user").unwrap();
        user["content"].as_str().unwrap()
    }
}

/// A server under way, until the test ends.
pub struct Server {
    /// Its address with `/v1`.
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// One that answers each request as `answer` says.
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { url, asked }
    }

    /// What came so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Answer) {
    let Some(asked) = read(&mut stream) else { return };
    kept.lock().unwrap().push(asked.clone());
    // The client may hang up at any time: that is for it to say.
    let _ = match answer(&asked) {
        Answer::Body(status, media, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {media}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Answer::Flood(media, piece, times) => {
            let head = format!("HTTP/1.1 200 X\r\ncontent-type: {media}\r\nconnection: close\r\n\r\n");
            let sent = stream.write_all(head.as_bytes());
            sent.and_then(|()| (0..times).try_for_each(|_| stream.write_all(&piece)))
        }
        Answer::Stall => {
            let mut end = Vec::new();
            stream.read_to_end(&mut end).map(|_| ())
        }
    };
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1 << 16];
    loop {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if bytes.len() >= end + 4 + length.parse::<usize>().ok()? {
            let body = serde_json::from_slice(&bytes[end + 4..]).ok()?;
            return Some(Asked { head, body });
        }
    }
}

/// A whole answer of Chat Completions: what is said, and calls of (id, name, arguments). It takes 1,000 tokens in and 100 out.
pub fn chat(text: &str, calls: &[(&str, &str, &str)]) -> Answer {
    let calls: Vec<Value> = calls
        .iter()
        .map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let body = json!({
        "id": "answer-1", "object": "chat.completion", "model": "served-model",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    });
    Answer::Body(200, "application/json", body.to_string().into_bytes())
}

/// An error in OpenAI's form.
pub fn refusal(status: u16, message: &str) -> Answer {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": null}});
    Answer::Body(status, "application/json", body.to_string().into_bytes())
}
