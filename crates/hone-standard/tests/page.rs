//! docs/standard-tools.md says what the tools say of themselves, and they have no defects.
#![cfg(feature = "full")]

use hone_standard::catalogue;
use hone_tool::{Annotations, ToolSpec, Toolset, lint};
use serde_json::Value;

/// An argument: its name (with `?` if it may be left out), its type and bounds.
fn argument(name: &str, schema: &Value, required: bool) -> String {
    let mark = if required { "" } else { "?" };
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.replace("string", "text"),
        _ => match schema.get("enum").and_then(Value::as_array) {
            Some(choices) => {
                let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
                format!("one of {}", choices.join(", "))
            }
            None => "any".to_owned(),
        },
    };
    let number = |key: &str| schema.get(key).and_then(Value::as_i64);
    let bounds = match (
        number("minimum"),
        number("maximum"),
        number("maxLength"),
        number("maxItems"),
    ) {
        (Some(least), Some(most), _, _) => format!(" {least} to {most}"),
        (Some(least), None, _, _) => format!(" from {least}"),
        (_, _, Some(most), _) => format!(" of at most {most} characters"),
        (_, _, _, Some(most)) => format!(" of at most {most}"),
        _ => String::new(),
    };
    format!("`{name}{mark}` {kind}{bounds}")
}

fn arguments(spec: &ToolSpec) -> String {
    let required = spec.input_schema["required"].as_array().cloned().unwrap_or_default();
    let properties = spec.input_schema["properties"].as_object().unwrap();
    let all: Vec<String> = properties
        .iter()
        .map(|(name, schema)| argument(name, schema, required.contains(&Value::from(name.as_str()))))
        .collect();
    all.join("; ")
}

fn hints(hints: Annotations) -> String {
    let words = [
        (hints.read_only_hint, "read-only"),
        (hints.destructive_hint, "destructive"),
        (hints.idempotent_hint, "idempotent"),
        (hints.open_world_hint, "open-world"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    words.join(", ")
}

#[test]
fn the_page_is_what_the_tools_say() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/standard-tools.md")).unwrap();
    let mut kits = "| kit | what it is | settings | limits |\n| --- | --- | --- | --- |\n".to_owned();
    let mut tools = "| tool | of | arguments | annotations |\n| --- | --- | --- | --- |\n".to_owned();
    for card in catalogue() {
        kits += &format!(
            "| `{}` | {} | {} | {} |\n",
            card.name, card.about, card.settings, card.limits
        );
        for spec in &card.specs {
            let (arguments, hints) = (arguments(spec), hints(spec.annotations));
            tools += &format!("| `{}` | `{}` | {arguments} | {hints} |\n", spec.name, card.name);
        }
    }
    let missing: Vec<String> = [kits, tools]
        .into_iter()
        .filter(|table| !page.contains(table))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/standard-tools.md must have:\n\n{}",
        missing.join("\n")
    );
}

#[test]
fn the_tools_have_no_defects() {
    let specs: Vec<ToolSpec> = catalogue().into_iter().flat_map(|card| card.specs).collect();
    assert_eq!(lint(&specs), []);
    Toolset::compile(&specs).unwrap();
}
