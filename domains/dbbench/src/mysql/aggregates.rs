//! MySQL's aggregate functions.

use super::datum::{Datum, Decimal};
use super::functions::{Fault, PREFIX, arguments, failed};
use super::operators::{arithmetic, compare};
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use std::cmp::Ordering;

/// `group_concat_max_len`: where MySQL cuts what `GROUP_CONCAT` makes, in bytes.
pub const GROUP_CONCAT_MAX: usize = 1024;

/// The sum of texts is a floating-point number, that of whole numbers a decimal, as in MySQL.
struct Sum {
    mean: bool,
}

impl Aggregate<(Datum, i64), Datum> for Sum {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<(Datum, i64)> {
        Ok((Datum::Null, 0))
    }

    fn step(&self, context: &mut Context<'_>, (sum, count): &mut (Datum, i64)) -> rusqlite::Result<()> {
        let value = match Datum::of(context.get_raw(0)).number() {
            Datum::Null => return Ok(()),
            Datum::Int(value) => Datum::Decimal(Decimal::new(value, 0)),
            other => other,
        };
        *count += 1;
        *sum = if sum.is_null() {
            value
        } else {
            arithmetic('+', sum.clone(), value).map_err(|out| failed(Fault::from(out)))?
        };
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<(Datum, i64)>) -> rusqlite::Result<Datum> {
        let Some((sum, count)) = state.filter(|(sum, _)| !sum.is_null()) else {
            return Ok(Datum::Null);
        };
        if self.mean {
            arithmetic('/', sum, Datum::Int(count)).map_err(|out| failed(Fault::from(out)))
        } else {
            Ok(sum)
        }
    }
}

/// The least or the greatest value.
struct Extreme(Ordering);

impl Aggregate<Datum, Datum> for Extreme {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Datum> {
        Ok(Datum::Null)
    }

    fn step(&self, context: &mut Context<'_>, best: &mut Datum) -> rusqlite::Result<()> {
        let value = Datum::of(context.get_raw(0));
        if !value.is_null() && (best.is_null() || compare(&value, best) == Some(self.0)) {
            *best = value;
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, best: Option<Datum>) -> rusqlite::Result<Datum> {
        Ok(best.unwrap_or(Datum::Null))
    }
}

/// Values with a separator (the second argument) between them, cut at [`GROUP_CONCAT_MAX`].
struct Concat;

impl Aggregate<Option<String>, Datum> for Concat {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<String>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, made: &mut Option<String>) -> rusqlite::Result<()> {
        let arguments = arguments(context);
        let Some(text) = arguments[0].text() else { return Ok(()) };
        match made {
            None => *made = Some(text),
            Some(made) if made.len() < GROUP_CONCAT_MAX => {
                made.push_str(&arguments.get(1).and_then(Datum::text).unwrap_or(",".into()));
                made.push_str(&text);
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, made: Option<Option<String>>) -> rusqlite::Result<Datum> {
        Ok(made
            .flatten()
            .map_or(Datum::Null, |text| Datum::Text(cut(text, GROUP_CONCAT_MAX))))
    }
}

/// At most so many bytes, in whole characters.
pub fn cut(mut text: String, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// Offer them to a connection.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let name = |name: &str| format!("{PREFIX}{name}");
    connection.create_aggregate_function(name("sum").as_str(), 1, flags, Sum { mean: false })?;
    connection.create_aggregate_function(name("avg").as_str(), 1, flags, Sum { mean: true })?;
    connection.create_aggregate_function(name("min").as_str(), 1, flags, Extreme(Ordering::Less))?;
    connection.create_aggregate_function(name("max").as_str(), 1, flags, Extreme(Ordering::Greater))?;
    connection.create_aggregate_function(name("group_concat").as_str(), -1, flags, Concat)
}
