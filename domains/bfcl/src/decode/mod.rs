//! From an answer to calls.

mod java;
mod javascript;
mod python;
mod quick;
mod tree;

use crate::check::Found;
use crate::{Language, Names};
use hone_python::{Dict, Value, loads};
use std::borrow::Cow;

/// Size of an answer in bytes at most. Java and JavaScript: 16 KiB.
pub const MAX_ANSWER: usize = 1 << 20;

/// What a model answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Prompted: text that should be calls in the functions' language.
    Text(String),
    /// Function calling: names with JSON texts of their arguments.
    Calls(Vec<(String, String)>),
    /// Function calling, but the model only said something.
    Said(String),
}

impl Answer {
    /// The answer in the field `result` of a line of the original's result files: a text, or for function calling a list
    /// of `{name: arguments as JSON text}`. `None` if it is neither.
    pub fn of_result(result: &Value, names: Names) -> Option<Self> {
        match result {
            Value::Str(text) if names == Names::Dotted => Some(Self::Text(text.clone())),
            Value::Str(text) => Some(Self::Said(text.clone())),
            Value::List(calls) => {
                let call = |call: &Value| match call.as_dict()?.iter().next()? {
                    (Value::Str(name), Value::Str(json)) => Some((name.clone(), json.clone())),
                    _ => None,
                };
                calls.iter().map(call).collect::<Option<_>>().map(Self::Calls)
            }
            _ => None,
        }
    }
}

/// An answer that does not decode: the original's `ast_decoder:decoder_failed`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl DecodeError {
    fn new(what: impl ToString) -> Self {
        Self(what.to_string())
    }
}

/// What an answer decodes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// Calls, in order: name and arguments. An argument without a name has the key `None`.
    Calls(Vec<(Value, Dict)>),
    /// Something that is no list of calls.
    Other,
}

/// Decode an answer as the original's default handlers do.
///
/// # Errors
/// Where the original's decoder raises, and for what is too large or nested too deeply.
pub fn decode(answer: &Answer, language: Language) -> Result<Decoded, DecodeError> {
    match answer {
        Answer::Text(text) => {
            if text.len() > MAX_ANSWER {
                return Err(DecodeError::new("the answer is larger than 1 MiB"));
            }
            let text = bracketed(text);
            match language {
                Language::Python => python::decode(&text),
                Language::Java => java::decode(inner(&text)),
                Language::JavaScript => javascript::decode(inner(&text)),
            }
        }
        Answer::Said(text) if text.is_empty() => Ok(Decoded::Calls(vec![])),
        Answer::Said(_) => Err(DecodeError::new("the answer is text and calls nothing")),
        Answer::Calls(calls) => {
            let mut decoded = vec![];
            for (name, arguments) in calls {
                if arguments.len() > MAX_ANSWER {
                    return Err(DecodeError::new("the arguments are larger than 1 MiB"));
                }
                decoded.push((name, loads(arguments).map_err(DecodeError::new)?));
            }
            let call = |(name, arguments): (&String, Value)| match arguments {
                Value::Dict(arguments) => Some((Value::from(name.as_str()), arguments)),
                _ => None,
            };
            let calls: Option<Vec<_>> = decoded.into_iter().map(call).collect();
            Ok(calls.map_or(Decoded::Other, Decoded::Calls))
        }
    }
}

/// The text of an answer that should be calls in square brackets; none if it is larger than is read.
pub(crate) fn calls_text(answer: &Answer) -> Option<Cow<'_, str>> {
    match answer {
        Answer::Text(text) if text.len() <= MAX_ANSWER => Some(bracketed(text)),
        _ => None,
    }
}

/// The calls of such a text, if they are of the plain kind that most answers are: then [`decode`] gives the same, in many
/// times the time.
pub(crate) fn plain(text: &str, language: Language) -> Option<Vec<Found<'_>>> {
    match language {
        Language::Python => python::plain(text),
        Language::Java => quick::java(inner(text)).map(|call| vec![call]),
        Language::JavaScript => quick::javascript(inner(text)).map(|call| vec![call]),
    }
}

/// The answer without the backticks, spaces and line breaks around it, and within square brackets.
fn bracketed(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(['`', '\n', ' ']);
    match (text.starts_with('['), text.ends_with(']')) {
        (true, true) => text.into(),
        (true, false) => format!("{text}]").into(),
        // What is put before it may be all that there is.
        (false, true) => format!("[{text}").into(),
        (false, false) => format!("[{text}]").into(),
    }
}

/// Without the first and last character.
pub(crate) fn inner(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.next_back();
    chars.as_str()
}
