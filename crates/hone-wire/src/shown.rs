//! Foreign text made fit for a message: bounded, and nothing in it acts on a terminal.

use std::fmt::Write;

/// Bound on what a server's own words may take of an error, in characters.
pub(crate) const SERVER_WORDS: usize = 500;

/// `text` with control characters, line ends and direction marks written out as escapes, cut to `max` characters.
///
/// ```
/// assert_eq!(hone_wire::shown("a\u{1b}[31m\n", 80), "a\\u{1b}[31m\\n");
/// ```
pub fn shown(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max.saturating_mul(2)));
    let mut rest = text.chars();
    for c in rest.by_ref().take(max) {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    let left = rest.count();
    if left > 0 {
        let _ = write!(out, "… ({left} more characters)");
    }
    out
}

/// Characters that change how the ones around them are drawn, or are not drawn themselves.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The longest beginning of `text` that has at most `bytes` bytes.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let cut = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..cut.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_bounded_and_inert() {
        assert_eq!(shown("ok ünï 🦀", 80), "ok ünï 🦀");
        assert_eq!(shown("\u{202e}x\u{0}\u{9b}", 80), "\\u{202e}x\\u{0}\\u{9b}");
        assert_eq!(shown("abcdef", 3), "abc… (3 more characters)");
        assert_eq!(beginning("aü", 2), "a");
    }
}
