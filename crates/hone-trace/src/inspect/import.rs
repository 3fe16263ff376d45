//! Samples of a log as episodes.

use super::archive::{Archive, read_json, without_nan};
use super::schema::{Call, Event, Head, Message, Sample, Scored, Spec, Whole};
use super::time::micros;
use super::{InspectError, OURS, VERSION};
use crate::{
    Approval, EndReason, Episode, FinishReason, Lineage, ModelCall, Outcome, Prompt, PromptMessage, Remote, SCHEMA,
    SamplingSettings, Score, ScorePart, Served, Store, Timing, ToolCall, ToolErrorClass, ToolFailure, Turn, Usage,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

/// Episodes in one transaction.
const BATCH: usize = 64;
/// What replaces a long text that stands elsewhere in the sample.
const ATTACHMENT: &str = "attachment://";
/// Most bytes that the texts of one sample may take when its attachments stand in their places.
const MAX_TEXT: usize = 256 << 20;

/// Appends the samples of a log to a store as episodes, and returns how many. What Hone wrote comes back as it was; of
/// others' logs the conversation, model and tool calls, scores and times are kept, under the phase `eval`.
///
/// A sample without a score counts for nothing (`infra_failed`), as one with an error does. A score counts as success at
/// 1 or more, at `C`, or where it is true.
///
/// # Errors
/// When the log cannot be read, or the store not be written. Batches before an error stay.
pub fn import_inspect(path: &Path, store: &Store) -> Result<u64, InspectError> {
    let mut import = Import {
        store,
        spec: Spec {
            task: String::new(),
            model: String::new(),
            solver: None,
        },
        groups: HashMap::new(),
        batch: Vec::new(),
        count: 0,
    };
    if !is_zip(path)? {
        let place = path.display().to_string();
        let whole: Whole = parse(&place, without_nan(read_json(path)?))?;
        check_version(whole.version)?;
        import.spec = whole.eval;
        for sample in whole.samples.unwrap_or_default() {
            import.add(sample)?;
        }
        return import.finish();
    }
    let mut archive = Archive::open(path)?;
    let header = ["header.json", "_journal/start.json"];
    let mut head = None;
    for name in header {
        if head.is_none() {
            head = archive
                .read(name)?
                .map(|bytes| parse::<Head>(name, without_nan(bytes)))
                .transpose()?;
        }
    }
    let head = head.ok_or_else(|| InspectError::Broken {
        place: path.display().to_string(),
        what: "it has no header.json".into(),
    })?;
    check_version(head.version)?;
    import.spec = head.eval;
    for name in archive.names() {
        if !name.starts_with("samples/") || !name.ends_with(".json") {
            continue;
        }
        if let Some(bytes) = archive.read(&name)? {
            import.add(parse(&name, without_nan(bytes))?)?;
        }
    }
    import.finish()
}

fn is_zip(path: &Path) -> Result<bool, InspectError> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(4).read_to_end(&mut head)?;
    Ok(head == b"PK\x03\x04" || head == b"PK\x05\x06")
}

fn check_version(found: u64) -> Result<(), InspectError> {
    if found > VERSION {
        Err(InspectError::Newer { found })
    } else {
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(place: &str, bytes: Vec<u8>) -> Result<T, InspectError> {
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| InspectError::Broken {
        place: place.to_owned(),
        what: match error.path().to_string() {
            field if field.len() > 1 => format!("`{field}`: {}", error.inner()),
            _ => error.inner().to_string(),
        },
    })
}

/// An import under way.
struct Import<'a> {
    store: &'a Store,
    spec: Spec,
    /// Number of each sample id, by first appearance.
    groups: HashMap<String, u64>,
    batch: Vec<Episode>,
    count: u64,
}

impl Import<'_> {
    fn add(&mut self, mut sample: Sample) -> Result<(), InspectError> {
        let name = sample.id.to_string();
        let episode = match ours(&mut sample) {
            Some(episode) => episode,
            None => {
                let next = self.groups.len() as u64;
                let group = *self.groups.entry(name.clone()).or_insert(next);
                attach(&name, &mut sample)?;
                Reading::new(&self.spec, &sample).episode(&sample, &name, group)
            }
        };
        episode
            .check()
            .map_err(|flaw| InspectError::Sample { sample: name, flaw })?;
        self.batch.push(episode);
        if self.batch.len() >= BATCH {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), InspectError> {
        self.store.append(&self.batch)?;
        self.count += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64, InspectError> {
        self.write()?;
        Ok(self.count)
    }
}

/// The episode that we wrote into the metadata, if all parts of it are there.
fn ours(sample: &mut Sample) -> Option<Episode> {
    let record = sample.metadata.as_mut()?.remove(OURS)?;
    let mut episode: Episode = serde_json::from_value(record).ok()?;
    for event in &mut sample.events {
        let mut part = || event.metadata.as_mut()?.remove(OURS);
        match event.event.as_str() {
            "model" => episode.model_calls.push(serde_json::from_value(part()?).ok()?),
            "tool" => episode.tool_calls.push(serde_json::from_value(part()?).ok()?),
            _ => {}
        }
    }
    episode.tool_calls.sort_by_key(|call| call.id);
    Some(episode)
}

/// Put attachments in their places.
fn attach(name: &str, sample: &mut Sample) -> Result<(), InspectError> {
    let attachments = std::mem::take(&mut sample.attachments);
    let mut room = MAX_TEXT;
    let pools = sample.events_data.iter_mut().flat_map(|pools| &mut pools.messages);
    let outputs = sample.events.iter_mut().flat_map(|event| {
        let choices = event.output.iter_mut().flat_map(|output| &mut output.choices);
        choices.map(|choice| &mut choice.message)
    });
    let mut put = true;
    for message in sample.messages.iter_mut().chain(pools).chain(outputs) {
        put &= replace(&mut message.content, &attachments, &mut room);
        for call in message.tool_calls.iter_mut().flatten() {
            put &= replace(&mut call.arguments, &attachments, &mut room);
        }
    }
    for event in &mut sample.events {
        put &= replace(&mut event.input, &attachments, &mut room);
        put &= replace(&mut event.result, &attachments, &mut room);
    }
    match put {
        true => Ok(()),
        false => Err(InspectError::TooLarge {
            place: format!("The text of sample {name}"),
            limit: MAX_TEXT as u64,
        }),
    }
}

/// Whether there was room for all.
fn replace(value: &mut Value, attachments: &HashMap<String, String>, room: &mut usize) -> bool {
    match value {
        Value::String(text) => {
            let Some(found) = text.strip_prefix(ATTACHMENT).and_then(|hash| attachments.get(hash)) else {
                return true;
            };
            if found.len() > *room {
                return false;
            }
            *room -= found.len();
            text.clone_from(found);
            true
        }
        Value::Array(values) => values.iter_mut().all(|value| replace(value, attachments, room)),
        Value::Object(map) => map.values_mut().all(|value| replace(value, attachments, room)),
        _ => true,
    }
}

/// A sample's conversation becoming an episode's.
struct Reading<'a> {
    model: String,
    task: String,
    solver: String,
    /// Events of models by the id of the message that they gave.
    by_message: HashMap<&'a str, &'a Event>,
    /// Events of tools by call.
    by_call: HashMap<&'a str, &'a Event>,
    messages: Vec<Message>,
    turns: Vec<Turn>,
    model_calls: Vec<ModelCall>,
    tool_calls: Vec<ToolCall>,
    /// Calls that wait for their result: what was asked, and by which model call.
    asked: BTreeMap<String, (Call, u32)>,
    /// Messages since the last model call.
    unasked: Vec<PromptMessage>,
}

impl<'a> Reading<'a> {
    fn new(spec: &Spec, sample: &'a Sample) -> Self {
        let answer = |event: &'a Event| event.output.as_ref()?.choices.first()?.message.id.as_deref();
        let models = sample.events.iter().filter(|event| event.event == "model");
        let tools = sample.events.iter().filter(|event| event.event == "tool");
        let mut messages = sample.messages.clone();
        if messages.is_empty()
            && let Some(last) = models.clone().next_back()
        {
            messages = asked_of(sample, last);
            messages.extend(
                last.output
                    .iter()
                    .flat_map(|o| &o.choices)
                    .take(1)
                    .map(|choice| choice.message.clone()),
            );
        }
        Self {
            model: spec.model.clone(),
            task: spec.task.clone(),
            solver: spec.solver.clone().unwrap_or_default(),
            by_message: models.filter_map(|event| Some((answer(event)?, event))).collect(),
            by_call: tools.filter_map(|event| Some((event.id.as_deref()?, event))).collect(),
            messages,
            turns: Vec::new(),
            model_calls: Vec::new(),
            tool_calls: Vec::new(),
            asked: BTreeMap::new(),
            unasked: Vec::new(),
        }
    }

    fn episode(mut self, sample: &Sample, name: &str, group: u64) -> Episode {
        for message in std::mem::take(&mut self.messages) {
            self.message(&message);
        }
        // What was asked and never answered.
        for (id, (call, by)) in std::mem::take(&mut self.asked) {
            self.tool_call(&id, Some((call, by)), None);
        }
        let scores: Vec<Score> = sample
            .scores
            .iter()
            .flatten()
            .filter_map(|(scorer, scored)| score(scorer, scored))
            .collect();
        let (outcome, reward) = outcome(sample, &scores);
        let kind = sample
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.get("kind")?.as_str());
        let start_us = sample.started_at.as_deref().and_then(micros).unwrap_or(0);
        Episode {
            schema: SCHEMA,
            id: format!("eval/{group}/{}", sample.epoch.saturating_sub(1)),
            phase: "eval".into(),
            taskset: self.task,
            task: name.to_owned(),
            task_kind: kind.unwrap_or("sample").to_owned(),
            group,
            sample: sample.epoch.saturating_sub(1),
            seed: 0,
            harness: self.solver,
            policy: self.model.clone(),
            turns: self.turns,
            model_calls: self.model_calls,
            tool_calls: self.tool_calls,
            events: Vec::new(),
            end: end(sample),
            outcome,
            final_state: None,
            scores,
            reward,
            timing: Timing {
                start_us,
                duration_us: in_us(sample.total_time),
            },
            forked_from: None,
        }
    }

    fn message(&mut self, message: &Message) {
        let text = text_of(&message.content);
        if message.role != "assistant" {
            self.unasked.push(PromptMessage {
                role: message.role.clone(),
                text: text.clone(),
            });
        }
        match message.role.as_str() {
            "system" => self.turns.push(Turn::System { text }),
            "assistant" => self.agent(message, text),
            "tool" => {
                let id = message
                    .tool_call_id
                    .as_ref()
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                let asked = self.asked.remove(&id);
                self.tool_call(&id, asked, Some((message, text)));
            }
            _ => self.turns.push(Turn::User { text }),
        }
    }

    fn agent(&mut self, message: &Message, text: String) {
        let id = self.model_calls.len() as u32;
        let event = message.id.as_deref().and_then(|id| self.by_message.get(id)).copied();
        let config = event.and_then(|event| event.config.as_ref());
        let output = event.and_then(|event| event.output.as_ref());
        let stop = output
            .and_then(|output| output.choices.first())
            .map_or("", |choice| choice.stop_reason.as_str());
        let usage = output.and_then(|output| output.usage);
        let failed = output.is_some_and(|output| output.error.is_some());
        self.model_calls.push(ModelCall {
            id,
            parent: id.checked_sub(1),
            retry_of: None,
            role: event
                .and_then(|event| event.role.clone())
                .unwrap_or_else(|| "agent".into()),
            policy: event
                .and_then(|event| event.model.clone())
                .unwrap_or_else(|| self.model.clone()),
            lineage: Lineage::Main,
            prompt: Prompt::default(),
            output: Vec::new(),
            origins: Vec::new(),
            logprobs: Vec::new(),
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            top_logprobs: Vec::new(),
            versions: Vec::new(),
            sampling: SamplingSettings {
                temperature: config
                    .and_then(|c| c.temperature)
                    .filter(|t| t.is_finite())
                    .unwrap_or(1.0),
                top_p: config.and_then(|c| c.top_p).filter(|p| p.is_finite()).unwrap_or(1.0),
                top_k: config.and_then(|c| c.top_k).unwrap_or(0),
                max_tokens: config.and_then(|c| c.max_tokens).unwrap_or(0),
                stream: String::new(),
                ..SamplingSettings::default()
            },
            finish: match stop {
                _ if failed => FinishReason::Error,
                "max_tokens" => FinishReason::Length,
                "model_length" => FinishReason::Context,
                _ => FinishReason::Stop,
            },
            template: String::new(),
            grammar: None,
            text,
            timing: Timing {
                start_us: event.and_then(|event| micros(event.timestamp.as_deref()?)).unwrap_or(0),
                duration_us: in_us(output.and_then(|output| output.time)),
            },
            remote: Some(Box::new(Remote {
                asked: std::mem::take(&mut self.unasked),
                reasoning: reasoning_of(&message.content),
                usage: usage.map(|usage| Usage {
                    // Inspect counts cached tokens beside the others.
                    input: [
                        Some(usage.input_tokens),
                        usage.input_tokens_cache_read,
                        usage.input_tokens_cache_write,
                    ]
                    .into_iter()
                    .flatten()
                    .fold(0, u64::saturating_add),
                    output: usage.output_tokens,
                    cached: usage.input_tokens_cache_read.unwrap_or(0),
                    reasoning: usage.reasoning_tokens.unwrap_or(0),
                }),
                cost_usd: usage.and_then(|usage| usage.total_cost).filter(|cost| cost.is_finite()),
                served: Served::default(),
            })),
        });
        self.turns.push(Turn::Agent { model_call: id });
        for call in message.tool_calls.iter().flatten() {
            self.asked.insert(call.id.clone(), (call.clone(), id));
        }
    }

    fn tool_call(&mut self, id: &str, asked: Option<(Call, u32)>, answer: Option<(&Message, String)>) {
        let number = self.tool_calls.len() as u32;
        let event = self.by_call.get(id).copied();
        let (call, model_call) = match asked {
            Some((call, by)) => (Some(call), Some(by)),
            None => (None, None),
        };
        let parse_error = call.as_ref().and_then(|call| call.parse_error.clone());
        let mut error = answer
            .as_ref()
            .and_then(|(message, _)| message.error.as_ref())
            .map(|error| ToolFailure {
                class: error_class(&error.kind),
                message: error.message.clone(),
            });
        if error.is_none() && answer.is_none() {
            error = Some(ToolFailure {
                class: ToolErrorClass::Infrastructure,
                message: "the log has no result of this call".into(),
            });
        }
        if let (Some(failure), Some(_)) = (&mut error, &parse_error) {
            failure.class = ToolErrorClass::Malformed;
        }
        let function = answer.as_ref().and_then(|(message, _)| message.function.clone());
        let arguments = call.as_ref().map_or(Value::Null, |call| call.arguments.clone());
        let denied = error
            .as_ref()
            .is_some_and(|error| error.class == ToolErrorClass::Denied);
        self.tool_calls.push(ToolCall {
            id: number,
            model_call,
            raw: parse_error.unwrap_or_else(|| arguments.to_string()),
            tool: call.map(|call| call.function).or(function).unwrap_or_default(),
            tool_version: String::new(),
            arguments,
            approval: if denied { Approval::Denied } else { Approval::Allowed },
            decision: None,
            result: Value::Null,
            shown: match answer {
                Some((_, text)) => {
                    self.turns.push(Turn::Tool { tool_call: number });
                    match &error {
                        Some(error) if text.is_empty() => error.message.clone(),
                        _ => text,
                    }
                }
                None => String::new(),
            },
            error,
            media: Vec::new(),
            snapshot: None,
            state_before: None,
            state_after: None,
            replayed: false,
            timing: Timing {
                start_us: event.and_then(|event| micros(event.timestamp.as_deref()?)).unwrap_or(0),
                duration_us: in_us(event.and_then(|event| event.working_time)),
            },
        });
    }
}

/// The messages that a model was asked with, out of the pool or as they stand there.
fn asked_of(sample: &Sample, event: &Event) -> Vec<Message> {
    let pool = sample.events_data.as_ref().map_or(&[][..], |pools| &pools.messages);
    match &event.input_refs {
        Some(ranges) => {
            // Each of the pool's messages can stand once only: ranges that overlap would make much out of little.
            let mut end = 0;
            let mut messages = Vec::new();
            for (from, to) in ranges {
                let range = (*from).max(end)..(*to).min(pool.len());
                messages.extend(pool.get(range.clone()).unwrap_or_default().iter().cloned());
                end = end.max(range.end);
            }
            messages
        }
        None => serde_json::from_value(event.input.clone()).unwrap_or_default(),
    }
}

/// The text of a message: a string, or its parts that hold text. Media are named, not kept.
fn text_of(content: &Value) -> String {
    let part = |part: &Value| match part["type"].as_str() {
        Some("text") => part["text"].as_str().map(str::to_owned),
        Some("reasoning") | None => None,
        Some(kind) => Some(format!("[{kind}]")),
    };
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(part).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// The reasoning that stands beside the text.
fn reasoning_of(content: &Value) -> String {
    let parts = content.as_array().into_iter().flatten();
    let reasoning = parts
        .filter(|part| part["type"] == "reasoning")
        .filter_map(|part| part["reasoning"].as_str());
    reasoning.collect::<Vec<_>>().join("\n")
}

fn in_us(seconds: Option<f64>) -> u64 {
    // The conversion saturates; what is no number is 0.
    (seconds.unwrap_or(0.0) * 1e6) as u64
}

fn error_class(kind: &str) -> ToolErrorClass {
    match kind {
        "parsing" => ToolErrorClass::InvalidArguments,
        "timeout" => ToolErrorClass::Timeout,
        "approval" => ToolErrorClass::Denied,
        "output_limit" => ToolErrorClass::TooLarge,
        "sandbox_unavailable" | "cancelled" => ToolErrorClass::Infrastructure,
        _ => ToolErrorClass::Tool,
    }
}

fn end(sample: &Sample) -> EndReason {
    match sample.limit.as_ref().map(|limit| limit.kind.as_str()) {
        Some("message" | "turn") => EndReason::MaxTurns,
        Some("token" | "cost") => EndReason::MaxTokens,
        Some("context") => EndReason::ContextOverflow,
        Some("time" | "working") => EndReason::Deadline,
        Some("operator") => EndReason::Cancelled,
        Some(_) => EndReason::Terminal,
        None if sample.error.is_some() => EndReason::EnvironmentFailure,
        None => EndReason::Answered,
    }
}

/// A score's value as a number: letters as Inspect counts them. `None` if it says nothing.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().filter(|n| n.is_finite()),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => match text.as_str() {
            "C" => Some(1.0),
            "P" => Some(0.5),
            "I" | "N" => Some(0.0),
            other => other.parse().ok().filter(|n: &f64| n.is_finite()),
        },
        _ => None,
    }
}

fn score(scorer: &str, scored: &Scored) -> Option<Score> {
    let why = [scored.answer.as_deref(), scored.explanation.as_deref()];
    let why = why
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    let part = |name: &str, value: f64| ScorePart {
        name: name.to_owned(),
        value,
        why: why.clone(),
    };
    let parts: Vec<ScorePart> = match &scored.value {
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| Some(part(name, number(value)?)))
            .collect(),
        Value::Array(list) => {
            let numbers = list
                .iter()
                .enumerate()
                .filter_map(|(i, value)| Some((i, number(value)?)));
            numbers.map(|(i, value)| part(&i.to_string(), value)).collect()
        }
        value => vec![part("value", number(value)?)],
    };
    let value = parts.iter().map(|part| part.value).sum::<f64>() / parts.len() as f64;
    (!parts.is_empty()).then(|| Score {
        scorer: scorer.to_owned(),
        version: String::new(),
        hash: String::new(),
        value,
        parts,
    })
}

fn outcome(sample: &Sample, scores: &[Score]) -> (Outcome, Option<f64>) {
    if let Some(error) = &sample.error {
        let cause = error.message.clone();
        return (Outcome::InfraFailed { cause }, None);
    }
    match scores.first() {
        None => {
            let cause = "the log has no score of this sample".into();
            (Outcome::InfraFailed { cause }, None)
        }
        Some(score) if score.value >= 1.0 => (Outcome::Ok, Some(score.value)),
        Some(score) => (Outcome::PolicyFailed, Some(score.value)),
    }
}
