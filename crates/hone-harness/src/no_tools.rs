//! A task without its tools: what a model answers unaided.

use crate::run::{End, Play};
use crate::{EpisodeSetup, Finished, Harness};
use async_trait::async_trait;
use hone_model::Message;
use hone_trace::{EndReason, Turn};
use std::convert::Infallible;
use std::sync::Arc;

/// What the prompt adds to the task's own.
const CUE: &str = "Answer at once from what you know, without tools.";

/// One answer to the task's prompt without tools (AKBE, arXiv 2605.26952): no tool is offered, and a call is no call but the
/// answer's text. The prompt says so in its system message, and is thereby another one than that with tools.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTools;

#[async_trait]
impl Harness for NoTools {
    fn name(&self) -> &'static str {
        "no_tools"
    }

    async fn run(&self, setup: EpisodeSetup) -> Finished {
        let mut play = Play::start(self.name(), setup);
        let end = match answer(&mut play).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        play.finish(end).await
    }
}

async fn answer(play: &mut Play) -> Result<Infallible, End> {
    play.reset().await?;
    let task = play.task();
    let system = match &task.system {
        Some(system) => format!("{system}\n\n{CUE}"),
        None => CUE.to_owned(),
    };
    let query = task.instruction.clone();
    let messages = vec![Message::System(system.clone()), Message::User(query.clone())];
    play.episode
        .turns
        .extend([Turn::System { text: system }, Turn::User { text: query }]);
    let none = Arc::new(play.toolset().among(&[]));
    play.speaker.begin(messages, none);
    play.ask().await?;
    Err(End::policy(EndReason::Answered))
}
