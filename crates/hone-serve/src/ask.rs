//! What requests have in common: their settings, checked.

use crate::Shared;
use crate::error::Refusal;
use hone_trace::{Constraint, SamplingSettings, TokenId};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most answers to one request.
const MAX_N: f64 = 32.0;
/// Most stop texts, and bytes of each.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 1024;
/// Most alternatives of a token.
const MAX_TOP: f64 = 20.0;

/// Settings that chat and text completions share.
pub(crate) struct Asked {
    pub(crate) settings: SamplingSettings,
    pub(crate) n: usize,
    pub(crate) seed: u64,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) token_ids: bool,
}

static UNSEEDED: AtomicU64 = AtomicU64::new(0);

impl Asked {
    pub(crate) fn read(shared: &Shared, body: &Value, most: &[&str]) -> Result<Self, Refusal> {
        let name = text(body, "model")?.unwrap_or(&shared.options.name);
        if name != shared.options.name {
            return Err(Refusal::no_model(name, &shared.options.name));
        }
        for field in ["logit_bias", "functions", "function_call", "audio", "suffix"] {
            let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
            if body.get(field).is_some_and(|value| !empty(value)) {
                return Err(Refusal::field(field, format!("{field} is not supported; leave it out")));
            }
        }
        if flag(body, "echo")? {
            return Err(Refusal::field("echo", "echo is not supported; leave it out"));
        }
        let f32 =
            |field, low, high, default| Ok::<_, Refusal>(number(body, field, low, high)?.unwrap_or(default) as f32);
        let top_k = number(body, "top_k", -1.0, 1e6)?.unwrap_or(0.0).max(0.0);
        let stop = stops(body)?;
        let bound = most
            .iter()
            .find_map(|field| number(body, field, 1.0, 1e9).transpose())
            .transpose()?;
        let settings = SamplingSettings {
            temperature: f32("temperature", 0.0, 2.0, 1.0)?,
            top_p: f32("top_p", 0.0, 1.0, 1.0)?,
            min_p: f32("min_p", 0.0, 1.0, 0.0)?,
            top_k: top_k as u32,
            repetition_penalty: f32("repetition_penalty", 0.01, 10.0, 1.0)?,
            presence_penalty: f32("presence_penalty", -2.0, 2.0, 0.0)?,
            frequency_penalty: f32("frequency_penalty", -2.0, 2.0, 0.0)?,
            max_tokens: bound.map_or(shared.options.max_tokens, |bound| bound as u32),
            stop,
            constraint: constraint(body)?,
            ..SamplingSettings::default()
        };
        let seed = whole(body, "seed", i64::MIN as f64, i64::MAX as f64)?;
        Ok(Self {
            settings,
            n: number(body, "n", 1.0, MAX_N)?.unwrap_or(1.0) as usize,
            seed: seed.map_or_else(
                || shared.started ^ (UNSEEDED.fetch_add(1, Ordering::Relaxed) + 1) << 32,
                |seed| seed as u64,
            ),
            stream: flag(body, "stream")?,
            include_usage: body
                .get("stream_options")
                .is_some_and(|options| options["include_usage"] == true),
            token_ids: flag(body, "return_token_ids")?,
        })
    }
}

/// A text, or none.
pub(crate) fn text<'a>(body: &'a Value, field: &str) -> Result<Option<&'a str>, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::field(field, format!("{field} is not a string"))),
    }
}

pub(crate) fn flag(body: &Value, field: &str) -> Result<bool, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refusal::field(field, format!("{field} is neither true nor false"))),
    }
}

pub(crate) fn number(body: &Value, field: &str, low: f64, high: f64) -> Result<Option<f64>, Refusal> {
    let found = match body.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_f64().filter(|number| (low..=high).contains(number)),
    };
    let wrong = || Refusal::field(field, format!("{field} is not a number from {low} to {high}"));
    found.ok_or_else(wrong).map(Some)
}

fn whole(body: &Value, field: &str, low: f64, high: f64) -> Result<Option<i64>, Refusal> {
    number(body, field, low, high)?;
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value
                .as_i64()
                .ok_or_else(|| Refusal::field(field, format!("{field} is not a whole number")));
            number.map(Some)
        }
    }
}

/// How many alternatives of each token are asked for.
pub(crate) fn top(body: &Value, field: &str) -> Result<u32, Refusal> {
    Ok(number(body, field, 0.0, MAX_TOP)?.unwrap_or(0.0) as u32)
}

fn stops(body: &Value) -> Result<Vec<String>, Refusal> {
    let wrong = || {
        Refusal::field(
            "stop",
            format!("stop is not a text or a list of at most {MAX_STOPS} texts of at most {MAX_STOP_BYTES} bytes"),
        )
    };
    let all: Vec<&Value> = match body.get("stop") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
    };
    let texts = all.iter().map(|value| {
        value
            .as_str()
            .filter(|text| text.len() <= MAX_STOP_BYTES)
            .map(str::to_owned)
    });
    let texts: Option<Vec<String>> = texts.collect();
    texts.filter(|texts| texts.len() <= MAX_STOPS).ok_or_else(wrong)
}

/// `response_format` as OpenAI has it, and `structured_outputs` as vLLM has it.
fn constraint(body: &Value) -> Result<Option<Constraint>, Refusal> {
    if let Some(outputs) = body.get("structured_outputs").filter(|outputs| !outputs.is_null()) {
        let wrong = || {
            Refusal::field(
                "structured_outputs",
                "structured_outputs holds none of json, regex and grammar",
            )
        };
        let text = |key: &str| outputs.get(key).and_then(Value::as_str).map(str::to_owned);
        let found = match (outputs.get("json"), text("regex"), text("grammar")) {
            (Some(schema), ..) => Constraint::Schema(schema.clone()),
            (_, Some(regex), _) => Constraint::Regex(regex),
            (_, _, Some(grammar)) => Constraint::Lark(grammar),
            _ => return Err(wrong()),
        };
        return Ok(Some(found));
    }
    let Some(format) = body.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(None);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Constraint::Schema(serde_json::json!({"type": "object"})))),
        Some("json_schema") => {
            let schema = format.get("json_schema").and_then(|wrapped| wrapped.get("schema"));
            let missing = || Refusal::field("response_format", "response_format.json_schema.schema is missing");
            schema.cloned().map(Constraint::Schema).map(Some).ok_or_else(missing)
        }
        _ => Err(Refusal::field(
            "response_format",
            "response_format.type is none of text, json_object and json_schema",
        )),
    }
}

/// Token ids out of a list.
pub(crate) fn ids(value: &Value) -> Option<Vec<TokenId>> {
    value
        .as_array()?
        .iter()
        .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
        .collect()
}
