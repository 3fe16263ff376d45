//! Tools that a command brings, over the JSON-lines protocol.

use super::{Scene, Source};
use hone_env::{EnvError, Environment};
use hone_external::{CommandLine, ExternalEnvironment, ExternalError, Limits};
use hone_tool::ToolSpec;
use std::path::Path;
use std::time::Duration;

/// What makes a plain Python file a set of tools; see the file itself.
pub const HOST: &str = include_str!("host.py");

/// The environment variable that names the episode's folder.
const FOLDER: &str = "HONE_FOLDER";

/// `command = […]` and `python = "FILE"`.
#[derive(Debug)]
pub struct Command {
    name: String,
    environment: ExternalEnvironment,
}

impl Command {
    /// Tools of a command that runs in the project's folder. Starts it once, to learn them.
    ///
    /// # Errors
    /// When it does not start or does not say hello as it must.
    pub fn new(name: String, argv: Vec<String>, folder: &Path, timeout: Duration) -> Result<Self, ExternalError> {
        let command = CommandLine {
            argv,
            label: None,
            folder: folder.to_owned(),
            env: Vec::new(),
        };
        Self::of(name, command, timeout)
    }

    /// The functions of a Python file, as tools.
    ///
    /// # Errors
    /// When there is no `python3`, or the file cannot be run.
    pub fn python(name: String, file: &str, folder: &Path, timeout: Duration) -> Result<Self, ExternalError> {
        let command = CommandLine {
            argv: ["python3", "-u", "-c", HOST, file].map(str::to_owned).to_vec(),
            label: Some(format!("python3 {file}")),
            folder: folder.to_owned(),
            // No `__pycache__` beside the user's files.
            env: vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into())],
        };
        Self::of(name, command, timeout)
    }

    fn of(name: String, command: CommandLine, timeout: Duration) -> Result<Self, ExternalError> {
        Ok(Self {
            name,
            environment: ExternalEnvironment::new(command, timeout, Limits::default())?,
        })
    }
}

impl Source for Command {
    fn name(&self) -> &str {
        &self.name
    }

    fn specs(&self) -> &[ToolSpec] {
        hone_tool::ToolHost::specs(&self.environment)
    }

    fn open(&self, scene: &Scene<'_>) -> Result<Box<dyn Environment>, EnvError> {
        let folder = (FOLDER.to_owned(), scene.folder.as_os_str().to_owned());
        Ok(Box::new(self.environment.again([folder])))
    }
}
