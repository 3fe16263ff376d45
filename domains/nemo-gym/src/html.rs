//! Python's `html.unescape`.

use crate::verify::Broken;
use web_atoms::NAMED_ENTITIES;

/// Longest name that is looked for, in characters.
const MAX_NAME: usize = 32;

/// What the characters of C1 mean, which are Windows-1252's.
const C1: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text with its character references replaced, as HTML 5 reads them.
///
/// # Errors
/// For a decimal number of more digits than Python reads.
pub fn unescape(text: &str) -> Result<String, Broken> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let used = match after.strip_prefix('#') {
            Some(number) => numeric(number, &mut out)?.map(|used| used + 1),
            None => named(after, &mut out),
        };
        if used.is_none() {
            out.push('&');
        }
        rest = &after[used.unwrap_or(0)..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Pushes what a number after `&#` means, and gives how many bytes it takes.
fn numeric(text: &str, out: &mut String) -> Result<Option<usize>, Broken> {
    let (radix, prefix) = if text.starts_with(['x', 'X']) { (16, 1) } else { (10, 0) };
    let digits = &text[prefix..];
    let length = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    if length == 0 {
        return Ok(None);
    }
    let digits = &digits[..length];
    if radix == 10 && length > hone_python::text::MAX_INT_DIGITS {
        return Err(Broken(format!("a character reference has {length} digits")));
    }
    let number = match digits.trim_start_matches('0') {
        "" => 0,
        digits => u32::from_str_radix(digits, radix).unwrap_or(u32::MAX),
    };
    match number {
        0 => out.push('\u{fffd}'),
        0x0d => out.push('\r'),
        0x80..=0x9f => out.push(C1[number as usize - 0x80]),
        // Those that must not be written.
        1..=8 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => {}
        _ if number <= 0x10_ffff && number & 0xfffe == 0xfffe => {}
        _ => out.push(char::from_u32(number).unwrap_or('\u{fffd}')),
    }
    let end = prefix + length;
    Ok(Some(end + usize::from(text[end..].starts_with(';'))))
}

/// Pushes what the longest known name after `&` means, and gives how many bytes it takes.
fn named(text: &str, out: &mut String) -> Option<usize> {
    let stop = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let mut ends: Vec<usize> = (text.char_indices().take(MAX_NAME))
        .take_while(|(_, c)| !stop(*c))
        .map(|(at, c)| at + c.len_utf8())
        .collect();
    if let Some(&end) = ends.last()
        && text[end..].starts_with(';')
    {
        ends.push(end + 1);
    }
    // The shortest names have two characters.
    let known = ends.iter().skip(1).rev().find_map(|&end| {
        // The table holds beginnings of names, too, which stand for nothing.
        NAMED_ENTITIES
            .get(&text[..end])
            .filter(|(first, _)| *first != 0)
            .map(|means| (end, means))
    });
    let (end, (first, second)) = known?;
    out.extend(
        [*first, *second]
            .into_iter()
            .filter(|code| *code != 0)
            .filter_map(char::from_u32),
    );
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_python_reads_them() {
        // From Python 3.11.
        for (text, expected) in [
            ("a &lt; b &amp;amp; c", "a < b &amp; c"),
            ("&notit; &notin; &not", "¬it; ∉ ¬"),
            ("&NotEqualTilde;&fjlig;", "\u{2242}\u{338}fj"),
            ("&#65;&#x42;&#X43 &#0;&#128;&#x9d;&#1;", "ABC \u{fffd}€\u{9d}"),
            (
                "&#xD800;&#x110000;&#xFFFF;&#99999999999999;",
                "\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("&; &# &#x; &é &unknown; &a", "&; &# &#x; &é &unknown; &a"),
            ("&ampé &AMP;&Amp;", "&é &&Amp;"),
            ("&mu;&#8322;", "μ₂"),
        ] {
            assert_eq!(unescape(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(unescape(&format!("&#{};", "1".repeat(5_000))).is_err());
    }
}
