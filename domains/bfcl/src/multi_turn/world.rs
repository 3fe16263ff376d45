//! The classes of a task with their states, and the execution of calls on them.

use super::backend::{Backend, Tool, bind};
use super::date::Day;
use super::extension::Extension;
use super::files::Files;
use super::math::Math;
use super::memory::{Embedder, KeyValue, Lexical, Summary, Vectors};
use super::message::Messages;
use super::operate::{binary, compare, contains, item, iterate, unshowable};
use super::posting::Posting;
use super::raise::{Kind, Outcome, Raised};
use super::ticket::Tickets;
use super::trading::Trading;
use super::travel::Travel;
use super::vehicle::Vehicle;
use hone_python::{
    Call, CompareOp, Dict, DumpOptions, Expr, Literal, Plain, PlainCall, UnaryOp, Value, constant, dumps, parse,
    plain_call, text,
};
use std::borrow::Cow;
use std::sync::Arc;

/// The classes that a world can have.
pub const CLASSES: [&str; 8] = [
    "GorillaFileSystem",
    "MathAPI",
    "MessageAPI",
    "TwitterAPI",
    "TicketAPI",
    "TradingBot",
    "TravelAPI",
    "VehicleControlAPI",
];

/// The classes of the memory categories, each in a world of its own. What they are configured with is a snapshot, as
/// [`World::snapshot`] gives it, or an empty object.
pub const MEMORY_CLASSES: [&str; 3] = ["MemoryAPI_kv", "MemoryAPI_vector", "MemoryAPI_rec_sum"];

/// What the worlds of a run have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The day on which travellers' ages are reckoned.
    pub today: Day,
    /// What long-context worlds hold in addition; without it they cannot be made.
    pub extension: Option<Arc<Extension>>,
    /// The model's name. It only shows where the text of an argument looks like a call of a tool.
    pub model: String,
    /// What vector memories find their texts with.
    pub embedder: Arc<dyn Embedder>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            today: Day::today(),
            extension: None,
            model: "model".into(),
            embedder: Arc::new(Lexical),
        }
    }
}

/// A world that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A class that is not here.
    #[error("involved_classes: there is no class {0}; it must be one of those of the multi-turn and memory categories")]
    Class(String),
    /// An initial configuration that does not load.
    #[error("initial_config of {0}: {1}; take the record from the package bfcl-eval unchanged")]
    Config(String, String),
    /// Long-context records need their data.
    #[error("long-context worlds need the package's long_context.py; name that file")]
    Extension,
}

#[derive(Clone)]
struct Instance {
    /// The name that the original gives it: it shows where a text looks like a call.
    name: Arc<str>,
    backend: Arc<dyn Backend>,
}

/// The classes of a task with their states. A clone is a fork: states are shared until one of them changes.
#[derive(Clone)]
pub struct World {
    instances: Vec<Instance>,
    lost: Option<Arc<str>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.instances.iter().map(|i| &i.name)).finish()
    }
}

/// Integers of fewer bits have at most 4300 digits.
const MAX_BITS: u64 = 14_280;

impl World {
    /// Make the classes of a record in the state that it describes.
    ///
    /// `role` stands behind the model's name in the names of the instances.
    ///
    /// # Errors
    /// When a class is unknown or its configuration does not load.
    pub fn new(
        id: &str,
        config: &Value,
        involved: &[String],
        long_context: bool,
        role: &str,
        settings: &Settings,
    ) -> Result<Self, WorldError> {
        let extension = match (&settings.extension, long_context) {
            (Some(extension), true) => Some(extension),
            (None, true) => return Err(WorldError::Extension),
            (_, false) => None,
        };
        let empty = Value::Dict(Dict::new());
        let mut instances: Vec<Instance> = vec![];
        for class in involved {
            let scenario = config.get(class).unwrap_or(&empty);
            let fail = |e: Raised| WorldError::Config(class.clone(), e.message);
            let seed = match scenario.get("random_seed") {
                None => None,
                Some(Value::Int(n)) if n.to_i64().is_some() => n.to_i64(),
                Some(_) => {
                    return Err(WorldError::Config(
                        class.clone(),
                        "random_seed must be a 64-bit integer".into(),
                    ));
                }
            };
            let backend: Arc<dyn Backend> = match class.as_str() {
                "GorillaFileSystem" => Arc::new(Files::load(scenario, extension.map(|e| &**e)).map_err(fail)?),
                "MathAPI" => Arc::new(Math),
                "MessageAPI" => Arc::new(Messages::load(scenario, seed).map_err(fail)?),
                "TwitterAPI" => Arc::new(Posting::load(scenario).map_err(fail)?),
                "TicketAPI" => Arc::new(Tickets::load(scenario).map_err(fail)?),
                "TradingBot" => Arc::new(Trading::load(scenario, seed, extension).map_err(fail)?),
                "TravelAPI" => Arc::new(Travel::load(scenario, seed, settings.today, extension).map_err(fail)?),
                "VehicleControlAPI" => Arc::new(Vehicle::load(scenario, seed, extension).map_err(fail)?),
                "MemoryAPI_kv" => Arc::new(KeyValue::load(scenario).map_err(fail)?),
                "MemoryAPI_vector" => Arc::new(Vectors::load(scenario, &settings.embedder).map_err(fail)?),
                "MemoryAPI_rec_sum" => Arc::new(Summary::load(scenario).map_err(fail)?),
                other => return Err(WorldError::Class(other.into())),
            };
            let name = format!("{}{role}_{id}_{class}_instance", settings.model);
            let name = name.replace(['-', '.', '/', ':'], "_");
            instances.retain(|other| other.backend.class() != class);
            instances.push(Instance {
                name: name.into(),
                backend,
            });
        }
        Ok(Self { instances, lost: None })
    }

    /// Whether what calls do here also depends on calls in other worlds of the same process.
    pub(super) fn shares(&self) -> bool {
        self.instances
            .iter()
            .any(|instance| instance.backend.shared().is_some())
    }

    /// The same state under the names of another role.
    pub(super) fn renamed(&self, id: &str, role: &str, settings: &Settings) -> Self {
        let rename = |instance: &Instance| {
            let name = format!("{}{role}_{id}_{}_instance", settings.model, instance.backend.class());
            Instance {
                name: name.replace(['-', '.', '/', ':'], "_").into(),
                backend: instance.backend.clone(),
            }
        };
        Self {
            instances: self.instances.iter().map(rename).collect(),
            lost: self.lost.clone(),
        }
    }

    /// Whether a class of this world has a tool.
    pub fn has_tool(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Names of a tool's parameters, in order.
    pub fn parameters(&self, tool: &str) -> Option<Vec<&'static str>> {
        let (_, tool) = self.find(tool)?;
        Some(tool.parameters.iter().map(|(name, _)| *name).collect())
    }

    /// Names of a class's tools; none for an unknown class.
    pub fn tools(&self, class: &str) -> Vec<&'static str> {
        let found = self.instances.iter().find(|i| i.backend.class() == class);
        found.map_or(vec![], |i| i.backend.tools().iter().map(|tool| tool.name).collect())
    }

    /// The public attributes of each class, as the original compares them: directories as their `repr`, the set of
    /// message ids as an ordered list.
    pub fn state(&self) -> Vec<(&'static str, Dict)> {
        let attributes = |instance: &Instance| {
            let all = instance.backend.attributes().into_iter();
            let all = all.map(|(name, value)| (name, value.into_owned())).collect();
            (instance.backend.class(), all)
        };
        self.instances.iter().map(attributes).collect()
    }

    /// What the world's memory, if it has one, writes at the end of a conversation.
    pub fn snapshot(&self) -> Option<Value> {
        self.instances.iter().find_map(|instance| instance.backend.snapshot())
    }

    /// What the world's memory, if it has one, tells the model at the beginning of a conversation.
    pub fn in_context(&self) -> Option<String> {
        self.instances.iter().find_map(|instance| instance.backend.in_context())
    }

    /// The first class whose public attributes differ from those in another world, with their names.
    ///
    /// # Errors
    /// Where the original's comparison raises.
    pub(super) fn difference(&self, other: &Self) -> Outcome<Option<(&'static str, Vec<&'static str>)>> {
        for instance in &self.instances {
            let class = instance.backend.class();
            let Some(twin) = other.instances.iter().find(|twin| twin.backend.class() == class) else {
                continue;
            };
            if Arc::ptr_eq(&instance.backend, &twin.backend) {
                continue;
            }
            let differing = instance.backend.differences(&*twin.backend)?;
            if !differing.is_empty() {
                return Ok(Some((class, differing)));
            }
        }
        Ok(None)
    }

    /// Take over what calls in another world of the same process have changed in what all worlds share.
    pub(super) fn share(&mut self, other: &Self) {
        for instance in &mut self.instances {
            let class = instance.backend.class();
            let twin = other.instances.iter().find(|twin| twin.backend.class() == class);
            if let Some(list) = twin.and_then(|twin| twin.backend.shared())
                && instance.backend.shared() != Some(list)
            {
                let list = list.clone();
                own(&mut instance.backend).share(&list);
            }
        }
    }

    /// The instance and the signature of a tool. Of two of the same name the class that comes last has it.
    fn find(&self, name: &str) -> Option<(usize, &'static Tool)> {
        self.instances.iter().enumerate().rev().find_map(|(i, instance)| {
            let tool = instance.backend.tools().iter().find(|tool| tool.name == name)?;
            Some((i, tool))
        })
    }

    /// Execute a call, as source text, and give what the model is told.
    ///
    /// Exceptions are results too. Beyond calls of tools (that may be nested), literals, arithmetic, comparisons and
    /// subscripts are evaluated; other Python is refused, with a result of our own.
    pub fn execute(&mut self, source: &str) -> String {
        match self.run(source) {
            Ok(text) => text,
            Err(raised) => {
                if raised.kind == Kind::Embedder {
                    self.lost = Some(raised.message.as_str().into());
                }
                format!("Error during execution: {raised}")
            }
        }
    }

    /// Why results can no longer be trusted: what the world needs from outside is lost.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    fn run(&mut self, source: &str) -> Outcome<String> {
        // Where nothing but the call itself looks like a call, there is nothing to put before anything.
        if let Some((name, rest)) = source.split_once('(')
            && !rest.contains('(')
            && let Some((i, tool)) = self.find(name)
        {
            if let Some(call) = plain_call(source).filter(literal) {
                let positional = call.args.into_iter().map(Plain::into_value).collect();
                let named = call
                    .keywords
                    .into_iter()
                    .map(|(name, value)| (Cow::from(name), value.into_value()));
                return shown(self.invoke(i, tool, positional, named.collect())?);
            }
            let tree = parsed(source)?;
            if let Expr::Call(call) = tree
                && matches!(&*call.func, Expr::Name(called) if called == name)
            {
                once_in(&call)?;
                let result = self.apply(i, tool, call)?;
                return shown(result);
            }
        }
        let source = self.prefixed(source);
        let named = source.split_once('(').map_or(source.as_str(), |(name, _)| name);
        let named = named.split('.').nth(1).unwrap_or(named);
        if BLOCKED.contains(&named) {
            return Err(Raised::refused(format!("Function call {named} is not allowed.")));
        }
        let tree = parsed(&source)?;
        once(&tree)?;
        let result = self.evaluate(&tree)?;
        shown(result)
    }

    /// Put instances before the names of tools, wherever a name stands before a parenthesis; within texts too.
    fn prefixed(&self, source: &str) -> String {
        let word = |c: char| c == '_' || c.is_alphanumeric();
        let mut out = String::with_capacity(source.len() + 80);
        let mut rest = source;
        let mut inside = false;
        while let Some(c) = rest.chars().next() {
            if inside || !(c == '_' || c.is_ascii_alphabetic()) {
                inside = word(c);
                out.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let (name, after) = rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()));
            let called = after.trim_start_matches(text::is_space);
            if called.starts_with('(') {
                if let Some((i, _)) = self.find(name) {
                    out.push_str(&self.instances[i].name);
                    out.push('.');
                }
                rest = called;
            } else {
                rest = after;
            }
            out.push_str(name);
        }
        out
    }

    fn instance(&self, name: &str) -> Option<usize> {
        self.instances.iter().position(|instance| &*instance.name == name)
    }

    fn evaluate(&mut self, tree: &Expr) -> Outcome {
        match tree {
            Expr::Literal(Literal::Value(value)) => Ok(value.clone()),
            Expr::Call(call) => self.call(call),
            Expr::Name(name) if BUILTINS.contains(&name.as_str()) => Err(refused("a function of Python's own")),
            Expr::Name(name) if self.instance(name).is_none() => {
                Err(Raised::new(Kind::Name, format!("name '{name}' is not defined")))
            }
            Expr::List(items) => self.all(items).map(Value::List),
            Expr::Tuple(items) => self.all(items).map(Value::Tuple),
            Expr::Dict(entries) => {
                let mut dict = Dict::new();
                for (key, value) in entries {
                    let key = key.as_ref().map(|key| self.evaluate(key)).transpose()?;
                    let value = self.evaluate(value)?;
                    match (key, value) {
                        (Some(key), value) => {
                            dict.insert(key, value)?;
                        }
                        (None, Value::Dict(more)) => {
                            for (key, value) in more {
                                dict.insert(key, value)?;
                            }
                        }
                        (None, other) => {
                            return Err(Raised::types(format!(
                                "'{}' object is not a mapping",
                                other.type_name()
                            )));
                        }
                    }
                }
                Ok(dict.into())
            }
            Expr::Unary(UnaryOp::Not, operand) => Ok((!self.evaluate(operand)?.truthy()).into()),
            Expr::Unary(op, operand) => {
                let value = self.evaluate(operand)?;
                let kind = value.type_name();
                let literal = Expr::Literal(Literal::Value(value));
                constant(&Expr::Unary(*op, Box::new(literal)))
                    .map_err(|_| Raised::types(format!("bad operand type for unary {}: '{kind}'", op.symbol())))
            }
            Expr::Binary(op, left, right) => {
                let left = self.evaluate(left)?;
                binary(*op, &left, &self.evaluate(right)?)
            }
            Expr::And(parts) | Expr::Or(parts) => {
                let any = matches!(tree, Expr::Or(_));
                let mut value = Value::None;
                for part in parts {
                    value = self.evaluate(part)?;
                    if value.truthy() == any {
                        break;
                    }
                }
                Ok(value)
            }
            Expr::IfElse(test, body, other) => {
                if self.evaluate(test)?.truthy() {
                    self.evaluate(body)
                } else {
                    self.evaluate(other)
                }
            }
            Expr::Compare(first, rest) => {
                let mut left = self.evaluate(first)?;
                for (op, right) in rest {
                    let right = self.evaluate(right)?;
                    let holds = match op {
                        CompareOp::Eq => left == right,
                        CompareOp::NotEq => left != right,
                        CompareOp::In => contains(&right, &left)?,
                        CompareOp::NotIn => !contains(&right, &left)?,
                        CompareOp::Is | CompareOp::IsNot => return Err(refused("a comparison of identities")),
                        op => compare(*op, &left, &right)?,
                    };
                    if !holds {
                        return Ok(false.into());
                    }
                    left = right;
                }
                Ok(true.into())
            }
            Expr::Subscript(value, key) if !matches!(**key, Expr::Slice(..)) => {
                let value = self.evaluate(value)?;
                let key = self.evaluate(key)?;
                item(&value, &key).cloned()
            }
            Expr::Attribute(value, name) => {
                let value = match &**value {
                    // An instance has no other attributes that a call could name.
                    Expr::Name(instance) if self.instance(instance).is_some() => return Err(refused("an attribute")),
                    value => self.evaluate(value)?,
                };
                Err(match value {
                    Value::Str(_) | Value::List(_) | Value::Dict(_) => refused("a method of a value"),
                    value => Raised::attribute(&value, name),
                })
            }
            _ => Err(refused("an expression of this kind")),
        }
    }

    fn all(&mut self, items: &[Expr]) -> Outcome<Vec<Value>> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Expr::Starred(inner) => values.extend(iterate(&self.evaluate(inner)?)?),
                item => values.push(self.evaluate(item)?),
            }
        }
        Ok(values)
    }

    fn call(&mut self, call: &Call) -> Outcome {
        let bound = match &*call.func {
            Expr::Attribute(value, tool) => match &**value {
                Expr::Name(name) => self.instance(name).and_then(|i| {
                    let tools = self.instances[i].backend.tools();
                    tools.iter().find(|known| known.name == tool).map(|tool| (i, tool))
                }),
                _ => None,
            },
            _ => None,
        };
        let Some((i, tool)) = bound else {
            let called = self.evaluate(&call.func)?;
            return Err(Raised::types(format!(
                "'{}' object is not callable",
                called.type_name()
            )));
        };
        self.apply(i, tool, call.clone())
    }

    fn apply(&mut self, i: usize, tool: &'static Tool, call: Call) -> Outcome {
        let positional = self.all(&call.args)?;
        let mut named = Vec::with_capacity(call.keywords.len());
        for keyword in call.keywords {
            let value = match keyword.value {
                Expr::Literal(Literal::Value(value)) => value,
                other => self.evaluate(&other)?,
            };
            match (keyword.name, value) {
                (Some(name), value) => named.push((name.into(), value)),
                (None, Value::Dict(more)) => {
                    for (name, value) in more {
                        match name {
                            Value::Str(name) => named.push((name.into(), value)),
                            _ => return Err(Raised::types("keywords must be strings")),
                        }
                    }
                }
                (None, other) => {
                    return Err(Raised::types(format!(
                        "argument after ** must be a mapping, not {}",
                        other.type_name()
                    )));
                }
            }
        }
        self.invoke(i, tool, positional, named)
    }

    fn invoke(
        &mut self,
        i: usize,
        tool: &'static Tool,
        positional: Vec<Value>,
        named: Vec<(Cow<'_, str>, Value)>,
    ) -> Outcome {
        let instance = &mut self.instances[i];
        let (arguments, absent) = bind(instance.backend.class(), tool, positional, named)?;
        own(&mut instance.backend).run(tool.name, arguments, &absent)
    }
}

/// Names that the original's evaluation knows.
const BUILTINS: [&str; 46] = [
    "abs",
    "all",
    "any",
    "ascii",
    "bin",
    "bool",
    "bytes",
    "callable",
    "chr",
    "compile",
    "complex",
    "copy",
    "dict",
    "dir",
    "enumerate",
    "eval",
    "exec",
    "filter",
    "float",
    "format",
    "getattr",
    "globals",
    "hash",
    "hex",
    "importlib",
    "input",
    "inspect",
    "int",
    "isinstance",
    "iter",
    "json",
    "len",
    "list",
    "map",
    "max",
    "min",
    "next",
    "open",
    "print",
    "range",
    "re",
    "repr",
    "set",
    "str",
    "sum",
    "tuple",
];

const BLOCKED: [&str; 8] = ["kill", "exit", "quit", "remove", "unlink", "popen", "Popen", "run"];

/// Whether no name stands among the arguments: nothing has to be looked up.
fn literal(call: &PlainCall<'_>) -> bool {
    !call.args.iter().any(Plain::has_name) && !call.keywords.iter().any(|(_, value)| value.has_name())
}

fn parsed(source: &str) -> Outcome<Expr> {
    // As `eval`, which passes over blanks at the beginning.
    parse(source.trim_start_matches([' ', '\t']))
        .map_err(|e| Raised::new(Kind::Syntax, format!("{} (<string>, line 1)", e.what)))
}

/// What the model is told of a result.
fn shown(result: Value) -> Outcome<String> {
    showable(&result)?;
    Ok(match result {
        Value::Str(text) => text,
        Value::Dict(_) => dumps(&result, &DumpOptions::default()).unwrap_or_else(|_| result.to_string()),
        other => other.to_string(),
    })
}

fn refused(what: &str) -> Raised {
    Raised::refused(format!("{what} is not evaluated here"))
}

/// A backend of one's own: a copy if another world has it too.
fn own(backend: &mut Arc<dyn Backend>) -> &mut dyn Backend {
    if Arc::get_mut(backend).is_none() {
        *backend = backend.copied();
    }
    // Nobody else has what has just been copied.
    Arc::get_mut(backend).unwrap_or_else(|| unreachable!("a copy has one owner"))
}

/// A keyword may stand only once in a call.
fn once(tree: &Expr) -> Outcome<()> {
    let all = |items: &[Expr]| items.iter().try_for_each(once);
    match tree {
        Expr::Call(call) => once_in(call),
        Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) | Expr::And(items) | Expr::Or(items) => all(items),
        Expr::Dict(entries) => entries.iter().try_for_each(|(key, value)| {
            key.as_ref().map_or(Ok(()), once)?;
            once(value)
        }),
        Expr::Unary(_, a) | Expr::Starred(a) | Expr::Attribute(a, _) => once(a),
        Expr::Binary(_, a, b) | Expr::Subscript(a, b) => once(a).and_then(|()| once(b)),
        _ => Ok(()),
    }
}

fn once_in(call: &Call) -> Outcome<()> {
    once(&call.func)?;
    call.args.iter().try_for_each(once)?;
    for (i, keyword) in call.keywords.iter().enumerate() {
        if let Some(name) = &keyword.name
            && call.keywords[..i].iter().any(|other| other.name.as_ref() == Some(name))
        {
            let message = format!("keyword argument repeated: {name} (<string>, line 1)");
            return Err(Raised::new(Kind::Syntax, message));
        }
        once(&keyword.value)?;
    }
    Ok(())
}

/// Python refuses to write integers of more than 4300 digits.
pub(super) fn showable(value: &Value) -> Outcome<()> {
    match value {
        Value::Int(n) if n.to_i64().is_none() => {
            if n.to_big().bits() >= MAX_BITS && n.to_string().trim_start_matches('-').len() > 4300 {
                return Err(unshowable());
            }
            Ok(())
        }
        Value::List(items) | Value::Tuple(items) => items.iter().try_for_each(showable),
        Value::Dict(dict) => dict.iter().try_for_each(|(key, value)| {
            showable(key)?;
            showable(value)
        }),
        _ => Ok(()),
    }
}
