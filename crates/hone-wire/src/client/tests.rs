//! Deadlines, retries and pace, on a clock that only tests drive and over a network that is a script.

use super::transport::{Chunks, Head, SendError, Transport};
use super::*;
use crate::{Fault, Message, Settings};
use async_trait::async_trait;
use http::HeaderMap;
use http_body_util::Full;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const WHOLE: &str = r#"{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":20}}"#;
const BEGIN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"o\"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"k\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// What a server does with one request. Times in milliseconds.
#[derive(Clone, Default)]
struct Play {
    refuse: Option<fn() -> SendError>,
    head_after: u64,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<(u64, Result<&'static str, &'static str>)>,
}

fn status(status: u16) -> Play {
    Play {
        status,
        body: vec![(0, Ok("{\"error\":{\"message\":\"no\"}}"))],
        ..Play::default()
    }
}

fn json(body: &'static str) -> Play {
    Play {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: vec![(0, Ok(body))],
        ..Play::default()
    }
}

fn sse(body: Vec<(u64, Result<&'static str, &'static str>)>) -> Play {
    Play {
        status: 200,
        headers: vec![("content-type", "text/event-stream; charset=utf-8".into())],
        body,
        ..Play::default()
    }
}

impl Play {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Default)]
struct Stage {
    plays: Mutex<VecDeque<Play>>,
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

struct Script(Arc<Stage>);

struct Telling {
    stage: Arc<Stage>,
    left: VecDeque<(u64, Result<&'static str, &'static str>)>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, _: http::Request<Full<Bytes>>) -> Result<Head, SendError> {
        let stage = &self.0;
        stage.asked.fetch_add(1, Ordering::SeqCst);
        let play = {
            let mut plays = stage.plays.lock().expect("no panic");
            if plays.len() > 1 {
                plays.pop_front()
            } else {
                plays.front().cloned()
            }
            .expect("a play")
        };
        sleep(Duration::from_millis(play.head_after)).await;
        if let Some(refuse) = play.refuse {
            return Err(refuse());
        }
        let now = stage.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        stage.most.fetch_max(now, Ordering::SeqCst);
        let headers = play
            .headers
            .iter()
            .map(|(n, v)| (n.parse().expect("a name"), v.parse().expect("a value")));
        Ok(Head {
            status: play.status,
            headers: headers.collect::<HeaderMap>(),
            body: Box::new(Telling {
                stage: stage.clone(),
                left: play.body.into(),
            }),
        })
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.stage.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Chunks for Telling {
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        let (after, piece) = self.left.front().copied()?;
        sleep(Duration::from_millis(after)).await;
        self.left.pop_front();
        Some(piece.map(|p| Bytes::from_static(p.as_bytes())).map_err(str::to_owned))
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new(Api::OpenAi, "http://model.test/v1")
}

/// A client whose server plays these in turn, the last one for ever.
fn client(endpoint: Endpoint, plays: impl IntoIterator<Item = Play>) -> (Client, Arc<Stage>) {
    let stage = Arc::new(Stage {
        plays: Mutex::new(plays.into_iter().collect()),
        ..Stage::default()
    });
    let address = endpoint.resolve().expect("a good endpoint");
    (Client::over(endpoint, address, Box::new(Script(stage.clone()))), stage)
}

fn request() -> Request {
    Request {
        model: "m".into(),
        messages: vec![Message::user("hi")],
        ..Request::default()
    }
}

async fn fail(endpoint: Endpoint, plays: Vec<Play>) -> (Failure, Duration, usize) {
    let (client, stage) = client(endpoint, plays);
    let start = Instant::now();
    let failure = client.complete(&request(), 1).await.expect_err("a failure");
    (failure, start.elapsed(), stage.asked.load(Ordering::SeqCst))
}

fn classes(attempts: &[Attempt]) -> Vec<&'static str> {
    attempts.iter().map(|a| a.error.class()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_all_kinds_of_trouble() {
    let refused = Play {
        refuse: Some(|| SendError::Unreachable("connection refused".into())),
        ..Play::default()
    };
    let plays = vec![
        status(500),
        refused,
        sse(vec![(10, Ok(BEGIN)), (10, Err("connection reset"))]),
        status(429).header("retry-after", "7"),
        status(529),
        sse(vec![(300, Ok(BEGIN)), (10, Ok(END))]),
    ];
    let (client, stage) = client(endpoint(), plays);
    let reply = client.complete(&request(), 1).await.expect("an answer at last");
    assert_eq!(reply.answer.message.text(), "ok");
    assert_eq!(
        classes(&reply.attempts),
        ["overloaded", "unreachable", "broken", "rate_limited", "overloaded"]
    );
    assert_eq!(stage.asked.load(Ordering::SeqCst), 6);
    let pauses: Vec<u128> = reply.attempts.iter().map(|a| a.pause.as_millis()).collect();
    assert!(
        (250..=500).contains(&pauses[0]) && (500..=1_000).contains(&pauses[1]),
        "{pauses:?}"
    );
    assert!(
        (7_250..=7_500).contains(&pauses[3]) && (4_000..=8_000).contains(&pauses[4]),
        "{pauses:?}"
    );
    assert_eq!(reply.first_byte, Duration::from_millis(300));
    let spent: Duration = reply.attempts.iter().map(|a| a.pause + a.took).sum();
    // The timer ticks in milliseconds.
    assert!(
        reply.total >= spent && reply.total < spent + Duration::from_millis(320),
        "{:?}",
        reply.total
    );
    let again = self::client(endpoint(), [status(500), json(WHOLE)])
        .0
        .complete(&request(), 1)
        .await;
    assert_eq!(
        again.expect("an answer").attempts[0].pause,
        reply.attempts[0].pause,
        "the same seed"
    );
}

#[tokio::test(start_paused = true)]
async fn every_status_has_its_class() {
    for (code, class, asked) in [
        (400, "refused", 1),
        (401, "refused", 1),
        (402, "refused", 1),
        (403, "refused", 1),
        (404, "refused", 1),
        (405, "refused", 1),
        (413, "refused", 1),
        (418, "refused", 1),
        (422, "refused", 1),
        (301, "refused", 1),
        (199, "refused", 1),
        (501, "overloaded", 1),
        (408, "overloaded", 3),
        (409, "overloaded", 3),
        (425, "overloaded", 3),
        (429, "rate_limited", 3),
        (500, "overloaded", 3),
        (502, "overloaded", 3),
        (503, "overloaded", 3),
        (504, "overloaded", 3),
        (529, "overloaded", 3),
    ] {
        let mut endpoint = endpoint();
        endpoint.retry.attempts = 3;
        let (failure, _, times) = fail(endpoint, vec![status(code)]).await;
        assert_eq!((failure.error.class(), times), (class, asked), "{code}");
        assert_eq!(failure.attempts.len(), times - 1);
        let text = failure.to_string();
        assert!(
            text.contains("http://model.test/v1/chat/completions") && text.contains(&code.to_string()),
            "{text}"
        );
        assert_eq!(text.contains("attempt 3"), asked == 3, "{text}");
    }
    let quota = Play {
        body: vec![(
            0,
            Ok("{\"error\":{\"message\":\"no money\",\"code\":\"insufficient_quota\"}}"),
        )],
        ..status(429)
    };
    assert_eq!(fail(endpoint(), vec![quota]).await.0.error.class(), "refused");
}

#[tokio::test(start_paused = true)]
async fn each_deadline_is_kept_and_named() {
    let mut endpoint = endpoint();
    endpoint.retry.attempts = 1;
    endpoint.deadlines = Deadlines {
        connect_ms: 100,
        first_byte_ms: 1_000,
        idle_ms: 300,
        total_ms: 5_000,
    };
    let late = Play {
        head_after: 60_000,
        ..json(WHOLE)
    };
    let silent = sse(vec![(60_000, Ok(BEGIN))]);
    let stalled = sse(vec![(900, Ok(BEGIN)), (60_000, Ok(END))]);
    let dripping = sse(vec![(250, Ok(": still there\n\n")); 1_000]);
    let unconnected = Play {
        refuse: Some(|| SendError::ConnectTimeout),
        head_after: 100,
        ..Play::default()
    };
    for (play, which, millis) in [
        (late, Deadline::FirstByte, 1_000),
        (silent, Deadline::FirstByte, 1_000),
        (stalled, Deadline::Idle, 1_200),
        (dripping, Deadline::Total, 5_000),
        (unconnected, Deadline::Connect, 100),
    ] {
        let (failure, took, _) = fail(endpoint.clone(), vec![play]).await;
        assert!(
            matches!(failure.error, Error::Timeout { which: w, .. } if w == which),
            "{failure}"
        );
        assert!(
            (millis..millis + 5).contains(&took.as_millis()),
            "{took:?} for {failure}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_deadline_covers_the_pauses() {
    let mut endpoint = endpoint();
    endpoint.deadlines.total_ms = 10_000;
    endpoint.retry.attempts = 100;
    let (failure, took, asked) = fail(endpoint.clone(), vec![status(503)]).await;
    assert!(took < Duration::from_secs(10) && asked > 3, "{took:?} {asked}");
    assert_eq!(failure.error.class(), "overloaded");
    let told = status(429).header("retry-after", "11");
    assert_eq!(fail(endpoint, vec![told]).await.2, 1);
    let far = status(503).header("retry-after", "121");
    assert_eq!(fail(self::endpoint(), vec![far]).await.2, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_surfaced_is_not_repeated() {
    let cut = || sse(vec![(0, Ok(BEGIN)), (0, Err("reset"))]);
    let (client, stage) = client(endpoint(), [status(500), cut(), json(WHOLE)]);
    let mut told = String::new();
    let mut tell = |delta: Delta<'_>| {
        if let Delta::Text(text) = delta {
            told += text;
        }
    };
    let failure = client
        .stream(&request(), 1, &mut tell)
        .await
        .expect_err("half an answer");
    assert_eq!(
        (failure.error.class(), classes(&failure.attempts)),
        ("broken", vec!["overloaded"])
    );
    assert_eq!(stage.asked.load(Ordering::SeqCst), 2);
    client.stream(&request(), 1, &mut tell).await.expect("an answer");
    assert_eq!(told, "ook");
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_not_repeated() {
    let mistyped = "{\"choices\":[{\"message\":{\"content\":3}}]}";
    for play in [json(mistyped), json("<html>"), sse(vec![(0, Ok("data: x\n\n"))])] {
        let (failure, _, asked) = fail(endpoint(), vec![play]).await;
        assert_eq!((failure.error.class(), asked), ("broken", 1), "{failure}");
    }
    let zipped = json(WHOLE).header("content-encoding", "gzip");
    assert!(
        fail(endpoint(), vec![zipped])
            .await
            .0
            .to_string()
            .contains("encoded as `gzip`")
    );
    let huge = json(WHOLE).header("content-length", "99999999999");
    assert!(
        fail(endpoint(), vec![huge])
            .await
            .0
            .to_string()
            .contains("33554432 bytes")
    );
    let inside = "data: {\"error\":{\"message\":\"odd\"}}\n\n";
    let (failure, _, asked) = fail(endpoint(), vec![sse(vec![(0, Ok(inside))])]).await;
    assert_eq!((failure.error.class(), asked), ("overloaded", 6));
}

#[tokio::test(start_paused = true)]
async fn a_server_may_stream_or_not_whatever_was_asked() {
    for stream in [true, false] {
        let endpoint = Endpoint { stream, ..endpoint() };
        let untyped = Play {
            headers: vec![],
            ..if stream {
                sse(vec![(0, Ok(BEGIN)), (0, Ok(END))])
            } else {
                json(WHOLE)
            }
        };
        for play in [json(WHOLE), sse(vec![(0, Ok(BEGIN)), (0, Ok(END))]), untyped] {
            let (client, _) = client(endpoint.clone(), [play]);
            let mut told = String::new();
            let reply = client
                .stream(&request(), 1, &mut |delta| told += &format!("{delta:?}"))
                .await;
            assert_eq!(reply.expect("an answer").answer.message.text(), "ok");
            assert!(told.contains("Text"), "{told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_words_is_not_sent() {
    let (client, stage) = client(endpoint(), [json(WHOLE)]);
    let mut request = request();
    request.settings.extra.insert("model".into(), "x".into());
    let failure = client.complete(&request, 1).await.expect_err("refused");
    assert_eq!(
        (failure.error.class(), stage.asked.load(Ordering::SeqCst)),
        ("unsayable", 0)
    );
    assert!(failure.to_string().contains("settings.extra.model"), "{failure}");
}

async fn many(client: &Client, n: usize, settings: Settings) -> (Duration, Vec<Reply>) {
    let start = Instant::now();
    let tasks: Vec<_> = (0..n)
        .map(|seed| {
            let client = client.clone();
            let request = Request {
                settings: settings.clone(),
                ..request()
            };
            tokio::spawn(async move { client.complete(&request, seed as u64).await })
        })
        .collect();
    let mut replies = vec![];
    for task in tasks {
        replies.push(task.await.expect("no panic").expect("an answer"));
    }
    (start.elapsed(), replies)
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded_and_waiting_is_not_held_against_them() {
    let mut endpoint = endpoint();
    endpoint.pace.in_flight = 3;
    endpoint.deadlines.total_ms = 2_000;
    let (client, stage) = client(endpoint, [sse(vec![(1_000, Ok(BEGIN)), (0, Ok(END))])]);
    let (took, replies) = many(&client, 12, Settings::default()).await;
    assert_eq!(stage.most.load(Ordering::SeqCst), 3);
    assert!((4_000..4_100).contains(&took.as_millis()), "{took:?}");
    assert!(replies.iter().any(|r| r.queued >= Duration::from_secs(3)));
    assert!(replies.iter().all(|r| r.total < Duration::from_millis(1_100)));
}

#[tokio::test(start_paused = true)]
async fn requests_and_tokens_a_minute_are_bounded() {
    let mut endpoint = endpoint();
    endpoint.pace.requests_per_minute = Some(120);
    let (client, _) = client(endpoint.clone(), [json(WHOLE)]);
    let (took, _) = many(&client, 10, Settings::default()).await;
    assert!((4_000..4_100).contains(&took.as_millis()), "{took:?}"); // 2 at once, then 2 a second
    endpoint.pace.requests_per_minute = None;
    endpoint.pace.tokens_per_minute = Some(6_000); // 100 a second; each answer says that it cost 120
    let (client, _) = self::client(endpoint, [json(WHOLE)]);
    let settings = Settings {
        max_tokens: Some(1_000),
        ..Settings::default()
    };
    let mut times = vec![];
    for _ in 0..4 {
        times.push(many(&client, 1, settings.clone()).await.0.as_millis());
    }
    // What was estimated too high is given back: 100 in stock, then a debt of 20, then 120 for each.
    assert!(times[0] < 5 && (195..=205).contains(&times[1]), "{times:?}");
    assert!(times[2..].iter().all(|t| (1_195..=1_205).contains(t)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_costs_no_tokens() {
    let mut endpoint = endpoint();
    endpoint.pace.tokens_per_minute = Some(6_000);
    let (client, _) = client(endpoint, [status(500), json(WHOLE)]);
    let settings = Settings {
        max_tokens: Some(100_000),
        ..Settings::default()
    };
    assert!(many(&client, 1, settings).await.0 < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn one_rate_limit_holds_all() {
    let mut endpoint = endpoint();
    endpoint.pace.in_flight = 1;
    let (client, stage) = client(endpoint, [status(429).header("retry-after", "20"), json(WHOLE)]);
    let (took, replies) = many(&client, 4, Settings::default()).await;
    assert_eq!(stage.asked.load(Ordering::SeqCst), 5);
    assert!((20_000..21_000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(replies.iter().map(|r| r.attempts.len()).sum::<usize>(), 1);
    assert_eq!(
        replies.iter().filter(|r| r.queued >= Duration::from_secs(20)).count(),
        3
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_ends_its_exchange_and_frees_its_place() {
    let mut endpoint = endpoint();
    endpoint.pace.in_flight = 1;
    let stalled = sse(vec![(0, Ok(BEGIN)), (50_000, Ok(END))]);
    let (client, stage) = client(endpoint, [stalled, json(WHOLE)]);
    let given_up = tokio::time::timeout(Duration::from_secs(1), client.complete(&request(), 1)).await;
    assert!(given_up.is_err());
    assert_eq!(stage.under_way.load(Ordering::SeqCst), 0);
    client.complete(&request(), 1).await.expect("the place is free");
}

#[test]
fn endpoints_are_checked_as_a_whole() {
    let error = |change: &dyn Fn(&mut Endpoint)| {
        let mut endpoint = endpoint();
        change(&mut endpoint);
        endpoint.resolve().err().expect("refused").to_string()
    };
    for (url, why) in [
        ("", "begin with `https://`"),
        ("model.test/v1", "must look like"),
        ("ftp://model.test", "begin with `https://`"),
        ("http://user:hunter22@model.test/v1", "user or a password"),
        ("http://model.test/v1?key=hunter22", "before any `?`"),
        ("http://model test", "must look like"),
        ("/v1", "begin with"),
    ] {
        let text = error(&|e| e.base_url = url.into());
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("hunter22"), "{text}");
    }
    assert!(error(&|e| e.key_env = Some("HONE_TEST_UNSET".into())).contains("export HONE_TEST_UNSET="));
    assert!(error(&|e| e.deadlines.idle_ms = 0).contains("deadlines.idle_ms"));
    assert!(error(&|e| e.deadlines.total_ms = u64::MAX).contains("deadlines.total_ms"));
    assert!(error(&|e| e.retry.max_retry_after_ms = u64::MAX).contains("30 days"));
    assert!(error(&|e| e.limits.tool_calls = 5_000).contains("at most 4096"));
    assert!(error(&|e| e.pace.requests_per_minute = Some(0)).contains("pace.requests_per_minute"));
    for (name, value) in [
        ("Host", "x"),
        ("X-Api-Key", "hunter22"),
        ("Authorization", "Bearer hunter22"),
        ("content-length", "1"),
        ("a b", "x"),
        ("x-a", "two\nlines"),
    ] {
        let text = error(&|e| {
            e.headers.insert(name.into(), value.into());
        });
        assert!(text.contains("header `") && !text.contains("hunter22"), "{text}");
    }
    let uri = |api, base: &str| Endpoint::new(api, base).resolve().map(|a| a.uri.to_string());
    let openai = "https://api.openai.com/v1/chat/completions";
    assert_eq!(uri(Api::OpenAi, "https://api.openai.com/v1/"), Ok(openai.into()));
    let anthropic = "https://api.anthropic.com/v1/messages";
    assert_eq!(uri(Api::Anthropic, "https://api.anthropic.com"), Ok(anthropic.into()));
    assert_eq!(
        uri(Api::Anthropic, "https://api.anthropic.com/v1"),
        Ok(anthropic.into())
    );
}

#[test]
fn an_endpoint_is_a_table_of_settings() {
    let text = r#"
        api = "openai"
        base_url = "http://localhost:8000/v1"
        stream = false
        [openai]
        max_tokens_field = "max_completion_tokens"
        [retry]
        attempts = 2
    "#;
    let endpoint: Endpoint = toml::from_str(text).expect("a table");
    assert!(!endpoint.stream && endpoint.retry.attempts == 2 && endpoint.retry.base_ms == 500);
    assert!(toml::from_str::<Endpoint>(&text.replace("attempts", "attempt")).is_err());
    let round: Endpoint = toml::from_str(&toml::to_string(&endpoint).expect("a table")).expect("a table");
    assert_eq!(round, endpoint);
}

#[test]
fn faults_say_what_they_are() {
    let fault = Fault::Broken(Broken::InvalidUtf8 { at: 7 });
    assert_eq!(
        fault.to_string(),
        "the answer is broken: it is not valid UTF-8 at byte 7"
    );
}
