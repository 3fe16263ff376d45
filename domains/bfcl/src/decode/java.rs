//! Java calls.
//!
//! Arguments stay source text, put together from the tree: white space between tokens is lost, and so are class bodies.

use super::tree::{children, parse, parse_terminated};
use super::{DecodeError, Decoded, inner};
use hone_python::{Dict, Value};
use tree_sitter::Node;

pub(super) fn decode(source: &str) -> Result<Decoded, DecodeError> {
    let tree = match parse_terminated(source, tree_sitter_java::LANGUAGE.into()) {
        Some(tree) => tree,
        None => parse(source, tree_sitter_java::LANGUAGE.into())?,
    };
    let source = Source {
        text: source,
        chars: (!source.is_ascii()).then(|| source.chars().collect()),
    };
    let call = source.call(tree.root_node())?;
    Ok(call.map_or(Decoded::Other, |call| Decoded::Calls(vec![call])))
}

struct Source<'a> {
    text: &'a str,
    chars: Option<Vec<char>>,
}

impl Source<'_> {
    /// The original cuts characters at byte offsets, so that text behind a character beyond ASCII is shifted.
    fn text(&self, node: Node<'_>) -> String {
        match &self.chars {
            None => self.text.get(node.byte_range()).unwrap_or_default().to_owned(),
            Some(chars) => {
                let cut = |at: usize| at.min(chars.len());
                chars[cut(node.start_byte())..cut(node.end_byte())].iter().collect()
            }
        }
    }

    /// The first method invocation, in order.
    fn call(&self, node: Node<'_>) -> Result<Option<(Value, Dict)>, DecodeError> {
        if node.kind() != "method_invocation" {
            for child in children(node) {
                if let Some(call) = self.call(child)? {
                    return Ok(Some(call));
                }
            }
            return Ok(None);
        }
        let method = node
            .child_by_field_name("name")
            .ok_or_else(|| DecodeError::new("a call without a name"))?;
        let method = self.text(method);
        let name = match node.child_by_field_name("object") {
            Some(object) => format!("{}.{method}", self.text(object)),
            None => method,
        };
        let Some(arguments) = node.child_by_field_name("arguments") else {
            return Ok(None);
        };
        Ok(Some((name.into(), self.arguments(arguments)?)))
    }

    fn arguments(&self, list: Node<'_>) -> Result<Dict, DecodeError> {
        let mut arguments = Dict::new();
        for child in children(list) {
            let (name, value) = match child.kind() {
                "assignment_expression" => {
                    let parts = children(child);
                    let (Some(name), Some(value)) = (parts.first(), parts.get(2)) else {
                        return Err(DecodeError::new("an assignment without a value"));
                    };
                    (Value::from(self.text(*name)), self.value(*value, false)?)
                }
                "identifier" | "class_literal" | "set" => (Value::None, self.value(child, false)?),
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
        Ok(arguments)
    }

    fn value(&self, node: Node<'_>, nested: bool) -> Result<String, DecodeError> {
        let field = |name| node.child_by_field_name(name);
        Ok(match node.kind() {
            "string_literal" | "character_literal" => {
                let text = self.text(node);
                if nested { text } else { inner(&text).to_owned() }
            }
            "identifier" | "class_literal" | "type_identifier" | "method_invocation" => self.text(node),
            "array_creation_expression" => {
                let part = |name| {
                    let node = field(name).ok_or_else(|| DecodeError::new("an array without values"))?;
                    self.value(node, true)
                };
                format!("new {}[]{}", part("type")?, part("value")?)
            }
            "object_creation_expression" => {
                let made = field("type").ok_or_else(|| DecodeError::new("an object without a type"))?;
                let made = self.value(made, true)?;
                let list = field("arguments").map(children).unwrap_or_default();
                let items = list
                    .into_iter()
                    .filter(|child| !matches!(child.kind(), "," | "(" | ")"));
                let items = items
                    .map(|child| self.value(child, true))
                    .collect::<Result<Vec<_>, _>>()?;
                format!("new {made}({})", items.join(", "))
            }
            "set" => {
                let items = children(node)
                    .into_iter()
                    .filter(|child| !matches!(child.kind(), "," | "set"));
                let items = items
                    .map(|child| self.value(child, true))
                    .collect::<Result<Vec<_>, _>>()?;
                format!("{{{}}}", items.join(", "))
            }
            _ if node.child_count() > 0 => {
                let parts = children(node).into_iter().map(|child| self.value(child, true));
                parts.collect::<Result<String, _>>()?
            }
            _ => self.text(node),
        })
    }
}
