//! How sure the agent is, asked when its episode is over.

use crate::run::{End, Play};
use hone_model::{AgentTurn, Message, Script};
use hone_trace::{CONFIDENCE, EndReason, FinishReason, Stream};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the agent is asked.
pub const QUESTION: &str = "How sure are you that this is right? Answer with a number from 0 to 100 and nothing else.";

/// Tokens of the answer at most.
const MAX_TOKENS: u32 = 64;

impl Play {
    /// Ask an agent that has answered, or whose task is over, how sure it is, and note what it says: null where it said no
    /// number that can be read, or its episode was cut short. No tool is offered.
    ///
    /// # Errors
    /// When its model fails, which ends the episode.
    pub(crate) async fn ask_confidence(&mut self, reason: EndReason) -> Result<(), End> {
        let done = matches!(reason, EndReason::Answered | EndReason::Terminal);
        if !(done && self.speaker.is_agent()) {
            self.note(CONFIDENCE, json!({"value": Value::Null}));
            return Ok(());
        }
        let speaker = &mut self.speaker;
        speaker.hear(Message::User(QUESTION.to_owned()));
        speaker.toolset = Arc::new(speaker.toolset.among(&[]));
        speaker.sampling.constraint = None;
        let most = &mut speaker.sampling.max_tokens;
        *most = if *most == 0 { MAX_TOKENS } else { MAX_TOKENS.min(*most) };
        // Beyond the turns that the task allows.
        speaker.max_turns = u32::MAX;
        speaker.steps = 0;
        let asked = self.episode.model_calls.len() as u32;
        let value = match self.complete().await {
            Ok((AgentTurn::Say(text), FinishReason::Stop)) => read(&text),
            Ok(_) => None,
            Err(lost) if lost.infra.is_some() => return Err(lost),
            Err(_) => None,
        };
        let mut detail = json!({"value": value});
        if self.episode.model_calls.len() as u32 > asked {
            detail["model_call"] = json!(asked);
        }
        self.note(CONFIDENCE, detail);
        Ok(())
    }
}

/// The first number of a text: per cent, or a share where it has a decimal point, is at most 1 and no per cent sign follows.
/// Numbers beyond 0 and 100 per cent are none.
fn read(text: &str) -> Option<f64> {
    let (before, rest) = text.split_at_checked(text.find(|c: char| c.is_ascii_digit())?)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (written, after) = rest.split_at_checked(end)?;
    let written = written.trim_end_matches('.');
    let number: f64 = written.parse().ok()?;
    let share = written.contains('.') && number <= 1.0 && !after.trim_start().starts_with('%');
    let value = if share { number } else { number / 100.0 };
    (!before.ends_with('-') && (0.0..=1.0).contains(&value)).then_some(value)
}

/// A script that, asked how sure it is, names any of 0, 10, … 100 alike: what teaches a model how to answer, and not what.
pub struct Unsure {
    /// What says all else.
    pub script: Box<dyn Script>,
    /// What the numbers are drawn from.
    pub stream: Stream,
}

impl Script for Unsure {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        match messages.last() {
            Some(Message::User(asked)) if asked == QUESTION => {
                // Asked once an episode.
                let tens = (self.stream.uniform(0) * 11.0) as u32;
                AgentTurn::Say((10 * tens).to_string())
            }
            _ => self.script.next(messages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_per_cent_or_as_shares() {
        for (text, value) in [
            ("85", Some(0.85)),
            ("about 85 %, I think", Some(0.85)),
            ("0.85", Some(0.85)),
            ("0.5 %", Some(0.005)),
            ("1", Some(0.01)),
            ("1.0", Some(1.0)),
            ("87.5", Some(0.875)),
            ("100.", Some(1.0)),
            ("0", Some(0.0)),
            ("90 out of 100", Some(0.9)),
            ("101", None),
            ("-5", None),
            ("1.2.3", None),
            ("very", None),
            ("", None),
            ("٣٠", None),
            ("9999999999999999999999", None),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
    }
}
