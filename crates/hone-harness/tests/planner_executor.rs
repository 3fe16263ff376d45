//! Planner, executor, verifier and generator: who is asked what, what is remembered, how it ends.

mod toy;

use hone_env::{Budget, NextStep, verdict};
use hone_harness::{EpisodeSetup, Finished, Harness, Label, PlannerExecutor, RolePlayer};
use hone_model::{Message, Model, ModelError};
use hone_tool::{ApprovalPolicy, Toolset};
use hone_trace::{EndReason, Episode, Lineage, Outcome, SamplingSettings, Stream, ToolErrorClass, Turn};
use serde_json::json;
use std::sync::{Arc, Mutex};
use toy::*;

/// What a model was told at each of its turns.
type Told = Arc<Mutex<Vec<Vec<Message>>>>;

/// A model that makes its moves in order, and keeps all that it was told.
fn playing(moves: Vec<Move>) -> (Arc<dyn Model>, Told) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (keep, moves) = (seen.clone(), Mutex::new(moves.into_iter()));
    let model = puppet(move |_, messages, _| {
        keep.lock().unwrap().push(messages.to_vec());
        moves.lock().unwrap().next().unwrap_or_else(|| say("and so on"))
    });
    (model, seen)
}

struct Played {
    episode: Episode,
    value: i64,
    /// What the planner was told at each of its turns.
    planner: Vec<Vec<Message>>,
    generator: Vec<Vec<Message>>,
}

fn play(budget: Budget, planner: Vec<Move>, executor: Vec<Move>, verifier: Vec<Move>, generator: Vec<Move>) -> Played {
    let sampling = SamplingSettings {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        max_tokens: 0,
        stream: String::new(),
        ..SamplingSettings::default()
    };
    let (planner, planner_saw) = playing(planner);
    let (generator, generator_saw) = playing(generator);
    let role = |model: Arc<dyn Model>| RolePlayer {
        cast: Arc::new(move |_, _, _| model.clone()),
        sampling: sampling.clone(),
    };
    let harness = PlannerExecutor {
        executor: role(playing(executor).0),
        verifier: role(playing(verifier).0),
        generator: role(generator),
        max_steps: Some(3),
    };
    let setup = EpisodeSetup {
        label: Label {
            id: "t/0/0".into(),
            phase: "t".into(),
            taskset: "toy".into(),
            group: 0,
            sample: 0,
        },
        task: Arc::new(task(2)),
        environment: Box::new(Counter::new(true)),
        toolset: Arc::new(Toolset::compile(&specs()).unwrap()),
        model: planner,
        user: None,
        budget,
        sampling,
        approval: Arc::new(ApprovalPolicy::AllowAll),
        recording: None,
        stream: Stream::new(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Finished { episode, environment } = runtime.unwrap().block_on(harness.run(setup));
    episode.check().expect("whole");
    let [planner, generator] = [planner_saw, generator_saw].map(|seen| seen.lock().unwrap().clone());
    Played {
        episode,
        value: environment.unwrap().state()["value"].as_i64().unwrap(),
        planner,
        generator,
    }
}

fn plan(tool: &str) -> Move {
    let next = NextStep {
        tool_name: tool.into(),
        sub_goal: "count on".into(),
        ..NextStep::default()
    };
    Move::Turn(next.turn())
}

fn stop(stop: bool) -> Move {
    Move::Turn(verdict(stop))
}

fn roles(episode: &Episode) -> Vec<&str> {
    episode.model_calls.iter().map(|call| call.role.as_str()).collect()
}

const QUERY: &str = "Count to 2.";

#[test]
fn the_planner_sees_the_query_and_the_memory_and_the_generator_answers() {
    let one = || call("add", json!({"by": 1}));
    let played = play(
        budget(),
        vec![plan("add"), plan("ADD")],
        vec![one(), one()],
        vec![stop(false), stop(true)],
        vec![say("two")],
    );
    let Played { episode, planner, .. } = &played;
    assert_eq!(
        (episode.end, &episode.outcome),
        (EndReason::Answered, &Outcome::PolicyFailed)
    );
    assert_eq!(played.value, 2);
    let round = ["agent", "executor", "verifier"];
    assert_eq!(roles(episode), [&round[..], &round[..], &["generator"]].concat());
    // A prompt of its own for each turn, with the whole memory and nothing else.
    let first = r#"Action Step 1: {"tool_name":"add","sub_goal":"count on","command":{"by":1},"result":{"value":1}}"#;
    let Message::System(guide) = &planner[0][0] else {
        panic!("{:?}", planner[0])
    };
    assert!(
        guide.contains("call next_step") && guide.ends_with("The task:\nYou count."),
        "{guide}"
    );
    assert_eq!(planner[0][1..], [Message::User(QUERY.into())]);
    assert_eq!(planner[1][1..], [Message::User(format!("{QUERY}\n{first}"))]);
    let Some(Message::User(told)) = played.generator[0].last() else {
        panic!("{:?}", played.generator)
    };
    assert!(
        told.starts_with(&format!("{QUERY}\n{first}\nAction Step 2: ")),
        "{told}"
    );
    for call in &episode.model_calls {
        assert_eq!((call.parent, call.prompt.shared), (None, 0));
        assert_eq!(call.lineage == Lineage::Main, call.role == "agent");
    }
    assert!(episode.tool_calls.iter().all(|call| episode.caller(call) == "executor"));
    let agents = episode.turns.iter().filter_map(|turn| match turn {
        Turn::Agent { model_call } => Some(*model_call),
        _ => None,
    });
    assert_eq!(agents.collect::<Vec<_>>(), [0, 3, 6]);
    let own: usize = [0, 3].iter().map(|id| episode.model_calls[*id].output.len()).sum();
    assert_eq!(episode.sampled_tokens(), own as u64);
}

#[test]
fn a_step_that_cannot_be_taken_counts_and_the_generator_runs_when_the_steps_are_used_up() {
    let played = play(
        budget(),
        vec![plan("fly"), malformed(), say("Well: {\"tool_name\": \"add\"} it is.")],
        // Of the tool that was planned only.
        vec![call("finish", json!({}))],
        vec![say("CONTINUE, do not STOP, CONTINUE"), say("hm"), stop(false)],
        vec![say("none")],
    );
    let episode = &played.episode;
    assert_eq!((episode.end, played.value), (EndReason::Answered, 0));
    let classes = episode.tool_calls.iter().map(|call| {
        let class = call.error.as_ref().unwrap().class;
        (episode.caller(call), class)
    });
    assert_eq!(
        classes.collect::<Vec<_>>(),
        [
            ("agent", ToolErrorClass::UnknownTool),
            ("agent", ToolErrorClass::Malformed),
            ("executor", ToolErrorClass::UnknownTool)
        ]
    );
    assert_eq!(roles(episode).iter().filter(|role| **role == "agent").count(), 3);
    assert_eq!(roles(episode).last(), Some(&"generator"));
    let protocol: Vec<_> = episode.events.iter().filter(|event| event.kind == "protocol").collect();
    assert_eq!(protocol.len(), 1, "{protocol:?}");
    assert_eq!(protocol[0].detail["by"], "verifier");
}

#[test]
fn a_helper_that_fails_is_not_the_policys_failure() {
    let broken = || Move::Fail(ModelError::Unavailable("gone".into()));
    let played = play(budget(), vec![plan("add")], vec![broken()], vec![], vec![]);
    let Outcome::InfraFailed { cause } = &played.episode.outcome else {
        panic!("{:?}", played.episode.outcome)
    };
    assert!(cause.starts_with("executor's model: "), "{cause}");
    // An executor without a call leaves a step without a command.
    let played = play(
        budget(),
        vec![plan("add")],
        vec![say("no")],
        vec![stop(true)],
        vec![say("x")],
    );
    assert!(played.episode.tool_calls.is_empty() && played.episode.counts());
    // What ends the world ends the episode.
    let played = play(
        budget(),
        vec![plan("finish")],
        vec![call("finish", json!({}))],
        vec![],
        vec![],
    );
    assert_eq!(played.episode.end, EndReason::Terminal);
}
