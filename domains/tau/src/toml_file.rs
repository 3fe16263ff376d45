//! TOML as Python values, tables in the order of the file (some tools list them in that order).

use crate::py::Value;
use hone_python::{Dict, text};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Read a TOML text.
///
/// # Errors
/// When it is no TOML, with the place.
pub(crate) fn read(source: &str) -> Result<Value, String> {
    let table = DeTable::parse(source).map_err(|error| error.to_string())?;
    Ok(self::table(table.get_ref()))
}

fn table(table: &DeTable<'_>) -> Value {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let dict: Dict = entries
        .into_iter()
        .map(|(key, value)| (key.get_ref().as_ref(), self::value(value)))
        .collect();
    Value::Dict(dict)
}

fn value(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::Str(text.to_string()),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map_or(Value::None, Value::from),
        DeValue::Float(x) => text::float(x.as_str()).map_or(Value::None, Value::Float),
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Datetime(time) => Value::Str(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(self::value).collect()),
        DeValue::Table(entries) => table(entries),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn keeps_the_order_of_the_file() {
        let read = super::read("z = 1\n[b.y]\nk = 1.5\n[b.x]\n[[a]]\nm = true\n[[a]]\nm = \"é\"\n").unwrap();
        assert_eq!(
            read.repr(),
            "{'z': 1, 'b': {'y': {'k': 1.5}, 'x': {}}, 'a': [{'m': True}, {'m': 'é'}]}"
        );
        assert!(super::read("a = ").is_err());
    }
}
