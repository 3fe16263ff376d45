//! The grammar of expressions.

mod atom;
mod call;
mod scope;

use super::ast::{BinaryOp, Call, CompareOp, Expr, Literal, Other, UnaryOp};
use super::lex::{Token, tokens};
use super::literal::Piece;
use super::{MAX_NESTING, SyntaxError};
use crate::Value;

pub(super) fn is_keyword(name: &str) -> bool {
    // The longest has eight letters: all are compared as numbers, at once.
    name.len() <= 8 && KEYWORDS.contains(&packed(name))
}

/// The first eight bytes of a word as a number.
const fn packed(word: &str) -> u64 {
    let (bytes, mut packed, mut at) = (word.as_bytes(), 0, 0);
    while at < bytes.len() && at < 8 {
        packed |= (bytes[at] as u64) << (8 * at);
        at += 1;
    }
    packed
}

const KEYWORDS: [u64; 35] = [
    packed("False"),
    packed("None"),
    packed("True"),
    packed("and"),
    packed("as"),
    packed("assert"),
    packed("async"),
    packed("await"),
    packed("break"),
    packed("class"),
    packed("continue"),
    packed("def"),
    packed("del"),
    packed("elif"),
    packed("else"),
    packed("except"),
    packed("finally"),
    packed("for"),
    packed("from"),
    packed("global"),
    packed("if"),
    packed("import"),
    packed("in"),
    packed("is"),
    packed("lambda"),
    packed("nonlocal"),
    packed("not"),
    packed("or"),
    packed("pass"),
    packed("raise"),
    packed("return"),
    packed("try"),
    packed("while"),
    packed("with"),
    packed("yield"),
];

// How tightly operators bind.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const COMPARE: u8 = 4;
const BIT_OR: u8 = 5;

/// Links of a chain (`a.b().c[0]`) that are free; what is longer counts against [`MAX_CHAIN`].
const FREE_LINKS: usize = 8;
/// Operators and further links in the whole source: each makes the tree one level deeper to the left.
const MAX_CHAIN: usize = 1000;

/// The tree of one expression, as `ast.parse(source, mode="eval")` accepts it.
///
/// # Errors
/// Where Python raises `SyntaxError`; also for a source beyond [`MAX_SOURCE`](crate::MAX_SOURCE), nesting beyond
/// [`MAX_NESTING`], and `\N{…}` escapes. Identifiers are not normalised (NFKC).
pub fn parse(source: &str) -> Result<Expr, SyntaxError> {
    nested(source, 0)
}

fn nested(source: &str, depth: usize) -> Result<Expr, SyntaxError> {
    let lines;
    let source = if source.contains('\r') {
        lines = source.replace("\r\n", "\n").replace('\r', "\n");
        &lines
    } else {
        source
    };
    let mut parser = Parser {
        source,
        tokens: tokens(source)?,
        at: 0,
        depth,
        chained: 0,
    };
    let first = parser.expression()?;
    let expr = if parser.peek_op(",") {
        let mut items = vec![first];
        while parser.op(",") {
            if parser.peek() == &Token::End {
                break;
            }
            items.push(parser.expression()?);
        }
        Expr::Tuple(items)
    } else {
        first
    };
    if parser.peek() != &Token::End {
        return Err(parser.error("something that does not belong here"));
    }
    Ok(expr)
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<(usize, Token<'a>)>,
    at: usize,
    depth: usize,
    chained: usize,
}

type Result<T, E = SyntaxError> = std::result::Result<T, E>;

impl<'a> Parser<'a> {
    fn peek(&self) -> &Token<'a> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token<'a> {
        self.tokens.get(self.at + ahead).map_or(&Token::End, |(_, token)| token)
    }

    fn error(&self, what: &'static str) -> SyntaxError {
        let at = self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(at, _)| *at);
        SyntaxError { at, what }
    }

    /// The source from a token on up to the next one.
    fn source_from(&self, token: usize) -> String {
        let start = |token: usize| self.tokens.get(token).map_or(self.source.len(), |(at, _)| *at);
        self.source
            .get(start(token)..start(self.at))
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    }

    fn other(&self, kind: Other, from: usize) -> Expr {
        Expr::Other(kind, self.source_from(from))
    }

    #[inline(always)]
    fn peek_op(&self, op: &str) -> bool {
        matches!(self.peek(), Token::Op(found) if *found == op)
    }

    #[inline(always)]
    fn op(&mut self, op: &str) -> bool {
        let found = self.peek_op(op);
        self.at += usize::from(found);
        found
    }

    #[inline(always)]
    fn peek_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if *found == word)
    }

    #[inline(always)]
    fn word(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, op: &str, what: &'static str) -> Result<()> {
        if self.op(op) { Ok(()) } else { Err(self.error(what)) }
    }

    fn identifier(&mut self) -> Option<String> {
        let Token::Name(name) = *self.peek() else { return None };
        if is_keyword(name) {
            return None;
        }
        self.at += 1;
        Some(name.to_owned())
    }

    fn chain(&mut self) -> Result<()> {
        self.chained += 1;
        if self.chained > MAX_CHAIN {
            Err(self.error("too many operators"))
        } else {
            Ok(())
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        // A bracket may cost two levels here; CPython counts the brackets alone and the tokens have been checked for it.
        if self.depth >= 2 * MAX_NESTING + 8 {
            return Err(self.error("nested too deeply"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A conditional, a lambda or anything that binds more tightly.
    fn expression(&mut self) -> Result<Expr> {
        match self.simple() {
            Some(simple) => Ok(simple),
            None => self.deeper(Self::expression_here),
        }
    }

    /// A literal or a name that stands alone: what most arguments are.
    fn simple(&mut self) -> Option<Expr> {
        let alone = matches!(self.peek_at(1), Token::Op("," | ")" | "]" | "}" | ":"));
        if !alone
            || !matches!(
                self.peek(),
                Token::Number(_) | Token::Str(Piece::Text(_)) | Token::Name(_)
            )
        {
            return None;
        }
        let value = match *self.peek() {
            Token::Name("None") => Some(Value::None),
            Token::Name("True") => Some(true.into()),
            Token::Name("False") => Some(false.into()),
            Token::Name(name) if is_keyword(name) => return None,
            Token::Name(name) => {
                self.at += 1;
                return Some(Expr::Name(name.to_owned()));
            }
            _ => None,
        };
        let literal = match (value, self.take()) {
            (Some(value), _) => Literal::Value(value),
            (None, Token::Number(literal)) => literal,
            (None, Token::Str(Piece::Text(text))) => Literal::Value(text.into()),
            // Nothing else has come this far.
            _ => return None,
        };
        Some(Expr::Literal(literal))
    }

    /// The token here, which is not looked at again.
    fn take(&mut self) -> Token<'a> {
        let token = self.tokens.get_mut(self.at);
        let token = token.map_or(Token::End, |(_, token)| std::mem::replace(token, Token::End));
        self.at += 1;
        token
    }

    fn expression_here(&mut self) -> Result<Expr> {
        if self.peek_word("lambda") {
            return self.lambda();
        }
        let body = self.binary(OR)?;
        if !self.word("if") {
            return Ok(body);
        }
        let test = self.binary(OR)?;
        if !self.word("else") {
            return Err(self.error("expected 'else' after 'if' expression"));
        }
        let orelse = self.expression()?;
        Ok(Expr::IfElse(test.into(), body.into(), orelse.into()))
    }

    /// An expression, or `name := expression`.
    fn named(&mut self) -> Result<Expr> {
        if matches!(self.peek_at(1), Token::Op(":=")) {
            let name = self
                .identifier()
                .ok_or_else(|| self.error("only a name can be assigned to"))?;
            self.at += 1;
            return Ok(Expr::Named(name, self.expression()?.into()));
        }
        self.expression()
    }

    fn starred_or_named(&mut self) -> Result<Expr> {
        if self.op("*") {
            return Ok(Expr::Starred(self.binary(BIT_OR)?.into()));
        }
        self.named()
    }

    /// Operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Result<Expr> {
        self.deeper(|parser| parser.binary_here(least))
    }

    fn binary_here(&mut self, least: u8) -> Result<Expr> {
        let mut left = if least <= NOT && self.word("not") {
            Expr::Unary(UnaryOp::Not, self.binary(NOT)?.into())
        } else {
            self.unary()?
        };
        loop {
            let Some((binds, op)) = self.operator() else {
                return Ok(left);
            };
            if binds < least {
                return Ok(left);
            }
            self.chain()?;
            match op {
                Operator::Or | Operator::And => {
                    let (word, binds) = if op == Operator::Or { ("or", OR) } else { ("and", AND) };
                    let mut items = vec![left];
                    while self.word(word) {
                        items.push(self.binary(binds + 1)?);
                    }
                    left = if binds == OR { Expr::Or(items) } else { Expr::And(items) };
                }
                Operator::Compare => {
                    let mut rest = vec![];
                    while let Some(op) = self.comparison() {
                        rest.push((op, self.binary(BIT_OR)?));
                    }
                    left = Expr::Compare(left.into(), rest);
                }
                Operator::Binary(op) => {
                    self.at += 1;
                    let right = self.binary(binds + 1)?;
                    left = Expr::Binary(op, left.into(), right.into());
                }
            }
        }
    }

    fn operator(&self) -> Option<(u8, Operator)> {
        use BinaryOp::*;
        let binary = |binds, op| Some((binds, Operator::Binary(op)));
        match self.peek() {
            Token::Name(word) => match *word {
                "or" => Some((OR, Operator::Or)),
                "and" => Some((AND, Operator::And)),
                "in" | "is" => Some((COMPARE, Operator::Compare)),
                "not" if matches!(self.peek_at(1), Token::Name("in")) => Some((COMPARE, Operator::Compare)),
                _ => None,
            },
            Token::Op(op) => match *op {
                "==" | "!=" | "<" | "<=" | ">" | ">=" => Some((COMPARE, Operator::Compare)),
                "|" => binary(BIT_OR, Or),
                "^" => binary(BIT_OR + 1, Xor),
                "&" => binary(BIT_OR + 2, And),
                "<<" => binary(BIT_OR + 3, Shl),
                ">>" => binary(BIT_OR + 3, Shr),
                "+" => binary(BIT_OR + 4, Add),
                "-" => binary(BIT_OR + 4, Sub),
                "*" => binary(BIT_OR + 5, Mul),
                "@" => binary(BIT_OR + 5, MatMul),
                "/" => binary(BIT_OR + 5, Div),
                "//" => binary(BIT_OR + 5, FloorDiv),
                "%" => binary(BIT_OR + 5, Mod),
                _ => None,
            },
            _ => None,
        }
    }

    fn comparison(&mut self) -> Option<CompareOp> {
        use CompareOp::*;
        let (op, len) = match self.peek() {
            Token::Op("==") => (Eq, 1),
            Token::Op("!=") => (NotEq, 1),
            Token::Op("<") => (Less, 1),
            Token::Op("<=") => (LessEq, 1),
            Token::Op(">") => (Greater, 1),
            Token::Op(">=") => (GreaterEq, 1),
            Token::Name("in") => (In, 1),
            Token::Name("is") => match self.peek_at(1) {
                Token::Name("not") => (IsNot, 2),
                _ => (Is, 1),
            },
            Token::Name("not") => match self.peek_at(1) {
                Token::Name("in") => (NotIn, 2),
                _ => return None,
            },
            _ => return None,
        };
        self.at += len;
        Some(op)
    }

    /// `+ - ~` and what binds more tightly.
    fn unary(&mut self) -> Result<Expr> {
        let op = match self.peek() {
            Token::Op("-") => UnaryOp::Minus,
            Token::Op("+") => UnaryOp::Plus,
            Token::Op("~") => UnaryOp::Invert,
            _ => return self.power(),
        };
        self.at += 1;
        let operand = self.deeper(Self::unary)?;
        Ok(Expr::Unary(op, operand.into()))
    }

    fn power(&mut self) -> Result<Expr> {
        let awaited = self.word("await");
        let mut base = self.primary()?;
        if awaited {
            base = Expr::Await(base.into());
        }
        if !self.op("**") {
            return Ok(base);
        }
        let exponent = self.deeper(Self::unary)?;
        Ok(Expr::Binary(BinaryOp::Pow, base.into(), exponent.into()))
    }

    fn primary(&mut self) -> Result<Expr> {
        let mut expr = self.atom()?;
        let mut links = 0;
        loop {
            links += 1;
            if links > FREE_LINKS {
                self.chain()?;
            }
            if self.op(".") {
                let attr = self
                    .identifier()
                    .ok_or_else(|| self.error("expected a name after '.'"))?;
                expr = Expr::Attribute(expr.into(), attr);
            } else if self.op("(") {
                let (args, keywords) = self.arguments()?;
                expr = Expr::Call(Call {
                    func: expr.into(),
                    args,
                    keywords,
                });
            } else if self.op("[") {
                let slice = self.slices()?;
                expr = Expr::Subscript(expr.into(), slice.into());
            } else {
                return Ok(expr);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Or,
    And,
    Compare,
    Binary(BinaryOp),
}
