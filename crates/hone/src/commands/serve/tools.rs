//! `hone serve tools`.

use crate::console::say;
use crate::tasksets::{self, TaskId};
use anyhow::{anyhow, bail};
use hone_sandbox::ProcessRuntime;
use hone_standard::{Place, Standard, catalogue};
use hone_tool::{ToolHost, ToolSpec};
use hone_verltool::{Hosts, Interpreter, Server, Service, ServiceSettings, Tool, calls, python_code, python_pool};
use serde_json::{Map, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Serve tools in the contract of a trainer: so far VerlTool's, POST /get_observation.
///
/// `python_code` runs the Python of an action (<python>…</python> or ```python) in a fresh sandbox, `ipython_code` in one that its trajectory keeps. Any
/// other tools are called as <tool_call>{"name": …, "arguments": {…}}</tool_call>: standard tools that need no settings, such as calculator, python or
/// bash, and those of a taskset in the world of a task. GET /health and GET /metrics say how it goes; who accepts text gets Prometheus's format.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Names with commas between them: python_code, ipython_code, standard tools, a taskset
    #[arg(default_value = "python_code")]
    tools: String,
    /// As VerlTool's tool server, for its agent loop
    #[arg(long, required = true)]
    verltool: bool,
    /// Listen here; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    http: SocketAddr,
    /// Listen on an address that other machines reach. Whoever does can use the tools
    #[arg(long)]
    allow_remote: bool,
    /// Actions that run at the same time; more wait
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrent: u32,
    /// Trajectories at a time; the actions of more are refused
    #[arg(long, default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    trajectories: u32,
    /// Seconds after which a trajectory that nobody used is forgotten
    #[arg(long, default_value_t = 1_800, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    idle: u64,
    /// An action that is no tool's ends its trajectory
    #[arg(long)]
    done_if_invalid: bool,
    /// The Python of python_code and ipython_code, such as that of a virtual environment
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
    /// The task whose world it is, for a taskset, as SPLIT/INDEX
    #[arg(long, default_value = "test/0")]
    task: TaskId,
}

const EXAMPLES: &str = "\
Examples:
  hone serve tools --verltool
  hone serve tools python_code,calculator --verltool --http 127.0.0.1:5500
  hone serve tools shop --task test/3 --verltool
  hone serve tools --verltool --http 0.0.0.0:5000 --allow-remote --concurrent 256

In VerlTool's configuration: actor_rollout_ref.agent.tool_server_url=http://127.0.0.1:5000/get_observation";

impl Args {
    /// Serve until the program is ended.
    pub fn run(self) -> anyhow::Result<()> {
        if !self.http.ip().is_loopback() && !self.allow_remote {
            bail!(
                "everybody who reaches {} could run code here, though in a sandbox; listen on 127.0.0.1, or say --allow-remote",
                self.http
            );
        }
        let settings = ServiceSettings {
            concurrent: self.concurrent as usize,
            trajectories: self.trajectories as usize,
            idle: Duration::from_secs(self.idle),
            done_if_invalid: self.done_if_invalid,
            ..ServiceSettings::default()
        };
        let service = Arc::new(Service::new(self.tools()?, settings));
        tasksets::say_bounds();
        let names = service.names().join(", ");
        let server = Server::bind(service, self.http)?;
        say(format!("http://{}/get_observation with {names}", server.address()));
        server.run();
        Ok(())
    }

    fn tools(&self) -> anyhow::Result<Vec<Tool>> {
        let (mut tools, mut kits, mut worlds) = (Vec::new(), Map::new(), Vec::new());
        let known = catalogue();
        let mut pool = None;
        for name in self.tools.split(',').map(str::trim) {
            let which = match name {
                "python_code" => Some(Interpreter::Fresh),
                "ipython_code" => Some(Interpreter::Kept),
                _ => None,
            };
            if let Some(which) = which {
                if pool.is_none() {
                    pool = Some(python_pool(Arc::new(ProcessRuntime::new()?), self.python.clone())?);
                }
                let Some(pool) = &pool else { continue };
                tools.push(python_code(which, pool).map_err(|why| anyhow!("{name} cannot be served: {why}"))?);
            } else if known.iter().any(|card| card.name == name) {
                kits.insert(name.to_owned(), json!({}));
            } else {
                worlds.push(name);
            }
        }
        match (kits.is_empty(), worlds.as_slice()) {
            (true, []) => {}
            (false, []) => tools.push(standard(&kits)?),
            (true, [name]) => tools.push(self.world(name)?),
            _ => bail!(
                "the tools of a taskset come alone, but for python_code and ipython_code; `{}` names more",
                self.tools
            ),
        }
        Ok(tools)
    }

    /// The tools of a taskset, each trajectory in a world of its own.
    fn world(&self, name: &str) -> anyhow::Result<Tool> {
        let taskset = tasksets::taskset(name)?;
        let task = taskset.task(self.task.split, self.task.index)?;
        let specs = taskset.environment(&task).specs().to_vec();
        let hosts: Hosts = Arc::new(move || -> Result<Box<dyn ToolHost>, String> {
            let mut environment = taskset.environment(&task);
            environment.reset(&task).map_err(|error| error.to_string())?;
            Ok(environment)
        });
        called(&specs, hosts)
    }
}

/// Standard tools, each trajectory with its own.
fn standard(kits: &Map<String, serde_json::Value>) -> anyhow::Result<Tool> {
    let place = Place {
        folder: Path::new("."),
        confined: false,
    };
    let standard = Standard::new(kits, &place)?;
    let specs = standard.specs().to_vec();
    let hosts: Hosts = Arc::new(move || match standard.open(Path::new(".")) {
        Ok(set) => Ok(Box::new(set) as Box<dyn ToolHost>),
        Err(error) => Err(error.to_string()),
    });
    called(&specs, hosts)
}

fn called(specs: &[ToolSpec], hosts: Hosts) -> anyhow::Result<Tool> {
    calls(specs, hosts).map_err(|why| anyhow!("the tools cannot be served: {why}"))
}
