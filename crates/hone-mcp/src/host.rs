//! Servers as a tool host.

use crate::{Error, Server, ServerConfig};
use hone_tool::{SEPARATOR, SchemaError, ToolError, ToolHost, ToolOutput, ToolSpec, Toolset};
use hone_trace::ToolErrorClass;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tools of one or several servers.
///
/// Names: the tools of a single server keep theirs. Those of several are always called `server__tool`, whether they clash
/// or not, so that no name changes when another server comes to have the same one.
///
/// The tools are those of the moment of connecting; a server that changes its list is asked again by the next
/// [`McpToolset::connect`].
///
/// Processes belong to the hosts that share them and end with the last. A host per episode has servers of its own if each
/// episode connects, and shares them if it comes from [`McpToolset::share`].
pub struct McpToolset {
    servers: Vec<Arc<Server>>,
    specs: Arc<Vec<ToolSpec>>,
    /// The name here to its server and the name there.
    routes: Arc<BTreeMap<String, (usize, String)>>,
}

impl McpToolset {
    /// The tools of one server. Blocks until it is connected.
    ///
    /// # Errors
    /// As [`Server::connect`], and when a tool's schema is none.
    pub fn connect(config: &ServerConfig) -> Result<Self, Error> {
        Self::join(std::slice::from_ref(config))
    }

    /// The tools of several servers, one after the other. Blocks until all are connected.
    ///
    /// # Errors
    /// As [`McpToolset::connect`], and when two servers have one name.
    pub fn join(configs: &[ServerConfig]) -> Result<Self, Error> {
        let mut labels = BTreeMap::new();
        for config in configs {
            if labels.insert(config.label(), ()).is_some() {
                return Err(Error::Config {
                    server: config.label(),
                    why: "`name`: another server is called the same; give each its own".to_owned(),
                });
            }
        }
        let servers = configs.iter().map(Server::connect).collect::<Result<Vec<_>, _>>()?;
        Self::over(servers)
    }

    fn over(servers: Vec<Arc<Server>>) -> Result<Self, Error> {
        let several = servers.len() > 1;
        let mut specs = Vec::new();
        let mut routes = BTreeMap::new();
        for (index, server) in servers.iter().enumerate() {
            for tool in server.tools().iter() {
                let mut spec = tool.spec.clone();
                if several {
                    spec.name = format!("{}{SEPARATOR}{}", server.label(), spec.name);
                }
                Toolset::compile(std::slice::from_ref(&spec)).map_err(|error| Error::Protocol {
                    server: server.label(),
                    why: format!("{}, or leave the tool out with `tools`", unusable(&error)),
                })?;
                routes.insert(spec.name.clone(), (index, tool.spec.name.clone()));
                specs.push(spec);
            }
        }
        Ok(Self {
            servers,
            specs: Arc::new(specs),
            routes: Arc::new(routes),
        })
    }

    /// Another host on the same servers.
    pub fn share(&self) -> Self {
        Self {
            servers: self.servers.clone(),
            specs: self.specs.clone(),
            routes: self.routes.clone(),
        }
    }

    /// The servers.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// End the servers that no other host shares, and wait until their processes are gone. Dropping does the same without
    /// waiting.
    pub fn close(self) {
        self.servers.into_iter().for_each(Server::close);
    }
}

fn unusable(error: &SchemaError) -> String {
    hone_wire::shown(&error.to_string(), 400)
}

impl ToolHost for McpToolset {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let (Some((index, name)), Value::Object(arguments)) = (self.routes.get(tool), arguments) else {
            return Err(ToolError {
                class: ToolErrorClass::Infrastructure,
                message: format!("{tool} is no tool of these servers, or its arguments are no object"),
            });
        };
        self.servers[*index].call(name, arguments.clone())?.into()
    }
}
