//! Schemas that nothing fits.
//!
//! A proof, not a guess: what is reported is impossible. Much that is impossible is not seen, since deciding that in general
//! is hard; what is looked at is what goes wrong in practice.

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A place in a schema and why nothing fits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Impossible {
    /// JSON Pointer.
    pub at: String,
    pub because: String,
}

/// Why no arguments, which are an object, can fit.
pub(super) fn impossible_arguments(schema: &Value) -> Option<Impossible> {
    let search = Search { root: schema };
    match schema.get("type") {
        Some(Value::String(kind)) if kind != "object" => Some(Impossible {
            at: "/type".to_owned(),
            because: format!("arguments are an object and the schema wants `{kind}`"),
        }),
        _ => search.nothing_fits(schema, Some("object"), "", &BTreeSet::new()),
    }
}

/// Properties and choices that can never be given, in a schema that some arguments fit.
pub(super) fn impossible_parts(schema: &Value) -> Vec<Impossible> {
    let search = Search { root: schema };
    let mut all = Vec::new();
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let at = format!("/properties/{}", escaped(name));
        match search.nothing_fits(property, None, &at, &BTreeSet::new()) {
            // `false` is how a schema says that a property must not be there.
            Some(_) if property == &Value::Bool(false) => {}
            Some(why) => all.push(why),
            None => all.extend(search.idle_choices(property, &at)),
        }
    }
    all
}

/// A property's name as part of a JSON Pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Search<'a> {
    root: &'a Value,
}

impl Search<'_> {
    /// Why nothing fits `schema`, if values are known to be of type `kind`. `within` are the references that were followed.
    fn nothing_fits(
        &self,
        schema: &Value,
        kind: Option<&str>,
        at: &str,
        within: &BTreeSet<String>,
    ) -> Option<Impossible> {
        let because = |at: String, because: String| Some(Impossible { at, because });
        let schema = match schema {
            Value::Bool(false) => return because(at.to_owned(), "it is `false`".to_owned()),
            Value::Object(schema) => schema,
            _ => return None,
        };
        let own = schema.get("type").and_then(Value::as_str);
        let kind = match (kind, own) {
            (Some(known), Some(own))
                if known != own && !matches!((known, own), ("number", "integer") | ("integer", "number")) =>
            {
                return because(
                    format!("{at}/type"),
                    format!("it must be `{known}` and `{own}` at once"),
                );
            }
            (known, own) => own.or(known),
        };
        if let Some(Value::String(reference)) = schema.get("$ref") {
            if within.contains(reference) {
                return because(
                    format!("{at}/$ref"),
                    format!("`{reference}` contains itself without end"),
                );
            }
            if let Some(target) = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer))
            {
                let mut within = within.clone();
                within.insert(reference.clone());
                let place = if reference == "#" {
                    String::new()
                } else {
                    reference[1..].to_owned()
                };
                if let Some(why) = self.nothing_fits(target, kind, &place, &within) {
                    return Some(why);
                }
            }
        }
        for (index, part) in list(schema, "allOf").iter().enumerate() {
            if let Some(why) = self.nothing_fits(part, kind, &format!("{at}/allOf/{index}"), within) {
                return Some(why);
            }
        }
        for choice in ["anyOf", "oneOf"] {
            let parts = list(schema, choice);
            let mut whys = parts
                .iter()
                .enumerate()
                .map(|(index, part)| self.nothing_fits(part, kind, &format!("{at}/{choice}/{index}"), within));
            if !parts.is_empty() && whys.all(|why| why.is_some()) {
                return because(
                    format!("{at}/{choice}"),
                    "none of the alternatives can be met".to_owned(),
                );
            }
        }
        if matches!(schema.get("not"), Some(Value::Bool(true))) || schema.get("not") == Some(&json!({})) {
            return because(format!("{at}/not"), "`not` excludes everything".to_owned());
        }
        let choices = self.idle_choices(&Value::Object(schema.clone()), at);
        let count = schema.get("enum").and_then(Value::as_array).map(Vec::len);
        if count == Some(0) {
            return because(format!("{at}/enum"), "there is nothing to choose from".to_owned());
        }
        if count.is_some_and(|count| count == choices.len()) {
            return because(format!("{at}/enum"), "no choice fits the rest of the schema".to_owned());
        }
        if count.is_none() && schema.contains_key("const") && !choices.is_empty() {
            return choices.into_iter().next();
        }
        match kind {
            Some("integer" | "number") => numbers(schema, kind == Some("integer"), at),
            Some("string") => crossed(schema, "minLength", "maxLength", at),
            Some("array") => crossed(schema, "minItems", "maxItems", at).or_else(|| {
                let wants = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0) > 0;
                let items = schema
                    .get("items")
                    .filter(|_| wants && list(schema, "prefixItems").is_empty())?;
                self.nothing_fits(items, None, &format!("{at}/items"), within)
            }),
            Some("object") => {
                crossed(schema, "minProperties", "maxProperties", at).or_else(|| self.required(schema, at, within))
            }
            _ => None,
        }
    }

    /// A required property that cannot be given.
    fn required(&self, schema: &Map<String, Value>, at: &str, within: &BTreeSet<String>) -> Option<Impossible> {
        let properties = schema.get("properties").and_then(Value::as_object);
        list(schema, "required")
            .iter()
            .filter_map(Value::as_str)
            .find_map(|name| match properties.and_then(|properties| properties.get(name)) {
                Some(property) => {
                    self.nothing_fits(property, None, &format!("{at}/properties/{}", escaped(name)), within)
                }
                None if schema.get("additionalProperties") == Some(&Value::Bool(false))
                    && !schema.contains_key("patternProperties") =>
                {
                    Some(Impossible {
                        at: format!("{at}/required"),
                        because: format!("`{name}` is required and not allowed"),
                    })
                }
                None => None,
            })
    }

    /// The choices of an `enum` or `const` that the rest of the schema excludes.
    fn idle_choices(&self, schema: &Value, at: &str) -> Vec<Impossible> {
        let Value::Object(schema) = schema else {
            return Vec::new();
        };
        let choices: Vec<(String, &Value)> = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(choices)), _) => choices
                .iter()
                .enumerate()
                .map(|(index, choice)| (format!("{at}/enum/{index}"), choice))
                .collect(),
            (None, Some(only)) => vec![(format!("{at}/const"), only)],
            _ => return Vec::new(),
        };
        let mut alone = schema.clone();
        for definitions in ["$defs", "definitions"] {
            if let Some(all) = self.root.get(definitions) {
                alone.entry(definitions).or_insert_with(|| all.clone());
            }
        }
        let Ok(validator) = Validator::new(&Value::Object(alone)) else {
            return Vec::new();
        };
        choices
            .into_iter()
            .filter(|(_, choice)| !validator.is_valid(choice))
            .map(|(at, choice)| Impossible {
                at,
                because: format!("{choice} does not fit the rest of the schema"),
            })
            .collect()
    }
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Two bounds that leave nothing between them.
fn crossed(schema: &Map<String, Value>, least: &str, most: &str, at: &str) -> Option<Impossible> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let (low, high) = (bound(least)?, bound(most)?);
    (low > high).then(|| Impossible {
        at: format!("{at}/{least}"),
        because: format!("`{least}` is {low} and `{most}` {high}"),
    })
}

fn numbers(schema: &Map<String, Value>, whole: bool, at: &str) -> Option<Impossible> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let mut low = bound("minimum").unwrap_or(f64::NEG_INFINITY);
    let mut high = bound("maximum").unwrap_or(f64::INFINITY);
    let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
    let mut empty = above.is_some_and(|above| above >= high) || below.is_some_and(|below| below <= low);
    if let (Some(above), Some(below)) = (above, below) {
        empty |= above >= below;
    }
    if whole {
        low = low
            .ceil()
            .max(above.map_or(f64::NEG_INFINITY, |above| (above + 1.0).floor()));
        high = high
            .floor()
            .min(below.map_or(f64::INFINITY, |below| (below - 1.0).ceil()));
    }
    let kind = if whole { "whole number" } else { "number" };
    (empty || low > high).then(|| Impossible {
        at: at.to_owned(),
        because: format!("no {kind} lies between its bounds"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place in the schema of a required property `x` that nothing fits.
    fn at(x: Value) -> Option<String> {
        impossible_arguments(&json!({"required": ["x"], "properties": {"x": x}})).map(|why| why.at)
    }

    #[test]
    fn what_nothing_fits_is_found() {
        for (schema, place) in [
            (json!(false), ""),
            (json!({"enum": []}), "/enum"),
            (json!({"type": "string", "enum": [1, 2]}), "/enum"),
            (json!({"type": "integer", "const": "one"}), "/const"),
            (json!({"type": "string", "minLength": 3, "maxLength": 2}), "/minLength"),
            (json!({"type": "integer", "minimum": 1.2, "maximum": 1.8}), ""),
            (
                json!({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}),
                "",
            ),
            (json!({"type": "number", "minimum": 2, "exclusiveMaximum": 2}), ""),
            (json!({"type": "array", "minItems": 1, "items": false}), "/items"),
            (
                json!({"allOf": [{"type": "string"}, {"type": "object"}], "type": "string"}),
                "/allOf/1/type",
            ),
            (json!({"anyOf": [false, {"not": {}}]}), "/anyOf"),
            (
                json!({"type": "object", "required": ["a"], "additionalProperties": false}),
                "/required",
            ),
        ] {
            assert_eq!(at(schema.clone()), Some(format!("/properties/x{place}")), "{schema}");
        }
        assert_eq!(impossible_arguments(&json!({"type": "array"})).unwrap().at, "/type");
        let endless = json!({"$ref": "#/$defs/node", "$defs": {"node": {
            "type": "object", "required": ["next"], "properties": {"next": {"$ref": "#/$defs/node"}}}}});
        assert_eq!(
            impossible_arguments(&endless).unwrap().at,
            "/$defs/node/properties/next/$ref"
        );
    }

    #[test]
    fn what_something_fits_is_not() {
        for schema in [
            json!(true),
            json!({}),
            json!({"enum": ["a"], "type": "string"}),
            json!({"minLength": 3, "maxLength": 2}), // a number fits
            json!({"type": ["string", "null"], "minLength": 3, "maxLength": 2}),
            json!({"type": "integer", "minimum": 1, "maximum": 1}),
            json!({"type": "integer", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1.5}),
            json!({"type": "array", "items": false}),
            json!({"anyOf": [false, {"type": "string"}]}),
            json!({"type": "number", "allOf": [{"type": "integer"}]}),
            json!({"type": "object", "required": ["a"], "additionalProperties": false, "patternProperties": {"a": {}}}),
            json!({"type": "object", "properties": {"next": {"$ref": "#/properties/x"}}}),
        ] {
            assert_eq!(at(schema.clone()), None, "{schema}");
        }
    }

    #[test]
    fn single_choices_and_optional_arguments() {
        let schema = json!({"properties": {
            "a/b": {"type": "string", "enum": ["x", 1]},
            "c": {"type": "integer", "minimum": 2, "maximum": 1},
            "d": false,
        }});
        let places: Vec<String> = impossible_parts(&schema).into_iter().map(|why| why.at).collect();
        assert_eq!(places, ["/properties/a~1b/enum/1", "/properties/c"]);
    }
}
