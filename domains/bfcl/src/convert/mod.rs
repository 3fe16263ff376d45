//! Java and JavaScript source text as Python values.
//!
//! The original's converters are regular expressions; what does not match stays text. So do these.

mod java;
mod javascript;

pub use java::java_value;
pub use javascript::javascript_value;

use fancy_regex::{Captures, Regex};

/// A pattern of this crate.
fn pattern(text: &str) -> Regex {
    // Patterns are constants, and a test compiles each.
    Regex::new(text).unwrap_or_else(|e| unreachable!("{text}: {e}"))
}

/// The first match. One that takes too long counts as none.
fn find<'t>(regex: &Regex, text: &'t str) -> Option<Captures<'t, str>> {
    regex.captures(text).ok().flatten()
}

/// Group 1 of each match.
fn find_all<'t>(regex: &Regex, text: &'t str) -> Vec<Captures<'t, str>> {
    regex.captures_iter(text).map_while(Result::ok).collect()
}

fn group<'t>(captures: &Captures<'t, str>, i: usize) -> &'t str {
    captures.get(i).map_or("", |found| found.as_str())
}

/// Whether a text is ASCII digits behind a sign or none: what the patterns of numbers match, without them.
fn digits(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text is such digits with as many behind a point, or without.
fn decimal(text: &str) -> bool {
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && !fraction.starts_with('-'),
        None => digits(text),
    }
}

/// Whether a text begins as a number that a pattern can match: with a sign or a digit.
fn numeric(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit() || !c.is_ascii())
}
