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
