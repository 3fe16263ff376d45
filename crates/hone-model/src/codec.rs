//! Tokenizer and chat format together: messages to ids, sampled ids to turns.

use crate::constrain::{Layout, Piece, Syntax};
use crate::vocabulary::Vocabulary;
use crate::{AgentTurn, CallRequest, ChatFormat, Conversation, Message};
use hone_tool::Toolset;
use hone_trace::{Constraint, TokenId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// Longest text of a call that [`Codec::parse`] reads, in bytes.
pub const MAX_CALL_BYTES: usize = 64 * 1024;

/// Most calls of one turn.
pub const MAX_CALLS: usize = 128;

/// Deepest nesting of arrays and objects in a call's arguments.
pub const MAX_CALL_DEPTH: usize = 32;

/// Largest file of a model's text that is read, in bytes.
pub(crate) const MAX_FILE: u64 = 1 << 27;

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const FORMAT_KEY: &str = "hone_chat_format";

/// Why a tokenizer or chat format could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// A file could not be read or written.
    #[error("{path} could not be {action} ({source}); check that the model directory is complete and accessible")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} is not usable: {what}; take a model directory that `hone train` wrote")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A published model's tokenizer or chat template is not usable.
    #[error("{path}: {what}")]
    Published {
        /// The model.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// A GGUF file is not what it should be.
    #[error(transparent)]
    Gguf(#[from] hone_gguf::GgufError),
    /// The tokenizer cannot encode every text.
    #[error("the tokenizer does not give {text:?} back; use a byte-level tokenizer without normalisation")]
    Lossy {
        /// A text that does not survive.
        text: String,
    },
    /// A part of the chat format is not a token.
    #[error(
        "the chat format's `{part}` is {text:?}, which {what}; correct the format or add the token to the tokenizer"
    )]
    Format {
        /// Which part.
        part: &'static str,
        /// Its text.
        text: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A tokenizer could not be trained.
    #[error("the tokenizer could not be trained: {what}; give more text or a larger vocabulary")]
    Train {
        /// What is wrong.
        what: String,
    },
}

/// A tokenizer with its chat format.
pub struct Codec {
    tokenizer: Tokenizer,
    format: ChatFormat,
    /// Ids of the format's prefixes: system, user, agent, tool, call.
    system: Vec<TokenId>,
    user: Vec<TokenId>,
    agent: Vec<TokenId>,
    tool: Vec<TokenId>,
    call: Vec<TokenId>,
    end: TokenId,
    pad: TokenId,
    /// Ids of all special tokens, sorted.
    special: Vec<TokenId>,
    hash: String,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codec")
            .field("vocab", &self.vocab_size())
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl Codec {
    /// A codec from a tokenizer that holds the format's special tokens.
    ///
    /// # Errors
    /// When the tokenizer is lossy or lacks a token of the format.
    pub fn new(mut tokenizer: Tokenizer, format: ChatFormat) -> Result<Self, CodecError> {
        let lossy = |text: &str| CodecError::Lossy { text: text.into() };
        tokenizer.with_truncation(None).map_err(|_| lossy(""))?;
        tokenizer.with_padding(None);
        let mut special: Vec<TokenId> = tokenizer
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| *id)
            .collect();
        special.sort_unstable();

        // The format's own text is trusted: special tokens in it are meant.
        tokenizer.set_encode_special_tokens(false);
        let prefix = |part: &'static str, text: &str| -> Result<Vec<TokenId>, CodecError> {
            let ids = tokenizer
                .encode_fast(text, false)
                .map_err(|_| lossy(text))?
                .get_ids()
                .to_vec();
            if ids.iter().any(|id| special.binary_search(id).is_ok()) {
                return Ok(ids);
            }
            Err(CodecError::Format {
                part,
                text: text.into(),
                what: "holds no special token",
            })
        };
        let single = |part: &'static str, text: &str| match prefix(part, text)?[..] {
            [id] => Ok(id),
            _ => Err(CodecError::Format {
                part,
                text: text.into(),
                what: "is not one token",
            }),
        };
        let system = prefix("system", &format.system)?;
        let user = prefix("user", &format.user)?;
        let agent = prefix("agent", &format.agent)?;
        let tool = prefix("tool", &format.tool)?;
        let call = prefix("call", &format.call)?;
        let end = single("end", &format.end)?;
        let pad = single("pad", &format.pad)?;

        // Everybody else's text is not.
        tokenizer.set_encode_special_tokens(true);
        let mut probes = vec![
            format.parts().concat(),
            " two  spaces\n\ttab {\"a\":\"é\"} 語 🦀 ".to_string(),
        ];
        probes.push((1..=0x2ff).filter_map(char::from_u32).collect());
        // With those above, every byte that UTF-8 has occurs.
        let lead = |c: &u32| !(0xd800..0xe000).contains(c);
        let three = (0x800..0x10000).step_by(0x800).filter(lead);
        let four = (0x10000..0x110000).step_by(0x8000);
        probes.push(three.chain(four).filter_map(char::from_u32).collect());
        probes.push("\u{10ffff}\u{fffd}\u{3040}".into());
        for text in &probes {
            let ids = tokenizer.encode_fast(text.as_str(), false).map_err(|_| lossy(text))?;
            if tokenizer.decode(ids.get_ids(), false).ok().as_ref() != Some(text) {
                return Err(lossy(text));
            }
        }

        let mut hash = Sha256::new();
        hash.update(json!(format).to_string());
        hash.update(format.jinja());
        let hash = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            tokenizer,
            format,
            system,
            user,
            agent,
            tool,
            call,
            end,
            pad,
            special,
            hash,
        })
    }

    /// The same tokens in a format whose turns may hold several calls.
    ///
    /// # Errors
    /// Never for a codec that could be made.
    pub fn with_several_calls(&self) -> Result<Self, CodecError> {
        let format = ChatFormat {
            several_calls: true,
            ..self.format.clone()
        };
        Self::new(self.tokenizer.clone(), format)
    }

    /// Whether a model directory holds a format of ours, and not only a published model's own template.
    pub fn is_in(dir: &Path) -> bool {
        let Ok(file) = std::fs::File::open(dir.join(CONFIG)) else {
            return false;
        };
        let mut config = Vec::new();
        let read = file.take(MAX_FILE + 1).read_to_end(&mut config);
        read.is_ok() && serde_json::from_slice(&config).is_ok_and(|config: Value| config.get(FORMAT_KEY).is_some())
    }

    /// Read `tokenizer.json` and the format in `tokenizer_config.json` (key `hone_chat_format`) of a model directory.
    ///
    /// # Errors
    /// When a file is missing, broken, or does not fit the other.
    pub fn load(dir: &Path) -> Result<Self, CodecError> {
        let read = |name: &str| {
            let path = dir.join(name);
            let bytes = std::fs::read(&path).map_err(|source| CodecError::Io {
                action: "read",
                path: path.clone(),
                source,
            })?;
            Ok::<_, CodecError>((path, bytes))
        };
        let (path, bytes) = read(TOKENIZER)?;
        let tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| CodecError::File {
            path,
            what: error.to_string(),
        })?;
        let (path, bytes) = read(CONFIG)?;
        let config: Value = serde_json::from_slice(&bytes).map_err(|error| CodecError::File {
            path: path.clone(),
            what: error.to_string(),
        })?;
        let format = config.get(FORMAT_KEY).cloned().unwrap_or_default();
        let format = ChatFormat::deserialize(format).map_err(|error| CodecError::File {
            path,
            what: format!("`{FORMAT_KEY}`: {error}"),
        })?;
        Self::new(tokenizer, format)
    }

    /// Write `tokenizer.json` and `tokenizer_config.json`, which Hugging Face `transformers` reads too.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), CodecError> {
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(|source| CodecError::Io {
                action: "written",
                path,
                source,
            })
        };
        std::fs::create_dir_all(dir).map_err(|source| CodecError::Io {
            action: "made",
            path: dir.into(),
            source,
        })?;
        write(TOKENIZER, self.tokenizer_json())?;
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": false,
            "eos_token": self.format.end,
            "pad_token": self.format.pad,
            "chat_template": self.format.jinja(),
            FORMAT_KEY: self.format,
        });
        write(CONFIG, format!("{config:#}\n"))
    }

    pub(crate) fn tokenizer_json(&self) -> String {
        self.tokenizer
            .to_string(false)
            .expect("a tokenizer that was built can be written as JSON")
    }

    /// The ids of a text. No text becomes a special token: `<|end|>` in it is eight ordinary characters or so.
    pub fn encode(&self, text: &str) -> Vec<TokenId> {
        // `new` has seen it encode every byte.
        self.tokenizer
            .encode_fast(text, false)
            .expect("a byte-level tokenizer encodes any text")
            .get_ids()
            .to_vec()
    }

    /// The text of ids, special tokens included. Bytes that are no UTF-8 become U+FFFD; unknown ids are left out.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        self.tokenizer.decode(ids, false).unwrap_or_default()
    }

    /// The ids of messages: each its role's prefix, its content, and the end token.
    pub fn render(&self, messages: &[Message]) -> Vec<TokenId> {
        let mut ids = Vec::new();
        for message in messages {
            let (prefix, text) = match message {
                Message::System(text) => (&self.system, text),
                Message::User(text) => (&self.user, text),
                Message::Tool(text) => (&self.tool, text),
                Message::Agent(turn) => {
                    ids.extend_from_slice(&self.agent);
                    ids.extend(self.render_agent(turn));
                    continue;
                }
            };
            ids.extend_from_slice(prefix);
            ids.extend(self.encode(text));
            ids.push(self.end);
        }
        ids
    }

    /// The ids that an agent samples for a turn: its content and the end token.
    pub fn render_agent(&self, turn: &AgentTurn) -> Vec<TokenId> {
        let (content, calls): (&str, Vec<String>) = match turn {
            AgentTurn::Calls { content, calls } => (content, calls.iter().map(canonical_call).collect()),
            AgentTurn::Say(text) => (text, Vec::new()),
            AgentTurn::Malformed { raw, .. } => {
                let mut parts = raw.split(&self.format.call);
                (parts.next().unwrap_or_default(), parts.map(str::to_owned).collect())
            }
        };
        let mut ids = self.encode(content);
        for call in calls {
            ids.extend_from_slice(&self.call);
            ids.extend(self.encode(&call));
        }
        ids.push(self.end);
        ids
    }

    /// The ids of what comes before an agent's answer.
    pub fn generation_prompt(&self) -> &[TokenId] {
        &self.agent
    }

    /// The ids that a conversation's next model call adds to its prompt: an end token if the last turn was cut short, the
    /// messages that are not rendered yet, and the generation prompt.
    pub fn prompt(&self, conversation: &Conversation) -> Vec<TokenId> {
        let mut ids = Vec::new();
        if conversation.ids.last().is_some_and(|last| *last != self.end) {
            ids.push(self.end);
        }
        ids.extend(self.render(conversation.messages.get(conversation.rendered..).unwrap_or_default()));
        ids.extend_from_slice(&self.agent);
        ids
    }

    /// What an agent's answer says, and its text (with the call marker, without the end token).
    ///
    /// `ids` come from a model and are not trusted. Everything from the first end token on is not part of the answer; a
    /// missing one is accepted. What stands before the first call marker is the thought; after each marker stands a call. Any
    /// other special token, or one call that cannot be read, makes the answer malformed.
    pub fn parse(&self, ids: &[TokenId]) -> (AgentTurn, String) {
        let ids = ids.split(|id| *id == self.end).next().unwrap_or_default();
        let text = self.decode(ids);
        let malformed = |error: &str| AgentTurn::Malformed {
            raw: text.clone(),
            error: error.into(),
        };
        let parts = split(ids, &self.call);
        let control = |ids: &[TokenId]| ids.iter().any(|id| self.special.binary_search(id).is_ok());
        let turn = match &parts[..] {
            parts if parts.len() > 1 + MAX_CALLS => {
                malformed(&format!("the answer holds more than {MAX_CALLS} calls; write fewer"))
            }
            parts if parts.iter().any(|part| control(part)) || (parts.len() > 2 && !self.format.several_calls) => {
                malformed("the answer holds a control token; write a call or plain text")
            }
            [content, calls @ ..] if !calls.is_empty() => {
                match calls.iter().map(|call| parse_call(&self.decode(call))).collect() {
                    Ok(calls) => AgentTurn::Calls {
                        content: self.decode(content),
                        calls,
                    },
                    Err(error) => malformed(&error),
                }
            }
            _ => AgentTurn::Say(text.clone()),
        };
        (turn, text)
    }

    /// What text each token stands for.
    ///
    /// # Errors
    /// A sentence where tokens stand for no text of their own.
    pub fn vocabulary(&self) -> Result<Vocabulary, String> {
        Vocabulary::of(&self.tokenizer)
    }

    /// A constraint as a grammar over whole answers; see [`TokenCodec::grammar`](crate::TokenCodec::grammar).
    ///
    /// # Errors
    /// A sentence where there is none.
    pub fn grammar(&self, constraint: &Constraint, tools: &Toolset) -> Result<String, String> {
        let syntax = Syntax {
            before: String::new(),
            open: Piece::Special(self.call.clone()),
            close: Piece::Nothing,
            between: String::new(),
            layout: Layout::Each,
            arguments: "arguments",
            several: self.format.several_calls,
        };
        syntax.grammar(constraint, tools)
    }

    /// The token that ends a turn.
    pub fn end_token(&self) -> TokenId {
        self.end
    }

    pub(crate) fn end(&self) -> &TokenId {
        &self.end
    }

    /// The token that fills batches.
    pub fn pad_token(&self) -> TokenId {
        self.pad
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |id| *id as usize + 1)
    }

    /// The format.
    pub fn format(&self) -> &ChatFormat {
        &self.format
    }

    /// Hash of the chat format and its template, recorded with every model call.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// The parts of `ids` around each `marker`, which is not empty.
fn split<'a>(mut ids: &'a [TokenId], marker: &[TokenId]) -> Vec<&'a [TokenId]> {
    let mut parts = Vec::new();
    while let Some(at) = ids.windows(marker.len()).position(|window| window == marker) {
        parts.push(&ids[..at]);
        ids = &ids[at + marker.len()..];
    }
    parts.push(ids);
    parts
}

/// A call as compact JSON: name, then arguments with sorted keys.
fn canonical_call(call: &CallRequest) -> String {
    let mut arguments = call.arguments.clone();
    // A no-op unless some crate of the build turns on insertion-ordered maps.
    arguments.sort_all_objects();
    format!(
        "{{\"name\":{},\"arguments\":{arguments}}}",
        Value::from(call.name.as_str())
    )
}

fn parse_call(text: &str) -> Result<CallRequest, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Call {
        name: String,
        arguments: Map<String, Value>,
    }
    if text.len() > MAX_CALL_BYTES {
        return Err(format!(
            "the call is longer than {MAX_CALL_BYTES} bytes; write a shorter one"
        ));
    }
    // Before any parser recurses: brackets within strings only make this bound stricter.
    let mut depth = 0usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_CALL_DEPTH + 2 {
            return Err(format!(
                "the call is nested deeper than {MAX_CALL_DEPTH}; write a flatter one"
            ));
        }
    }
    let call: Call = serde_json::from_str(text)
        .map_err(|error| format!("the call is not valid ({error}); write {{\"name\":\"…\",\"arguments\":{{…}}}}"))?;
    if call.name.is_empty() {
        return Err("the call names no tool; write its name".into());
    }
    Ok(CallRequest::new(call.name, Value::Object(call.arguments)))
}
