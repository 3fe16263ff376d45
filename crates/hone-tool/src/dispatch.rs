//! The one path of every tool call: parse, validate, approve, replay, run, record.

use crate::replay::Recorded;
use crate::{ApprovalPolicy, Lost, Missing, Recording, ToolError, ToolHost, ToolOutput, Toolset, canonical, guarded};
use hone_trace::{Approval, Timing, ToolCall, ToolErrorClass, ToolFailure};
use serde_json::Value;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a cut text ends with.
pub const CUT: &str = "…[cut]";

/// What the text of an error starts with.
pub const ERROR: &str = "error: ";

/// A call as the model asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRequest {
    /// Position that the record gets in its episode.
    pub id: u32,
    /// The model call that asked.
    pub model_call: Option<u32>,
    /// The text as the model wrote it.
    pub raw: String,
    /// What was read from it.
    pub asked: Asked,
}

/// What was read from the model's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A call.
    Call {
        /// Tool name.
        tool: String,
        /// Arguments, unchecked.
        arguments: Value,
    },
    /// Something that claims to be a call and is none.
    Malformed {
        /// What is wrong with it, for the model.
        error: String,
    },
}

/// What holds for the calls of an episode.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The host's tools, compiled.
    pub toolset: &'a Toolset,
    /// Which valid calls may run.
    pub approval: &'a ApprovalPolicy,
    /// Bound on one call's time. Hosts that run inline are not bound by it.
    pub timeout: Duration,
    /// Bound on the text shown to the model, in characters.
    pub max_shown_chars: usize,
}

/// What became of a call.
#[derive(Debug)]
pub struct Dispatched<H: ?Sized> {
    /// The host, unless the call lost it (timeout, panic, shutdown).
    pub host: Option<Box<H>>,
    /// The record.
    pub record: ToolCall,
    /// The environment says that the episode is over.
    pub terminal: bool,
    /// Characters before the cut, if the shown text was cut.
    pub cut_from: Option<usize>,
}

/// A call's result, or why there is none.
struct Answer {
    result: Result<ToolOutput, ToolFailure>,
    state_before: Option<String>,
    state_after: Option<String>,
}

impl Answer {
    fn failed(failure: ToolFailure) -> Self {
        Self {
            result: Err(failure),
            state_before: None,
            state_after: None,
        }
    }
}

/// Take a call from the model's text to its record. Nothing else calls [`ToolHost::call`].
///
/// With a `recording`, calls that pass the checks are answered from it and the host is not touched. State hashes are
/// recorded for calls that reached their tool.
///
/// Runs hosts that are not [`ToolHost::inline`] on the current tokio runtime's blocking threads; see [`guarded`].
pub async fn dispatch<H>(
    host: Box<H>,
    request: ToolRequest,
    rules: &Rules<'_>,
    recording: Option<&mut Recording>,
) -> Dispatched<H>
where
    H: ToolHost + ?Sized + 'static,
{
    let clock = Instant::now();
    let start_us = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_micros() as u64);
    let mut record = ToolCall {
        id: request.id,
        model_call: request.model_call,
        raw: request.raw,
        tool: String::new(),
        tool_version: String::new(),
        arguments: Value::Null,
        approval: Approval::NotReached,
        result: Value::Null,
        shown: String::new(),
        error: None,
        state_before: None,
        state_after: None,
        media: Vec::new(),
        snapshot: None,
        replayed: false,
        timing: Timing::default(),
    };
    let (host, answer) = match admit(request.asked, rules, &mut record) {
        Err(failure) => (Some(host), Answer::failed(failure)),
        Ok(()) => {
            let replayed = recording.and_then(|recording| replay(recording, &record));
            record.replayed = replayed.is_some();
            match replayed {
                Some(answer) => (Some(host), answer),
                None => run(host, &record, rules.timeout).await,
            }
        }
    };
    record.state_before = answer.state_before;
    record.state_after = answer.state_after;
    let mut terminal = false;
    let cut_from;
    match answer.result {
        Ok(output) => {
            record.result = output.data;
            record.media = output.media;
            terminal = output.terminal;
            (record.shown, cut_from) = cut(output.text, rules.max_shown_chars);
        }
        Err(ToolFailure { class, message }) => {
            let limit = rules.max_shown_chars.saturating_sub(ERROR.len());
            let (message, from) = cut(message, limit);
            cut_from = from;
            record.shown = format!("{ERROR}{message}");
            record.error = Some(ToolFailure { class, message });
        }
    }
    record.timing = Timing {
        start_us,
        duration_us: clock.elapsed().as_micros() as u64,
    };
    Dispatched {
        host,
        record,
        terminal,
        cut_from,
    }
}

/// Everything before the tool: is it a call, of a known tool, with valid arguments, and allowed?
fn admit(asked: Asked, rules: &Rules<'_>, record: &mut ToolCall) -> Result<(), ToolFailure> {
    let (tool, arguments) = match asked {
        Asked::Call { tool, arguments } => (tool, arguments),
        Asked::Malformed { error } => {
            return Err(ToolFailure {
                class: ToolErrorClass::Malformed,
                message: error,
            });
        }
    };
    record.tool = tool;
    // Who checks arguments on its own also tells `2.0` from `2`.
    let unchecked = rules.toolset.get(&record.tool).is_some_and(|spec| spec.unchecked);
    record.arguments = if unchecked { arguments } else { canonical(arguments) };
    let spec = rules.toolset.check(&record.tool, &record.arguments)?;
    record.tool_version.clone_from(&spec.version);
    record.approval = rules.approval.decide(spec);
    if record.approval == Approval::Denied {
        return Err(ToolFailure {
            class: ToolErrorClass::Denied,
            message: rules.approval.denial(&record.tool),
        });
    }
    Ok(())
}

fn replay(recording: &mut Recording, record: &ToolCall) -> Option<Answer> {
    match recording.take(&record.tool, &record.arguments) {
        Some(Recorded {
            data,
            shown,
            error,
            media,
            terminal,
            state_before,
            state_after,
        }) => {
            let result = match error {
                None => Ok(ToolOutput {
                    data,
                    text: shown,
                    media,
                    terminal,
                }),
                Some(failure) => Err(failure),
            };
            Some(Answer {
                result,
                state_before,
                state_after,
            })
        }
        None if recording.missing == Missing::Run => None,
        None => Some(Answer::failed(ToolFailure {
            class: ToolErrorClass::Infrastructure,
            message: format!(
                "the recording has no further call of {} with these arguments",
                record.tool
            ),
        })),
    }
}

async fn run<H>(host: Box<H>, record: &ToolCall, timeout: Duration) -> (Option<Box<H>>, Answer)
where
    H: ToolHost + ?Sized + 'static,
{
    let (tool, arguments) = (record.tool.clone(), record.arguments.clone());
    let work = move |host: &mut H| {
        let state_before = host.state_hash();
        let result = host.call(&tool, &arguments);
        let result = result.map_err(|ToolError { class, message }| ToolFailure { class, message });
        Answer {
            result,
            state_before,
            state_after: host.state_hash(),
        }
    };
    match guarded(host, timeout, work).await {
        Ok((host, answer)) => (Some(host), answer),
        Err(lost) => {
            let class = match lost {
                Lost::Timeout(_) => ToolErrorClass::Timeout,
                Lost::Panic(_) => ToolErrorClass::Panic,
                Lost::Shutdown => ToolErrorClass::Infrastructure,
            };
            let message = format!("{}: {lost}", record.tool);
            (None, Answer::failed(ToolFailure { class, message }))
        }
    }
}

/// At most `limit` characters of `text`, with [`CUT`] at the end if something is missing, and the length before.
fn cut(mut text: String, limit: usize) -> (String, Option<usize>) {
    if text.len() <= limit {
        return (text, None);
    }
    let chars = text.chars().count();
    if chars <= limit {
        return (text, None);
    }
    let keep = limit.saturating_sub(CUT.chars().count());
    let end = text.char_indices().nth(keep).map_or(text.len(), |(end, _)| end);
    text.truncate(end);
    text.push_str(CUT);
    (text, Some(chars))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_counts_characters_and_marks() {
        assert_eq!(cut("äöü".into(), 3), ("äöü".into(), None));
        assert_eq!(cut("äöüßäöüß".into(), 7), ("ä…[cut]".into(), Some(8)));
        assert_eq!(cut("a long text".into(), 0).0, CUT);
    }
}
