//! Our server and our client, over HTTP, in both eras of the protocol.

mod support;

use hone_mcp::serve::{HttpOptions, HttpServer, Offer, Settings};
use hone_mcp::{Connection, Error, Limits, McpToolset, Protocol, ServerConfig};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::ToolErrorClass;
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use support::{class, play};

const MINUTE: Duration = Duration::from_secs(60);

/// A world that counts.
struct Counter(i64);

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let spec = |name: &str, properties: Value| ToolSpec {
        name: name.into(),
        description: format!("Does {name}."),
        input_schema: json!({"type": "object", "properties": properties, "additionalProperties": false}),
        annotations: Annotations::default(),
        version: "1".into(),
        unchecked: false,
    };
    let mut specs = vec![
        spec("add", json!({"n": {"type": "integer"}})),
        spec("fail", json!({})),
        spec("panic", json!({})),
        spec("long", json!({})),
    ];
    specs.extend((0..250).map(|i| spec(&format!("spare{i}"), json!({}))));
    specs
});

impl ToolHost for Counter {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        match tool {
            "add" => {
                self.0 += arguments["n"].as_i64().unwrap_or(1);
                Ok(ToolOutput::json(json!({"total": self.0})))
            }
            "long" => Ok(ToolOutput::json(json!("x".repeat(1 << 20)))),
            "panic" => panic!("as it was asked to"),
            _ => Err(ToolError::tool("it does not want to")),
        }
    }
}

/// A server on a free port, for the rest of the program; its URL.
fn serve(settings: Settings, options: HttpOptions) -> String {
    let make = || Ok(Box::new(Counter(0)) as Box<dyn ToolHost>);
    let offer = Offer::new("counter", "Counts.", settings, Arc::new(make)).unwrap();
    let server = HttpServer::bind(&offer, ([127, 0, 0, 1], 0).into(), &options).unwrap();
    let url = format!("http://{}/mcp", server.address());
    std::thread::spawn(move || server.run());
    url
}

fn plain() -> String {
    serve(Settings::default(), HttpOptions::default())
}

fn config(url: &str, protocol: Protocol) -> ServerConfig {
    ServerConfig {
        protocol,
        ..ServerConfig::url(url)
    }
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn both_eras_are_negotiated_and_what_is_not_forced_is_the_newer() {
    let url = plain();
    on_runtime(async {
        for (protocol, revision) in [
            (Protocol::Initialize, "2025-11-25"),
            (Protocol::Discover, "2026-07-28"),
            (Protocol::Auto, "2026-07-28"),
        ] {
            let connection = Connection::open(&config(&url, protocol)).await.unwrap();
            assert_eq!(connection.info().protocol, revision);
            assert_eq!(
                (connection.info().name.as_str(), connection.info().instructions.as_str()),
                ("hone-counter", "Counts.")
            );
            let tools = connection.tools().await.unwrap();
            assert_eq!(tools.len(), 254, "page by page");
            assert_eq!(tools[0].spec.input_schema, SPECS[0].input_schema);
            assert_eq!(tools[0].spec.annotations, SPECS[0].annotations);
            let result = connection
                .call("add", object(json!({"n": 2})), MINUTE, None)
                .await
                .unwrap();
            assert!(result.structured.unwrap()["total"].as_i64().unwrap() >= 2);
            connection.close().await;
        }
    });
}

#[test]
fn each_session_has_its_own_world_and_the_newer_era_one_for_all() {
    let url = plain();
    on_runtime(async {
        let add = |connection: Arc<Connection>| async move {
            let result = connection
                .call("add", object(json!({"n": 1})), MINUTE, None)
                .await
                .unwrap();
            result.structured.unwrap()["total"].as_i64().unwrap()
        };
        let open = |protocol| {
            let config = config(&url, protocol);
            async move { Arc::new(Connection::open(&config).await.unwrap()) }
        };
        let (a, b) = (open(Protocol::Initialize).await, open(Protocol::Initialize).await);
        assert_eq!((add(a.clone()).await, add(a).await, add(b).await), (1, 2, 1));
        let (a, b) = (open(Protocol::Discover).await, open(Protocol::Discover).await);
        assert_eq!((add(a.clone()).await, add(b).await, add(a).await), (1, 2, 3));
    });
}

#[test]
fn errors_come_as_text_that_a_model_can_read() {
    let url = plain();
    on_runtime(async {
        let connection = Connection::open(&config(&url, Protocol::Initialize)).await.unwrap();
        for (tool, arguments, says) in [
            ("fail", json!({}), "it does not want to"),
            ("add", json!({"m": 1}), "unknown `m`; allowed are `n`"),
            ("add", json!({"n": "one"}), "`n` is not of type \"integer\""),
        ] {
            let result = connection.call(tool, object(arguments), MINUTE, None).await.unwrap();
            assert!(result.is_error && result.text.contains(says), "{}", result.text);
        }
        let error = connection.call("subtract", Map::new(), MINUTE, None).await.unwrap_err();
        assert!(matches!(error, Error::Refused { code: -32602, .. }), "{error}");
        let long = connection.call("long", Map::new(), MINUTE, None).await.unwrap();
        assert!(long.text.len() < 101_000, "the text is bounded");
        // A world that broke says so; a new client has a new one.
        let broken = connection.call("panic", Map::new(), MINUTE, None).await.unwrap();
        assert!(
            broken.is_error && broken.text.contains("as it was asked to"),
            "{}",
            broken.text
        );
        let after = connection.call("add", Map::new(), MINUTE, None).await.unwrap_err();
        assert!(after.to_string().contains("connect again"), "{after}");
        let fresh = Connection::open(&config(&url, Protocol::Initialize)).await.unwrap();
        assert!(fresh.call("add", Map::new(), MINUTE, None).await.is_ok());
    });
}

#[test]
fn a_thousand_calls_at_the_same_time_over_one_server() {
    let url = plain();
    for protocol in [Protocol::Initialize, Protocol::Discover] {
        on_runtime(async {
            let connection = Arc::new(Connection::open(&config(&url, protocol)).await.unwrap());
            let calls: Vec<_> = (0..1000)
                .map(|_| {
                    let connection = connection.clone();
                    tokio::spawn(async move { connection.call("add", object(json!({"n": 1})), MINUTE, None).await })
                })
                .collect();
            let mut totals = Vec::new();
            for call in calls {
                totals.push(
                    call.await.unwrap().unwrap().structured.unwrap()["total"]
                        .as_i64()
                        .unwrap(),
                );
            }
            totals.sort_unstable();
            assert_eq!(
                totals,
                (1..=1000).collect::<Vec<_>>(),
                "{protocol:?}: each call once, none lost"
            );
        });
    }
}

#[test]
fn a_token_is_wanted_where_it_is_set_and_never_told() {
    // SAFETY: no other test of this program reads or writes these variables.
    unsafe {
        std::env::set_var("HONE_TEST_TOKEN", "a-token-of-ours");
        std::env::set_var("HONE_TEST_OTHER", "another-token");
    }
    let url = serve(
        Settings::default(),
        HttpOptions {
            bearer_env: Some("HONE_TEST_TOKEN".into()),
            ..HttpOptions::default()
        },
    );
    let with = |variable: Option<&str>, protocol| {
        let bearer_env = variable.map(str::to_owned);
        McpToolset::connect(&ServerConfig {
            bearer_env,
            ..config(&url, protocol)
        })
    };
    for protocol in [Protocol::Auto, Protocol::Initialize] {
        assert!(with(Some("HONE_TEST_TOKEN"), protocol).is_ok());
        let error = with(None, protocol).err().unwrap().to_string();
        assert!(error.contains("401") && error.contains("`bearer_env`"), "{error}");
        let error = with(Some("HONE_TEST_OTHER"), protocol).err().unwrap().to_string();
        assert!(
            error.contains("does not accept the token in Key($HONE_TEST_OTHER)"),
            "{error}"
        );
        assert!(!error.contains("another-token"));
    }
    let open = Offer::new(
        "open",
        "",
        Settings::default(),
        Arc::new(|| Ok(Box::new(Counter(0)) as Box<dyn ToolHost>)),
    );
    let everywhere = ([0, 0, 0, 0], 0).into();
    let error = HttpServer::bind(&open.unwrap(), everywhere, &HttpOptions::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("ask for a token"), "{error}");
}

#[test]
fn clients_beyond_the_bound_are_refused() {
    let url = serve(
        Settings {
            max_worlds: 2,
            ..Settings::default()
        },
        HttpOptions::default(),
    );
    on_runtime(async {
        let open = || async { Connection::open(&config(&url, Protocol::Initialize)).await };
        let (a, _b) = (open().await.unwrap(), open().await.unwrap());
        let error = open().await.err().unwrap().to_string();
        assert!(error.contains("as many clients as it takes"), "{error}");
        a.close().await;
        // The session's end reaches the server after the client has gone.
        for _ in 0..100 {
            if open().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a place never came free");
    });
}

#[test]
fn what_is_no_server_is_told_as_such() {
    let url = plain();
    for (url, says) in [
        (url.replace("/mcp", "/other"), "the server is at /mcp"),
        ("http://127.0.0.1:1/mcp".to_owned(), "Connection refused"),
    ] {
        let error = McpToolset::connect(&config(&url, Protocol::Auto)).err().unwrap();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.class(), ToolErrorClass::Infrastructure);
    }
}

#[test]
fn large_answers_end_the_connection_over_http_too() {
    let url = plain();
    for protocol in [Protocol::Initialize, Protocol::Discover] {
        let mut config = config(&url, protocol);
        config.limits = Limits {
            message_bytes: 200_000,
            ..Limits::default()
        };
        let host = McpToolset::connect(&config).unwrap();
        let (back, record) = play(host, "long", json!({}));
        // The server cuts text at 100,000 characters and gives a string as text only, so this passes …
        assert_eq!(class(&record), None, "{}", record.shown);
        config.limits.message_bytes = 50_000;
        drop(back);
        // … and this does not.
        let error = match McpToolset::connect(&config) {
            Ok(host) => play(host, "long", json!({})).1.shown,
            Err(error) => error.to_string(),
        };
        assert!(error.contains("more than 50000 bytes"), "{error}");
    }
}

#[test]
fn a_web_page_may_call_only_what_it_came_from() {
    use std::io::{Read, Write};
    let url = plain();
    let address = url.trim_start_matches("http://").trim_end_matches("/mcp");
    let port = address.rsplit(':').next().unwrap();
    let status = |origin: &str| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"page","version":"1"}}}"#;
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(MINUTE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    for origin in [format!("http://{address}"), format!("http://localhost:{port}")] {
        assert_eq!(status(&origin), "HTTP/1.1 200", "{origin}");
    }
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        "http://localhost:1".to_owned(),
        format!("https://localhost:{port}"),
        "null".to_owned(),
    ] {
        assert_eq!(status(&origin), "HTTP/1.1 403", "{origin}");
    }
}
