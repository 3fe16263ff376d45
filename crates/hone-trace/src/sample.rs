//! Made-up episodes, whole in the sense of [`Episode::check`], for tests and benches. They mean nothing.

use rand::{Rng, RngExt};
use serde_json::{Value, json};

use crate::{
    Approval, EndReason, Episode, Event, FinishReason, Lineage, ModelCall, Origin, Outcome, Prompt, SCHEMA,
    SamplingSettings, Score, ScorePart, Span, Stream, Timing, TokenId, ToolCall, ToolErrorClass, ToolFailure, Turn,
};

/// An episode of that id with `turns` model calls, each but the last followed by a tool call: the same for the same
/// stream. Its size is that of a nano model's episode (some 60 prompt and 20 output tokens a turn).
pub fn episode(stream: &Stream, id: &str, turns: u32) -> Episode {
    let mut rng = stream.named(id);
    let mut record = Episode {
        schema: SCHEMA,
        id: id.into(),
        phase: id.rsplitn(3, '/').last().unwrap_or(id).into(),
        taskset: "made-up".into(),
        task: format!("task-{}", rng.random_range(0..1000)),
        task_kind: ["refund", "exchange", "look up"][rng.random_range(0..3)].into(),
        group: rng.next_u64(),
        sample: rng.random_range(0..8),
        seed: rng.next_u64(),
        harness: "react".into(),
        policy: "nano".into(),
        forked_from: None,
        turns: vec![
            Turn::System {
                text: "You keep a store. Use the tools.".into(),
            },
            Turn::User {
                text: format!("Refund order {} — “quickly”, please.\n", rng.random_range(0..10_000)),
            },
        ],
        model_calls: Vec::new(),
        tool_calls: Vec::new(),
        events: vec![Event {
            kind: "budget".into(),
            detail: json!({"turns": turns, "share": rng.random::<f64>()}),
        }],
        end: EndReason::Answered,
        outcome: [
            Outcome::Ok,
            Outcome::PolicyFailed,
            Outcome::InfraFailed {
                cause: "the sandbox was lost".into(),
            },
        ][rng.random_range(0..3)]
        .clone(),
        final_state: rng.random_bool(0.5).then(|| format!("{:016x}", rng.next_u64())),
        scores: Vec::new(),
        reward: None,
        timing: timing(&mut rng),
    };
    let mut length = 0;
    for id in 0..turns {
        let call = model_call(&mut rng, id, length);
        length = call.prompt.shared + (call.prompt.new.len() + call.output.len()) as u32;
        record.model_calls.push(call);
        record.turns.push(Turn::Agent { model_call: id });
        if id + 1 < turns {
            record.tool_calls.push(tool_call(&mut rng, id));
            record.turns.push(Turn::Tool { tool_call: id });
        }
    }
    let value = rng.random::<f64>();
    let parts = vec![
        ScorePart {
            name: "state".into(),
            value,
            why: String::new(),
        },
        ScorePart {
            name: "said".into(),
            value: -0.0,
            why: "It never said “refunded”.".into(),
        },
    ];
    record.scores.push(Score {
        scorer: "exact".into(),
        version: "1".into(),
        hash: "5e".into(),
        value,
        parts,
    });
    record.reward = record.counts().then_some(value);
    record
}

fn model_call(rng: &mut Stream, id: u32, inherited: u32) -> ModelCall {
    let shared = if inherited > 0 && rng.random_bool(0.2) {
        rng.random_range(0..inherited)
    } else {
        inherited
    };
    let tokens = |rng: &mut Stream, low: usize, high: usize| -> Vec<TokenId> {
        (0..rng.random_range(low..high))
            .map(|_| rng.random_range(0..4096))
            .collect()
    };
    let new = tokens(rng, 30, 90);
    let output = tokens(rng, 8, 32);
    let numbers = |rng: &mut Stream, scale: f32| output.iter().map(|_| scale * rng.random::<f32>()).collect::<Vec<_>>();
    let end = output.len() as u32;
    let forced = rng.random_bool(0.3);
    let origins = if forced {
        vec![
            Span {
                start: 0,
                end: end - 1,
                value: Origin::Sampled,
            },
            Span {
                start: end - 1,
                end,
                value: Origin::Forced,
            },
        ]
    } else {
        vec![Span {
            start: 0,
            end,
            value: Origin::Sampled,
        }]
    };
    let version = rng.random_range(0..100);
    ModelCall {
        id,
        parent: id.checked_sub(1),
        retry_of: (id > 0 && rng.random_bool(0.1)).then(|| id - 1),
        role: "agent".into(),
        policy: "nano".into(),
        lineage: [
            Lineage::Main,
            Lineage::SubAgent("search".into()),
            Lineage::Side("title".into()),
        ][rng.random_range(0..8usize).saturating_sub(5)]
        .clone(),
        prompt: Prompt { shared, new },
        logprobs: numbers(rng, -3.0),
        sampled_logprobs: if forced { numbers(rng, -2.0) } else { Vec::new() },
        entropies: numbers(rng, 2.0),
        top_logprobs: Vec::new(),
        output,
        origins,
        versions: vec![
            Span {
                start: 0,
                end: 4,
                value: version,
            },
            Span {
                start: 4,
                end,
                value: version + 1,
            },
        ],
        sampling: SamplingSettings {
            temperature: rng.random(),
            top_p: 1.0,
            top_k: 0,
            max_tokens: 64,
            stream: format!("episode/{id}"),
            ..SamplingSettings::default()
        },
        finish: if forced {
            FinishReason::Length
        } else {
            FinishReason::Stop
        },
        template: "5eed".into(),
        grammar: forced.then(|| "9a".into()),
        text: format!("<call>{{\"tool\": \"orders.get\", \"id\": {id}}}</call>"),
        remote: None,
        timing: timing(rng),
    }
}

fn tool_call(rng: &mut Stream, id: u32) -> ToolCall {
    let failed = rng.random_bool(0.2);
    let result = json!({"id": id, "total": rng.random::<f64>() * 100.0, "stock": rng.next_u64(), "name": "Ærø \u{0}"});
    ToolCall {
        id,
        model_call: Some(id),
        raw: format!("{{\"tool\": \"orders.get\", \"id\": {id}}}"),
        tool: "orders.get".into(),
        tool_version: "1".into(),
        arguments: json!({"id": id, "timing": {"start_us": 1}}),
        approval: Approval::Allowed,
        decision: None,
        shown: if failed {
            "no such order".into()
        } else {
            result.to_string()
        },
        result: if failed { Value::Null } else { result },
        error: failed.then(|| ToolFailure {
            class: ToolErrorClass::Tool,
            message: "no such order".into(),
        }),
        state_before: Some(format!("{:016x}", rng.next_u64())),
        state_after: rng.random_bool(0.5).then(|| format!("{:016x}", rng.next_u64())),
        media: Vec::new(),
        snapshot: None,
        replayed: rng.random_bool(0.1),
        timing: timing(rng),
    }
}

fn timing(rng: &mut Stream) -> Timing {
    Timing {
        start_us: rng.next_u64() >> 12,
        duration_us: rng.random_range(0..1_000_000),
    }
}
