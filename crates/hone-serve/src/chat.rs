//! `/v1/chat/completions`.

use crate::ask::{self, Asked};
use crate::body::{Answer, Events, Gone};
use crate::error::Refusal;
use crate::sample::{self, Answers, Order, Step, Text};
use crate::{Shared, http};
use hone_engine::Generation;
use hone_model::{AgentTurn, CallRequest, Conversation, Message, TurnDelta, TurnStream, before_stop, written};
use hone_tool::{ToolSpec, Toolset};
use hone_trace::{Constraint, FinishReason, TokenId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// Most tools of a request.
const MAX_TOOLS: usize = 512;
/// Most messages of a request.
const MAX_MESSAGES: usize = 4096;

struct Chat {
    asked: Asked,
    prompt: Vec<TokenId>,
    tools: Arc<Toolset>,
    logprobs: Option<u32>,
}

pub(crate) async fn answer(shared: &Arc<Shared>, body: &Value, hang_up: Arc<Notify>) -> Result<Answer, Refusal> {
    let chat = read(shared, body)?;
    let order = Order {
        prompt: chat.prompt.clone(),
        settings: chat.asked.settings.clone(),
        tools: chat.tools.clone(),
        seed: chat.asked.seed,
        n: chat.asked.n,
    };
    let answers = Answers::start(shared, order).await?;
    if chat.asked.stream {
        let (events, body) = Events::new(hang_up, shared.options.patience);
        tokio::spawn(stream(shared.clone(), chat, answers, events));
        return Ok(http::events(body));
    }
    let all = answers.all(chat.asked.n).await?;
    let sampled = all.iter().map(|generation| generation.ids.len()).sum();
    let choices: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(index, it)| choice(shared, &chat, index, it))
        .collect();
    let mut value = json!({
        "id": sample::id("chatcmpl", shared), "object": "chat.completion", "created": sample::now(), "model": shared.options.name,
        "choices": choices, "usage": sample::usage(chat.prompt.len(), sampled),
    });
    if chat.asked.token_ids {
        value["prompt_token_ids"] = json!(chat.prompt);
    }
    Ok(http::json(&value))
}

fn turn(shared: &Shared, chat: &Chat, generation: &Generation) -> AgentTurn {
    before_stop(shared.sampler.codec().parse(&generation.ids), &chat.asked.settings.stop).0
}

fn choice(shared: &Shared, chat: &Chat, index: usize, generation: &Generation) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let turn = turn(shared, chat, generation);
    match &turn {
        AgentTurn::Say(text) | AgentTurn::Malformed { raw: text, .. } => message["content"] = text.as_str().into(),
        AgentTurn::Calls { content, calls } => {
            if !content.is_empty() {
                message["content"] = content.as_str().into();
            }
            let call = |call: &CallRequest| {
                let function = json!({"name": call.name, "arguments": written(&call.arguments)});
                json!({"id": sample::id("call", shared), "type": "function", "function": function})
            };
            message["tool_calls"] = calls.iter().map(call).collect();
        }
    }
    let mut value = json!({
        "index": index, "message": message, "logprobs": null,
        "finish_reason": sample::finish(generation.finish, !turn.calls().is_empty()),
    });
    if let Some(n) = chat.logprobs {
        let ends = shared.sampler.codec().ends();
        let entries = generation
            .ids
            .iter()
            .enumerate()
            .filter(|(_, id)| !ends.contains(id))
            .map(|(at, id)| {
                let top = generation.top_logprobs.get(at).map_or(&[][..], Vec::as_slice);
                sample::entry(shared, *id, generation.logprobs[at], top, n)
            });
        value["logprobs"] = json!({"content": entries.collect::<Vec<_>>(), "refusal": null});
    }
    if chat.asked.token_ids {
        value["token_ids"] = json!(generation.ids);
    }
    value
}

/// One answer under way.
struct Open {
    text: Text,
    turn: TurnStream,
    /// What is not sent yet of its log-probabilities and ids.
    entries: Vec<Value>,
    ids: Vec<TokenId>,
}

struct Sender {
    shared: Arc<Shared>,
    chat: Chat,
    events: Events,
    id: String,
    created: u64,
    first: bool,
}

impl Sender {
    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.shared.options.name,
            "choices": choices,
        })
    }

    async fn send(&mut self, index: usize, delta: Value, open: &mut Open, finish: Option<&str>) -> Result<(), Gone> {
        let mut choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
        if self.chat.logprobs.is_some() && !open.entries.is_empty() {
            choice["logprobs"] = json!({"content": std::mem::take(&mut open.entries), "refusal": null});
        }
        if self.chat.asked.token_ids {
            choice["token_ids"] = json!(std::mem::take(&mut open.ids));
        }
        let mut chunk = self.chunk(json!([choice]));
        if std::mem::take(&mut self.first) && self.chat.asked.token_ids {
            chunk["prompt_token_ids"] = json!(self.chat.prompt);
        }
        self.events.send(&chunk).await
    }

    async fn deltas(
        &mut self,
        index: usize,
        deltas: Vec<TurnDelta>,
        begun: usize,
        open: &mut Open,
    ) -> Result<(), Gone> {
        let mut at = begun;
        for delta in deltas {
            let value = match delta {
                TurnDelta::Reasoning(text) => json!({"reasoning_content": text}),
                TurnDelta::Text(text) => json!({"content": text}),
                TurnDelta::Call(name) => {
                    at += 1;
                    let function = json!({"name": name, "arguments": ""});
                    let id = sample::id("call", &self.shared);
                    json!({"tool_calls": [{"index": at - 1, "id": id, "type": "function", "function": function}]})
                }
                TurnDelta::Arguments(text) => {
                    json!({"tool_calls": [{"index": at.saturating_sub(1), "function": {"arguments": text}}]})
                }
            };
            self.send(index, value, open, None).await?;
        }
        Ok(())
    }
}

async fn stream(shared: Arc<Shared>, chat: Chat, mut answers: Answers, events: Events) {
    let mut sender = Sender {
        id: sample::id("chatcmpl", &shared),
        created: sample::now(),
        first: true,
        shared: shared.clone(),
        chat,
        events,
    };
    if tell(&mut sender, &mut answers).await.is_err() {
        shared.metrics.left.fetch_add(1, Ordering::Relaxed);
    }
}

async fn tell(sender: &mut Sender, answers: &mut Answers) -> Result<(), Gone> {
    let (shared, n) = (sender.shared.clone(), sender.chat.asked.n);
    let codec = shared.sampler.codec().clone();
    let open = || Open {
        text: Text::new(&sender.chat.asked.settings.stop),
        turn: TurnStream::new(codec.layout()),
        entries: Vec::new(),
        ids: Vec::new(),
    };
    let mut opens: Vec<Open> = (0..n).map(|_| open()).collect();
    let mut sampled = 0;
    for (index, open) in opens.iter_mut().enumerate() {
        sender
            .send(index, json!({"role": "assistant", "content": ""}), open, None)
            .await?;
    }
    loop {
        let step = tokio::select! {
            step = answers.next() => step,
            () = sender.events.closed() => return Err(Gone),
        };
        match step {
            Ok(None) => break,
            Err(refusal) => {
                sender.events.send(&refusal.json()).await?;
                return sender.events.done().await;
            }
            Ok(Some(Step::Token(index, token))) => {
                sampled += 1;
                let Some(open) = opens.get_mut(index) else { continue };
                open.ids.push(token.id);
                if codec.ends().contains(&token.id) {
                    continue;
                }
                if let Some(n) = sender.chat.logprobs {
                    open.entries
                        .push(sample::entry(&shared, token.id, token.logprob, &token.top, n));
                }
                let text = open.text.push(shared.vocabulary.bytes(token.id));
                let begun = open.turn.calls();
                let deltas = open.turn.push(&text);
                sender.deltas(index, deltas, begun, open).await?;
            }
            Ok(Some(Step::Done(index, generation))) => {
                let turn = turn(&shared, &sender.chat, &generation);
                let Some(open) = opens.get_mut(index) else { continue };
                let begun = open.turn.calls();
                let rest = open.text.rest();
                let mut deltas = open.turn.push(&rest);
                let now = open.turn.calls();
                let last = std::mem::replace(&mut open.turn, TurnStream::new(codec.layout()));
                deltas.extend(last.finish(&turn));
                sender.deltas(index, deltas, begun, open).await?;
                let called = now > 0 || !turn.calls().is_empty();
                let reason = sample::finish(generation.finish, called && generation.finish != FinishReason::Length);
                sender.send(index, json!({}), open, Some(reason)).await?;
            }
        }
    }
    if sender.chat.asked.include_usage {
        let mut chunk = sender.chunk(json!([]));
        chunk["usage"] = sample::usage(sender.chat.prompt.len(), sampled);
        sender.events.send(&chunk).await?;
    }
    sender.events.done().await
}

fn read(shared: &Shared, body: &Value) -> Result<Chat, Refusal> {
    let mut asked = Asked::read(shared, body, &["max_completion_tokens", "max_tokens"])?;
    let tools = tools(body)?;
    let choice = body.get("tool_choice").filter(|choice| !choice.is_null());
    let strict = body["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(|tool| tool["function"]["strict"] == true));
    let mut offered = tools;
    let constraint = match choice {
        None => strict.then_some(Constraint::Tools),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => strict.then_some(Constraint::Tools),
            "none" => {
                offered.clear();
                None
            }
            "required" => Some(Constraint::Calls),
            _ => {
                return Err(Refusal::field(
                    "tool_choice",
                    "tool_choice is none of none, auto and required, and names no function",
                ));
            }
        },
        Some(choice) => {
            // Only that tool is shown.
            let name = choice["function"]["name"].as_str().unwrap_or_default();
            offered.retain(|tool| tool.name == name);
            if offered.is_empty() {
                return Err(Refusal::field("tool_choice", "tool_choice names no function of tools"));
            }
            Some(Constraint::Calls)
        }
    };
    if let Some(constraint) = constraint {
        if asked.settings.constraint.is_some() {
            return Err(Refusal::field(
                "response_format",
                "an answer cannot fit response_format and be a call; ask for one of them",
            ));
        }
        if !(constraint == Constraint::Tools && offered.is_empty()) {
            asked.settings.constraint = Some(constraint);
        }
    }
    if body.get("parallel_tool_calls") == Some(&Value::Bool(false)) && !offered.is_empty() {
        return Err(Refusal::field(
            "parallel_tool_calls",
            "parallel_tool_calls cannot be turned off; leave it out",
        ));
    }
    let logprobs = match ask::flag(body, "logprobs")? {
        true => Some(ask::top(body, "top_logprobs")?),
        false => None,
    };
    asked.settings.top_logprobs = logprobs.unwrap_or(0);
    let tools = Toolset::compile(&offered).map_err(|error| Refusal::field("tools", error.to_string()))?;
    let tools = Arc::new(tools);
    let conversation = Conversation {
        messages: messages(body)?,
        ..Conversation::default()
    };
    let prompt = shared.sampler.codec().extend(&conversation, &tools)?.new;
    Ok(Chat {
        asked,
        prompt,
        tools,
        logprobs,
    })
}

/// The prompt that messages make.
pub(crate) fn prompt(shared: &Shared, body: &Value) -> Result<Vec<TokenId>, Refusal> {
    let tools = Toolset::compile(&tools(body)?).map_err(|error| Refusal::field("tools", error.to_string()))?;
    let conversation = Conversation {
        messages: messages(body)?,
        ..Conversation::default()
    };
    Ok(shared.sampler.codec().extend(&conversation, &tools)?.new)
}

fn tools(body: &Value) -> Result<Vec<ToolSpec>, Refusal> {
    let all = match body.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(all)) if all.len() <= MAX_TOOLS => all,
        Some(_) => {
            return Err(Refusal::field(
                "tools",
                format!("tools is not a list of at most {MAX_TOOLS}"),
            ));
        }
    };
    let tool = |(at, tool): (usize, &Value)| {
        let field = |name: &str| format!("tools[{at}].function.{name}");
        let function = &tool["function"];
        let name = function["name"]
            .as_str()
            .filter(|name| !name.is_empty() && name.len() <= 256);
        let name = name.ok_or_else(|| Refusal::field(field("name"), "a function has no name of at most 256 bytes"))?;
        let schema = match &function["parameters"] {
            Value::Null => json!({"type": "object", "properties": {}}),
            schema @ Value::Object(_) => schema.clone(),
            _ => {
                return Err(Refusal::field(
                    field("parameters"),
                    "the parameters of a function are no schema",
                ));
            }
        };
        Ok(ToolSpec {
            name: name.to_owned(),
            description: function["description"].as_str().unwrap_or_default().to_owned(),
            input_schema: schema,
            annotations: Default::default(),
            version: String::new(),
            unchecked: false,
        })
    };
    all.iter().enumerate().map(tool).collect()
}

fn messages(body: &Value) -> Result<Vec<Message>, Refusal> {
    let all = body
        .get("messages")
        .and_then(Value::as_array)
        .filter(|all| (1..=MAX_MESSAGES).contains(&all.len()));
    let all =
        all.ok_or_else(|| Refusal::field("messages", format!("messages is not a list of 1 to {MAX_MESSAGES}")))?;
    all.iter()
        .enumerate()
        .map(|(at, message)| read_message(message, &format!("messages[{at}]")))
        .collect()
}

fn read_message(message: &Value, field: &str) -> Result<Message, Refusal> {
    let content = match &message["content"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |part: &Value| {
                part["text"]
                    .as_str()
                    .filter(|_| part["type"] == "text")
                    .map(str::to_owned)
            };
            let texts: Option<Vec<String>> = parts.iter().map(text).collect();
            texts
                .ok_or_else(|| Refusal::field(format!("{field}.content"), "only parts of type text are read"))?
                .concat()
        }
        _ => {
            return Err(Refusal::field(
                format!("{field}.content"),
                "content is neither a text nor a list of parts",
            ));
        }
    };
    Ok(match message["role"].as_str() {
        Some("system" | "developer") => Message::System(content),
        Some("user") => Message::User(content),
        Some("tool") => Message::Tool(content),
        Some("assistant") => {
            let calls = message["tool_calls"].as_array().map_or(&[][..], Vec::as_slice);
            if calls.is_empty() {
                return Ok(Message::Agent(AgentTurn::Say(content)));
            }
            let read = |call: &Value| {
                let function = &call["function"];
                let arguments = function["arguments"]
                    .as_str()
                    .and_then(|text| serde_json::from_str::<Value>(text).ok());
                let name = function["name"].as_str().filter(|name| !name.is_empty());
                match (name, arguments) {
                    (Some(name), Some(arguments @ Value::Object(_))) => Some(CallRequest::new(name, arguments)),
                    _ => None,
                }
            };
            let calls: Option<Vec<CallRequest>> = calls.iter().map(read).collect();
            let wrong = || {
                Refusal::field(
                    format!("{field}.tool_calls"),
                    "a call has no name, or arguments that are not the text of a JSON object",
                )
            };
            Message::Agent(AgentTurn::Calls {
                content,
                calls: calls.ok_or_else(wrong)?,
            })
        }
        _ => {
            return Err(Refusal::field(
                format!("{field}.role"),
                "role is none of system, developer, user, assistant and tool",
            ));
        }
    })
}
