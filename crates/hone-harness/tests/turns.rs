//! Turns of several calls, users who go on, and full contexts.

mod toy;

use hone_env::{Budget, OnMalformed, OnOverflow};
use hone_harness::{DROPPED, EpisodeSetup, Finished, Harness, Label, React};
use hone_model::{AgentTurn, CallRequest, Message, Model, ModelError};
use hone_tool::{ApprovalPolicy, Toolset};
use hone_trace::{EndReason, Episode, SamplingSettings, Stream, ToolErrorClass, Turn};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::Mutex;
use toy::*;

fn play(words: &[&str], budget: Budget, model: Arc<dyn Model>) -> Episode {
    let mut environment = Counter::new(true);
    environment.words = words.iter().rev().map(|words| (*words).to_owned()).collect();
    let label = Label {
        id: "t/0/0".into(),
        phase: "t".into(),
        taskset: "toy".into(),
        group: 0,
        sample: 0,
    };
    let sampling = SamplingSettings {
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
        max_tokens: 0,
        stream: String::new(),
        ..SamplingSettings::default()
    };
    let setup = EpisodeSetup {
        label,
        task: Arc::new(task(2)),
        environment: Box::new(environment),
        toolset: Arc::new(Toolset::compile(&specs()).unwrap()),
        model,
        user: None,
        budget,
        sampling,
        approval: Arc::new(ApprovalPolicy::AllowAll),
        recording: None,
        stream: Stream::new(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let Finished { episode, .. } = runtime.block_on(React.run(setup));
    episode.check().expect("whole");
    episode
}

fn acting(moves: impl Fn(u32) -> Option<Move> + Send + Sync + 'static) -> Arc<dyn Model> {
    puppet(move |turn, _, _| moves(turn).unwrap_or_else(|| say("done")))
}

fn users(episode: &Episode) -> Vec<&str> {
    let said = episode.turns.iter().filter_map(|turn| match turn {
        Turn::User { text } => Some(text.as_str()),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_world_that_is_lost_while_the_user_answers_is_nobodys_fault() {
    let episode = play(&["go on", "be lost"], Budget::default(), acting(|_| None));
    assert_eq!(users(&episode).len(), 2);
    assert_eq!(episode.end, EndReason::EnvironmentFailure);
    assert!(format!("{:?}", episode.outcome).contains("the counter is gone"));
}

#[test]
fn a_turn_of_several_calls_runs_them_in_order() {
    let two = || {
        calls(&[
            ("add", json!({"by": 2})),
            ("add", json!({"by": "x"})),
            ("add", json!({"by": 3})),
        ])
    };
    let episode = play(&[], budget(), acting(move |turn| (turn == 0).then(two)));
    let raw: Vec<_> = episode
        .tool_calls
        .iter()
        .map(|call| (call.model_call, call.raw.as_str()))
        .collect();
    assert_eq!(raw[0], (Some(0), r#"{"arguments":{"by":2},"name":"add"}"#));
    assert_eq!(raw.len(), 3);
    assert_eq!(
        episode.tool_calls[1].error.as_ref().map(|e| e.class),
        Some(ToolErrorClass::InvalidArguments)
    );
    assert_eq!(
        (episode.end, episode.final_state.as_deref()),
        (EndReason::Answered, Some("5"))
    );
    let turns = [0, 1, 2].map(|tool_call| Turn::Tool { tool_call });
    assert_eq!(episode.turns[3..6], turns);

    let first = Budget {
        first_call_only: true,
        ..budget()
    };
    let episode = play(&[], first, acting(move |turn| (turn == 0).then(two)));
    assert_eq!(
        (episode.tool_calls.len(), episode.final_state.as_deref()),
        (1, Some("2"))
    );

    // The environment's end waits for the rest of the turn.
    let ending = || calls(&[("finish", json!({})), ("add", json!({"by": 3}))]);
    let episode = play(&[], budget(), acting(move |_| Some(ending())));
    assert_eq!(
        (episode.end, episode.final_state.as_deref()),
        (EndReason::Terminal, Some("3"))
    );
    let bounded = Budget {
        max_calls: 1,
        ..budget()
    };
    assert_eq!(
        play(&[], bounded, acting(move |_| Some(two()))).end,
        EndReason::MaxCalls
    );
}

#[test]
fn arguments_that_cannot_be_read_spoil_only_their_call() {
    let broken = || {
        let mut call = CallRequest::new("add", "{\"by\": ".into());
        call.malformed = Some("the arguments are not JSON; write an object".into());
        let calls = vec![call, CallRequest::new("add", json!({"by": 4}))];
        Move::Turn(AgentTurn::Calls {
            content: String::new(),
            calls,
        })
    };
    let episode = play(&[], budget(), acting(move |turn| (turn == 0).then(broken)));
    let [unread, run] = &episode.tool_calls[..] else {
        panic!("{:?}", episode.tool_calls)
    };
    assert_eq!(unread.error.as_ref().map(|e| e.class), Some(ToolErrorClass::Malformed));
    assert_eq!(
        (unread.raw.as_str(), &unread.arguments),
        ("add {\"by\": ", &Value::Null)
    );
    assert_eq!((run.error.is_none(), episode.final_state.as_deref()), (true, Some("4")));

    // Where what cannot be read ends the turn, none of its calls is run.
    let ends = Budget {
        on_malformed: OnMalformed::EndTurn,
        ..budget()
    };
    let episode = play(&["go on"], ends, acting(move |turn| (turn == 0).then(broken)));
    assert_eq!(
        (episode.tool_calls.len(), episode.final_state.as_deref()),
        (1, Some("0"))
    );
    assert_eq!(users(&episode), ["Count to 2.", "? go on"]);
}

#[test]
fn the_user_goes_on_until_silence() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tools = seen.clone();
    let model = acting(move |turn| (turn == 1).then(|| call("add", json!({"by": 1}))));
    let watched = puppet(move |turn, messages, _| {
        if let Some(Message::User(text)) = messages.last() {
            tools.lock().unwrap().push(text.clone());
        }
        if turn == 1 {
            call("add", json!({"by": 1}))
        } else {
            say("done")
        }
    });
    let episode = play(&["more", "take away"], budget(), watched);
    assert_eq!(users(&episode), ["Count to 2.", "done? more", "done? take away"]);
    assert_eq!(*seen.lock().unwrap(), users(&episode));
    assert_eq!((episode.end, episode.model_calls.len()), (EndReason::Answered, 4));

    // A tool that went with the user's word is gone.
    let late = acting(|turn| (turn == 1).then(|| call("add", json!({"by": 1}))));
    let episode = play(&["take away"], budget(), late);
    assert_eq!(
        episode.tool_calls[0].error.as_ref().map(|e| e.class),
        Some(ToolErrorClass::UnknownTool)
    );

    let ends = Budget {
        on_malformed: OnMalformed::EndTurn,
        ..budget()
    };
    let episode = play(&["what"], ends, acting(|turn| (turn == 0).then(malformed)));
    assert_eq!(users(&episode)[1], "add{{? what");

    let bounded = Budget {
        max_steps: 2,
        ..budget()
    };
    let busy = acting(|_| Some(call("add", json!({"by": 1}))));
    assert_eq!(play(&["x"], bounded, busy).model_calls.len(), 2);
    // The bound is per message of the user.
    let episode = play(&["x", "y"], bounded, model);
    assert_eq!((episode.end, episode.model_calls.len()), (EndReason::Answered, 4));
}

#[test]
fn a_full_context_drops_old_observations_if_the_budget_says_so() {
    // Holds four long observations.
    let model = || {
        puppet(|turn, messages, _| {
            let held = messages
                .iter()
                .filter(|m| matches!(m, Message::Tool(text) if text != DROPPED))
                .count();
            match held {
                5.. => Move::Fail(ModelError::ContextOverflow { tokens: 5, limit: 4 }),
                _ if turn < 7 => call("talk", json!({})),
                _ => say("done"),
            }
        })
    };
    let wide = Budget {
        max_tokens: 100_000,
        ..budget()
    };
    let episode = play(&[], wide, model());
    assert_eq!(
        (episode.end, episode.model_calls.len()),
        (EndReason::ContextOverflow, 5)
    );

    let drops = Budget {
        on_overflow: OnOverflow::DropObservations,
        ..wide
    };
    let episode = play(&[], drops, model());
    assert_eq!((episode.end, episode.tool_calls.len()), (EndReason::Answered, 7));
    let events: Vec<_> = episode
        .events
        .iter()
        .filter(|e| e.kind == "dropped_observations")
        .collect();
    assert_eq!(events[0].detail, json!({"model_call": 5, "dropped": 2}));
    assert_eq!(events.len(), 2);
    // The tokens begin anew, and the record of what the tools said is untouched.
    assert_eq!(
        (episode.model_calls[5].parent, episode.model_calls[5].prompt.shared),
        (None, 0)
    );
    assert!(episode.tool_calls.iter().all(|call| call.shown != DROPPED));

    // What never fits ends the episode.
    let hopeless = puppet(|turn, _, _| match turn {
        0..3 => call("talk", json!({})),
        _ => Move::Fail(ModelError::ContextOverflow { tokens: 5, limit: 4 }),
    });
    let episode = play(&[], drops, hopeless);
    assert_eq!(
        (episode.end, episode.model_calls.len()),
        (EndReason::ContextOverflow, 3)
    );
}
