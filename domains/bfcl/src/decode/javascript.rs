//! JavaScript calls: the first call statement of the program.

use super::tree::{children, parse};
use super::{DecodeError, Decoded, inner};
use hone_python::{Dict, Value};

pub(super) fn decode(source: &str) -> Result<Decoded, DecodeError> {
    // The original's grammar (0.21) reads `import.anything` as any other member; this one only knows `import.meta`.
    let tree = parse(
        &source.replace("import.", "name__."),
        tree_sitter_javascript::LANGUAGE.into(),
    )?;
    let text = |node: tree_sitter::Node<'_>| source.get(node.byte_range()).unwrap_or_default();
    let statements = children(tree.root_node())
        .into_iter()
        .filter(|node| node.kind() == "expression_statement");
    let Some(call) = statements
        .flat_map(children)
        .find(|node| node.kind() == "call_expression")
    else {
        return Ok(Decoded::Other);
    };
    let parts = children(call);
    let (Some(name), Some(list)) = (parts.first(), parts.get(1)) else {
        return Err(DecodeError::new("a call without arguments"));
    };
    let mut arguments = Dict::new();
    for child in children(*list) {
        let (name, value) = match child.kind() {
            "assignment_expression" => {
                let parts = children(child);
                let (Some(name), Some(value)) = (parts.first(), parts.get(2)) else {
                    return Err(DecodeError::new("an assignment without a value"));
                };
                let value = text(*value);
                let quoted = |quote| value.starts_with(quote) && value.ends_with(quote);
                let value = if quoted('"') || quoted('\'') {
                    inner(value)
                } else {
                    value
                };
                (Value::from(text(*name)), value)
            }
            "identifier" | "true" => (Value::None, text(child)),
            _ => continue,
        };
        if arguments
            .insert(name, value.into())
            .map_err(DecodeError::new)?
            .is_some()
        {
            return Err(DecodeError::new("two arguments of the same name"));
        }
    }
    Ok(Decoded::Calls(vec![(text(*name).into(), arguments)]))
}
