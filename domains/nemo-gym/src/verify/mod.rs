//! The verifiers, each as its server has it, and the list of them.

mod arc_agi;
mod boxed;
mod bunsenbench;
mod calendar;
mod calls;
mod circles;
mod citation_if;
mod examples;
mod format_verification;
mod graded;
mod graphwalks;
mod hotpotqa;
mod indirect_prompt_injection;
mod math_advanced;
mod mcqa;
mod ragtruth;
mod ruler;
mod schema;
mod similarity;
mod single_step;
mod spartqa;
mod string_match;
mod structured_outputs;
mod swe_pivot;
mod terminal_multi_harness;

pub use examples::mcp_weather;
pub use math_advanced::calculate as math_advanced_calculation;

use crate::response::Response;
use crate::row::Row;
use hone_python::Value;

/// What a verifier says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The reward, mostly from 0 to 1.
    pub reward: f64,
    /// Its named parts.
    pub parts: Vec<(&'static str, f64)>,
    /// What it saw.
    pub why: String,
}

impl Verdict {
    /// 1 or 0.
    pub fn pass(passed: bool, why: impl Into<String>) -> Self {
        Self::of(f64::from(u8::from(passed)), why)
    }

    /// A reward without parts.
    pub fn of(reward: f64, why: impl Into<String>) -> Self {
        Self {
            reward,
            parts: vec![],
            why: why.into(),
        }
    }
}

/// A row that its server would answer with an error, or a response that makes its verifier raise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; the server answers with an error")]
pub struct Broken(pub String);

impl Broken {
    fn field(name: &str) -> Self {
        Self(format!("the row's `{name}` is missing or of another type"))
    }
}

/// Reward of what an agent did. `state` is what its tools left behind ([`crate::World`]).
pub type Verify = fn(&Row, &Response, &serde_json::Value) -> Result<Verdict, Broken>;

/// How long an agent acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acts {
    /// One turn, whose calls are not run.
    Once,
    /// Until it answers in plain text.
    UntilAnswer,
    /// In a world whose tools are not here: recorded responses are scored, but there are no tasks.
    Elsewhere,
}

/// A server.
pub struct Server {
    /// Its name, which is that of its files.
    pub name: &'static str,
    /// What is checked.
    pub about: &'static str,
    /// How.
    pub verify: Verify,
    /// How long an agent acts.
    pub acts: Acts,
    /// What a right response is, where the row says it.
    pub gold: fn(&Row) -> Option<Response>,
}

/// The servers.
pub const SERVERS: &[Server] = &[
    arc_agi::SERVER,
    bunsenbench::SERVER,
    calendar::SERVER,
    circles::CLICK,
    circles::COUNT,
    citation_if::SERVER,
    similarity::EQUIVALENCE_RULE,
    examples::MCP_WEATHER,
    examples::MULTI_STEP,
    examples::MULTI_TURN,
    examples::SESSION_STATE,
    examples::SINGLE_TOOL_CALL,
    examples::MULTIREWARD,
    format_verification::SERVER,
    mcqa::GPQA_DIAMOND,
    graphwalks::GRAPHWALKS,
    circles::GUI_COORDINATE,
    hotpotqa::SERVER,
    graded::IMO_GRADINGBENCH,
    indirect_prompt_injection::SERVER,
    graphwalks::LC_NIAH,
    math_advanced::SERVER,
    mcqa::MCQA,
    similarity::MRCR,
    graded::PROOF_GENSELECT,
    ragtruth::SERVER,
    ruler::RULER,
    ruler::RULER2,
    single_step::SERVER,
    spartqa::SERVER,
    string_match::SERVER,
    structured_outputs::SERVER,
    swe_pivot::SERVER,
    terminal_multi_harness::SERVER,
    calls::XLAM_FC,
];

/// The server of that name.
pub fn server(name: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| server.name == name)
}

/// As `str.isalpha` of a text of one character.
fn is_letter(text: &str) -> bool {
    let mut chars = text.chars();
    let letter = chars
        .next()
        .is_some_and(|c| hone_python::text::is_alnum(c) && !c.is_numeric());
    letter && chars.next().is_none()
}

fn text_field<'r>(row: &'r Row, name: &str) -> Result<&'r str, Broken> {
    row.str(name).ok_or_else(|| Broken::field(name))
}

/// `" ".join(text.split())`.
fn spaced(text: &str) -> String {
    text.split(hone_python::text::is_space)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `json.loads`, or `None`.
fn json(text: &str) -> Option<Value> {
    hone_python::loads(text).ok()
}

/// `text.splitlines()`.
fn lines(text: &str) -> Vec<&str> {
    let breaks = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let (mut lines, mut rest) = (vec![], text);
    while let Some(at) = rest.find(breaks) {
        lines.push(&rest[..at]);
        let after = &rest[at..];
        let length = if after.starts_with("\r\n") {
            2
        } else {
            after.chars().next().map_or(1, char::len_utf8)
        };
        rest = &after[length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}
