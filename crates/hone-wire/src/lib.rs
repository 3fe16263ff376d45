//! The dialects that models speak over HTTP: types, codecs and a client.
//!
//! * A conversation in no dialect: [`Request`], [`Message`], [`Answer`].
//! * [`Dialect`] puts requests into OpenAI's Chat Completions or Anthropic's Messages and reads answers, whole or as a
//!   stream ([`StreamDecoder`], over [`sse::Decoder`]).
//! * [`Client`] asks an [`Endpoint`]: deadlines, bounds, retries, pace. [`Poster`] sends bytes to any other server.
//! * [`Prices`] says what a [`Usage`] costs.
//!
//! Invariants:
//! * What a server sends is bounded while it is read ([`Limits`]), and damage is an error that says where; it never
//!   panics and is never mended in silence. A tool call's arguments keep their text, whatever it is.
//! * What a dialect cannot say is refused, not dropped ([`Unsayable`]).
//! * A key comes from the environment and goes into a header, to the host that the base URL names and nowhere else: not
//!   through redirects, not into errors, `Debug` or records.
//! * Server's words in errors are cut and inert ([`shown`]).
//!
//! Deliberately not here: what a turn means (`hone-model`), what is recorded of it (`hone-trace`), media, HTTP proxies,
//! HTTP/2.
//!
//! ```no_run
//! use hone_wire::{Api, Client, Endpoint, Json, Message, Request, Settings, ToolDef};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::new(Api::OpenAi, "https://api.openai.com/v1").with_key_env("OPENAI_API_KEY");
//! let client = Client::new(endpoint)?;
//! let request = Request {
//!     model: "some-model".into(),
//!     messages: vec![Message::user("What is the weather in Oslo?")],
//!     tools: vec![ToolDef {
//!         name: "weather".into(),
//!         description: "The weather in a city.".into(),
//!         parameters: Json::parse(r#"{"type": "object", "properties": {"city": {"type": "string"}}}"#)?,
//!         strict: None,
//!     }],
//!     settings: Settings { max_tokens: Some(500), ..Settings::default() },
//! };
//! let reply = client.complete(&request, 7).await?;
//! for call in reply.answer.message.calls() {
//!     match &call.arguments.parsed {
//!         Ok(arguments) => println!("{} with {arguments:?}", call.name),
//!         Err(why) => println!("{}: {why}: {}", call.name, call.arguments.raw),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod anthropic;
mod chat;
mod client;
mod dialect;
mod draft;
mod fault;
mod json;
mod limits;
mod openai;
mod price;
mod shown;
pub mod sse;

pub use anthropic::Anthropic;
pub use chat::{
    Answer, Arguments, Assistant, FinishReason, JsonSchema, Message, Part, Request, Settings, TokenLogprob, ToolCall,
    ToolChoice, ToolDef, TopLogprob, Usage,
};
pub use client::{
    Api, Attempt, Chunks, Client, Deadline, Deadlines, Endpoint, Error, Failure, Head, Key, Network, Pace, PostError,
    Posted, Poster, Reply, Retry, SendError, SetupError, Transport,
};
pub use dialect::{Dialect, StreamDecoder};
pub use draft::Delta;
pub use fault::{Broken, Fault, ServerError, Unsayable};
pub use json::Json;
pub use limits::Limits;
pub use openai::{MaxTokensField, OpenAi};
pub use price::{Price, PriceError, Prices};
pub use shown::shown;
