//! The one path of every tool call: parse, validate, approve, replay, run, record.

mod approve;

use crate::replay::{Found, Recorded};
use crate::shown::{cut, weight};
use crate::{
    ApprovalPolicy, Lost, Recording, ToolError, ToolHost, ToolOutput, ToolSpec, Toolset, Truncation, canonical, guarded,
};
use hone_trace::{Approval, EndReason, Timing, ToolCall, ToolErrorClass, ToolFailure};
use serde_json::Value;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the text of an error starts with.
pub const ERROR: &str = "error: ";

/// Most bytes of a result's data. A larger result is an error of class [`ToolErrorClass::TooLarge`].
pub const MAX_RESULT_BYTES: usize = 16 << 20;

/// Most characters of a tool's error that are kept.
const MAX_ERROR_CHARS: usize = 1 << 20;

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
    /// Which part of a longer text is shown.
    pub truncation: Truncation,
    /// Bound on the schema that is shown with an error in the arguments, in characters; 0 shows none.
    pub max_schema_chars: usize,
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
    /// The episode must end: terminated by the policy, or pending until somebody has decided.
    pub end: Option<EndReason>,
    /// Time that went by while somebody decided; part of the record's duration.
    pub waited: Duration,
}

/// A call's result, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub result: Result<ToolOutput, ToolFailure>,
    pub state_before: Option<String>,
    pub state_after: Option<String>,
}

impl Answer {
    pub(crate) fn failed(failure: ToolFailure) -> Self {
        Self {
            result: Err(failure),
            state_before: None,
            state_after: None,
        }
    }
}

impl From<ToolFailure> for Answer {
    fn from(failure: ToolFailure) -> Self {
        Self::failed(failure)
    }
}

/// A call that passed all checks.
pub(crate) struct Call {
    pub tool: String,
    pub arguments: Value,
}

impl Call {
    pub fn of(record: &ToolCall) -> Self {
        Self {
            tool: record.tool.clone(),
            arguments: record.arguments.clone(),
        }
    }
}

/// A failure of that class.
pub(crate) fn failure(class: ToolErrorClass, message: impl Into<String>) -> ToolFailure {
    ToolFailure {
        class,
        message: message.into(),
    }
}

/// What is known of a call before its text is cut.
struct Done<H: ?Sized> {
    host: Option<Box<H>>,
    answer: Answer,
    /// The shown text and what it was cut from, where a recording has both.
    shown: Option<(String, Option<usize>)>,
    end: Option<EndReason>,
}

/// Take a call from the model's text to its record. Nothing else calls [`ToolHost::call`].
///
/// With a `recording`, calls that it holds are answered from it: see [`Recording`]. State hashes are recorded for calls that
/// reached their tool.
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
        decision: None,
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
    let mut waited = Duration::ZERO;
    let done = answer(host, request.asked, rules, recording, &mut record, &mut waited).await;
    record.state_before = done.answer.state_before;
    record.state_after = done.answer.state_after;
    let mut terminal = false;
    let cut_from;
    match done.answer.result {
        Ok(output) => {
            record.result = output.data;
            record.media = output.media;
            terminal = output.terminal;
            (record.shown, cut_from) = done
                .shown
                .unwrap_or_else(|| cut(output.text, rules.max_shown_chars, rules.truncation));
        }
        Err(ToolFailure { class, message }) => {
            (record.shown, cut_from) = done.shown.unwrap_or_else(|| {
                let limit = rules.max_shown_chars.saturating_sub(ERROR.len());
                let (shown, from) = cut(message.clone(), limit, Truncation::Head);
                (format!("{ERROR}{shown}"), from)
            });
            record.error = Some(ToolFailure { class, message });
        }
    }
    record.timing = Timing {
        start_us,
        duration_us: clock.elapsed().as_micros() as u64,
    };
    Dispatched {
        host: done.host,
        record,
        terminal,
        cut_from,
        end: done.end,
        waited,
    }
}

/// Everything between the model's text and the text for the model.
async fn answer<H>(
    host: Box<H>,
    asked: Asked,
    rules: &Rules<'_>,
    mut recording: Option<&mut Recording>,
    record: &mut ToolCall,
    waited: &mut Duration,
) -> Done<H>
where
    H: ToolHost + ?Sized + 'static,
{
    let done = |host, answer| Done {
        host,
        answer,
        shown: None,
        end: None,
    };
    if let Some(whole) = recording
        .as_deref()
        .and_then(|recording| recording.at(record.id, &asked))
    {
        return match whole {
            Ok(recorded) => replay(host, recorded, rules, None, record).await,
            Err(failure) => done(Some(host), failure.into()),
        };
    }
    let spec = match admit(asked, rules, record) {
        Ok(spec) => spec,
        Err(failure) => return done(Some(host), failure.into()),
    };
    match recording
        .as_deref_mut()
        .map_or(Found::Nothing, |recording| recording.next(record))
    {
        Found::Nothing => {}
        Found::Missing(failure) => return done(Some(host), failure.into()),
        Found::Call(recorded) => return replay(host, *recorded, rules, recording, record).await,
    }
    if let Err((failure, end)) = approve::approve(spec, rules, recording.as_deref(), record, waited).await {
        return Done {
            end,
            ..done(Some(host), failure.into())
        };
    }
    if let Some(recording) = recording {
        if let Err(why) = recording.enter(&*host) {
            return done(Some(host), failure(ToolErrorClass::Infrastructure, why).into());
        }
        // Tools in this process answer as fast as the cache.
        if !host.inline()
            && let Some(shared) = recording.shared()
        {
            let (host, answer) = shared.answer(host, spec, record, rules.timeout).await;
            return done(host, answer);
        }
    }
    let (host, answer) = run(host, &Call::of(record), rules.timeout).await;
    done(host, answer)
}

/// A call that was recorded, with all that was decided of it then.
async fn replay<H>(
    host: Box<H>,
    recorded: Recorded,
    rules: &Rules<'_>,
    recording: Option<&mut Recording>,
    record: &mut ToolCall,
) -> Done<H>
where
    H: ToolHost + ?Sized + 'static,
{
    let again = recorded.approval.passed() && recording.is_some_and(|recording| recording.rebuilds());
    record.replayed = true;
    record.tool = recorded.tool;
    record.tool_version = recorded.tool_version;
    record.approval = recorded.approval;
    record.decision = recorded.decision;
    record.arguments = recorded.arguments;
    let (mut host, mut failed) = (Some(host), None);
    if again && let Some(fresh) = host.take() {
        let (back, answer) = run(fresh, &Call::of(record), rules.timeout).await;
        host = back;
        if answer.state_after != recorded.state_after {
            failed = Some(failure(
                ToolErrorClass::Infrastructure,
                format!(
                    "{}: called again in a fresh world, it leads to another state than is recorded; the world has changed since",
                    record.tool
                ),
            ));
        }
    }
    match failed {
        Some(failure) => Done {
            host,
            answer: failure.into(),
            shown: None,
            end: None,
        },
        None => Done {
            host,
            answer: recorded.answer,
            shown: Some((recorded.shown, recorded.cut_from)),
            end: match recorded.approval {
                Approval::Terminated => Some(EndReason::Terminated),
                Approval::Pending => Some(EndReason::Pending),
                _ => None,
            },
        },
    }
}

/// Is it a call, of a known tool, with valid arguments?
fn admit<'a>(asked: Asked, rules: &Rules<'a>, record: &mut ToolCall) -> Result<&'a ToolSpec, ToolFailure> {
    let (tool, arguments) = match asked {
        Asked::Call { tool, arguments } => (tool, arguments),
        Asked::Malformed { error } => return Err(failure(ToolErrorClass::Malformed, error)),
    };
    record.tool = tool;
    // Who checks arguments on its own also tells `2.0` from `2`.
    let unchecked = rules.toolset.get(&record.tool).is_some_and(|spec| spec.unchecked);
    record.arguments = if unchecked { arguments } else { canonical(arguments) };
    let spec = rules
        .toolset
        .check(&record.tool, &record.arguments)
        .map_err(|failure| {
            let spec = rules.toolset.get(&record.tool).filter(|_| rules.max_schema_chars > 0);
            match spec.filter(|_| failure.class == ToolErrorClass::InvalidArguments) {
                Some(spec) => {
                    let schema = spec.input_schema.to_string();
                    let (schema, _) = cut(schema, rules.max_schema_chars, Truncation::Head);
                    let message = format!("{}. The arguments' schema: {schema}", failure.message);
                    ToolFailure { message, ..failure }
                }
                None => failure,
            }
        })?;
    record.tool_version.clone_from(&spec.version);
    Ok(spec)
}

/// Run a call on its host.
pub(crate) async fn run<H>(host: Box<H>, call: &Call, timeout: Duration) -> (Option<Box<H>>, Answer)
where
    H: ToolHost + ?Sized + 'static,
{
    let (tool, arguments) = (call.tool.clone(), call.arguments.clone());
    let work = move |host: &mut H| {
        let state_before = host.state_hash();
        let result = host.call(&tool, &arguments);
        let result = result.map_err(|ToolError { class, message }| ToolFailure {
            class,
            message: cut(message, MAX_ERROR_CHARS, Truncation::Head).0,
        });
        Answer {
            result: result.and_then(bounded),
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
            let message = format!("{}: {lost}", call.tool);
            (None, Answer::failed(failure(class, message)))
        }
    }
}

/// A result within its bounds. Its text is cut later; of one that is far too long, only the part that can be shown is kept.
fn bounded(output: ToolOutput) -> Result<ToolOutput, ToolFailure> {
    let data = weight(&output.data, MAX_RESULT_BYTES);
    if data > MAX_RESULT_BYTES || output.text.len() > MAX_RESULT_BYTES {
        let message = format!(
            "the result is larger than {} MiB and was thrown away; ask for less",
            MAX_RESULT_BYTES >> 20
        );
        return Err(failure(ToolErrorClass::TooLarge, message));
    }
    Ok(output)
}
