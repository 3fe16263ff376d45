//! MySQL's default collation, `utf8mb4_0900_ai_ci`: letters of any case and with any accent are the same, padding counts.

use icu_collator::options::{AlternateHandling, CollatorOptions, Strength};
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use std::cmp::Ordering;
use std::sync::LazyLock;

/// Its name in SQLite.
pub const COLLATION: &str = "mysql";

static COLLATOR: LazyLock<Option<CollatorBorrowed<'static>>> = LazyLock::new(|| {
    let mut options = CollatorOptions::default();
    options.strength = Some(Strength::Primary);
    options.alternate_handling = Some(AlternateHandling::NonIgnorable);
    // With the tables that are compiled in there is no error.
    Collator::try_new(CollatorPreferences::default(), options).ok()
});

/// Compare two texts.
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match &*COLLATOR {
        Some(collator) => collator.compare(a, b),
        None => a.to_lowercase().cmp(&b.to_lowercase()),
    }
}

/// Whether two characters are the same.
pub fn same(a: char, b: char) -> bool {
    if a == b {
        return true;
    }
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(&b);
    }
    compare(a.encode_utf8(&mut [0; 4]), b.encode_utf8(&mut [0; 4])) == Ordering::Equal
}

/// Where `needle` begins in `text`, in characters from 0 on, not before `from`.
pub fn find(text: &[char], needle: &[char], from: usize) -> Option<usize> {
    let last = text.len().checked_sub(needle.len())?;
    (from..=last).find(|&at| text[at..].iter().zip(needle).all(|(a, b)| same(*a, *b)))
}

/// `text LIKE pattern`: `%` is any text, `_` any character, `escape` takes the meaning from the next.
pub fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    enum Part {
        Any,
        One,
        Char(char),
    }
    let mut parts = vec![];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            _ if Some(c) == escape => Part::Char(chars.next().unwrap_or(c)),
            '%' => Part::Any,
            '_' => Part::One,
            _ => Part::Char(c),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // The usual two pointers: on a mismatch the last `%` takes one character more.
    let (mut t, mut p, mut back) = (0, 0, None);
    while t < text.len() {
        match parts.get(p) {
            Some(Part::Any) => {
                back = Some((t, p));
                p += 1;
            }
            Some(Part::One) => (t, p) = (t + 1, p + 1),
            Some(Part::Char(c)) if same(*c, text[t]) => (t, p) = (t + 1, p + 1),
            _ => match &mut back {
                Some((from, any)) => {
                    *from += 1;
                    (t, p) = (*from, *any + 1);
                }
                None => return false,
            },
        }
    }
    parts[p..].iter().all(|part| matches!(part, Part::Any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_do_not_count_and_padding_does() {
        for (a, b) in [
            ("Montréal", "montreal"),
            ("ÖRE", "ore"),
            ("a", "A"),
            ("straße", "STRASSE"),
        ] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
        assert_ne!(compare("a", "a "), Ordering::Equal);
        assert_ne!(compare("a-b", "ab"), Ordering::Equal);
        // Punctuation before digits before letters.
        assert_eq!(
            [compare("-1", "1"), compare("9", "a"), compare("Z", "a")],
            [Ordering::Less, Ordering::Less, Ordering::Greater]
        );
    }

    #[test]
    fn patterns() {
        let like = |text, pattern| like(text, pattern, Some('\\'));
        assert!(
            like("Grand Prix", "%PRIX") && like("Grand Prix", "g%d p___") && like("", "%%") && like("café", "_AFE")
        );
        assert!(!like("Grand Prix", "Prix%") && !like("ab", "_") && !like("", "_"));
        assert!(like("100%", "100\\%") && !like("1000", "100\\%") && like("aXbXc", "%x%c"));
    }
}
