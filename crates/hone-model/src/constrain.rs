//! Constraints as grammars over a model's whole answer, in llguidance's dialect of Lark.

use hone_tool::{ToolSpec, Toolset};
use hone_trace::Constraint;
use serde_json::{Map, Value, json};

/// Most calls of an answer that a grammar allows.
const MOST_CALLS: usize = 16;

/// Any text.
const ANY: &str = "(?s:.*)";

/// How answers are written in some format.
pub(crate) struct Syntax {
    /// Grammar of what may come before what is said, reasoning for one; empty if nothing.
    pub before: String,
    /// What begins a call; if nothing does, its brace.
    pub open: Piece,
    /// What ends it.
    pub close: Piece,
    /// Between calls.
    pub between: String,
    /// How calls are laid out.
    pub layout: Layout,
    /// The key of a call's arguments.
    pub arguments: &'static str,
    /// Whether a turn may hold several calls.
    pub several: bool,
}

/// How calls are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each between its own opening and closing.
    Each,
    /// One JSON array of all after one opening.
    Array,
}

/// A fixed part of an answer.
#[derive(Clone)]
pub(crate) enum Piece {
    /// Nothing.
    Nothing,
    /// A text.
    Text(String),
    /// Special tokens.
    Special(Vec<u32>),
}

impl Piece {
    /// The part as a grammar writes it.
    pub(crate) fn written(&self) -> String {
        match self {
            Self::Nothing => "\"\"".into(),
            Self::Text(text) => quoted(text),
            Self::Special(ids) => ids.iter().map(|id| format!("<[{id}]>")).collect::<Vec<_>>().join(" "),
        }
    }
}

impl Syntax {
    /// The grammar of a constraint.
    ///
    /// # Errors
    /// A sentence where there is none.
    pub(crate) fn grammar(&self, constraint: &Constraint, tools: &Toolset) -> Result<String, String> {
        let said = match constraint {
            Constraint::Lark(grammar) => return Ok(grammar.clone()),
            Constraint::Regex(regex) => format!("said: RX\nRX: /{}/\n", slashes(regex)),
            Constraint::Schema(schema) => format!("said: {}\n", embedded(schema.clone())?),
            Constraint::Calls if tools.specs().is_empty() => {
                return Err(
                    "the answer has to be a call and no tool is offered; offer one, or leave the constraint out".into(),
                );
            }
            Constraint::Tools if tools.specs().is_empty() => format!("said: ANY_TEXT\nANY_TEXT: /{ANY}/\n"),
            Constraint::Calls => self.calls(tools, false)?,
            Constraint::Tools => self.calls(tools, true)?,
        };
        Ok(match self.before.as_str() {
            "" => format!("start: said\n{said}"),
            before => format!("start: before said\n{before}{said}"),
        })
    }

    fn calls(&self, tools: &Toolset, or_text: bool) -> Result<String, String> {
        let mut rules = String::new();
        let mut names = Vec::new();
        for (at, spec) in tools.specs().iter().enumerate() {
            let head = format!(
                "\\{{\"name\": ?{}, ?\"{}\": ?",
                escaped(&Value::from(spec.name.as_str()).to_string()),
                self.arguments
            );
            let arguments = embedded(arguments(spec)).map_err(|error| format!("tool `{}`: {error}", spec.name))?;
            rules.push_str(&format!(
                "call_{at}: HEAD_{at} {arguments} \"}}\"\nHEAD_{at}: /{}/\n",
                slashes(&head)
            ));
            names.push(format!("call_{at}"));
        }
        rules.push_str(&format!("call: {}\n", names.join(" | ")));
        let more = if self.several { MOST_CALLS - 1 } else { 0 };
        let close = self.close.written();
        let between = quoted(&self.between);
        // What follows the opening of the first call.
        let rest = match self.layout {
            // The grammar knows no repetition of nothing.
            Layout::Array if more == 0 => "\"[\" call \"]\"".to_owned(),
            Layout::Array => format!("\"[\" call (JOIN call){{0,{more}}} \"]\"\nJOIN: /, ?/"),
            Layout::Each if more == 0 => format!("call {close}"),
            Layout::Each => {
                let open = self.open.written();
                format!("call {close} ({between} {open} call {close}){{0,{more}}}")
            }
        };
        rules.push_str(&format!("rest: {rest}\n"));
        let said = match (&self.open, or_text) {
            (open, false) => format!("said: {} rest\n", open.written()),
            // What begins like a call is one.
            (Piece::Nothing, true) => {
                format!("said: rest | TEXT | \"\"\nTEXT: /[^\\s{{\\[]{ANY}/\n")
            }
            (Piece::Special(_), true) => {
                format!("said: TEXT | TEXT {} rest\nTEXT: /{ANY}/\n", self.open.written())
            }
            (Piece::Text(open), true) => {
                let open = escaped(open);
                format!(
                    "said: TEXT | first rest\nfirst[lazy]: /{ANY}{}/\nTEXT: /{ANY}/ & ~/{ANY}{}{ANY}/\n",
                    slashes(&open),
                    slashes(mark(&open))
                )
            }
        };
        Ok(said + &rules)
    }
}

/// The opening without the whitespace after it, which models leave out too.
fn mark(open: &str) -> &str {
    open.strip_suffix("\\n").unwrap_or(open)
}

/// Numbers without bounds are written within these: JSON's may have any exponent, and nobody reads them all.
const NUMBERS: f64 = 1e15;

/// Integers, within what a float holds exactly.
const INTEGERS: i64 = (1 << 53) - 1;

/// A tool's schema, closed: where an object lists its properties and says nothing of others, no others are written; numbers
/// are bounded.
fn arguments(spec: &ToolSpec) -> Value {
    let mut schema = spec.input_schema.clone();
    close(&mut schema);
    if schema.get("type").is_none() && schema.is_object() {
        schema["type"] = "object".into();
    }
    schema
}

fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let combined = [
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "$ref",
        "patternProperties",
        "unevaluatedProperties",
    ];
    if combined.iter().any(|key| object.contains_key(*key)) {
        return;
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
        object.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    if let Some(items) = object.get_mut("items") {
        close(items);
    }
    let most = match object.get("type").and_then(Value::as_str) {
        Some("number") => json!([-NUMBERS, NUMBERS]),
        Some("integer") => json!([-INTEGERS, INTEGERS]),
        _ => return,
    };
    let bounded = [
        "enum",
        "const",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ];
    if !bounded.iter().any(|key| object.contains_key(*key)) {
        object.insert("minimum".into(), most[0].clone());
        object.insert("maximum".into(), most[1].clone());
    }
}

/// A schema within a grammar. Between values stands at most one space, so that an answer cannot go on for ever in blanks.
fn embedded(schema: Value) -> Result<String, String> {
    let mut schema = match schema {
        Value::Object(schema) => schema,
        Value::Bool(true) => Map::new(),
        _ => return Err("a schema is not an object; write {\"type\": …}".into()),
    };
    schema.insert(
        "x-guidance".into(),
        json!({"whitespace_flexible": false, "item_separator": ", ?", "key_separator": ": ?"}),
    );
    Ok(format!("%json {}", Value::Object(schema)))
}

/// A text as a string of a grammar.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A text as a regular expression.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            c if "\\.+*?()|[]{}^$".contains(c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A regular expression within slashes.
fn slashes(regex: &str) -> String {
    let mut out = String::new();
    let mut after_backslash = false;
    for c in regex.chars() {
        match c {
            '/' if !after_backslash => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
        after_backslash = c == '\\' && !after_backslash;
    }
    out
}
