//! Regular expressions as Python's `re` reads them, as far as verifiers use them.

use fancy_regex::{Captures, Regex, RegexBuilder};
use std::sync::OnceLock;

/// Steps back that a search may take.
const BACKTRACKS: usize = 1_000_000;

/// A pattern of a verifier, compiled once.
pub struct Pattern {
    source: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// By its source, with Python's flags in front (`(?ims)`).
    pub const fn new(source: &'static str) -> Self {
        Self {
            source,
            compiled: OnceLock::new(),
        }
    }

    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(self.source).ok()).as_ref()
    }

    /// The first match. One that takes too long is none.
    pub fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t, str>> {
        self.regex()?.captures(text).ok()?
    }

    /// Whether there is a match.
    pub fn is_match(&self, text: &str) -> bool {
        self.captures(text).is_some()
    }

    /// All matches that do not overlap.
    pub fn all<'t>(&self, text: &'t str) -> Vec<Captures<'t, str>> {
        self.regex()
            .map(|regex| regex.captures_iter(text).map_while(Result::ok).collect())
            .unwrap_or_default()
    }

    /// `re.sub`, where `with` may name groups (`${1}`).
    pub fn replaced(&self, text: &str, with: &str) -> String {
        match self.regex() {
            Some(regex) => regex.replace_all(text, with).into_owned(),
            None => text.to_owned(),
        }
    }

    /// `re.fullmatch`: the captures of a match that is the whole text.
    pub fn full<'t>(&self, text: &'t str) -> Option<Captures<'t, str>> {
        self.captures(text)
            .filter(|found| found.get(0).is_some_and(|all| all.range() == (0..text.len())))
    }
}

/// The text of a group; empty where it has none, as in `re.findall`.
pub fn group<'t>(captures: &Captures<'t, str>, index: usize) -> &'t str {
    captures.get(index).map_or("", |found| found.as_str())
}

/// A pattern from a row.
///
/// # Errors
/// What is wrong with it.
pub fn compile(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .backtrack_limit(BACKTRACKS)
        .build()
        .map_err(|e| e.to_string())
}
