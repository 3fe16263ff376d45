//! Record schemas: what the reference declares as pydantic models.
//!
//! A [`Model`] says which fields a record has, of which types and with which defaults. [`Model::validate`] turns a loaded
//! or given value into the record that pydantic would hold: fields in declared order, defaults filled in, numbers coerced
//! (`5` becomes `5.0` where a float is declared), unknown fields dropped or refused. Its errors have pydantic's text, since
//! some tools build records from the agent's arguments and show the error to the agent.
//!
//! Enumerations are kept as their text, dates as the text that `str(date)` gives: that is what the database hash and the
//! tool results hold.

mod convert;

use crate::py::{self, Value};
use crate::raised::{Outcome, Raised};
use std::fmt::Write;

/// The minor version of pydantic whose texts are produced; it is part of each text.
pub const PYDANTIC: &str = "2.14";

/// A field's type.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// `str`
    Str,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `bool`
    Bool,
    /// `datetime.date`, kept as `YYYY-MM-DD`.
    Date,
    /// `datetime.datetime`, kept as `YYYY-MM-DD HH:MM:SS`.
    DateTime,
    /// `Literal[…]` of texts.
    Literal(&'static [&'static str]),
    /// An enumeration of texts.
    Enum(&'static [&'static str]),
    /// `Optional[…]`
    Optional(&'static Type),
    /// `list[…]`
    List(&'static Type),
    /// `dict[str, …]`
    Dict(&'static Type),
    /// `dict[Literal[…], …]` or one with an enumeration's values as keys.
    Keyed(&'static [&'static str], &'static Type),
    /// A nested model.
    Model(&'static Model),
    /// The first of these models that fits.
    Union(&'static [&'static Model]),
    /// Anything.
    Any,
}

/// What a missing field becomes.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// An error: the field is required.
    Required,
    /// `None`
    None,
    /// That truth value.
    Bool(bool),
    /// That integer.
    Int(i64),
    /// That number.
    Float(f64),
    /// That text.
    Str(&'static str),
    /// An empty list.
    EmptyList,
    /// An empty dictionary.
    EmptyDict,
    /// What this makes.
    Make(fn() -> Value),
}

/// A field of a [`Model`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Its default.
    pub default: Default,
}

/// A required field.
pub const fn required(name: &'static str, ty: Type) -> Field {
    Field {
        name,
        ty,
        default: Default::Required,
    }
}

/// A field with a default.
pub const fn optional(name: &'static str, ty: Type, default: Default) -> Field {
    Field { name, ty, default }
}

/// A record type.
#[derive(Debug)]
pub struct Model {
    /// The class name, as error texts show it.
    pub name: &'static str,
    /// Whether unknown fields are refused; else they are dropped.
    pub strict: bool,
    /// The fields, in declared order.
    pub fields: &'static [Field],
}

/// One thing that does not fit.
struct Misfit {
    path: Vec<String>,
    message: String,
    kind: &'static str,
    input: String,
    input_type: &'static str,
}

impl Model {
    /// The record that the model holds for this input.
    ///
    /// # Errors
    /// With the text of pydantic's `ValidationError`.
    pub fn validate(&self, input: &Value) -> Outcome<Value> {
        let mut misfits = vec![];
        let value = self.convert(input, &mut vec![], &mut misfits);
        if misfits.is_empty() {
            return Ok(value);
        }
        let mut text = format!(
            "{} validation error{} for {}",
            misfits.len(),
            if misfits.len() == 1 { "" } else { "s" },
            self.name
        );
        for misfit in misfits {
            let _ = write!(
                text,
                "\n{}\n  {} [type={}, input_value={}, input_type={}]\n    For further information visit \
                 https://errors.pydantic.dev/{PYDANTIC}/v/{}",
                misfit.path.join("."),
                misfit.message,
                misfit.kind,
                shortened(&misfit.input),
                misfit.input_type,
                misfit.kind
            );
        }
        Err(Raised(text))
    }

    /// The record that the model's constructor makes from these keyword arguments.
    ///
    /// # Errors
    /// As [`Model::validate`].
    pub fn make<'a>(&self, fields: impl IntoIterator<Item = (&'a str, Value)>) -> Outcome<Value> {
        self.validate(&py::record(fields))
    }

    fn convert(&self, input: &Value, path: &mut Vec<String>, misfits: &mut Vec<Misfit>) -> Value {
        let Value::Dict(given) = input else {
            misfits.push(misfit(
                path,
                format!("Input should be a valid dictionary or instance of {}", self.name),
                "model_type",
                input,
            ));
            return Value::None;
        };
        let mut fields = vec![];
        for field in self.fields {
            path.push(field.name.to_owned());
            let value = match (given.get(field.name), field.default) {
                (Some(value), _) => field.ty.convert(value, path, misfits),
                (None, Default::Required) => {
                    misfits.push(misfit(path, "Field required".into(), "missing", input));
                    Value::None
                }
                (None, Default::None) => Value::None,
                (None, Default::Bool(b)) => Value::Bool(b),
                (None, Default::Int(i)) => Value::Int(i.into()),
                (None, Default::Float(f)) => Value::Float(f),
                (None, Default::Str(s)) => py::text(s),
                (None, Default::EmptyList) => Value::List(vec![]),
                (None, Default::EmptyDict) => py::record([]),
                (None, Default::Make(make)) => make(),
            };
            path.pop();
            fields.push((field.name, value));
        }
        if self.strict {
            for (name, value) in given.iter() {
                let name = name.to_string();
                if !self.fields.iter().any(|f| f.name == name) {
                    path.push(name);
                    misfits.push(misfit(
                        path,
                        "Extra inputs are not permitted".into(),
                        "extra_forbidden",
                        value,
                    ));
                    path.pop();
                }
            }
        }
        py::record(fields)
    }
}

fn misfit(path: &[String], message: String, kind: &'static str, input: &Value) -> Misfit {
    Misfit {
        path: path.to_vec(),
        message,
        kind,
        input: input.repr(),
        input_type: py::type_name(input),
    }
}

/// At most 50 bytes of an input: its first 25 and its last 24 around an ellipsis, cut between characters.
fn shortened(text: &str) -> String {
    const MAX: usize = 50;
    if text.len() <= MAX {
        return text.to_owned();
    }
    let (mut head, mut tail) = (MAX.div_ceil(2), text.len() + 1 - MAX.div_ceil(2));
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}...{}", &text[..head], &text[tail..])
}
