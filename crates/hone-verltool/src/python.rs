//! VerlTool's `python_code` and `ipython_code` in sandboxes of ours: a fresh session for each action, or one for each
//! trajectory.

use crate::tools::{Hosts, Pulse, Tool};
use crate::{Item, action};
use hone_sandbox::{
    Call, Error, InterpreterSettings, Language, Lease, Limits, Outcome, Pool, PoolSettings, Reply, Runtime,
    SessionSettings,
};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use hone_trace::{ToolErrorClass, ToolFailure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// VerlTool's bounds: seconds of an action, characters of an observation.
const SECONDS: u64 = 10;
const MAX_CHARS: usize = 100_000;
/// Its bound of address space is 4 GiB without firejail and 1 GiB with it.
const MEMORY: u64 = 1 << 30;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// `python_code`: each action begins anew.
    Fresh,
    /// `ipython_code`: variables are kept from action to action, and the last expression is shown.
    Kept,
}

/// Sessions for both tools, with a Python that runs.
///
/// # Errors
/// When there is no sandbox or no Python here.
pub fn python_pool(runtime: Arc<dyn Runtime>, python: Option<PathBuf>) -> Result<Arc<Pool>, Error> {
    let start = InterpreterSettings {
        python,
        ..InterpreterSettings::default()
    };
    // How many there are at a time is the service's matter.
    let free = PoolSettings {
        sessions: usize::MAX,
        per_run: usize::MAX,
        queue: usize::MAX,
        ttl: Limits::LONGEST,
        heartbeat: Limits::LONGEST,
        recycle: 100_000,
    };
    Pool::start(runtime, start, free)
}

/// The tool.
///
/// # Errors
/// Never for the schema that it has; a defect otherwise.
pub fn python_code(which: Interpreter, pool: &Arc<Pool>) -> Result<Tool, String> {
    let name = match which {
        Interpreter::Fresh => "python_code",
        Interpreter::Kept => "ipython_code",
    };
    let text = json!({"type": "string"});
    let specs = [ToolSpec {
        name: "python".to_owned(),
        description: "Run Python code in a sandbox.".to_owned(),
        input_schema: object_schema(json!({"code": text, "stdin": text}), &["stdin"]),
        annotations: Annotations {
            destructive_hint: true,
            ..Annotations::default()
        },
        version: "1".to_owned(),
        unchecked: false,
    }];
    let (shown, sessions) = (specs.clone(), Arc::clone(pool));
    let hosts: Hosts = Arc::new(move || -> Result<Box<dyn ToolHost>, String> {
        Ok(Box::new(Room {
            specs: shown.to_vec(),
            pool: Arc::clone(&sessions),
            which,
            session: None,
        }))
    });
    let usage = "You are able to write and execute Python code in a sandbox.";
    let parse = Box::new(move |item: &Item| parse(which, item));
    let tell = Box::new(move |action: &str, answer: Result<&str, &ToolFailure>| tell(which, action, answer));
    let tool = Tool::new(name, usage, &specs, hosts, parse, tell)?;
    Ok(Tool {
        pulse: Some(Arc::new(Beat(Arc::clone(pool)))),
        ..tool
    })
}

/// The pool behind a tool.
struct Beat(Arc<Pool>);

impl Pulse for Beat {
    fn ill(&self) -> Option<String> {
        self.0.probe().err().map(|error| error.to_string())
    }

    fn metrics(&self) -> String {
        self.0.metrics()
    }
}

fn parse(which: Interpreter, item: &Item) -> Option<(String, Value)> {
    let code = action::python(&item.action).or_else(|| match which {
        Interpreter::Fresh => None,
        Interpreter::Kept => action::python_call(&item.action),
    })?;
    let stdin = action::input(&item.action).or_else(|| item.extra.get("stdin")?.as_str());
    let mut arguments = json!({"code": code});
    if let Some(stdin) = stdin {
        arguments["stdin"] = json!(stdin);
    }
    Some(("python".to_owned(), arguments))
}

fn tell(which: Interpreter, action: &str, answer: Result<&str, &ToolFailure>) -> Value {
    let (raw, failed) = match answer {
        Ok(text) => (text, false),
        Err(failure) => (failure.message.as_str(), true),
    };
    match which {
        Interpreter::Fresh => {
            let raw = action::first(raw.trim_matches([' ', '\n']), MAX_CHARS);
            Value::String(action::result(action, raw))
        }
        Interpreter::Kept => {
            let code = action::python(action)
                .or_else(|| action::python_call(action))
                .unwrap_or_default();
            json!({
                "obs": action::output(action, action::first(raw.trim_start_matches([' ', '\n']), MAX_CHARS)),
                "metrics": {"code_success": !failed, "code_lines": code.matches('\n').count() + 1},
                "timeout": raw.to_lowercase().contains("execution timed out"),
            })
        }
    }
}

/// A trajectory's Python.
struct Room {
    specs: Vec<ToolSpec>,
    pool: Arc<Pool>,
    which: Interpreter,
    session: Option<Lease>,
}

impl ToolHost for Room {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, _: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let infrastructure = |message: String| ToolError {
            class: ToolErrorClass::Infrastructure,
            message,
        };
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                let settings = SessionSettings {
                    limits: Limits {
                        wall: Duration::from_secs(SECONDS),
                        memory: MEMORY,
                        output: 8 * MAX_CHARS as u64,
                        ..Limits::default()
                    },
                    ..SessionSettings::new(Language::Python)
                };
                let session = self.pool.session("", &settings, Duration::ZERO);
                session.map_err(|error| infrastructure(error.to_string()))?
            }
        };
        let call = Call {
            code: arguments["code"].as_str().unwrap_or_default(),
            stdin: arguments["stdin"].as_str(),
            wall: None,
        };
        let reply = session.call(&call).map_err(|error| match error {
            Error::Spec(_) => ToolError::tool(error.to_string()),
            error => infrastructure(error.to_string()),
        })?;
        if self.which == Interpreter::Kept {
            self.session = Some(session);
        }
        told(&reply, self.which)
    }
}

/// Output, then what went wrong, as standard error has it.
fn told(reply: &Reply, which: Interpreter) -> Result<ToolOutput, ToolError> {
    let mut text = reply.output.text();
    let problem = match &reply.outcome {
        Outcome::Ok { .. } | Outcome::Exit { status: 0 } => None,
        Outcome::Exit { status } => Some(format!("SystemExit: {status}")),
        Outcome::Error { traceback, .. } => Some(traceback.clone()),
        Outcome::Timeout => Some(format!("Execution timed out after {SECONDS} seconds.")),
        Outcome::Memory => Some("MemoryError".to_owned()),
        Outcome::Output => Some("The code wrote without end.".to_owned()),
        Outcome::Died { .. } | Outcome::Protocol => Some("The interpreter ended.".to_owned()),
    };
    let value = reply.value.as_ref().filter(|_| which == Interpreter::Kept);
    for line in [value, problem.as_ref()].into_iter().flatten() {
        // The original puts a line feed between the two outputs, whatever the first ends with.
        if which == Interpreter::Fresh || (!text.is_empty() && !text.ends_with('\n')) {
            text.push('\n');
        }
        text.push_str(line);
    }
    match problem {
        Some(_) => Err(ToolError::tool(text)),
        None => Ok(ToolOutput {
            text,
            ..ToolOutput::default()
        }),
    }
}
