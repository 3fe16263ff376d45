//! VerlTool (arXiv 2509.01055): reinforcement learning whose tools run in a server beside the trainer.
//!
//! * [`Service`] is the tool server without its network: the router, a store of what each trajectory's tools hold, the answers
//!   in their exact shapes. [`Server`] puts it behind `POST /get_observation`, so that clients written for VerlTool's own server
//!   work with it.
//! * [`rollout`] is the agent loop of the other side: generation up to a stop string, a tool, its observation cut and masked;
//!   [`Order`] says whether trajectories wait for each other.
//!
//! Read from TIGER-AI-Lab/verl-tool at 980962b4 (8 June 2026).
//!
//! Invariants: requests are hostile, and bounded in size, number and time; every call of a tool takes
//! [`hone_tool::dispatch`]; actions of one trajectory run one after the other, in their order; after `finish` nothing of a
//! trajectory is left.
//!
//! Departures, all on purpose: identical requests are not merged (a tool with state may mean both); a tool's failure that is
//! the code's own is an observation, never the end; a trajectory that is not used for half an hour is forgotten.
//!
//! Deliberately not here: training, models, images and sound.

mod action;
mod contract;
#[cfg(target_os = "linux")]
mod python;
mod rollout;
mod server;
mod service;
mod tools;

pub use contract::{Item, Refusal, Request, Response};
#[cfg(target_os = "linux")]
pub use python::{Interpreter, python_code, python_pool};
pub use rollout::{Generated, Generator, LoopSettings, Observed, Order, Side, ToolServer, Trajectory, Wanted, rollout};
pub use server::{Server, ServerError};
pub use service::{Counts, Service, ServiceSettings};
pub use tools::{Hosts, Tool, calls};
