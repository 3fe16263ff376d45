//! What an expression prints as.

use super::ast::{BinaryOp, Call, Expr, Literal, Other, UnaryOp};
use crate::Value;

/// How tightly an expression must bind where it stands, to need no parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binds {
    Named,
    Tuple,
    Test,
    Or,
    And,
    Not,
    Compare,
    BitOr,
    BitXor,
    BitAnd,
    Shift,
    Arith,
    Term,
    Factor,
    Power,
    Await,
    Atom,
}

use Binds::*;

const ALL: [Binds; 17] = [
    Named, Tuple, Test, Or, And, Not, Compare, BitOr, BitXor, BitAnd, Shift, Arith, Term, Factor, Power, Await, Atom,
];

impl Binds {
    fn next(self) -> Self {
        ALL.get(self as usize + 1).copied().unwrap_or(Atom)
    }
}

impl Expr {
    /// As `ast.unparse(expression)`; an [`Expr::Other`] as its source, and the prefix of `u'…'` is lost.
    pub fn unparse(&self) -> String {
        let mut out = String::new();
        write(self, Test, &mut out);
        out
    }
}

impl Call {
    /// As [`Expr::unparse`].
    pub fn unparse(&self) -> String {
        let mut out = String::new();
        call(self, &mut out);
        out
    }
}

fn write(expr: &Expr, around: Binds, out: &mut String) {
    match expr {
        Expr::Literal(Literal::Ellipsis) => out.push_str("..."),
        Expr::Literal(Literal::Value(value)) => literal(value, out),
        Expr::Name(name) => out.push_str(name),
        Expr::Attribute(value, attr) => {
            write(value, Atom, out);
            if matches!(**value, Expr::Literal(Literal::Value(Value::Int(_) | Value::Bool(_)))) {
                out.push(' ');
            }
            out.push('.');
            out.push_str(attr);
        }
        Expr::Subscript(value, slice) => {
            write(value, Atom, out);
            out.push('[');
            match &**slice {
                Expr::Tuple(items) if !items.is_empty() => tuple_items(items, out),
                other => write(other, Test, out),
            }
            out.push(']');
        }
        Expr::Slice(lower, upper, step) => {
            if let Some(lower) = lower {
                write(lower, Test, out);
            }
            out.push(':');
            if let Some(upper) = upper {
                write(upper, Test, out);
            }
            if let Some(step) = step {
                out.push(':');
                write(step, Test, out);
            }
        }
        Expr::Call(inner) => call(inner, out),
        Expr::Unary(op, operand) => {
            let binds = if *op == UnaryOp::Not { Not } else { Factor };
            parenthesized(around > binds, out, |out| {
                out.push_str(op.symbol());
                if *op == UnaryOp::Not {
                    out.push(' ');
                }
                write(operand, binds, out)
            });
        }
        Expr::Binary(op, left, right) => {
            let binds = binary(*op);
            let (before, behind) = if *op == BinaryOp::Pow {
                (binds.next(), binds)
            } else {
                (binds, binds.next())
            };
            parenthesized(around > binds, out, |out| {
                write(left, before, out);
                spaced(op.symbol(), out);
                write(right, behind, out)
            });
        }
        Expr::And(items) => boolean(items, "and", And, around, out),
        Expr::Or(items) => boolean(items, "or", Or, around, out),
        Expr::Compare(first, rest) => parenthesized(around > Compare, out, |out| {
            write(first, BitOr, out);
            for (op, item) in rest {
                spaced(op.symbol(), out);
                write(item, BitOr, out);
            }
        }),
        Expr::IfElse(test, body, orelse) => parenthesized(around > Test, out, |out| {
            write(body, Or, out);
            spaced("if", out);
            write(test, Or, out);
            spaced("else", out);
            write(orelse, Test, out)
        }),
        Expr::List(items) => bracketed('[', items, ']', out),
        Expr::Set(items) => bracketed('{', items, '}', out),
        Expr::Tuple(items) => {
            parenthesized(items.is_empty() || around > Tuple, out, |out| tuple_items(items, out));
        }
        Expr::Dict(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                if let Some(key) = key {
                    write(key, Test, out);
                    out.push_str(": ");
                    write(value, Test, out);
                } else {
                    out.push_str("**");
                    write(value, BitOr, out);
                }
            }
            out.push('}');
        }
        Expr::Starred(value) => {
            out.push('*');
            write(value, BitOr, out);
        }
        Expr::Named(name, value) => parenthesized(around > Named, out, |out| {
            out.push_str(name);
            out.push_str(" := ");
            write(value, Atom, out)
        }),
        Expr::Await(value) => parenthesized(around > Await, out, |out| {
            out.push_str("await ");
            write(value, Atom, out)
        }),
        Expr::Other(kind, source) => {
            parenthesized(*kind == Other::Lambda && around > Test, out, |out| out.push_str(source))
        }
    }
}

fn literal(value: &Value, out: &mut String) {
    let infinite = |shown: &str| shown.replace("inf", "1e309").replace("nan", "(1e309-1e309)");
    match value {
        Value::Float(_) => out.push_str(&infinite(&value.repr())),
        Value::Opaque(other) if other.type_name == "complex" => out.push_str(&infinite(&other.repr)),
        other => out.push_str(&other.repr()),
    }
}

fn call(call: &Call, out: &mut String) {
    write(&call.func, Atom, out);
    out.push('(');
    let mut comma = false;
    let mut separate = |out: &mut String| {
        if comma {
            out.push_str(", ");
        }
        comma = true;
    };
    for arg in &call.args {
        separate(out);
        write(arg, Test, out);
    }
    for keyword in &call.keywords {
        separate(out);
        match &keyword.name {
            Some(name) => {
                out.push_str(name);
                out.push('=');
            }
            None => out.push_str("**"),
        }
        write(&keyword.value, Test, out);
    }
    out.push(')');
}

fn parenthesized(needed: bool, out: &mut String, inner: impl FnOnce(&mut String)) {
    if needed {
        out.push('(');
    }
    inner(out);
    if needed {
        out.push(')');
    }
}

fn spaced(word: &str, out: &mut String) {
    out.push(' ');
    out.push_str(word);
    out.push(' ');
}

fn bracketed(open: char, items: &[Expr], close: char, out: &mut String) {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(item, Test, out);
    }
    out.push(close);
}

fn tuple_items(items: &[Expr], out: &mut String) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(item, Test, out);
    }
    if items.len() == 1 {
        out.push(',');
    }
}

/// Each further operand must bind more tightly than the one before it: CPython's own way.
fn boolean(items: &[Expr], word: &str, binds: Binds, around: Binds, out: &mut String) {
    parenthesized(around > binds, out, |out| {
        let mut needed = binds;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                spaced(word, out);
            }
            needed = needed.next();
            write(item, needed, out);
        }
    })
}

fn binary(op: BinaryOp) -> Binds {
    match op {
        BinaryOp::Or => BitOr,
        BinaryOp::Xor => BitXor,
        BinaryOp::And => BitAnd,
        BinaryOp::Shl | BinaryOp::Shr => Shift,
        BinaryOp::Add | BinaryOp::Sub => Arith,
        BinaryOp::Mul | BinaryOp::MatMul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::FloorDiv => Term,
        BinaryOp::Pow => Power,
    }
}
