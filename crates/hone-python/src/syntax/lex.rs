//! Tokens.

use super::literal::{self, Piece};
use super::{Literal, MAX_NESTING, MAX_SOURCE, SyntaxError};

#[derive(Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name or a keyword.
    Name(&'a str),
    Number(Literal),
    Str(Piece),
    Op(&'static str),
    End,
}

/// Of more than one character, longest first.
const LONG: &[&str] = &[
    "**=", "//=", ">>=", "<<=", "...", "!=", "<>", "**", "//", ">>", "<<", "<=", ">=", "==", "->", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "@=", ":=",
];

const SHORT: &str = "+-*/%@<>()[]{},:.;=&|^~";

fn operator(source: &str) -> Option<&'static str> {
    let long = matches!(source.as_bytes().get(1), Some(b'=' | b'*' | b'/' | b'<' | b'>' | b'.'));
    let fits = |op: &&str| source.starts_with(*op);
    if long && let Some(op) = LONG.iter().copied().find(fits) {
        return Some(op);
    }
    let at = SHORT
        .as_bytes()
        .iter()
        .position(|op| source.as_bytes().first() == Some(op))?;
    SHORT.get(at..=at)
}

/// The tokens of one expression with the places where they start; the last is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(usize, Token<'_>)>, SyntaxError> {
    let error = |at, what| Err(SyntaxError { at, what });
    if source.len() > MAX_SOURCE {
        return error(0, "longer than the limit of 1 MiB");
    }
    if source.contains('\0') {
        return error(0, "a null byte");
    }
    let mut tokens = Vec::with_capacity((source.len() / 5 + 4).min(20));
    let mut open: Vec<char> = vec![];
    let mut at = 0;
    let mut line_start = true;
    let mut ended = false;
    loop {
        let rest = &source[at..];
        let Some(c) = rest.chars().next() else { break };
        if c == '\n' {
            // A line of its own ends the expression, unless nothing has begun or a bracket is open.
            ended |= open.is_empty() && !tokens.is_empty();
            line_start = true;
            at += 1;
            continue;
        }
        if matches!(c, ' ' | '\t' | '\u{c}') {
            let blank = rest.find(|c| !matches!(c, ' ' | '\t' | '\u{c}')).unwrap_or(rest.len());
            let after = rest[blank..].chars().next();
            let indented = !rest[..blank].ends_with('\u{c}');
            if line_start && indented && open.is_empty() && !ended && !matches!(after, None | Some('\n' | '#')) {
                return error(at, "unexpected indent");
            }
            at += blank;
            continue;
        }
        if c == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if c == '\\' {
            if !rest.starts_with("\\\n") {
                return error(at, "unexpected character after line continuation character");
            }
            at += 2;
            if at == source.len() {
                return error(at, "unexpected end after a line continuation");
            }
            line_start = false;
            continue;
        }
        line_start = false;
        if ended {
            return error(at, "more than one expression");
        }
        let from = at;
        let quoted = matches!(c, '\'' | '"' | 'r' | 'R' | 'u' | 'U' | 'b' | 'B' | 'f' | 'F');
        if quoted && let Some((piece, len)) = literal::string(rest).map_err(|what| SyntaxError { at, what })? {
            at += len;
            tokens.push((from, Token::Str(piece)));
        } else if c == '_' || unicode_ident::is_xid_start(c) {
            let simple = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
            let ascii = rest.bytes().position(|b| !simple(&b)).unwrap_or(rest.len());
            let beyond = |c| !unicode_ident::is_xid_continue(c);
            let len = ascii + rest[ascii..].find(beyond).unwrap_or(rest.len() - ascii);
            at += len;
            tokens.push((from, Token::Name(&rest[..len])));
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let (number, len) = literal::number(rest).map_err(|what| SyntaxError { at, what })?;
            at += len;
            tokens.push((from, Token::Number(number)));
        } else if let Some(op) = operator(rest) {
            at += op.len();
            match c {
                '(' | '[' | '{' => {
                    if open.len() >= MAX_NESTING {
                        return error(from, "too many nested parentheses");
                    }
                    open.push(c);
                }
                ')' | ']' | '}' => {
                    let opened = open.pop();
                    if !matches!((opened, c), (Some('('), ')') | (Some('['), ']') | (Some('{'), '}')) {
                        return error(from, "a closing bracket that does not match");
                    }
                }
                _ => {}
            }
            tokens.push((from, Token::Op(op)));
        } else {
            return error(at, "an invalid character");
        }
    }
    if !open.is_empty() {
        return error(at, "a bracket was never closed");
    }
    tokens.push((at, Token::End));
    Ok(tokens)
}
