//! The plain loop: the model speaks, a call is run, its result is shown, until the model answers.

use crate::{EpisodeSetup, Finished, Harness};
use async_trait::async_trait;
use hone_env::{Budget, Environment, OnMalformed, Task};
use hone_model::{AgentTurn, Completion, Conversation, Message, Model, ModelError, Request};
use hone_tool::{ApprovalPolicy, Asked, Recording, Rules, ToolRequest, Toolset, caught, dispatch, guarded};
use hone_trace::{EndReason, Episode, Event, FinishReason, Outcome, SamplingSettings, Stream, Timing, Turn};
use hone_trace::{ToolErrorClass, ToolFailure};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout};

/// ReAct with native tool calls: one call or a final answer per turn.
///
/// Bounds and what they mean:
/// * turns, calls: no further one starts once the bound is reached (a malformed turn counts as a call);
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
        let start = Instant::now();
        let start_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as u64);
        let mut episode = setup.label.blank(&setup.task, &setup.stream);
        episode.harness = self.name().to_owned();
        episode.policy = setup.model.name();
        let mut run = Run {
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
            episode,
        };
        let mut end = run.play().await;
        if let Err(lost) = run.read_final_state().await {
            end = if end.infra.is_some() { end } else { lost };
        }
        let Run {
            mut episode,
            environment,
            ..
        } = run;
        episode.end = end.reason;
        if let Some(cause) = end.infra {
            episode.outcome = Outcome::InfraFailed { cause };
        }
        episode.timing = Timing {
            start_us,
            duration_us: start.elapsed().as_micros() as u64,
        };
        Finished { episode, environment }
    }
}

/// How an episode ended; with a cause if that is not the policy's doing.
struct End {
    reason: EndReason,
    infra: Option<String>,
}

impl End {
    fn policy(reason: EndReason) -> Self {
        Self { reason, infra: None }
    }

    fn infra(reason: EndReason, cause: String) -> Self {
        Self {
            reason,
            infra: Some(cause),
        }
    }
}

/// An episode under way.
struct Run {
    task: Arc<Task>,
    environment: Option<Box<dyn Environment>>,
    toolset: Arc<Toolset>,
    model: Arc<dyn Model>,
    budget: Budget,
    sampling: SamplingSettings,
    approval: Arc<ApprovalPolicy>,
    recording: Option<Recording>,
    stream: Stream,
    deadline: Instant,
    conversation: Conversation,
    episode: Episode,
}

impl Run {
    async fn play(&mut self) -> End {
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
            let asked = match turn {
                AgentTurn::Say(_) => return End::policy(EndReason::Answered),
                AgentTurn::Call(call) => Asked::Call {
                    tool: call.name,
                    arguments: call.arguments,
                },
                AgentTurn::Malformed { error, .. } => Asked::Malformed { error },
            };
            if let Err(end) = self.call(asked).await {
                return end;
            }
        }
    }

    async fn reset(&mut self) -> Result<(), End> {
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
    async fn ask(&mut self) -> Result<AgentTurn, End> {
        let id = self.episode.model_calls.len() as u32;
        let used = u32::try_from(self.conversation.ids.len()).unwrap_or(u32::MAX);
        let left = self.budget.max_tokens.saturating_sub(used);
        if id >= self.budget.max_turns {
            return Err(End::policy(EndReason::MaxTurns));
        }
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
        };
        let answer = caught(self.model.complete(&mut self.conversation, request));
        let Completion { turn, mut call } = match timeout(time, answer).await {
            Ok(Ok(Ok(completion))) => completion,
            Ok(Ok(Err(error @ ModelError::ContextOverflow { .. }))) => {
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
            && let Err(end) = self.call(Asked::Malformed { error }).await
            && end.infra.is_some()
        {
            return Err(end);
        }
        self.note("cut_turn", json!({"model_call": id}));
        Err(End::policy(reason))
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

    /// One tool call (or malformed turn), recorded and shown.
    async fn call(&mut self, asked: Asked) -> Result<(), End> {
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
            raw: model_call.map_or_else(String::new, |call| call.text.clone()),
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
        if done.terminal {
            Err(End::policy(EndReason::Terminal))
        } else {
            Ok(())
        }
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
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn overtime(&self, when: &str) -> End {
        let bound = self.budget.episode_timeout_ms;
        End::infra(EndReason::Deadline, format!("the episode's {bound} ms passed {when}"))
    }

    fn note(&mut self, kind: &str, detail: serde_json::Value) {
        self.episode.events.push(Event {
            kind: kind.to_owned(),
            detail,
        });
    }
}
