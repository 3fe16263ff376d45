//! How the tools say what they take, and read it.

use hone_tool::{Annotations, ToolError, ToolSpec};
use serde_json::Value;

/// Looks and changes nothing.
pub const READS: Annotations = Annotations {
    read_only_hint: true,
    destructive_hint: false,
    idempotent_hint: true,
    open_world_hint: false,
};

/// May overwrite or delete; once is as good as twice.
pub const REPLACES: Annotations = Annotations {
    read_only_hint: false,
    destructive_hint: true,
    idempotent_hint: true,
    open_world_hint: false,
};

/// May overwrite or delete, each time anew.
pub const WRITES: Annotations = Annotations {
    read_only_hint: false,
    destructive_hint: true,
    idempotent_hint: false,
    open_world_hint: false,
};

/// A tool.
pub fn tool(name: &str, description: &str, input_schema: Value, annotations: Annotations) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema,
        annotations,
        version: "1".to_owned(),
        unchecked: false,
    }
}

/// A text among the arguments; empty if there is none.
pub fn word<'a>(arguments: &'a Value, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number among the arguments, or the usual one.
pub fn count(arguments: &Value, name: &str, usual: u64) -> u64 {
    arguments.get(name).and_then(Value::as_u64).unwrap_or(usual)
}

/// A truth value among the arguments; false if there is none.
pub fn truth(arguments: &Value, name: &str) -> bool {
    arguments.get(name).and_then(Value::as_bool).unwrap_or_default()
}

/// What a host says that is asked for somebody else's tool.
pub fn unknown(tool: &str) -> ToolError {
    ToolError::tool(format!("there is no tool `{tool}`"))
}
