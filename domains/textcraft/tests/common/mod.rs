//! Plays scripted episodes, without a harness.

#![allow(dead_code)] // each test file uses its part

use hone_env::{Environment, Task, Taskset};
use hone_model::{AgentTurn, Message};
use hone_textcraft::{Selection, Textcraft};
use hone_trace::{Approval, EndReason, Episode, Outcome, SCHEMA, Stream, Timing, ToolCall, ToolFailure};
use std::fmt::Write;
use std::path::PathBuf;

/// TextCraft on the real recipes, all depths. Without them: fails where `CI` is set, else says so and gives `None`.
pub fn textcraft() -> Option<Textcraft> {
    selected("textcraft")
}

/// The TextCraft that a name selects.
pub fn selected(name: &str) -> Option<Textcraft> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = std::env::var_os("HONE_DATA").map_or(beside, PathBuf::from);
    match Textcraft::load(Some(&dir), &Selection::of(name).expect("a name")) {
        Ok(textcraft) => Some(textcraft),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: this test plays on the real recipes, and {error}");
            None
        }
    }
}

/// An episode as it was played.
pub struct Played {
    pub episode: Episode,
    pub messages: Vec<Message>,
    pub environment: Box<dyn Environment>,
}

pub fn play(textcraft: &Textcraft, task: &Task, script: &str, stream: &Stream) -> Played {
    let mut environment = textcraft.environment(task);
    environment.reset(task).expect("the taskset's own task");
    let mut script = textcraft.script(script, task, stream).expect("a script on offer");
    let mut messages = vec![Message::User(task.instruction.clone())];
    let mut tool_calls = vec![];
    let end = loop {
        if tool_calls.len() > textcraft.budget().max_calls as usize {
            break EndReason::MaxCalls;
        }
        let turn = script.next(&messages);
        messages.push(Message::Agent(turn.clone()));
        let [call] = turn.calls() else {
            break EndReason::Answered;
        };
        let call = call.clone();
        let before = environment.state_hash();
        let result = environment.call(&call.name, &call.arguments);
        let shown = result.as_ref().map_or_else(|e| e.message.clone(), |o| o.text.clone());
        tool_calls.push(ToolCall {
            id: tool_calls.len() as u32,
            model_call: None,
            raw: String::new(),
            tool: call.name,
            tool_version: String::new(),
            arguments: call.arguments,
            approval: Approval::Allowed,
            decision: None,
            result: result.as_ref().map(|o| o.data.clone()).unwrap_or_default(),
            shown: shown.clone(),
            error: result.err().map(|e| ToolFailure {
                class: e.class,
                message: e.message,
            }),
            state_before: before,
            state_after: environment.state_hash(),
            media: Vec::new(),
            snapshot: None,
            replayed: false,
            timing: Timing::default(),
        });
        messages.push(Message::Tool(shown));
    };
    let episode = Episode {
        schema: SCHEMA,
        id: task.id.clone(),
        phase: "test".into(),
        taskset: textcraft.name().into(),
        task: task.id.clone(),
        task_kind: task.kind.clone(),
        group: 0,
        sample: 0,
        seed: task.seed,
        harness: "test".into(),
        policy: "script".into(),
        forked_from: None,
        turns: vec![],
        model_calls: vec![],
        tool_calls,
        events: vec![],
        end,
        outcome: Outcome::Ok,
        final_state: environment.state_hash(),
        scores: vec![],
        reward: None,
        timing: Timing::default(),
    };
    Played {
        episode,
        messages,
        environment,
    }
}

/// The conversation, a line for each message.
pub fn transcript(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        let _ = match message {
            Message::System(words) => writeln!(text, "system: {words}"),
            Message::User(words) => writeln!(text, "user:   {words}"),
            Message::Agent(AgentTurn::Calls { calls, .. }) => calls
                .iter()
                .try_for_each(|call| writeln!(text, "agent:  {} {}", call.name, call.arguments)),
            Message::Agent(AgentTurn::Say(words)) => writeln!(text, "agent:  {words}"),
            Message::Agent(AgentTurn::Malformed { raw, .. }) => writeln!(text, "agent:  ?{raw}"),
            Message::Tool(words) => writeln!(text, "tool:   {words}"),
        };
    }
    text
}
