//! Expressions: their tokens, their tree, what they print as and, where nothing has to be run, their value.

mod ast;
mod constant;
mod lex;
mod literal;
mod parse;
mod plain;
mod unparse;

pub use ast::{BinaryOp, Call, CompareOp, Expr, Keyword, Literal, Other, UnaryOp};
pub use constant::{NotConstant, constant};
pub use parse::parse;
pub use plain::{Plain, PlainCall, plain_call, plain_calls};

/// Levels of nesting at most: CPython's own limit for brackets, here for every kind of nesting.
pub const MAX_NESTING: usize = 200;

/// Size of a source text in bytes at most.
pub const MAX_SOURCE: usize = 1 << 20;

/// A text that is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Python expression at byte {at}: {what}")]
pub struct SyntaxError {
    /// Where, in bytes from the start.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}
