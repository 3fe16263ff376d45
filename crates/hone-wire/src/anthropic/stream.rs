//! Answers in pieces.

use super::answer::{Block, Tokens, Whole, add, finish};
use crate::draft::{Draft, bound_arguments, bound_calls, server_error};
use crate::json::{Object, object};
use crate::limits::MAX_ENTRIES;
use crate::sse::Event;
use crate::{Answer, Broken, Delta, Fault, Limits};
use serde::Deserialize;

#[derive(Deserialize)]
struct Step {
    r#type: String,
    message: Option<Object<Whole>>,
    index: Option<u64>,
    content_block: Option<Object<Block>>,
    delta: Option<Object<Piece>>,
    usage: Option<Object<Tokens>>,
}

#[derive(Deserialize)]
struct Piece {
    r#type: Option<String>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

struct Open {
    index: u64,
    block: Block,
    /// The pieces of a call's input; while empty, the input is what the block began with.
    json: String,
    /// Number among the calls.
    call: usize,
}

/// An answer under way.
pub(crate) struct Assembler {
    limits: Limits,
    started: bool,
    id: String,
    model: String,
    blocks: Vec<Open>,
    calls: usize,
    tokens: Tokens,
    stop_reason: Option<String>,
    done: bool,
}

impl Assembler {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            started: false,
            id: String::new(),
            model: String::new(),
            blocks: Vec::new(),
            calls: 0,
            tokens: Tokens::default(),
            stop_reason: None,
            done: false,
        }
    }

    /// Whether `message_stop` has come.
    pub fn is_done(&self) -> bool {
        self.done
    }

    pub fn event(&mut self, event: &Event, on: &mut dyn FnMut(Delta<'_>)) -> Result<(), Fault> {
        if self.done || event.data.is_empty() {
            return Ok(());
        }
        let step: Step = object(&event.data)?;
        match step.r#type.as_str() {
            "error" => {
                let error = server_error(&event.data, None).ok_or_else(|| Broken::missing("error"))?;
                return Err(Fault::Server(error));
            }
            "message_start" => {
                let Object(message) = step.message.ok_or_else(|| Broken::missing("message"))?;
                self.started = true;
                self.id = message.id.unwrap_or_default();
                self.model = message.model.unwrap_or_default();
                self.tokens
                    .update(message.usage.map(|tokens| tokens.0).unwrap_or_default());
            }
            "content_block_start" | "content_block_delta" | "message_delta" | "message_stop" if !self.started => {
                return Err(Broken::Protocol(format!("`{}` comes before `message_start`", step.r#type)).into());
            }
            "content_block_start" => {
                let Object(block) = step.content_block.ok_or_else(|| Broken::missing("content_block"))?;
                self.open(step.index.ok_or_else(|| Broken::missing("index"))?, block, on)?;
            }
            "content_block_delta" => {
                let Object(piece) = step.delta.ok_or_else(|| Broken::missing("delta"))?;
                self.piece(step.index.ok_or_else(|| Broken::missing("index"))?, piece, on)?;
            }
            "message_delta" => {
                self.tokens
                    .update(step.usage.map(|tokens| tokens.0).unwrap_or_default());
                if let Some(reason) = step.delta.and_then(|d| d.0.stop_reason) {
                    self.stop_reason = Some(reason);
                }
            }
            "message_stop" => self.done = true,
            _ => {} // `ping`, `content_block_stop`, and what is yet to be invented
        }
        Ok(())
    }

    fn open(&mut self, index: u64, block: Block, on: &mut dyn FnMut(Delta<'_>)) -> Result<(), Broken> {
        if self.blocks.len() == MAX_ENTRIES {
            return Err(Broken::TooLarge {
                what: "the number of content blocks",
                limit: MAX_ENTRIES as u64,
                unit: "blocks",
            });
        }
        if self.blocks.iter().any(|open| open.index == index) {
            return Err(Broken::Protocol(format!("the content block {index} starts twice")));
        }
        let call = self.calls;
        match block.r#type.as_str() {
            "tool_use" => {
                bound_calls(self.calls, &self.limits)?;
                self.calls += 1;
                on(Delta::Call {
                    index: call,
                    name: block.name.as_deref().unwrap_or_default(),
                });
            }
            "text" => say(block.text.as_deref(), Delta::Text, on),
            "thinking" => say(block.thinking.as_deref(), Delta::Reasoning, on),
            _ => {}
        }
        self.blocks.push(Open {
            index,
            block,
            json: String::new(),
            call,
        });
        Ok(())
    }

    fn piece(&mut self, index: u64, piece: Piece, on: &mut dyn FnMut(Delta<'_>)) -> Result<(), Broken> {
        let Some(open) = self.blocks.iter_mut().rfind(|open| open.index == index) else {
            return Err(Broken::Protocol(format!(
                "a piece of content block {index}, which has not started"
            )));
        };
        match (piece.r#type.as_deref().unwrap_or_default(), open.block.r#type.as_str()) {
            ("text_delta", "text") => {
                let text = piece.text.ok_or_else(|| Broken::missing("delta.text"))?;
                say(Some(&text), Delta::Text, on);
                open.block.text.get_or_insert_default().push_str(&text);
            }
            ("thinking_delta", "thinking") => {
                let text = piece.thinking.ok_or_else(|| Broken::missing("delta.thinking"))?;
                say(Some(&text), Delta::Reasoning, on);
                open.block.thinking.get_or_insert_default().push_str(&text);
            }
            ("signature_delta", "thinking") => {
                // It comes whole.
                open.block.signature = Some(piece.signature.ok_or_else(|| Broken::missing("delta.signature"))?);
            }
            ("input_json_delta", "tool_use") => {
                let json = piece
                    .partial_json
                    .ok_or_else(|| Broken::missing("delta.partial_json"))?;
                bound_arguments(open.json.len() + json.len(), &self.limits)?;
                let index = open.call;
                say(Some(&json), |json| Delta::Arguments { index, json }, on);
                open.json.push_str(&json);
            }
            _ => {} // citations, blocks that we do not read
        }
        Ok(())
    }

    /// The answer, once the stream has ended.
    pub fn finish(self) -> Result<Answer, Fault> {
        if !self.done {
            return Err(Broken::Cut("the stream has no `message_stop`".into()).into());
        }
        let word = self.stop_reason.ok_or_else(|| Broken::missing("delta.stop_reason"))?;
        let mut draft = Draft::new(&self.limits);
        for (at, open) in self.blocks.into_iter().enumerate() {
            if open.json.is_empty() {
                add(&mut draft, open.block, at)?;
            } else {
                let name = open.block.name;
                let name = name.ok_or_else(|| Broken::missing(format!("content[{at}].name")))?;
                draft.call(open.block.id, name, open.json)?;
            }
        }
        Ok(Answer {
            message: draft.finish(),
            finish: finish(&word),
            usage: self.tokens.usage(),
            id: self.id,
            model: self.model,
            logprobs: None,
            prompt_token_ids: None,
            token_ids: None,
            raw: String::new(),
            raw_cut: false,
        })
    }
}

fn say<'a>(text: Option<&'a str>, delta: impl Fn(&'a str) -> Delta<'a>, on: &mut dyn FnMut(Delta<'_>)) {
    if let Some(text) = text.filter(|t| !t.is_empty()) {
        on(delta(text));
    }
}
