//! An episode as text: who said what, in order, and what it was worth.

use hone_trace::{Episode, Outcome, Score, Turn};
use hone_view::printable;

/// A message with its speaker in a column of its own.
pub fn message(speaker: &str, text: &str) -> String {
    let indented = printable(text).replace('\n', "\n          ");
    format!("{speaker:>8}  {indented}")
}

/// A turn of the conversation.
pub fn turn(episode: &Episode, turn: &Turn) -> String {
    match turn {
        Turn::System { text } => message("system", text),
        Turn::User { text } => message("user", text),
        Turn::Agent { model_call } => {
            let call = episode.model_calls.get(*model_call as usize);
            message("agent", call.map_or("(call missing)", |call| &call.text))
        }
        Turn::Tool { tool_call } => {
            let call = episode.tool_calls.get(*tool_call as usize);
            message("tool", call.map_or("(call missing)", |call| &call.shown))
        }
    }
}

/// How it ended and what it scored.
pub fn verdict(episode: &Episode) -> String {
    let outcome = match &episode.outcome {
        Outcome::Ok => "success".to_owned(),
        Outcome::PolicyFailed => "failure of the policy".to_owned(),
        Outcome::InfraFailed { cause } => format!("does not count: {cause}"),
    };
    let mut lines = vec![message("end", &format!("{}; {outcome}", name(&episode.end)))];
    lines.extend(episode.scores.iter().map(score));
    let facts = format!(
        "{} turns, {} tool calls, {} sampled tokens, {:.1} ms",
        episode.model_calls.len(),
        episode.tool_calls.len(),
        episode.sampled_tokens(),
        episode.timing.duration_us as f64 / 1e3
    );
    lines.push(message("", &facts));
    lines.join("\n")
}

fn score(score: &Score) -> String {
    let mut text = format!("{} {}", score.scorer, score.value);
    for part in &score.parts {
        text += &format!("\n  {} {}", part.name, part.value);
        if !part.why.is_empty() {
            text += &format!("  ({})", part.why);
        }
    }
    message("score", &text)
}

/// The name that a unit variant has in the record.
pub fn name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}
