//! From the text of a calculation to its parts.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow};

/// Most characters of a calculation.
pub const MAX_CHARS: usize = 1000;
/// Largest power of ten in a number such as 1e100.
const MAX_EXPONENT: i32 = 1000;

/// A part of a calculation.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A number.
    Number(BigRational),
    /// A unit, a function, a constant or a word such as `in`.
    Name(String),
    /// `+ - * / ^ % ! ( ) ,` or a comparison, in one spelling.
    Sign(&'static str),
}

/// Two characters before one.
const SIGNS: &[(&str, &str)] = &[
    ("**", "^"),
    ("<=", "<="),
    (">=", ">="),
    ("==", "="),
    ("!=", "!="),
    ("≤", "<="),
    ("≥", ">="),
    ("≠", "!="),
    ("<", "<"),
    (">", ">"),
    ("=", "="),
    ("+", "+"),
    ("-", "-"),
    ("−", "-"),
    ("*", "*"),
    ("×", "*"),
    ("·", "*"),
    ("/", "/"),
    ("÷", "/"),
    ("^", "^"),
    ("%", "%"),
    ("!", "!"),
    ("(", "("),
    (")", ")"),
    (",", ","),
];

/// The parts, each with the character at which it begins, from 1.
///
/// # Errors
/// What cannot be read, with its place.
pub fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() > MAX_CHARS {
        return Err(format!(
            "it is longer than {MAX_CHARS} characters; calculate in several steps"
        ));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        let start = at;
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let token = if c.is_ascii_digit() || (*c == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit)) {
            Token::Number(number(&chars, &mut at)?)
        } else if c.is_alphabetic() || *c == '°' || *c == '_' {
            while chars
                .get(at)
                .is_some_and(|c| c.is_alphanumeric() || matches!(c, '°' | '_'))
            {
                at += 1;
            }
            Token::Name(chars[start..at].iter().collect())
        } else {
            let fits = |sign: &str| sign.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
            let Some((written, sign)) = SIGNS.iter().find(|(written, _)| fits(written)) else {
                return Err(format!(
                    "`{c}` at character {} means nothing here; write numbers, units and + - * / ^ ( )",
                    at + 1
                ));
            };
            at += written.chars().count();
            Token::Sign(sign)
        };
        tokens.push((start + 1, token));
    }
    Ok(tokens)
}

fn number(chars: &[char], at: &mut usize) -> Result<BigRational, String> {
    let start = *at;
    let mut digits = String::new();
    let mut decimals = 0u32;
    let mut point = false;
    while let Some(c) = chars.get(*at) {
        let digit_next = chars.get(*at + 1).is_some_and(char::is_ascii_digit);
        match c {
            '0'..='9' => {
                digits.push(*c);
                decimals += u32::from(point);
            }
            '.' if !point && (digit_next || !digits.is_empty()) => point = true,
            '_' if digit_next => {}
            _ => break,
        }
        *at += 1;
    }
    let mut exponent = 0i32;
    if matches!(chars.get(*at), Some('e' | 'E')) {
        let sign = usize::from(matches!(chars.get(*at + 1), Some('+' | '-')));
        let from = *at + 1 + sign;
        let mut to = from;
        while chars.get(to).is_some_and(char::is_ascii_digit) {
            to += 1;
        }
        if to > from {
            let text: String = chars[*at + 1..to].iter().collect();
            let parsed = text.trim_start_matches('+').parse::<i32>().ok();
            let Some(parsed) = parsed.filter(|e| e.abs() <= MAX_EXPONENT) else {
                return Err(format!(
                    "the number at character {} has an exponent beyond {MAX_EXPONENT}; use smaller numbers",
                    start + 1
                ));
            };
            exponent = parsed;
            *at = to;
        }
    }
    if matches!(chars.get(*at), Some('.')) && chars.get(*at + 1).is_some_and(char::is_ascii_digit) {
        return Err(format!(
            "the number at character {} has two points; write thousands without them",
            start + 1
        ));
    }
    let whole = digits
        .parse::<BigInt>()
        .map_err(|_| format!("the number at character {} is none", start + 1))?;
    let shift = exponent - decimals.cast_signed();
    let scale = Pow::pow(BigInt::from(10), shift.unsigned_abs());
    Ok(match shift < 0 {
        true => BigRational::new(whole, scale),
        false => BigRational::new(whole * scale, BigInt::one()),
    })
}
