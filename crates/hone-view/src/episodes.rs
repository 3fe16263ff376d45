//! Episodes on the page, step by step: before and after side by side, or each with why it failed.

use crate::evaluation::{JudgedEpisode, MAX_EPISODES};
use crate::html::{Text, label, put};
use crate::report::EpisodePair;
use hone_trace::{EndReason, Episode, ModelCall, Outcome, ToolCall, Turn};
use serde_json::Value;

/// Most pairs on a page.
pub(crate) const MAX_PAIRS: usize = 24;
/// Most turns of an episode.
const MAX_TURNS: usize = 60;
/// Most characters of one text.
const MAX_TEXT: usize = 1200;
/// No further pair is added once they take this many bytes.
const MAX_BYTES: usize = 2_000_000;

/// All pairs that fit, and how many of them are shown.
pub(crate) fn pairs(out: &mut String, pairs: &[EpisodePair]) -> usize {
    let start = out.len();
    let mut shown = 0;
    for pair in pairs.iter().take(MAX_PAIRS) {
        let Some(any) = pair.after.as_ref().or(pair.before.as_ref()) else {
            continue;
        };
        if out.len() - start > MAX_BYTES {
            break;
        }
        // One example lies open, so that a reader sees at once what an episode is.
        put!(
            out,
            "<details class=\"episode\"{}><summary><span class=\"ask\">{}</span><span class=\"meta\">\
             <span class=\"kind\">{}</span>{}</span></summary><div class=\"pair\">",
            if shown == 0 { " open" } else { "" },
            Text(request(any), 300),
            label(&any.task_kind),
            verdicts(pair),
        );
        side(out, "Before training", pair.before.as_ref());
        side(out, "After training", pair.after.as_ref());
        out.push_str("</div></details>\n");
        shown += 1;
    }
    shown
}

/// The episodes that fit, each by itself, and how many of them are shown.
pub(crate) fn judged(out: &mut String, episodes: &[JudgedEpisode]) -> usize {
    let start = out.len();
    let mut shown = 0;
    for JudgedEpisode { episode, failure } in episodes.iter().take(MAX_EPISODES) {
        if out.len() - start > MAX_BYTES {
            break;
        }
        put!(
            out,
            "<details class=\"episode\"{}><summary><span class=\"ask\">{}</span><span class=\"meta\">\
             <code>{}</code><span class=\"kind\">{}</span>{}</span></summary><div class=\"pair\"><section class=\"side\">",
            if shown == 0 { " open" } else { "" },
            Text(request(episode), 300),
            label(&episode.id),
            label(&episode.task_kind),
            badge(
                failure.as_ref().map_or("", |failure| failure.class.name()),
                &episode.outcome
            ),
        );
        if let Some(failure) = failure {
            put!(
                out,
                "<p class=\"why\"><b>{}</b>: {}</p>",
                label(failure.class.name()),
                label(&failure.evidence)
            );
        }
        steps(out, episode, failure.as_ref().and_then(|failure| failure.tool_call));
        out.push_str("</section></div></details>\n");
        shown += 1;
    }
    shown
}

/// What the user asked for.
fn request(episode: &Episode) -> &str {
    let user = episode.turns.iter().find_map(|t| match t {
        Turn::User { text } => Some(text.as_str()),
        _ => None,
    });
    user.unwrap_or(&episode.task)
}

fn verdicts(pair: &EpisodePair) -> String {
    let badges: Vec<String> = [("before", &pair.before), ("after", &pair.after)]
        .into_iter()
        .filter_map(|(when, episode)| Some(badge(when, &episode.as_ref()?.outcome)))
        .collect();
    badges.join("<span class=\"arrow\" aria-hidden=\"true\">→</span>")
}

fn badge(when: &str, outcome: &Outcome) -> String {
    let when = if when.is_empty() {
        String::new()
    } else {
        format!("{when}: ")
    };
    let (class, mark, word) = match outcome {
        Outcome::Ok => ("ok", "✓", "solved"),
        Outcome::PolicyFailed => ("bad", "✗", "failed"),
        Outcome::InfraFailed { .. } => ("lost", "–", "not counted"),
    };
    format!("<span class=\"badge {class}\"><span aria-hidden=\"true\">{mark}</span> {when}{word}</span>")
}

fn side(out: &mut String, title: &str, episode: Option<&Episode>) {
    put!(out, "<section class=\"side\"><h4>{title}</h4>");
    match episode {
        None => out.push_str("<p class=\"quiet\">Not recorded.</p>"),
        Some(episode) => steps(out, episode, None),
    }
    out.push_str("</section>");
}

/// Turn by turn; the call of that id is marked as the one that failure shows in.
fn steps(out: &mut String, episode: &Episode, failed: Option<u32>) {
    out.push_str("<ol class=\"steps\">");
    let called: Vec<&ToolCall> = episode.tool_calls.iter().collect();
    let mut first_user = true;
    for turn in episode.turns.iter().take(MAX_TURNS) {
        match turn {
            // The request stands in the summary line, and the system message is the same for all.
            Turn::System { .. } => {}
            Turn::User { .. } if std::mem::take(&mut first_user) => {}
            Turn::User { text } => {
                put!(
                    out,
                    "<li class=\"user\"><span class=\"who\">user</span><p>{}</p></li>",
                    Text(text, MAX_TEXT)
                );
            }
            Turn::Agent { model_call } => match episode.model_calls.get(*model_call as usize) {
                Some(call) => agent(out, call, &called),
                None => out.push_str("<li class=\"error\"><p>Model call missing from the record.</p></li>"),
            },
            Turn::Tool { tool_call } => match called.get(*tool_call as usize) {
                Some(call) => tool(out, call, failed == Some(call.id)),
                None => out.push_str("<li class=\"error\"><p>Tool call missing from the record.</p></li>"),
            },
        }
    }
    if episode.turns.len() > MAX_TURNS {
        put!(
            out,
            "<li class=\"quiet\"><p>… and {} more turns</p></li>",
            episode.turns.len() - MAX_TURNS
        );
    }
    out.push_str("</ol>");
    ending(out, episode);
}

/// An agent's turn. What it called is shown with the result; here stands only text that is not a call.
fn agent(out: &mut String, call: &ModelCall, tools: &[&ToolCall]) {
    let calls: Vec<&ToolCall> = tools
        .iter()
        .copied()
        .filter(|t| t.model_call == Some(call.id))
        .collect();
    let class = if calls.is_empty() { "answer" } else { "thought" };
    let shown = match (class, call.text_beside(&calls)) {
        ("thought", "") => return,
        (_, "") => "(said nothing)",
        (_, text) => text,
    };
    put!(
        out,
        "<li class=\"{class}\"><span class=\"who\">{class}</span><p>{}</p></li>",
        Text(shown, MAX_TEXT)
    );
}

fn tool(out: &mut String, call: &ToolCall, failed: bool) {
    let error = if call.error.is_some() { " error" } else { "" };
    let class = format!("call{error}{}", if failed { " culprit" } else { "" });
    put!(out, "<li class=\"{class}\"><span class=\"who\">call</span><code>");
    if call.tool.is_empty() {
        put!(out, "{}", Text(&call.raw, MAX_TEXT));
    } else {
        put!(
            out,
            "<b>{}</b>{}",
            label(&call.tool),
            Text(&arguments(&call.arguments), MAX_TEXT)
        );
    }
    out.push_str("</code>");
    if let Some(error) = &call.error {
        put!(out, "<span class=\"class\">{}</span>", label(&class_name(error.class)));
    }
    put!(out, "<pre>{}</pre></li>", Text(&call.shown, MAX_TEXT));
}

/// Arguments as in a function call: `(order: "A7", amount: 12)`.
fn arguments(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let list: Vec<String> = map.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            format!("({})", list.join(", "))
        }
        Value::Null => "()".into(),
        other => format!("({other})"),
    }
}

fn ending(out: &mut String, episode: &Episode) {
    let (class, word) = match &episode.outcome {
        Outcome::Ok => ("ok", "Solved".to_owned()),
        Outcome::PolicyFailed => ("bad", "Failed".to_owned()),
        Outcome::InfraFailed { cause } => ("lost", format!("Not counted: {cause}")),
    };
    put!(out, "<p class=\"ending {class}\"><b>{}</b>", label(&word));
    if episode.end != EndReason::Answered {
        put!(out, " · {}", end_words(episode.end));
    }
    out.push_str("</p>");
    let parts = episode.scores.iter().flat_map(|s| &s.parts).take(12);
    let mut list = String::new();
    for part in parts {
        put!(
            &mut list,
            "<li><span>{}</span> <span class=\"num\">{}</span> <span class=\"quiet\">{}</span></li>",
            label(&part.name),
            crate::curve::short(part.value),
            label(&part.why)
        );
    }
    if !list.is_empty() {
        put!(out, "<ul class=\"parts\">{list}</ul>");
    }
}

fn class_name(class: hone_trace::ToolErrorClass) -> String {
    use hone_trace::ToolErrorClass::*;
    match class {
        Malformed => "not a call",
        UnknownTool => "unknown tool",
        InvalidArguments => "invalid arguments",
        Denied => "denied",
        Tool => "refused by the tool",
        TooLarge => "result too large",
        Timeout => "timeout",
        Panic => "tool crashed",
        Infrastructure => "connection lost",
    }
    .to_owned()
}

fn end_words(end: EndReason) -> &'static str {
    match end {
        EndReason::Answered => "answered",
        EndReason::Terminal => "the environment ended it",
        EndReason::MaxTurns => "no turns left",
        EndReason::MaxCalls => "no tool calls left",
        EndReason::MaxErrors => "too many failed calls",
        EndReason::MaxTokens => "no tokens left",
        EndReason::ContextOverflow => "context window full",
        EndReason::Deadline => "out of time",
        EndReason::Malformed => "ended by a malformed turn",
        EndReason::Terminated => "ended by the approval policy",
        EndReason::Pending => "waits for a decision",
        EndReason::ToolFailure => "a tool broke",
        EndReason::ModelFailure => "the model endpoint broke",
        EndReason::EnvironmentFailure => "the environment broke",
        EndReason::Cancelled => "stopped",
    }
}
