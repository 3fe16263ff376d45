//! A value of a Python program.

use crate::{Dict, Int};

/// A Python value.
///
/// `==` is Python's: numbers and booleans by value whatever their type, dictionaries without order, a list is no tuple,
/// NaN equals nothing. (Python's containers first compare by identity, so there a list with a NaN equals itself.)
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `None`
    #[default]
    None,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(Int),
    /// `float`
    Float(f64),
    /// `str`
    Str(String),
    /// `list`
    List(Vec<Value>),
    /// `tuple`
    Tuple(Vec<Value>),
    /// `dict`
    Dict(Dict),
    /// A value of a type that nothing here computes with.
    Opaque(Box<Opaque>),
}

/// A value that is only shown and compared: `bytes` and `complex` literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// As `type(value).__name__`.
    pub type_name: &'static str,
    /// As `repr(value)`.
    pub repr: String,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Dict(a), Self::Dict(b)) => a == b,
            (Self::Opaque(a), Self::Opaque(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Float(x), n) | (n, Self::Float(x)) => n
                .integer()
                .is_some_and(|n| n.cmp_f64(*x) == Some(std::cmp::Ordering::Equal)),
            (a, b) => matches!((a.integer(), b.integer()), (Some(a), Some(b)) if a == b),
        }
    }
}

impl Value {
    /// As `type(value).__name__`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Opaque(other) => other.type_name,
        }
    }

    /// As `bool(value)`.
    pub fn truthy(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(n) => !n.is_zero(),
            Self::Float(x) => *x != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Dict(dict) => !dict.is_empty(),
            Self::Opaque(other) => !matches!(other.repr.as_str(), "b''" | "0j"),
        }
    }

    /// The integer that a boolean or an integer is.
    pub fn integer(&self) -> Option<Int> {
        match self {
            Self::Bool(b) => Some(i64::from(*b).into()),
            Self::Int(n) => Some(n.clone()),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Whether two values are the same to the letter, types included: `1` is not `1.0`, nor `0.0` `-0.0`. The order of a
    /// dictionary's entries does not matter. Such values are written alike (with sorted keys).
    pub fn identical(&self, other: &Self) -> bool {
        let all = |a: &[Self], b: &[Self]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.identical(b));
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => all(a, b),
            (Self::Dict(a), Self::Dict(b)) => a.identical(b),
            (Self::None, Self::None)
            | (Self::Int(_), Self::Int(_))
            | (Self::Str(_), Self::Str(_))
            | (Self::Opaque(_), Self::Opaque(_)) => self == other,
            _ => false,
        }
    }

    /// An `int` (no `bool`) that fits 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(n) => n.to_i64(),
            _ => None,
        }
    }

    /// As a float: a `float` or an `int` (no `bool`).
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(x) => Some(*x),
            Self::Int(n) => Some(n.to_f64()),
            _ => None,
        }
    }

    /// A boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The items of a list (no tuple).
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// A dictionary.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// A dictionary, to be changed.
    pub fn as_dict_mut(&mut self) -> Option<&mut Dict> {
        match self {
            Self::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The value of a text key, if this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_dict()?.get(key)
    }

    /// Whether this is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $made:expr),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )*};
}

from! {
    bool => |b| Self::Bool(b),
    i32 => |n| Self::Int(i64::from(n).into()),
    i64 => |n| Self::Int(n.into()),
    u64 => |n| Self::Int(n.into()),
    Int => |n| Self::Int(n),
    f64 => |x| Self::Float(x),
    &str => |text| Self::Str(text.to_owned()),
    String => |text| Self::Str(text),
    Dict => |dict| Self::Dict(dict),
    Opaque => |other| Self::Opaque(Box::new(other)),
}

impl<V: Into<Value>> From<Vec<V>> for Value {
    fn from(items: Vec<V>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}
