//! What stands in `\boxed{…}`, as several verifiers read it.

use crate::pattern::{Pattern, group};
use hone_python::text::strip;

static WRAPPED: Pattern = Pattern::new(r"(?s)^\\text\{\s*(.*?)\s*\}$");

/// What the last `\boxed{` encloses, with braces counted; `None` if it is not closed.
pub fn last(text: &str) -> Option<&str> {
    let start = text.rfind("\\boxed{")? + "\\boxed{".len();
    enclosed(text, start)
}

/// What the last `\boxed{` that is closed encloses.
pub fn last_closed(text: &str) -> Option<&str> {
    let starts: Vec<usize> = text
        .match_indices("\\boxed{")
        .map(|(at, found)| at + found.len())
        .collect();
    starts.into_iter().rev().find_map(|start| enclosed(text, start))
}

/// From `start` up to the brace that closes the one before it.
fn enclosed(text: &str, start: usize) -> Option<&str> {
    let mut depth = 1;
    for (at, c) in text[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[start..start + at]);
        }
    }
    None
}

/// Without the `\text{…}` around it, as often as there is one.
pub fn unwrapped(text: &str) -> &str {
    let mut text = text;
    while let Some(found) = WRAPPED.full(text) {
        text = group(&found, 1);
    }
    text
}

/// For `ruler2`: the last `\boxed` with what follows it up to where its braces are closed, if it is `\boxed{…}`.
pub fn searched(text: &str) -> Option<&str> {
    let start = text.rfind("\\boxed")?;
    let mut depth = 0i64;
    for (at, c) in text[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return text[start..start + at].strip_prefix("\\boxed{");
                }
            }
            _ => {}
        }
    }
    None
}

/// Letters of other scripts that stand for A to D, which the original reads as such.
pub fn latin(text: &str) -> String {
    let mut made = String::new();
    for c in text.chars() {
        match c {
            'أ' | 'অ' | 'Ａ' => made.push_str(" A"),
            'ب' | 'ব' | 'Ｂ' => made.push_str(" B"),
            'ج' | 'ড' | 'Ｃ' => made.push_str(" C"),
            'د' | 'ঢ' | 'Ｄ' => made.push_str(" D"),
            other => made.push(other),
        }
    }
    strip(&made).to_owned()
}
