//! Literals: strings and numbers.

use super::Literal;
use crate::text::MAX_INT_DIGITS;
use crate::{Int, Opaque, Value, float_repr, text};
use num_bigint::BigInt;

/// One string token; neighbours are joined by the parser.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Bytes(Vec<u8>),
    /// The source text of the parts in braces of an f-string.
    Format(Vec<String>),
}

/// A string token and its length, if one starts here.
pub(super) fn string(source: &str) -> Result<Option<(Piece, usize)>, &'static str> {
    let letters = source
        .bytes()
        .take_while(|b| matches!(b.to_ascii_lowercase(), b'r' | b'u' | b'b' | b'f'))
        .take(3);
    let (prefix, body) = source.split_at(letters.count());
    if prefix.len() > 2 || !body.starts_with(['\'', '"']) {
        return Ok(None);
    }
    let prefix = prefix.to_ascii_lowercase();
    if !matches!(prefix.as_str(), "" | "r" | "u" | "b" | "f" | "br" | "rb" | "fr" | "rf") {
        return Ok(None);
    }
    let (raw, bytes, format) = (prefix.contains('r'), prefix.contains('b'), prefix.contains('f'));
    let quote = &body[..1];
    let triple = if quote == "'" { "'''" } else { "\"\"\"" };
    let quotes = if body.starts_with(triple) { triple } else { quote };
    let inner = &body[quotes.len()..];
    let ends = |b: &u8| *b == quote.as_bytes()[0] || *b == b'\\' || (*b == b'\n' && quotes.len() == 1);
    let mut end = 0;
    loop {
        let Some(next) = inner.as_bytes()[end..].iter().position(ends) else {
            return Err("a string without end");
        };
        end += next;
        let rest = &inner[end..];
        if rest.starts_with(quotes) {
            break;
        }
        match rest.as_bytes().first() {
            Some(b'\n') => return Err("a string without end"),
            Some(b'\\') => end += 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            // A quote that is not three.
            _ => end += 1,
        }
    }
    let len = prefix.len() + 2 * quotes.len() + end;
    let inner = &inner[..end];
    let piece = if bytes {
        if !inner.is_ascii() {
            return Err("bytes can only contain ASCII literal characters");
        }
        let unescaped = if raw {
            inner.chars().collect()
        } else {
            unescape(inner, true)?
        };
        Piece::Bytes(unescaped.into_iter().map(|c| c as u8).collect())
    } else if format {
        Piece::Format(format_parts(inner, raw)?)
    } else if raw || !inner.contains('\\') {
        Piece::Text(inner.to_owned())
    } else {
        Piece::Text(unescape(inner, false)?.into_iter().collect())
    };
    Ok(Some((piece, len)))
}

fn unescape(text: &str, bytes: bool) -> Result<Vec<char>, &'static str> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escaped) = chars.next() else {
            return Err("a lone backslash");
        };
        let hex = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, n: usize| {
            let mut value = 0u32;
            for _ in 0..n {
                let digit = chars.next_if(char::is_ascii_hexdigit).and_then(|c| c.to_digit(16));
                value = value.checked_mul(16)?.checked_add(digit?)?;
            }
            Some(value)
        };
        let code = match escaped {
            '\n' => continue,
            '\\' | '\'' | '"' => escaped,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0'..='7' => {
                let mut n = escaped.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = chars.next_if(|c| c.is_digit(8)).and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    n = n * 8 + digit;
                }
                char::from_u32(if bytes { n & 0xff } else { n }).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            'x' => hex(&mut chars, 2)
                .and_then(char::from_u32)
                .ok_or("a truncated \\xXX escape")?,
            'u' if !bytes => {
                let n = hex(&mut chars, 4).ok_or("a truncated \\uXXXX escape")?;
                char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            'U' if !bytes => {
                let n = hex(&mut chars, 8)
                    .filter(|n| *n <= 0x10_ffff)
                    .ok_or("an illegal \\UXXXXXXXX escape")?;
                char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            'N' if !bytes => return Err("\\N escapes are not supported; write the character"),
            other => {
                out.push('\\');
                other
            }
        };
        out.push(code);
    }
    Ok(out)
}

/// What stands in the braces of an f-string, format specs included.
fn format_parts(text: &str, raw: bool) -> Result<Vec<String>, &'static str> {
    let mut parts = vec![];
    let mut literal = String::new();
    scan_format(text, 0, &mut literal, &mut parts)?;
    if !raw {
        unescape(&literal, false)?;
    }
    Ok(parts)
}

fn scan_format(text: &str, depth: usize, literal: &mut String, parts: &mut Vec<String>) -> Result<(), &'static str> {
    if depth > 2 {
        return Err("f-string: expressions nested too deeply");
    }
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let doubled = rest[at..].starts_with("{{") || rest[at..].starts_with("}}");
        // An escape does not reach over a brace.
        literal.push(' ');
        if doubled && depth == 0 {
            rest = &rest[at + 2..];
            continue;
        }
        if rest[at..].starts_with('}') {
            return Err("f-string: single '}' is not allowed");
        }
        rest = field(&rest[at + 1..], depth, literal, parts)?;
    }
    literal.push_str(rest);
    Ok(())
}

/// One replacement field, from behind its brace on; what follows it is returned.
fn field<'a>(
    text: &'a str,
    depth: usize,
    literal: &mut String,
    parts: &mut Vec<String>,
) -> Result<&'a str, &'static str> {
    let mut open = vec![];
    let mut quoted: Option<String> = None;
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = &text[at..];
        if let Some(quotes) = &quoted {
            if rest.starts_with(quotes.as_str()) {
                at += quotes.len();
                quoted = None;
            } else {
                at += c.len_utf8();
            }
            continue;
        }
        match c {
            '\\' => return Err("f-string expression part cannot include a backslash"),
            '#' => return Err("f-string expression part cannot include '#'"),
            '\'' | '"' => {
                let triple = c.to_string().repeat(3);
                let quotes = if rest.starts_with(&triple) {
                    triple
                } else {
                    c.to_string()
                };
                at += quotes.len();
                quoted = Some(quotes);
                continue;
            }
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' if !open.is_empty() => {
                let opened = open.pop();
                if !matches!((opened, c), (Some('('), ')') | (Some('['), ']') | (Some('{'), '}')) {
                    return Err("f-string: a closing bracket that does not match");
                }
            }
            ')' | ']' => return Err("f-string: unmatched bracket"),
            '=' | '!' | '<' | '>' if open.is_empty() => {
                if rest[1..].starts_with('=') {
                    at += 2;
                    continue;
                }
                if matches!(c, '<' | '>') {
                    at += 1;
                    continue;
                }
                break;
            }
            ':' | '}' if open.is_empty() => break,
            _ => {}
        }
        at += c.len_utf8();
    }
    if quoted.is_some() {
        return Err("f-string: unterminated string");
    }
    if !open.is_empty() {
        return Err("f-string: a bracket was never closed");
    }
    let (expression, mut rest) = text.split_at(at);
    if expression.trim().is_empty() {
        return Err("f-string: empty expression not allowed");
    }
    parts.push(expression.to_owned());
    if let Some(after) = rest.strip_prefix('=') {
        rest = after.trim_start();
    }
    if let Some(after) = rest.strip_prefix('!') {
        rest = after
            .strip_prefix(['s', 'r', 'a'])
            .ok_or("f-string: invalid conversion character")?;
    }
    if let Some(spec) = rest.strip_prefix(':') {
        let mut level = 0usize;
        let end = spec.find(|c| {
            match c {
                '{' => level += 1,
                '}' if level == 0 => return true,
                '}' => level -= 1,
                _ => {}
            }
            false
        });
        let end = end.ok_or("f-string: expecting '}'")?;
        scan_format(&spec[..end], depth + 1, literal, parts)?;
        rest = &spec[end..];
    }
    rest.strip_prefix('}').ok_or("f-string: expecting '}'")
}

/// A number token and its length.
pub(super) fn number(source: &str) -> Result<(Literal, usize), &'static str> {
    let bytes = source.as_bytes();
    let radix = match bytes.get(1).map(u8::to_ascii_lowercase) {
        Some(b'x') => 16,
        Some(b'o') => 8,
        Some(b'b') => 2,
        _ => 10,
    };
    let value = |value: Value| Literal::Value(value);
    if bytes[0] == b'0' && radix != 10 {
        let mut digits = String::new();
        let mut at = 2;
        loop {
            at += usize::from(bytes.get(at) == Some(&b'_'));
            let run = bytes[at..]
                .iter()
                .take_while(|b| char::from(**b).is_digit(radix))
                .count();
            if run == 0 {
                return Err("an invalid number");
            }
            digits.push_str(&source[at..at + run]);
            at += run;
            if bytes.get(at) != Some(&b'_') {
                break;
            }
        }
        if bytes.get(at).is_some_and(u8::is_ascii_digit) {
            return Err("an invalid digit");
        }
        follow(&source[at..])?;
        let n = BigInt::parse_bytes(digits.as_bytes(), radix).ok_or("an invalid number")?;
        return Ok((value(Int::from(n).into()), at));
    }
    let run = |mut at: usize| -> Result<usize, &'static str> {
        loop {
            let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return Err("an invalid decimal literal");
            }
            at += digits;
            if bytes.get(at) != Some(&b'_') {
                return Ok(at);
            }
            at += 1;
        }
    };
    let mut at = 0;
    if bytes[0] != b'.' {
        at = run(0)?;
    }
    let whole = at;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        if bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at = run(at)?;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            at = run(at + 1 + sign)?;
        } else if sign == 1 {
            return Err("an invalid decimal literal");
        }
    }
    let digits = source[..at].replace('_', "");
    if matches!(bytes.get(at), Some(b'j' | b'J')) {
        follow(&source[at + 1..])?;
        let x: f64 = digits.parse().map_err(|_| "an invalid number")?;
        let shown = float_repr(x);
        let repr = format!("{}j", shown.strip_suffix(".0").unwrap_or(&shown));
        return Ok((
            value(
                Opaque {
                    type_name: "complex",
                    repr,
                }
                .into(),
            ),
            at + 1,
        ));
    }
    follow(&source[at..])?;
    if at > whole {
        let x: f64 = digits.parse().map_err(|_| "an invalid number")?;
        return Ok((value(x.into()), at));
    }
    if digits.starts_with('0') && digits.bytes().any(|b| b != b'0') {
        return Err("leading zeros in decimal integer literals are not permitted");
    }
    if digits.len() > MAX_INT_DIGITS {
        return Err("an integer of too many digits");
    }
    let n = text::int(&digits).ok_or("an invalid number")?;
    Ok((value(n.into()), at))
}

/// A number may only touch a keyword that can follow it.
fn follow(rest: &str) -> Result<(), &'static str> {
    let touches = rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii());
    let keyword = ["and", "else", "for", "if", "in", "is", "or", "not"]
        .iter()
        .any(|word| rest.starts_with(word));
    if touches && !keyword {
        Err("an invalid decimal literal")
    } else {
        Ok(())
    }
}
