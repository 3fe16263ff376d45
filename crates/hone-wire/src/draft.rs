//! What an answer is put together from, whole or streamed.

use crate::json::read;
use crate::{Assistant, Broken, Limits, Part, ServerError, ToolCall};
use serde_json::Value;

/// A piece of an answer that just arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// Text.
    Text(&'a str),
    /// Reasoning.
    Reasoning(&'a str),
    /// A call begins.
    Call {
        /// Its number within the answer.
        index: usize,
        /// Tool name.
        name: &'a str,
    },
    /// A piece of a call's arguments.
    Arguments {
        /// The call's number within the answer.
        index: usize,
        /// The piece.
        json: &'a str,
    },
}

/// Parts under construction, with the bounds on calls.
pub(crate) struct Draft {
    limits: Limits,
    parts: Vec<Part>,
    calls: usize,
}

impl Draft {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            parts: Vec::new(),
            calls: 0,
        }
    }

    pub fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.parts.push(Part::Text { text });
        }
    }

    pub fn reasoning(&mut self, text: String, signature: Option<String>) {
        let signature = signature.filter(|s| !s.is_empty());
        if !text.is_empty() || signature.is_some() {
            self.parts.push(Part::Reasoning { text, signature });
        }
    }

    pub fn redacted(&mut self, data: String) {
        self.parts.push(Part::Redacted { data });
    }

    pub fn call(&mut self, id: Option<String>, name: String, arguments: String) -> Result<(), Broken> {
        bound_calls(self.calls, &self.limits)?;
        bound_arguments(arguments.len(), &self.limits)?;
        let id = id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("call_{}", self.calls));
        self.calls += 1;
        self.parts.push(Part::Call(ToolCall::new(id, name, arguments)));
        Ok(())
    }

    pub fn finish(self) -> Assistant {
        Assistant { parts: self.parts }
    }
}

/// Whether one more call than `count` is allowed.
pub(crate) fn bound_calls(count: usize, limits: &Limits) -> Result<(), Broken> {
    if count < limits.tool_calls {
        return Ok(());
    }
    Err(Broken::TooLarge {
        what: "the number of tool calls",
        limit: limits.tool_calls as u64,
        unit: "calls",
    })
}

/// Whether arguments of that many bytes are allowed.
pub(crate) fn bound_arguments(bytes: usize, limits: &Limits) -> Result<(), Broken> {
    if bytes <= limits.argument_bytes {
        return Ok(());
    }
    Err(Broken::TooLarge {
        what: "a tool call's arguments",
        limit: limits.argument_bytes as u64,
        unit: "bytes",
    })
}

/// The error that a body tells of, in any of the forms that servers use: `{"error": {"message", "type", "code"}}`,
/// `{"error": "…"}`, `{"message", "type", "code"}`, `{"detail": …}`. `None` if it tells of none.
pub(crate) fn server_error(text: &str, status: Option<u16>) -> Option<ServerError> {
    let body: Value = read(text).ok()?;
    let field = |key: &str| body.get(key).filter(|value| !value.is_null());
    let is_error = status.is_some() || field("object").is_some_and(|object| object == "error");
    let told = match (field("error"), field("detail"), field("message")) {
        (Some(error), _, _) => error,
        (_, Some(detail), _) if is_error => detail,
        (_, _, Some(Value::String(_))) if is_error => &body,
        _ => return None,
    };
    let word = |key: &str| told.get(key).and_then(|v| v.as_str()).unwrap_or_default();
    let code = told.get("code").and_then(Value::as_u64);
    let kind = match (word("code"), word("type")) {
        ("", kind) => kind,
        (code, _) => code,
    };
    let message = match (told.as_str(), word("message")) {
        (Some(text), _) => text.to_owned(),
        (None, "") => told.to_string(),
        (None, message) => message.to_owned(),
    };
    let code = code
        .and_then(|c| u16::try_from(c).ok())
        .filter(|c| (400..600).contains(c));
    let status = status
        .or(code)
        .or_else(|| status_of(word("type")))
        .or_else(|| status_of(word("code")));
    Some(ServerError::new(status, kind, &message))
}

/// The HTTP status that a kind of error stands for where none came with it: inside a stream.
fn status_of(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" | "BadRequestError" => 400,
        "authentication_error" => 401,
        "billing_error" | "insufficient_quota" => 402,
        "permission_error" => 403,
        "not_found_error" | "NotFoundError" => 404,
        "request_too_large" => 413,
        "rate_limit_error" | "rate_limit_exceeded" => 429,
        "api_error" | "server_error" | "InternalServerError" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}
