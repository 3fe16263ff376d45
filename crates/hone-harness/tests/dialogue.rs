//! The agent and a simulated user: who speaks when, what each sees, how it ends.

mod toy;

use hone_env::{Budget, EnvError, Environment, Given, Party, SimulatedUser, Task};
use hone_harness::{Dialogue, EpisodeSetup, Finished, Harness, Label, UserSetup};
use hone_model::{AgentTurn, CallRequest, Message, Model};
use hone_tool::{ApprovalPolicy, ToolError, ToolHost, ToolOutput, ToolSpec, Toolset};
use hone_trace::{EndReason, Episode, Lineage, Outcome, SamplingSettings, Stream, Turn};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use toy::*;

/// The counter, whose user can add as well.
struct Shared(Counter);

impl ToolHost for Shared {
    fn specs(&self) -> &[ToolSpec] {
        self.0.specs()
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        self.0.call(tool, arguments)
    }

    fn state_hash(&self) -> Option<String> {
        self.0.state_hash()
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Shared {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        self.0.reset(task)
    }

    fn state(&self) -> Value {
        self.0.state()
    }

    fn user_specs(&self) -> &[ToolSpec] {
        &self.0.specs()[..1]
    }

    fn user_call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        self.0.call(tool, arguments)
    }
}

/// A model that makes its moves in order, and keeps what it saw before the last.
fn playing(moves: Vec<Move>) -> (Arc<dyn Model>, Arc<Mutex<Vec<Message>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (keep, moves) = (seen.clone(), Mutex::new(moves.into_iter()));
    let model = puppet(move |_, messages, _| {
        *keep.lock().unwrap() = messages.to_vec();
        moves.lock().unwrap().next().unwrap_or_else(|| say("and so on"))
    });
    (model, seen)
}

fn role() -> SimulatedUser {
    SimulatedUser {
        instructions: "You want two.".into(),
        opening: vec![Given::Said {
            by: Party::Agent,
            text: "Hi!".into(),
        }],
        cue: None,
        stop: vec!["###STOP###".into()],
        strict_turns: false,
    }
}

struct Played {
    episode: Episode,
    agent: Vec<Message>,
    user: Vec<Message>,
}

fn play(role: SimulatedUser, budget: Budget, agent: Vec<Move>, user: Vec<Move>) -> Played {
    let (agent, agent_saw) = playing(agent);
    let (user, user_saw) = playing(user);
    let sampling = SamplingSettings {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        max_tokens: 0,
        stream: String::new(),
        ..SamplingSettings::default()
    };
    let tools = |specs: &[ToolSpec]| Arc::new(Toolset::compile(specs).unwrap());
    let setup = EpisodeSetup {
        label: Label {
            id: "t/0/0".into(),
            phase: "t".into(),
            taskset: "toy".into(),
            group: 0,
            sample: 0,
        },
        task: Arc::new(task(2)),
        environment: Box::new(Shared(Counter::new(true))),
        toolset: tools(&specs()),
        model: agent,
        user: Some(UserSetup {
            role,
            model: user,
            toolset: tools(&specs()[..1]),
            sampling: sampling.clone(),
        }),
        budget,
        sampling,
        approval: Arc::new(ApprovalPolicy::AllowAll),
        recording: None,
        stream: Stream::new(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Finished { episode, .. } = runtime.unwrap().block_on(Dialogue.run(setup));
    episode.check().expect("whole");
    let [agent, user] = [agent_saw, user_saw].map(|seen| seen.lock().unwrap().clone());
    Played { episode, agent, user }
}

fn wide() -> Budget {
    Budget {
        max_turns: 50,
        max_calls: 50,
        max_tokens: 100_000,
        ..budget()
    }
}

fn system(text: &str) -> Message {
    Message::System(text.into())
}

fn spoken(text: &str) -> Message {
    Message::Agent(AgentTurn::Say(text.into()))
}

fn user(text: &str) -> Message {
    Message::User(text.into())
}

#[test]
fn each_side_sees_the_dialogue_and_its_own_calls() {
    let adds = |by| calls(&[("add", json!({"by": by})), ("add", json!({"by": 0}))]);
    let agent = vec![adds(1), say("Now you."), say("Thanks.")];
    let talk = vec![say("Count to two."), adds(1), say("I have 2."), say("Bye. ###STOP###")];
    let Played {
        episode,
        agent,
        user: saw,
    } = play(role(), wide(), agent, talk);
    assert_eq!(
        (episode.end, &episode.outcome),
        (EndReason::Answered, &Outcome::PolicyFailed)
    );
    assert_eq!(episode.final_state.as_deref(), Some("2"));
    let tools = |value: i64| Message::Tool(json!({"value": value}).to_string());
    let made = |by: i64| {
        Message::Agent(AgentTurn::Calls {
            content: String::new(),
            calls: [by, 0].map(|by| CallRequest::new("add", json!({"by": by}))).into(),
        })
    };
    assert_eq!(
        agent,
        [
            system("You count."),
            spoken("Hi!"),
            user("Count to two."),
            made(1),
            tools(1),
            tools(1),
            spoken("Now you."),
            user("I have 2."),
        ]
    );
    assert_eq!(
        saw,
        [
            system("You want two."),
            user("Hi!"),
            spoken("Count to two."),
            user("Now you."),
            made(1),
            tools(2),
            tools(2),
            spoken("I have 2."),
            user("Thanks."),
        ]
    );
    // Calls of the user refer to its model calls, which no training row takes.
    let callers: Vec<_> = episode.tool_calls.iter().map(|call| episode.caller(call)).collect();
    assert_eq!(callers, ["agent", "agent", "user", "user"]);
    for call in &episode.model_calls {
        let sub = call.lineage == Lineage::SubAgent("user".into());
        assert_eq!(call.role == "user", sub);
        assert!(call.role == "user" || call.role == "agent");
    }
    let kinds: String = episode
        .turns
        .iter()
        .map(|turn| match turn {
            Turn::System { .. } => 's',
            Turn::User { .. } => 'u',
            Turn::Agent { .. } => 'a',
            Turn::Tool { .. } => 't',
        })
        .collect();
    assert_eq!(kinds, "suattattuau");
    let sampled: u64 = episode
        .model_calls
        .iter()
        .filter(|call| call.role == "agent")
        .map(|call| call.output.len() as u64)
        .sum();
    assert_eq!(episode.sampled_tokens(), sampled);
    let events: Vec<_> = episode.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(events, ["opening", "user_stop"]);
}

#[test]
fn a_stop_word_counts_in_what_the_user_says_only() {
    let Played { episode, .. } = play(
        role(),
        wide(),
        vec![say("###STOP###"), say("b")],
        vec![say("a"), say("x ###STOP### y")],
    );
    assert_eq!((episode.end, episode.model_calls.len()), (EndReason::Answered, 3));
    assert_eq!(episode.events[1].detail, json!({"said": "###STOP###"}));
}

#[test]
fn the_bounds_on_messages_and_errors_are_checked_where_nobody_waits_for_results() {
    // Messages: user, agent's calls, their results, … The round of results is the first that may end it.
    let bound = |max_messages, max_errors| Budget {
        max_messages,
        max_errors,
        ..wide()
    };
    let adds = || call("add", json!({"by": 1}));
    let end = |budget, agent: Vec<Move>, talk: Vec<Move>| {
        let episode = play(role(), budget, agent, talk).episode;
        (episode.end, episode.model_calls.len(), episode.tool_calls.len())
    };
    let agent = || vec![adds(), adds(), adds()];
    assert_eq!(end(bound(2, 0), agent(), vec![say("a")]), (EndReason::MaxTurns, 2, 1));
    assert_eq!(end(bound(3, 0), agent(), vec![say("a")]), (EndReason::MaxTurns, 2, 1));
    assert_eq!(end(bound(1, 0), agent(), vec![say("a")]), (EndReason::MaxTurns, 1, 0));
    // The bound comes before the user's own end.
    assert_eq!(
        end(bound(1, 0), vec![], vec![say("###STOP###")]),
        (EndReason::MaxTurns, 1, 0)
    );
    assert_eq!(
        end(bound(2, 0), vec![], vec![say("###STOP###")]),
        (EndReason::Answered, 1, 0)
    );
    // Three failures in one turn: all three are answered, then it ends. Errors come before messages.
    let fails = || calls(&[("fail", json!({})), ("fail", json!({})), ("fail", json!({}))]);
    assert_eq!(
        end(bound(0, 2), vec![fails(), adds()], vec![say("a")]),
        (EndReason::MaxErrors, 2, 3)
    );
    assert_eq!(
        end(bound(3, 3), vec![fails(), adds()], vec![say("a")]),
        (EndReason::MaxErrors, 2, 3)
    );
    assert_eq!(
        end(bound(0, 4), vec![fails(), say("b")], vec![say("a"), say("###STOP###")]),
        (EndReason::Answered, 4, 3)
    );
    // The user's failures count as well.
    let talk = vec![call("add", json!({"by": "x"})), call("add", json!({"by": "x"}))];
    assert_eq!(end(bound(0, 2), vec![], talk), (EndReason::MaxErrors, 2, 2));
}

#[test]
fn text_beside_calls_is_kept_or_ends_the_run() {
    let both = || Move::Turn(AgentTurn::call("add", json!({"by": 1})).after("Let me see."));
    let talk = || vec![say("a"), say("###STOP###")];
    let loose = play(role(), wide(), vec![both(), say("b")], talk());
    assert_eq!(loose.episode.end, EndReason::Answered);
    let event = loose
        .episode
        .events
        .iter()
        .find(|event| event.kind == "beside_calls")
        .unwrap();
    assert_eq!(event.detail, json!({"model_call": 1, "text": "Let me see."}));
    assert!(!format!("{:?}", loose.user).contains("Let me see."));
    let strict = SimulatedUser {
        strict_turns: true,
        ..role()
    };
    let ended = play(strict, wide(), vec![both()], talk()).episode;
    assert_eq!((ended.end, ended.tool_calls.len()), (EndReason::Malformed, 0));
    assert_eq!(ended.events[1].detail["by"], "agent");
    // Neither text nor calls ends it in any case, whoever it was.
    let empty = play(role(), wide(), vec![], vec![say(" ")]).episode;
    assert_eq!(empty.end, EndReason::Malformed);
    assert_eq!(empty.events[1].detail["by"], "user");
}

#[test]
fn an_opening_decides_who_goes_on() {
    let said = |by, text: &str| Given::Said { by, text: text.into() };
    let history = vec![
        said(Party::User, "Count."),
        Given::Called {
            by: Party::Agent,
            calls: vec![CallRequest::new("add", json!({}))],
        },
        Given::Result {
            by: Party::Agent,
            text: "1".into(),
        },
    ];
    let with = |opening| SimulatedUser { opening, ..role() };
    let talk = || vec![say("###STOP###")];
    let first = |role| {
        let episode = play(role, wide(), vec![say("One.")], talk()).episode;
        episode.model_calls[0].role.clone()
    };
    assert_eq!(first(with(history.clone())), "agent");
    assert_eq!(first(with(vec![said(Party::User, "Count.")])), "agent");
    assert_eq!(first(role()), "user");
    let played = play(with(history), wide(), vec![say("One.")], talk());
    assert_eq!(played.user, [system("You want two."), spoken("Count."), user("One.")]);
    // A cue is for the user alone.
    let cued = SimulatedUser {
        cue: Some("Hi! How can I help?".into()),
        ..with(vec![])
    };
    let played = play(cued, wide(), vec![say("One.")], vec![say("Count."), say("###STOP###")]);
    assert_eq!(played.agent, [system("You count."), user("Count.")]);
    assert_eq!(played.user[1], user("Hi! How can I help?"));
}

#[test]
fn what_the_users_model_cannot_do_is_not_the_policys_failure() {
    let gone = || Move::Fail(hone_model::ModelError::Unavailable("gone".into()));
    let episode = play(role(), wide(), vec![], vec![gone()]).episode;
    assert_eq!(episode.end, EndReason::ModelFailure);
    assert!(matches!(&episode.outcome, Outcome::InfraFailed { cause } if cause.contains("user's model")));
    let long = play(role(), wide(), vec![], vec![say(&"x".repeat(500))]).episode;
    assert!(matches!(&long.outcome, Outcome::InfraFailed { cause } if cause.contains("ran out of room")));
    // The agent's own is.
    let own = play(role(), wide(), vec![say(&"x".repeat(500))], vec![say("a")]).episode;
    assert_eq!((own.end, own.outcome), (EndReason::MaxTokens, Outcome::PolicyFailed));
}
