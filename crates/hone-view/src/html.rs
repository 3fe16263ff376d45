//! Writing hostile text into a page or onto a terminal.

use std::fmt::{self, Display, Formatter};

/// Append formatted text to a `String`.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        std::fmt::Write::write_fmt($out, format_args!($($arg)*)).expect("writing to a String does not fail")
    };
}
pub(crate) use put;

/// Text for a page, as element content or a quoted attribute: escaped, without control characters, cut after so many characters.
pub(crate) struct Text<'a>(pub &'a str, pub usize);

/// Short text: a name, a label, a sentence.
pub(crate) fn label(text: &str) -> Text<'_> {
    Text(text, 400)
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(self.1).map_or(self.0.len(), |(at, _)| at);
        for c in self.0[..end].chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => write!(f, "{}", visible(c))?,
            }
        }
        match self.0[end..].chars().count() {
            0 => Ok(()),
            left => write!(f, "… ({left} more characters)"),
        }
    }
}

/// A character that does only what it looks like: control characters become their pictures, and the marks that reorder
/// a line become a replacement character.
fn visible(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' => '\u{fffd}',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '\u{fffd}',
        c => c,
    }
}

/// Text of unknown origin made safe for a terminal: no escape sequences, no other control characters but newline and tab.
pub fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_inert() {
        let hostile = "<script>alert('x')</script> & \"quoted\"";
        let expected = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;quoted&quot;";
        assert_eq!(label(hostile).to_string(), expected);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(Text("äöü", 3).to_string(), "äöü");
        assert_eq!(Text("äöüß<", 3).to_string(), "äöü… (2 more characters)");
        assert_eq!(Text("&&&&", 1).to_string(), "&amp;… (3 more characters)");
    }

    #[test]
    fn control_characters_do_nothing() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\n\u{202e}c\u{9b}"),
            "a␛[2Jb␍\n\u{fffd}c\u{fffd}"
        );
        assert_eq!(label("\u{0}\u{7f}").to_string(), "␀␡");
    }
}
