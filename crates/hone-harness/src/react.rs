//! The plain loop: the model speaks, a call is run, its result is shown, until the model answers.

use crate::run::{End, Play, Ran};
use crate::{EpisodeSetup, Finished, Harness, Turns};
use async_trait::async_trait;
use hone_env::OnMalformed;
use hone_model::{AgentTurn, Message};
use hone_tool::{Asked, Toolset, guarded};
use hone_trace::{EndReason, Turn};
use std::sync::Arc;
use std::time::Duration;

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
        let (mut play, mut going) = self.open(setup).await;
        loop {
            match going {
                Ok(()) => going = self.turn(&mut play).await,
                Err(end) => return play.finish(end).await,
            }
        }
    }

    fn turns(&self) -> Option<&'static dyn Turns> {
        Some(&Self)
    }
}

#[async_trait]
impl Turns for React {
    async fn open(&self, setup: EpisodeSetup) -> (Play, Result<(), End>) {
        let mut play = Play::start(self.name(), setup);
        let opened = play.reset().await;
        if opened.is_ok() {
            play.brief();
            let request = play.task().instruction.clone();
            said(&mut play, request);
        }
        (play, opened)
    }

    async fn turn(&self, play: &mut Play) -> Result<(), End> {
        match play.ask().await? {
            AgentTurn::Say(text) => answer(play, text).await,
            AgentTurn::Calls { calls, .. } => match play.calls(calls).await? {
                Ran::On => Ok(()),
                Ran::Over => Err(End::policy(EndReason::Terminal)),
                Ran::EndTurn => answer(play, String::new()).await,
            },
            AgentTurn::Malformed { raw, error } => {
                play.call(Asked::Malformed { error }, None).await?;
                if play.budget().on_malformed == OnMalformed::EndTurn {
                    answer(play, raw).await?;
                }
                Ok(())
            }
        }
    }
}

/// The user's word on an answer, or the end.
async fn answer(play: &mut Play, text: String) -> Result<(), End> {
    let Some(environment) = play.environment.take() else {
        return Err(End::policy(EndReason::Answered));
    };
    let time = Duration::from_millis(play.budget().tool_timeout_ms).min(play.left());
    let heard = guarded(environment, time, move |environment| {
        let said = environment.user(&text);
        let tools = matches!(said, Ok(Some(_))).then(|| environment.specs().to_vec());
        (said, tools)
    });
    let failed = |cause: String| End::infra(EndReason::EnvironmentFailure, format!("environment user: {cause}"));
    let (environment, (word, tools)) = heard.await.map_err(|lost| failed(lost.to_string()))?;
    play.environment = Some(environment);
    let Some(word) = word.map_err(|error| failed(error.to_string()))? else {
        return Err(End::policy(EndReason::Answered));
    };
    if let Some(tools) = tools.filter(|tools| tools != play.speaker.toolset.specs()) {
        let toolset = Toolset::compile(&tools).map_err(|error| failed(error.to_string()))?;
        play.speaker.toolset = Arc::new(toolset);
    }
    play.speaker.steps = 0;
    said(play, word);
    Ok(())
}

/// The agent hears the user.
fn said(play: &mut Play, text: String) {
    play.episode.turns.push(Turn::User { text: text.clone() });
    play.speaker.hear(Message::User(text));
}
