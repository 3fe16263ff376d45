//! A server's tool, made into ours.

use crate::connection::Info;
use crate::{Error, Limits};
use hone_tool::{Annotations, ToolSpec};
use jsonschema::Validator;
use rmcp::model;
use serde_json::Value;
use std::sync::Arc;

/// A tool as its server lists it.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Name, description, schema of the arguments, hints.
    pub spec: ToolSpec,
    /// A name for people.
    pub title: Option<String>,
    /// Schema of the structured result.
    pub output_schema: Option<Value>,
    /// The same, compiled; absent too where the schema is none, which `lint` tells.
    pub(crate) output: Option<Arc<Validator>>,
}

/// Progress of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// How much is done.
    pub done: f64,
    /// Of how much, if the server knows.
    pub total: Option<f64>,
    /// What it is doing.
    pub message: String,
}

/// Take a tool over, within the limits.
pub(crate) fn take(tool: model::Tool, info: &Info, server: &str, limits: &Limits) -> Result<Tool, Error> {
    let breach = |why: String| {
        Err(Error::Protocol {
            server: server.to_owned(),
            why,
        })
    };
    let name = tool.name.into_owned();
    if name.is_empty() || name.len() > 256 {
        return breach("it has a tool whose name is empty or longer than 256 bytes".to_owned());
    }
    let description = tool.description.map(|text| text.into_owned()).unwrap_or_default();
    let input_schema = Value::Object(Arc::unwrap_or_clone(tool.input_schema));
    let output_schema = tool
        .output_schema
        .map(|schema| Value::Object(Arc::unwrap_or_clone(schema)));
    let bytes = |schema: &Value| schema.to_string().len();
    let size = description.len() + bytes(&input_schema) + output_schema.as_ref().map_or(0, bytes);
    if size > limits.tool_bytes {
        return breach(format!(
            "its tool `{}` is described in {size} bytes; `limits.tool_bytes` allows {}",
            hone_wire::shown(&name, 60),
            limits.tool_bytes
        ));
    }
    let output = output_schema
        .as_ref()
        .and_then(|schema| Validator::new(schema).ok())
        .map(Arc::new);
    Ok(Tool {
        spec: ToolSpec {
            name,
            description,
            input_schema,
            annotations: annotations(tool.annotations.as_ref()),
            version: info.version.clone(),
            unchecked: false,
        },
        title: tool.title.or_else(|| tool.annotations.and_then(|a| a.title)),
        output_schema,
        output,
    })
}

/// The protocol's defaults: a tool that says nothing changes things, may destroy, must not be repeated, and reaches out.
fn annotations(hints: Option<&model::ToolAnnotations>) -> Annotations {
    let hint = |pick: fn(&model::ToolAnnotations) -> Option<bool>, otherwise| hints.and_then(pick).unwrap_or(otherwise);
    Annotations {
        read_only_hint: hint(|h| h.read_only_hint, false),
        destructive_hint: hint(|h| h.destructive_hint, true),
        idempotent_hint: hint(|h| h.idempotent_hint, false),
        open_world_hint: hint(|h| h.open_world_hint, true),
    }
}
