//! Request bodies.

use super::{MaxTokensField, OpenAi};
use crate::json::{Body, Json};
use crate::{Assistant, JsonSchema, Message, Request, ToolChoice, ToolDef, Unsayable};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Said<'a> {
    System {
        content: &'a str,
    },
    User {
        content: &'a str,
    },
    Assistant {
        /// `null` where there are only calls.
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
        #[serde(flatten)]
        reasoning: BTreeMap<&'a str, String>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Definition<'a>,
}

#[derive(Serialize)]
struct Definition<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    parameters: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    json_schema: &'a JsonSchema,
}

/// The body that asks for `request`.
pub(crate) fn body(dialect: &OpenAi, request: &Request, stream: bool) -> Result<Vec<u8>, Unsayable> {
    let settings = &request.settings;
    let mut body = Body::default();
    body.put("model", &request.model);
    let said: Vec<Said> = request.messages.iter().map(|m| message(dialect, m)).collect();
    body.put("messages", &said);
    if request.tools.is_empty() {
        settings.without_tools()?;
    } else {
        body.put("tools", &request.tools.iter().map(tool).collect::<Vec<_>>());
        body.put_some("tool_choice", settings.tool_choice.as_ref().map(choice));
        body.put_some("parallel_tool_calls", settings.parallel_tool_calls);
    }
    body.put_some("temperature", settings.temperature);
    body.put_some("top_p", settings.top_p);
    let max_tokens = match dialect.max_tokens_field {
        MaxTokensField::MaxTokens => "max_tokens",
        MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
    };
    body.put_some(max_tokens, settings.max_tokens);
    body.put_some("stop", (!settings.stop.is_empty()).then_some(&settings.stop));
    body.put_some("seed", settings.seed);
    let format = settings.response_format.as_ref().map(|json_schema| Format {
        r#type: "json_schema",
        json_schema,
    });
    body.put_some("response_format", format);
    body.put_some("logprobs", settings.logprobs.map(|_| true));
    body.put_some("top_logprobs", settings.logprobs.filter(|n| *n > 0));
    body.put_some("return_token_ids", settings.return_token_ids.then_some(true));
    if stream {
        body.put("stream", &true);
        body.put("stream_options", &json!({"include_usage": true}));
    }
    settings.put_extra(&mut body)?;
    Ok(body.to_vec())
}

fn message<'a>(dialect: &'a OpenAi, message: &'a Message) -> Said<'a> {
    match message {
        Message::System { text } => Said::System { content: text },
        Message::User { text } => Said::User { content: text },
        Message::Tool { call_id, text, .. } => Said::Tool {
            tool_call_id: call_id,
            content: text,
        },
        Message::Assistant(said) => assistant(dialect, said),
    }
}

fn assistant<'a>(dialect: &'a OpenAi, said: &'a Assistant) -> Said<'a> {
    let text = said.text();
    let tool_calls: Vec<Call> = said
        .calls()
        .map(|call| Call {
            id: &call.id,
            r#type: "function",
            function: Function {
                name: &call.name,
                arguments: &call.arguments.raw,
            },
        })
        .collect();
    let reasoning = said.reasoning();
    Said::Assistant {
        content: (!text.is_empty() || tool_calls.is_empty()).then_some(text),
        tool_calls,
        reasoning: dialect
            .reasoning_field
            .as_deref()
            .filter(|_| !reasoning.is_empty())
            .map(|field| (field, reasoning))
            .into_iter()
            .collect(),
    }
}

fn tool(tool: &ToolDef) -> Tool<'_> {
    Tool {
        r#type: "function",
        function: Definition {
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.parameters,
            strict: tool.strict,
        },
    }
}

fn choice(choice: &ToolChoice) -> serde_json::Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Tool(name) => json!({"type": "function", "function": {"name": name}}),
    }
}
