//! Reading an expression: Python's grammar, as far as digits, `+-*/().` and spaces reach.

use crate::raised::{Outcome, Raised, raise};
use num_bigint::BigInt;

/// A step of the stack machine that an expression becomes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Int(BigInt),
    Float(f64),
    EmptyTuple,
    Ellipsis,
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Power,
    Plus,
    Minus,
    /// Call what lies under this many arguments.
    Call(usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Int(BigInt),
    Float(f64),
    Ellipsis,
    Dot,
    Open,
    Close,
    Operator(&'static str),
    End,
}

/// CPython's limit.
const MAX_LEVEL: usize = 200;

fn error(what: &str) -> Raised {
    Raised(format!("{what} (<string>, line 1)"))
}

/// The steps, in the order in which they run.
pub(super) fn parse(text: &str) -> Outcome<Vec<Op>> {
    let text = text.trim_start_matches(' ');
    if text.is_empty() {
        return raise("invalid syntax (<string>, line 0)");
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        level: 0,
        ops: vec![],
    };
    parser.expression()?;
    match parser.peek() {
        Token::End => Ok(parser.ops),
        _ => Err(parser.unexpected(true)),
    }
}

/// All tokens; what the tokenizer itself refuses comes before any error of the grammar.
fn tokens(text: &str) -> Outcome<Vec<Token>> {
    let (mut tokens, mut rest, mut level) = (vec![], text, 0usize);
    while let Some(first) = rest.chars().next() {
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(rest);
        let point = rest[whole..].starts_with('.');
        let decimals = if point { digits(&rest[whole + 1..]) } else { 0 };
        let (token, length) = if whole + decimals > 0 {
            let length = whole + usize::from(point) + decimals;
            let number = &rest[..length];
            if point {
                (Token::Float(format!("0{number}0").parse().unwrap_or(f64::NAN)), length)
            } else if number.starts_with('0') && number.bytes().any(|b| b != b'0') {
                return Err(error(
                    "leading zeros in decimal integer literals are not permitted; use an 0o prefix for octal integers",
                ));
            } else {
                (
                    Token::Int(BigInt::parse_bytes(number.as_bytes(), 10).unwrap_or_default()),
                    length,
                )
            }
        } else {
            match first {
                ' ' => {
                    rest = &rest[1..];
                    continue;
                }
                '(' => {
                    level += 1;
                    if level > MAX_LEVEL {
                        return Err(error("too many nested parentheses"));
                    }
                    (Token::Open, 1)
                }
                ')' => {
                    level = level.checked_sub(1).ok_or_else(|| error("unmatched ')'"))?;
                    (Token::Close, 1)
                }
                '.' if rest.starts_with("...") => (Token::Ellipsis, 3),
                '.' => (Token::Dot, 1),
                _ => {
                    let known = ["**", "//", "*", "/", "+", "-"]
                        .into_iter()
                        .find(|o| rest.starts_with(o));
                    let operator = known.ok_or_else(|| error("invalid syntax"))?;
                    (Token::Operator(operator), operator.len())
                }
            }
        };
        tokens.push(token);
        rest = &rest[length..];
    }
    tokens.push(Token::End);
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    level: usize,
    ops: Vec<Op>,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn take(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        let Token::Operator(operator) = *self.peek() else {
            return None;
        };
        let operator = operators.contains(&operator).then_some(operator)?;
        self.at += 1;
        Some(operator)
    }

    /// The error at the current token; `after` says whether it follows a whole expression.
    fn unexpected(&self, after: bool) -> Raised {
        error(match self.peek() {
            Token::End if self.level > 0 => "'(' was never closed",
            Token::Int(_) | Token::Float(_) | Token::Ellipsis if after && self.level > 0 => {
                "invalid syntax. Perhaps you forgot a comma?"
            }
            _ => "invalid syntax",
        })
    }

    fn expression(&mut self) -> Outcome<()> {
        self.term()?;
        while let Some(operator) = self.take(&["+", "-"]) {
            self.term()?;
            self.ops.push(if operator == "+" { Op::Add } else { Op::Subtract });
        }
        Ok(())
    }

    fn term(&mut self) -> Outcome<()> {
        self.factor()?;
        while let Some(operator) = self.take(&["*", "/", "//"]) {
            self.factor()?;
            self.ops.push(match operator {
                "*" => Op::Multiply,
                "/" => Op::Divide,
                _ => Op::FloorDivide,
            });
        }
        Ok(())
    }

    /// Signs and powers, both of which lean to the right; without recursion, since their number has no limit.
    fn factor(&mut self) -> Outcome<()> {
        let mut pending = vec![];
        loop {
            while let Some(sign) = self.take(&["+", "-"]) {
                pending.push(if sign == "+" { Op::Plus } else { Op::Minus });
            }
            self.primary()?;
            if self.take(&["**"]).is_none() {
                break;
            }
            pending.push(Op::Power);
        }
        pending.reverse();
        self.ops.extend(pending);
        Ok(())
    }

    fn primary(&mut self) -> Outcome<()> {
        let token = self.peek().clone();
        match token {
            Token::Int(n) => self.ops.push(Op::Int(n)),
            Token::Float(f) => self.ops.push(Op::Float(f)),
            Token::Ellipsis => self.ops.push(Op::Ellipsis),
            Token::Open => {
                if self.parenthesis()? == 0 {
                    self.ops.push(Op::EmptyTuple);
                }
                return self.calls();
            }
            _ => return Err(self.unexpected(false)),
        }
        self.at += 1;
        self.calls()
    }

    fn calls(&mut self) -> Outcome<()> {
        while *self.peek() == Token::Open {
            let arguments = self.parenthesis()?;
            self.ops.push(Op::Call(arguments));
        }
        if *self.peek() == Token::Dot {
            // An attribute: its name can only be missing.
            self.at += 1;
            return Err(self.unexpected(false));
        }
        Ok(())
    }

    /// What stands in parentheses; how many expressions that are (none or one: there are no commas).
    fn parenthesis(&mut self) -> Outcome<usize> {
        self.at += 1;
        self.level += 1;
        let mut count = 0;
        if *self.peek() != Token::Close {
            self.expression()?;
            count = 1;
        }
        if *self.peek() != Token::Close {
            return Err(self.unexpected(count > 0));
        }
        self.at += 1;
        self.level -= 1;
        Ok(count)
    }
}
