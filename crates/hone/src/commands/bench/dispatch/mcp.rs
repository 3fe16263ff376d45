//! Calls over MCP, beside the Python SDK.

use super::{Args, Caller, figure, stopped};
use crate::commands::bench::Measured;
use crate::commands::bench::peer::Peer;
use crate::tasksets;
use anyhow::Context;
use hone_env::Split;
use hone_mcp::{McpToolset, Protocol, ServerConfig};
use serde_json::{Value, json};

const PEER: &str = include_str!("../mcp_peer.py");
const TOOL: &str = "get_customer";

/// Round trips to `hone tools serve shop` on standard input and output, in each era of the protocol.
pub fn figures(args: &Args) -> anyhow::Result<Vec<Measured>> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let program = program.to_str().context("this program's path is no text")?;
    let command: Vec<String> = [program, "tools", "serve", "shop"].map(str::to_owned).to_vec();
    let arguments = arguments()?;
    let mut figures = Vec::new();
    for (era, protocol, mode) in [
        ("initialize", Protocol::Initialize, "legacy"),
        ("discover", Protocol::Discover, "auto"),
    ] {
        let config = ServerConfig {
            command: command.clone(),
            protocol,
            ..ServerConfig::default()
        };
        let mut ours = Caller::new(Box::new(McpToolset::connect(&config)?))?;
        let mut peer = match &args.peer {
            None => None,
            Some(python) => {
                let job = json!({"command": command, "mode": mode, "tool": TOOL, "arguments": arguments});
                Some(Peer::start(python, PEER, &job)?)
            }
        };
        let (mut samples, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=args.rounds {
            stopped()?;
            for _ in 0..args.calls {
                let spent = ours.call(TOOL, &arguments)?;
                if round > 0 {
                    samples.push(spent.as_nanos() as f64 / 1e3);
                }
            }
            if let Some(peer) = &mut peer {
                let spent: Vec<u64> = peer.ask(&args.calls.to_string())?;
                if round > 0 {
                    theirs.extend(spent.into_iter().map(|ns| ns as f64 / 1e3));
                }
            }
        }
        let settings = json!({"calls": args.calls, "rounds": args.rounds, "tool": TOOL, "protocol": era});
        let mut measured = figure(&format!("mcp_stdio/{era}"), &samples, &settings);
        if peer.is_some() {
            measured = measured.beside("python mcp", &theirs);
            let p95 = crate::commands::bench::quantile(&theirs, 0.95);
            measured.settings.insert("peer_p95".into(), p95.into());
        }
        figures.push(measured);
    }
    Ok(figures)
}

/// Arguments that the tool accepts: a customer of the world that is served.
fn arguments() -> anyhow::Result<Value> {
    let taskset = tasksets::taskset("shop")?;
    let task = taskset.task(Split::Test, 0)?;
    let mut world = taskset.environment(&task);
    world.reset(&task)?;
    let state = world.state();
    let customer = state
        .pointer("/customers/0/id")
        .context("the shop has no customers; this is a defect")?;
    Ok(json!({"customer": customer}))
}
