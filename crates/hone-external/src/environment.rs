//! A command as an environment.

use crate::{CommandLine, ExternalError, Limits, Role, Session};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::ToolErrorClass;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Tools, and the state that they act on, in a process of their own. Each reset starts a fresh one.
///
/// The state is read after every call, so [`Environment::state`] is what it was then and never fails.
#[derive(Debug)]
pub struct ExternalEnvironment {
    command: CommandLine,
    timeout: Duration,
    limits: Limits,
    specs: Vec<ToolSpec>,
    replay: bool,
    session: Option<Session>,
    state: Value,
    hash: Option<String>,
}

/// What a call answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Called {
    /// Shown to the model; without it, `data` as compact JSON.
    text: Option<String>,
    #[serde(default)]
    data: Value,
    /// The tool says no; `text` says why.
    #[serde(default)]
    is_error: bool,
    /// The episode is over.
    #[serde(default)]
    end: bool,
}

impl ExternalEnvironment {
    /// An environment that runs this command. `timeout` bounds each exchange with it.
    ///
    /// Starts the command once, to learn its tools.
    ///
    /// # Errors
    /// When it does not start or does not say hello as it must.
    pub fn new(command: CommandLine, timeout: Duration, limits: Limits) -> Result<Self, ExternalError> {
        let session = Session::start(&command, Role::Environment, timeout, limits)?;
        Ok(Self {
            specs: session.hello().specs(),
            replay: session.hello().replay,
            command,
            timeout,
            limits,
            session: None,
            state: Value::Null,
            hash: None,
        })
    }

    /// Another one that runs the same command, with these environment variables in addition.
    pub fn again(&self, env: impl IntoIterator<Item = (String, std::ffi::OsString)>) -> Self {
        let mut command = self.command.clone();
        command.env.extend(env);
        Self {
            command,
            timeout: self.timeout,
            limits: self.limits,
            specs: self.specs.clone(),
            replay: self.replay,
            session: None,
            state: Value::Null,
            hash: None,
        }
    }

    fn read_state(&mut self) -> Result<(), ExternalError> {
        let Some(session) = self.session.as_mut().filter(|s| s.hello().state) else {
            return Ok(());
        };
        #[derive(Deserialize)]
        struct State {
            state: Value,
        }
        let result = session.request("state", json!({}))?;
        let State { state } = session.read("state", result)?;
        let digest = Sha256::digest(state.to_string());
        self.hash = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        self.state = state;
        Ok(())
    }

    fn begin(&mut self, task: &Task) -> Result<(), ExternalError> {
        self.session = None;
        let mut session = Session::start(&self.command, Role::Environment, self.timeout, self.limits)?;
        if session.hello().specs() != self.specs {
            return Err(session.broken(
                "hello",
                "its tools are not those that it named the first time".to_owned(),
            ));
        }
        let params = json!({"task": {
            "id": task.id, "kind": task.kind, "prompt": task.instruction, "seed": task.seed,
            "metadata": task.data.get("metadata").cloned().unwrap_or_default(),
        }});
        session.request("reset", params)?;
        self.session = Some(session);
        self.read_state()
    }

    fn ask(&mut self, tool: &str, arguments: &Value) -> Result<Called, ExternalError> {
        let Some(session) = &mut self.session else {
            return Err(ExternalError::Ended {
                command: self.command.shown(),
                during: "in `call`".to_owned(),
                status: "it is not running".to_owned(),
                stderr: String::new(),
            });
        };
        let result = session.request("call", json!({"name": tool, "arguments": arguments}))?;
        let called: Called = session.read("call", result)?;
        let read_only = self
            .specs
            .iter()
            .any(|spec| spec.name == tool && spec.annotations.read_only_hint);
        if !read_only {
            self.read_state()?;
        }
        Ok(called)
    }
}

impl ToolHost for ExternalEnvironment {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let called = self.ask(tool, arguments).map_err(|error| {
            self.session = None;
            ToolError {
                class: match error {
                    ExternalError::Deadline { .. } => ToolErrorClass::Timeout,
                    _ => ToolErrorClass::Infrastructure,
                },
                message: error.to_string(),
            }
        })?;
        let text = match called.text {
            Some(text) => text,
            None => called.data.to_string(),
        };
        match called.is_error {
            true => Err(ToolError::tool(text)),
            false => Ok(ToolOutput {
                data: match called.data {
                    Value::Null => Value::String(text.clone()),
                    data => data,
                },
                text,
                media: Vec::new(),
                terminal: called.end,
            }),
        }
    }

    fn state_hash(&self) -> Option<String> {
        self.hash.clone()
    }
}

impl Environment for ExternalEnvironment {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        self.state = Value::Null;
        self.hash = None;
        self.begin(task).map_err(|error| {
            self.session = None;
            EnvError::Data {
                what: error.to_string(),
                remedy: "then play the episode again".to_owned(),
            }
        })
    }

    fn state(&self) -> Value {
        self.state.clone()
    }

    fn fork_kind(&self) -> Fork {
        if self.replay { Fork::Replay } else { Fork::None }
    }
}
