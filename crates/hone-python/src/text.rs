//! Methods of Python's `str` that have no exact twin in Rust.

use crate::Int;
use num_bigint::BigInt;
use unicode_general_category::{GeneralCategory, get_general_category};

/// Digits that `int(text)` reads at most, as CPython's `sys.get_int_max_str_digits()`.
pub const MAX_INT_DIGITS: usize = 4300;

/// As `str.isspace` of one character: Unicode's white space and the four separators U+001C to U+001F.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// As `str.isalnum` of one character: letters, and whatever has a numeric value.
pub fn is_alnum(c: char) -> bool {
    use GeneralCategory::*;
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    matches!(
        get_general_category(c),
        UppercaseLetter
            | LowercaseLetter
            | TitlecaseLetter
            | ModifierLetter
            | OtherLetter
            | DecimalNumber
            | LetterNumber
            | OtherNumber
    )
}

/// As `text.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// As `int(text)`; `None` where Python raises `ValueError`.
pub fn int(text: &str) -> Option<Int> {
    // Eighteen digits fit 64 bits.
    if (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<i64>().ok().map(Int::from);
    }
    let text = ascii_digits(trim(text));
    let (negative, digits) = sign(&text);
    let digits = without_underscores(digits)?;
    if digits.is_empty() || digits.len() > MAX_INT_DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n = BigInt::parse_bytes(digits.as_bytes(), 10)?;
    Some(if negative { -n } else { n }.into())
}

/// As `float(text)`; `None` where Python raises `ValueError`.
pub fn float(text: &str) -> Option<f64> {
    let text = ascii_digits(trim(text));
    let (negative, number) = sign(&text);
    let number = without_underscores(number)?;
    let value = match number.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        // Rust's own words and signs are not Python's.
        _ if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') => return None,
        number => number.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

/// What `int` and `float` ignore around a number: of ASCII's white space only that of C.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| {
        if c.is_ascii() {
            matches!(c, ' ' | '\t'..='\r')
        } else {
            is_space(c)
        }
    })
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Underscores only stand between digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    let misplaced = |(i, b): (usize, &u8)| *b == b'_' && !(digit(i.checked_sub(1)) && digit(Some(i + 1)));
    (!bytes.iter().enumerate().any(misplaced)).then(|| text.replace('_', ""))
}

/// Decimal digits of other scripts as ASCII.
fn ascii_digits(text: &str) -> String {
    let decimal = |n: u32| char::from_u32(n).is_some_and(|c| get_general_category(c) == GeneralCategory::DecimalNumber);
    let ascii = |c: char| {
        if c.is_ascii() || !decimal(u32::from(c)) {
            return c;
        }
        // Decimal digits come in runs of ten from a zero on.
        let before = (1..=49).take_while(|back| decimal(u32::from(c) - back)).count() as u32;
        char::from_digit(before % 10, 10).unwrap_or(c)
    };
    text.chars().map(ascii).collect()
}
