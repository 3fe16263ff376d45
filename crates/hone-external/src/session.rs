//! A conversation with a command: JSON-RPC 2.0, a message per line.

use crate::{CommandLine, ExternalError, Limits, Process};
use hone_tool::{Annotations, ToolSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The protocol's version, which both sides name in `hello`.
pub const PROTOCOL: u64 = 1;

/// How much of a wrong line a message repeats, in characters.
const ECHOED: usize = 120;

/// What a command is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tools, with or without state.
    Environment,
    /// Judges finished episodes.
    Scorer,
    /// An agent loop.
    Harness,
    /// Makes vectors of texts.
    Embedder,
}

/// What a command says of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Hello {
    /// The protocol's version.
    pub protocol: u64,
    /// Its name, for the record.
    #[serde(default)]
    pub name: String,
    /// Its own version, recorded with its calls and scores.
    #[serde(default)]
    pub version: String,
    /// The tools of an environment.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// Whether the environment answers `state`.
    #[serde(default)]
    pub state: bool,
    /// Whether a state can be had again by playing the same calls on a fresh instance.
    #[serde(default)]
    pub replay: bool,
    /// How many numbers an embedder's vectors have.
    #[serde(default)]
    pub dimension: usize,
}

/// A tool as the Model Context Protocol lists it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    name: String,
    #[serde(default)]
    description: String,
    input_schema: Value,
    #[serde(default)]
    annotations: Hints,
}

/// MCP's hints with MCP's defaults: what is not said is taken for the worse.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Hints {
    read_only_hint: bool,
    destructive_hint: bool,
    idempotent_hint: bool,
    open_world_hint: bool,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            read_only_hint: false,
            destructive_hint: true,
            idempotent_hint: false,
            open_world_hint: true,
        }
    }
}

impl Hello {
    /// The tools, with the command's version.
    pub fn specs(&self) -> Vec<ToolSpec> {
        let spec = |tool: &Tool| ToolSpec {
            name: tool.name.clone(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
            annotations: Annotations {
                read_only_hint: tool.annotations.read_only_hint,
                destructive_hint: tool.annotations.destructive_hint,
                idempotent_hint: tool.annotations.idempotent_hint,
                open_world_hint: tool.annotations.open_world_hint,
            },
            version: self.version.clone(),
            unchecked: false,
        };
        self.tools.iter().map(spec).collect()
    }
}

/// What a command wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// It asks us (harnesses do).
    Request {
        /// Its id, to answer with.
        id: Value,
        /// What it asks.
        method: String,
        /// With what.
        params: Value,
    },
    /// It answers us.
    Response {
        /// The id that it answers.
        id: Value,
        /// The result, or its message of failure.
        result: Result<Value, String>,
    },
}

impl Message {
    /// # Errors
    /// What is wrong with the line.
    fn read(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Wire {
            id: Option<Value>,
            method: Option<String>,
            #[serde(default)]
            params: Value,
            // `"result": null` is a result.
            #[serde(default, deserialize_with = "some")]
            result: Option<Value>,
            error: Option<WireError>,
        }
        #[derive(Deserialize)]
        struct WireError {
            message: String,
        }
        fn some<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
            Value::deserialize(value).map(Some)
        }
        let text = std::str::from_utf8(line).map_err(|error| format!("its line is not UTF-8 ({error})"))?;
        let wire: Wire = serde_json::from_str(text)
            .map_err(|error| format!("its line is not a message of the protocol ({error}): {}", echo(text)))?;
        match wire {
            Wire {
                id: Some(id),
                method: Some(method),
                params,
                result: None,
                error: None,
            } => Ok(Self::Request { id, method, params }),
            Wire {
                id: Some(id),
                method: None,
                result: Some(result),
                error: None,
                ..
            } => Ok(Self::Response { id, result: Ok(result) }),
            Wire {
                id: Some(id),
                method: None,
                result: None,
                error: Some(error),
                ..
            } => Ok(Self::Response {
                id,
                result: Err(error.message),
            }),
            _ => Err(format!(
                "a message needs an `id` and exactly one of `method`, `result` and `error`: {}",
                echo(text)
            )),
        }
    }
}

fn echo(text: &str) -> String {
    let mut shown: String = text.chars().take(ECHOED).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// A command that has said hello.
#[derive(Debug)]
pub struct Session {
    process: Process,
    hello: Hello,
    next_id: u64,
    /// Bound on one exchange.
    timeout: Duration,
}

impl Session {
    /// Start the command and exchange hellos. `timeout` bounds this and every later exchange.
    ///
    /// # Errors
    /// When it does not start, does not answer, or speaks another version.
    pub fn start(command: &CommandLine, role: Role, timeout: Duration, limits: Limits) -> Result<Self, ExternalError> {
        let mut session = Self {
            process: Process::start(command, limits)?,
            hello: Hello {
                protocol: PROTOCOL,
                name: String::new(),
                version: String::new(),
                tools: Vec::new(),
                state: false,
                replay: false,
                dimension: 0,
            },
            next_id: 1,
            timeout,
        };
        let params = json!({"protocol": PROTOCOL, "role": role, "hone": env!("CARGO_PKG_VERSION")});
        let hello = session.request("hello", params)?;
        // The version first: another one may say the rest differently.
        match hello.get("protocol").and_then(Value::as_u64) {
            Some(PROTOCOL) => {}
            Some(theirs) => {
                return Err(ExternalError::Version {
                    command: command.shown(),
                    theirs,
                });
            }
            None => return Err(session.broken("hello", "its result has no number `protocol`".to_owned())),
        }
        session.hello = session.read("hello", hello)?;
        Ok(session)
    }

    /// What it said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Its command, for messages.
    pub fn command(&self) -> &str {
        self.process.command()
    }

    /// Ask and await the answer, which must be the next thing that it writes.
    ///
    /// # Errors
    /// When it fails, breaks the protocol, or gives no answer in time. All but its own report of failure end it.
    pub fn request(&mut self, method: &str, params: Value) -> Result<Value, ExternalError> {
        let deadline = Instant::now() + self.timeout;
        let id = self.ask(method, params, deadline)?;
        match self.receive(method, deadline)? {
            Message::Response { id: theirs, result } if theirs == id => {
                result.map_err(|message| self.failed(method, message))
            }
            Message::Response { id: theirs, .. } => {
                Err(self.broken(method, format!("it answered id {theirs} where {id} was asked")))
            }
            Message::Request { method: asked, .. } => {
                Err(self.broken(method, format!("it asked `{}` instead of answering", echo(&asked))))
            }
        }
    }

    /// Ask without awaiting the answer; the id that it must answer.
    ///
    /// # Errors
    /// When it does not read.
    pub fn ask(&mut self, method: &str, params: Value, deadline: Instant) -> Result<Value, ExternalError> {
        let id = self.next_id;
        self.next_id += 1;
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        self.process.send(&line, &during(method), self.timeout, deadline)?;
        Ok(id.into())
    }

    /// Answer a request of its.
    ///
    /// # Errors
    /// When it does not read.
    pub fn answer(&mut self, method: &str, id: Value, result: Result<Value, String>) -> Result<(), ExternalError> {
        let deadline = Instant::now() + self.timeout;
        let line = match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err(message) => json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": message}}),
        };
        self.process
            .send(&line.to_string(), &during(method), self.timeout, deadline)
    }

    /// The next message. `method` is what it is busy with, for messages.
    ///
    /// # Errors
    /// When there is none in time, or something that is none.
    pub fn receive(&mut self, method: &str, deadline: Instant) -> Result<Message, ExternalError> {
        let line = self.process.receive(&during(method), self.timeout, deadline)?;
        Message::read(&line).map_err(|what| self.broken(method, what))
    }

    /// A result of the type that it must have.
    ///
    /// # Errors
    /// Names the field.
    pub fn read<T: serde::de::DeserializeOwned>(&mut self, method: &str, result: Value) -> Result<T, ExternalError> {
        serde_json::from_value(result).map_err(|error| self.broken(method, format!("its result: {error}")))
    }

    /// End it for breaking the protocol.
    pub fn broken(&mut self, method: &str, what: String) -> ExternalError {
        let stderr = self.process.said();
        self.process.end();
        ExternalError::Protocol {
            command: self.process.command().to_owned(),
            during: during(method),
            what,
            stderr,
        }
    }

    /// What it reports of its own failure.
    pub fn failed(&mut self, method: &str, message: String) -> ExternalError {
        ExternalError::Failed {
            command: self.process.command().to_owned(),
            during: during(method),
            message,
            stderr: self.process.said(),
        }
    }
}

fn during(method: &str) -> String {
    format!("in `{method}`")
}
