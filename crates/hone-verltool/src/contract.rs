//! The bodies of `POST /get_observation`, as VerlTool's `servers/tool_server.py` reads and writes them.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Most items of a request.
const MAX_ITEMS: usize = 4_096;

/// One action of one trajectory.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Whose it is.
    pub trajectory: String,
    /// The text that the model wrote, up to and with the stop string.
    pub action: String,
    /// The trajectory is over.
    pub finish: bool,
    /// Nothing follows: what is kept for the trajectory may go after this action.
    pub is_last_step: bool,
    /// The rest of the row, such as `stdin`.
    pub extra: Map<String, Value>,
}

/// A batch of actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Request(pub Vec<Item>);

/// Why a request is no request: where and what, as FastAPI says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Refusal {
    /// The field; empty for the whole body.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl Refusal {
    fn new(place: &str, what: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            what: what.into(),
        }
    }

    /// The body of the answer, status 422.
    pub fn body(&self) -> Value {
        let place: Vec<&str> = ["body", &self.place]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        json!({"detail": [{"type": "value_error", "loc": place, "msg": self.what}]})
    }
}

/// A list of `wanted` members, or `None` if there is none.
fn list<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Vec<Value>>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(_) => Err(Refusal::new(name, "Input should be a valid list")),
    }
}

fn strings(body: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refusal> {
    let Some(list) = list(body, name)? else {
        return Err(Refusal::new(name, "Field required"));
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts: Option<Vec<String>> = list.iter().map(text).collect();
    match texts {
        None => Err(Refusal::new(name, "Input should be a valid list of strings")),
        Some(texts) if texts.is_empty() => Err(Refusal::new(name, "List should have at least 1 item")),
        Some(texts) if texts.len() > MAX_ITEMS => Err(Refusal::new(
            name,
            format!("List should have at most {MAX_ITEMS} items"),
        )),
        Some(texts) => Ok(texts),
    }
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// What VerlTool's server refuses with status 422, and lists of more than 4,096 items.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return Err(Refusal::new("", "Input should be a valid JSON object"));
        };
        let (trajectories, actions) = (strings(&body, "trajectory_ids")?, strings(&body, "actions")?);
        if actions.len() != trajectories.len() {
            return Err(Refusal::new(
                "actions",
                "Value error, Length of actions must match trajectory_ids",
            ));
        }
        let extras = list(&body, "extra_fields")?;
        if extras.is_some_and(|extras| extras.len() != trajectories.len()) {
            let what = "Value error, Length of extra_fields must match trajectory_ids";
            return Err(Refusal::new("extra_fields", what));
        }
        let flags = [list(&body, "finish")?, list(&body, "is_last_step")?];
        for (name, flags) in ["finish", "is_last_step"].into_iter().zip(flags) {
            if flags.is_some_and(|flags| flags.iter().any(|flag| !flag.is_boolean())) {
                return Err(Refusal::new(name, "Input should be a valid list of booleans"));
            }
        }
        let mut items = Vec::new();
        for (n, (trajectory, action)) in trajectories.into_iter().zip(actions).enumerate() {
            let extra = match extras.and_then(|extras| extras.get(n)) {
                None => Map::new(),
                Some(Value::Object(extra)) => extra.clone(),
                Some(_) => {
                    return Err(Refusal::new(
                        "extra_fields",
                        "Input should be a valid list of dictionaries",
                    ));
                }
            };
            // What stands in the row comes before what stands beside it.
            let flag = |name: &str, flags: Option<&Vec<Value>>| match extra.get(name) {
                Some(value) => truth(value),
                None => flags
                    .and_then(|flags| flags.get(n))
                    .and_then(Value::as_bool)
                    .unwrap_or(false),
            };
            items.push(Item {
                finish: flag("finish", flags[0]),
                is_last_step: flag("is_last_step", flags[1]),
                trajectory,
                action,
                extra,
            });
        }
        Ok(Self(items))
    }
}

/// Python's truth.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// The answers, in the order of the items.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Response {
    /// Texts, or objects with `obs` and more.
    pub observations: Vec<Value>,
    /// Whether the tool says that the trajectory is over.
    pub dones: Vec<bool>,
    /// Whether the action was one of a tool's.
    pub valids: Vec<bool>,
    /// Time from the start of the work, in milliseconds.
    pub processing_time_ms: f64,
    /// Time before it, in milliseconds.
    pub queue_time_ms: f64,
}
