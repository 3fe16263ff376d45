//! Chat to tokens and back: messages, templates, tool-call formats, sampling parameters, and the [`Model`] trait.
//!
//! A conversation is rendered once: a new turn extends the token sequence, history is never re-rendered. Deliberately
//! not here: the neural network (`hone-engine`) and the agent loop (`hone-harness`).

mod chat;

pub use chat::*;
