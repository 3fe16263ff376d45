//! Whether an answer is right: numbers by exact rational arithmetic, expressions as polynomials.
//!
//! Answers come from models and are hostile: their length, nesting, degree, terms and digits are bounded, and what cannot be
//! read or is too large is wrong, with the reason.

mod parse;
mod polynomial;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed;
use parse::{Value, expression};
use polynomial::Work;
use serde::{Deserialize, Serialize};

/// Most members of a set.
const MAX_MEMBERS: usize = 16;

/// Why an answer cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused(String);

impl Refused {
    fn new(why: &str) -> Self {
        Self(why.to_owned())
    }
}

/// The right answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// This number or expression, in any form that is equal to it.
    Exact(String),
    /// A number to so many decimal places: whatever is at most half a unit of the last place away from the exact value, so
    /// that more places are right too, and a half may be rounded either way.
    Decimal {
        /// The exact value.
        value: String,
        /// Places after the point.
        places: u32,
    },
    /// These numbers or expressions in any order, with commas between them.
    Set(Vec<String>),
}

impl Expected {
    /// Whether an answer is right; otherwise why not.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check(&self, answer: &str) -> Result<(), String> {
        let wrong = |refused: Refused| format!("the answer cannot be read: {}", refused.0);
        let own = |refused: Refused| format!("the expected answer cannot be read: {}", refused.0);
        let (answer, work) = (bare(answer), &Work::new());
        let right = match self {
            Self::Exact(value) => {
                let (theirs, ours) = (
                    single(answer, work).map_err(wrong)?,
                    expression(value, work).map_err(own)?,
                );
                theirs.equals(&ours, work).map_err(wrong)?
            }
            Self::Decimal { value, places } => {
                let exact = expression(value, work).map_err(own)?.number();
                let theirs = single(answer, work).map_err(wrong)?.number();
                let (Some(exact), Some(theirs)) = (exact, theirs) else {
                    return Err("a number is asked for".to_owned());
                };
                let half = BigRational::new(1.into(), BigInt::from(10).pow((*places).min(100)) * 2);
                (theirs - exact).abs() <= half
            }
            Self::Set(values) => {
                let theirs = members(answer, work).map_err(wrong)?;
                let ours: Result<Vec<Value>, Refused> = values.iter().map(|value| expression(value, work)).collect();
                same(&ours.map_err(own)?, &theirs, work).map_err(wrong)?
            }
        };
        match right {
            true => Ok(()),
            false => Err("the answer is another one".to_owned()),
        }
    }

    /// The right answer as text.
    pub fn shown(&self) -> String {
        match self {
            Self::Exact(value) => value.clone(),
            Self::Decimal { value, places } => format!("{value} to {places} decimal places"),
            Self::Set(values) => values.join(", "),
        }
    }
}

/// Without what people put around answers: dollar signs, `\boxed{}`, a full stop.
fn bare(answer: &str) -> &str {
    let mut text = answer.trim();
    for _ in 0..4 {
        let before = text;
        text = text.trim_matches('$').trim();
        text = text.strip_suffix('.').unwrap_or(text).trim_end();
        if let Some(inside) = text.strip_prefix("\\boxed{").and_then(|rest| rest.strip_suffix('}')) {
            text = inside.trim();
        }
        if text == before {
            break;
        }
    }
    text
}

/// One expression: `x =` may stand before it, and commas between groups of three digits.
fn single(text: &str, work: &Work) -> Result<Value, Refused> {
    let text = match text.split_once('=') {
        Some((name, value))
            if name
                .chars()
                .all(|c| c.is_alphabetic() || c.is_whitespace() || "()'".contains(c)) =>
        {
            value
        }
        _ => text,
    };
    match grouped(text.trim()) {
        Some(plain) => expression(&plain, work),
        None => expression(text, work),
    }
}

/// `-1,234,567.8` without its commas.
fn grouped(text: &str) -> Option<String> {
    let digits = text.trim_start_matches(['-', '+']);
    let whole = digits.split('.').next()?;
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fits = number(first) && first.len() <= 3 && !rest.is_empty() && rest.iter().all(|g| g.len() == 3 && number(g));
    fits.then(|| text.replace(',', ""))
}

/// The members of `{a, b}`, `a, b` or `x = a or x = b`.
fn members(text: &str, work: &Work) -> Result<Vec<Value>, Refused> {
    let text = text.replace("\\{", "{").replace("\\}", "}");
    let text = text.replace(" or ", ",").replace(" and ", ",").replace(';', ",");
    let text = text.trim();
    let text = text
        .strip_prefix(['{', '['])
        .and_then(|rest| rest.strip_suffix(['}', ']']))
        .unwrap_or(text);
    let parts: Vec<&str> = text.split(',').take(MAX_MEMBERS + 1).collect();
    if parts.len() > MAX_MEMBERS {
        return Err(Refused::new("it has too many members"));
    }
    parts.into_iter().map(|part| single(part, work)).collect()
}

/// Whether the two hold the same members.
fn same(ours: &[Value], theirs: &[Value], work: &Work) -> Result<bool, Refused> {
    let within = |all: &[Value], one: &Value| -> Result<bool, Refused> {
        for other in all {
            if other.equals(one, work)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    for one in theirs {
        if !within(ours, one)? {
            return Ok(false);
        }
    }
    for one in ours {
        if !within(theirs, one)? {
            return Ok(false);
        }
    }
    Ok(true)
}
