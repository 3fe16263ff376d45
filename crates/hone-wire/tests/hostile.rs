//! The client against real servers that behave badly, over TCP.

mod common;

use common::{Server, Step, answer, stream};
use hone_wire::{
    Api, Broken, Client, Deadline, Deadlines, Endpoint, Error, Failure, Limits, Message, Reply, Request, Settings,
    SetupError,
};

const SSE: &[u8] = include_bytes!("fixtures/openai_calls.sse");
const JSON: &[u8] = include_bytes!("fixtures/openai_calls.json");
const ANTHROPIC: &[u8] = include_bytes!("fixtures/anthropic_calls.sse");
/// Any variable that is set wherever tests run serves as a key: setting one in here would race.
const KEY: &str = "CARGO_MANIFEST_DIR";

fn endpoint(url: &str) -> Endpoint {
    let mut endpoint = Endpoint::new(Api::OpenAi, url).with_key_env(KEY);
    endpoint.retry.base_ms = 1;
    endpoint.retry.attempts = 4;
    endpoint
}

fn once(url: &str) -> Endpoint {
    let mut endpoint = endpoint(url);
    endpoint.retry.attempts = 1;
    endpoint
}

fn request() -> Request {
    Request {
        model: "m".into(),
        messages: vec![Message::user("hi")],
        settings: Settings {
            max_tokens: Some(100),
            ..Settings::default()
        },
        ..Request::default()
    }
}

async fn ask(endpoint: Endpoint) -> Result<Reply, Failure> {
    Client::new(endpoint)
        .expect("a good endpoint")
        .complete(&request(), 1)
        .await
}

async fn broken(script: Vec<Step>) -> Broken {
    let server = Server::start(vec![script]).await;
    match ask(once(&server.url)).await.expect_err("broken").error {
        Error::Broken { what, url } => {
            assert!(url.starts_with(&server.url));
            what
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn good_answers_and_what_is_sent_for_them() {
    let key = std::env::var(KEY).expect("cargo sets it");
    let pieces: Vec<&[u8]> = SSE.chunks(7).collect();
    let server = Server::start(vec![stream(&pieces, true)]).await;
    let mut endpoint = once(&server.url);
    endpoint.headers.insert("X-Title".into(), "hone".into());
    endpoint.header_env.insert("X-Extra".into(), KEY.into());
    let client = Client::new(endpoint).expect("a good endpoint");
    assert!(!format!("{client:?}").contains(&key), "{client:?}");
    let reply = client.complete(&request(), 1).await.expect("an answer");
    assert_eq!(reply.answer.message.calls().count(), 2);
    assert_eq!((reply.attempts.len(), reply.answer.raw.as_bytes()), (0, SSE));
    let heard = server.requests().remove(0);
    let (head, body) = heard.split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    for line in [
        format!("authorization: Bearer {key}"),
        format!("x-extra: {key}"),
        "x-title: hone".into(),
        "content-type: application/json".into(),
    ] {
        assert!(head.contains(&line), "{head}");
    }
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&body["stream"], &body["max_tokens"]), (&true.into(), &100.into()));

    let server = Server::start(vec![stream(&[ANTHROPIC], true)]).await;
    let mut endpoint = once(server.url.trim_end_matches("/v1"));
    endpoint.api = Api::Anthropic;
    let reply = ask(endpoint.clone()).await.expect("an answer");
    assert_eq!(reply.answer.message.calls().count(), 2);
    endpoint.key_header = Some("x-api-key".into());
    ask(endpoint).await.expect("an answer");
    let bearer = server.requests().remove(0);
    assert!(bearer.contains(&format!("authorization: Bearer {key}\r\n")), "{bearer}");
    let heard = server.requests().remove(1);
    assert!(heard.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{heard}");
    assert!(
        heard.contains(&format!("x-api-key: {key}\r\n")) && !heard.contains("authorization"),
        "{heard}"
    );
    assert!(heard.contains("anthropic-version: 2026-10-21\r\n"), "{heard}");

    let server = Server::start(vec![answer(200, "content-type: application/json\r\n", JSON)]).await;
    let whole = Endpoint {
        stream: false,
        ..once(&server.url)
    };
    assert_eq!(ask(whole).await.expect("an answer").answer.message.calls().count(), 2);
}

#[tokio::test]
async fn trouble_that_passes() {
    let half = &SSE[..SSE.len() / 2];
    let server = Server::start(vec![
        answer(500, "", b"Internal Server Error"),
        vec![Step::Reset],
        answer(429, "retry-after: 0\r\n", br#"{"error":{"message":"slow down"}}"#),
        stream(&[SSE], true),
        stream(&[half], false),
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec()),
            Step::Send(half.to_vec()),
        ],
        vec![],
        stream(&[SSE], true),
    ])
    .await;
    let client = Client::new(endpoint(&server.url)).expect("a good endpoint");
    let classes = |reply: &Reply| reply.attempts.iter().map(|a| a.error.class()).collect::<Vec<_>>();
    let reply = client.complete(&request(), 1).await.expect("an answer");
    assert_eq!(classes(&reply), ["overloaded", "unreachable", "rate_limited"]);
    let reply = client.complete(&request(), 1).await.expect("an answer");
    assert_eq!(classes(&reply), ["broken", "broken", "unreachable"]);
    assert!(matches!(
        &reply.attempts[1].error,
        Error::Broken {
            what: Broken::Cut(_),
            ..
        }
    ));
    assert_eq!(reply.answer.message.calls().count(), 2);
}

#[tokio::test]
async fn a_server_that_always_fails() {
    let server = Server::start(vec![answer(500, "", b"\x1b[31mboom\xff")]).await;
    let failure = ask(endpoint(&server.url)).await.expect_err("no answer");
    assert_eq!((failure.attempts.len(), server.requests().len()), (3, 4));
    let text = failure.to_string();
    assert!(text.contains("status 500): \\u{1b}[31mboom"), "{text}");
}

#[tokio::test]
async fn servers_that_do_not_speak() {
    // Of the deadlines, only the one in question is short, so that a slow machine changes nothing.
    let error = async |script: Vec<Step>, deadlines: Deadlines| {
        let server = Server::start(vec![script]).await;
        let mut endpoint = once(&server.url);
        endpoint.deadlines = deadlines;
        endpoint.limits.body_bytes = usize::MAX;
        let Error::Timeout { which, .. } = ask(endpoint).await.expect_err("no answer").error else {
            panic!()
        };
        server.hung_up.notified().await; // and the connection is closed
        which
    };
    let first_byte = Deadlines {
        first_byte_ms: 50,
        ..Deadlines::default()
    };
    assert_eq!(error(vec![Step::Stall], first_byte).await, Deadline::FirstByte);
    let silent = [stream(&[], false), vec![Step::Stall]].concat();
    assert_eq!(error(silent, first_byte).await, Deadline::FirstByte);
    let idle = Deadlines {
        idle_ms: 50,
        ..Deadlines::default()
    };
    let stalled = [stream(&[&SSE[..100]], false), vec![Step::Stall]].concat();
    assert_eq!(error(stalled, idle).await, Deadline::Idle);
    let total = Deadlines {
        total_ms: 50,
        ..Deadlines::default()
    };
    let endless = vec![Step::Flood(b"2\r\n:\n\r\n".to_vec(), usize::MAX)];
    assert_eq!(
        error([stream(&[], false), endless].concat(), total).await,
        Deadline::Total
    );
}

#[tokio::test]
async fn a_handshake_that_never_ends() {
    let server = Server::start(vec![vec![Step::Stall]]).await;
    let mut endpoint = once(&server.url.replace("http:", "https:"));
    endpoint.deadlines.connect_ms = 100;
    let client = match Client::new(endpoint) {
        Err(SetupError::NoCertificates(why)) => return eprintln!("skipped: this test needs certificates: {why}"),
        client => client.expect("a good endpoint"),
    };
    let error = client.complete(&request(), 1).await.expect_err("no answer").error;
    assert!(
        matches!(
            error,
            Error::Timeout {
                which: Deadline::Connect,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there() {
    // A port that was just given back has no listener.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let failure = ask(endpoint(&url)).await.expect_err("no answer");
    assert_eq!((failure.error.class(), failure.attempts.len()), ("unreachable", 3));
    assert!(failure.to_string().contains("refused"), "{failure}");
}

#[tokio::test]
async fn far_too_much() {
    let head = |extra: &str| Step::Send(format!("HTTP/1.1 200 OK\r\n{extra}\r\n").into_bytes());
    let megabyte = vec![b' '; 1 << 20];
    let chunk = [b"100000\r\n", megabyte.as_slice(), b"\r\n"].concat();
    let limit = Broken::TooLarge {
        what: "the body",
        limit: 32 << 20,
        unit: "bytes",
    };
    let json = "content-type: application/json\r\n";
    assert_eq!(
        broken(vec![head(&format!("{json}content-length: 52428800\r\n")), Step::Stall]).await,
        limit
    );
    let chunked = vec![
        head(&format!("{json}transfer-encoding: chunked\r\n")),
        Step::Flood(chunk.clone(), 50),
    ];
    assert_eq!(broken(chunked).await, limit);
    let unbounded = vec![head(json), Step::Flood(megabyte.clone(), 50)];
    assert_eq!(broken(unbounded).await, limit);
    let mut line = stream(&[b"data: "], false);
    line.push(Step::Flood(chunk, 50));
    assert!(matches!(
        broken(line).await,
        Broken::TooLarge {
            what: "a line of the stream",
            ..
        }
    ));
    let comments = [b"100000\r\n", b":\n".repeat(1 << 19).as_slice(), b"\r\n"].concat();
    let mut events = stream(&[], false);
    events.push(Step::Flood(comments, 50));
    assert_eq!(broken(events).await, limit);
    let endless = vec![
        Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Step::Flood(b"x: y\r\n".repeat(1_000), 50),
    ];
    assert!(matches!(broken(endless).await, Broken::Protocol(_)));
}

#[tokio::test]
async fn too_many_calls() {
    let call = r#"{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}"#;
    let whole = |n: usize| {
        format!(
            r#"{{"choices":[{{"message":{{"tool_calls":[{}]}},"finish_reason":"tool_calls"}}]}}"#,
            vec![call; n].join(",")
        )
    };
    let json = "content-type: application/json\r\n";
    let too_many = broken(answer(200, json, whole(129).as_bytes())).await;
    assert!(matches!(
        too_many,
        Broken::TooLarge {
            what: "the number of tool calls",
            limit: 128,
            ..
        }
    ));
    let far_too_many = broken(answer(200, json, whole(10_000).as_bytes())).await.to_string();
    assert!(
        far_too_many.contains("tool_calls") && far_too_many.contains("more than 4096"),
        "{far_too_many}"
    );
    let events: String = (0..10_000)
        .map(|n| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":{n},\"id\":\"c{n}\",\"function\":{{\"name\":\"f\",\"arguments\":\"{{}}\"}}}}]}}}}]}}\n\n")
        })
        .collect();
    let too_many = broken(stream(&[events.as_bytes()], true)).await;
    assert!(matches!(
        too_many,
        Broken::TooLarge {
            what: "the number of tool calls",
            ..
        }
    ));
}

#[tokio::test]
async fn damaged_answers() {
    let json = "content-type: application/json\r\n";
    let mut invalid = JSON.to_vec();
    invalid[40] = 0xff;
    assert_eq!(
        broken(answer(200, json, &invalid)).await,
        Broken::InvalidUtf8 { at: 40 }
    );
    let mut invalid = SSE.to_vec();
    invalid[40] = 0xff;
    assert_eq!(broken(stream(&[&invalid], true)).await, Broken::InvalidUtf8 { at: 40 });
    assert!(matches!(broken(stream(&[&SSE[..300]], true)).await, Broken::Cut(_)));
    assert!(matches!(broken(stream(&[&SSE[..300]], false)).await, Broken::Cut(_)));
    assert!(matches!(
        broken(answer(200, json, b"<html>")).await,
        Broken::NotJson { .. }
    ));
    let mistyped = br#"{"choices":[{"message":{"content":{}},"finish_reason":"stop"}]}"#;
    let Broken::Field { field, .. } = broken(answer(200, json, mistyped)).await else {
        panic!()
    };
    assert_eq!(field, "choices[0].message.content");
    let not_http = vec![Step::Send(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())];
    assert!(matches!(broken(not_http).await, Broken::Protocol(_)));
    let short = vec![Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{\"choices\"".to_vec(),
    )];
    assert!(matches!(broken(short).await, Broken::Cut(_)));
    let bad_chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec();
    assert!(matches!(broken(vec![Step::Send(bad_chunk)]).await, Broken::Cut(_)));
}

#[tokio::test]
async fn the_key_goes_nowhere_else() {
    let key = std::env::var(KEY).expect("cargo sets it");
    let thief = Server::start(vec![answer(200, "", JSON)]).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = format!("location: {}/chat/completions\r\n", thief.url);
        let server = Server::start(vec![answer(status, &redirect, b"")]).await;
        let failure = ask(endpoint(&server.url)).await.expect_err("no answer");
        assert_eq!((failure.error.class(), server.requests().len()), ("refused", 1));
        assert!(failure.to_string().contains(&thief.url), "{failure}");
    }
    assert_eq!(thief.requests(), Vec::<String>::new());

    let echo = format!(r#"{{"error":{{"message":"Incorrect API key provided: {key}"}}}}"#);
    let server = Server::start(vec![answer(401, "", echo.as_bytes())]).await;
    let failure = ask(endpoint(&server.url)).await.expect_err("no answer");
    let text = format!("{failure} {failure:?}");
    assert!(
        text.contains("provided: $CARGO_MANIFEST_DIR") && !text.contains(&key),
        "{text}"
    );
    assert!(text.contains("environment variable with the key"), "{text}");
    for body in [
        format!("<p>{key}"),
        format!(r#"{{"choices":"{key}"}}"#),
        format!(r#"{{"error":"{key}"}}"#),
    ] {
        let server = Server::start(vec![answer(200, "content-type: application/json\r\n", body.as_bytes())]).await;
        let failure = ask(once(&server.url)).await.expect_err("no answer");
        assert!(!format!("{failure} {failure:?}").contains(&key), "{failure}");
    }
    let body = format!(r#"{{"x":"{key}","choices":[{{"message":{{"content":"ok"}},"finish_reason":"stop"}}]}}"#);
    let server = Server::start(vec![answer(200, "content-type: application/json\r\n", body.as_bytes())]).await;
    let reply = ask(once(&server.url)).await.expect("an answer");
    assert!(reply.answer.raw.contains("$CARGO_MANIFEST_DIR") && !reply.answer.raw.contains(&key));
}

#[tokio::test]
async fn a_dropped_future_closes_the_connection() {
    for begun in [vec![], stream(&[&SSE[..200]], false)] {
        let server = Server::start(vec![[begun, vec![Step::Stall]].concat()]).await;
        let client = Client::new(once(&server.url)).expect("a good endpoint");
        let exchange = tokio::spawn(async move { client.complete(&request(), 1).await });
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        exchange.abort();
        server.hung_up.notified().await;
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        JSON.len()
    );
    let script = vec![Step::Send([head.as_bytes(), JSON].concat()), Step::Stall];
    let server = Server::start(vec![script]).await;
    let client = Client::new(once(&server.url)).expect("a good endpoint");
    client.complete(&request(), 1).await.expect("an answer");
    let again = tokio::time::timeout(std::time::Duration::from_millis(100), client.complete(&request(), 1)).await;
    assert!(again.is_err(), "this server answers only once on each connection");
    assert_eq!(server.requests().len(), 1, "and there was only one");
}

#[tokio::test]
async fn narrower_bounds() {
    let server = Server::start(vec![stream(&[SSE], true)]).await;
    let endpoint = Endpoint {
        limits: Limits {
            argument_bytes: 20,
            ..Limits::default()
        },
        ..once(&server.url)
    };
    let failure = ask(endpoint).await.expect_err("too large");
    assert!(
        failure.to_string().contains("arguments exceeds the limit of 20 bytes"),
        "{failure}"
    );
}
