//! What the tool classes have in common.

use super::raise::{Outcome, Raised};
use hone_python::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// The default of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Default {
    Required,
    None,
    False,
    Int(i64),
    Text(&'static str),
    EmptyList,
}

impl Default {
    fn value(self) -> Option<Value> {
        match self {
            Self::Required => None,
            Self::None => Some(Value::None),
            Self::False => Some(false.into()),
            Self::Int(n) => Some(n.into()),
            Self::Text(text) => Some(text.into()),
            Self::EmptyList => Some(Value::List(vec![])),
        }
    }
}

/// A tool's name and parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    pub name: &'static str,
    pub parameters: &'static [(&'static str, Default)],
}

/// A class of tools with the state that they work on.
pub(super) trait Backend: std::any::Any + Send + Sync {
    /// The class's name in the data.
    fn class(&self) -> &'static str;

    /// Its tools.
    fn tools(&self) -> &'static [Tool];

    /// Call a tool of this class with an argument for each parameter; `absent` names those that have their defaults.
    fn run(&mut self, tool: &str, arguments: Vec<Value>, absent: &[&str]) -> Outcome;

    /// The public attributes: name and value.
    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)>;

    /// The names of attributes that differ from those of another instance of the class.
    fn differences(&self, other: &dyn Backend) -> Outcome<Vec<&'static str>> {
        let pairs = self.attributes().into_iter().zip(other.attributes());
        Ok(pairs.filter(|(a, b)| a.1 != b.1).map(|(a, _)| a.0).collect())
    }

    /// What a call leaves out is about to take its defaults.
    fn note(&mut self, _absent: &[&str]) {}

    /// The list that all calls of the class share within one process, if they do.
    fn shared(&self) -> Option<&Vec<Value>> {
        None
    }

    /// Take over the list that calls on another instance have changed.
    fn share(&mut self, _list: &[Value]) {}

    /// What a memory writes at the end of a conversation, to be loaded at the beginning of the next.
    fn snapshot(&self) -> Option<Value> {
        None
    }

    /// What the model is told of a memory at the beginning of a conversation.
    fn in_context(&self) -> Option<String> {
        None
    }

    /// A copy.
    fn copied(&self) -> Arc<dyn Backend>;
}

/// Arguments as a method of the class binds them: an argument for each parameter, and the names of those left out.
pub(super) fn bind<'a>(
    class: &str,
    tool: &'a Tool,
    positional: Vec<Value>,
    named: Vec<(Cow<'_, str>, Value)>,
) -> Outcome<(Vec<Value>, Vec<&'a str>)> {
    let name = || format!("{class}.{}()", tool.name);
    let given = positional.len() + 1;
    let count = tool.parameters.len();
    // Which have an argument, a bit for each: no tool has so many.
    let mut set = (1u64 << positional.len().min(count)) - 1;
    let mut values = positional;
    values.resize(count, Value::None);
    for (parameter, value) in named {
        let place = tool.parameters.iter().position(|(known, _)| *known == parameter);
        // `self` is bound already.
        if parameter == "self" || place.is_some_and(|place| set >> place & 1 == 1) {
            return Err(Raised::types(format!(
                "{} got multiple values for argument '{parameter}'",
                name()
            )));
        }
        let Some(place) = place else {
            return Err(Raised::types(format!(
                "{} got an unexpected keyword argument '{parameter}'",
                name()
            )));
        };
        values[place] = value;
        set |= 1 << place;
    }
    if given > count + 1 {
        let required = tool.parameters.iter().filter(|(_, d)| *d == Default::Required).count() + 1;
        let takes = if required == count + 1 {
            let plural = if count == 0 { "" } else { "s" };
            format!("{} positional argument{plural}", count + 1)
        } else {
            format!("from {required} to {} positional arguments", count + 1)
        };
        return Err(Raised::types(format!(
            "{} takes {takes} but {given} were given",
            name()
        )));
    }
    let mut missing = vec![];
    let mut absent = vec![];
    for (place, (parameter, default)) in tool.parameters.iter().enumerate() {
        if set >> place & 1 == 1 {
            continue;
        }
        match default.value() {
            Some(value) => {
                absent.push(*parameter);
                values[place] = value;
            }
            None => missing.push(format!("'{parameter}'")),
        }
    }
    if missing.is_empty() {
        return Ok((values, absent));
    }
    let (s, names) = match &missing[..] {
        [one] => ("", one.clone()),
        [one, two] => ("s", format!("{one} and {two}")),
        [most @ .., last] => ("s", format!("{}, and {last}", most.join(", "))),
        [] => ("", String::new()),
    };
    Err(Raised::types(format!(
        "{} missing {} required positional argument{s}: {names}",
        name(),
        missing.len()
    )))
}

/// A fixed number of arguments, as [`bind`] made them.
pub(super) fn fixed<const N: usize>(arguments: Vec<Value>) -> [Value; N] {
    arguments
        .try_into()
        .unwrap_or_else(|_| std::array::from_fn(|_| Value::None))
}

/// The tools of a class: their signatures, and the methods of the same names that run them.
macro_rules! tools {
    ($name:literal, $($tool:ident ( $($parameter:ident $(= $default:expr)?),* )),* $(,)?) => {
        fn class(&self) -> &'static str {
            $name
        }

        fn tools(&self) -> &'static [$crate::multi_turn::backend::Tool] {
            use $crate::multi_turn::backend::Tool;
            const TOOLS: &[Tool] = &[$(Tool {
                name: stringify!($tool),
                parameters: &[$((
                    stringify!($parameter),
                    $crate::multi_turn::backend::tools!(@default $($default)?),
                )),*],
            }),*];
            TOOLS
        }

        #[allow(non_snake_case)]
        fn run(&mut self, tool: &str, arguments: Vec<hone_python::Value>, absent: &[&str]) -> $crate::multi_turn::raise::Outcome {
            self.note(absent);
            match tool {
                $(stringify!($tool) => {
                    let [$($parameter),*] = $crate::multi_turn::backend::fixed(arguments);
                    self.$tool($($parameter),*)
                })*
                other => Err($crate::multi_turn::raise::Raised::refused(format!("there is no tool {other}"))),
            }
        }

        fn copied(&self) -> std::sync::Arc<dyn $crate::multi_turn::backend::Backend> {
            std::sync::Arc::new(self.clone())
        }
    };
    (@default) => { $crate::multi_turn::backend::Default::Required };
    (@default $default:expr) => { $default };
}
pub(super) use tools;

/// What a scenario says of an attribute, else its default.
pub(super) fn given(scenario: &Value, name: &str, default: impl FnOnce() -> Value) -> Value {
    scenario.get(name).cloned().unwrap_or_else(default)
}
