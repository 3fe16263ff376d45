//! Published models: their own tokenizer, chat template and format of tool calls.

mod calls;
mod directory;
mod gguf;
mod shown;
mod template;

pub use calls::{CallError, CallFormat};

use crate::constrain::Piece;
use crate::turn::{Break, Rendered, TokenCodec};
use crate::vocabulary::Vocabulary;
use crate::{AgentTurn, CodecError, Conversation, Message, ModelError, TurnLayout};
use aho_corasick::{AhoCorasick, MatchKind};
use hone_gguf::Gguf;
use hone_tool::Toolset;
use hone_trace::{Constraint, TokenId};
use sha2::{Digest, Sha256};
use shown::{Guard, Shown, Tools};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use template::Template;
use tokenizers::Tokenizer;

/// What a model that reasons writes around it.
const THINK: &str = "<think>";
const THOUGHT: &str = "</think>";

/// Most special tokens; Gemma has six thousand.
const MAX_SPECIAL: usize = 1 << 14;

/// Instructions for models whose template has no place for tools: Hermes' words, which SmolLM2 and Qwen2.5 know too.
const INSTRUCTIONS: [&str; 2] = [
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>\n",
    "</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>",
];

/// The tokenizer, chat template and call format of a published model.
///
/// * A conversation's first prompt is what the template gives, tokenised as `transformers` does.
/// * After an answer only what the template adds behind it is tokenised; what was sampled stays as it was, reasoning
///   included. Where the template would change what lies before the answer, or other tools are offered, the conversation
///   is rendered anew and [`Rendered::broken`] says so.
/// * Text of users and tools never becomes a special token.
/// * Reasoning (`<think>…</think>`) is in the record's text and no part of the turn.
pub struct PublishedCodec {
    tokenizer: Tokenizer,
    template: Template,
    /// The template as it was given, and its first token.
    source: String,
    bos: String,
    calls: CallFormat,
    /// Whether the template has a place for tools, their calls and their answers.
    knows_tools: bool,
    /// Whether the template writes the beginning of an answer's reasoning.
    opens_reasoning: bool,
    /// Special tokens, longest first.
    special: Vec<(String, TokenId)>,
    /// The same, as what is looked for in a text.
    matcher: AhoCorasick,
    ends: Vec<TokenId>,
    /// The one of `ends` that the template writes after an answer.
    end: TokenId,
    hash: String,
}

impl std::fmt::Debug for PublishedCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishedCodec")
            .field("calls", &self.calls.name)
            .field("knows_tools", &self.knows_tools)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// What the parts of a codec are read from.
struct Source<'a> {
    path: &'a Path,
    tokenizer: Tokenizer,
    template: String,
    bos: String,
    ends: Vec<TokenId>,
    calls: Option<String>,
}

impl PublishedCodec {
    /// The codec of a directory in Hugging Face layout: `tokenizer.json`, `tokenizer_config.json`, a chat template there
    /// or in `chat_template.jinja`, end tokens there or in `generation_config.json`.
    ///
    /// # Errors
    /// When a file is missing or broken, or the template does not end an answer with an end token.
    pub fn load(dir: &Path) -> Result<Self, CodecError> {
        directory::read(dir).and_then(Self::new)
    }

    /// The codec of a GGUF file.
    ///
    /// # Errors
    /// As [`PublishedCodec::load`], and when the tokenizer is of a kind that this version does not read.
    pub fn from_gguf(file: &Gguf) -> Result<Self, CodecError> {
        let parts = gguf::read(file)?;
        Self::new(Source {
            path: file.path(),
            tokenizer: parts.tokenizer,
            template: parts.template,
            bos: parts.bos,
            ends: parts.ends,
            calls: None,
        })
    }

    fn new(source: Source<'_>) -> Result<Self, CodecError> {
        let wrong = |what: String| CodecError::Published {
            path: source.path.into(),
            what,
        };
        let mut tokenizer = source.tokenizer;
        let no_truncation = tokenizer.with_truncation(None).map(|_| ());
        no_truncation.map_err(|error| wrong(error.to_string()))?;
        tokenizer.with_padding(None);
        // Text is text. What the template means as special tokens is put in by id.
        tokenizer.set_encode_special_tokens(true);
        let added = tokenizer.get_added_tokens_decoder();
        let mut special: Vec<(String, TokenId)> = added
            .iter()
            .filter(|(_, token)| token.special && !token.content.is_empty())
            .map(|(id, token)| (token.content.clone(), *id))
            .collect();
        special.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then(a.cmp(b)));
        if special.len() > MAX_SPECIAL {
            let what = format!(
                "it has {} special tokens; at most {MAX_SPECIAL} are read",
                special.len()
            );
            return Err(wrong(what));
        }
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(special.iter().map(|(token, _)| token))
            .map_err(|error| wrong(format!("its special tokens cannot be looked for: {error}")))?;
        let text = |id: &TokenId| tokenizer.id_to_token(*id).unwrap_or_default();
        let eos = source.ends.first().map(text).unwrap_or_default();
        let calls = match &source.calls {
            None => CallFormat::of_template(&source.template),
            Some(name) => CallFormat::named(name).ok_or_else(|| {
                let known = CallFormat::ALL.map(|format| format.name).join(", ");
                wrong(format!("hone_call_format is {name:?}; write one of {known}"))
            })?,
        };
        let template = Template::new(&source.template, &source.bos, &eos)
            .map_err(|what| wrong(format!("its chat template is not usable: {what}")))?;
        let mut hash = Sha256::new();
        let written = tokenizer.to_string(false).map_err(|error| wrong(error.to_string()))?;
        for part in [&source.template, &source.bos, &eos, calls.name, &written] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        source.ends.iter().for_each(|id| hash.update(id.to_le_bytes()));
        let hash = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut codec = Self {
            tokenizer,
            template,
            source: source.template,
            bos: source.bos,
            calls,
            knows_tools: false,
            opens_reasoning: false,
            special,
            matcher,
            ends: source.ends,
            end: 0,
            hash,
        };
        codec.knows_tools = codec.shows_tools();
        let asked = codec.template.render(&[Shown::new("user", "x")], None::<&Tools>, true);
        codec.opens_reasoning = asked.is_ok_and(|text| text.trim_end().ends_with(THINK));
        if !codec.knows_tools {
            codec.calls = source
                .calls
                .as_deref()
                .and_then(CallFormat::named)
                .unwrap_or(CallFormat::ALL[0]);
        }
        codec.end = codec.closing().map_err(wrong)?;
        Ok(codec)
    }

    /// The ids of a text. No text becomes a special token.
    ///
    /// # Errors
    /// When the tokenizer has no token for a part of it.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, ModelError> {
        let encoded = self.tokenizer.encode_fast(text, false);
        let encoded = encoded.map_err(|error| ModelError::Render(error.to_string()))?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The text of ids, special tokens included.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        self.tokenizer.decode(ids, false).unwrap_or_default()
    }

    /// How the model writes tool calls.
    pub fn call_format(&self) -> CallFormat {
        self.calls
    }

    /// What a text is to the tokenizer.
    fn piece(&self, text: &str) -> Piece {
        match self.special.iter().find(|(token, _)| token == text) {
            Some((_, id)) => Piece::Special(vec![*id]),
            None => Piece::Text(text.to_owned()),
        }
    }

    /// The grammar of the reasoning before an answer, if the model knows any.
    fn reasoning(&self) -> String {
        if !self.opens_reasoning && self.tokenizer.token_to_id(THINK).is_none() {
            return String::new();
        }
        let thought = match self.piece(THOUGHT) {
            Piece::Text(_) => "closed[lazy]: /(?s:.*)<\\/think>/\n".to_owned(),
            special => format!("closed: THOUGHT {}\nTHOUGHT: /(?s:.*)/\n", special.written()),
        };
        let before = match self.opens_reasoning {
            true => "closed GAP".to_owned(),
            false => format!("({} closed GAP)?", self.piece(THINK).written()),
        };
        format!("before: {before}\nGAP: /\\s{{0,4}}/\n{thought}")
    }

    /// Whether a tool that is offered shows in the text.
    fn shows_tools(&self) -> bool {
        let probe = Tools::probe("hone_probe");
        let messages = [Shown::new("user", "x")];
        let text = self.template.render(&messages, Some(&probe), true);
        text.is_ok_and(|text| text.contains("hone_probe"))
    }

    /// The end token that the template writes after an answer.
    fn closing(&self) -> Result<TokenId, String> {
        let mark = "xTURNx";
        let messages = [Shown::new("user", "x"), Shown::new("assistant", mark)];
        let text = self.template.render(&messages, None::<&Tools>, false);
        let text = text.map_err(|what| format!("its chat template cannot render a short conversation: {what}"))?;
        let (_, after) = text
            .rsplit_once(mark)
            .ok_or("its chat template leaves out what the assistant said")?;
        let closing = self.first_end(after);
        closing.map(|(id, _)| id).ok_or_else(|| {
            let ends: Vec<_> = self.ends.iter().filter_map(|id| self.tokenizer.id_to_token(*id)).collect();
            format!("its chat template ends an answer with {after:?}, in which there is none of its end tokens {ends:?}; name the right one as eos_token_id in generation_config.json")
        })
    }

    /// The first end token in a text, and what follows it.
    fn first_end<'a>(&self, text: &'a str) -> Option<(TokenId, &'a str)> {
        let found = self.ends.iter().filter_map(|id| {
            let token = self.tokenizer.id_to_token(*id)?;
            text.find(&token).map(|at| (at, *id, &text[at + token.len()..]))
        });
        found.min_by_key(|(at, ..)| *at).map(|(_, id, rest)| (id, rest))
    }

    /// The ids of text by the template, in which guarded special tokens are text.
    fn ids(&self, text: &str, guard: Guard) -> Result<Vec<TokenId>, ModelError> {
        let mut ids = Vec::new();
        let mut at = 0;
        for found in self.matcher.find_iter(text) {
            ids.extend(self.encode(&guard.lift(&text[at..found.start()]))?);
            ids.push(self.special[found.pattern()].1);
            at = found.end();
        }
        ids.extend(self.encode(&guard.lift(&text[at..]))?);
        Ok(ids)
    }

    /// The text between a prompt and the end of the answer behind it.
    fn answered(&self, shown: &[Shown], tools: &Tools) -> Result<Option<String>, ModelError> {
        let (Some(answer), before) = (shown.last(), &shown[..shown.len().saturating_sub(1)]) else {
            return Ok(None);
        };
        if !answer.is_agent() {
            return Ok(None);
        }
        let asked = self.render(before, tools, true)?;
        let whole = self.render(shown, tools, false)?;
        let Some(said) = whole.strip_prefix(&asked) else {
            return Ok(None);
        };
        let token = self.tokenizer.id_to_token(self.end).unwrap_or_default();
        Ok(said.rsplit_once(&token).map(|(said, _)| said.to_owned()))
    }

    /// Messages as the template takes them. Where it knows no tools, they and their calls are told in words.
    fn shown(&self, messages: &[Message], tools: &Tools) -> Vec<Shown> {
        let mut shown = Shown::all(messages, (!self.knows_tools).then_some(self.calls));
        if !self.knows_tools && !tools.is_empty() {
            let lines = tools.lines();
            let text = format!("{}{lines}{}", INSTRUCTIONS[0], INSTRUCTIONS[1]);
            Shown::instruct(&mut shown, &text);
        }
        shown
    }

    fn render(&self, shown: &[Shown], tools: &Tools, generation_prompt: bool) -> Result<String, ModelError> {
        let tools = (self.knows_tools && !tools.is_empty()).then_some(tools);
        let text = self.template.render(&shown, tools, generation_prompt);
        text.map_err(|what| ModelError::Render(format!("the model's chat template refuses it: {what}")))
    }

    /// What the template adds behind the answer that the messages `held` end with; or why it cannot be told apart.
    fn suffix(&self, shown: &[Shown], held: &[Message], tools: &Tools) -> Result<Result<String, Break>, ModelError> {
        let mut mark = String::from("xTURNx");
        while shown.iter().any(|message| message.holds(&mark)) {
            mark.push('x');
        }
        // The answers keep their number, whatever becomes of the messages around them.
        let answers = held
            .iter()
            .filter(|message| matches!(message, Message::Agent(_)))
            .count();
        let mut places = shown
            .iter()
            .enumerate()
            .filter(|(_, message)| message.is_agent())
            .map(|(at, _)| at);
        let place = answers.checked_sub(1).and_then(|n| places.nth(n));
        let (Some(answer), Some(Message::Agent(_))) = (place, held.last()) else {
            return Ok(Err(Break::NoAnswer));
        };
        let mut marked = shown.to_vec();
        marked[answer].mark(&mark);
        let after = self.render(&marked, tools, true)?;
        let Some((head, tail)) = after.rsplit_once(&*mark) else {
            return Ok(Err(Break::NoAnswer));
        };
        if answer > 0 {
            // What was asked before the answer must still stand before it. The prompt may have opened the reasoning.
            let asked = without_reasoning(&self.render(&shown[..answer], tools, true)?);
            let asked = asked.trim_end().strip_suffix(THINK).unwrap_or(&asked);
            if !without_reasoning(head).starts_with(asked) {
                return Ok(Err(Break::Rewritten));
            }
        }
        Ok(self
            .first_end(tail)
            .map(|(_, rest)| rest.to_owned())
            .ok_or(Break::NoEnd))
    }
}

/// A text without its reasoning, which templates strip from what lies before the last answer.
fn without_reasoning(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, inner)) = rest.split_once(THINK) {
        let Some((_, after)) = inner.split_once(THOUGHT) else {
            break;
        };
        out.push_str(before);
        rest = after.trim_start();
    }
    out.push_str(rest);
    out
}

impl TokenCodec for PublishedCodec {
    fn extend(&self, conversation: &Conversation, offered: &Toolset) -> Result<Rendered, ModelError> {
        let guard = Guard::new(&conversation.messages, offered);
        let hide = |text: &str| guard.hide(text, self.special.iter().map(|(token, _)| token.as_str()));
        let messages = guard.messages(&conversation.messages, &hide);
        let tools = Tools::of(offered, &hide);
        let shown = self.shown(&messages, &tools);
        let mut broken = None;
        if !conversation.ids.is_empty() {
            let held = messages.get(..conversation.rendered).unwrap_or_default();
            let same = |before: &Arc<Toolset>| before.specs() == offered.specs();
            let suffix = if conversation.tools.as_ref().is_none_or(same) {
                self.suffix(&shown, held, &tools)?
            } else {
                Err(Break::Tools)
            };
            match suffix {
                Ok(suffix) => {
                    let cut = conversation.ids.last().is_some_and(|last| !self.ends.contains(last));
                    let mut new: Vec<TokenId> = cut.then_some(self.end).into_iter().collect();
                    new.extend(self.ids(&suffix, guard)?);
                    return Ok(Rendered {
                        kept: conversation.ids.len(),
                        new,
                        broken,
                    });
                }
                Err(reason) => broken = Some(reason),
            }
        }
        let mut ids = self.ids(&self.render(&shown, &tools, true)?, guard)?;
        let kept = conversation.ids.iter().zip(&ids).take_while(|(a, b)| a == b).count();
        Ok(Rendered {
            kept,
            new: ids.split_off(kept),
            broken,
        })
    }

    /// As the template writes it. Where the template writes an answer otherwise behind a prompt than in a conversation, as the
    /// format of calls writes it.
    fn answer(
        &self,
        conversation: &Conversation,
        offered: &Toolset,
        turn: &AgentTurn,
    ) -> Result<Vec<TokenId>, ModelError> {
        let mut messages = conversation.messages.clone();
        messages.push(Message::Agent(turn.clone()));
        let guard = Guard::new(&messages, offered);
        let hide = |text: &str| guard.hide(text, self.special.iter().map(|(token, _)| token.as_str()));
        let messages = guard.messages(&messages, &hide);
        let tools = Tools::of(offered, &hide);
        let text = match (self.answered(&self.shown(&messages, &tools), &tools)?, messages.last()) {
            (Some(text), _) => text,
            (None, Some(Message::Agent(AgentTurn::Calls { content, calls }))) => self.calls.render(content, calls),
            (None, Some(Message::Agent(AgentTurn::Say(text) | AgentTurn::Malformed { raw: text, .. }))) => text.clone(),
            (None, _) => String::new(),
        };
        let mut ids = self.ids(&text, guard)?;
        ids.push(self.end);
        Ok(ids)
    }

    fn save(&self, dir: &Path) -> Result<(), CodecError> {
        directory::write(self, dir)
    }

    fn parse(&self, ids: &[TokenId]) -> (AgentTurn, String) {
        let ids = ids.split(|id| self.ends.contains(id)).next().unwrap_or_default();
        let text = self.decode(ids);
        let malformed = |error: String| AgentTurn::Malformed {
            raw: text.clone(),
            error,
        };
        let allowed = |token: &str| self.calls.may_hold(token) || token == THINK || token == THOUGHT;
        let special = self.special.iter().filter(|(token, _)| !allowed(token));
        let stray: BTreeSet<TokenId> = special.map(|(_, id)| *id).collect();
        if ids.iter().any(|id| stray.contains(id)) {
            let error = "the answer holds a control token; write a call or plain text";
            return (malformed(error.into()), text);
        }
        // The template may have opened the reasoning; what is not closed says nothing yet. A call may hold any text.
        let opened = text.trim_start().starts_with(THINK);
        let closed = text.split_once(THOUGHT).filter(|(before, _)| {
            let call = self.calls.beginning(&text);
            opened || self.opens_reasoning || call.is_none_or(|at| before.len() < at)
        });
        let said = match closed {
            Some((_, said)) => said.trim_start(),
            None if opened => "",
            None => &text,
        };
        let turn = self
            .calls
            .parse(said)
            .unwrap_or_else(|error| malformed(error.to_string()));
        (turn, text)
    }

    fn ends(&self) -> &[TokenId] {
        &self.ends
    }

    fn vocab_size(&self) -> usize {
        let vocab = self.tokenizer.get_vocab(true);
        vocab.values().max().map_or(0, |id| *id as usize + 1)
    }

    fn hash(&self) -> &str {
        &self.hash
    }

    fn vocabulary(&self) -> Result<Vocabulary, String> {
        Vocabulary::of(&self.tokenizer)
    }

    fn ids_of(&self, text: &str) -> Result<Vec<TokenId>, ModelError> {
        self.encode(text)
    }

    fn text_of(&self, ids: &[TokenId]) -> String {
        self.decode(ids)
    }

    fn layout(&self) -> TurnLayout {
        TurnLayout {
            reasons: self.opens_reasoning,
            ..self.calls.layout()
        }
    }

    fn grammar(&self, constraint: &Constraint, tools: &Toolset) -> Result<String, String> {
        self.calls
            .syntax(self.reasoning(), |text| self.piece(text))?
            .grammar(constraint, tools)
    }
}

#[cfg(test)]
mod tests;
