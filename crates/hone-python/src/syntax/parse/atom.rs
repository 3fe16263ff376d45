//! What stands alone: literals, names, and what brackets enclose.

use super::super::SyntaxError;
use super::super::ast::{Expr, Literal, Other};
use super::super::lex::Token;
use super::super::literal::Piece;
use super::{BIT_OR, Parser, Result, nested};
use crate::repr::bytes_repr;
use crate::{Opaque, Value};

impl Parser<'_> {
    pub(super) fn atom(&mut self) -> Result<Expr> {
        match *self.peek() {
            Token::Number(_) => match self.take() {
                Token::Number(literal) => Ok(Expr::Literal(literal)),
                _ => Err(self.error("unexpected end")),
            },
            Token::Str(_) => self.strings(),
            Token::Op("(") => {
                self.at += 1;
                self.group()
            }
            Token::Op("[") => {
                let from = self.at;
                self.at += 1;
                let (items, comprehension) = self.items("]")?;
                Ok(if comprehension {
                    self.other(Other::Comprehension, from)
                } else {
                    Expr::List(items)
                })
            }
            Token::Op("{") => {
                self.at += 1;
                self.braces()
            }
            Token::Op("...") => {
                self.at += 1;
                Ok(Expr::Literal(Literal::Ellipsis))
            }
            Token::Name(word) => {
                let value = match word {
                    "None" => Value::None,
                    "True" => Value::Bool(true),
                    "False" => Value::Bool(false),
                    _ => {
                        let name = self.identifier();
                        return name
                            .map(Expr::Name)
                            .ok_or_else(|| self.error("a keyword where a value should be"));
                    }
                };
                self.at += 1;
                Ok(Expr::Literal(Literal::Value(value)))
            }
            Token::End => Err(self.error("unexpected end")),
            Token::Op(_) => Err(self.error("an operator where a value should be")),
        }
    }

    fn strings(&mut self) -> Result<Expr> {
        let from = self.at;
        let mut text: Option<String> = None;
        let mut bytes: Option<Vec<u8>> = None;
        let mut format = false;
        while matches!(self.peek(), Token::Str(_)) {
            let Token::Str(piece) = self.take() else { break };
            match piece {
                Piece::Text(part) => match &mut text {
                    Some(text) => text.push_str(&part),
                    None => text = Some(part),
                },
                Piece::Bytes(part) => bytes.get_or_insert_default().extend(part),
                Piece::Format(parts) => {
                    format = true;
                    for part in parts {
                        let depth = self.depth + 2;
                        // Within braces, line breaks are as within brackets.
                        let inner = format!("({part})");
                        nested(&inner, depth).map_err(|e| SyntaxError {
                            what: e.what,
                            ..self.error("")
                        })?;
                    }
                    text.get_or_insert_default();
                }
            }
        }
        match (text, bytes) {
            (Some(_), Some(_)) => Err(self.error("cannot mix bytes and nonbytes literals")),
            (None, Some(bytes)) => {
                let bytes = Opaque {
                    type_name: "bytes",
                    repr: bytes_repr(&bytes),
                };
                Ok(Expr::Literal(Literal::Value(bytes.into())))
            }
            _ if format => Ok(self.other(Other::Format, from)),
            (text, None) => Ok(Expr::Literal(Literal::Value(Value::Str(text.unwrap_or_default())))),
        }
    }

    /// Behind `(`.
    fn group(&mut self) -> Result<Expr> {
        let from = self.at - 1;
        if self.op(")") {
            return Ok(Expr::Tuple(vec![]));
        }
        if self.word("yield") {
            if self.word("from") {
                self.expression()?;
            } else if !self.peek_op(")") {
                self.starred_or_expression()?;
                while self.op(",") {
                    if self.peek_op(")") {
                        break;
                    }
                    self.starred_or_expression()?;
                }
            }
            self.expect(")", "expected ')'")?;
            return Ok(self.other(Other::Yield, from));
        }
        let first = self.starred_or_named()?;
        if self.peek_word("for") || self.peek_word("async") {
            self.comprehension(&first)?;
            self.expect(")", "expected ')'")?;
            return Ok(self.other(Other::Comprehension, from));
        }
        if self.op(")") {
            return match first {
                Expr::Starred(_) => Err(self.error("cannot use starred expression here")),
                other => Ok(other),
            };
        }
        let mut items = vec![first];
        while self.op(",") {
            if self.peek_op(")") {
                break;
            }
            items.push(self.starred_or_named()?);
        }
        self.expect(")", "expected ')'")?;
        Ok(Expr::Tuple(items))
    }

    fn starred_or_expression(&mut self) -> Result<Expr> {
        if self.op("*") {
            self.binary(BIT_OR)
        } else {
            self.expression()
        }
    }

    /// Items up to a closing bracket; or one comprehension.
    fn items(&mut self, close: &str) -> Result<(Vec<Expr>, bool)> {
        if self.op(close) {
            return Ok((vec![], false));
        }
        let first = self.starred_or_named()?;
        self.rest_of_items(first, close)
    }

    /// Behind the first item.
    fn rest_of_items(&mut self, first: Expr, close: &str) -> Result<(Vec<Expr>, bool)> {
        if self.peek_word("for") || self.peek_word("async") {
            self.comprehension(&first)?;
            self.expect(close, "expected a closing bracket")?;
            return Ok((vec![], true));
        }
        let mut items = vec![first];
        while !self.op(close) {
            self.expect(",", "expected ',' or a closing bracket")?;
            if self.op(close) {
                break;
            }
            items.push(self.starred_or_named()?);
        }
        Ok((items, false))
    }

    /// Behind `{`.
    fn braces(&mut self) -> Result<Expr> {
        let from = self.at - 1;
        if self.op("}") {
            return Ok(Expr::Dict(vec![]));
        }
        let mut entries = vec![];
        let mut first = None;
        if !self.peek_op("**") {
            let item_only = self.peek_op("*") || matches!(self.peek_at(1), Token::Op(":="));
            let item = self.starred_or_named()?;
            if item_only || !self.peek_op(":") {
                let (items, comprehension) = self.rest_of_items(item, "}")?;
                return Ok(if comprehension {
                    self.other(Other::Comprehension, from)
                } else {
                    Expr::Set(items)
                });
            }
            first = Some(item);
        }
        while first.is_some() || !self.op("}") {
            if first.is_none() && self.op("**") {
                entries.push((None, self.binary(BIT_OR)?));
            } else {
                let key = match first.take() {
                    Some(key) => key,
                    None => self.expression()?,
                };
                self.expect(":", "expected ':'")?;
                let value = self.expression()?;
                if entries.is_empty() && (self.peek_word("for") || self.peek_word("async")) {
                    self.comprehension(&value)?;
                    self.expect("}", "expected '}'")?;
                    return Ok(self.other(Other::Comprehension, from));
                }
                entries.push((Some(key), value));
            }
            if !self.peek_op("}") {
                self.expect(",", "expected ',' or '}'")?;
            }
        }
        Ok(Expr::Dict(entries))
    }
}
