//! An episode under way: what all loops share.

use crate::{EpisodeSetup, Finished, Label};
use hone_env::{Budget, Environment, Fork, OnMalformed, OnOverflow, Party, Task};
use hone_model::{AgentTurn, CallRequest, Completion, Conversation, Message, Model, Request};
use hone_tool::{ApprovalPolicy, Asked, Recording, Rules, ToolError, ToolHost, ToolOutput, ToolRequest, ToolSpec};
use hone_tool::{Toolset, caught, dispatch, guarded, settle};
use hone_trace::{
    EndReason, Episode, Event, FinishReason, ForkedFrom, Lineage, Outcome, SamplingSettings, Stream, Timing, Turn,
};
use hone_trace::{ToolErrorClass, ToolFailure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout};

/// What stands in place of an observation that made room.
pub const DROPPED: &str = "[dropped to make room]";

/// What answers a readable call of a turn that ends for an unreadable one.
const NOT_RUN: &str = "error: not run, because another call of the turn cannot be read";

/// The event of a turn whose calls after the one that waits for a decision have not been looked at yet.
const WAITING: &str = hone_model::WAITING;

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

/// The role of the one that is measured.
const AGENT: &str = "agent";

/// Who is asked: a model with its tools and its view of the conversation.
#[derive(Clone)]
pub(crate) struct Speaker {
    /// Whose tools it has.
    pub(crate) party: Party,
    /// Its name in the record; the one that is measured is the agent.
    role: &'static str,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) toolset: Arc<Toolset>,
    pub(crate) sampling: SamplingSettings,
    pub(crate) conversation: Conversation,
    /// Turns that it may take.
    pub(crate) max_turns: u32,
    turns: u32,
    /// Turns since the other side spoke.
    pub(crate) steps: u32,
    last_call: Option<u32>,
}

impl Speaker {
    pub(crate) fn new(
        party: Party,
        model: Arc<dyn Model>,
        toolset: Arc<Toolset>,
        sampling: SamplingSettings,
        max_turns: u32,
    ) -> Self {
        let role = match party {
            Party::Agent => AGENT,
            Party::User => "user",
        };
        Self {
            party,
            role,
            model,
            toolset,
            sampling,
            conversation: Conversation::default(),
            max_turns,
            turns: 0,
            steps: 0,
            last_call: None,
        }
    }

    pub(crate) fn hear(&mut self, message: Message) {
        self.conversation.messages.push(message);
    }

    /// On the agent's side and of another name: what it does is not the policy's doing.
    pub(crate) fn helper(
        role: &'static str,
        model: Arc<dyn Model>,
        toolset: Arc<Toolset>,
        sampling: SamplingSettings,
    ) -> Self {
        Self {
            role,
            ..Self::new(Party::Agent, model, toolset, sampling, u32::MAX)
        }
    }

    /// Begin a conversation anew.
    pub(crate) fn begin(&mut self, messages: Vec<Message>, toolset: Arc<Toolset>) {
        self.conversation = Conversation {
            messages,
            ..Conversation::default()
        };
        self.toolset = toolset;
        self.steps = 0;
        self.last_call = None;
    }

    /// Whether it is the one that is measured.
    pub(crate) fn is_agent(&self) -> bool {
        self.role == AGENT
    }

    /// Its start of a cause.
    fn who(&self) -> String {
        match self.is_agent() {
            true => "model".to_owned(),
            false => format!("{}'s model", self.role),
        }
    }
}

/// An environment with one side's tools.
struct Seat {
    environment: Box<dyn Environment>,
    party: Party,
}

impl ToolHost for Seat {
    fn specs(&self) -> &[ToolSpec] {
        match self.party {
            Party::Agent => self.environment.specs(),
            Party::User => self.environment.user_specs(),
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        match self.party {
            Party::Agent => self.environment.call(tool, arguments),
            Party::User => self.environment.user_call(tool, arguments),
        }
    }

    fn state_hash(&self) -> Option<String> {
        self.environment.state_hash()
    }

    fn has_hidden_state(&self) -> bool {
        self.environment.has_hidden_state()
    }

    fn inline(&self) -> bool {
        self.environment.inline()
    }
}

/// What a turn's calls led to.
pub(crate) enum Ran {
    /// The caller goes on.
    On,
    /// The environment says that the episode is over.
    Over,
    /// A call cannot be read, and such a turn counts as an empty answer.
    EndTurn,
}

/// An episode under way, for loops to build on: every bound holds, every model and tool call is recorded. One speaker is
/// asked at a time; at first it is the agent.
pub struct Play {
    task: Arc<Task>,
    pub(crate) environment: Option<Box<dyn Environment>>,
    budget: Budget,
    pub(crate) speaker: Speaker,
    approval: Arc<ApprovalPolicy>,
    recording: Option<Recording>,
    stream: Stream,
    start: Instant,
    start_us: u64,
    /// The record so far.
    pub episode: Episode,
}

/// An episode as it stood between two turns.
pub struct Snapshot(Play);

impl Snapshot {
    /// A new episode that shares its beginning with `parent`, the one that the snapshot is of, and goes on by itself: with
    /// its own world, and its own randomness from its first own model call on.
    pub fn branch(self, parent: &Play, label: Label, stream: &Stream) -> Play {
        let mut play = self.0;
        play.speaker
            .conversation
            .cache
            .clone_from(&parent.speaker.conversation.cache);
        let snapshot = play
            .environment
            .as_ref()
            .and_then(|environment| environment.state_hash());
        play.episode.forked_from = Some(ForkedFrom {
            episode: std::mem::replace(&mut play.episode.id, label.id),
            model_call: play.episode.model_calls.len() as u32,
            snapshot: snapshot.unwrap_or_default(),
        });
        play.episode.phase = label.phase;
        play.episode.group = label.group;
        play.episode.sample = label.sample;
        play.episode.seed = stream.seed();
        play.stream = stream.named("call");
        play
    }
}

impl Play {
    /// An episode of which nothing has happened yet.
    pub fn start(harness: &str, setup: EpisodeSetup) -> Self {
        let start_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as u64);
        let mut episode = setup.label.blank(&setup.task, &setup.stream);
        episode.harness = harness.to_owned();
        episode.policy = setup.model.name();
        let max_turns = setup.budget.max_turns;
        let agent = Speaker::new(Party::Agent, setup.model, setup.toolset, setup.sampling, max_turns);
        Self {
            speaker: agent,
            start: Instant::now(),
            start_us,
            task: setup.task,
            environment: Some(setup.environment),
            budget: setup.budget,
            approval: setup.approval,
            recording: setup.recording,
            stream: setup.stream.named("call"),
            episode,
        }
    }

    /// The episode as it stands, with a copy of its world, to go on from more than once; `None` where the world cannot be
    /// copied, or results come from a recording.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let environment = self.environment.as_ref()?.fork()?;
        if self.recording.is_some() {
            return None;
        }
        let mut speaker = self.speaker.clone();
        // Else what the model keeps would count as shared for as long as the snapshot is held.
        speaker.conversation.cache = None;
        Some(Snapshot(Self {
            task: Arc::clone(&self.task),
            environment: Some(environment),
            budget: self.budget,
            speaker,
            approval: Arc::clone(&self.approval),
            recording: None,
            stream: self.stream.clone(),
            start: self.start,
            start_us: self.start_us,
            episode: self.episode.clone(),
        }))
    }

    /// Whether the speaker's bounds leave it another turn.
    pub fn may_ask(&self) -> bool {
        let bound = self.budget.max_steps;
        self.speaker.turns < self.speaker.max_turns
            && (bound == 0 || self.speaker.steps < bound)
            && self.budget.max_tokens > self.tokens()
    }

    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The speaker's tools, compiled.
    pub fn toolset(&self) -> &Toolset {
        &self.speaker.toolset
    }

    /// The bounds.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What the speaker's next model call continues, and where tools' answers go. A loop may put another one in its place.
    pub fn conversation(&mut self) -> &mut Conversation {
        &mut self.speaker.conversation
    }

    /// The finished episode.
    pub async fn finish(mut self, mut end: End) -> Finished {
        if self.budget.confidence
            && end.infra.is_none()
            && let Err(lost) = self.ask_confidence(end.reason).await
        {
            end = lost;
        }
        for step in [self.settle_world().await, self.read_final_state().await] {
            if let Err(lost) = step {
                end = if end.infra.is_some() { end } else { lost };
            }
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

    /// The task's system message, if it has one, as the first that the speaker hears.
    pub(crate) fn brief(&mut self) {
        if let Some(text) = self.task.system.clone() {
            self.episode.turns.push(Turn::System { text: text.clone() });
            self.speaker.hear(Message::System(text));
        }
    }

    /// A turn's calls, in order.
    pub(crate) async fn calls(&mut self, mut calls: Vec<CallRequest>) -> Result<Ran, End> {
        if self.budget.first_call_only {
            calls.truncate(1);
        }
        let unreadable = calls.iter().any(|call| call.malformed.is_some());
        let ends = unreadable && self.budget.on_malformed == OnMalformed::EndTurn;
        let single = calls.len() == 1;
        let mut over = false;
        let mut calls = calls.into_iter();
        while let Some(call) = calls.next() {
            // The whole turn then counts as one that cannot be read.
            if ends && call.malformed.is_none() {
                self.speaker.hear(Message::Tool(NOT_RUN.to_owned()));
                continue;
            }
            let written = match &call.arguments {
                Value::String(text) if call.malformed.is_some() => format!("{} {text}", call.name),
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
            match self.call(asked, (!single).then_some(written)).await {
                Ok(ended) => over |= ended,
                Err(end) => {
                    if end.reason == EndReason::Pending {
                        // The turn goes on with these once the call before them is decided.
                        let detail = json!({"calls": calls.collect::<Vec<_>>()});
                        self.note(WAITING, detail);
                    }
                    return Err(end);
                }
            }
        }
        Ok(match (over, ends) {
            (true, _) => Ran::Over,
            (false, true) => Ran::EndTurn,
            (false, false) => Ran::On,
        })
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
                if let Some(recording) = &mut self.recording {
                    recording.repeatable(environment.fork_kind() != Fork::None);
                }
                self.environment = Some(environment);
                self.choose_tools();
                result.or_else(|error| failed(error.to_string()))
            }
            Err(lost) => failed(lost.to_string()),
        }
    }

    /// Give the agent the tools that the environment chose, if it does choose, and note which those are.
    fn choose_tools(&mut self) {
        let chosen = self.environment.as_ref().and_then(|environment| environment.chosen());
        let Some(chosen) = chosen.filter(|chosen| !Arc::ptr_eq(chosen, &self.speaker.toolset)) else {
            return;
        };
        if self.speaker.is_agent() {
            let names: Vec<&str> = chosen.specs().iter().map(|spec| spec.name.as_str()).collect();
            self.note("chosen_tools", json!({"tools": names}));
            self.speaker.toolset = chosen;
        }
    }

    /// One turn of the speaker's model, recorded.
    ///
    /// # Errors
    /// When a bound is reached or the model fails, which ends the episode.
    pub async fn ask(&mut self) -> Result<AgentTurn, End> {
        let id = self.episode.model_calls.len() as u32;
        let (turn, finish) = self.complete().await?;
        if self.speaker.is_agent() {
            self.episode.turns.push(Turn::Agent { model_call: id });
        }
        if let AgentTurn::Malformed { error, .. } = &turn {
            let detail = json!({"model_call": id, "error": error});
            self.note("malformed_turn", detail);
        }
        let reason = match finish {
            FinishReason::Context => EndReason::ContextOverflow,
            FinishReason::Length => EndReason::MaxTokens,
            _ => return Ok(turn),
        };
        // A turn without an end is neither a call nor an answer; text that is no call either is still kept as one.
        if let AgentTurn::Malformed { error, .. } = turn
            && let Err(end) = self.call(Asked::Malformed { error }, None).await
            && end.infra.is_some()
        {
            return Err(end);
        }
        self.note("cut_turn", json!({"model_call": id}));
        Err(self.cut(reason))
    }

    /// One call of the speaker's model, recorded, whose answer ended or was cut.
    ///
    /// # Errors
    /// When a bound is reached or the model fails, which ends the episode.
    pub(crate) async fn complete(&mut self) -> Result<(AgentTurn, FinishReason), End> {
        let id = self.episode.model_calls.len() as u32;
        let left = self.budget.max_tokens.saturating_sub(self.tokens());
        let bound = self.budget.max_steps;
        if self.speaker.turns >= self.speaker.max_turns || (bound > 0 && self.speaker.steps >= bound) {
            return Err(End::policy(EndReason::MaxTurns));
        }
        self.speaker.turns += 1;
        self.speaker.steps += 1;
        if left == 0 {
            return Err(self.cut(EndReason::MaxTokens));
        }
        let time = self.left();
        if time.is_zero() {
            return Err(self.overtime("between turns"));
        }
        let request = Request {
            sampling: self.settings(id, left),
            stream: self.stream.at(u64::from(id)),
            call_id: id,
            tools: self.speaker.toolset.clone(),
            on_token: None,
        };
        let answer = loop {
            let time = self.left();
            let answer = caught(
                self.speaker
                    .model
                    .complete(&mut self.speaker.conversation, request.clone()),
            );
            let answer = timeout(time, answer).await;
            let full = matches!(&answer, Ok(Ok(Err(error))) if error.is_overflow());
            if !(full && self.make_room(id)) {
                break answer;
            }
        };
        let who = self.speaker.who();
        let Completion { turn, mut call } = match answer {
            Ok(Ok(Ok(completion))) => completion,
            Ok(Ok(Err(error))) if error.is_overflow() => {
                self.note(
                    "context_overflow",
                    json!({"model_call": id, "error": error.to_string()}),
                );
                return Err(self.cut(EndReason::ContextOverflow));
            }
            Ok(Ok(Err(error))) => {
                return Err(End::infra(EndReason::ModelFailure, format!("{who}: {error}")));
            }
            Ok(Err(panic)) => {
                return Err(End::infra(EndReason::ModelFailure, format!("{who}: panicked: {panic}")));
            }
            Err(_) => return Err(self.overtime(&format!("while the {who} answered"))),
        };
        call.id = id;
        call.role = self.speaker.role.to_owned();
        if !self.speaker.is_agent() {
            call.lineage = Lineage::SubAgent(call.role.clone());
        }
        let finish = call.finish;
        self.speaker.last_call = Some(id);
        self.episode.model_calls.push(call);
        match finish {
            FinishReason::Stop | FinishReason::Length | FinishReason::Context => Ok((turn, finish)),
            FinishReason::Cancelled | FinishReason::Error => {
                let cause = format!("{who}: call {id} ended as {finish:?}");
                Err(End::infra(EndReason::ModelFailure, cause))
            }
        }
    }

    /// The end where a speaker has no room left. Only the agent's is the policy's doing.
    fn cut(&self, reason: EndReason) -> End {
        if self.speaker.is_agent() {
            return End::policy(reason);
        }
        let who = self.speaker.who();
        End::infra(
            EndReason::ModelFailure,
            format!("the {who} ran out of room ({reason:?}); give it a wider bound or context"),
        )
    }

    /// Tokens of a speaker's conversation so far, as the engine holds them or the endpoint counts them.
    fn tokens(&self) -> u32 {
        let last = self
            .speaker
            .last_call
            .and_then(|id| self.episode.model_calls.get(id as usize));
        let counted = last
            .and_then(|call| call.remote.as_ref()?.usage)
            .map_or(0, |usage| usage.input.saturating_add(usage.output));
        u32::try_from(counted.max(self.speaker.conversation.ids.len() as u64)).unwrap_or(u32::MAX)
    }

    /// Where the budget says so, drop the older half of the observations that are left, the last one excepted. Whether
    /// there was anything to drop.
    fn make_room(&mut self, call: u32) -> bool {
        if self.budget.on_overflow != OnOverflow::DropObservations {
            return false;
        }
        let observations = self
            .speaker
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
            self.speaker.conversation.forget();
            self.note("dropped_observations", json!({"model_call": call, "dropped": dropped}));
        }
        dropped > 0
    }

    fn settings(&self, call: u32, left: u32) -> SamplingSettings {
        let mut sampling = self.speaker.sampling.clone();
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
        let seat = Box::new(Seat {
            environment,
            party: self.speaker.party,
        });
        let request = ToolRequest {
            id,
            model_call: model_call.map(|call| call.id),
            raw: raw.unwrap_or_else(|| model_call.map_or_else(String::new, |call| call.text.clone())),
            asked,
        };
        let rules = Rules {
            toolset: &self.speaker.toolset,
            approval: &self.approval,
            timeout: Duration::from_millis(self.budget.tool_timeout_ms).min(self.left()),
            max_shown_chars: self.budget.max_observation_chars as usize,
            truncation: self.budget.truncation,
            max_schema_chars: self.budget.max_schema_chars as usize,
        };
        let done = dispatch(seat, request, &rules, self.recording.as_mut()).await;
        self.environment = done.host.map(|seat| seat.environment);
        let shown = done.record.shown.clone();
        let failure = done.record.error.clone();
        // The time of people is nobody's bound.
        self.start += done.waited;
        self.episode.turns.push(Turn::Tool { tool_call: id });
        self.episode.tool_calls.push(done.record);
        if let Some(chars) = done.cut_from {
            self.note("truncated_observation", json!({"tool_call": id, "chars": chars}));
        }
        match done.end {
            Some(EndReason::Pending) => {
                let message = failure.map_or_else(String::new, |failure| failure.message);
                return Err(End::infra(EndReason::Pending, message));
            }
            Some(reason) => return Err(End::policy(reason)),
            None => {}
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
        self.speaker.hear(Message::Tool(shown));
        self.choose_tools();
        Ok(done.terminal)
    }

    /// Where calls were answered from the cache: bring the world to where they led.
    async fn settle_world(&mut self) -> Result<(), End> {
        let Some(recording) = &mut self.recording else {
            return Ok(());
        };
        let Some(environment) = self.environment.take() else {
            return Ok(());
        };
        let seat = Box::new(Seat {
            environment,
            party: Party::Agent,
        });
        let time = Duration::from_millis(self.budget.tool_timeout_ms);
        let (seat, settled) = settle(seat, recording, time).await;
        self.environment = seat.map(|seat| seat.environment);
        settled.map_err(|why| End::infra(EndReason::EnvironmentFailure, why))
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
        Duration::from_millis(self.budget.episode_timeout_ms).saturating_sub(self.start.elapsed())
    }

    fn overtime(&self, when: &str) -> End {
        let bound = self.budget.episode_timeout_ms;
        End::infra(EndReason::Deadline, format!("the episode's {bound} ms passed {when}"))
    }

    /// Record an event.
    pub fn note(&mut self, kind: &str, detail: Value) {
        self.episode.events.push(Event {
            kind: kind.to_owned(),
            detail,
        });
    }
}
