//! What `openapi-schema-validator` says of a value.

use super::Broken;
use hone_python::Value;

/// Keywords of schemas whose verdict is not surely the original's: patterns are Python's there, divisions its floats'.
const INEXACT: &[&str] = &["pattern", "patternProperties", "multipleOf", "discriminator"];

/// The first keyword of a schema that is judged in another way.
fn inexact(schema: &Value) -> Option<&str> {
    match schema {
        Value::Dict(dict) => dict.iter().find_map(|(key, value)| match key.as_str()? {
            key if INEXACT.contains(&key) => Some(key),
            // Names of properties are no keywords.
            "properties" | "$defs" | "definitions" | "dependentSchemas" => value.as_dict()?.values().find_map(inexact),
            "enum" | "const" | "default" | "examples" => None,
            _ => inexact(value),
        }),
        Value::List(items) => items.iter().find_map(inexact),
        _ => None,
    }
}

/// Whether a schema (of OpenAPI 3.1, which is JSON Schema 2020-12) allows a value; one that is no schema allows nothing.
///
/// # Errors
/// When it is not sure that the original says the same.
pub fn valid(value: &Value, schema: &Value) -> Result<bool, Broken> {
    if let Some(keyword) = inexact(schema) {
        return Err(Broken(format!(
            "a schema has `{keyword}`, which is judged by Python's rules"
        )));
    }
    let plain = |value: &Value| {
        serde_json::to_value(value).map_err(|error| Broken(format!("a value is not plain JSON: {error}")))
    };
    let (value, schema) = (plain(value)?, plain(schema)?);
    Ok(jsonschema::draft202012::new(&schema).is_ok_and(|schema| schema.is_valid(&value)))
}
