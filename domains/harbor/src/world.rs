//! The agent's sandbox: bash in the task's working folder.

use crate::task::{Directory, quoted};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hone_env::{EnvError, Environment, Fork, Task};
use hone_sandbox::{Call, Error, Interpreter, Language, Limits, Outcome, Session, SessionSettings};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use hone_trace::ToolErrorClass;
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Bound of one call.
pub const SECONDS: u64 = 120;
/// Most files that are handed to the verifier, and most bytes of all together.
const MAX_FILES: usize = 4_000;
const MAX_BYTES: u64 = 32 << 20;

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let code = json!({"type": "string", "minLength": 1, "maxLength": 200_000, "description": "the script"});
    vec![ToolSpec {
        name: "bash".to_owned(),
        description:
            "Run a script in a bash session that keeps its folder, variables and functions from call to call. \
            Output, errors and a status that is not 0 are shown."
                .to_owned(),
        input_schema: object_schema(json!({"code": code}), &[]),
        annotations: Annotations {
            destructive_hint: true,
            ..Annotations::default()
        },
        version: "1".to_owned(),
        unchecked: false,
    }]
});

/// A session for a task, with variables set.
pub fn session(interpreter: &Interpreter, directory: &Directory, seconds: u64) -> Result<Session, Error> {
    interpreter.session(&SessionSettings {
        limits: Limits {
            wall: Duration::from_secs(seconds),
            memory: directory.memory,
            disk: directory.disk,
            file_size: directory.disk,
            processes: 256,
            ..Limits::default()
        },
        ..SessionSettings::new(Language::Bash)
    })
}

/// `export` for each variable.
pub fn exports(variables: &[(String, String)]) -> String {
    let name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let lines = variables.iter().filter(|(key, _)| name(key));
    lines
        .map(|(key, value)| format!("export {key}={}\n", quoted(value)))
        .collect()
}

/// The environment of one episode.
pub struct World {
    interpreter: Interpreter,
    directory: Option<Arc<Directory>>,
    /// Behind a lock, since the final state is read through a shared reference.
    session: Mutex<Option<Session>>,
}

impl World {
    pub fn new(interpreter: Interpreter, directory: Option<Arc<Directory>>) -> Self {
        Self {
            interpreter,
            directory,
            session: Mutex::new(None),
        }
    }

    fn begin(&self) -> Result<Session, String> {
        let directory = self.directory.as_ref().ok_or("the task is not one of this taskset")?;
        let mut session = session(&self.interpreter, directory, SECONDS).map_err(|error| error.to_string())?;
        for (path, bytes) in &directory.files {
            session.put(path, bytes).map_err(|error| error.to_string())?;
        }
        let code = format!("{}cd /app", exports(&directory.env));
        let call = Call {
            code: &code,
            ..Call::default()
        };
        session.call(&call).map_err(|error| error.to_string())?;
        Ok(session)
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, _: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let infrastructure = |message: String| ToolError {
            class: ToolErrorClass::Infrastructure,
            message,
        };
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        let session = session
            .as_mut()
            .ok_or_else(|| infrastructure("the environment was not reset".to_owned()))?;
        let call = Call {
            code: arguments["code"].as_str().unwrap_or_default(),
            ..Call::default()
        };
        let reply = session.call(&call).map_err(|error| match error {
            Error::Spec(_) => ToolError::tool(error.to_string()),
            error => infrastructure(error.to_string()),
        })?;
        let mut text = reply.output.text();
        let problem = match reply.outcome {
            Outcome::Ok { status: None | Some(0) } => None,
            Outcome::Ok { status: Some(status) } => Some(format!("[status {status}]")),
            Outcome::Timeout => Some(format!("[the call was ended after {SECONDS} s; files are kept]")),
            Outcome::Memory => Some("[the call was ended: too much memory; files are kept]".to_owned()),
            _ => Some("[the session ended; files are kept, and the next call begins anew]".to_owned()),
        };
        if let Some(problem) = &problem {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(problem);
        }
        match (problem, text.is_empty()) {
            (Some(_), _) => Err(ToolError::tool(text)),
            (None, true) => Ok(ToolOutput {
                text: "[no output]".to_owned(),
                ..ToolOutput::default()
            }),
            (None, false) => Ok(ToolOutput {
                text,
                ..ToolOutput::default()
            }),
        }
    }
}

impl Environment for World {
    fn reset(&mut self, _: &Task) -> Result<(), EnvError> {
        let session = self.begin().map_err(|what| EnvError::Data {
            what,
            remedy: "see `hone doctor`".to_owned(),
        })?;
        *self.session.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(session);
        Ok(())
    }

    /// `{"files": {path: base64}, "executable": [path]}` of the working folder, or `{"refused": why}`. The supervisor reads the
    /// files, not the agent's shell; which are executable its shell says, since that can hurt nobody but itself.
    fn state(&self) -> Value {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = session.as_mut() else {
            return Value::Null;
        };
        let (entries, complete) = match session.files(MAX_FILES) {
            Ok(found) => found,
            Err(error) => return json!({"lost": error.to_string()}),
        };
        let total: u64 = entries.iter().map(|entry| entry.1).sum();
        if !complete || total > MAX_BYTES {
            let why = format!(
                "the working folder holds more than {MAX_FILES} files or {} MiB",
                MAX_BYTES >> 20
            );
            return json!({"refused": why});
        }
        let mut files = Map::new();
        for entry in &entries {
            match session.get(&entry.0, MAX_BYTES) {
                Ok(bytes) => drop(files.insert(entry.0.clone(), json!(STANDARD.encode(bytes)))),
                // It is closed, or was changed meanwhile: as if it were not there.
                Err(Error::Spec(_)) => {}
                Err(error) => return json!({"lost": error.to_string()}),
            }
        }
        let call = Call {
            code: "/usr/bin/find /work -type f -perm -u+x -printf '%P\\n'",
            ..Call::default()
        };
        let said = session.call(&call).map(|reply| reply.output.text()).unwrap_or_default();
        let executable: Vec<&str> = said.lines().filter(|path| files.contains_key(*path)).collect();
        json!({"files": files, "executable": executable})
    }

    fn fork_kind(&self) -> Fork {
        Fork::None
    }
}
