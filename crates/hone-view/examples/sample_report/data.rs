//! A made-up run that looks like a real one.

use hone_score::{Failure, FailureClass, Rate};
use hone_trace::{
    Approval, EndReason, Episode, FinishReason, ModelCall, Outcome, Prompt, SCHEMA, SamplingSettings, Score, ScorePart,
    Stream, Timing, ToolCall, ToolErrorClass, ToolFailure, Turn,
};
use hone_view::{
    Curve, EpisodePair, EvalReport, Fact, JudgedEpisode, KindRow, NextStep, NumberRow, Panel, PhaseTime, RateRow,
    ResultRow, Role, RunReport, ShareRow, Unit,
};
use serde_json::{Value, json};

pub fn report() -> RunReport {
    RunReport {
        title: "A small model learns to run a shop".into(),
        taskset: "shop".into(),
        recipe: "quickstart".into(),
        seed: 7,
        heldout: 200,
        facts: facts(),
        notes: vec![
            "Held-out tasks use customers, item combinations and wordings that training never saw.".into(),
            "Demonstrations are imperfect on purpose: their demonstrator acts against the shop's policy in a third of the cases.".into(),
            "Intervals are Wilson's at 95 %. They say how far 200 tasks can be trusted, not how much seeds differ.".into(),
        ],
        results: results(),
        panels: panels(),
        kinds: kinds(),
        episodes: episodes(),
        timings: [("load the base", 0.6), ("demonstrations", 9.4), ("SFT", 71.0), ("RL", 188.0), ("evaluation", 37.5)]
            .map(|(phase, seconds)| PhaseTime { phase: phase.into(), seconds })
            .to_vec(),
        next: [
            ("Play one held-out task and watch every step", "hone run shop --task test/17 --model runs/quickstart-7/final"),
            ("Try another method on the same tasks", "hone train quickstart --method dapo --seed 7"),
            ("Take the model to real crafting recipes", "hone train recipes/textcraft"),
        ]
        .map(|(what, command)| NextStep { what: what.into(), command: command.into() })
        .to_vec(),
    }
}

fn facts() -> Vec<Fact> {
    [
        ("parameters", "1.9 M"),
        ("training time", "4 min 28 s"),
        ("peak memory", "1.3 GB"),
        ("sampled tokens", "2.4 M"),
        ("episodes", "9 216"),
        ("trace digest", "9f3c2a17"),
    ]
    .map(|(name, value)| Fact {
        name: name.into(),
        value: value.into(),
    })
    .to_vec()
}

fn results() -> Vec<ResultRow> {
    let row = |name: &str, about: &str, role, greedy: Option<u64>, sampled: Option<u64>| ResultRow {
        name: name.into(),
        about: about.into(),
        role,
        greedy: greedy.and_then(|c| Rate::of(c, 200)),
        sampled: sampled.and_then(|c| Rate::of(c, 200)),
    };
    vec![
        row(
            "before training",
            "the nano base as it comes",
            Role::Start,
            Some(3),
            Some(1),
        ),
        row(
            "after SFT",
            "on imperfect demonstrations",
            Role::Stage,
            Some(121),
            Some(104),
        ),
        row(
            "after RL",
            "GRPO in the shop, from the SFT model",
            Role::Result,
            Some(187),
            Some(183),
        ),
        row(
            "SFT for the same time",
            "SFT continued for as long as RL took",
            Role::Control,
            Some(131),
            Some(118),
        ),
        row(
            "expert",
            "a script that solves every task",
            Role::Bound,
            Some(200),
            None,
        ),
        row(
            "fixed plan",
            "the most frequent sequence of tools",
            Role::Baseline,
            Some(46),
            None,
        ),
        row(
            "nearest template",
            "copies the plan of the most similar request",
            Role::Baseline,
            Some(55),
            None,
        ),
        row(
            "random",
            "random tools, random arguments that fit",
            Role::Baseline,
            Some(1),
            None,
        ),
        row("do nothing", "answers at once", Role::Baseline, Some(6), None),
    ]
}

/// An evaluation of the trained model, made up as well.
pub fn evaluation() -> EvalReport {
    let rate = |ok, n| Rate::of(ok, n).expect("there are episodes");
    let row = |name: &str, about: &str, ok, n| RateRow {
        name: name.into(),
        about: about.into(),
        rate: rate(ok, n),
    };
    let share = |class: FailureClass, n| ShareRow {
        name: class.name().into(),
        about: class.about().into(),
        n,
    };
    let judged = |episode: Episode| JudgedEpisode {
        failure: (!episode.succeeded()).then(|| Failure {
            class: FailureClass::Hallucination,
            evidence: "find_customer: argument `name` is \"Mara Mara\", the reference has \"Mara Quill\"".into(),
            tool_call: Some(0),
        }),
        episode,
    };
    let run = report();
    let both = run.episodes.into_iter().flat_map(|pair| [pair.before, pair.after]);
    EvalReport {
        taskset: "shop".into(),
        model: "runs/quickstart/model".into(),
        seed: 7,
        success: Some(rate(61, 200)),
        facts: run.facts,
        alarms: vec![
            "success of 30.5 % is below do_nothing's 44.0 % beyond chance: acting makes it worse than doing nothing"
                .into(),
        ],
        notes: vec!["Scripts play the same tasks once each.".into()],
        baselines: vec![
            row("expert", "Follows policy.", 200, 200),
            row(
                "do_nothing",
                "Gives the likeliest answer at once, without any call.",
                88,
                200,
            ),
            row("random", "Makes random possible calls, then says anything.", 1, 200),
        ],
        kinds: vec![
            row("refund", "", 21, 40),
            row("refund/too late", "", 2, 31),
            row("exchange", "", 38, 129),
        ],
        failures: vec![
            share(FailureClass::Hallucination, 80),
            share(FailureClass::WrongAnswer, 41),
            share(FailureClass::Incomplete, 18),
        ],
        ends: vec![
            ShareRow {
                name: "answered".into(),
                about: String::new(),
                n: 190,
            },
            ShareRow {
                name: "max turns".into(),
                about: String::new(),
                n: 10,
            },
        ],
        numbers: vec![NumberRow {
            name: "trajectory/argument_accuracy".into(),
            value: "71.2 %".into(),
            formula: "pairs of a maximum matching by name and arguments / pairs by name".into(),
        }],
        episodes: both.flatten().map(judged).collect(),
        recorded: 200,
        next: run.next,
    }
}

fn kinds() -> Vec<KindRow> {
    [
        ("refund", 31, 0.0, 0.97),
        ("refund/too late", 18, 0.06, 0.89),
        ("cancel", 27, 0.04, 1.0),
        ("cancel/shipped", 16, 0.0, 0.81),
        ("change address", 24, 0.0, 0.96),
        ("exchange", 29, 0.0, 0.93),
        ("exchange/out of stock", 17, 0.0, 0.76),
        ("cheapest alternative", 22, 0.0, 0.91),
        ("loyalty credit", 16, 0.06, 1.0),
    ]
    .map(|(kind, tasks, before, after)| KindRow {
        kind: kind.into(),
        tasks,
        before: Some(before),
        after: Some(after),
    })
    .to_vec()
}

fn panels() -> Vec<Panel> {
    let stream = Stream::new(7);
    let noise = |name: &str, i: u64| stream.named(name).uniform(i) - 0.5;
    let curve = |name: &str, steps: u64, every: u64, spread: f64, f: &dyn Fn(f64) -> f64| {
        let points = (0..=steps)
            .step_by(every as usize)
            .map(|i| (i as f64, f(i as f64) + spread * noise(name, i)))
            .collect();
        Curve::new(name, points)
    };
    let rise = |x: f64| 0.52 + 0.42 * (1.0 - (-x / 45.0).exp());
    let panel = |title: &str, about: &str, unit, curves| Panel {
        title: title.into(),
        about: about.into(),
        x: "step".into(),
        unit,
        curves,
    };
    let nats = Unit::Number("nats");
    vec![
        panel(
            "Success in RL",
            "On tasks as they are trained on, and on held-out ones.",
            Unit::Fraction,
            vec![
                curve("held-out", 160, 20, 0.02, &|x| rise(x) - 0.02),
                curve("training", 160, 1, 0.16, &|x| rise(x) - 0.05),
            ],
        ),
        panel(
            "SFT loss",
            "Cross-entropy of the demonstrated answers.",
            nats.clone(),
            vec![
                curve("held-out", 600, 50, 0.01, &|x| 0.19 + 2.8 * (-x / 40.0).exp()),
                curve("training", 600, 1, 0.12, &|x| 0.16 + 2.9 * (-x / 40.0).exp()),
            ],
        ),
        panel(
            "Valid tool calls",
            "Calls that parse, name a tool and fit its schema.",
            Unit::Fraction,
            vec![curve("valid", 160, 1, 0.02, &|x| {
                0.95 + 0.04 * (1.0 - (-x / 30.0).exp())
            })],
        ),
        panel(
            "Parts of the reward",
            "Right final state, and the outcome said to the customer.",
            Unit::Fraction,
            vec![
                curve("state", 160, 4, 0.05, &|x| rise(x) - 0.01),
                curve("said", 160, 4, 0.04, &|x| rise(x) + 0.03),
            ],
        ),
        panel(
            "Length",
            "Sampled tokens of an episode.",
            Unit::Number("tokens"),
            vec![curve("mean", 160, 1, 9.0, &|x| 128.0 - 22.0 * (x / 160.0))],
        ),
        panel(
            "Turns",
            "Agent turns of an episode.",
            Unit::Number(""),
            vec![curve("mean", 160, 1, 0.4, &|x| 4.9 - 0.5 * (x / 160.0))],
        ),
        panel(
            "Entropy",
            "Of the sampling distribution, per token.",
            nats.clone(),
            vec![curve("entropy", 160, 1, 0.02, &|x| 0.05 + 0.13 * (-x / 60.0).exp())],
        ),
        panel(
            "Groups without signal",
            "All rollouts of the group got the same reward.",
            Unit::Fraction,
            vec![
                curve("all solved", 160, 2, 0.08, &|x| 0.1 + 0.55 * (1.0 - (-x / 60.0).exp())),
                curve("none solved", 160, 2, 0.05, &|x| 0.04 + 0.24 * (-x / 35.0).exp()),
            ],
        ),
        panel(
            "Clipped tokens",
            "Tokens whose probability ratio left the trust region.",
            Unit::Fraction,
            vec![curve("clipped", 160, 1, 0.002, &|x| 0.004 + 0.004 * (-x / 50.0).exp())],
        ),
        panel(
            "KL to the SFT model",
            "Estimated per token (k3).",
            nats,
            vec![curve("KL", 160, 1, 0.004, &|x| {
                0.004 + 0.05 * (1.0 - (-x / 80.0).exp())
            })],
        ),
    ]
}

fn episodes() -> Vec<EpisodePair> {
    let ask = "Hi, this is Mara Quill. I'd like my money back for the walnut desk lamp from my last order, it arrived cracked.";
    let customer = json!({"customer": "C-318", "name": "Mara Quill", "tier": "silver"});
    let orders = json!([
        {"order": "O-2207", "placed": "day 41", "state": "delivered"},
        {"order": "O-1913", "placed": "day 12", "state": "delivered"}
    ]);
    let order = json!({"order": "O-2207", "delivered": "day 46", "items": [
        {"item": "I-77", "name": "walnut desk lamp", "price": 59}, {"item": "I-12", "name": "linen shade", "price": 18}]});
    let refund = Recorder::new("refund", ask)
        .call(
            "find_customer",
            json!({"name": "Mara Quill"}),
            &customer.to_string(),
            None,
        )
        .call("list_orders", json!({"customer": "C-318"}), &orders.to_string(), None)
        .call("get_order", json!({"order": "O-2207"}), &order.to_string(), None)
        .call(
            "refund_item",
            json!({"order": "O-2207", "item": "I-77"}),
            r#"{"refunded":59}"#,
            None,
        )
        .answer(
            "Done: 59 for the walnut desk lamp is on its way back to you.",
            true,
            EndReason::Answered,
        );
    let lost = Recorder::new("refund", ask)
        .call(
            "find_customer",
            json!({"name": "Mara Mara"}),
            "no customer of that name",
            Some(ToolErrorClass::Tool),
        )
        .call(
            "refund_item",
            json!({"order": 77}),
            "argument `item` is missing; `order` must be a string",
            Some(ToolErrorClass::InvalidArguments),
        )
        .raw(
            "<call>refund_item {\"order\": \"O-O-O-O-",
            "not a tool call: the JSON ends early",
        )
        .answer("", false, EndReason::MaxTurns);
    let late_ask = "Please refund order O-0871. It came some weeks ago, but I never used the kettle.";
    let late = json!({"order": "O-0871", "delivered": "day 3", "today": "day 52"});
    let late_before = Recorder::new("refund/too late", late_ask)
        .call("get_order", json!({"order": "O-0871"}), &late.to_string(), None)
        .call("refund_order", json!({"order": "O-0871"}), r#"{"refunded":34}"#, None)
        .answer("I refunded 34 for order O-0871.", false, EndReason::Answered);
    let late_after = Recorder::new("refund/too late", late_ask)
        .call("get_order", json!({"order": "O-0871"}), &late.to_string(), None)
        .call("get_policy", json!({"about": "refund"}), r#"{"refund_days":30}"#, None)
        .answer(
            "I'm sorry: refunds end 30 days after delivery, and this order came 49 days ago.",
            true,
            EndReason::Answered,
        );
    let hostile = "<script>alert(\"owned\")</script><img src=x onerror=alert(1)> \u{202e}desrever";
    let hostile_episode = Recorder::new("exchange", hostile)
        .call(
            "<b>tool</b>",
            json!({"<i>": "</pre></details><script>alert(2)</script>"}),
            hostile,
            Some(ToolErrorClass::UnknownTool),
        )
        .answer(hostile, false, EndReason::Answered);
    vec![
        EpisodePair {
            before: Some(lost),
            after: Some(refund),
        },
        EpisodePair {
            before: Some(late_before),
            after: Some(late_after),
        },
        EpisodePair {
            before: None,
            after: Some(hostile_episode),
        },
    ]
}

/// Writes an episode step by step.
struct Recorder(Episode);

impl Recorder {
    fn new(kind: &str, ask: &str) -> Self {
        Self(Episode {
            schema: SCHEMA,
            id: "eval/0/0".into(),
            phase: "eval".into(),
            taskset: "shop".into(),
            task: "test/17".into(),
            task_kind: kind.into(),
            group: 0,
            sample: 0,
            seed: 7,
            harness: "react".into(),
            policy: "nano".into(),
            forked_from: None,
            turns: vec![
                Turn::System {
                    text: "You serve a shop.".into(),
                },
                Turn::User { text: ask.into() },
            ],
            model_calls: Vec::new(),
            tool_calls: Vec::new(),
            events: Vec::new(),
            end: EndReason::Answered,
            outcome: Outcome::PolicyFailed,
            final_state: None,
            scores: Vec::new(),
            reward: Some(0.0),
            timing: Timing::default(),
        })
    }

    fn model(&mut self, text: &str) -> u32 {
        let id = self.0.model_calls.len() as u32;
        self.0.model_calls.push(ModelCall {
            id,
            parent: id.checked_sub(1),
            retry_of: None,
            role: "agent".into(),
            policy: "nano".into(),
            lineage: Default::default(),
            prompt: Prompt::default(),
            output: Vec::new(),
            origins: Vec::new(),
            logprobs: Vec::new(),
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            top_logprobs: Vec::new(),
            versions: Vec::new(),
            sampling: SamplingSettings {
                temperature: 0.0,
                top_p: 1.0,
                top_k: 0,
                max_tokens: 64,
                stream: String::new(),
                ..SamplingSettings::default()
            },
            finish: FinishReason::Stop,
            template: String::new(),
            grammar: None,
            text: text.into(),
            remote: None,
            timing: Timing::default(),
        });
        self.0.turns.push(Turn::Agent { model_call: id });
        id
    }

    fn tool(mut self, name: &str, raw: &str, arguments: Value, shown: &str, error: Option<ToolErrorClass>) -> Self {
        let model_call = Some(self.model(raw));
        let id = self.0.tool_calls.len() as u32;
        self.0.tool_calls.push(ToolCall {
            id,
            model_call,
            raw: raw.into(),
            tool: name.into(),
            tool_version: "1".into(),
            arguments,
            approval: Approval::Allowed,
            decision: None,
            result: Value::Null,
            shown: shown.into(),
            error: error.map(|class| ToolFailure {
                class,
                message: shown.into(),
            }),
            state_before: None,
            state_after: None,
            media: Vec::new(),
            snapshot: None,
            replayed: false,
            timing: Timing::default(),
        });
        self.0.turns.push(Turn::Tool { tool_call: id });
        self
    }

    fn call(self, name: &str, arguments: Value, shown: &str, error: Option<ToolErrorClass>) -> Self {
        let raw = format!("<call>{name} {arguments}</call>");
        self.tool(name, &raw, arguments, shown, error)
    }

    fn raw(self, raw: &str, shown: &str) -> Self {
        self.tool("", raw, Value::Null, shown, Some(ToolErrorClass::Malformed))
    }

    fn answer(mut self, text: &str, ok: bool, end: EndReason) -> Episode {
        self.model(text);
        let value = f64::from(u8::from(ok));
        let why = if ok {
            "as expected"
        } else {
            "differs from what the task asks for"
        };
        let part = |name: &str, value, why: &str| ScorePart {
            name: name.into(),
            value,
            why: why.into(),
        };
        let parts = vec![
            part("state", value, why),
            part("said", value, if ok { "the outcome was said" } else { "" }),
        ];
        self.0.scores = vec![Score {
            scorer: "shop".into(),
            version: "1".into(),
            hash: String::new(),
            value,
            parts,
        }];
        self.0.outcome = if ok { Outcome::Ok } else { Outcome::PolicyFailed };
        self.0.end = end;
        self.0
    }
}
