//! The value of an expression of literals.

use super::ast::{Expr, Literal, Other, UnaryOp};
use crate::arith::{self, Undefined};
use crate::{Dict, Value};

/// An expression that cannot be evaluated without running something, or whose evaluation raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConstant {
    /// A name, a call or another kind of expression.
    #[error("a {0} has no value without running it")]
    Kind(&'static str),
    /// An operation that raises in Python, or whose result is too large.
    #[error(transparent)]
    Undefined(#[from] Undefined),
    /// An unhashable key.
    #[error(transparent)]
    Key(#[from] crate::Unhashable),
}

/// The value of an expression of literals, lists, tuples, dictionaries, signs and arithmetic.
///
/// # Errors
/// When it holds a name, a call, a set, a comparison or an operation that raises.
pub fn constant(expr: &Expr) -> Result<Value, NotConstant> {
    let all = |items: &[Expr]| items.iter().map(constant).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::Literal(Literal::Value(value)) => Ok(value.clone()),
        Expr::Literal(Literal::Ellipsis) => Err(NotConstant::Kind("ellipsis")),
        Expr::List(items) => all(items).map(Value::List),
        Expr::Tuple(items) => all(items).map(Value::Tuple),
        Expr::Dict(entries) => {
            let mut dict = Dict::new();
            for (key, value) in entries {
                let key = constant(key.as_ref().ok_or(NotConstant::Kind("unpacked dictionary"))?)?;
                dict.insert(key, constant(value)?)?;
            }
            Ok(Value::Dict(dict))
        }
        Expr::Unary(UnaryOp::Not, operand) => Ok(Value::Bool(!constant(operand)?.truthy())),
        Expr::Unary(op, operand) => Ok(arith::unary(*op, &constant(operand)?)?),
        Expr::Binary(op, left, right) => Ok(arith::binary(*op, &constant(left)?, &constant(right)?)?),
        Expr::Name(_) => Err(NotConstant::Kind("name")),
        Expr::Attribute(..) => Err(NotConstant::Kind("attribute")),
        Expr::Subscript(..) | Expr::Slice(..) => Err(NotConstant::Kind("subscript")),
        Expr::Call(_) => Err(NotConstant::Kind("call")),
        Expr::And(_) | Expr::Or(_) | Expr::Compare(..) => Err(NotConstant::Kind("comparison")),
        Expr::IfElse(..) => Err(NotConstant::Kind("conditional")),
        Expr::Set(_) => Err(NotConstant::Kind("set")),
        Expr::Starred(_) => Err(NotConstant::Kind("unpacked value")),
        Expr::Named(..) => Err(NotConstant::Kind("assignment")),
        Expr::Await(_) => Err(NotConstant::Kind("await")),
        Expr::Other(kind, _) => Err(NotConstant::Kind(match kind {
            Other::Lambda => "lambda",
            Other::Comprehension => "comprehension",
            Other::Format => "f-string",
            Other::Yield => "yield",
        })),
    }
}
