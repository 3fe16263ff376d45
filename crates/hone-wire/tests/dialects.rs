//! Answers of both dialects in the documented form, whole and streamed.

use hone_wire::{Answer, Broken, Delta, Dialect, Fault, FinishReason, Limits, Part, Usage};
use proptest::prelude::*;

const FIXTURES: [(&str, &str, &str); 4] = [
    (
        "openai",
        include_str!("fixtures/openai_calls.json"),
        include_str!("fixtures/openai_calls.sse"),
    ),
    (
        "openai",
        include_str!("fixtures/vllm_tokens.json"),
        include_str!("fixtures/vllm_tokens.sse"),
    ),
    (
        "openai",
        include_str!("fixtures/openai_refusal.json"),
        include_str!("fixtures/openai_refusal.sse"),
    ),
    (
        "anthropic",
        include_str!("fixtures/anthropic_calls.json"),
        include_str!("fixtures/anthropic_calls.sse"),
    ),
];

fn dialect(name: &str) -> Dialect {
    match name {
        "openai" => Dialect::openai(),
        _ => Dialect::anthropic(),
    }
}

fn whole(name: &str, body: &str) -> Result<Answer, Fault> {
    dialect(name).answer(body.as_bytes(), &Limits::default())
}

fn streamed(name: &str, pieces: &[&[u8]], limits: &Limits) -> Result<(Answer, String), Fault> {
    let mut stream = dialect(name).stream(limits);
    let mut told = String::new();
    for piece in pieces {
        stream.push(piece, &mut |delta| match delta {
            Delta::Text(text) | Delta::Reasoning(text) => told += text,
            Delta::Call { index, name } => told += &format!("<{index} {name}>"),
            Delta::Arguments { index, json } => told += &format!("<{index} {json}>"),
        })?;
    }
    Ok((stream.finish()?, told))
}

fn stream(name: &str, text: &str) -> Result<Answer, Fault> {
    streamed(name, &[text.as_bytes()], &Limits::default()).map(|(answer, _)| answer)
}

fn without_raw(answer: Answer) -> Answer {
    Answer {
        raw: String::new(),
        raw_cut: false,
        ..answer
    }
}

fn field(result: Result<Answer, Fault>) -> (String, String) {
    match result {
        Err(Fault::Broken(Broken::Field { field, why })) => (field, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whole_and_streamed_answers_agree() {
    for (name, body, sse) in FIXTURES {
        let one = whole(name, body).expect("a good answer");
        assert_eq!(one.raw, body);
        let other = stream(name, sse).expect("a good stream");
        assert_eq!(other.raw, sse);
        assert_eq!(without_raw(one), without_raw(other), "{sse}");
    }
}

#[test]
fn openai_calls() {
    let answer = whole("openai", FIXTURES[0].1).expect("a good answer");
    assert_eq!(answer.message.text(), "I'll look both up — één moment.");
    let calls: Vec<_> = answer.message.calls().collect();
    assert_eq!(
        (calls.len(), calls[0].id.as_str(), calls[1].id.as_str()),
        (2, "call_a1", "call_b2")
    );
    assert_eq!(calls[0].arguments.raw, "{\"city\": \"Åre 🏔\", \"unit\": \"celsius\"}");
    assert_eq!(calls[1].arguments.parsed.as_ref().expect("an object")["city"], "Oslo");
    assert_eq!(answer.finish, FinishReason::ToolCalls);
    let usage = Usage {
        input: 82,
        output: 57,
        cached_input: Some(64),
        cache_write: None,
        reasoning: Some(20),
    };
    assert_eq!(answer.usage, Some(usage));
    assert_eq!(
        (answer.id.as_str(), answer.model.as_str()),
        ("chatcmpl-Ab12", "some-model-2026-01-31")
    );
    assert_eq!((answer.logprobs, answer.token_ids), (None, None));
}

#[test]
fn vllm_tokens() {
    let answer = whole("openai", FIXTURES[1].1).expect("a good answer");
    assert_eq!(
        (answer.message.reasoning(), answer.message.text()),
        ("Let me see.".into(), "Yes, né".into())
    );
    assert_eq!(answer.prompt_token_ids, Some(vec![151_644, 872, 198, 151_645, 198]));
    assert_eq!(answer.token_ids, Some(vec![9454, 11, 4066, 151_645]));
    let logprobs = answer.logprobs.expect("asked for");
    assert_eq!(
        logprobs.iter().map(|t| t.logprob).collect::<Vec<_>>(),
        [-0.0123456789, -9999.0, -1.5]
    );
    assert_eq!(
        (logprobs[2].token.as_str(), logprobs[2].top[1].token.as_str()),
        (" né", "No")
    );
    assert_eq!(
        answer.usage.map(|u| (u.input, u.cached_input, u.reasoning)),
        Some((5, None, None))
    );
}

#[test]
fn a_refusal_is_text_and_a_reason() {
    let answer = whole("openai", FIXTURES[2].1).expect("a good answer");
    assert_eq!(answer.message.text(), "I can't help with that.");
    assert_eq!(answer.finish, FinishReason::ContentFilter);
}

#[test]
fn anthropic_calls() {
    let answer = whole("anthropic", FIXTURES[3].1).expect("a good answer");
    let kinds: Vec<&str> = answer
        .message
        .parts
        .iter()
        .map(|part| match part {
            Part::Reasoning { signature, .. } => signature.as_deref().expect("signed"),
            Part::Redacted { data } => data,
            Part::Text { .. } => "text",
            Part::Call(call) => &call.name,
        })
        .collect();
    let expected = [
        "EqQBCgIYAhIM1gbcDa9GJwZA2b3h",
        "EmwKAhgBEgy3va3pzix",
        "text",
        "get_weather",
        "list_cities",
    ];
    assert_eq!(kinds, expected);
    let raws: Vec<_> = answer.message.calls().map(|call| call.arguments.raw.as_str()).collect();
    assert_eq!(raws, ["{\"city\": \"Åre 🏔\", \"unit\": \"celsius\"}", "{}"]);
    assert_eq!(answer.finish, FinishReason::ToolCalls);
    let usage = Usage {
        input: 2_572,
        output: 189,
        cached_input: Some(2_000),
        cache_write: Some(100),
        reasoning: Some(40),
    };
    assert_eq!(answer.usage, Some(usage));
}

#[test]
fn what_is_surfaced_is_what_is_answered() {
    let (_, told) = streamed("anthropic", &[FIXTURES[3].2.as_bytes()], &Limits::default()).expect("good");
    assert_eq!(
        told.replace("><0 ", ""),
        "Two cities, two calls.\nÅre first.I'll look both up — één moment.<0 get_weather{\"city\": \"Åre 🏔\", \"unit\": \"celsius\"}><1 list_cities>"
    );
    let (_, told) = streamed("openai", &[FIXTURES[1].2.as_bytes()], &Limits::default()).expect("good");
    assert_eq!(told, "Let me see.Yes, né");
}

#[test]
fn wrong_types_name_the_field() {
    let body = FIXTURES[0].1;
    for (from, to, path, why) in [
        (
            "\"call_b2\"",
            "7",
            "choices[0].message.tool_calls[1].id",
            "invalid type: integer `7`",
        ),
        (
            "\"{\\\"city\\\": \\\"Oslo\\\"}\"",
            "{\"city\": \"Oslo\"}",
            "choices[0].message.tool_calls[1].function.arguments",
            "invalid type: map",
        ),
        (
            "\"prompt_tokens\": 82",
            "\"prompt_tokens\": -82",
            "usage.prompt_tokens",
            "invalid value",
        ),
        (
            "\"cached_tokens\": 64",
            "\"cached_tokens\": \"64\"",
            "usage.prompt_tokens_details.cached_tokens",
            "string",
        ),
        (
            "\"tool_calls\": [",
            "\"tool_calls\": 3, \"x\": [",
            "choices[0].message.tool_calls",
            "expected a list",
        ),
        (
            "\"logprobs\": null",
            "\"logprobs\": []",
            "choices[0].logprobs",
            "expected an object",
        ),
        ("\"choices\"", "\"choice\"", "choices", "missing"),
        ("\"finish_reason\"", "\"reason\"", "choices[0].finish_reason", "missing"),
        ("\"message\": {", "\"mess\": {", "choices[0]", "missing field `message`"),
    ] {
        assert!(body.contains(from), "{from}");
        let (at, what) = field(whole("openai", &body.replacen(from, to, 1)));
        assert_eq!(at, path);
        assert!(what.contains(why), "{what}");
    }
    let body = FIXTURES[3].1;
    for (from, to, path) in [
        ("\"name\": \"list_cities\",", "", "content[4].name"),
        ("\"input\": {}", "\"inputs\": {}", "content[4].input"),
        (
            "\"signature\": \"",
            "\"signature\": false, \"x\": \"",
            "content[0].signature",
        ),
        ("\"stop_reason\"", "\"reason\"", "stop_reason"),
        ("\"content\"", "\"contents\"", "content"),
        ("\"thinking\": \"Two", "\"think\": \"Two", "content[0].thinking"),
    ] {
        assert!(body.contains(from), "{from}");
        assert_eq!(field(whole("anthropic", &body.replacen(from, to, 1))).0, path);
    }
    let sse = FIXTURES[0]
        .2
        .replacen("\"content\": \" both up\"", "\"content\": [\" both up\"]", 1);
    assert_eq!(field(stream("openai", &sse)).0, "choices[0].delta.content");
    let sse = FIXTURES[3]
        .2
        .replacen("\"partial_json\": \"sius", "\"partial\": \"sius", 1);
    assert_eq!(field(stream("anthropic", &sse)).0, "delta.partial_json");
}

#[test]
fn what_is_not_json_is_shown_harmless() {
    for name in ["openai", "anthropic"] {
        let Err(Fault::Broken(Broken::NotJson { begins, .. })) = whole(name, "\n<html>\u{1b}[2J") else {
            panic!()
        };
        assert_eq!(begins, "<html>\\u{1b}[2J");
        for body in [
            "",
            "{}",
            "null",
            "[]",
            "3",
            "{\"choices\":[],\"content\":3}",
            &"[".repeat(100_000),
            "{} {}",
        ] {
            assert!(matches!(whole(name, body), Err(Fault::Broken(_))), "{body:.40}");
        }
        let invalid = dialect(name).answer(b"{\"id\": \"\xff\"}", &Limits::default());
        assert_eq!(invalid, Err(Fault::Broken(Broken::InvalidUtf8 { at: 8 })));
    }
}

#[test]
fn cut_streams_are_errors_wherever_they_are_cut() {
    for (name, _, sse) in FIXTURES {
        let last = match name {
            "openai" => sse.find("\"finish_reason\": \"").expect("a reason"),
            _ => sse.rfind("data: ").expect("message_stop"),
        };
        for at in (0..last).filter(|at| sse.is_char_boundary(*at)) {
            let cut = stream(name, &sse[..at]);
            assert!(
                matches!(cut, Err(Fault::Broken(Broken::Cut(_)))),
                "{name} at {at}: {cut:?}"
            );
        }
    }
    // An OpenAI stream may end without `[DONE]`, or without the line end behind it.
    let sse = FIXTURES[0].2;
    let without = sse.replace("data: [DONE]\n\n", "");
    assert!(stream("openai", &without).is_ok());
    assert!(stream("openai", sse.trim_end()).is_ok());
    assert!(stream("openai", &format!("{sse}data: rubbish\n\n")).is_ok());
    assert!(matches!(
        stream("openai", "data: [DONE]\n\n"),
        Err(Fault::Broken(Broken::Cut(_)))
    ));
}

#[test]
fn errors_inside_streams() {
    let say = |name: &str, data: &str| match stream(name, &format!("event: error\ndata: {data}\n\n")) {
        Err(Fault::Server(error)) => (error.status, error.message),
        other => panic!("{other:?}"),
    };
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(say("anthropic", overloaded), (Some(529), "Overloaded".into()));
    for (data, status) in [
        (
            r#"{"error":{"message":"m","type":"BadRequestError","param":null,"code":400}}"#,
            Some(400),
        ),
        (r#"{"object":"error","message":"m","type":"x","code":503}"#, Some(503)),
        (
            r#"{"error":{"message":"m","type":"server_error","code":null}}"#,
            Some(500),
        ),
        (r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#, Some(429)),
        (r#"{"error":"m"}"#, None),
        (r#"{"choices":[],"error":{"message":"m","code":99999}}"#, None),
    ] {
        assert_eq!(say("openai", data), (status, "m".into()), "{data}");
    }
    let hostile = format!(r#"{{"error":{{"message":"\u001b[31m{}"}}}}"#, "x".repeat(10_000));
    let (_, message) = say("openai", &hostile);
    assert!(message.starts_with("\\u{1b}[31mx") && message.len() < 600);
    assert!(matches!(
        whole("openai", r#"{"error":{"message":"m"}}"#),
        Err(Fault::Server(_))
    ));
}

#[test]
fn calls_of_servers_that_number_them_in_their_own_way() {
    let calls = |pieces: &[&str]| -> Vec<(String, String, String)> {
        let mut sse: String = pieces
            .iter()
            .map(|p| format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{p}]}}}}]}}\n\n"))
            .collect();
        sse += "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
        let answer = stream("openai", &sse).expect("a good stream");
        let call = |c: &hone_wire::ToolCall| (c.id.clone(), c.name.clone(), c.arguments.raw.clone());
        answer.message.calls().map(call).collect()
    };
    let two = |a: &str, b: &str| {
        vec![
            (a.to_owned(), "f".to_owned(), "{}".to_owned()),
            (b.to_owned(), "g".to_owned(), "[1]".to_owned()),
        ]
    };
    // By id, without an index.
    let by_id = [
        r#"{"id":"a","function":{"name":"f","arguments":"{"}}"#,
        r#"{"id":"b","function":{"name":"g","arguments":"["}}"#,
        r#"{"id":"a","function":{"arguments":"}"}}"#,
        r#"{"id":"b","function":{"arguments":"1]"}}"#,
    ];
    assert_eq!(calls(&by_id), two("a", "b"));
    // Index 0 for all, each whole, with ids.
    let zero = [
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#,
        r#"{"index":0,"id":"b","function":{"name":"g","arguments":"[1"}}"#,
        r#"{"index":0,"function":{"arguments":"]"}}"#,
    ];
    assert_eq!(calls(&zero), two("a", "b"));
    // Nothing but names; the name once more with each piece.
    let bare = [
        r#"{"function":{"name":"f","arguments":"{"}}"#,
        r#"{"function":{"arguments":"}"}}"#,
        r#"{"function":{"name":"g","arguments":"[1]"}}"#,
    ];
    assert_eq!(calls(&bare), two("call_0", "call_1"));
    let repeated = [
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"}"}},{"index":9,"id":"","function":{"name":"g","arguments":"[1]"}}"#,
    ];
    assert_eq!(calls(&repeated), two("a", "call_1"));
}

#[test]
fn bounds_hold() {
    let limits = Limits {
        tool_calls: 2,
        argument_bytes: 50,
        raw_bytes: 10,
        ..Limits::default()
    };
    for (name, body, sse) in FIXTURES {
        let limited = dialect(name).answer(body.as_bytes(), &limits).expect("within bounds");
        assert!(limited.raw_cut && limited.raw.len() <= 10);
        let (limited, _) = streamed(name, &[sse.as_bytes()], &limits).expect("within bounds");
        assert!(limited.raw_cut && limited.raw.len() <= 10);
    }
    for narrow in [
        Limits {
            tool_calls: 1,
            ..limits.clone()
        },
        Limits {
            argument_bytes: 10,
            ..limits.clone()
        },
        Limits {
            body_bytes: 500,
            ..limits.clone()
        },
    ] {
        for (name, body, sse) in [FIXTURES[0], FIXTURES[3]] {
            let whole = dialect(name).answer(body.as_bytes(), &narrow).expect_err("too large");
            assert!(matches!(whole, Fault::Broken(Broken::TooLarge { .. })), "{whole:?}");
            let streamed = streamed(name, &[sse.as_bytes()], &narrow).expect_err("too large");
            assert!(
                matches!(streamed, Fault::Broken(Broken::TooLarge { .. })),
                "{streamed:?}"
            );
        }
    }
    // A list is bounded before its entries take memory, whatever it is a list of.
    let many = vec!["{\"message\":{}}"; 5_000].join(",");
    let (at, why) = field(whole("openai", &format!("{{\"choices\":[{many}]}}")));
    assert!(
        at.starts_with("choices") && why.contains("more than 4096 entries"),
        "{at}: {why}"
    );
    let start = "data: {\"type\":\"message_start\",\"message\":{}}\n\n";
    let blocks: String = (0..5_000)
        .map(|n| {
            format!("data: {{\"type\":\"content_block_start\",\"index\":{n},\"content_block\":{{\"type\":\"x\"}}}}\n\n")
        })
        .collect();
    let error = stream("anthropic", &(start.to_owned() + &blocks)).expect_err("too many");
    assert!(error.to_string().contains("content blocks"), "{error}");
}

#[test]
fn an_anthropic_stream_keeps_its_order() {
    for data in [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"message_stop"}"#,
    ] {
        let error = stream("anthropic", &format!("data: {data}\n\n")).expect_err("no start");
        assert!(matches!(error, Fault::Broken(Broken::Protocol(_))), "{error}");
    }
    let unknown = "data: {\"type\":\"tomorrow\",\"x\":1}\n\n".to_owned() + FIXTURES[3].2;
    assert!(stream("anthropic", &unknown).is_ok());
    let twice = FIXTURES[3].2.replace(
        "\"type\": \"content_block_start\", \"index\": 1",
        "\"type\": \"content_block_start\", \"index\": 0",
    );
    assert!(matches!(
        stream("anthropic", &twice),
        Err(Fault::Broken(Broken::Protocol(_)))
    ));
}

#[test]
fn finish_reasons() {
    for (name, at, pairs) in [
        (
            "openai",
            0,
            vec![
                ("stop", FinishReason::Stop),
                ("length", FinishReason::Length),
                ("content_filter", FinishReason::ContentFilter),
                ("function_call", FinishReason::Other("function_call".into())),
                ("\\u001b", FinishReason::Other("\\u{1b}".into())),
            ],
        ),
        (
            "anthropic",
            3,
            vec![
                ("end_turn", FinishReason::Stop),
                ("stop_sequence", FinishReason::Stop),
                ("max_tokens", FinishReason::Length),
                ("model_context_window_exceeded", FinishReason::Context),
                ("refusal", FinishReason::ContentFilter),
                ("pause_turn", FinishReason::Other("pause_turn".into())),
            ],
        ),
    ] {
        for (word, reason) in pairs {
            let body = FIXTURES[at].1.replace("\"tool_calls\"\n", &format!("\"{word}\"\n"));
            let body = body.replace("\"stop_reason\": \"tool_use\"", &format!("\"stop_reason\": \"{word}\""));
            assert_eq!(whole(name, &body).expect("good").finish, reason);
        }
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answer(
        which in 0usize..FIXTURES.len(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        crlf: bool,
    ) {
        let (name, _, sse) = FIXTURES[which];
        let sse = if crlf { sse.replace('\n', "\r\n") } else { sse.to_owned() };
        let bytes = sse.as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        let limits = Limits::default();
        prop_assert_eq!(streamed(name, &pieces, &limits), streamed(name, &[bytes], &limits));
    }

    #[test]
    fn damage_anywhere_does_no_harm(
        which in 0usize..FIXTURES.len(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..8),
        cut in 0usize..40,
    ) {
        let (name, body, sse) = FIXTURES[which];
        for text in [body, sse] {
            let mut bytes = text.as_bytes().to_vec();
            let from = at.index(bytes.len());
            let to = (from + cut).min(bytes.len());
            bytes.splice(from..to, with.iter().copied());
            let _ = dialect(name).answer(&bytes, &Limits::default());
            let _ = streamed(name, &[&bytes], &Limits::default());
        }
    }

    #[test]
    fn whole_and_streamed_agree_on_any_answer(
        reasoning in "[a-zé🦀 \n]{0,12}",
        text in "[a-zé🦀 \"\\\\\n]{0,20}",
        calls in prop::collection::vec(("[a-z]{1,5}", "[a-zé🦀{}\":, ]{1,20}"), 0..4),
        chunk in 1usize..5,
    ) {
        let pieces = |s: &str| -> Vec<String> {
            s.chars().collect::<Vec<_>>().chunks(chunk).map(|c| c.iter().collect()).collect()
        };
        let json = |v: serde_json::Value| v.to_string();
        let listed: Vec<_> = calls.iter().enumerate().map(|(i, (name, arguments))| serde_json::json!(
            {"id": format!("id{i}"), "type": "function", "function": {"name": name, "arguments": arguments}})).collect();
        let body = json(serde_json::json!({"choices": [{"index": 0, "finish_reason": "stop",
            "message": {"content": text, "reasoning": reasoning, "tool_calls": listed}}]}));
        let mut sse = String::new();
        let mut say = |delta: serde_json::Value, finish: Option<&str>| {
            sse += &format!("data: {}\n\n", json(serde_json::json!(
                {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})));
        };
        for piece in pieces(&reasoning) { say(serde_json::json!({"reasoning": piece}), None); }
        for piece in pieces(&text) { say(serde_json::json!({"content": piece}), None); }
        for (i, (name, arguments)) in calls.iter().enumerate() {
            say(serde_json::json!({"tool_calls": [{"index": i, "id": format!("id{i}"), "function": {"name": name}}]}), None);
            for piece in pieces(arguments) {
                say(serde_json::json!({"tool_calls": [{"index": i, "function": {"arguments": piece}}]}), None);
            }
        }
        say(serde_json::json!({}), Some("stop"));
        sse += "data: [DONE]\n\n";
        let one = whole("openai", &body).map(without_raw);
        prop_assert_eq!(one, stream("openai", &sse).map(without_raw));
    }
}
