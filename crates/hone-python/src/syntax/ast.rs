//! The tree of an expression.

use crate::Value;

/// An expression, as Python's `ast` module has it. Nesting is at most [`MAX_NESTING`](crate::MAX_NESTING).
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A literal.
    Literal(Literal),
    /// `name`
    Name(String),
    /// `value.attr`
    Attribute(Box<Expr>, String),
    /// `value[slice]`
    Subscript(Box<Expr>, Box<Expr>),
    /// `lower:upper:step` within a subscript
    Slice(Option<Box<Expr>>, Option<Box<Expr>>, Option<Box<Expr>>),
    /// `func(args, name=value)`
    Call(Call),
    /// `-operand`
    Unary(UnaryOp, Box<Expr>),
    /// `left + right`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a and b and c`
    And(Vec<Expr>),
    /// `a or b or c`
    Or(Vec<Expr>),
    /// `first < second <= third`
    Compare(Box<Expr>, Vec<(CompareOp, Expr)>),
    /// `body if test else orelse`, in the order test, body, orelse
    IfElse(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `{a, b}`
    Set(Vec<Expr>),
    /// `{key: value, **unpacked}`: what is unpacked has no key
    Dict(Vec<(Option<Expr>, Expr)>),
    /// `*value`
    Starred(Box<Expr>),
    /// `name := value`
    Named(String, Box<Expr>),
    /// `await value`
    Await(Box<Expr>),
    /// An expression that is checked and kept as source text only.
    Other(Other, String),
}

/// Kinds of expressions that have no value without running something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// `lambda x: x`
    Lambda,
    /// `[x for x in y]`, and with other brackets
    Comprehension,
    /// `f"{x}"`
    Format,
    /// `(yield x)`
    Yield,
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A text, a number, `True`, `False`, `None`; `bytes` and `complex` as [`Value::Opaque`].
    Value(Value),
    /// `...`
    Ellipsis,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is called.
    pub func: Box<Expr>,
    /// Arguments by position, with `*unpacked` as [`Expr::Starred`].
    pub args: Vec<Expr>,
    /// Arguments by name. A name may occur twice: Python's compiler refuses that, its parser does not.
    pub keywords: Vec<Keyword>,
}

/// `name=value`, or `**value` without a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyword {
    /// Its name.
    pub name: Option<String>,
    /// Its value.
    pub value: Expr,
}

impl Call {
    /// The dotted name of what is called: `a.b.f` of `a.b.f(…)`. Parts that are no names (`a()[0].f`) are left out.
    pub fn dotted_name(&self) -> String {
        let mut parts = vec![];
        let mut at = &*self.func;
        while let Expr::Attribute(value, attr) = at {
            parts.push(attr.as_str());
            at = value;
        }
        if let Expr::Name(name) = at {
            parts.push(name);
        }
        parts.reverse();
        parts.join(".")
    }
}

macro_rules! operators {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant),*
        }

        impl $name {
            /// As it is written.
            pub fn symbol(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }
        }
    };
}

operators! {
    /// An operator with one operand.
    UnaryOp { Invert = "~", Not = "not", Plus = "+", Minus = "-" }
}

operators! {
    /// An operator with two operands.
    BinaryOp {
        Add = "+", Sub = "-", Mul = "*", MatMul = "@", Div = "/", Mod = "%", Shl = "<<", Shr = ">>", Or = "|",
        Xor = "^", And = "&", FloorDiv = "//", Pow = "**",
    }
}

operators! {
    /// A comparison.
    CompareOp {
        Eq = "==", NotEq = "!=", Less = "<", LessEq = "<=", Greater = ">", GreaterEq = ">=", Is = "is",
        IsNot = "is not", In = "in", NotIn = "not in",
    }
}
