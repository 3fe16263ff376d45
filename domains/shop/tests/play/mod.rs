//! A bare agent loop for the tests: no validation but the tools' own. In a dialogue the taskset's customer answers.
#![allow(dead_code, reason = "each test file uses a part")]

use hone_env::{SimulatedUser, Split, Task, Taskset};
use hone_model::{AgentTurn, CallRequest, Message, Script};
use hone_trace::{
    Approval, EndReason, Episode, FinishReason, ModelCall, Outcome, Prompt, SCHEMA, SamplingSettings, Score, Stream,
    ToolCall, ToolFailure, Turn,
};

/// A played episode.
pub struct Played {
    pub messages: Vec<Message>,
    pub calls: usize,
    pub errors: Vec<ToolFailure>,
    pub score: Score,
}

impl Played {
    pub fn succeeded(&self) -> bool {
        self.score.value == 1.0
    }

    pub fn part(&self, name: &str) -> f64 {
        self.score
            .parts
            .iter()
            .find(|part| part.name == name)
            .map_or(f64::NAN, |part| part.value)
    }
}

/// A simulated customer.
pub struct Customer {
    script: Box<dyn Script>,
    role: SimulatedUser,
    messages: Vec<Message>,
}

impl Customer {
    pub fn new(script: Box<dyn Script>, role: SimulatedUser) -> Self {
        let messages = vec![Message::System(role.instructions.clone())];
        Self { script, role, messages }
    }

    pub fn open(&mut self) -> String {
        let cue = self.role.cue.clone().expect("the customer speaks first");
        self.answer(cue).expect("nobody leaves at once")
    }

    /// What it says to this; nothing once it left.
    pub fn answer(&mut self, text: String) -> Option<String> {
        self.messages.push(Message::User(text));
        let turn = self.script.next(&self.messages);
        self.messages.push(Message::Agent(turn.clone()));
        match turn {
            AgentTurn::Say(text) => Some(text).filter(|text| !self.role.stop.iter().any(|stop| text.contains(stop))),
            other => panic!("customers talk, and do not {other:?}"),
        }
    }
}

fn model_call(id: u32, text: String) -> ModelCall {
    ModelCall {
        id,
        parent: id.checked_sub(1),
        retry_of: None,
        role: "agent".into(),
        policy: "script".into(),
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
            max_tokens: 40,
            stream: String::new(),
            ..SamplingSettings::default()
        },
        finish: FinishReason::Stop,
        template: String::new(),
        grammar: None,
        text,
        remote: None,
        timing: Default::default(),
    }
}

/// Let a script play a task, and score the episode.
pub fn play(shop: &dyn Taskset, task: &Task, script: &str) -> Played {
    let mut world = shop.environment(task);
    world.reset(task).expect("the shop's own task fits its environment");
    let stream = Stream::new(5).named(&task.id);
    let mut script = shop.script(script, task, &stream).expect("the script is on offer");
    let mut customer = shop.user_scripts().first().map(|info| {
        let script = shop.user_script(info.name, task, &stream);
        Customer::new(
            script.expect("the customer is on offer"),
            shop.user(task).expect("there is a user"),
        )
    });
    let opening = customer
        .as_mut()
        .map_or(task.instruction.clone(), |customer| customer.open());
    let mut messages = vec![Message::User(opening.clone())];
    let mut episode = Episode {
        schema: SCHEMA,
        id: task.id.clone(),
        phase: "test".into(),
        taskset: shop.name().into(),
        task: task.id.clone(),
        task_kind: task.kind.clone(),
        group: 0,
        sample: 0,
        seed: 0,
        harness: "test".into(),
        policy: "script".into(),
        forked_from: None,
        turns: vec![Turn::User { text: opening }],
        model_calls: Vec::new(),
        tool_calls: Vec::new(),
        events: Vec::new(),
        end: EndReason::MaxTurns,
        outcome: Outcome::PolicyFailed,
        final_state: None,
        scores: Vec::new(),
        reward: None,
        timing: Default::default(),
    };
    for id in 0..shop.budget().max_turns {
        let turn = script.next(&messages);
        messages.push(Message::Agent(turn.clone()));
        episode.turns.push(Turn::Agent { model_call: id });
        let call = match turn {
            AgentTurn::Calls { mut calls, .. } if calls.len() == 1 => calls.remove(0),
            AgentTurn::Say(text) => {
                episode.model_calls.push(model_call(id, text.clone()));
                let reply = customer.as_mut().and_then(|customer| customer.answer(text));
                let Some(reply) = reply else {
                    episode.end = EndReason::Answered;
                    break;
                };
                episode.turns.push(Turn::User { text: reply.clone() });
                messages.push(Message::User(reply));
                continue;
            }
            other => panic!("scripts write well-formed turns of one call, not {other:?}"),
        };
        episode
            .model_calls
            .push(model_call(id, format!("{{\"{}\":{}}}", call.name, call.arguments)));
        let before = world.state_hash();
        let result = world.call(&call.name, &call.arguments);
        let shown = result
            .as_ref()
            .map_or_else(|error| error.to_string(), |output| output.text.clone());
        messages.push(Message::Tool(shown.clone()));
        let tool_call = episode.tool_calls.len() as u32;
        episode.turns.push(Turn::Tool { tool_call });
        episode.tool_calls.push(ToolCall {
            id: tool_call,
            model_call: Some(id),
            raw: String::new(),
            tool: call.name,
            tool_version: "1".into(),
            arguments: call.arguments,
            approval: Approval::Allowed,
            decision: None,
            result: result
                .as_ref()
                .map_or_else(|_| Default::default(), |output| output.data.clone()),
            shown,
            error: result.err().map(|e| ToolFailure {
                class: e.class,
                message: e.message,
            }),
            state_before: before,
            state_after: world.state_hash(),
            media: Vec::new(),
            snapshot: None,
            replayed: false,
            timing: Default::default(),
        });
    }
    let score = shop.score(task, &episode, world.as_ref());
    let errors = episode
        .tool_calls
        .iter()
        .filter_map(|call| call.error.clone())
        .collect();
    Played {
        messages,
        calls: episode.tool_calls.len(),
        errors,
        score,
    }
}

/// Share of the first `n` tasks of a split that a script solves.
pub fn success(shop: &dyn Taskset, split: Split, script: &str, n: u64) -> f64 {
    let solved = (0..n)
        .filter(|index| play(shop, &shop.task(split, *index).unwrap(), script).succeeded())
        .count();
    solved as f64 / n as f64
}

/// An episode as the README shows it.
pub fn transcript(played: &Played) -> String {
    let line = |message: &Message| match message {
        Message::System(text) => format!("system  {text}\n"),
        Message::User(text) => format!("user    {text}\n"),
        Message::Agent(AgentTurn::Calls { content, calls }) => {
            let thought = match content.as_str() {
                "" => String::new(),
                text => format!("({text}) "),
            };
            let line = |call: &CallRequest| format!("agent   {thought}{}{}\n", call.name, call.arguments);
            calls.iter().map(line).collect()
        }
        Message::Agent(AgentTurn::Say(text)) => format!("agent   {text}\n"),
        Message::Agent(AgentTurn::Malformed { raw, .. }) => format!("agent   {raw}\n"),
        Message::Tool(text) => format!("tool    {text}\n"),
    };
    played.messages.iter().map(line).collect()
}
