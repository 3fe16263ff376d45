//! `hone tools serve`.

use super::source::world;
use super::standard::{self, Ground};
use crate::approve;
use crate::console::say;
use crate::tasksets::{self, TaskId};
use hone_mcp::serve::{HttpOptions, HttpServer, Offer, Settings, stdio};
use hone_standard::Card;
use hone_tool::{ApprovalPolicy, Policy, ToolHost};
use hone_view::printable;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Serve Hone's own tools to any MCP host, on standard input and output or over HTTP.
///
/// Each client acts in a world of its own, that of the task, or with a memory and a clock of its own; a folder they share. Clients of the protocol's revision 2026-07-28, which has no
/// sessions, share one world over HTTP; start a server for each to keep them apart.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A taskset (shop, textcraft, textcraft:2-3), all `standard` tools, or some of these (files,calculator)
    tools: String,
    /// The task whose world it is, for a taskset, as SPLIT/INDEX
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
    /// Which calls may run: a file of rules, as docs/tools.md describes it. What they leave to a person is rejected
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    ground: Ground,
}

const EXAMPLES: &str = "\
Examples:
  hone tools serve shop --task test/3
  hone tools serve textcraft:2 --http 127.0.0.1:8000
  hone tools serve standard --root notes --database shop.db
  hone tools serve files --root notes --policy rules.toml
  hone tools serve shop --http 0.0.0.0:8000 --host tools.example.org --bearer-env TOKEN

In the configuration of an MCP host:
  {\"mcpServers\": {\"shop\": {\"command\": \"hone\", \"args\": [\"tools\", \"serve\", \"shop\"]}}}";

impl Args {
    /// Serve until the client leaves, or over HTTP until the program is ended.
    pub fn run(self) -> anyhow::Result<()> {
        let policy = self.policy.as_deref().map(approve::policy).transpose()?;
        let offer = match standard::named(&self.tools)? {
            Some(cards) => self.standard(&cards, policy)?,
            None => self.taskset(policy)?,
        };
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

    /// The standard tools.
    fn standard(&self, cards: &[Card], policy: Option<Policy>) -> anyhow::Result<Offer> {
        let kits = self.ground.open(&self.tools, cards)?;
        let about: Vec<String> = cards
            .iter()
            .map(|card| format!("{}: {}", card.name, card.about))
            .collect();
        let make = move || match kits.open(Path::new(".")) {
            Ok(set) => Ok(Box::new(set) as Box<dyn ToolHost>),
            Err(error) => Err(error.to_string()),
        };
        let settings = Settings {
            approval: approval(policy, standard::ALL),
            ..Settings::default()
        };
        Ok(Offer::new(standard::ALL, &about.join("\n"), settings, Arc::new(make))?)
    }

    /// The tools of a taskset, in the world of a task.
    fn taskset(&self, policy: Option<Policy>) -> anyhow::Result<Offer> {
        let taskset = tasksets::taskset(&self.tools)?;
        let (name, TaskId { split, index }) = (self.tools.clone(), self.task);
        let task = taskset.task(split, index)?;
        let settings = Settings {
            approval: approval(policy, taskset.name()),
            timeout: Duration::from_millis(taskset.budget().tool_timeout_ms),
            ..Settings::default()
        };
        let make = move || world(&name, split, index).map_err(|error| format!("{error:#}"));
        let offer = Offer::new(taskset.name(), taskset.about(), settings, Arc::new(make))?;
        say(printable(&format!("task {}: {}", task.id, task.instruction)));
        Ok(offer)
    }
}

/// Without rules, every call may run.
fn approval(policy: Option<Policy>, server: &str) -> ApprovalPolicy {
    policy.map_or_else(ApprovalPolicy::default, |policy| ApprovalPolicy::rules(policy, server))
}
