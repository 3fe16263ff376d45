//! A conversation with a model, in no dialect.

mod answer;
mod message;
mod request;

pub use answer::{Answer, FinishReason, TokenLogprob, TopLogprob, Usage};
pub use message::{Arguments, Assistant, Message, Part, ToolCall};
pub use request::{JsonSchema, Request, Settings, ToolChoice, ToolDef};
