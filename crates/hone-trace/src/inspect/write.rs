//! Episodes as samples of a log.

use super::time::iso;
use super::{InspectError, OURS, VERSION};
use crate::{
    EndReason, Episode, ExchangeError, Filter, FinishReason, ModelCall, Outcome, Said, Store, ToolCall, ToolErrorClass,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What a log says of the run beside its episodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InspectRun {
    /// The run's name: it becomes the id of evaluation and run.
    pub name: String,
    /// The split or phase, for the data set's name.
    pub dataset: String,
}

/// Writes the episodes that pass as a log of schema 2 and returns how many: as ZIP, or as one JSON file.
///
/// # Errors
/// When the store cannot be read or the file not be written.
pub fn export_inspect(
    store: &Store,
    filter: &Filter,
    run: &InspectRun,
    json: bool,
    to: &mut BufWriter<File>,
) -> Result<u64, InspectError> {
    let mut log = Log::default();
    if json {
        // Readers of the header alone stop at the samples, so it comes first, from a first look at all.
        store.for_each(filter, |episode| {
            log.sample(&episode);
            Ok::<_, InspectError>(())
        })?;
        let header = log.header(run).to_string();
        to.write_all(header.strip_suffix('}').unwrap_or(&header).as_bytes())?;
        to.write_all(b",\"samples\":[")?;
        let mut again = Log::default();
        store.for_each(filter, |episode| {
            if again.count > 0 {
                to.write_all(b",\n")?;
            }
            let sample = again.sample(&episode);
            Ok::<_, InspectError>(serde_json::to_writer(&mut *to, &sample).map_err(std::io::Error::from)?)
        })?;
        to.write_all(b"]}")?;
        return Ok(again.count);
    }
    let mut zip = ZipWriter::new(to);
    let zipped = |error: zip::result::ZipError| ExchangeError::Io(std::io::Error::other(error));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut summaries = Vec::new();
    store.for_each(filter, |episode| {
        let sample = log.sample(&episode);
        summaries.push(summary(&sample));
        let id = sample["id"].as_str().unwrap_or_default();
        zip.start_file(format!("samples/{id}_epoch_{}.json", sample["epoch"]), options)
            .map_err(zipped)?;
        Ok::<_, InspectError>(serde_json::to_writer(&mut zip, &sample).map_err(std::io::Error::from)?)
    })?;
    for (name, value) in [
        ("summaries.json", Value::Array(summaries)),
        ("header.json", log.header(run)),
    ] {
        zip.start_file(name, options).map_err(zipped)?;
        serde_json::to_writer(&mut zip, &value).map_err(std::io::Error::from)?;
    }
    zip.finish().map_err(zipped)?.flush()?;
    Ok(log.count)
}

/// A log under way: what its header sums up.
#[derive(Default)]
struct Log {
    count: u64,
    /// Ids and epochs that are taken.
    taken: BTreeSet<(String, u32)>,
    /// Ids in order, each once.
    ids: Vec<String>,
    taskset: String,
    policy: String,
    harness: String,
    epochs: u32,
    counted: u64,
    start_us: u64,
    end_us: u64,
    /// Sum, sum of squares and number of each scorer's values.
    scores: BTreeMap<String, (f64, f64, u64)>,
    usage: Tokens,
}

/// Tokens read and written.
#[derive(Clone, Copy, Default)]
struct Tokens {
    input: u64,
    output: u64,
}

impl Tokens {
    fn of(call: &ModelCall) -> Self {
        let (input, output) = call.tokens();
        Self { input, output }
    }

    fn add(&mut self, other: Self) {
        self.input += other.input;
        self.output += other.output;
    }

    fn json(self) -> Value {
        json!({"input_tokens": self.input, "output_tokens": self.output, "total_tokens": self.input + self.output})
    }
}

impl Log {
    fn sample(&mut self, episode: &Episode) -> Value {
        let epoch = episode.sample.saturating_add(1);
        let mut id = if is_plain(&episode.task) {
            episode.task.clone()
        } else {
            format!("task-{}", episode.group)
        };
        if self.taken.contains(&(id.clone(), epoch)) {
            id = format!("{}-{}", self.count, episode.group);
        }
        if self.count == 0 {
            self.taskset.clone_from(&episode.taskset);
            self.policy.clone_from(&episode.policy);
            self.harness.clone_from(&episode.harness);
            self.start_us = u64::MAX;
        }
        if self
            .taken
            .range((id.clone(), 0)..=(id.clone(), u32::MAX))
            .next()
            .is_none()
        {
            self.ids.push(id.clone());
        }
        self.taken.insert((id.clone(), epoch));
        self.count += 1;
        self.epochs = self.epochs.max(epoch);
        self.counted += u64::from(episode.counts());
        self.start_us = self.start_us.min(episode.timing.start_us);
        self.end_us = self.end_us.max(end_us(episode.timing));
        let mut tokens = Tokens::default();
        episode.model_calls.iter().for_each(|call| tokens.add(Tokens::of(call)));
        self.usage.add(tokens);
        if episode.counts() {
            for score in &episode.scores {
                let sum = self.scores.entry(score.scorer.clone()).or_default();
                sum.0 += score.value;
                sum.1 += score.value * score.value;
                sum.2 += 1;
            }
        }
        sample(episode, &id, epoch, tokens)
    }

    fn header(&self, run: &InspectRun) -> Value {
        let metric = |name: &str, value: f64| json!({"name": name, "value": value, "params": {}});
        let scores: Vec<Value> = self
            .scores
            .iter()
            .map(|(scorer, (sum, squares, n))| {
                let count = *n as f64;
                let mean = sum / count;
                let spread = ((squares - count * mean * mean) / (count - 1.0)).max(0.0);
                let error = if *n > 1 { (spread / count).sqrt() } else { 0.0 };
                json!({
                    "name": scorer, "scorer": scorer, "params": {}, "scored_samples": n, "unscored_samples": self.count - n,
                    "metrics": {"mean": metric("mean", mean), "stderr": metric("stderr", error)},
                })
            })
            .collect();
        let (start, end) = (iso(self.start_us.min(self.end_us)), iso(self.end_us));
        json!({
            "version": VERSION,
            "status": "success",
            "eval": {
                "eval_id": run.name, "run_id": run.name, "created": start, "task": self.taskset, "task_id": run.name,
                "task_version": 0, "solver": self.harness,
                "dataset": {"name": run.dataset, "samples": self.ids.len(), "sample_ids": self.ids, "shuffled": false},
                "model": self.policy, "model_generate_config": {}, "config": {"epochs": self.epochs.max(1)},
                "packages": {"hone": env!("CARGO_PKG_VERSION")},
            },
            "plan": {"name": "plan", "steps": [{"solver": self.harness, "params": {}}], "config": {}},
            "results": {"total_samples": self.count, "completed_samples": self.counted, "scores": scores},
            "stats": {"started_at": start, "completed_at": end, "model_usage": {self.policy.clone(): self.usage.json()}},
        })
    }
}

/// Whether a task's id can be the name of a file in an archive.
fn is_plain(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    !id.is_empty() && id.len() <= 200 && id.chars().all(plain) && !id.starts_with('/') && !id.contains("..")
}

/// What the list of samples shows.
fn summary(sample: &Value) -> Value {
    let mut summary = Map::new();
    for key in [
        "id",
        "epoch",
        "input",
        "target",
        "model_usage",
        "started_at",
        "completed_at",
        "total_time",
        "uuid",
        "turn_count",
    ] {
        summary.insert(key.into(), sample[key].clone());
    }
    let mut metadata = sample["metadata"].clone();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove(OURS);
    }
    summary.insert("metadata".into(), metadata);
    let mut scores = sample["scores"].clone();
    for score in scores
        .as_object_mut()
        .into_iter()
        .flat_map(|scores| scores.values_mut())
    {
        score["metadata"] = Value::Null;
    }
    summary.insert("scores".into(), scores);
    summary.insert("completed".into(), true.into());
    let error = &sample["error"];
    if !error.is_null() {
        summary.insert("error".into(), error["message"].clone());
    }
    if !sample["limit"].is_null() {
        summary.insert("limit".into(), sample["limit"]["type"].clone());
    }
    summary.insert(
        "message_count".into(),
        sample["messages"].as_array().map_or(0, Vec::len).into(),
    );
    Value::Object(summary)
}

fn end_us(timing: crate::Timing) -> u64 {
    timing.start_us.saturating_add(timing.duration_us)
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn sample(episode: &Episode, id: &str, epoch: u32, tokens: Tokens) -> Value {
    let dialogue = episode.dialogue();
    let messages: Vec<Value> = dialogue
        .iter()
        .enumerate()
        .map(|(at, said)| message(said, at))
        .collect();
    let input = dialogue.iter().find_map(|said| match said {
        Said::User(text) => Some(*text),
        _ => None,
    });
    let record = episode.without_calls();
    let error = match &episode.outcome {
        Outcome::InfraFailed { cause } => json!({"message": cause, "traceback": "", "traceback_ansi": ""}),
        Outcome::Ok | Outcome::PolicyFailed => Value::Null,
    };
    let last = messages.iter().rev().find(|message| message["role"] == "assistant");
    let choices = last.map(|message| json!({"message": message, "stop_reason": "stop"}));
    let agents = dialogue
        .iter()
        .filter(|said| matches!(said, Said::Agent { .. }))
        .count();
    json!({
        "id": id, "epoch": epoch, "uuid": format!("{}/{epoch}", episode.id),
        "input": input.unwrap_or_default(), "target": "",
        "metadata": {
            "kind": episode.task_kind, "phase": episode.phase, "outcome": episode.outcome.kind().name(),
            "end": crate::record_name(&episode.end), "seed": episode.seed.to_string(),
            (OURS): record,
        },
        "messages": messages,
        "output": {"model": episode.policy, "choices": choices.into_iter().collect::<Vec<_>>()},
        "scores": scores(episode),
        "events": events(episode, &dialogue, &messages),
        "events_data": {"messages": messages, "calls": []},
        "attachments": {},
        "store": {},
        "model_usage": {episode.policy.clone(): tokens.json()},
        "started_at": iso(episode.timing.start_us), "completed_at": iso(end_us(episode.timing)),
        "total_time": seconds(episode.timing.duration_us), "working_time": seconds(episode.timing.duration_us),
        "turn_count": agents,
        "error": error,
        "limit": limit(episode.end),
    })
}

/// Inspect names a bound that was reached; how high it was, our record does not say.
fn limit(end: EndReason) -> Value {
    let kind = match end {
        EndReason::MaxTurns => "turn",
        EndReason::MaxCalls => "message",
        EndReason::MaxTokens => "token",
        EndReason::ContextOverflow => "context",
        EndReason::Deadline => "time",
        _ => return Value::Null,
    };
    json!({"type": kind, "limit": 0})
}

fn scores(episode: &Episode) -> Value {
    let scores: Map<String, Value> = episode
        .scores
        .iter()
        .map(|score| {
            let why: Vec<&str> = score
                .parts
                .iter()
                .map(|part| part.why.as_str())
                .filter(|why| !why.is_empty())
                .collect();
            let parts: Map<String, Value> = score.parts.iter().map(|p| (p.name.clone(), p.value.into())).collect();
            let metadata = json!({"parts": parts, "version": score.version, "hash": score.hash});
            let value = json!({"value": score.value, "explanation": why.join("\n"), "metadata": metadata});
            (score.scorer.clone(), value)
        })
        .collect();
    Value::Object(scores)
}

fn call_id(call: &ToolCall) -> String {
    format!("call_{}", call.id)
}

/// Arguments must be an object there.
fn arguments(call: &ToolCall) -> Value {
    match &call.arguments {
        arguments @ Value::Object(_) => arguments.clone(),
        _ => json!({}),
    }
}

fn function(call: &ToolCall) -> &str {
    if call.tool.is_empty() { "unknown" } else { &call.tool }
}

/// The message at that place of the conversation.
fn message(said: &Said<'_>, at: usize) -> Value {
    let id = format!("m{at}");
    match said {
        Said::System(text) => json!({"id": id, "role": "system", "content": text}),
        Said::User(text) => json!({"id": id, "role": "user", "content": text, "source": "input"}),
        Said::Agent {
            model_call,
            text,
            calls,
        } => {
            let calls: Vec<Value> = calls
                .iter()
                .map(|call| {
                    let malformed = call.error.as_ref().filter(|error| error.class == ToolErrorClass::Malformed);
                    let mut tree = json!({
                        "id": call_id(call), "function": function(call), "arguments": arguments(call), "type": "function",
                    });
                    if let Some(error) = malformed {
                        tree["parse_error"] = format!("{}\n{}", error.message, call.raw).into();
                    }
                    tree
                })
                .collect();
            let mut tree = json!({
                "id": id, "role": "assistant", "content": text, "source": "generate", "model": model_call.policy,
            });
            if !calls.is_empty() {
                tree["tool_calls"] = calls.into();
            }
            tree
        }
        Said::Tool(call) => json!({
            "id": id, "role": "tool", "content": call.shown, "tool_call_id": call_id(call), "function": function(call),
            "error": tool_error(call),
        }),
    }
}

fn tool_error(call: &ToolCall) -> Value {
    let Some(error) = &call.error else { return Value::Null };
    let kind = match error.class {
        ToolErrorClass::Malformed | ToolErrorClass::UnknownTool | ToolErrorClass::InvalidArguments => "parsing",
        ToolErrorClass::Denied => "approval",
        ToolErrorClass::TooLarge => "output_limit",
        ToolErrorClass::Timeout => "timeout",
        ToolErrorClass::Infrastructure => "sandbox_unavailable",
        ToolErrorClass::Tool | ToolErrorClass::Panic => "unknown",
    };
    json!({"type": kind, "message": error.message})
}

fn events(episode: &Episode, dialogue: &[Said<'_>], messages: &[Value]) -> Vec<Value> {
    let start = episode.timing.start_us;
    let common = |kind: &str, timing: crate::Timing, record: Value| {
        json!({
            "event": kind, "timestamp": iso(timing.start_us), "working_start": seconds(timing.start_us.saturating_sub(start)),
            "completed": iso(end_us(timing)), "working_time": seconds(timing.duration_us), "metadata": {(OURS): record},
        })
    };
    // Where in the conversation each model call stands; side calls stand nowhere.
    let mut places = vec![None; episode.model_calls.len()];
    for (at, said) in dialogue.iter().enumerate() {
        if let Said::Agent { model_call, .. } = said {
            places[model_call.id as usize] = Some(at);
        }
    }
    let mut events = Vec::new();
    let tool_event = |call: &ToolCall| {
        let mut event = common("tool", call.timing, json!(call));
        event["id"] = call_id(call).into();
        event["type"] = "function".into();
        event["function"] = function(call).into();
        event["arguments"] = arguments(call);
        event["result"] = call.shown.as_str().into();
        event["error"] = tool_error(call);
        event
    };
    for call in &episode.model_calls {
        let place = places[call.id as usize];
        let mut event = common("model", call.timing, json!(call));
        let answer = match place.and_then(|at| messages.get(at)) {
            Some(message) => message.clone(),
            None => json!({"id": format!("side{}", call.id), "role": "assistant", "content": call.text}),
        };
        let asks = answer.get("tool_calls").is_some();
        event["model"] = call.policy.as_str().into();
        event["role"] = call.role.as_str().into();
        event["input"] = json!([]);
        event["input_refs"] = json!([[0, place.unwrap_or(0)]]);
        event["tools"] = json!([]);
        event["tool_choice"] = "auto".into();
        event["config"] = config(call);
        event["output"] = json!({
            "model": call.policy, "choices": [{"message": answer, "stop_reason": stop_reason(call.finish, asks)}],
            "usage": Tokens::of(call).json(), "time": seconds(call.timing.duration_us),
        });
        events.push(event);
        let own = episode
            .tool_calls
            .iter()
            .filter(|tool| tool.model_call == Some(call.id));
        events.extend(own.map(tool_event));
    }
    events.extend(
        episode
            .tool_calls
            .iter()
            .filter(|call| call.model_call.is_none())
            .map(tool_event),
    );
    for (scorer, score) in scores(episode).as_object().into_iter().flatten() {
        let mut event = common(
            "score",
            crate::Timing {
                start_us: end_us(episode.timing),
                duration_us: 0,
            },
            Value::Null,
        );
        for ours in ["metadata", "completed", "working_time"] {
            event.as_object_mut().map(|event| event.remove(ours));
        }
        event["score"] = score.clone();
        event["scorer"] = scorer.as_str().into();
        events.push(event);
    }
    events
}

fn config(call: &ModelCall) -> Value {
    let sampling = &call.sampling;
    let mut config = json!({"temperature": sampling.temperature, "top_p": sampling.top_p});
    if sampling.max_tokens > 0 {
        config["max_tokens"] = sampling.max_tokens.into();
    }
    if sampling.top_k > 0 {
        config["top_k"] = sampling.top_k.into();
    }
    config
}

fn stop_reason(finish: FinishReason, calls: bool) -> &'static str {
    match finish {
        FinishReason::Stop if calls => "tool_calls",
        FinishReason::Stop => "stop",
        FinishReason::Length => "max_tokens",
        FinishReason::Context => "model_length",
        FinishReason::Cancelled | FinishReason::Error => "unknown",
    }
}
