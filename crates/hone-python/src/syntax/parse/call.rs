//! What follows a value: arguments of a call, parts of a subscript.

use super::super::ast::{Expr, Keyword, Other};
use super::super::lex::Token;
use super::{Parser, Result};

impl Parser<'_> {
    pub(super) fn arguments(&mut self) -> Result<(Vec<Expr>, Vec<Keyword>)> {
        let (mut args, mut keywords) = (vec![], vec![]);
        let mut unpacked = false;
        let mut bare_generator = false;
        while !self.op(")") {
            if bare_generator {
                return Err(self.error("a generator expression must be parenthesized"));
            }
            if self.op("**") {
                unpacked = true;
                keywords.push(Keyword {
                    name: None,
                    value: self.expression()?,
                });
            } else if self.op("*") {
                if unpacked {
                    return Err(self.error("iterable argument unpacking follows keyword argument unpacking"));
                }
                args.push(Expr::Starred(self.expression()?.into()));
            } else if matches!((self.peek(), self.peek_at(1)), (Token::Name(_), Token::Op("="))) {
                let name = self
                    .identifier()
                    .ok_or_else(|| self.error("a keyword is no name of an argument"))?;
                self.at += 1;
                keywords.push(Keyword {
                    name: Some(name),
                    value: self.expression()?,
                });
            } else {
                if !keywords.is_empty() {
                    return Err(self.error("positional argument follows keyword argument"));
                }
                let from = self.at;
                let value = self.named()?;
                if self.peek_word("for") || self.peek_word("async") {
                    if !args.is_empty() {
                        return Err(self.error("a generator expression must be parenthesized"));
                    }
                    self.comprehension(&value)?;
                    bare_generator = true;
                    args.push(Expr::Other(
                        Other::Comprehension,
                        format!("({})", self.source_from(from)),
                    ));
                } else {
                    args.push(value);
                }
            }
            if self.peek_op(")") {
                continue;
            }
            self.expect(",", "expected ',' or ')'")?;
            if bare_generator {
                return Err(self.error("a generator expression must be parenthesized"));
            }
        }
        Ok((args, keywords))
    }

    pub(super) fn slices(&mut self) -> Result<Expr> {
        let first = self.slice()?;
        if !self.peek_op(",") && !matches!(first, Expr::Starred(_)) {
            self.expect("]", "expected ']'")?;
            return Ok(first);
        }
        let mut items = vec![first];
        while self.op(",") {
            if self.peek_op("]") {
                break;
            }
            items.push(self.slice()?);
        }
        self.expect("]", "expected ']'")?;
        Ok(Expr::Tuple(items))
    }

    fn slice(&mut self) -> Result<Expr> {
        let mut lower = None;
        if !self.peek_op(":") {
            if self.op("*") {
                return Ok(Expr::Starred(self.expression()?.into()));
            }
            let first = self.named()?;
            if !self.peek_op(":") {
                return Ok(first);
            }
            if matches!(first, Expr::Named(..)) {
                return Err(self.error("an assignment cannot be part of a slice"));
            }
            lower = Some(first.into());
        }
        self.expect(":", "expected ':'")?;
        let part = |parser: &mut Self| -> Result<Option<Box<Expr>>> {
            let none = parser.peek_op(":") || parser.peek_op("]") || parser.peek_op(",");
            if none {
                Ok(None)
            } else {
                Ok(Some(parser.expression()?.into()))
            }
        };
        let upper = part(self)?;
        let step = if self.op(":") { part(self)? } else { None };
        Ok(Expr::Slice(lower, upper, step))
    }
}
