//! `hone tools serve`.

use super::source::world;
use crate::console::say;
use crate::tasksets::{self, TaskId};
use hone_mcp::serve::{HttpOptions, HttpServer, Offer, Settings, stdio};
use hone_view::printable;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Serve a taskset's tools to any MCP host, on standard input and output or over HTTP.
///
/// Each client acts in a world of its own, that of the task. Clients of the protocol's revision 2026-07-28, which has no
/// sessions, share one world over HTTP; start a server for each to keep them apart.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Taskset: shop, textcraft, textcraft:2-3
    taskset: String,
    /// The task whose world it is, as SPLIT/INDEX
    #[arg(long, default_value = "test/0")]
    task: TaskId,
    /// Listen here instead, at the path /mcp; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Environment variable with the bearer token that HTTP clients must show
    #[arg(long, value_name = "NAME", requires = "http")]
    bearer_env: Option<String>,
    /// A name by which HTTP clients reach this machine, besides localhost
    #[arg(long = "host", value_name = "NAME", requires = "http")]
    hosts: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  hone tools serve shop --task test/3
  hone tools serve textcraft:2 --http 127.0.0.1:8000
  hone tools serve shop --http 0.0.0.0:8000 --host tools.example.org --bearer-env TOKEN

In the configuration of an MCP host:
  {\"mcpServers\": {\"shop\": {\"command\": \"hone\", \"args\": [\"tools\", \"serve\", \"shop\"]}}}";

impl Args {
    /// Serve until the client leaves, or over HTTP until the program is ended.
    pub fn run(self) -> anyhow::Result<()> {
        let taskset = tasksets::taskset(&self.taskset)?;
        let (name, TaskId { split, index }) = (self.taskset.clone(), self.task);
        let task = taskset.task(split, index)?;
        let settings = Settings {
            timeout: Duration::from_millis(taskset.budget().tool_timeout_ms),
            ..Settings::default()
        };
        let make = move || world(&name, split, index).map_err(|error| format!("{error:#}"));
        let offer = Offer::new(taskset.name(), taskset.about(), settings, Arc::new(make))?;
        say(printable(&format!("task {}: {}", task.id, task.instruction)));
        match self.http {
            None => stdio(&offer)?,
            Some(address) => {
                let options = HttpOptions {
                    bearer_env: self.bearer_env,
                    hosts: self.hosts,
                };
                let server = HttpServer::bind(&offer, address, &options)?;
                say(format!("http://{}/mcp", server.address()));
                server.run();
            }
        }
        Ok(())
    }
}
