//! Request bodies in the documented form. `tests/parity/wire_*.py` compare them with what the official libraries send.

use hone_wire::{
    Anthropic, Assistant, Dialect, Json, MaxTokensField, Message, OpenAi, Part, Request, Settings, ToolCall,
    ToolChoice, ToolDef,
};
use serde_json::{Value, json};

fn conversation() -> Request {
    serde_json::from_str(include_str!("fixtures/conversation.json")).expect("a request")
}

/// Anthropic's dialect as it was while it had sampling settings.
fn older() -> Dialect {
    Dialect::Anthropic(Anthropic {
        version: "2023-06-01".into(),
    })
}

fn body(dialect: &Dialect, request: &Request) -> Value {
    let bytes = dialect.body(request, false).expect("sayable");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn refused(dialect: &Dialect, request: &Request) -> String {
    dialect.body(request, false).expect_err("not sayable").to_string()
}

fn with(settings: Settings) -> Request {
    Request {
        model: "m".into(),
        messages: vec![Message::user("hi")],
        settings,
        ..Request::default()
    }
}

fn tools() -> Vec<ToolDef> {
    vec![ToolDef {
        name: "f".into(),
        description: String::new(),
        parameters: Json::from(&json!({"type": "object"})),
        strict: None,
    }]
}

#[test]
fn openai() {
    let body = body(&Dialect::openai(), &conversation());
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}});
    let expected = json!({
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "You help with the weather."},
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Åre and Oslo, please 🏔"},
            {"role": "assistant", "content": "I'll look both up.", "tool_calls": [
                call("call_1", "{\"unit\": \"celsius\", \"city\": \"Åre\"}"),
                call("call_2", "{\"city\": \"Oslo\""),
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "-7"},
            {"role": "tool", "tool_call_id": "call_2", "content": "error: the arguments are not JSON"},
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": null, "tool_calls": [call("call_3", "{\"city\": \"Oslo\", \"days\": 1.50}")]},
            {"role": "tool", "tool_call_id": "call_3", "content": ""},
            {"role": "assistant", "content": "Nothing for Oslo."},
            {"role": "user", "content": "Thanks."},
        ],
        "tools": [
            {"type": "function", "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": {
                "type": "object",
                "properties": {
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                    "city": {"type": "string"},
                    "days": {"type": "number", "minimum": 0.5},
                },
                "required": ["city"],
            }}},
            {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}, "strict": true}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": false,
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 512,
        "stop": ["END", "\n\n"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "strict": true, "schema": {
            "type": "object",
            "properties": {"z": {"type": "string"}, "a": {"type": "string"}},
            "additionalProperties": false,
            "required": ["z", "a"],
        }}},
        "service_tier": "auto",
        "metadata": {"user_id": "u-1"},
    });
    assert_eq!(body, expected);
}

#[test]
fn anthropic() {
    let body = body(&older(), &conversation());
    let expected = json!([
        {"role": "user", "content": "Åre and Oslo, please 🏔"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Two cities.", "signature": "EqQBCgIYAhIM"},
            {"type": "redacted_thinking", "data": "EmwKAhgBEgy3"},
            {"type": "text", "text": "I'll look both up."},
            {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"unit": "celsius", "city": "Åre"}},
            {"type": "tool_use", "id": "call_2", "name": "get_weather", "input": {"INVALID_JSON": "{\"city\": \"Oslo\""}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "-7"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "error: the arguments are not JSON", "is_error": true},
            {"type": "text", "text": "Go on."},
        ]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "call_3", "name": "get_weather", "input": {"city": "Oslo", "days": 1.5}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_3", "content": ""}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Nothing for Oslo."}]},
        {"role": "user", "content": "Thanks."},
    ]);
    assert_eq!(body["messages"], expected);
    assert_eq!(body["system"], "You help with the weather.\n\nBe brief.");
    let choice = json!({"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true});
    assert_eq!(body["tool_choice"], choice);
    assert_eq!(body["tools"][0]["input_schema"]["required"], json!(["city"]));
    assert_eq!(
        body["tools"][1],
        json!({"name": "stop", "input_schema": {"type": "object", "properties": {}}, "strict": true})
    );
    assert_eq!(body["output_config"]["format"]["type"], "json_schema");
    let numbers = json!([
        body["temperature"],
        body["top_p"],
        body["max_tokens"],
        body["stop_sequences"]
    ]);
    assert_eq!(numbers, json!([0.7, 0.95, 512, ["END", "\n\n"]]));
    assert_eq!(body["metadata"], json!({"user_id": "u-1"}));
}

#[test]
fn schemas_and_arguments_keep_their_order_and_numbers() {
    for dialect in [Dialect::openai(), older()] {
        let text = String::from_utf8(dialect.body(&conversation(), false).expect("sayable")).expect("UTF-8");
        let schema = r#"{"type": "object", "properties": {"unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}, "city": {"type": "string"}, "days": {"type": "number", "minimum": 0.50}}, "required": ["city"]}"#;
        assert!(text.contains(schema), "{text}");
        let days = if dialect == older() {
            r#""days": 1.50"#
        } else {
            r#"\"days\": 1.50"#
        };
        assert!(text.contains(days), "{text}");
    }
}

#[test]
fn streams_are_asked_for() {
    let read = |dialect: Dialect| -> Value {
        let settings = Settings {
            max_tokens: Some(9),
            ..Settings::default()
        };
        serde_json::from_slice(&dialect.body(&with(settings), true).expect("sayable")).expect("JSON")
    };
    let messages = json!([{"role": "user", "content": "hi"}]);
    assert_eq!(
        read(Dialect::openai()),
        json!({"model": "m", "messages": messages, "max_tokens": 9, "stream": true, "stream_options": {"include_usage": true}})
    );
    assert_eq!(
        read(Dialect::anthropic()),
        json!({"model": "m", "messages": messages, "max_tokens": 9, "stream": true})
    );
}

#[test]
fn what_only_openai_has() {
    let settings = Settings {
        seed: Some(-3),
        logprobs: Some(5),
        return_token_ids: true,
        max_tokens: Some(7),
        ..Settings::default()
    };
    let dialect = Dialect::OpenAi(OpenAi {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        reasoning_field: Some("reasoning_content".into()),
    });
    let mut request = with(settings);
    let thought = Part::Reasoning {
        text: "hm".into(),
        signature: None,
    };
    request
        .messages
        .push(Message::Assistant(Assistant { parts: vec![thought] }));
    let sent = body(&dialect, &request);
    let said = json!({"role": "assistant", "content": "", "reasoning_content": "hm"});
    assert_eq!(sent["messages"][1], said);
    assert_eq!(
        (&sent["max_completion_tokens"], &sent["max_tokens"]),
        (&json!(7), &Value::Null)
    );
    assert_eq!(
        (&sent["seed"], &sent["logprobs"], &sent["top_logprobs"]),
        (&json!(-3), &json!(true), &json!(5))
    );
    assert_eq!(sent["return_token_ids"], true);
    request.settings.logprobs = Some(0);
    assert_eq!(body(&dialect, &request).get("top_logprobs"), None);
    for field in ["seed", "logprobs", "return_token_ids"] {
        assert!(refused(&Dialect::anthropic(), &request).contains(&format!("settings.{field}")));
        match field {
            "seed" => request.settings.seed = None,
            "logprobs" => request.settings.logprobs = None,
            _ => request.settings.return_token_ids = false,
        }
    }
    // The thought has no signature: for Anthropic there is nothing left of the message.
    assert_eq!(
        body(&Dialect::anthropic(), &request)["messages"],
        json!([{"role": "user", "content": "hi"}])
    );
}

#[test]
fn tool_choices() {
    for (choice, parallel, openai, anthropic) in [
        (None, None, Value::Null, Value::Null),
        (None, Some(true), Value::Null, Value::Null),
        (
            None,
            Some(false),
            Value::Null,
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (Some(ToolChoice::Auto), None, json!("auto"), json!({"type": "auto"})),
        (
            Some(ToolChoice::None),
            Some(false),
            json!("none"),
            json!({"type": "none"}),
        ),
        (
            Some(ToolChoice::Required),
            Some(true),
            json!("required"),
            json!({"type": "any", "disable_parallel_tool_use": false}),
        ),
    ] {
        let mut request = with(Settings {
            tool_choice: choice.clone(),
            parallel_tool_calls: parallel,
            max_tokens: Some(1),
            ..Settings::default()
        });
        for (dialect, expected) in [(Dialect::openai(), openai), (Dialect::anthropic(), anthropic)] {
            request.tools = tools();
            assert_eq!(body(&dialect, &request)["tool_choice"], expected);
            request.tools.clear();
            match choice {
                Some(ToolChoice::Required) => assert!(refused(&dialect, &request).contains("there are none")),
                _ => assert_eq!(body(&dialect, &request).get("tool_choice"), None),
            }
        }
    }
}

#[test]
fn what_cannot_be_said_is_refused() {
    let anthropic = Dialect::anthropic();
    assert!(refused(&anthropic, &with(Settings::default())).contains("settings.max_tokens"));
    let mut request = with(Settings {
        max_tokens: Some(1),
        ..Settings::default()
    });
    for (temperature, top_p, field) in [(Some(0.0), None, "temperature"), (None, Some(0.9), "top_p")] {
        let mut sampled = request.clone();
        (sampled.settings.temperature, sampled.settings.top_p) = (temperature, top_p);
        assert!(refused(&anthropic, &sampled).contains(&format!("settings.{field}")));
        assert!(body(&older(), &sampled)[field].is_number());
    }
    request.messages.push(Message::user(""));
    assert!(refused(&anthropic, &request).contains("messages[1]"));
    request.messages.pop();
    request.messages.push(Message::system("Now in French."));
    let system = json!({"role": "system", "content": "Now in French."});
    assert_eq!(body(&anthropic, &request)["messages"][1], system);
    request.settings.extra = json!({"max_tokens": 2}).as_object().cloned().expect("an object");
    for dialect in [Dialect::openai(), anthropic] {
        assert!(refused(&dialect, &request).contains("settings.extra.max_tokens"));
    }
}

#[test]
fn an_answer_can_be_sent_back() {
    let raw = "{\"z\":1,\"a\":{\"k\":[1e2]}}";
    let mut request = with(Settings {
        max_tokens: Some(1),
        ..Settings::default()
    });
    request.messages.push(Message::Assistant(Assistant {
        parts: vec![
            Part::Call(ToolCall::new("x", "f", raw)),
            Part::Call(ToolCall::new("y", "f", "")),
        ],
    }));
    let sent = String::from_utf8(Dialect::anthropic().body(&request, false).expect("sayable")).expect("UTF-8");
    assert!(sent.contains(&format!("\"input\":{raw}")), "{sent}");
    assert!(sent.contains(r#""input":{"INVALID_JSON":""}"#), "{sent}");
}
