//! The agent and a simulated user, each a model with tools of its own, over one world.

use crate::run::{End, Play, Ran, Speaker};
use crate::{EpisodeSetup, Finished, Harness, UserSetup};
use async_trait::async_trait;
use hone_env::{Given, OnMalformed, Party, SimulatedUser};
use hone_model::{AgentTurn, Message};
use hone_tool::Asked;
use hone_trace::{EndReason, Turn};
use serde_json::json;
use std::convert::Infallible;

/// A conversation of the agent with a simulated user (τ-bench, τ²-bench). A turn is a message to the other side or calls,
/// which are run in order and answered by as many results before their caller goes on. Each side sees what was said and
/// its own calls and results; the user sees the roles flipped.
///
/// How it ends, and what the record says:
/// * the user says one of [`SimulatedUser::stop`] in a message: `answered`, with an event `user_stop`;
/// * the environment says so after a round of calls: `terminal`;
/// * a message without text and calls, or with both where [`SimulatedUser::strict_turns`]: `malformed`, with an event
///   `protocol` that names the side;
/// * the bounds on messages and failed calls, checked after each message or round of results that the environment need not
///   answer, before the user's own stop: `max_turns`, `max_errors`;
/// * whatever ends a [`crate::React`]; what the user's model cannot do is the infrastructure's failure.
///
/// The user's model calls have the role `user` and the lineage `user`, so that no training row takes them; its tool calls
/// refer to them. What stood in the conversation before is the event `opening`; text beside calls, `beside_calls`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialogue;

#[async_trait]
impl Harness for Dialogue {
    fn name(&self) -> &'static str {
        "dialogue"
    }

    async fn run(&self, mut setup: EpisodeSetup) -> Finished {
        let user = setup.user.take();
        let play = Play::start(self.name(), setup);
        let Some(UserSetup {
            role,
            model,
            toolset,
            sampling,
        }) = user
        else {
            let cause = "the task has no simulated user; take a harness without one".to_owned();
            return play.finish(End::infra(EndReason::EnvironmentFailure, cause)).await;
        };
        // The user also has the last word on the agent's last turn.
        let max_turns = play.budget().max_turns.saturating_add(1);
        let mut talk = Talk {
            silent: Speaker::new(Party::User, model, toolset, sampling, max_turns),
            play,
            role,
            messages: 0,
        };
        let end = match talk.go_on().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        talk.play.finish(end).await
    }
}

struct Talk {
    play: Play,
    /// The side that is not being asked.
    silent: Speaker,
    role: SimulatedUser,
    /// Messages of both sides and rounds of results.
    messages: u32,
}

impl Talk {
    async fn go_on(&mut self) -> Result<Infallible, End> {
        self.play.reset().await?;
        self.play.brief();
        self.silent.hear(Message::System(self.role.instructions.clone()));
        let mut next = self.open();
        loop {
            self.turn_to(next);
            next = match self.play.ask().await? {
                AgentTurn::Say(text) => self.said(next, text)?,
                AgentTurn::Calls { content, calls } => {
                    if !content.trim().is_empty() {
                        if self.role.strict_turns {
                            return Err(self.breach(next, "sent both text and calls"));
                        }
                        let id = self.play.episode.model_calls.len().saturating_sub(1);
                        let detail = json!({"model_call": id, "text": content});
                        self.play.note("beside_calls", detail);
                    }
                    self.messages += 1;
                    match self.play.calls(calls).await? {
                        Ran::On => self.results(next)?,
                        Ran::Over => {
                            self.results(next)?;
                            return Err(End::policy(EndReason::Terminal));
                        }
                        Ran::EndTurn => return Err(self.breach(next, "sent calls that cannot be read")),
                    }
                }
                AgentTurn::Malformed { raw, error } => {
                    self.messages += 1;
                    self.play.call(Asked::Malformed { error }, None).await?;
                    match self.play.budget().on_malformed {
                        OnMalformed::EndTurn => self.said(next, raw)?,
                        OnMalformed::Observe | OnMalformed::EndEpisode => self.results(next)?,
                    }
                }
            };
        }
    }

    /// Have a side be asked next.
    fn turn_to(&mut self, party: Party) {
        if self.play.speaker.party != party {
            std::mem::swap(&mut self.play.speaker, &mut self.silent);
        }
    }

    fn side(&mut self, party: Party) -> &mut Speaker {
        match self.play.speaker.party == party {
            true => &mut self.play.speaker,
            false => &mut self.silent,
        }
    }

    /// What stands before the first turn. Who takes it.
    fn open(&mut self) -> Party {
        let opening = std::mem::take(&mut self.role.opening);
        if !opening.is_empty() {
            self.play.note("opening", json!({"messages": opening}));
        }
        let mut next = Party::Agent;
        for given in opening {
            let by = given.by();
            next = by;
            let own = self.side(by);
            match given {
                Given::Said { text, .. } => {
                    own.hear(Message::Agent(AgentTurn::Say(text.clone())));
                    next = other(by);
                    self.side(next).hear(Message::User(text));
                }
                Given::Called { calls, .. } => own.hear(Message::Agent(AgentTurn::Calls {
                    content: String::new(),
                    calls,
                })),
                Given::Result { text, .. } => own.hear(Message::Tool(text)),
            }
        }
        if let Some(cue) = self.role.cue.take() {
            self.side(Party::User).hear(Message::User(cue));
            next = Party::User;
        }
        next
    }

    /// A message, heard by the other side. Who goes on.
    fn said(&mut self, by: Party, text: String) -> Result<Party, End> {
        if text.trim().is_empty() {
            return Err(self.breach(by, "sent a message without text and calls"));
        }
        if by == Party::User {
            self.play.episode.turns.push(Turn::User { text: text.clone() });
        }
        self.messages += 1;
        let stop = self
            .role
            .stop
            .iter()
            .find(|stop| by == Party::User && text.contains(*stop));
        if let Some(stop) = stop {
            let detail = json!({"said": stop});
            self.play.note("user_stop", detail);
            self.limits()?;
            return Err(End::policy(EndReason::Answered));
        }
        let listener = other(by);
        self.side(by).steps = 0;
        self.side(listener).hear(Message::User(text));
        self.limits()?;
        Ok(listener)
    }

    /// A round of results. Who goes on.
    fn results(&mut self, to: Party) -> Result<Party, End> {
        self.messages += 1;
        self.limits()?;
        Ok(to)
    }

    fn limits(&self) -> Result<(), End> {
        let over = |count: usize, bound: u32| bound > 0 && count >= bound as usize;
        let failed = self.play.episode.tool_calls.iter().filter(|call| call.error.is_some());
        if over(failed.count(), self.play.budget().max_errors) {
            return Err(End::policy(EndReason::MaxErrors));
        }
        if over(self.messages as usize, self.play.budget().max_messages) {
            return Err(End::policy(EndReason::MaxTurns));
        }
        Ok(())
    }

    fn breach(&mut self, by: Party, what: &str) -> End {
        self.play.note("protocol", json!({"by": by, "what": what}));
        End::policy(EndReason::Malformed)
    }
}

fn other(party: Party) -> Party {
    match party {
        Party::Agent => Party::User,
        Party::User => Party::Agent,
    }
}
