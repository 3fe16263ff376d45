//! Every way in which an episode can go and end.

mod toy;

use hone_env::{Budget, OnMalformed};
use hone_harness::{EpisodeSetup, Finished, Harness, Label, QUESTION, React};
use hone_model::{Message, Model, ModelError};
use hone_tool::{ApprovalPolicy, CUT, Missing, Policy, Recording, Toolset};
use hone_trace::{CONFIDENCE, EndReason, Episode, Outcome, SamplingSettings, Stream, ToolErrorClass, Turn};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toy::*;

fn setup(model: Arc<dyn Model>, inline: bool) -> EpisodeSetup {
    let label = Label {
        id: "t/0/0".into(),
        phase: "t".into(),
        taskset: "toy".into(),
        group: 0,
        sample: 0,
    };
    EpisodeSetup {
        label,
        task: Arc::new(task(2)),
        environment: Box::new(Counter::new(inline)),
        toolset: Arc::new(Toolset::compile(&specs()).unwrap()),
        model,
        user: None,
        budget: budget(),
        sampling: SamplingSettings {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens: 0,
            stream: String::new(),
            ..SamplingSettings::default()
        },
        approval: Arc::new(ApprovalPolicy::AllowAll),
        recording: None,
        stream: Stream::new(1),
    }
}

fn play(setup: EpisodeSetup) -> Finished {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let finished = runtime.block_on(React.run(setup));
    runtime.shutdown_background();
    finished
}

/// Plays `moves` in order and then answers.
fn acting(moves: impl Fn(u32) -> Option<Move> + Send + Sync + 'static) -> Arc<dyn Model> {
    puppet(move |turn, _, _| moves(turn).unwrap_or_else(|| say("done")))
}

fn with(budget: impl FnOnce(&mut Budget), model: Arc<dyn Model>) -> Episode {
    let mut setup = setup(model, true);
    budget(&mut setup.budget);
    play(setup).episode
}

fn classes(episode: &Episode) -> Vec<Option<ToolErrorClass>> {
    episode
        .tool_calls
        .iter()
        .map(|c| c.error.as_ref().map(|e| e.class))
        .collect()
}

fn events(episode: &Episode) -> Vec<&str> {
    episode.events.iter().map(|e| e.kind.as_str()).collect()
}

fn cause(episode: &Episode) -> &str {
    match &episode.outcome {
        Outcome::InfraFailed { cause } => cause,
        _ => "",
    }
}

#[test]
fn an_episode_is_recorded_in_full() {
    for inline in [true, false] {
        let model = acting(|turn| (turn < 2).then(|| call("add", json!({"by": 1}))));
        let Finished { episode, environment } = play(setup(model, inline));
        assert_eq!(
            (episode.end, &episode.outcome),
            (EndReason::Answered, &Outcome::PolicyFailed)
        );
        let turns = [
            Turn::System {
                text: "You count.".into(),
            },
            Turn::User {
                text: "Count to 2.".into(),
            },
            Turn::Agent { model_call: 0 },
            Turn::Tool { tool_call: 0 },
            Turn::Agent { model_call: 1 },
            Turn::Tool { tool_call: 1 },
            Turn::Agent { model_call: 2 },
        ];
        assert_eq!(episode.turns, turns);
        assert_eq!(episode.final_state.as_deref(), Some("2"));
        assert_eq!(environment.unwrap().state(), json!({"value": 2}));
        assert_eq!(episode.tool_calls[1].model_call, Some(1));
        assert_eq!(episode.tool_calls[1].raw, r#"add{"by":1}"#);
        assert_eq!(episode.model_calls[1].role, "agent");
        assert_eq!(episode.model_calls[1].sampling.stream, "t/0/0/call/1");
        assert_eq!(episode.sequence(2).unwrap().len(), 10 + 11 + 2 * (11 + 11) + 4);
        assert_eq!((episode.harness.as_str(), episode.policy.as_str()), ("react", "puppet"));
        assert!(episode.reward.is_none() && episode.scores.is_empty());
    }
}

#[test]
fn errors_that_the_policy_made_are_shown_to_it() {
    let moves = |turn| {
        Some(match turn {
            0 => malformed(),
            1 => call("sub", json!({})),
            2 => call("add", json!({"by": "one"})),
            3 => call("fail", json!({})),
            4 => call("add", json!({"by": 2})),
            _ => return None,
        })
    };
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = seen.clone();
    let model = puppet(move |turn, messages, _| {
        *sink.lock().unwrap() = messages.to_vec();
        moves(turn).unwrap_or_else(|| say("done"))
    });
    let episode = with(|_| {}, model);
    use ToolErrorClass::*;
    assert_eq!(
        classes(&episode),
        [
            Some(Malformed),
            Some(UnknownTool),
            Some(InvalidArguments),
            Some(Tool),
            None
        ]
    );
    assert_eq!(
        (episode.end, episode.final_state.as_deref()),
        (EndReason::Answered, Some("2"))
    );
    assert_eq!(episode.tool_calls[0].raw, "add{{");
    assert_eq!(
        (episode.tool_calls[0].tool.as_str(), &episode.tool_calls[0].arguments),
        ("", &Value::Null)
    );
    assert_eq!(events(&episode), ["malformed_turn"]);
    let shown: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .filter_map(|m| {
            if let Message::Tool(t) = m {
                Some(t.clone())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        shown,
        episode.tool_calls.iter().map(|c| c.shown.clone()).collect::<Vec<_>>()
    );
    assert_eq!(shown[0], "error: the call has no closing brace; write one");
}

#[test]
fn a_malformed_turn_can_end_the_episode() {
    let episode = with(
        |b| b.on_malformed = OnMalformed::EndEpisode,
        acting(|_| Some(malformed())),
    );
    assert_eq!(
        (episode.end, &episode.outcome),
        (EndReason::Malformed, &Outcome::PolicyFailed)
    );
    assert_eq!(classes(&episode), [Some(ToolErrorClass::Malformed)]);
}

#[test]
fn each_budget_has_its_reason() {
    let adding = || acting(|_| Some(call("add", json!({}))));
    let turns = with(|b| b.max_turns = 3, adding());
    assert_eq!(
        (turns.end, turns.model_calls.len(), turns.tool_calls.len()),
        (EndReason::MaxTurns, 3, 3)
    );
    let calls = with(|b| b.max_calls = 3, adding());
    assert_eq!(
        (calls.end, calls.model_calls.len(), calls.tool_calls.len()),
        (EndReason::MaxCalls, 4, 3)
    );
    let tokens = with(|b| b.max_tokens = 60, adding());
    assert_eq!(tokens.end, EndReason::MaxTokens);
    let used = tokens.sequence(tokens.model_calls.len() as u32 - 1).unwrap().len();
    assert!((60..100).contains(&used), "{used}");
    let turn = with(|b| b.max_turn_tokens = 3, adding());
    assert_eq!((turn.end, turn.model_calls[0].output.len()), (EndReason::MaxTokens, 3));
    assert_eq!(events(&turn), ["malformed_turn", "cut_turn"]);
    assert_eq!(classes(&turn), [Some(ToolErrorClass::Malformed)]);
    for episode in [turns, calls, tokens, turn] {
        assert_eq!(episode.outcome, Outcome::PolicyFailed);
    }
    let terminal = with(|_| {}, acting(|_| Some(call("finish", json!({})))));
    assert_eq!((terminal.end, terminal.tool_calls.len()), (EndReason::Terminal, 1));
}

#[test]
fn tools_that_fail_for_reasons_of_their_own_do_not_count() {
    for (tool, class, inline) in [
        ("panic", ToolErrorClass::Panic, true),
        ("panic", ToolErrorClass::Panic, false),
        ("hang", ToolErrorClass::Timeout, false),
        ("gone", ToolErrorClass::Infrastructure, true),
    ] {
        let Finished { episode, environment } = play(setup(acting(move |_| Some(call(tool, json!({})))), inline));
        assert_eq!(
            (episode.end, classes(&episode)),
            (EndReason::ToolFailure, vec![Some(class)]),
            "{tool}"
        );
        assert!(cause(&episode).starts_with("tool "), "{}", cause(&episode));
        assert_eq!(environment.is_some(), tool == "gone");
    }
}

#[test]
fn the_episodes_time_is_bounded_and_says_who_was_waited_for() {
    let mut slow_model = setup(acting(|_| Some(Move::Wait(Duration::from_secs(60)))), true);
    slow_model.budget.episode_timeout_ms = 50;
    let mut slow_tool = setup(acting(|_| Some(call("hang", json!({})))), false);
    slow_tool.budget.episode_timeout_ms = 50;
    for (setup, who) in [
        (slow_model, "while the model answered"),
        (slow_tool, "while a tool ran"),
    ] {
        let episode = play(setup).episode;
        assert_eq!(episode.end, EndReason::Deadline);
        assert!(cause(&episode).contains(who), "{}", cause(&episode));
    }
}

#[test]
fn models_and_environments_that_fail() {
    let gone = with(
        |_| {},
        acting(|_| Some(Move::Fail(ModelError::Unavailable("no route".into())))),
    );
    assert_eq!(
        (gone.end, cause(&gone)),
        (EndReason::ModelFailure, "model: the model stopped answering: no route")
    );
    let broken = with(
        |_| {},
        acting(|turn| Some(if turn == 0 { call("add", json!({})) } else { Move::Panic })),
    );
    assert_eq!((broken.end, broken.tool_calls.len()), (EndReason::ModelFailure, 1));
    assert_eq!(cause(&broken), "model: panicked: the model broke");
    let full = with(
        |_| {},
        acting(|_| Some(Move::Fail(ModelError::ContextOverflow { tokens: 9, limit: 8 }))),
    );
    assert_eq!(
        (full.end, &full.outcome),
        (EndReason::ContextOverflow, &Outcome::PolicyFailed)
    );
    let mut setup = setup(acting(|_| None), true);
    setup.task = Arc::new(hone_env::Task {
        data: Value::Null,
        ..task(1)
    });
    let reset = play(setup).episode;
    assert_eq!(
        (reset.end, cause(&reset)),
        (
            EndReason::EnvironmentFailure,
            "environment reset: the task has no start; add one"
        )
    );
}

#[test]
fn an_oversize_observation_is_cut_and_noted() {
    let episode = with(|_| {}, acting(|turn| (turn == 0).then(|| call("talk", json!({})))));
    let shown = &episode.tool_calls[0].shown;
    assert!(shown.ends_with(CUT) && shown.chars().count() == 200);
    assert_eq!(episode.events[0].kind, "truncated_observation");
    assert_eq!(episode.events[0].detail, json!({"tool_call": 0, "chars": 2500}));
}

#[test]
fn denied_tools_do_not_run() {
    let mut setup = setup(acting(|turn| (turn == 0).then(|| call("add", json!({})))), true);
    let only = Policy::parse("[[rule]]\ntool = \"fail\"\naction = \"approve\"", "p").unwrap();
    setup.approval = Arc::new(ApprovalPolicy::rules(only, "toy"));
    let episode = play(setup).episode;
    assert_eq!(classes(&episode), [Some(ToolErrorClass::Denied)]);
    assert_eq!(
        (episode.end, episode.final_state.as_deref()),
        (EndReason::Answered, Some("0"))
    );
}

#[test]
fn a_replay_answers_from_the_recording_without_running_tools() {
    let moves = |turn| {
        Some(match turn {
            0 | 2 => call("add", json!({"by": 1})),
            1 => call("fail", json!({})),
            3 => call("finish", json!({})),
            _ => return None,
        })
    };
    let recorded = play(setup(acting(moves), true)).episode;
    let mut again = setup(acting(moves), true);
    let world = Counter::new(true);
    let calls = world.calls.clone();
    again.environment = Box::new(world);
    again.recording = Some(Recording::of(&recorded, Missing::Fail));
    let replayed = play(again).episode;
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert!(replayed.tool_calls.iter().all(|c| c.replayed));
    assert_eq!((replayed.end, &replayed.turns), (EndReason::Terminal, &recorded.turns));
    for (a, b) in recorded.tool_calls.iter().zip(&replayed.tool_calls) {
        assert_eq!(
            (&a.result, &a.shown, &a.error, &a.state_after),
            (&b.result, &b.shown, &b.error, &b.state_after)
        );
    }
    // Off the recorded path: refused, or run where that was asked for.
    for (missing, end) in [
        (Missing::Fail, EndReason::ToolFailure),
        (Missing::Run, EndReason::Answered),
    ] {
        let mut other = setup(acting(|turn| (turn == 0).then(|| call("add", json!({"by": 5})))), true);
        other.recording = Some(Recording::of(&recorded, missing));
        assert_eq!(play(other).episode.end, end);
    }
}

#[test]
fn an_agent_is_asked_how_sure_it_is_when_its_episode_is_over() {
    let told = |how: Option<Move>, ending: Move| {
        let (how, ending) = (Arc::new(Mutex::new(how)), Arc::new(Mutex::new(Some(ending))));
        let model = puppet(move |_, messages, _| {
            let asked = matches!(messages.last(), Some(Message::User(text)) if text == QUESTION);
            let next = if asked { &how } else { &ending };
            next.lock().unwrap().take().expect("asked once")
        });
        with(
            |budget| {
                budget.confidence = true;
                // The question is beyond it.
                budget.max_turns = 1;
            },
            model,
        )
    };
    let stated = |episode: &Episode| {
        let event = episode.events.iter().find(|event| event.kind == CONFIDENCE);
        (event.unwrap().detail.clone(), episode.confidence())
    };
    for ending in [say("two"), call("finish", json!({}))] {
        let episode = told(Some(say("85")), ending);
        assert_eq!(stated(&episode), (json!({"value": 0.85, "model_call": 1}), Some(0.85)));
        let turns = episode.turns.iter().filter(|turn| matches!(turn, Turn::Agent { .. }));
        assert_eq!((turns.count(), episode.model_calls.len()), (1, 2));
        assert_eq!(episode.model_calls[1].role, "agent");
        assert!(episode.counts() && episode.wants_confidence());
        episode.check().expect("whole");
    }
    // No number, and a call, which is not run.
    for answer in [say("very"), call("add", json!({})), malformed()] {
        let episode = told(Some(answer), say("two"));
        assert_eq!(stated(&episode), (json!({"value": null, "model_call": 1}), None));
        assert!(episode.tool_calls.is_empty() && episode.counts());
    }
    // Out of turns before it answered: there is nothing to be sure of.
    let episode = told(None, call("add", json!({})));
    assert_eq!(
        (stated(&episode).0, episode.end),
        (json!({"value": null}), EndReason::MaxTurns)
    );
    let episode = told(Some(Move::Fail(ModelError::Unavailable("gone".into()))), say("two"));
    assert!(matches!(episode.outcome, Outcome::InfraFailed { .. }));
}
