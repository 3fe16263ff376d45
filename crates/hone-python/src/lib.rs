//! Python's values and call syntax, for suites whose definitions are written in Python.
//!
//! A benchmark whose tools and checks are Python code compares with Python's `==`, shows results as `str` and `repr`
//! print them, hashes what `json.dumps` writes and reads answers as Python calls. This crate is those rules, once:
//!
//! * [`Value`]: equality (`1 == 1.0 == True`, order of a dictionary ignored), truth, `repr`, `str`, type names;
//! * [`loads`] and [`dumps`]: `json.loads` and `json.dumps`, byte for byte;
//! * [`text`]: `str.strip`, `int(text)`, `float(text)`;
//! * [`parse`]: an expression's syntax tree, [`Expr::unparse`] (`ast.unparse`) and [`constant`] (an expression of literals
//!   and operators, evaluated);
//! * [`plain_calls`]: the same for calls of literals and names, which most answers are, in a fraction of the time.
//!
//! Invariants:
//! * The rules are those of CPython 3.11; tests compare with it.
//! * Input is hostile: size, nesting and the size of results are bounded, and nothing is ever executed.
//!
//! Deliberately not here: statements, names that stand for values, calls that are run. Lone surrogates become U+FFFD,
//! since a Rust string cannot hold them.

mod arith;
mod dict;
mod float;
mod int;
mod json_read;
mod json_write;
mod repr;
mod serde_impl;
mod syntax;
pub mod text;
mod value;

pub use arith::Undefined;
pub use dict::{Dict, Unhashable};
pub use float::float_repr;
pub use int::Int;
pub use json_read::{JsonError, loads};
pub use json_write::{DumpOptions, NotSerializable, dumps};
pub use syntax::{
    BinaryOp, Call, CompareOp, Expr, Keyword, Literal, MAX_NESTING, MAX_SOURCE, SyntaxError, UnaryOp, parse,
};
pub use syntax::{NotConstant, Other, constant};
pub use syntax::{Plain, PlainCall, plain_call, plain_calls};
pub use value::{Opaque, Value};
