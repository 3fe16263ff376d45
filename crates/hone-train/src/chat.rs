//! Supervised examples out of chats: JSON Lines in the form of OpenAI's Chat Completions, as fine-tuning services take them.
//!
//! A line is `{"messages": [{"role", "content", "tool_calls"}], "tools": [{"type": "function", "function": {…}}]}`. Every
//! answer is learnt, rendered by the model's own template behind the prompt that the model would see.

use crate::supervised::Example;
use hone_model::{AgentTurn, CallRequest, Conversation, Message, TokenCodec};
use hone_tool::{Annotations, ToolSpec, Toolset};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest line in bytes.
const MAX_LINE: u64 = 16 << 20;

/// A file of chats that is not one.
#[derive(Debug, thiserror::Error)]
#[error("{}{line}: {what}", path.display())]
pub struct ChatError {
    path: PathBuf,
    /// `:n`, if it is about a line.
    line: String,
    /// What is wrong and how to mend it.
    what: String,
}

/// The examples of a file.
///
/// # Errors
/// Names the file, the line, the field and what is allowed.
pub fn examples(path: &Path, codec: &dyn TokenCodec) -> Result<Vec<Example>, ChatError> {
    let fail = |line: usize, what: String| ChatError {
        path: path.to_owned(),
        line: if line > 0 { format!(":{line}") } else { String::new() },
        what,
    };
    let file = std::fs::File::open(path).map_err(|error| fail(0, format!("cannot be read ({error})")))?;
    let mut reader = BufReader::new(file);
    let mut out = Vec::new();
    for number in 1.. {
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut reader, MAX_LINE + 1).read_until(b'\n', &mut line);
        if read.map_err(|error| fail(number, format!("cannot be read ({error})")))? == 0 {
            break;
        }
        if line.len() as u64 > MAX_LINE {
            return Err(fail(
                number,
                format!("is longer than {MAX_LINE} bytes; split the conversation"),
            ));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let chat: Value =
            serde_json::from_slice(&line).map_err(|error| fail(number, format!("is not JSON: {error}")))?;
        let (messages, tools) = read_chat(&chat).map_err(|what| fail(number, what))?;
        let made = learnt(messages, tools, codec).map_err(|error| fail(number, error.to_string()))?;
        out.extend(made);
    }
    Ok(out)
}

/// A conversation as examples: one, and another wherever the template changes what came before.
fn learnt(
    messages: Vec<Message>,
    tools: Arc<Toolset>,
    codec: &dyn TokenCodec,
) -> Result<Vec<Example>, hone_model::ModelError> {
    let mut conversation = Conversation::default();
    let mut targets = Vec::new();
    let mut out = Vec::new();
    for message in messages {
        let Message::Agent(turn) = &message else {
            conversation.messages.push(message);
            continue;
        };
        let answer = codec.answer(&conversation, &tools, turn)?;
        let prompt = codec.extend(&conversation, &tools)?;
        if prompt.kept < conversation.ids.len() && !targets.is_empty() {
            let ids = conversation.ids.clone();
            let targets = std::mem::take(&mut targets);
            out.push(Example { ids, targets });
        }
        conversation.ids.truncate(prompt.kept);
        conversation.ids.extend(prompt.new);
        let start = conversation.ids.len() as u32;
        targets.extend((start..start + answer.len() as u32).filter(|at| *at > 0));
        conversation.ids.extend(answer);
        conversation.messages.push(message);
        conversation.rendered = conversation.messages.len();
        conversation.tools = Some(Arc::clone(&tools));
    }
    if !targets.is_empty() {
        // What follows the last answer is not rendered.
        let ids = conversation.ids;
        out.push(Example { ids, targets });
    }
    Ok(out)
}

fn read_chat(chat: &Value) -> Result<(Vec<Message>, Arc<Toolset>), String> {
    let messages = chat["messages"].as_array().ok_or("`messages` is no list")?;
    let messages = messages.iter().enumerate().map(|(at, message)| {
        let place = |what: &str| format!("messages[{at}]: {what}");
        let text =
            text(&message["content"]).ok_or_else(|| place("`content` is neither text nor parts of type text"))?;
        Ok(match message["role"].as_str() {
            Some("system" | "developer") => Message::System(text),
            Some("user") => Message::User(text),
            Some("tool") => Message::Tool(text),
            Some("assistant") => Message::Agent(match message["tool_calls"].as_array() {
                Some(calls) if !calls.is_empty() => AgentTurn::Calls {
                    content: text,
                    calls: calls
                        .iter()
                        .map(call)
                        .collect::<Result<_, _>>()
                        .map_err(|what| place(&what))?,
                },
                _ => AgentTurn::Say(text),
            }),
            _ => return Err(place("`role` is none of system, user, assistant, tool")),
        })
    });
    let messages = messages.collect::<Result<Vec<_>, _>>()?;
    let tools = chat["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let specs = tools.iter().enumerate().map(|(at, tool)| {
        let function = tool.get("function").unwrap_or(tool);
        let name = function["name"].as_str();
        Ok(ToolSpec {
            name: name
                .ok_or_else(|| format!("tools[{at}]: `function.name` is no text"))?
                .to_owned(),
            description: function["description"].as_str().unwrap_or_default().to_owned(),
            input_schema: match &function["parameters"] {
                Value::Null => serde_json::json!({"type": "object"}),
                schema => schema.clone(),
            },
            annotations: Annotations::default(),
            version: String::new(),
            // Nothing is called here.
            unchecked: true,
        })
    });
    let specs = specs.collect::<Result<Vec<_>, String>>()?;
    let tools = Toolset::compile(&specs).map_err(|error| format!("`tools`: {error}"))?;
    Ok((messages, Arc::new(tools)))
}

fn text(content: &Value) -> Option<String> {
    match content {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts.iter().map(|part| part["text"].as_str()).collect(),
        _ => None,
    }
}

fn call(call: &Value) -> Result<CallRequest, String> {
    let function = call.get("function").unwrap_or(call);
    let name = function["name"].as_str().ok_or("a call's `function.name` is no text")?;
    let arguments = match &function["arguments"] {
        Value::String(text) => {
            serde_json::from_str(text).map_err(|error| format!("the arguments of {name} are not JSON: {error}"))?
        }
        other => other.clone(),
    };
    if !arguments.is_object() {
        return Err(format!("the arguments of {name} are no JSON object"));
    }
    Ok(CallRequest::new(name, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_model::train_tokenizer;

    #[test]
    fn every_answer_is_learnt_and_nothing_else() {
        let texts = ["What is the weather in Bern?", "{\"city\": \"Bern\"} sunny"];
        let codec = train_tokenizer(texts.iter().map(|t| t.to_string()), 400).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chat.jsonl");
        let good = r#"{"messages": [{"role": "user", "content": "weather?"}, {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bern\"}"}}]}, {"role": "tool", "content": "sunny"}, {"role": "assistant", "content": "Sun."}, {"role": "user", "content": "thanks"}], "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]}"#;
        std::fs::write(&path, format!("{good}\n\n")).unwrap();
        let made = examples(&path, &codec).unwrap();
        assert_eq!(made.len(), 1);
        let learnt: Vec<u32> = made[0].targets.iter().map(|at| made[0].ids[*at as usize]).collect();
        let turns = [
            AgentTurn::call("weather", serde_json::json!({"city": "Bern"})),
            AgentTurn::Say("Sun.".into()),
        ];
        let want: Vec<u32> = turns.iter().flat_map(|turn| codec.render_agent(turn)).collect();
        assert_eq!(learnt, want);
        assert!(made[0].ids.len() > learnt.len() + 10);

        for (bad, word) in [
            ("{", "is not JSON"),
            (r#"{"messages": 1}"#, "no list"),
            (
                r#"{"messages": [{"role": "cat", "content": "x"}]}"#,
                "messages[0]: `role`",
            ),
            (r#"{"messages": [{"role": "user", "content": 1}]}"#, "`content`"),
            (
                r#"{"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "1"}}]}]}"#,
                "no JSON object",
            ),
            (r#"{"messages": [], "tools": [{}]}"#, "tools[0]"),
        ] {
            std::fs::write(&path, format!("{good}\n{bad}\n")).unwrap();
            let error = examples(&path, &codec).unwrap_err().to_string();
            assert!(error.contains("chat.jsonl:2: ") && error.contains(word), "{error}");
        }
    }
}
