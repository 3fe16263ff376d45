//! Tools with their schemas compiled.

use crate::ToolSpec;
use hone_trace::{ToolErrorClass, ToolFailure};
use jsonschema::Validator;
use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many names an error message lists before it says how many more there are.
const LISTED: usize = 12;

/// Longest piece of the model's own text that an error message repeats, in characters.
const ECHOED: usize = 60;

/// Why a set of tools cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Two tools of one name.
    #[error("two tools are named `{tool}`; rename one of them")]
    Duplicate {
        /// The name.
        tool: String,
    },
    /// Not a JSON Schema, or one that refers to a document elsewhere.
    #[error("the input schema of tool `{tool}` is not a self-contained JSON Schema: {reason}; mend its `inputSchema`")]
    Invalid {
        /// The tool.
        tool: String,
        /// What the schema compiler says.
        reason: String,
    },
}

/// The tools of a host, each with a compiled check of its arguments. Made once, shared by all episodes on such hosts.
#[derive(Debug)]
pub struct Toolset {
    specs: Vec<ToolSpec>,
    validators: Vec<Arc<Validator>>,
    index: BTreeMap<String, usize>,
}

impl Toolset {
    /// Compile the schemas of `specs`.
    ///
    /// # Errors
    /// When two tools have one name or a schema is not valid.
    pub fn compile(specs: &[ToolSpec]) -> Result<Self, SchemaError> {
        let mut index = BTreeMap::new();
        let mut validators = Vec::with_capacity(specs.len());
        for (position, spec) in specs.iter().enumerate() {
            if index.insert(spec.name.clone(), position).is_some() {
                return Err(SchemaError::Duplicate {
                    tool: spec.name.clone(),
                });
            }
            let validator = Validator::new(&spec.input_schema).map_err(|e| SchemaError::Invalid {
                tool: spec.name.clone(),
                reason: e.to_string(),
            })?;
            validators.push(Arc::new(validator));
        }
        Ok(Self {
            specs: specs.to_vec(),
            validators,
            index,
        })
    }

    /// A part of the tools, at these places and in this order, with what is compiled shared. A place that is none, or comes
    /// again, is left out.
    pub fn among(&self, places: &[usize]) -> Self {
        let mut part = Self {
            specs: Vec::new(),
            validators: Vec::new(),
            index: BTreeMap::new(),
        };
        for &place in places {
            if let (Some(spec), Some(validator)) = (self.specs.get(place), self.validators.get(place))
                && !part.index.contains_key(&spec.name)
            {
                part.index.insert(spec.name.clone(), part.specs.len());
                part.specs.push(spec.clone());
                part.validators.push(validator.clone());
            }
        }
        part
    }

    /// The place of the tool of that name.
    pub fn place(&self, tool: &str) -> Option<usize> {
        self.index.get(tool).copied()
    }

    /// The tools, in the host's order.
    pub fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// The tool of that name.
    pub fn get(&self, tool: &str) -> Option<&ToolSpec> {
        self.index.get(tool).map(|&i| &self.specs[i])
    }

    /// Find the tool of that name and check `arguments` against its schema.
    ///
    /// # Errors
    /// A message for the model that names what is wrong and what is allowed.
    pub fn check(&self, tool: &str, arguments: &Value) -> Result<&ToolSpec, ToolFailure> {
        let Some(&index) = self.index.get(tool) else {
            let names = listed(self.specs.iter().map(|s| s.name.as_str()));
            let message = format!("there is no tool `{}`; the tools are {names}", clipped(tool));
            return Err(ToolFailure {
                class: ToolErrorClass::UnknownTool,
                message,
            });
        };
        let spec = &self.specs[index];
        let invalid = |what: String| {
            Err(ToolFailure {
                class: ToolErrorClass::InvalidArguments,
                message: format!("{tool}: {what}"),
            })
        };
        if !arguments.is_object() {
            return invalid("the arguments must be a JSON object".to_owned());
        }
        match self.validators[index].validate(arguments) {
            _ if spec.unchecked => Ok(spec),
            Ok(()) => Ok(spec),
            Err(error) => invalid(explain(&error, &spec.input_schema)),
        }
    }
}

/// Arguments in the one form that is recorded, compared and passed to tools: keys sorted, whole numbers as integers (a
/// schema's `integer` admits `2.0`, as RFC 8785 writes it: `2`).
pub fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, canonical(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        other => other,
    }
}

/// A float that is a whole number which an `f64` holds exactly, as an integer.
fn whole(number: &Number) -> Option<Number> {
    const EXACT: f64 = (1u64 << 53) as f64;
    if !number.is_f64() {
        return None;
    }
    number
        .as_f64()
        .filter(|f| f.fract() == 0.0 && f.abs() <= EXACT)
        .map(|f| Number::from(f as i64))
}

/// What is wrong with the arguments and what is allowed, in a sentence.
fn explain(error: &ValidationError<'_>, schema: &Value) -> String {
    let pointer = error.instance_path().as_str();
    let field = clipped(pointer.trim_start_matches('/'));
    let within = if field.is_empty() {
        String::new()
    } else {
        format!(" in `{field}`")
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            match schema
                .pointer(&format!("/properties/{name}/type"))
                .filter(|_| field.is_empty())
            {
                Some(Value::String(kind)) => format!("`{name}` ({kind}) is missing"),
                _ => format!("`{name}` is missing{within}"),
            }
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let unknown = listed(unexpected.iter().map(String::as_str));
            match schema
                .get("properties")
                .and_then(Value::as_object)
                .filter(|_| field.is_empty())
            {
                Some(known) if !known.is_empty() => {
                    format!(
                        "unknown {unknown}; allowed are {}",
                        listed(known.keys().map(String::as_str))
                    )
                }
                Some(_) => format!("unknown {unknown}; it takes no arguments"),
                None => format!("unknown {unknown}{within}"),
            }
        }
        ValidationErrorKind::Enum { options } => {
            let allowed: Vec<_> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
            format!(
                "`{field}` must be one of {}",
                listed(allowed.iter().map(String::as_str)).replace('`', "")
            )
        }
        _ if field.is_empty() => error.masked_with("the arguments object").to_string(),
        _ => error.masked_with(format!("`{field}`")).to_string(),
    }
}

/// Names in backticks, the first few of them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let mut text: Vec<_> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("`{}`", clipped(name)))
        .collect();
    if names.len() > LISTED {
        text.push(format!("{} more", names.len() - LISTED));
    }
    text.join(", ")
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(ECHOED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Annotations;
    use proptest::prelude::*;
    use serde_json::json;

    fn spec(name: &str, input_schema: Value) -> ToolSpec {
        ToolSpec {
            name: name.into(),
            description: String::new(),
            input_schema,
            annotations: Annotations::default(),
            version: "1".into(),
            unchecked: false,
        }
    }

    fn order() -> Toolset {
        let schema = json!({
            "type": "object",
            "properties": {
                "order": {"type": "string", "minLength": 2},
                "count": {"type": "integer", "minimum": 1},
                "status": {"enum": ["open", "closed"]},
                "items": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
            },
            "required": ["order"],
            "additionalProperties": false,
        });
        let none = json!({"type": "object", "additionalProperties": false, "properties": {}});
        Toolset::compile(&[spec("order", schema), spec("none", none)]).unwrap()
    }

    #[test]
    fn messages_name_the_field_and_what_is_allowed() {
        let tools = order();
        let cases = [
            ("order", json!({}), "order: `order` (string) is missing"),
            (
                "order",
                json!({"order": "A1", "id": 2}),
                "order: unknown `id`; allowed are `count`, `items`, `order`, `status`",
            ),
            ("none", json!({"x": 1}), "none: unknown `x`; it takes no arguments"),
            ("order", json!({"order": 7}), "order: `order` is not of type \"string\""),
            (
                "order",
                json!({"order": "A"}),
                "order: `order` is shorter than 2 characters",
            ),
            (
                "order",
                json!({"order": "A1", "count": 0}),
                "order: `count` is less than the minimum of 1",
            ),
            (
                "order",
                json!({"order": "A1", "count": 1.5}),
                "order: `count` is not of type \"integer\"",
            ),
            (
                "order",
                json!({"order": "A1", "status": "x"}),
                "order: `status` must be one of \"open\", \"closed\"",
            ),
            (
                "order",
                json!({"order": "A1", "items": [{}]}),
                "order: `sku` is missing in `items/0`",
            ),
            ("order", json!([1]), "order: the arguments must be a JSON object"),
            (
                "oder",
                json!({}),
                "there is no tool `oder`; the tools are `order`, `none`",
            ),
        ];
        for (tool, arguments, message) in cases {
            assert_eq!(
                tools.check(tool, &arguments).unwrap_err().message,
                message,
                "{tool} {arguments}"
            );
        }
        assert!(tools.check("order", &json!({"order": "A1", "count": 2.0})).is_ok());
    }

    #[test]
    fn a_part_checks_its_own_tools_and_knows_no_others() {
        let tools = order();
        let part = tools.among(&[1, 7, 1]);
        assert_eq!(part.specs(), &tools.specs()[1..]);
        assert!(part.check("none", &json!({})).is_ok());
        assert!(part.check("none", &json!({"x": 1})).is_err());
        let message = part.check("order", &json!({"order": "A1"})).unwrap_err().message;
        assert_eq!(message, "there is no tool `order`; the tools are `none`");
        assert_eq!(
            (tools.place("none"), part.place("none"), part.place("order")),
            (Some(1), Some(0), None)
        );
    }

    #[test]
    fn long_echoes_are_clipped() {
        let message = order().check(&"x".repeat(5000), &json!({})).unwrap_err().message;
        assert!(message.chars().count() < 150, "{message}");
    }

    #[test]
    fn broken_schemas_are_typed_errors() {
        let bad = spec("bad", json!({"type": "objekt"}));
        assert!(matches!(Toolset::compile(&[bad]), Err(SchemaError::Invalid { tool, .. }) if tool == "bad"));
        let far = spec("far", json!({"$ref": "https://example.org/schema.json"}));
        assert!(matches!(Toolset::compile(&[far]), Err(SchemaError::Invalid { .. })));
        let one = spec("one", json!({}));
        assert_eq!(
            Toolset::compile(&[one.clone(), one]).unwrap_err(),
            SchemaError::Duplicate { tool: "one".into() }
        );
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-100i32..100).prop_map(|i| Value::from(f64::from(i))),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_form_is_stable_and_checks_alike(value in json_value()) {
            let once = canonical(value.clone());
            prop_assert_eq!(&canonical(once.clone()), &once);
            let tools = order();
            prop_assert_eq!(tools.check("order", &value).is_ok(), tools.check("order", &once).is_ok());
        }
    }

    #[test]
    fn canonical_numbers_are_whole_where_they_can_be() {
        assert_eq!(
            canonical(json!({"b": [2.0, -0.0, 1e300, 0.5], "a": 1})).to_string(),
            r#"{"a":1,"b":[2,0,1e+300,0.5]}"#
        );
    }
}
