use super::*;
use proptest::prelude::*;

fn calls(of: &[(&str, Value)]) -> AgentTurn {
    let calls = of
        .iter()
        .map(|(name, arguments)| CallRequest::new(*name, arguments.clone()));
    AgentTurn::Calls {
        content: String::new(),
        calls: calls.collect(),
    }
}

fn format(name: &str) -> CallFormat {
    CallFormat::named(name).unwrap()
}

/// As the models write them: the examples of their model cards.
#[test]
fn published_answers_are_read() {
    let weather = json!({"location": "Paris, France", "unit": "celsius"});
    let two = [("get_weather", weather.clone()), ("now", json!({}))];
    for (name, text) in [
        (
            "hermes",
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Paris, France\", \"unit\": \"celsius\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
        ),
        (
            "llama3_json",
            "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"location\": \"Paris, France\", \"unit\": \"celsius\"}}; {\"name\": \"now\", \"parameters\": {}}",
        ),
        (
            "pythonic",
            "[get_weather(location='Paris, France', unit=\"celsius\"), now()]",
        ),
        (
            "mistral",
            "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Paris, France\", \"unit\": \"celsius\"}}, {\"name\": \"now\", \"arguments\": {}}]",
        ),
        (
            "mistral",
            "[TOOL_CALLS]get_weather[ARGS]{\"location\": \"Paris, France\", \"unit\": \"celsius\"}[TOOL_CALLS]now{}",
        ),
        (
            "json",
            "[{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Paris, France\", \"unit\": \"celsius\"}}, {\"name\": \"now\"}]",
        ),
    ] {
        assert_eq!(format(name).parse(text), Ok(calls(&two)), "{text}");
    }
    let said = format("hermes").parse("Let me see.\n<tool_call>\n{\"name\": \"now\"}");
    assert_eq!(said, Ok(calls(&two[1..]).after("Let me see.")));
}

#[test]
fn answers_stay_answers() {
    for (name, text) in [
        ("hermes", "It is {\"name\": \"x\"}."),
        ("llama3_json", "{\"temperature\": 3}"),
        ("llama3_json", "{not json}"),
        ("json", "[1, 2]"),
        ("json", "[{\"a\": 1}]"),
        ("json", "{\"name\": \"Alice\", \"age\": 3}"),
        ("llama3_json", "[{\"name\": \"Alice\"}, {\"name\": \"Bob\"}]"),
        ("pythonic", "[see above]"),
        ("pythonic", "[1](http://x)"),
        ("mistral", "Paris"),
        ("json", ""),
    ] {
        assert_eq!(format(name).parse(text), Ok(AgentTurn::Say(text.into())), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_of_its_kind() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let long = "x".repeat(MAX_CALL_BYTES);
    let many = "<tool_call>{\"name\": \"a\"}</tool_call>".repeat(MAX_CALLS + 1);
    let is = |name: &str, text: &str| format(name).parse(text).unwrap_err();
    assert_eq!(
        is("hermes", "<tool_call>{\"name\": \"a\""),
        CallError::Unclosed("</tool_call>")
    );
    assert!(matches!(
        is("hermes", "<tool_call>{a}</tool_call>"),
        CallError::Json(_, "arguments")
    ));
    assert_eq!(
        is("hermes", "<tool_call>{\"name\": \"\"}</tool_call>"),
        CallError::Nameless
    );
    assert_eq!(is("hermes", "<tool_call>[]</tool_call>"), CallError::Nameless);
    assert_eq!(
        is("json", "{\"name\": \"a\", \"arguments\": {}} {\"b\": 1}"),
        CallError::Nameless
    );
    assert_eq!(is("hermes", &many), CallError::TooMany);
    assert_eq!(
        is("hermes", &format!("<tool_call>{deep}</tool_call>")),
        CallError::TooDeep
    );
    assert_eq!(is("mistral", &format!("[TOOL_CALLS][\"{long}\"]")), CallError::TooLong);
    assert!(matches!(
        is("llama3_json", "{\"name\": \"a\", \"parameters\": "),
        CallError::Json(_, "parameters")
    ));
    assert!(matches!(
        is("llama3_json", "<|python_tag|>print(1)"),
        CallError::Json(..)
    ));
    for text in [
        "[f(1)]",
        "[f(a=b)]",
        "[f(a=1, a=2)]",
        "[f(a=1)",
        "[f(a=1), 2]",
        "[f(**a)]",
        "[f(a=g())]",
    ] {
        assert!(matches!(is("pythonic", text), CallError::Python(_)), "{text}");
    }
    // The name is known: the other calls are none the worse for it.
    let AgentTurn::Calls { calls, .. } = format("json").parse("{\"name\": \"a\", \"arguments\": \"x\"}").unwrap()
    else {
        panic!("no calls");
    };
    assert!(calls[0].malformed.is_some());
}

#[test]
fn a_template_tells_its_format() {
    for (template, name) in [
        ("… <tool_call></tool_call> …", "hermes"),
        ("{{ '[TOOL_CALLS]' }}", "mistral"),
        ("<|python_tag|>", "llama3_json"),
        ("[func_name1(params_name1=params_value1)]", "pythonic"),
        ("{{ tools | tojson }}", "json"),
    ] {
        assert_eq!(CallFormat::of_template(template).name, name);
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        "[ -~é語\n\t]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z ]{1,5}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What a format writes it reads, whatever the arguments hold short of its own markers.
    #[test]
    fn calls_come_back_as_they_were_written(
        all in prop::collection::vec(("[a-z_]{1,8}x", prop::collection::btree_map("[a-z]{1,5}x", value(), 0..4)), 1..4),
        said in "[a-zA-Z ,.]{0,20}",
    ) {
        for format in CallFormat::ALL {
            let calls: Vec<CallRequest> = all
                .iter()
                .map(|(name, arguments)| CallRequest::new(name, Value::Object(arguments.clone().into_iter().collect())))
                .collect();
            let content = match format.body {
                Body::Tagged | Body::Array => said.trim().to_owned(),
                Body::Objects | Body::Python => String::new(),
            };
            let text = format.render(&content, &calls);
            prop_assert_eq!(format.parse(&text), Ok(AgentTurn::Calls { content, calls }), "{}: {}", format.name, text);
        }
    }

    /// Any text gives a turn or an error, in bounded time.
    #[test]
    fn no_text_does_harm(text in "(<tool_call>|</tool_call>|\\[TOOL_CALLS\\]|\\[ARGS\\]|<\\|python_tag\\|>|[\\[\\](){}\"':;,=a1 ]|name|arguments|é){0,40}") {
        for format in CallFormat::ALL {
            let _ = format.parse(&text);
        }
    }
}
