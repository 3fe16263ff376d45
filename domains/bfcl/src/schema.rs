//! Functions as JSON Schema, for function-calling APIs.

use crate::{Language, Record};
use hone_python::{Dict, DumpOptions, Value, dumps};

/// A function's name as APIs allow it: without dots.
pub fn sanitized(name: &str) -> String {
    name.replace('.', "_")
}

/// The functions of a record as OpenAI's `tools`, as the original sends them, but for the words of its hints on the language:
/// sanitised names, JSON Schema types. Java and JavaScript arguments are texts of source.
pub fn tools(record: &Record) -> Vec<Value> {
    let language = record.category.language();
    record
        .functions
        .iter()
        .map(|function| tool(&function.raw, language))
        .collect()
}

/// The functions of a record as prompted models read them: as in the data, with hints on the language.
pub(crate) fn documents(record: &Record) -> Vec<Value> {
    let language = record.category.language();
    let documents = record.functions.iter();
    documents
        .map(|function| described(&function.raw, language).into())
        .collect()
}

fn described(raw: &Value, language: Language) -> Dict {
    let mut function = raw.as_dict().cloned().unwrap_or_default();
    let hint = match language {
        Language::Python => " (Python 3.)",
        Language::Java => " (Java 8.)",
        Language::JavaScript => " (JavaScript.)",
    };
    append(&mut function, hint);
    if language != Language::Python
        && let Some(Value::Dict(parameters)) = function.get_mut("parameters")
        && let Some(Value::Dict(properties)) = parameters.get_mut("properties")
    {
        properties
            .iter_mut()
            .for_each(|(_, details)| as_source(details, language));
    }
    function
}

/// A function as one of OpenAI's `tools`.
pub(crate) fn tool(raw: &Value, language: Language) -> Value {
    let mut function = described(raw, language);
    let name = sanitized(function.get("name").and_then(Value::as_str).unwrap_or_default());
    function.set("name", name);
    if let Some(Value::Dict(parameters)) = function.get_mut("parameters") {
        parameters.set("type", "object");
        if let Some(Value::Dict(properties)) = parameters.get_mut("properties") {
            cast_all(properties);
        }
    }
    let entries = [("type", Value::from("function")), ("function", function.into())];
    Value::Dict(entries.into_iter().collect())
}

fn append(details: &mut Dict, text: &str) {
    let description = details.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{description}{text}");
    details.set("description", description);
}

/// A Java or JavaScript parameter: its type goes into the description, since its argument is text.
fn as_source(details: &mut Value, language: Language) {
    let Value::Dict(details) = details else { return };
    let declared = details
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let language_name = if language == Language::Java {
        "Java"
    } else {
        "JavaScript"
    };
    append(
        details,
        &match declared.as_str() {
            "any" => format!(" Any {language_name} value, written as source text."),
            _ => format!(" A {language_name} `{declared}`, written as source text."),
        },
    );
    if matches!(
        (language, declared.as_str()),
        (Language::Java, "ArrayList" | "Array") | (Language::JavaScript, "array")
    ) {
        let items = details.remove("items").unwrap_or_default();
        let items = items.get("type").and_then(Value::as_str).unwrap_or_default();
        append(details, &format!(" Its items are of type `{items}`."));
    }
    if (language, declared.as_str()) == (Language::JavaScript, "dict")
        && let Some(properties) = details.remove("properties")
    {
        let json = dumps(&properties, &DumpOptions::default()).unwrap_or_default();
        append(details, &format!(" Its entries: {json}"));
    }
    details.set("type", "string");
}

/// The JSON Schema type of one of BFCL's own.
fn json_type(declared: &str) -> Option<&'static str> {
    Some(match declared {
        "integer" | "byte" | "short" | "long" | "Bigint" => "integer",
        "number" | "float" | "double" => "number",
        "string" | "any" | "char" | "Any" | "String" => "string",
        "boolean" | "bool" => "boolean",
        "array" | "list" | "tuple" | "ArrayList" | "Array" | "Queue" | "Stack" => "array",
        "dict" | "object" | "HashMap" | "Hashtable" => "object",
        _ => return None,
    })
}

fn cast_all(properties: &mut Dict) {
    properties.iter_mut().for_each(|(_, details)| cast(details));
}

fn cast(details: &mut Value) {
    let Value::Dict(details) = details else { return };
    let declared = details.get("type").and_then(Value::as_str).map(str::to_owned);
    if declared.as_deref() == Some("float") {
        details.set("format", "float");
        append(details, " A float.");
    }
    let cast_type = declared.and_then(|declared| json_type(&declared)).unwrap_or("string");
    details.set("type", cast_type);
    if !matches!(cast_type, "array" | "object") {
        return;
    }
    if let Some(Value::Dict(properties)) = details.get_mut("properties") {
        cast_all(properties);
    } else if let Some(Value::Dict(items)) = details.get_mut("items") {
        cast_type_of(items);
        match items.get("type").and_then(Value::as_str) {
            Some("array") => {
                if let Some(Value::Dict(items)) = items.get_mut("items") {
                    cast_type_of(items);
                }
            }
            Some("object") => {
                if let Some(Value::Dict(properties)) = items.get_mut("properties") {
                    cast_all(properties);
                }
            }
            _ => {}
        }
    }
}

fn cast_type_of(items: &mut Dict) {
    let declared = items.get("type").and_then(Value::as_str).and_then(json_type);
    items.set("type", declared.unwrap_or("string"));
}
