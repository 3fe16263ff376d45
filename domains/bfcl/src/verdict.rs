//! Whether an answer passes.

use crate::check::{Crash, Found, Stop, calls};
use crate::decode::{Answer, Decoded, calls_text, decode, plain};
use crate::{Category, DEFECTS, Language, Record};
use hone_python::{Dict, Value};

/// Name of the scorer.
pub const SCORER: &str = "bfcl";

/// Version of the scorer: the original's data version and ours.
pub const SCORER_VERSION: &str = "v4/1";

/// Error type where the original's checker would raise and end its run.
pub const CRASH: &str = "crash";

/// Which rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The original's, defects included.
    #[default]
    Faithful,
    /// Records that no sensible answer can pass do not count.
    Strict,
}

/// How functions are named in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// As in the data, with dots: prompted models.
    #[default]
    Dotted,
    /// With underscores for dots: function-calling APIs, which allow no dots (`underscore_to_dot`).
    Underscored,
}

impl Names {
    /// A function's name as it is written in an answer.
    pub fn written(self, name: &str) -> String {
        match self {
            Self::Dotted => name.to_owned(),
            Self::Underscored => name.replace('.', "_"),
        }
    }

    /// Whether a name in an answer is that of a function.
    pub(crate) fn is(self, function: &str, written: &str) -> bool {
        match self {
            Self::Dotted => function == written,
            Self::Underscored => {
                let undotted = |b: u8| if b == b'.' { b'_' } else { b };
                function.len() == written.len() && function.bytes().map(undotted).eq(written.bytes())
            }
        }
    }
}

/// How answers are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which rule.
    pub mode: Mode,
    /// How functions are named.
    pub names: Names,
}

/// The verdict on an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it passes.
    pub valid: bool,
    /// The original's `error_type` if it does not, or [`CRASH`].
    pub error_type: Option<&'static str>,
    /// What is wrong, in words.
    pub why: String,
    /// Whether the record counts. Always so in faithful mode.
    pub counts: bool,
}

impl Verdict {
    pub(crate) fn right() -> Self {
        Self {
            valid: true,
            error_type: None,
            why: String::new(),
            counts: true,
        }
    }

    pub(crate) fn wrong(error_type: &'static str, why: String) -> Self {
        Self {
            valid: false,
            error_type: Some(error_type),
            why,
            counts: true,
        }
    }
}

/// Judge an answer to a single-turn record.
pub fn evaluate(record: &Record, answer: &Answer, settings: Settings) -> Verdict {
    let counts = settings.mode == Mode::Faithful || !DEFECTS.iter().any(|defect| defect.id == record.id);
    let result = if record.category.relevance() {
        relevance(record.category, answer)
    } else {
        judge(record, answer, settings.names)
    };
    let (error_type, why) = match result {
        Ok(()) => (None, String::new()),
        Err(Stop::Wrong(error_type, why)) => (Some(error_type), why),
        Err(Stop::Crash(crash @ Crash(_))) => (Some(CRASH), crash.to_string()),
    };
    Verdict {
        valid: error_type.is_none(),
        error_type,
        why,
        counts,
    }
}

fn judge(record: &Record, answer: &Answer, names: Names) -> Result<(), Stop> {
    let language = record.category.language();
    if let Some(text) = calls_text(answer)
        && let Some(found) = plain(&text, language)
    {
        return calls(record, &found, names);
    }
    match decode(answer, language) {
        Err(error) => Err(Stop::Wrong("ast_decoder:decoder_failed", error.to_string())),
        Ok(Decoded::Other) => Err(Stop::Wrong(
            "ast_decoder:decoder_wrong_output_format",
            "the answer is no list of calls".into(),
        )),
        Ok(Decoded::Calls(found)) => {
            let found: Vec<_> = found
                .iter()
                .map(|(name, arguments)| borrowed(name, arguments))
                .collect();
            calls(record, &found, names)
        }
    }
}

/// A decoded call, to be checked.
fn borrowed<'a>(name: &'a Value, arguments: &'a Dict) -> Found<'a> {
    Found {
        // Every decoder gives names as texts.
        name: name.as_str().unwrap_or_default(),
        arguments: arguments
            .iter()
            .map(|(name, value)| (name.as_str(), value.into()))
            .collect(),
    }
}

/// Only whether there is a call matters.
fn relevance(category: Category, answer: &Answer) -> Result<(), Stop> {
    if let Some(text) = calls_text(answer)
        && let Some(found) = plain(&text, Language::Python)
        && found.is_empty() == (category != Category::LiveRelevance)
    {
        return Ok(());
    }
    let decoded = decode(answer, Language::Python);
    let called = matches!(&decoded, Ok(Decoded::Calls(calls)) if !calls.is_empty());
    match (category == Category::LiveRelevance, called) {
        (true, false) => {
            let why = decoded
                .err()
                .map_or("the answer calls nothing".into(), |error| error.to_string());
            Err(Stop::Wrong("relevance_error:decoder_failed", why))
        }
        (false, true) => Err(Stop::Wrong(
            "irrelevance_error:decoder_success",
            "the answer calls a function, and none fits".into(),
        )),
        _ => Ok(()),
    }
}
