//! A recorded agent loop of the user's own, in its own place.

use async_trait::async_trait;
use hone_harness::{End, EpisodeSetup, Finished, Harness, Play};
use hone_model::Conversation;
use hone_tool::Asked;
use hone_trace::{EndReason, Episode, Lineage, ToolCall, ToolErrorClass, Turn};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Asks for the turns and calls of a recorded episode in their order, as the user's command did. What the command thought
/// in between left no trace and is not needed: every turn and call takes the path that it took then.
pub struct Retold(pub Arc<Episode>);

#[async_trait]
impl Harness for Retold {
    fn name(&self) -> &'static str {
        "external"
    }

    async fn run(&self, setup: EpisodeSetup) -> Finished {
        let mut play = Play::start(self.name(), setup);
        let end = match tell(&self.0, &mut play).await {
            Ok(end) | Err(end) => end,
        };
        play.finish(end).await
    }
}

async fn tell(recorded: &Episode, play: &mut Play) -> Result<End, End> {
    play.reset().await?;
    calls(recorded, play, None).await?;
    let mut waiting: BTreeMap<String, Conversation> = BTreeMap::new();
    for call in recorded.model_calls.iter().filter(|call| call.role != "judge") {
        let sub = match &call.lineage {
            Lineage::SubAgent(name) => Some(name),
            _ => None,
        };
        match sub {
            None => {
                said(recorded, play);
                play.ask().await?;
            }
            // Another's words are no turn of the agent's, and its conversation is its own.
            Some(name) => {
                let (turns, next) = (play.episode.turns.len(), waiting.remove(name).unwrap_or_default());
                let main = std::mem::replace(play.conversation(), next);
                let turn = play.ask().await;
                play.episode.turns.truncate(turns);
                waiting.insert(name.clone(), std::mem::replace(play.conversation(), main));
                turn?;
            }
        }
        calls(recorded, play, Some(call.id)).await?;
    }
    said(recorded, play);
    if recorded.end == EndReason::Answered
        && let Some(answer) = recorded.events.iter().rev().find(|event| event.kind == "answer")
    {
        play.note("answer", answer.detail.clone());
    }
    Ok(End::policy(recorded.end))
}

/// What was said to the agent before its next turn.
fn said(recorded: &Episode, play: &mut Play) {
    let next = recorded.turns.get(play.episode.turns.len()..).unwrap_or_default();
    let words = next
        .iter()
        .take_while(|turn| matches!(turn, Turn::System { .. } | Turn::User { .. }));
    play.episode.turns.extend(words.cloned());
}

/// The tool calls that followed this model call.
async fn calls(recorded: &Episode, play: &mut Play, model_call: Option<u32>) -> Result<(), End> {
    while let Some(call) = recorded.tool_calls.get(play.episode.tool_calls.len()) {
        if call.model_call != model_call {
            break;
        }
        let (asked, raw) = asked(call);
        play.call(asked, raw).await?;
    }
    Ok(())
}

/// A call as the command asked for it; of a turn that could not be read, what was wrong with it.
fn asked(call: &ToolCall) -> (Asked, Option<String>) {
    match &call.error {
        Some(error) if error.class == ToolErrorClass::Malformed => {
            let error = error.message.clone();
            (Asked::Malformed { error }, None)
        }
        _ => {
            let written: Value = serde_json::from_str(&call.raw).unwrap_or_default();
            let (tool, arguments) = (written["name"].as_str().unwrap_or_default(), &written["arguments"]);
            let raw = json!({"name": tool, "arguments": arguments}).to_string();
            let (tool, arguments) = (tool.to_owned(), arguments.clone());
            (Asked::Call { tool, arguments }, Some(raw))
        }
    }
}
