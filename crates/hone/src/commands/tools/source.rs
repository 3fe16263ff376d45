//! Where the tools come from.

use super::standard::{self, Ground};
use crate::tasksets;
use anyhow::bail;
use hone_env::Split;
use hone_mcp::{Connection, McpToolset, Protocol, ServerConfig};
use hone_tool::{ToolHost, ToolSpec};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// A server, or tools of Hone's own.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// Address of a server that speaks streamable HTTP
    #[arg(long, conflicts_with_all = ["command", "toolset"])]
    url: Option<String>,
    /// Environment variable that holds the bearer token for --url
    #[arg(long, value_name = "NAME", requires = "url")]
    bearer_env: Option<String>,
    /// A variable for COMMAND, which otherwise gets only harmless ones; NAME alone hands yours on
    #[arg(long = "env", value_name = "NAME[=VALUE]", requires = "command")]
    env: Vec<String>,
    /// Seconds that a call may take
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_000))]
    timeout: u64,
    /// Era of the protocol: with `initialize` (up to 2025-11-25), with `server/discover` (2026-07-28), or what the server has
    #[arg(long, default_value = "auto", value_parser = protocol)]
    protocol: Protocol,
    /// Tools of Hone's own: a taskset (shop, textcraft), all `standard` ones, or some of these (calculator,memory)
    #[arg(long, conflicts_with = "command")]
    toolset: Option<String>,
    #[command(flatten)]
    ground: Ground,
    /// The server's command
    #[arg(last = true)]
    command: Vec<String>,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "auto" => Ok(Protocol::Auto),
        "initialize" => Ok(Protocol::Initialize),
        "discover" => Ok(Protocol::Discover),
        _ => Err("write auto, initialize or discover".to_owned()),
    }
}

/// A tool with what only MCP knows of it.
pub struct Told {
    pub spec: ToolSpec,
    pub title: Option<String>,
    pub output_schema: Option<Value>,
}

/// Tools to look at.
pub struct Listing {
    pub tools: Vec<Told>,
    /// Whose they are.
    pub about: String,
}

/// Tools ready to be called.
pub struct Opened {
    pub host: Box<dyn ToolHost>,
    pub listing: Listing,
    /// What rules call their server.
    pub server: String,
}

/// Who offers the tools, and what there is besides them.
#[derive(Default, Serialize)]
pub struct Look {
    pub name: String,
    pub version: String,
    pub protocol: String,
    pub instructions: String,
    pub tools: usize,
    pub resources: Vec<String>,
    pub prompts: Vec<String>,
}

impl Source {
    fn config(&self) -> ServerConfig {
        let mut config = ServerConfig {
            command: self.command.clone(),
            url: self.url.clone(),
            bearer_env: self.bearer_env.clone(),
            call_timeout_ms: self.timeout * 1000,
            protocol: self.protocol,
            ..ServerConfig::default()
        };
        for variable in &self.env {
            match variable.split_once('=') {
                Some((name, value)) => {
                    config.env.insert(name.to_owned(), value.to_owned());
                }
                None => config.pass_env.push(variable.clone()),
            }
        }
        config
    }

    /// Longer than the server's own deadline, so that a slow call is cancelled there and nothing is lost.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout + 5)
    }

    /// The same with the toolset that stands before it.
    pub fn of(self, toolset: Option<String>) -> anyhow::Result<Self> {
        if toolset.is_none() {
            return Ok(self);
        }
        if self.toolset.is_some() || self.url.is_some() || !self.command.is_empty() {
            bail!("two sources of tools are named; name one");
        }
        Ok(Self { toolset, ..self })
    }

    /// The tools, to look at.
    pub fn listing(&self) -> anyhow::Result<Listing> {
        if let Some(name) = &self.toolset
            && let Some(cards) = standard::named(name)?
        {
            return Ok(Listing {
                tools: standard::told(&cards),
                about: format!("the standard tools ({name})"),
            });
        }
        Ok(self.open()?.listing)
    }

    /// Connect, or make the world of the taskset's first held-out task.
    pub fn open(&self) -> anyhow::Result<Opened> {
        if let Some(name) = &self.toolset {
            let cards = standard::named(name)?;
            let (host, about) = match &cards {
                Some(cards) => (self.ground.host(name, cards)?, format!("the standard tools ({name})")),
                None => (world(name, Split::Test, 0)?, format!("the taskset {name}")),
            };
            let tools = host.specs().iter().map(|spec| Told {
                spec: spec.clone(),
                title: None,
                output_schema: None,
            });
            let tools = tools.collect();
            return Ok(Opened {
                listing: Listing { tools, about },
                host,
                server: match cards {
                    Some(_) => standard::ALL.to_owned(),
                    None => name.clone(),
                },
            });
        }
        if self.command.is_empty() && self.url.is_none() {
            bail!("no server is named; put its command after `--`, or give --url URL or --toolset NAME");
        }
        let config = self.config();
        let host = McpToolset::connect(&config)?;
        let tools = host.servers().iter().flat_map(|server| {
            server.tools().iter().map(|tool| Told {
                spec: tool.spec.clone(),
                title: tool.title.clone(),
                output_schema: tool.output_schema.clone(),
            })
        });
        let info = host.servers()[0].info();
        let listing = Listing {
            tools: tools.collect(),
            about: format!("{} {} (protocol {})", info.name, info.version, info.protocol),
        };
        Ok(Opened {
            listing,
            host: Box::new(host),
            server: config.label(),
        })
    }

    /// Who offers the tools, and what there is besides them.
    pub fn look(&self) -> anyhow::Result<Look> {
        if self.toolset.is_some() || (self.command.is_empty() && self.url.is_none()) {
            let listing = self.listing()?;
            return Ok(Look {
                name: listing.about,
                tools: listing.tools.len(),
                ..Look::default()
            });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let look = runtime.block_on(async {
            let connection = Connection::open(&self.config()).await?;
            let resources = connection
                .resources()
                .await?
                .into_iter()
                .map(|r| format!("{} ({})", r.uri, r.name));
            let info = connection.info().clone();
            let look = Look {
                name: info.name,
                version: info.version,
                protocol: info.protocol,
                instructions: info.instructions,
                tools: connection.tools().await?.len(),
                resources: resources.collect(),
                prompts: connection.prompts().await?.into_iter().map(|p| p.name).collect(),
            };
            connection.close().await;
            Ok::<_, hone_mcp::Error>(look)
        })?;
        Ok(look)
    }
}

/// The world of a task.
pub fn world(taskset: &str, split: Split, index: u64) -> anyhow::Result<Box<dyn ToolHost>> {
    let taskset = tasksets::taskset(taskset)?;
    let task = taskset.task(split, index)?;
    let mut environment = taskset.environment(&task);
    environment.reset(&task)?;
    Ok(environment)
}
