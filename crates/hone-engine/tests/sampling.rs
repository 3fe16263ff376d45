//! Constrained decoding, with models that know nothing: whatever they would say, what comes out fits.

use hone_engine::{Architecture, Bounds, Config, Sampler, Weights};
use hone_model::{AgentTurn, Codec, Conversation, Message, Model, ModelError, Request, train_tokenizer};
use hone_tool::{ToolSpec, Toolset};
use hone_trace::{Constraint, FinishReason, ModelCall, Origin, SamplingSettings, Stream};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::{Arc, LazyLock};

static CODEC: LazyLock<Arc<Codec>> = LazyLock::new(|| {
    let text =
        "the order of a user {\"name\": \"get\", \"arguments\": {\"city\": \"x\", \"count\": 10}} true false null";
    let codec = train_tokenizer(std::iter::repeat_n(text.to_owned(), 8), 400).unwrap();
    Arc::new(codec.with_several_calls().unwrap())
});

fn sampler(context: usize, bounds: Bounds, threads: usize) -> Sampler {
    let config = Config {
        vocab_size: CODEC.vocab_size(),
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        intermediate_size: 16,
        rope_theta: 10_000.0,
        rms_norm_eps: 1e-6,
        max_position_embeddings: context,
        model_type: Architecture::Llama,
        tie_word_embeddings: true,
        rope_scaling: None,
    };
    let weights = Arc::new(Weights::random(config, &Stream::new(1)).unwrap());
    Sampler::bounded("random", CODEC.clone(), weights, 0, threads, bounds)
}

fn tool(name: &str, schema: Value) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: String::new(),
        input_schema: schema,
        annotations: Default::default(),
        version: String::new(),
        unchecked: false,
    }
}

fn ask(
    sampler: &Sampler,
    tools: &Arc<Toolset>,
    settings: SamplingSettings,
    seed: u64,
) -> Result<(AgentTurn, ModelCall), ModelError> {
    let mut conversation = Conversation {
        messages: vec![Message::User("go".into())],
        ..Conversation::default()
    };
    let request = Request {
        sampling: settings,
        stream: Stream::new(seed),
        call_id: 0,
        tools: tools.clone(),
        on_token: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let done = runtime.block_on(sampler.complete(&mut conversation, request))?;
    Ok((done.turn, done.call))
}

fn settings(max_tokens: u32, constraint: Constraint) -> SamplingSettings {
    SamplingSettings {
        max_tokens,
        constraint: Some(constraint),
        ..SamplingSettings::default()
    }
}

#[test]
#[cfg_attr(not(feature = "constrain"), ignore = "needs --features constrain")]
fn calls_of_a_random_model_fit_their_schemas_and_end() {
    let tools = [
        tool(
            "book",
            json!({"type": "object", "required": ["city", "days"], "properties": {
                "city": {"type": "string"}, "days": {"type": "integer", "minimum": 1},
                "tags": {"type": "array", "items": {"type": "string"}},
                "room": {"enum": ["single", "double"]}, "price": {"type": "number"}}}),
        ),
        tool("stop", json!({"type": "object", "properties": {}})),
    ];
    let tools = Arc::new(Toolset::compile(&tools).unwrap());
    let sampler = sampler(512, Bounds::default(), 1);
    let mut forced = 0;
    for seed in 0..40 {
        let (turn, call) = ask(&sampler, &tools, settings(100, Constraint::Calls), seed).unwrap();
        assert_eq!(call.finish, FinishReason::Stop, "{}", call.text);
        let AgentTurn::Calls { calls, .. } = &turn else {
            panic!("{}", call.text)
        };
        for asked in calls {
            tools.check(&asked.name, &asked.arguments).unwrap();
        }
        assert!(call.grammar.is_some() && call.sampling.constraint == Some(Constraint::Calls));
        assert_eq!(call.sampled_logprobs.len(), call.output.len());
        let places = |origin| {
            (0..call.output.len())
                .filter(|at| call.origin(*at) == Some(origin))
                .collect::<Vec<_>>()
        };
        // What was no choice has probability 1.
        assert!(
            places(Origin::Forced)
                .iter()
                .all(|at| call.sampled_logprobs[*at].abs() < 1e-4)
        );
        assert!(
            places(Origin::Sampled)
                .iter()
                .all(|at| call.sampled_logprobs[*at] >= call.logprobs[*at] - 1e-4)
        );
        forced += places(Origin::Forced).len();
    }
    let stats = sampler.stats();
    assert!(forced > 0 && stats.masks > 0 && stats.forced > 0, "{stats:?}");
}

#[test]
#[cfg_attr(not(feature = "constrain"), ignore = "needs --features constrain")]
fn text_and_calls_may_take_turns_and_other_grammars_hold() {
    let tools = Arc::new(
        Toolset::compile(&[tool(
            "go",
            json!({"type": "object", "properties": {"n": {"type": "integer"}}}),
        )])
        .unwrap(),
    );
    let sampler = sampler(512, Bounds::default(), 2);
    for seed in 0..10 {
        let (turn, call) = ask(&sampler, &tools, settings(60, Constraint::Tools), seed).unwrap();
        assert!(!matches!(turn, AgentTurn::Malformed { .. }), "{}", call.text);
        assert_eq!(call.finish, FinishReason::Stop);

        let (_, call) = ask(
            &sampler,
            &tools,
            settings(40, Constraint::Regex("[a-c]{2,5}(/x)?".into())),
            seed,
        )
        .unwrap();
        let text = call.text.trim_end_matches("/x");
        assert!(
            (2..=5).contains(&text.len()) && text.chars().all(|c| ('a'..='c').contains(&c)),
            "{}",
            call.text
        );

        let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "array", "items": {"type": "integer"}, "minItems": 2}}});
        let (turn, _) = ask(&sampler, &tools, settings(60, Constraint::Schema(schema)), seed).unwrap();
        let AgentTurn::Say(text) = turn else { panic!() };
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["a"].as_array().unwrap().len() >= 2);

        let lark = "start: \"yes\" | \"no\" \"!\"*".to_owned();
        let (_, call) = ask(&sampler, &tools, settings(20, Constraint::Lark(lark)), seed).unwrap();
        assert!(
            call.text == "yes" || call.text.trim_end_matches('!') == "no",
            "{}",
            call.text
        );
    }
    let broken = ask(
        &sampler,
        &tools,
        settings(20, Constraint::Lark("start: nothing".into())),
        0,
    );
    assert!(matches!(broken, Err(ModelError::Refused(_))), "{broken:?}");
}

#[test]
fn an_answer_ends_with_a_stop_text_and_penalties_change_it() {
    let tools = Arc::new(Toolset::compile(&[]).unwrap());
    let sampler = sampler(512, Bounds::default(), 1);
    let free = SamplingSettings {
        max_tokens: 60,
        top_logprobs: 3,
        ..SamplingSettings::default()
    };
    let (_, whole) = ask(&sampler, &tools, free.clone(), 3).unwrap();
    assert!(whole.top_logprobs.len() == whole.output.len() && whole.top_logprobs.iter().all(|top| top.len() == 3));
    // A text out of its middle, wherever its tokens end.
    let plain = |c: &char| c.is_ascii_punctuation() && !"<|>".contains(*c);
    let chars: Vec<char> = whole.text.chars().collect();
    let middle = chars[3..].windows(3).find(|window| window.iter().all(plain)).unwrap();
    let middle: String = middle.iter().collect();
    let stopped = SamplingSettings {
        stop: vec![middle.clone()],
        ..free.clone()
    };
    let (turn, call) = ask(&sampler, &tools, stopped, 3).unwrap();
    let before = whole.text.split(&middle).next().unwrap();
    assert_eq!((call.finish, call.text.as_str()), (FinishReason::Stop, before));
    assert_eq!(turn, AgentTurn::Say(before.into()));
    assert_eq!(call.output, whole.output[..call.output.len()]);
    let penalised = SamplingSettings {
        frequency_penalty: 1.5,
        repetition_penalty: 1.3,
        ..free
    };
    let (_, call) = ask(&sampler, &tools, penalised, 3).unwrap();
    assert!(call.output != whole.output && call.sampled_logprobs.len() == call.output.len());
}

#[test]
fn a_small_cache_makes_sequences_wait_and_changes_nothing() {
    let tools = Arc::new(Toolset::compile(&[]).unwrap());
    let settings = SamplingSettings {
        max_tokens: 200,
        ..SamplingSettings::default()
    };
    let all = |sampler: &Sampler| -> Vec<Vec<u32>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let many = (0..24u64).map(|seed| {
            let request = Request {
                sampling: settings.clone(),
                stream: Stream::new(seed),
                call_id: 0,
                tools: tools.clone(),
                on_token: None,
            };
            let prompt = CODEC.encode(&format!("a user of the order {}", seed / 4));
            async move { sampler.generate(prompt, &request).await.unwrap().ids }
        });
        runtime.block_on(async {
            let mut out = Vec::new();
            let mut waiting: Vec<_> = many.map(Box::pin).collect();
            std::future::poll_fn(|context| {
                out.resize(waiting.len(), Vec::new());
                let mut left = false;
                for (at, future) in waiting.iter_mut().enumerate() {
                    if out[at].is_empty() {
                        match future.as_mut().poll(context) {
                            std::task::Poll::Ready(ids) => out[at] = ids,
                            std::task::Poll::Pending => left = true,
                        }
                    }
                }
                if left {
                    std::task::Poll::Pending
                } else {
                    std::task::Poll::Ready(())
                }
            })
            .await;
            out
        })
    };
    let wide = sampler(256, Bounds::default(), 1);
    let narrow = sampler(256, Bounds { cache_bytes: 0 }, 1);
    assert_eq!(all(&wide), all(&narrow));
    assert_eq!(wide.stats().preempted, 0);
    assert!(narrow.stats().preempted > 0, "{:?}", narrow.stats());
}
