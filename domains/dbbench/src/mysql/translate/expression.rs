//! Expressions.

use super::{Class, Problem, Result, Translator, blob, identifier, quoted, text};
use crate::mysql::collation::COLLATION;
use crate::mysql::datum::Decimal;
use crate::mysql::functions::PREFIX;
use sqlparser::ast::{
    BinaryOperator as Op, CastKind, CeilFloorKind, CharacterLength, DataType, DateTimeField, ExactNumberInfo, Expr,
    ObjectName, TrimWhereField, UnaryOperator, Value,
};

/// Arguments that SQLite takes for a function, with some to spare.
const MAX_ARGUMENTS: usize = 100;

/// A call of one of our functions.
pub(super) fn call(name: &str, arguments: &[String]) -> String {
    format!("{PREFIX}{name}({})", arguments.join(", "))
}

impl Translator<'_> {
    pub(super) fn expressions<'e>(&mut self, all: impl IntoIterator<Item = &'e Expr>) -> Result<Vec<String>> {
        all.into_iter().map(|one| self.expression(one)).collect()
    }

    pub(super) fn call(&mut self, name: &str, arguments: &[&Expr]) -> Result<String> {
        Ok(call(name, &self.expressions(arguments.iter().copied())?))
    }

    pub(super) fn expression(&mut self, expression: &Expr) -> Result<String> {
        Ok(match expression {
            Expr::Identifier(name) if name.value.starts_with('@') && name.quote_style.is_none() => {
                return Err(Problem::unsupported("variables"));
            }
            Expr::Identifier(name) => quoted(identifier(name)?),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [.., table, column] => format!("{}.{}", quoted(identifier(table)?), quoted(identifier(column)?)),
                _ => return Err(Problem::syntax(expression)),
            },
            Expr::Value(value) => literal(&value.value)?,
            Expr::TypedString(typed) => literal(&typed.value.value)?,
            Expr::Prefixed { value, .. } => self.expression(value)?,
            Expr::Nested(inner) => format!("({})", self.expression(inner)?),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr)?,
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right)?,
            Expr::IsNull(inner) => format!("({} IS NULL)", self.expression(inner)?),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.expression(inner)?),
            Expr::IsUnknown(inner) => format!("({} IS NULL)", self.expression(inner)?),
            Expr::IsNotUnknown(inner) => format!("({} IS NOT NULL)", self.expression(inner)?),
            Expr::IsTrue(inner) => self.call("true", &[inner])?,
            Expr::IsNotTrue(inner) => format!("(NOT {})", self.call("true", &[inner])?),
            Expr::IsFalse(inner) => format!("{PREFIX}true(NOT {})", self.expression(inner)?),
            Expr::IsNotFalse(inner) => format!("(NOT {PREFIX}true(NOT {}))", self.expression(inner)?),
            Expr::InList { expr, list, negated } => {
                let (wanted, list) = (self.expression(expr)?, self.expressions(list)?);
                let part = |part: &[String]| format!("{PREFIX}in({wanted}, {})", part.join(", "));
                let parts: Vec<_> = list.chunks(MAX_ARGUMENTS).map(part).collect();
                not(*negated, format!("({})", parts.join(" OR ")))
            }
            Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => {
                let collated = match &**expr {
                    Expr::Tuple(parts) => format!("({})", self.expressions(parts)?.join(", ")),
                    one => format!("({} COLLATE {COLLATION})", self.expression(one)?),
                };
                not(*negated, format!("({collated} IN ({}))", self.query(subquery)?))
            }
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let (low, high) = (self.call("ge", &[expr, low])?, self.call("le", &[expr, high])?);
                not(*negated, format!("({low} AND {high})"))
            }
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char,
            } => {
                let mut arguments = vec![&**expr, &**pattern];
                arguments.extend(escape_char.as_deref());
                not(*negated, self.call("like", &arguments)?)
            }
            Expr::RLike {
                negated, expr, pattern, ..
            } => not(*negated, self.call("regexp_like", &[expr, pattern])?),
            Expr::Cast {
                kind: CastKind::Cast,
                expr,
                data_type,
                format: None,
            } => self.cast(expr, data_type)?,
            Expr::Convert {
                expr,
                data_type: Some(data_type),
                charset: None,
                ..
            } => self.cast(expr, data_type)?,
            Expr::Convert {
                expr,
                data_type: None,
                charset: Some(_),
                ..
            } => self.call("store", &[expr])?,
            Expr::Collate { expr, .. } => self.expression(expr)?,
            Expr::Ceil { expr, field } | Expr::Floor { expr, field } => match field {
                CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => self.call(
                    if matches!(expression, Expr::Ceil { .. }) {
                        "ceil"
                    } else {
                        "floor"
                    },
                    &[expr],
                )?,
                _ => return Err(Problem::syntax(expression)),
            },
            Expr::Position { expr, r#in } => self.call("locate", &[expr, r#in])?,
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let mut arguments = vec![&**expr];
                arguments.extend(substring_from.as_deref());
                arguments.extend(substring_for.as_deref());
                self.call("substring", &arguments)?
            }
            Expr::Trim {
                trim_where,
                trim_what,
                expr,
                trim_characters: None,
            } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "trim",
                };
                let mut arguments = vec![&**expr];
                arguments.extend(trim_what.as_deref());
                self.call(name, &arguments)?
            }
            Expr::Extract { field, expr, .. } => match field {
                DateTimeField::Year => self.call("year", &[expr])?,
                DateTimeField::Month => self.call("month", &[expr])?,
                DateTimeField::Day => self.call("day", &[expr])?,
                other => return Err(Problem::unsupported(format!("EXTRACT({other})"))),
            },
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => {
                let mut sql = "CASE".to_owned();
                for case in conditions {
                    let condition = match operand {
                        Some(operand) => self.call("eq", &[operand, &case.condition])?,
                        None => self.expression(&case.condition)?,
                    };
                    sql += &format!(" WHEN {condition} THEN {}", self.expression(&case.result)?);
                }
                if let Some(other) = else_result {
                    sql += &format!(" ELSE {}", self.expression(other)?);
                }
                sql + " END"
            }
            Expr::Exists { subquery, negated } => not(*negated, format!("EXISTS ({})", self.query(subquery)?)),
            Expr::Subquery(query) => format!("({})", self.query(query)?),
            Expr::Function(function) => self.function(function)?,
            Expr::Array(_) | Expr::Dictionary(_) | Expr::Map(_) => return Err(Problem::syntax(clipped(expression))),
            other => return Err(Problem::unsupported(clipped(other))),
        })
    }

    fn unary(&mut self, op: UnaryOperator, inner: &Expr) -> Result<String> {
        Ok(match (op, inner) {
            (UnaryOperator::Minus, Expr::Value(value)) if matches!(&value.value, Value::Number(..)) => {
                let Value::Number(digits, _) = &value.value else {
                    return Err(Problem::syntax(inner));
                };
                number(&format!("-{digits}"))?
            }
            (UnaryOperator::Minus, _) => self.call("neg", &[inner])?,
            (UnaryOperator::Plus, _) => self.expression(inner)?,
            (UnaryOperator::Not | UnaryOperator::BangNot, _) => format!("(NOT {})", self.expression(inner)?),
            _ => return Err(Problem::unsupported(op)),
        })
    }

    fn binary(&mut self, left: &Expr, op: &Op, right: &Expr) -> Result<String> {
        let name = match op {
            Op::Eq => "eq",
            Op::NotEq => "ne",
            Op::Lt => "lt",
            Op::LtEq => "le",
            Op::Gt => "gt",
            Op::GtEq => "ge",
            Op::Spaceship => "same",
            Op::Plus => "add",
            Op::Minus => "sub",
            Op::Multiply => "mul",
            Op::Divide => "div",
            Op::Modulo => "mod",
            Op::MyIntegerDivide => "intdiv",
            Op::Xor => "xor",
            Op::And => return Ok(format!("({} AND {})", self.expression(left)?, self.expression(right)?)),
            // `||` is OR unless a setting says otherwise.
            Op::Or | Op::StringConcat => {
                return Ok(format!("({} OR {})", self.expression(left)?, self.expression(right)?));
            }
            other => return Err(Problem::unsupported(other)),
        };
        if matches!(op, Op::Eq | Op::NotEq) && (to_the_letter(left) || to_the_letter(right)) {
            let (left, right) = (self.expression(left)?, self.expression(right)?);
            let sign = if *op == Op::Eq { "=" } else { "<>" };
            return Ok(format!(
                "({PREFIX}store({left}) {sign} {PREFIX}store({right}) COLLATE BINARY)"
            ));
        }
        self.call(name, &[left, right])
    }

    fn cast(&mut self, inner: &Expr, to: &DataType) -> Result<String> {
        let inner = self.expression(inner)?;
        let decimal = |info: &ExactNumberInfo| {
            let (precision, scale) = match info {
                ExactNumberInfo::None => (10, 0),
                ExactNumberInfo::Precision(precision) => (*precision, 0),
                ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
            };
            call(
                "cast_decimal",
                &[inner.clone(), precision.to_string(), scale.to_string()],
            )
        };
        Ok(match to {
            DataType::Signed | DataType::SignedInteger | DataType::Unsigned | DataType::UnsignedInteger => {
                call("cast_signed", &[inner])
            }
            DataType::Decimal(info) | DataType::Dec(info) => decimal(info),
            DataType::Double(_) | DataType::DoublePrecision | DataType::Float(_) | DataType::Real => {
                call("cast_double", &[inner])
            }
            DataType::Char(length) | DataType::Character(length) => match length {
                Some(CharacterLength::IntegerLength { length, .. }) => call("cast_char", &[inner, length.to_string()]),
                _ => call("cast_char", &[inner]),
            },
            DataType::Binary(None) => call("store", &[inner]),
            DataType::Date => call("date", &[inner]),
            DataType::Datetime(_) | DataType::Time(..) | DataType::JSON | DataType::Binary(_) => {
                return Err(Problem::unsupported(format!("CAST AS {to}")));
            }
            // Such as INT and VARCHAR, which MySQL does not cast to.
            other => return Err(Problem::syntax(format!("{other})"))),
        })
    }
}

fn not(negated: bool, sql: String) -> String {
    if negated { format!("(NOT {sql})") } else { sql }
}

/// Whether a comparison with it is by letters and not by the collation.
fn to_the_letter(expression: &Expr) -> bool {
    let binary = |name: &ObjectName| name.to_string().ends_with("_bin");
    match expression {
        Expr::Cast {
            data_type: DataType::Binary(_),
            ..
        } => true,
        Expr::Collate { collation, .. } => binary(collation),
        Expr::Nested(inner) => to_the_letter(inner),
        _ => false,
    }
}

pub(super) fn literal(value: &Value) -> Result<String> {
    Ok(match value {
        Value::Number(digits, _) => number(digits)?,
        Value::SingleQuotedString(string)
        | Value::DoubleQuotedString(string)
        | Value::NationalStringLiteral(string) => text(string),
        Value::Boolean(value) => i64::from(*value).to_string(),
        Value::Null => "NULL".into(),
        other => return Err(Problem::unsupported(clipped(other))),
    })
}

/// A number: whole, exact, or (with an exponent) floating-point.
fn number(digits: &str) -> Result<String> {
    if digits.contains(['e', 'E']) {
        let value: f64 = digits.parse().map_err(|_| Problem::syntax(digits))?;
        return if value.is_finite() {
            Ok(format!("{value:?}"))
        } else {
            Err(Problem::new(
                Class::Other,
                format!(
                    "1367 (22007): Illegal double '{}' value found during parsing",
                    clipped(digits)
                ),
            ))
        };
    }
    if let Ok(value) = digits.parse::<i64>() {
        return Ok(value.to_string());
    }
    match Decimal::read(digits) {
        Some(value) => Ok(blob(&value.to_string())),
        None => Err(Problem::unsupported(clipped(digits))),
    }
}

pub(super) fn clipped(shown: impl std::fmt::Display) -> String {
    shown.to_string().chars().take(60).collect()
}
