//! A counter to be brought to a target, with tools that fail in every way, and a model made of a function.
#![allow(dead_code)]

use async_trait::async_trait;
use hone_env::*;
use hone_model::*;
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::{Episode, FinishReason, Lineage, ModelCall, Origin, Prompt, Score, Span, Stream, Timing};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long the tool `hang` takes.
pub const HANG: Duration = Duration::from_secs(5);

/// The world.
pub struct Counter {
    pub specs: Arc<Vec<ToolSpec>>,
    pub value: i64,
    pub inline: bool,
    pub calls: Arc<AtomicU32>,
    /// What the user still says, last first.
    pub words: Vec<String>,
}

impl Counter {
    pub fn new(inline: bool) -> Self {
        Self {
            specs: specs(),
            value: 0,
            inline,
            calls: Arc::default(),
            words: Vec::new(),
        }
    }
}

pub fn specs() -> Arc<Vec<ToolSpec>> {
    let schema = json!({"type": "object", "properties": {"by": {"type": "integer"}}, "additionalProperties": false});
    let spec = |name: &str| ToolSpec {
        name: name.into(),
        description: format!("{name}, as it says"),
        input_schema: schema.clone(),
        annotations: Annotations::default(),
        version: "1".into(),
        unchecked: false,
    };
    Arc::new(
        ["add", "finish", "fail", "panic", "hang", "talk", "gone"]
            .map(spec)
            .into(),
    )
}

impl ToolHost for Counter {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut terminal = false;
        match tool {
            "add" => self.value += arguments["by"].as_i64().unwrap_or(1),
            "finish" => terminal = true,
            "fail" => return Err(ToolError::tool("the counter is stuck; add something else")),
            "panic" => panic!("the counter broke"),
            "hang" => std::thread::sleep(HANG),
            "talk" => {
                return Ok(ToolOutput {
                    text: "blah ".repeat(500),
                    ..ToolOutput::default()
                });
            }
            "gone" => {
                let class = hone_trace::ToolErrorClass::Infrastructure;
                return Err(ToolError {
                    class,
                    message: "the server is gone".into(),
                });
            }
            other => unreachable!("{other} is no tool"),
        }
        Ok(ToolOutput {
            terminal,
            ..ToolOutput::json(json!({"value": self.value}))
        })
    }

    fn state_hash(&self) -> Option<String> {
        Some(format!("{:x}", self.value))
    }

    fn inline(&self) -> bool {
        self.inline
    }
}

impl Environment for Counter {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        match task.data["start"].as_i64() {
            Some(value) => self.value = value,
            None => {
                return Err(EnvError::Data {
                    what: "the task has no start".into(),
                    remedy: "add one".into(),
                });
            }
        }
        Ok(())
    }

    fn state(&self) -> Value {
        json!({"value": self.value})
    }

    fn user(&mut self, answer: &str) -> Result<Option<String>, EnvError> {
        let Some(words) = self.words.pop() else {
            return Ok(None);
        };
        if words == "be lost" {
            return Err(EnvError::Lost("the counter is gone".into()));
        }
        if words == "take away" {
            let spec = |spec: &ToolSpec| (spec.name != "add").then(|| spec.clone());
            self.specs = Arc::new(self.specs.iter().filter_map(spec).collect());
        }
        Ok(Some(format!("{answer}? {words}")))
    }
}

/// Tasks: bring the counter from 0 to the task's index (at least 1).
pub struct Toy {
    pub inline: bool,
    pub specs: Arc<Vec<ToolSpec>>,
}

impl Toy {
    pub fn new(inline: bool) -> Self {
        Self { inline, specs: specs() }
    }
}

pub fn task(index: u64) -> Task {
    Task {
        id: format!("train/{index}"),
        kind: "count".into(),
        system: Some("You count.".into()),
        instruction: format!("Count to {index}."),
        seed: index,
        data: json!({"start": 0, "target": index}),
    }
}

pub fn budget() -> Budget {
    Budget {
        max_turns: 10,
        max_calls: 8,
        max_turn_tokens: 200,
        max_tokens: 2000,
        max_observation_chars: 200,
        tool_timeout_ms: 100,
        episode_timeout_ms: 10_000,
        on_malformed: OnMalformed::Observe,
        ..Budget::default()
    }
}

impl Taskset for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn about(&self) -> &'static str {
        "Counting."
    }

    fn len(&self, _: Split) -> Option<u64> {
        Some(1000)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        if index >= 1000 {
            return Err(EnvError::NoSuchTask {
                taskset: "toy".into(),
                split: split.name(),
                index,
                len: 1000,
            });
        }
        Ok(task(index))
    }

    fn environment(&self, _: &Task) -> Box<dyn Environment> {
        Box::new(Counter {
            specs: self.specs.clone(),
            ..Counter::new(self.inline)
        })
    }

    fn budget(&self) -> Budget {
        budget()
    }

    fn score(&self, task: &Task, _: &Episode, environment: &dyn Environment) -> Score {
        let value = environment.state()["value"].as_i64();
        assert_ne!(value, Some(666), "the scorer broke");
        let success = value == task.data["target"].as_i64();
        let value = if value == Some(667) {
            f64::NAN
        } else {
            f64::from(u8::from(success))
        };
        Score {
            scorer: "toy".into(),
            version: "1".into(),
            hash: String::new(),
            value,
            parts: Vec::new(),
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        &[]
    }

    fn script(&self, _: &str, _: &Task, _: &Stream) -> Option<Box<dyn Script>> {
        None
    }
}

/// What a [`Puppet`] does next.
pub enum Move {
    Turn(AgentTurn),
    Fail(ModelError),
    Panic,
    Wait(Duration),
}

pub fn call(tool: &str, arguments: Value) -> Move {
    Move::Turn(AgentTurn::call(tool, arguments))
}

pub fn calls(calls: &[(&str, Value)]) -> Move {
    let calls = calls
        .iter()
        .map(|(tool, arguments)| CallRequest::new(*tool, arguments.clone()));
    Move::Turn(AgentTurn::Calls {
        content: String::new(),
        calls: calls.collect(),
    })
}

pub fn say(text: &str) -> Move {
    Move::Turn(AgentTurn::Say(text.into()))
}

pub fn malformed() -> Move {
    Move::Turn(AgentTurn::Malformed {
        raw: "add{{".into(),
        error: "the call has no closing brace; write one".into(),
    })
}

type Play = dyn Fn(u32, &[Message], Stream) -> Move + Send + Sync;

/// A model made of a function of (call number, messages, stream). One token per byte.
pub struct Puppet(pub Box<Play>);

pub fn puppet(play: impl Fn(u32, &[Message], Stream) -> Move + Send + Sync + 'static) -> Arc<dyn Model> {
    Arc::new(Puppet(Box::new(play)))
}

fn text(message: &Message) -> String {
    match message {
        Message::System(t) | Message::User(t) | Message::Tool(t) | Message::Agent(AgentTurn::Say(t)) => t.clone(),
        Message::Agent(AgentTurn::Calls { calls, .. }) => calls
            .iter()
            .map(|call| format!("{}{}", call.name, call.arguments))
            .collect(),
        Message::Agent(AgentTurn::Malformed { raw, .. }) => raw.clone(),
    }
}

fn tokens(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

#[async_trait]
impl Model for Puppet {
    fn name(&self) -> String {
        "puppet".into()
    }

    async fn complete(&self, chat: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        tokio::task::yield_now().await;
        let mut turn = match (self.0)(request.call_id, &chat.messages, request.stream) {
            Move::Turn(turn) => turn,
            Move::Fail(error) => return Err(error),
            Move::Panic => panic!("the model broke"),
            Move::Wait(time) => {
                tokio::time::sleep(time).await;
                AgentTurn::Say("late".into())
            }
        };
        let new: Vec<u32> = chat.messages[chat.rendered..]
            .iter()
            .flat_map(|m| tokens(&text(m)))
            .collect();
        let mut said = text(&Message::Agent(turn.clone()));
        let limit = request.sampling.max_tokens as usize;
        let mut finish = FinishReason::Stop;
        if said.len() > limit {
            finish = FinishReason::Length;
            said.truncate(limit);
            turn = AgentTurn::Malformed {
                raw: said.clone(),
                error: "the turn was cut".into(),
            };
        }
        let output = tokens(&said);
        let call = ModelCall {
            id: request.call_id,
            parent: chat.last_call,
            retry_of: None,
            role: String::new(),
            policy: "puppet".into(),
            lineage: Lineage::Main,
            prompt: Prompt {
                shared: chat.ids.len() as u32,
                new: new.clone(),
            },
            origins: vec![Span {
                start: 0,
                end: output.len() as u32,
                value: Origin::Sampled,
            }],
            output: output.clone(),
            logprobs: vec![],
            sampled_logprobs: vec![],
            entropies: vec![],
            top_logprobs: Vec::new(),
            versions: vec![],
            sampling: request.sampling,
            finish,
            template: String::new(),
            grammar: None,
            text: said,
            remote: None,
            timing: Timing::default(),
        };
        chat.ids.extend(new);
        chat.ids.extend(output);
        chat.messages.push(Message::Agent(turn.clone()));
        chat.rendered = chat.messages.len();
        chat.last_call = Some(request.call_id);
        Ok(Completion { turn, call })
    }
}
