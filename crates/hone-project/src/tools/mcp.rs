//! Tools of an MCP server.

use super::{Scene, Source};
use hone_env::{EnvError, Environment, Task};
use hone_mcp::{Error, McpToolset, ServerConfig};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec};
use serde_json::Value;
use std::path::Path;

/// In a command's arguments and folder: the episode's own folder.
const FOLDER: &str = "{folder}";

/// `mcp = { command = […] }` and `mcp = { url = "…" }`: a connection of its own, and so a process of its own, for each episode;
/// with `shared = true` one for all of them.
pub struct Mcp {
    name: String,
    config: ServerConfig,
    specs: Vec<ToolSpec>,
    shared: Option<McpToolset>,
}

impl Mcp {
    /// A server's tools. Connects once, to learn them, and keeps that connection if it is shared.
    ///
    /// # Errors
    /// When it cannot be reached or breaks the protocol, or is shared and wants an episode's folder.
    pub fn new(name: String, config: ServerConfig, shared: bool) -> Result<Self, Error> {
        if shared && config != within(&config, Path::new("")) {
            return Err(Error::Config {
                server: config.label(),
                why: format!("`shared`: {FOLDER} is an episode's own; leave one of them out"),
            });
        }
        // It may want an episode's folder, and there is none yet.
        let nowhere = tempfile::tempdir().map_err(|error| Error::Config {
            server: config.label(),
            why: format!("no temporary folder can be made ({error}); free some space where they go"),
        })?;
        let toolset = McpToolset::connect(&within(&config, nowhere.path()))?;
        let specs = toolset.specs().to_vec();
        let shared = match shared {
            true => Some(toolset),
            false => {
                toolset.close();
                None
            }
        };
        Ok(Self {
            name,
            config,
            specs,
            shared,
        })
    }
}

impl Source for Mcp {
    fn name(&self) -> &str {
        &self.name
    }

    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn open(&self, scene: &Scene<'_>) -> Result<Box<dyn Environment>, EnvError> {
        if let Some(shared) = &self.shared {
            return Ok(Box::new(Stateless(shared.share())));
        }
        let failed = |what: String| EnvError::Data {
            what,
            remedy: "mend the server, then play the episode again".to_owned(),
        };
        let toolset =
            McpToolset::connect(&within(&self.config, scene.folder)).map_err(|error| failed(error.to_string()))?;
        if toolset.specs() != self.specs {
            return Err(failed(format!(
                "the tools of {} are not those that it named the first time",
                self.name
            )));
        }
        Ok(Box::new(Stateless(toolset)))
    }
}

/// The configuration with the episode's folder in its place.
fn within(config: &ServerConfig, folder: &Path) -> ServerConfig {
    let folder = folder.to_string_lossy();
    let mut config = config.clone();
    for argument in &mut config.command {
        *argument = argument.replace(FOLDER, &folder);
    }
    config.cwd = config
        .cwd
        .map(|cwd| cwd.to_string_lossy().replace(FOLDER, &folder).into());
    config
}

/// Tools whose state, if there is any, nobody sees.
struct Stateless(McpToolset);

impl ToolHost for Stateless {
    fn specs(&self) -> &[ToolSpec] {
        self.0.specs()
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        self.0.call(tool, arguments)
    }
}

impl Environment for Stateless {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }
}
