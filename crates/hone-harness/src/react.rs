//! The plain loop: the model speaks, a call is run, its result is shown, until the model answers.

use crate::{EpisodeSetup, Finished, Harness};
use async_trait::async_trait;
use hone_env::{Budget, Environment, OnMalformed, OnOverflow, Task};
use hone_model::{AgentTurn, CallRequest, Completion, Conversation, Message, Model, Request};
use hone_tool::{ApprovalPolicy, Asked, Recording, Rules, ToolRequest, Toolset, caught, dispatch, guarded};
use hone_trace::{EndReason, Episode, Event, FinishReason, Outcome, SamplingSettings, Stream, Timing, Turn};
use hone_trace::{ToolErrorClass, ToolFailure};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout};

/// What stands in place of an observation that made room.
pub const DROPPED: &str = "[dropped to make room]";

/// What answers a readable call of a turn that ends for an unreadable one.
const NOT_RUN: &str = "error: not run, because another call of the turn cannot be read";

/// ReAct with native tool calls: a turn is calls, run in order, or an answer. What the user says to an answer
/// ([`Environment::user`]) goes on with the conversation; silence ends it. A call after which the environment says that
/// the episode is over ends it with the turn's last call.
///
/// Bounds and what they mean:
/// * turns, calls, steps: no further one starts once the bound is reached (a malformed turn counts as a call);
/// * tokens: a turn gets what is left of the conversation's bound, at most `max_turn_tokens`; a turn that is cut short
///   there ends the episode, because it has no end. Observations are counted as soon as the model has read them;
/// * time: whoever was being waited for when the episode's bound passed is named in the cause, and the episode does not
///   count: wall-clock time is not the policy's doing.
#[derive(Clone, Copy, Debug, Default)]
pub struct React;

#[async_trait]
impl Harness for React {
    fn name(&self) -> &'static str {
        "react"
    }

    async fn run(&self, setup: EpisodeSetup) -> Finished {
        let mut play = Play::start(self.name(), setup);
        let end = play.react().await;
        play.finish(end).await
    }
}

/// How an episode ended; with a cause if that is not the policy's doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// How.
    pub reason: EndReason,
    /// Which part of the infrastructure failed and how.
    pub infra: Option<String>,
}

impl End {
    /// By what the policy did.
    pub fn policy(reason: EndReason) -> Self {
        Self { reason, infra: None }
    }

    /// By what went wrong around it.
    pub fn infra(reason: EndReason, cause: String) -> Self {
        Self {
            reason,
            infra: Some(cause),
        }
    }
}

/// An episode under way, for loops to build on: every bound holds, every model and tool call is recorded.
pub struct Play {
    task: Arc<Task>,
    start: Instant,
    start_us: u64,
    environment: Option<Box<dyn Environment>>,
    toolset: Arc<Toolset>,
    model: Arc<dyn Model>,
    budget: Budget,
    sampling: SamplingSettings,
    approval: Arc<ApprovalPolicy>,
    recording: Option<Recording>,
    stream: Stream,
    deadline: Instant,
    /// What the next model call continues, and where tools' answers go. A loop may put another one in its place.
    pub conversation: Conversation,
    /// Agent turns since the user spoke.
    steps: u32,
    /// The record so far.
    pub episode: Episode,
}

impl Play {
    /// An episode of which nothing has happened yet.
    pub fn start(harness: &str, setup: EpisodeSetup) -> Self {
        let start = Instant::now();
        let mut episode = setup.label.blank(&setup.task, &setup.stream);
        episode.harness = harness.to_owned();
        episode.policy = setup.model.name();
        Self {
            start,
            start_us: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_micros() as u64),
            deadline: start + Duration::from_millis(setup.budget.episode_timeout_ms),
            task: setup.task,
            environment: Some(setup.environment),
            toolset: setup.toolset,
            model: setup.model,
            budget: setup.budget,
            sampling: setup.sampling,
            approval: setup.approval,
            recording: setup.recording,
            stream: setup.stream.named("call"),
            conversation: Conversation::default(),
            steps: 0,
            episode,
        }
    }

    /// The finished episode.
    pub async fn finish(mut self, mut end: End) -> Finished {
        if let Err(lost) = self.read_final_state().await {
            end = if end.infra.is_some() { end } else { lost };
        }
        let Self {
            mut episode,
            environment,
            ..
        } = self;
        episode.end = end.reason;
        if let Some(cause) = end.infra {
            episode.outcome = Outcome::InfraFailed { cause };
        }
        episode.timing = Timing {
            start_us: self.start_us,
            duration_us: self.start.elapsed().as_micros() as u64,
        };
        Finished { episode, environment }
    }

    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The tools, compiled.
    pub fn toolset(&self) -> &Toolset {
        &self.toolset
    }

    /// The bounds.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    async fn react(&mut self) -> End {
        if let Err(end) = self.reset().await {
            return end;
        }
        if let Some(text) = self.task.system.clone() {
            self.episode.turns.push(Turn::System { text: text.clone() });
            self.conversation.messages.push(Message::System(text));
        }
        let text = self.task.instruction.clone();
        self.episode.turns.push(Turn::User { text: text.clone() });
        self.conversation.messages.push(Message::User(text));
        loop {
            let turn = match self.ask().await {
                Ok(turn) => turn,
                Err(end) => return end,
            };
            let done = match turn {
                AgentTurn::Say(text) => self.answer(text).await,
                AgentTurn::Calls { calls, .. } => self.calls(calls).await,
                AgentTurn::Malformed { raw, error } => self.malformed(raw, error).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// The user's word on an answer, or the end.
    async fn answer(&mut self, text: String) -> Result<(), End> {
        let Some(environment) = self.environment.take() else {
            return Err(End::policy(EndReason::Answered));
        };
        let time = Duration::from_millis(self.budget.tool_timeout_ms).min(self.left());
        let heard = guarded(environment, time, move |environment| {
            let said = environment.user(&text);
            let tools = said.as_ref().map(|_| environment.specs().to_vec());
            (said, tools)
        });
        let failed = |cause: String| End::infra(EndReason::EnvironmentFailure, format!("environment user: {cause}"));
        let (environment, (said, tools)) = heard.await.map_err(|lost| failed(lost.to_string()))?;
        self.environment = Some(environment);
        let Some(said) = said else {
            return Err(End::policy(EndReason::Answered));
        };
        if let Some(tools) = tools.filter(|tools| tools != self.toolset.specs()) {
            let toolset = Toolset::compile(&tools).map_err(|error| failed(error.to_string()))?;
            self.toolset = Arc::new(toolset);
        }
        self.steps = 0;
        self.episode.turns.push(Turn::User { text: said.clone() });
        self.conversation.messages.push(Message::User(said));
        Ok(())
    }

    /// A turn's calls, in order.
    async fn calls(&mut self, mut calls: Vec<CallRequest>) -> Result<(), End> {
        if self.budget.first_call_only {
            calls.truncate(1);
        }
        let unreadable = calls.iter().any(|call| call.malformed.is_some());
        let ends = unreadable && self.budget.on_malformed == OnMalformed::EndTurn;
        let single = calls.len() == 1;
        let mut over = false;
        for call in calls {
            // The whole turn then counts as one that cannot be read.
            if ends && call.malformed.is_none() {
                self.conversation.messages.push(Message::Tool(NOT_RUN.to_owned()));
                continue;
            }
            let written = match &call.arguments {
                serde_json::Value::String(text) if call.malformed.is_some() => format!("{} {text}", call.name),
                arguments => json!({"name": call.name, "arguments": arguments}).to_string(),
            };
            let asked = match call.malformed {
                Some(error) => Asked::Malformed {
                    error: format!("{}: {error}", call.name),
                },
                None => Asked::Call {
                    tool: call.name,
                    arguments: call.arguments,
                },
            };
            over |= self.call(asked, (!single).then_some(written)).await?;
        }
        if over {
            return Err(End::policy(EndReason::Terminal));
        }
        if ends {
            return self.answer(String::new()).await;
        }
        Ok(())
    }

    async fn malformed(&mut self, raw: String, error: String) -> Result<(), End> {
        self.call(Asked::Malformed { error }, None).await?;
        match self.budget.on_malformed {
            OnMalformed::EndTurn => self.answer(raw).await,
            OnMalformed::Observe | OnMalformed::EndEpisode => Ok(()),
        }
    }

    /// Reset the environment with the task. Comes first.
    ///
    /// # Errors
    /// When it fails, which ends the episode.
    pub async fn reset(&mut self) -> Result<(), End> {
        let failed = |cause| {
            Err(End::infra(
                EndReason::EnvironmentFailure,
                format!("environment reset: {cause}"),
            ))
        };
        let Some(environment) = self.environment.take() else {
            return Ok(());
        };
        let task = self.task.clone();
        match guarded(environment, self.left(), move |environment| environment.reset(&task)).await {
            Ok((environment, result)) => {
                self.environment = Some(environment);
                result.or_else(|error| failed(error.to_string()))
            }
            Err(lost) => failed(lost.to_string()),
        }
    }

    /// One turn of the model, recorded.
    ///
    /// # Errors
    /// When a bound is reached or the model fails, which ends the episode.
    pub async fn ask(&mut self) -> Result<AgentTurn, End> {
        let id = self.episode.model_calls.len() as u32;
        let left = self.budget.max_tokens.saturating_sub(self.tokens());
        let bound = self.budget.max_steps;
        if id >= self.budget.max_turns || (bound > 0 && self.steps >= bound) {
            return Err(End::policy(EndReason::MaxTurns));
        }
        self.steps += 1;
        if left == 0 {
            return Err(End::policy(EndReason::MaxTokens));
        }
        let time = self.left();
        if time.is_zero() {
            return Err(self.overtime("between turns"));
        }
        let request = Request {
            sampling: self.settings(id, left),
            stream: self.stream.at(u64::from(id)),
            call_id: id,
            tools: self.toolset.clone(),
        };
        let answer = loop {
            let time = self.left();
            let answer = caught(self.model.complete(&mut self.conversation, request.clone()));
            let answer = timeout(time, answer).await;
            let full = matches!(&answer, Ok(Ok(Err(error))) if error.is_overflow());
            if !(full && self.make_room(id)) {
                break answer;
            }
        };
        let Completion { turn, mut call } = match answer {
            Ok(Ok(Ok(completion))) => completion,
            Ok(Ok(Err(error))) if error.is_overflow() => {
                self.note(
                    "context_overflow",
                    json!({"model_call": id, "error": error.to_string()}),
                );
                return Err(End::policy(EndReason::ContextOverflow));
            }
            Ok(Ok(Err(error))) => {
                return Err(End::infra(EndReason::ModelFailure, format!("model: {error}")));
            }
            Ok(Err(panic)) => {
                return Err(End::infra(EndReason::ModelFailure, format!("model: panicked: {panic}")));
            }
            Err(_) => return Err(self.overtime("while the model answered")),
        };
        call.id = id;
        call.role = "agent".to_owned();
        let finish = call.finish;
        self.episode.turns.push(Turn::Agent { model_call: id });
        self.episode.model_calls.push(call);
        if let AgentTurn::Malformed { error, .. } = &turn {
            let detail = json!({"model_call": id, "error": error});
            self.note("malformed_turn", detail);
        }
        let reason = match finish {
            FinishReason::Stop => return Ok(turn),
            FinishReason::Length => EndReason::MaxTokens,
            FinishReason::Context => EndReason::ContextOverflow,
            FinishReason::Cancelled | FinishReason::Error => {
                let cause = format!("model: call {id} ended as {finish:?}");
                return Err(End::infra(EndReason::ModelFailure, cause));
            }
        };
        // A turn without an end is neither a call nor an answer; text that is no call either is still kept as one.
        if let AgentTurn::Malformed { error, .. } = turn
            && let Err(end) = self.call(Asked::Malformed { error }, None).await
            && end.infra.is_some()
        {
            return Err(end);
        }
        self.note("cut_turn", json!({"model_call": id}));
        Err(End::policy(reason))
    }

    /// Tokens of the conversation so far, as the engine holds them or the endpoint counts them.
    fn tokens(&self) -> u32 {
        let remote = self.episode.model_calls.last().and_then(|call| call.remote.as_ref());
        let counted = remote
            .and_then(|remote| remote.usage)
            .map_or(0, |usage| usage.input.saturating_add(usage.output));
        u32::try_from(counted.max(self.conversation.ids.len() as u64)).unwrap_or(u32::MAX)
    }

    /// Where the budget says so, drop the older half of the observations that are left, the last one excepted. Whether
    /// there was anything to drop.
    fn make_room(&mut self, call: u32) -> bool {
        if self.budget.on_overflow != OnOverflow::DropObservations {
            return false;
        }
        let observations = self
            .conversation
            .messages
            .iter_mut()
            .filter_map(|message| match message {
                Message::Tool(text) if text.len() > DROPPED.len() => Some(text),
                _ => None,
            });
        let mut observations: Vec<&mut String> = observations.collect();
        observations.pop();
        let dropped = observations.len().div_ceil(2);
        for text in observations.into_iter().take(dropped) {
            *text = DROPPED.to_owned();
        }
        if dropped > 0 {
            self.conversation.forget();
            self.note("dropped_observations", json!({"model_call": call, "dropped": dropped}));
        }
        dropped > 0
    }

    fn settings(&self, call: u32, left: u32) -> SamplingSettings {
        let mut sampling = self.sampling.clone();
        let bound = left.min(self.budget.max_turn_tokens);
        sampling.max_tokens = if sampling.max_tokens == 0 {
            bound
        } else {
            sampling.max_tokens.min(bound)
        };
        sampling.stream = if sampling.temperature > 0.0 {
            format!("{}/call/{call}", self.episode.id)
        } else {
            String::new()
        };
        sampling
    }

    /// One tool call (or malformed turn), recorded and shown; `raw` is its text where the turn holds others too. Whether the
    /// environment says that the episode is over.
    ///
    /// # Errors
    /// When a bound is reached or something other than the policy fails, which ends the episode.
    pub async fn call(&mut self, asked: Asked, raw: Option<String>) -> Result<bool, End> {
        let id = self.episode.tool_calls.len() as u32;
        if id >= self.budget.max_calls {
            return Err(End::policy(EndReason::MaxCalls));
        }
        let Some(environment) = self.environment.take() else {
            return Err(End::infra(
                EndReason::EnvironmentFailure,
                "the environment is lost".to_owned(),
            ));
        };
        let model_call = self.episode.model_calls.last();
        let request = ToolRequest {
            id,
            model_call: model_call.map(|call| call.id),
            raw: raw.unwrap_or_else(|| model_call.map_or_else(String::new, |call| call.text.clone())),
            asked,
        };
        let rules = Rules {
            toolset: &self.toolset,
            approval: &self.approval,
            timeout: Duration::from_millis(self.budget.tool_timeout_ms).min(self.left()),
            max_shown_chars: self.budget.max_observation_chars as usize,
        };
        let done = dispatch(environment, request, &rules, self.recording.as_mut()).await;
        self.environment = done.host;
        let shown = done.record.shown.clone();
        let failure = done.record.error.clone();
        self.episode.turns.push(Turn::Tool { tool_call: id });
        self.episode.tool_calls.push(done.record);
        if let Some(chars) = done.cut_from {
            self.note("truncated_observation", json!({"tool_call": id, "chars": chars}));
        }
        match failure {
            Some(ToolFailure {
                class: ToolErrorClass::Timeout,
                message,
            }) if self.left().is_zero() => {
                return Err(self.overtime(&format!("while a tool ran ({message})")));
            }
            Some(ToolFailure { class, message }) if !class.is_policy() => {
                return Err(End::infra(EndReason::ToolFailure, format!("tool {message}")));
            }
            Some(ToolFailure {
                class: ToolErrorClass::Malformed,
                ..
            }) if self.budget.on_malformed == OnMalformed::EndEpisode => {
                return Err(End::policy(EndReason::Malformed));
            }
            _ => {}
        }
        self.conversation.messages.push(Message::Tool(shown));
        Ok(done.terminal)
    }

    async fn read_final_state(&mut self) -> Result<(), End> {
        let Some(environment) = self.environment.take() else {
            return Ok(());
        };
        let time = Duration::from_millis(self.budget.tool_timeout_ms);
        match guarded(environment, time, |environment| environment.state_hash()).await {
            Ok((environment, hash)) => {
                self.environment = Some(environment);
                self.episode.final_state = hash;
                Ok(())
            }
            Err(lost) => Err(End::infra(
                EndReason::EnvironmentFailure,
                format!("environment state: {lost}"),
            )),
        }
    }

    /// Time that the episode has left.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn overtime(&self, when: &str) -> End {
        let bound = self.budget.episode_timeout_ms;
        End::infra(EndReason::Deadline, format!("the episode's {bound} ms passed {when}"))
    }

    /// Record an event.
    pub fn note(&mut self, kind: &str, detail: serde_json::Value) {
        self.episode.events.push(Event {
            kind: kind.to_owned(),
            detail,
        });
    }
}
