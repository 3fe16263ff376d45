//! What a ported tool is, and how arguments are bound to it.

use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use serde::{Deserialize, Serialize};

/// Who calls: the agent or the simulated user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The agent.
    #[default]
    Assistant,
    /// The user.
    User,
}

/// What a tool does, for metrics and displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Looks something up.
    Read,
    /// Creates, changes or deletes something.
    Write,
    /// Notes a thought.
    Think,
    /// Anything else.
    Generic,
}

/// A parameter's type, as its JSON Schema says it to the model. Nothing checks it when the tool runs: as in the reference,
/// a tool meets whatever it is given.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `string`
    Text,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
    /// `string` out of a list.
    OneOf(&'static [&'static str]),
    /// `array` of strings.
    Texts,
    /// Any other schema, as JSON; `$defs` of the whole go into [`Info::defs`].
    Json(&'static str),
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it means, for the model.
    pub about: &'static str,
    /// Its type.
    pub shape: Shape,
    /// Its default as JSON; without one it must be given.
    pub default: Option<&'static str>,
}

/// A parameter that must be given.
pub const fn param(name: &'static str, shape: Shape, about: &'static str) -> Param {
    Param {
        name,
        about,
        shape,
        default: None,
    }
}

/// What is known of a tool without its world.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the model.
    pub about: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Whether a replay runs it.
    pub mutates: bool,
    /// Its parameters, in order.
    pub params: &'static [Param],
    /// Shared definitions of its schema, as a JSON object.
    pub defs: Option<&'static str>,
}

/// A tool of a world with the state `S`.
pub struct Tool<S: 'static> {
    /// What is known of it.
    pub info: Info,
    /// What it does; the arguments come in the parameters' order.
    pub run: fn(&mut S, &[Value]) -> Outcome<Reply>,
}

impl<S> Tool<S> {
    /// A tool; a writing one is replayed, others are not.
    pub const fn new(
        kind: Kind,
        name: &'static str,
        about: &'static str,
        params: &'static [Param],
        run: fn(&mut S, &[Value]) -> Outcome<Reply>,
    ) -> Self {
        Self {
            info: Info {
                name,
                about,
                kind,
                mutates: matches!(kind, Kind::Write),
                params,
                defs: None,
            },
            run,
        }
    }

    /// The same with schema definitions.
    pub const fn with_defs(mut self, defs: &'static str) -> Self {
        self.info.defs = Some(defs);
        self
    }
}

/// What a tool returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A plain value: numbers in it become text.
    Plain(Value),
    /// A record of the database: shown as it is.
    Record(Value),
    /// A list.
    List(Vec<Reply>),
    /// A dictionary.
    Dict(Vec<(&'static str, Reply)>),
}

impl Reply {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Plain(py::text(text))
    }

    /// What the caller is shown: a text as it is, anything else as JSON.
    pub fn shown(&self) -> String {
        match self {
            Self::Plain(Value::Str(text)) => text.clone(),
            other => py::dumps(&other.value(), false),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Plain(value) => worded(value),
            Self::Record(record) => record.clone(),
            Self::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Self::Dict(fields) => py::record(fields.iter().map(|(name, field)| (*name, field.value()))),
        }
    }
}

/// A plain value with its numbers and truth values as text.
fn worded(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => py::text(value.to_string()),
        Value::List(items) => Value::List(items.iter().map(worded).collect()),
        Value::Dict(fields) => Value::Dict(fields.iter().map(|(k, v)| (k.to_string(), worded(v))).collect()),
        other => other.clone(),
    }
}

/// The arguments in the parameters' order, defaults filled in; errors as Python raises them for `class.name(**arguments)`.
pub(crate) fn bind(class: &str, info: &Info, arguments: &Value) -> Outcome<Vec<Value>> {
    let Value::Dict(given) = arguments else {
        return raise("the arguments are no object");
    };
    for key in given.keys() {
        if key.as_str() == Some("self") {
            return raise(format!(
                "{class}.{}() got multiple values for argument 'self'",
                info.name
            ));
        }
        if !info.params.iter().any(|p| Some(p.name) == key.as_str()) {
            return raise(format!(
                "{class}.{}() got an unexpected keyword argument '{key}'",
                info.name
            ));
        }
    }
    let (mut bound, mut missing) = (vec![], vec![]);
    for param in info.params {
        match (given.get(param.name), param.default) {
            (Some(value), _) => bound.push(value.clone()),
            (None, Some(json)) => bound.push(serde_json::from_str(json).unwrap_or(Value::None)),
            (None, None) => missing.push(format!("'{}'", param.name)),
        }
    }
    let names = match missing.as_slice() {
        [] => return Ok(bound),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
    };
    raise(format!(
        "{class}.{}() missing {} required positional argument{}: {names}",
        info.name,
        missing.len(),
        if missing.len() == 1 { "" } else { "s" }
    ))
}

/// The JSON Schema of a tool's arguments, as the reference derives it from the function's signature.
pub fn schema(info: &Info) -> serde_json::Value {
    use serde_json::{Map, Value as Json, json};
    let parse = |text: &str| serde_json::from_str::<Json>(text).unwrap_or(Json::Null);
    let mut properties = Map::new();
    let mut required = vec![];
    for param in info.params {
        let mut schema = match param.shape {
            Shape::Text => json!({"type": "string"}),
            Shape::Integer => json!({"type": "integer"}),
            Shape::Number => json!({"type": "number"}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::OneOf(options) => json!({"type": "string", "enum": options}),
            Shape::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Shape::Json(text) => parse(text),
        };
        if let Json::Object(fields) = &mut schema {
            if !param.about.is_empty() {
                fields.insert("description".into(), param.about.into());
            }
            fields.insert("title".into(), title(param.name).into());
            match param.default {
                Some(default) => {
                    fields.insert("default".into(), parse(default));
                }
                None => required.push(param.name),
            }
        }
        properties.insert(param.name.into(), schema);
    }
    let mut whole = json!({"type": "object", "title": "parameters", "properties": properties});
    if let Json::Object(fields) = &mut whole {
        if !required.is_empty() {
            fields.insert("required".into(), json!(required));
        }
        if let Some(defs) = info.defs {
            fields.insert("$defs".into(), parse(defs));
        }
    }
    whole
}

/// `order_id` becomes `Order Id`.
fn title(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_uppercase().collect::<String>());
        first.unwrap_or_default() + letters.as_str()
    });
    words.collect::<Vec<_>>().join(" ")
}
