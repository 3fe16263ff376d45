//! Python calls.

use super::{DecodeError, Decoded};
use crate::check::Found;
use hone_python::{Call, Dict, Expr, Literal, PlainCall, UnaryOp, Value, constant, parse, plain_calls, text};

pub(super) fn decode(source: &str) -> Result<Decoded, DecodeError> {
    let source = stripped(source);
    let tree = parse(source).map_err(DecodeError::new)?;
    let items = match &tree {
        Expr::Call(inner) => return Ok(Decoded::Calls(vec![call(inner)?])),
        Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => items,
        _ => return Err(DecodeError::new("the answer is no list of calls")),
    };
    let calls = items.iter().map(|item| match item {
        Expr::Call(inner) => call(inner),
        _ => Err(DecodeError::new("the answer lists something that is no call")),
    });
    calls.collect::<Result<_, _>>().map(Decoded::Calls)
}

fn stripped(source: &str) -> &str {
    text::strip(source).trim_matches('\'')
}

/// What [`decode`] gives, if the source is a list of calls of literals and names.
pub(super) fn plain(source: &str) -> Option<Vec<Found<'_>>> {
    // Of an argument by position the decoder only asks that it can be read.
    plain_calls(stripped(source)).map(|calls| calls.into_iter().map(named).collect())
}

fn named(call: PlainCall<'_>) -> Found<'_> {
    let named = call.keywords.into_iter().map(|(name, value)| (Some(name), value));
    Found {
        name: call.name,
        arguments: named.collect(),
    }
}

/// Name and named arguments; arguments by position are passed over.
fn call(call: &Call) -> Result<(Value, Dict), DecodeError> {
    let mut arguments = Dict::new();
    for keyword in &call.keywords {
        let name = keyword.name.clone().map_or(Value::None, Value::Str);
        arguments
            .insert(name, value(&keyword.value)?)
            .map_err(DecodeError::new)?;
    }
    Ok((call.dotted_name().into(), arguments))
}

fn value(expr: &Expr) -> Result<Value, DecodeError> {
    let all = |items: &[Expr]| items.iter().map(value).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::Literal(Literal::Value(value)) => Ok(value.clone()),
        Expr::Literal(Literal::Ellipsis) => Ok("...".into()),
        // Whatever the sign is, the original negates.
        Expr::Unary(_, operand) if matches!(**operand, Expr::Literal(Literal::Value(_))) => {
            constant(&Expr::Unary(UnaryOp::Minus, operand.clone())).map_err(DecodeError::new)
        }
        Expr::Binary(..) => constant(expr).map_err(DecodeError::new),
        Expr::List(items) => all(items).map(Value::List),
        Expr::Tuple(items) => all(items).map(Value::Tuple),
        Expr::Dict(entries) => {
            let mut dict = Dict::new();
            for (key, item) in entries {
                let key = key
                    .as_ref()
                    .ok_or_else(|| DecodeError::new("an unpacked dictionary has no value"))?;
                dict.insert(value(key)?, value(item)?).map_err(DecodeError::new)?;
            }
            Ok(Value::Dict(dict))
        }
        Expr::Name(name) => Ok(name.as_str().into()),
        Expr::Call(inner) if inner.keywords.is_empty() => Ok(inner.unparse().into()),
        Expr::Call(inner) => {
            let (name, arguments) = call(inner)?;
            let mut dict = Dict::new();
            dict.insert(name, Value::Dict(arguments)).map_err(DecodeError::new)?;
            Ok(Value::Dict(dict))
        }
        // Printed apart, the slice keeps its parentheses.
        Expr::Subscript(value, slice) => Ok(format!("{}[{}]", value.unparse(), slice.unparse()).into()),
        _ => Err(DecodeError::new("an argument is of a kind that has no value")),
    }
}
