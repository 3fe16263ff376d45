//! The Model Context Protocol, both ways: servers as tool hosts, and tool hosts as servers.
//!
//! * [`ServerConfig`] says how a server is reached: a command or a URL.
//! * [`McpToolset`] is one or several servers as a [`hone_tool::ToolHost`]; nothing else calls their tools but `dispatch`.
//! * [`Server`] keeps a server running; [`Connection`] is one connection, with resources and prompts too.
//! * [`serve`] offers a tool host to others.
//!
//! The protocol is rmcp's, the official SDK, which has both of its eras, on either side and on either transport:
//!
//! | | 2024-11-05 to 2025-11-25 | 2026-07-28 |
//! | --- | --- | --- |
//! | beginning | `initialize` | none; each request says who asks, in which revision |
//! | over HTTP | a session | no session |
//! | list-changed | comes by itself | comes to who asks with `subscriptions/listen` |
//!
//! [`Protocol::Auto`] asks with `server/discover`; a server that answers it with an error, or not within ten seconds, is of
//! the older era.
//!
//! What is ours is what a caller must not leave to a server:
//!
//! Invariants:
//! * Every wait has a deadline, and a request that nobody waits for any more is cancelled at the server.
//! * What a server sends is bounded while it is read ([`Limits`]): messages, floods, lists, schemas, text. It cannot make
//!   this program crash, hang or fill its memory.
//! * Whose fault it is: what breaks between us and the tool is infrastructure, a tool's own "no" is the policy's
//!   ([`Error::class`]).
//! * A server's process gets no secret that it was not given, and ends with those who use it, with all that it started.
//! * A token goes to the address that it is for, and into no message.
//!
//! Deliberately not here: sampling, elicitation, roots and tasks, in which a server asks back; it is told that we have none
//! of them. OAuth: a token comes from the environment.

mod config;
mod connection;
mod content;
mod error;
mod handler;
mod host;
mod http;
mod process;
mod runtime;
pub mod serve;
mod server;
mod tool;
mod watch;

pub use config::{Limits, Protocol, ServerConfig};
pub use connection::{Connection, Contents, Info};
pub use content::{CallResult, Content};
pub use error::Error;
pub use handler::OnProgress;
pub use host::McpToolset;
pub use rmcp::model::{Prompt, Resource};
pub use server::Server;
pub use tool::{Progress, Tool};
