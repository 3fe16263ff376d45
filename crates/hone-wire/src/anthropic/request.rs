//! Request bodies.

use super::{Anthropic, LAST_WITH_SAMPLING};
use crate::json::{Body, Json, raw};
use crate::{Assistant, Message, Part, Request, Settings, ToolChoice, ToolDef, Unsayable};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    schema: &'a Json,
}

/// The body that asks for `request`.
///
/// System messages at the start become `system`; later ones stay in their place, which not every model takes. The API
/// wants all results of a turn's calls in one user message, and what the user says after them in the same. It refuses
/// empty texts: an assistant's turn without parts is left out.
pub(crate) fn body(dialect: &Anthropic, request: &Request, stream: bool) -> Result<Vec<u8>, Unsayable> {
    let settings = &request.settings;
    refuse_unknown(settings)?;
    if dialect.version.as_str() > LAST_WITH_SAMPLING {
        refuse_sampling(settings)?;
    }
    let max_tokens = settings.max_tokens.ok_or_else(|| {
        let why = "Anthropic's API demands a bound on the tokens of an answer; set it";
        Unsayable::new("settings.max_tokens", why)
    })?;
    let mut body = Body::default();
    body.put("model", &request.model);
    body.put("max_tokens", &max_tokens);
    let leading = request.messages.iter().map_while(|message| match message {
        Message::System { text } => Some(text.as_str()),
        _ => None,
    });
    let system: Vec<&str> = leading.clone().filter(|text| !text.is_empty()).collect();
    if !system.is_empty() {
        body.put("system", &system.join("\n\n"));
    }
    body.put("messages", &messages(&request.messages, leading.count())?);
    if request.tools.is_empty() {
        settings.without_tools()?;
    } else {
        body.put("tools", &request.tools.iter().map(tool).collect::<Vec<_>>());
        body.put_some("tool_choice", choice(settings));
    }
    body.put_some("temperature", settings.temperature);
    body.put_some("top_p", settings.top_p);
    body.put_some("stop_sequences", (!settings.stop.is_empty()).then_some(&settings.stop));
    let format = settings.response_format.as_ref().map(|format| OutputConfig {
        format: Format {
            r#type: "json_schema",
            schema: &format.schema,
        },
    });
    body.put_some("output_config", format);
    if stream {
        body.put("stream", &true);
    }
    settings.put_extra(&mut body)?;
    Ok(body.to_vec())
}

/// What would be dropped in silence is refused.
fn refuse_unknown(settings: &Settings) -> Result<(), Unsayable> {
    for (field, set) in [
        ("settings.seed", settings.seed.is_some()),
        ("settings.logprobs", settings.logprobs.is_some()),
        ("settings.return_token_ids", settings.return_token_ids),
    ] {
        if set {
            return Err(Unsayable::new(
                field,
                "Anthropic's API has no such setting; leave it out",
            ));
        }
    }
    Ok(())
}

fn refuse_sampling(settings: &Settings) -> Result<(), Unsayable> {
    for (field, set) in [("temperature", settings.temperature), ("top_p", settings.top_p)] {
        if set.is_some() {
            let why = "this version of Anthropic's API has no such setting; leave it out, or set `anthropic.version` \
                       to \"2023-06-01\" for a model that still has it";
            return Err(Unsayable::new(format!("settings.{field}"), why));
        }
    }
    Ok(())
}

fn messages(all: &[Message], leading: usize) -> Result<Vec<Said<'_>>, Unsayable> {
    let mut said: Vec<Said> = Vec::new();
    for (at, message) in all.iter().enumerate().skip(leading) {
        match message {
            Message::System { text } => said.push(Said {
                role: "system",
                content: Content::Text(nonempty(text, at)?),
            }),
            Message::Assistant(turn) => {
                let blocks = blocks(turn);
                if !blocks.is_empty() {
                    said.push(Said {
                        role: "assistant",
                        content: Content::Blocks(blocks),
                    });
                }
            }
            Message::User { text } => {
                let text = nonempty(text, at)?;
                match said.last_mut() {
                    Some(last) if last.role == "user" => last.push(Block::Text { text }),
                    _ => said.push(Said {
                        role: "user",
                        content: Content::Text(text),
                    }),
                }
            }
            Message::Tool {
                call_id,
                text,
                is_error,
            } => {
                let result = Block::ToolResult {
                    tool_use_id: call_id,
                    content: text,
                    is_error: *is_error,
                };
                match said.last_mut() {
                    Some(last) if last.role == "user" => last.push(result),
                    _ => said.push(Said {
                        role: "user",
                        content: Content::Blocks(vec![result]),
                    }),
                }
            }
        }
    }
    Ok(said)
}

impl<'a> Said<'a> {
    fn push(&mut self, block: Block<'a>) {
        match &mut self.content {
            Content::Blocks(blocks) => blocks.push(block),
            Content::Text(text) => self.content = Content::Blocks(vec![Block::Text { text }, block]),
        }
    }
}

fn nonempty(text: &str, at: usize) -> Result<&str, Unsayable> {
    if text.is_empty() {
        let why = "Anthropic's API refuses empty texts; say something or leave the message out";
        return Err(Unsayable::new(format!("messages[{at}]"), why));
    }
    Ok(text)
}

fn blocks(turn: &Assistant) -> Vec<Block<'_>> {
    turn.parts.iter().filter_map(block).collect()
}

fn block(part: &Part) -> Option<Block<'_>> {
    match part {
        Part::Text { text } => (!text.is_empty()).then_some(Block::Text { text }),
        // A thought without its signature is from another server's model; this one would refuse it.
        Part::Reasoning { text, signature } => signature.as_deref().map(|signature| Block::Thinking {
            thinking: text,
            signature,
        }),
        Part::Redacted { data } => Some(Block::RedactedThinking { data }),
        Part::Call(call) => Some(Block::ToolUse {
            id: &call.id,
            name: &call.name,
            input: input(&call.arguments),
        }),
    }
}

/// The API takes only objects; its documentation wraps anything else in this way.
fn input(arguments: &crate::Arguments) -> Box<RawValue> {
    match (&arguments.parsed, Json::parse(&arguments.raw)) {
        (Ok(_), Ok(json)) => raw(&json),
        _ => raw(&json!({"INVALID_JSON": arguments.raw})),
    }
}

fn tool(tool: &ToolDef) -> Tool<'_> {
    Tool {
        name: &tool.name,
        description: &tool.description,
        input_schema: &tool.parameters,
        strict: tool.strict,
    }
}

fn choice(settings: &Settings) -> Option<serde_json::Value> {
    let mut choice = match (&settings.tool_choice, settings.parallel_tool_calls) {
        (Some(ToolChoice::None), _) => return Some(json!({"type": "none"})),
        (None, None | Some(true)) => return None,
        (None, Some(false)) | (Some(ToolChoice::Auto), _) => json!({"type": "auto"}),
        (Some(ToolChoice::Required), _) => json!({"type": "any"}),
        (Some(ToolChoice::Tool(name)), _) => json!({"type": "tool", "name": name}),
    };
    if let Some(parallel) = settings.parallel_tool_calls {
        choice["disable_parallel_tool_use"] = json!(!parallel);
    }
    Some(choice)
}
