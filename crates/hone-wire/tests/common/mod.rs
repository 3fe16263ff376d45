//! A server that does to each connection what a script says.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do with a connection once its request has been read.
#[derive(Clone)]
pub enum Step {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send these bytes that many times; the client may hang up in between.
    Flood(Vec<u8>, usize),
    /// Neither send nor close, until the client hangs up; that is noted.
    Stall,
    /// End with a TCP reset.
    Reset,
}

/// A server under way.
pub struct Server {
    pub url: String,
    pub heard: Arc<Mutex<Vec<String>>>,
    pub hung_up: Arc<tokio::sync::Notify>,
}

impl Server {
    /// Serves the scripts in turn, a connection each, the last one for ever.
    pub async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            url: format!("http://{}/v1", listener.local_addr().expect("an address")),
            heard: Arc::default(),
            hung_up: Arc::default(),
        };
        let (heard, hung_up) = (server.heard.clone(), server.hung_up.clone());
        tokio::spawn(async move {
            for turn in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                let script = scripts[turn.min(scripts.len() - 1)].clone();
                tokio::spawn(serve(stream, script, heard.clone(), hung_up.clone()));
            }
        });
        server
    }

    pub fn requests(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Vec<Step>,
    heard: Arc<Mutex<Vec<String>>>,
    hung_up: Arc<tokio::sync::Notify>,
) {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).await.unwrap_or(0);
        request.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&request);
        let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
            body.len() >= length.unwrap_or(0)
        });
        if complete || n == 0 {
            break;
        }
    }
    heard
        .lock()
        .expect("no panic")
        .push(String::from_utf8_lossy(&request).into_owned());
    for step in script {
        let sent = match step {
            Step::Send(bytes) => stream.write_all(&bytes).await,
            Step::Flood(bytes, times) => {
                let mut sent = Ok(());
                for _ in 0..times {
                    sent = stream.write_all(&bytes).await;
                    if sent.is_err() {
                        break;
                    }
                }
                sent
            }
            Step::Stall => {
                let mut buffer = [0; 64];
                while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
                hung_up.notify_one();
                return;
            }
            Step::Reset => {
                #[allow(deprecated)] // it blocks only where the time is not zero
                let _ = stream.set_linger(Some(Duration::ZERO));
                return;
            }
        };
        if sent.is_err() {
            hung_up.notify_one();
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// An answer with a length, after which the server hangs up.
pub fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// A stream of events, chunked, in these pieces; without its last chunk unless `whole`.
pub fn stream(pieces: &[&[u8]], whole: bool) -> Vec<Step> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut steps = vec![Step::Send(head.into())];
    for piece in pieces {
        let size = format!("{:x}\r\n", piece.len());
        steps.push(Step::Send([size.as_bytes(), piece, b"\r\n"].concat()));
    }
    if whole {
        steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
    }
    steps
}
