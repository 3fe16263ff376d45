//! What binds names of its own: comprehensions and lambdas. They are checked, and kept as source text only.

use super::super::ast::{Expr, Other};
use super::{OR, Parser, Result};

impl Parser<'_> {
    /// `for target in iterable if condition`, once or more.
    pub(super) fn comprehension(&mut self, item: &Expr) -> Result<()> {
        if matches!(item, Expr::Starred(_)) {
            return Err(self.error("iterable unpacking cannot be used in comprehension"));
        }
        while self.peek_word("for") || self.peek_word("async") {
            self.word("async");
            if !self.word("for") {
                return Err(self.error("expected 'for'"));
            }
            self.targets()?;
            if !self.word("in") {
                return Err(self.error("expected 'in'"));
            }
            self.binary(OR)?;
            while self.word("if") {
                self.binary(OR)?;
            }
        }
        Ok(())
    }

    fn targets(&mut self) -> Result<()> {
        let mut first = true;
        while first || self.op(",") {
            if !first && self.peek_word("in") {
                break;
            }
            self.op("*");
            let target = self.deeper(Self::primary)?;
            if !assignable(&target) {
                return Err(self.error("cannot assign to this"));
            }
            first = false;
        }
        Ok(())
    }

    pub(super) fn lambda(&mut self) -> Result<Expr> {
        let from = self.at;
        self.at += 1;
        let (mut defaults, mut star, mut names_after_star, mut slash, mut any) = (false, false, true, false, false);
        while !self.op(":") {
            if self.op("**") {
                self.identifier().ok_or_else(|| self.error("expected a parameter"))?;
                self.op(",");
                if star && !names_after_star {
                    return Err(self.error("named arguments must follow bare *"));
                }
                self.expect(":", "expected ':'")?;
                self.expression()?;
                return Ok(self.other(Other::Lambda, from));
            }
            if self.op("*") {
                if star {
                    return Err(self.error("* argument may appear only once"));
                }
                star = true;
                names_after_star = self.identifier().is_some();
            } else if self.op("/") {
                if slash || star || !any {
                    return Err(self.error("misplaced '/'"));
                }
                slash = true;
            } else {
                self.identifier().ok_or_else(|| self.error("expected a parameter"))?;
                names_after_star = true;
                any = true;
                if self.op("=") {
                    self.expression()?;
                    defaults |= !star;
                } else if defaults && !star {
                    return Err(self.error("non-default argument follows default argument"));
                }
            }
            if !self.peek_op(":") {
                self.expect(",", "expected ',' or ':'")?;
            }
        }
        if star && !names_after_star {
            return Err(self.error("named arguments must follow bare *"));
        }
        self.expression()?;
        Ok(self.other(Other::Lambda, from))
    }
}

fn assignable(target: &Expr) -> bool {
    match target {
        Expr::Name(_) | Expr::Attribute(..) | Expr::Subscript(..) => true,
        Expr::List(items) | Expr::Tuple(items) => items
            .iter()
            .all(|item| assignable(if let Expr::Starred(inner) = item { inner } else { item })),
        _ => false,
    }
}
