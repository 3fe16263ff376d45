//! Chat to tokens and back: messages, templates, tool-call formats, sampling parameters, and the [`Model`] trait.
//!
//! A conversation is rendered once: a new turn extends the token sequence, history is never re-rendered. Deliberately
//! not here: the neural network (`hone-engine`) and the agent loop (`hone-harness`).
//!
//! Invariants:
//! * Text of users, tools and agents never becomes a special token, whatever it contains ([`TokenCodec::extend`]).
//! * What a model sampled is parsed from its ids, bounded in size and nesting, and never panics ([`TokenCodec::parse`]).
//! * A chat format of ours ([`Codec`]) or a published model's own ([`PublishedCodec`]): both are a [`TokenCodec`].
//! * Every model with tokens writes its record through [`finish_turn`], scripted or neural. One behind an API
//!   ([`RemoteModel`]) has none: its record is in words.

mod chat;
mod codec;
mod constrain;
mod format;
mod published;
mod remote;
mod replayed;
mod scripted;
mod stream;
mod tokenizer;
mod turn;
mod vocabulary;

pub use chat::*;
pub use codec::{Codec, CodecError, MAX_CALL_BYTES, MAX_CALL_DEPTH, MAX_CALLS};
pub use format::ChatFormat;
pub use published::{CallError, CallFormat, PublishedCodec};
pub use remote::RemoteModel;
pub use replayed::{Replayed, WAITING};
pub use scripted::Scripted;
pub use stream::{TurnDelta, TurnLayout, TurnStream, written};
pub use tokenizer::{SKELETONS, train_tokenizer};
pub use turn::{Break, Output, Rendered, TokenCodec, before_stop, finish_turn};
pub use vocabulary::Vocabulary;
