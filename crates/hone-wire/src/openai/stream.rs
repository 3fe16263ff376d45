//! Answers in pieces.

use super::answer::{Logprobs, Tokens, finish};
use crate::draft::{Draft, bound_arguments, bound_calls, server_error};
use crate::json::{List, Object, object};
use crate::sse::Event;
use crate::{Answer, Broken, Delta, Fault, Limits, TokenLogprob, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Chunk {
    id: Option<String>,
    model: Option<String>,
    choices: Option<List<Choice>>,
    usage: Option<Object<Tokens>>,
    prompt_token_ids: Option<Vec<u32>>,
    error: Option<Box<RawValue>>,
    object: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    delta: Option<Object<Piece>>,
    finish_reason: Option<String>,
    logprobs: Option<Object<Logprobs>>,
    token_ids: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct Piece {
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<List<CallPiece>>,
}

#[derive(Deserialize)]
struct CallPiece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Object<FunctionPiece>>,
}

#[derive(Deserialize)]
struct FunctionPiece {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Default)]
struct Call {
    index: Option<u64>,
    id: Option<String>,
    name: String,
    arguments: String,
}

/// An answer under way.
pub(crate) struct Assembler {
    limits: Limits,
    id: String,
    model: String,
    reasoning: String,
    text: String,
    refused: bool,
    calls: Vec<Call>,
    finish: Option<String>,
    usage: Option<Usage>,
    logprobs: Option<Vec<TokenLogprob>>,
    prompt_token_ids: Option<Vec<u32>>,
    token_ids: Option<Vec<u32>>,
    done: bool,
}

impl Assembler {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            id: String::new(),
            model: String::new(),
            reasoning: String::new(),
            text: String::new(),
            refused: false,
            calls: Vec::new(),
            finish: None,
            usage: None,
            logprobs: None,
            prompt_token_ids: None,
            token_ids: None,
            done: false,
        }
    }

    /// Whether `[DONE]` has come.
    pub fn is_done(&self) -> bool {
        self.done
    }

    pub fn event(&mut self, event: &Event, on: &mut dyn FnMut(Delta<'_>)) -> Result<(), Fault> {
        if self.done || event.data.is_empty() {
            return Ok(());
        }
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Chunk = object(&event.data)?;
        if (chunk.error.is_some() || event.name == "error" || chunk.object.as_deref() == Some("error"))
            && let Some(error) = server_error(&event.data, None)
        {
            return Err(Fault::Server(error));
        }
        keep_first(&mut self.id, chunk.id);
        keep_first(&mut self.model, chunk.model);
        if let Some(usage) = chunk.usage.and_then(|tokens| tokens.0.usage()) {
            self.usage = Some(usage); // cumulative where it comes more than once
        }
        if self.prompt_token_ids.is_none() {
            self.prompt_token_ids = chunk.prompt_token_ids;
        }
        for choice in chunk.choices.unwrap_or_default().0 {
            if choice.index.unwrap_or(0) == 0 {
                self.choice(choice, on)?;
            }
        }
        Ok(())
    }

    fn choice(&mut self, choice: Choice, on: &mut dyn FnMut(Delta<'_>)) -> Result<(), Broken> {
        if let Some(tokens) = choice.logprobs.and_then(|logprobs| logprobs.0.tokens()) {
            self.logprobs.get_or_insert_default().extend(tokens);
        }
        if let Some(ids) = choice.token_ids {
            self.token_ids.get_or_insert_default().extend(ids);
        }
        if choice.finish_reason.is_some() {
            self.finish = choice.finish_reason;
        }
        let Some(Object(piece)) = choice.delta else {
            return Ok(());
        };
        if let Some(text) = piece.reasoning.or(piece.reasoning_content).filter(|t| !t.is_empty()) {
            on(Delta::Reasoning(&text));
            self.reasoning += &text;
        }
        self.refused |= piece.refusal.as_ref().is_some_and(|r| !r.is_empty());
        for text in [piece.content, piece.refusal].into_iter().flatten() {
            if !text.is_empty() {
                on(Delta::Text(&text));
                self.text += &text;
            }
        }
        for call in piece.tool_calls.unwrap_or_default().0 {
            self.call(call, on)?;
        }
        Ok(())
    }

    fn call(&mut self, piece: CallPiece, on: &mut dyn FnMut(Delta<'_>)) -> Result<(), Broken> {
        let id = piece.id.filter(|id| !id.is_empty());
        let function = piece.function.map(|function| function.0);
        let at = self.place(piece.index, id.as_deref(), function.as_ref())?;
        let call = &mut self.calls[at];
        if call.id.is_none() {
            call.id = id;
        }
        let Some(function) = function else { return Ok(()) };
        if let Some(name) = function.name.filter(|name| !name.is_empty())
            && call.name.is_empty()
        {
            on(Delta::Call { index: at, name: &name });
            call.name = name;
        }
        if let Some(json) = function.arguments.filter(|json| !json.is_empty()) {
            bound_arguments(call.arguments.len() + json.len(), &self.limits)?;
            on(Delta::Arguments { index: at, json: &json });
            call.arguments += &json;
        }
        Ok(())
    }

    /// The call that a piece belongs to. Most servers give an index; some only ids, some an index of 0 for every call,
    /// some nothing but a name where a call begins.
    fn place(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
        function: Option<&FunctionPiece>,
    ) -> Result<usize, Broken> {
        let by_id = id.and_then(|id| self.calls.iter().rposition(|call| call.id.as_deref() == Some(id)));
        let begins = function.is_some_and(|f| f.name.as_ref().is_some_and(|name| !name.is_empty()));
        let known = match (by_id, index) {
            (Some(at), _) => Some(at),
            (None, Some(index)) => self
                .calls
                .iter()
                .rposition(|call| call.index == Some(index))
                .filter(|at| id.is_none() || self.calls[*at].id.is_none()),
            (None, None) if id.is_some() || begins => None,
            (None, None) => self.calls.len().checked_sub(1),
        };
        if let Some(at) = known {
            return Ok(at);
        }
        bound_calls(self.calls.len(), &self.limits)?;
        self.calls.push(Call {
            index,
            ..Call::default()
        });
        Ok(self.calls.len() - 1)
    }

    /// The answer, once the stream has ended.
    pub fn finish(self) -> Result<Answer, Fault> {
        let Some(word) = self.finish else {
            let seen = if self.done {
                "`[DONE]`, but no"
            } else {
                "neither `[DONE]` nor a"
            };
            return Err(Broken::Cut(format!("the stream has {seen} finish_reason")).into());
        };
        let mut draft = Draft::new(&self.limits);
        draft.reasoning(self.reasoning, None);
        draft.text(self.text);
        for (at, call) in self.calls.into_iter().enumerate() {
            if call.name.is_empty() {
                return Err(Broken::missing(format!("tool_calls[{at}].function.name")).into());
            }
            draft.call(call.id, call.name, call.arguments)?;
        }
        Ok(Answer {
            message: draft.finish(),
            finish: finish(&word, self.refused),
            usage: self.usage,
            id: self.id,
            model: self.model,
            logprobs: self.logprobs,
            prompt_token_ids: self.prompt_token_ids,
            token_ids: self.token_ids,
            raw: String::new(),
            raw_cut: false,
        })
    }
}

pub(crate) fn keep_first(known: &mut String, new: Option<String>) {
    if known.is_empty()
        && let Some(new) = new
    {
        *known = new;
    }
}
