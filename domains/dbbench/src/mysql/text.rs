//! MySQL's functions of text.

use super::collation;
use super::datum::Datum;

/// Longest text that a function may make, in bytes: as much as a column of type TEXT holds.
pub const MAX_TEXT: usize = 65_535;

/// Characters `from` (counted from 1, from the end if negative) and `count` of them.
pub fn substring(text: &str, from: i64, count: Option<i64>) -> String {
    let length = text.chars().count() as i64;
    let start = match from {
        0 => return String::new(),
        1.. => from - 1,
        _ if from < -length => return String::new(),
        _ => length + from,
    };
    let count = count.unwrap_or(length).clamp(0, length);
    text.chars()
        .skip(usize::try_from(start).unwrap_or(usize::MAX))
        .take(count as usize)
        .collect()
}

/// The part before the `count`-th `delimiter` (after it, counted from the end, if negative). The delimiter is matched to
/// the letter.
pub fn substring_index(text: &str, delimiter: &str, count: i64) -> String {
    if delimiter.is_empty() || count == 0 {
        return String::new();
    }
    let n = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > 0 {
        text.match_indices(delimiter)
            .nth(n - 1)
            .map_or(text, |(at, _)| &text[..at])
            .to_owned()
    } else {
        text.rmatch_indices(delimiter)
            .nth(n - 1)
            .map_or(text, |(at, _)| &text[at + delimiter.len()..])
            .to_owned()
    }
}

/// Where `needle` begins, from 1 on; 0 if nowhere.
pub fn locate(needle: &str, text: &str, from: i64) -> i64 {
    let (text, needle): (Vec<char>, Vec<char>) = (text.chars().collect(), needle.chars().collect());
    let Ok(from) = usize::try_from(from.saturating_sub(1)) else {
        return 0;
    };
    collation::find(&text, &needle, from).map_or(0, |at| at as i64 + 1)
}

/// Without `what` at the beginning and the end.
pub fn trim<'a>(mut text: &'a str, what: &str, left: bool, right: bool) -> &'a str {
    if what.is_empty() {
        return text;
    }
    while let Some(rest) = text.strip_prefix(what).filter(|_| left) {
        text = rest;
    }
    while let Some(rest) = text.strip_suffix(what).filter(|_| right) {
        text = rest;
    }
    text
}

/// Filled with `with` to a length in characters, or cut to it. `None` is NULL.
pub fn pad(text: &str, length: i64, with: &str, left: bool) -> Option<String> {
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_TEXT)?;
    let have = text.chars().count();
    if have >= length {
        return Some(text.chars().take(length).collect());
    }
    if with.is_empty() {
        return None;
    }
    let filling: String = with.chars().cycle().take(length - have).collect();
    Some(if left {
        filling + text
    } else {
        text.to_owned() + &filling
    })
}

/// A number with commas between thousands.
pub fn format(value: &Datum, digits: i64) -> Option<String> {
    let digits = digits.clamp(0, 30) as usize;
    let text = match super::operators::round(value.clone(), digits as i64, false) {
        Datum::Null => return None,
        Datum::Double(value) => format!("{value:.digits$}"),
        Datum::Int(value) => format!("{value}{}{}", if digits > 0 { "." } else { "" }, "0".repeat(digits)),
        Datum::Decimal(value) => value.rescaled(digits as u32).unwrap_or(value).to_string(),
        Datum::Text(text) => text,
    };
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    Some(format!("{sign}{grouped}{fraction}"))
}

/// Lower-case hex of the MD5 of a text.
pub fn md5(text: &str) -> String {
    use md5::{Digest, Md5};
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_texts() {
        // The manual's examples.
        assert_eq!(substring("Quadratically", 5, None), "ratically");
        assert_eq!(substring("Quadratically", 5, Some(6)), "ratica");
        assert_eq!(substring("Sakila", -3, None), "ila");
        assert_eq!(substring("Sakila", -5, Some(3)), "aki");
        assert_eq!(substring("x", 0, Some(3)), "");
        assert_eq!(substring_index("www.mysql.com", ".", 2), "www.mysql");
        assert_eq!(substring_index("www.mysql.com", ".", -2), "mysql.com");
        assert_eq!(
            [
                locate("bar", "foobarbar", 1),
                locate("xbar", "foobar", 1),
                locate("BAR", "foobarbar", 5)
            ],
            [4, 0, 7]
        );
        assert_eq!(
            [trim("xxxbarxxx", "x", true, false), trim("barxxyz", "xyz", false, true)],
            ["barxxx", "barx"]
        );
        assert_eq!(
            [pad("hi", 4, "??", true).unwrap(), pad("hi", 1, "??", true).unwrap()],
            ["??hi", "h"]
        );
    }

    #[test]
    fn formats_and_hashes() {
        assert_eq!(format(&Datum::Double(12332.123456), 4).unwrap(), "12,332.1235");
        assert_eq!(format(&Datum::Int(-12332), 2).unwrap(), "-12,332.00");
        assert_eq!(md5("testing"), "ae2b1fca515949e5d54fb22b8ed95575");
    }
}
