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
    RegexBuilder::new(&translated(source))
        .backtrack_limit(BACKTRACKS)
        .build()
        .map_err(|e| e.to_string())
}

/// The same pattern in words of this engine: Python's `\w` is letters, numbers of all kinds and `_`, but no marks; its `\s` holds
/// four separators more; and within a class its `[` is itself.
fn translated(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let (mut chars, mut class) = (source.chars().peekable(), false);
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => match (chars.next(), class) {
                (Some('w'), _) => out.push_str(r"[\p{L}\p{N}_]"),
                (Some('W'), _) => out.push_str(r"[^\p{L}\p{N}_]"),
                (Some('s'), _) => out.push_str(r"[\s\x1c-\x1f]"),
                (Some('S'), _) => out.push_str(r"[^\s\x1c-\x1f]"),
                (Some('b'), false) => {
                    out.push_str(r"(?:(?<=[\p{L}\p{N}_])(?![\p{L}\p{N}_])|(?<![\p{L}\p{N}_])(?=[\p{L}\p{N}_]))")
                }
                (other, _) => {
                    out.push('\\');
                    out.extend(other);
                }
            },
            ('[', false) => {
                class = true;
                out.push('[');
                out.extend(chars.next_if_eq(&'^'));
                // At the beginning it ends nothing.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ('[', true) => out.push_str(r"\["),
            (']', true) => {
                class = false;
                out.push(']');
            }
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_spaces_are_pythons() {
        // From Python 3.11.
        let matches = |pattern: &str, text: &str| compile(pattern).unwrap().is_match(text).unwrap();
        for (pattern, text, expected) in [
            (r"\bD\b", "D\u{2084}", false),
            (r"\bD\b", "D\u{301}", true),
            (r"^\w+$", "a\u{bd}_", true),
            (r"^[\w.]+$", "a.\u{301}", false),
            (r"a\sb", "a\u{1c}b", true),
            (r"a\Sb", "a\u{85}b", false),
            (r"^[][a]+$", "[]a", true),
            (r"^[^][a]+$", "x", true),
            (r"^\\w$", r"\w", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text:?}");
        }
    }
}
