//! What a tool call costs besides the tool.

#[cfg(feature = "mcp")]
mod mcp;

use super::{Better, Measured, quantile};
use crate::interrupt::{self, Interrupted};
use anyhow::{Context, anyhow};
use hone_tool::{
    Annotations, ApprovalPolicy, Asked, Rules, ToolError, ToolHost, ToolOutput, ToolRequest, ToolSpec, Toolset,
    Truncation, dispatch,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What a tool call costs besides the tool: parse, validate, approve, run, record; and over MCP the way there and back.
///
/// In process the tool's own time is taken off each call. `inline` is a built-in world's way, `thread` that of tools which
/// may hang. Over MCP the server is `hone tools serve shop`, whose tool takes microseconds, and its time is not taken
/// off; a peer calls the same tool of the same server, in turns with ours.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Calls of a round
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: u32,
    /// Rounds, after one that warms up and does not count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// A Python that has the package `mcp` (in a build with --features mcp)
    #[arg(long, value_name = "PYTHON")]
    #[cfg_attr(not(feature = "mcp"), allow(dead_code))]
    peer: Option<PathBuf>,
}

impl Args {
    /// The figures.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        let mut figures = Vec::new();
        for (name, inline) in [("inline", true), ("thread", false)] {
            figures.push(self.in_process(name, inline)?);
        }
        #[cfg(feature = "mcp")]
        figures.extend(mcp::figures(&self)?);
        Ok(figures)
    }

    fn in_process(&self, name: &str, inline: bool) -> anyhow::Result<Measured> {
        let mut caller = Caller::new(Box::new(Probe::new(inline)))?;
        let arguments = json!({"order": "A123456", "count": 3, "note": "leave it at the door", "gift": false});
        let mut samples = Vec::new();
        for round in 0..=self.rounds {
            stopped()?;
            for _ in 0..self.calls {
                let whole = caller.call("change", &arguments)?;
                let overhead = whole.saturating_sub(caller.host()?.spent);
                if round > 0 {
                    samples.push(overhead.as_nanos() as f64 / 1e3);
                }
            }
        }
        let settings =
            json!({"calls": self.calls, "rounds": self.rounds, "tool": "four arguments, checked; a state hash"});
        Ok(figure(&format!("in_process/{name}"), &samples, &settings))
    }
}

/// A figure with its 95th percentile.
fn figure(name: &str, microseconds: &[f64], settings: &Value) -> Measured {
    let mut figure = Measured::new(format!("dispatch/{name}"), "µs", Better::Lower, microseconds, settings);
    figure
        .settings
        .insert("p95".into(), quantile(microseconds, 0.95).into());
    figure
}

fn stopped() -> anyhow::Result<()> {
    match interrupt::flag().load(Ordering::Relaxed) {
        true => Err(Interrupted("stopped; the figures so far are incomplete and are not shown".to_owned()).into()),
        false => Ok(()),
    }
}

/// Calls one host's tools again and again, as an episode does.
struct Caller<H: ToolHost + 'static> {
    runtime: Option<tokio::runtime::Runtime>,
    toolset: Toolset,
    host: Option<Box<H>>,
    asked: u32,
}

impl<H: ToolHost + 'static> Caller<H> {
    fn new(host: Box<H>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            runtime: Some(runtime.context("no async runtime")?),
            toolset: Toolset::compile(host.specs())?,
            host: Some(host),
            asked: 0,
        })
    }

    fn host(&self) -> anyhow::Result<&H> {
        self.host
            .as_deref()
            .ok_or_else(|| anyhow!("the tool's host was lost; this is a defect"))
    }

    /// How long a call took, from the model's text to the record.
    fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Duration> {
        let rules = Rules {
            toolset: &self.toolset,
            approval: &ApprovalPolicy::AllowAll,
            timeout: Duration::from_secs(60),
            max_shown_chars: 20_000,
            truncation: Truncation::Head,
            max_schema_chars: 0,
        };
        let request = ToolRequest {
            id: self.asked,
            model_call: Some(self.asked),
            raw: arguments.to_string(),
            asked: Asked::Call {
                tool: tool.to_owned(),
                arguments: arguments.clone(),
            },
        };
        self.asked += 1;
        let (Some(runtime), Some(host)) = (&self.runtime, self.host.take()) else {
            return Err(anyhow!("the tool's host was lost; this is a defect"));
        };
        let (done, spent) = runtime.block_on(async {
            let clock = Instant::now();
            let done = dispatch(host, request, &rules, None).await;
            (done, clock.elapsed())
        });
        self.host = done.host;
        match done.record.error {
            None => Ok(spent),
            Some(failure) => Err(anyhow!("the call failed: {}", failure.message)),
        }
    }
}

impl<H: ToolHost + 'static> Drop for Caller<H> {
    fn drop(&mut self) {
        // A call that hangs would hold the program.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A tool that takes a little time and knows how much.
struct Probe {
    specs: Vec<ToolSpec>,
    inline: bool,
    count: u64,
    /// What the last call took.
    spent: Duration,
}

impl Probe {
    fn new(inline: bool) -> Self {
        let schema = json!({
            "type": "object",
            "properties": {
                "order": {"type": "string", "pattern": "^[A-Z][0-9]+$"},
                "count": {"type": "integer", "minimum": 1},
                "note": {"type": "string", "maxLength": 200},
                "gift": {"type": "boolean"},
            },
            "required": ["order", "count"],
            "additionalProperties": false,
        });
        let spec = ToolSpec {
            name: "change".to_owned(),
            description: "Change an order.".to_owned(),
            input_schema: schema,
            annotations: Annotations::default(),
            version: "1".to_owned(),
            unchecked: false,
        };
        Self {
            specs: vec![spec],
            inline,
            count: 0,
            spent: Duration::ZERO,
        }
    }
}

impl ToolHost for Probe {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, _tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let clock = Instant::now();
        self.count += 1;
        let output = ToolOutput::json(json!({"changed": arguments["order"], "changes": self.count}));
        self.spent = clock.elapsed();
        Ok(output)
    }

    fn state_hash(&self) -> Option<String> {
        Some(format!("{:064x}", self.count))
    }

    fn inline(&self) -> bool {
        self.inline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_timed_and_the_tools_own_time_is_known() {
        let mut caller = Caller::new(Box::new(Probe::new(false))).unwrap();
        let whole = caller.call("change", &json!({"order": "A1", "count": 2})).unwrap();
        let host = caller.host().unwrap();
        assert!(host.count == 1 && host.spent > Duration::ZERO && host.spent < whole);
        let error = caller.call("change", &json!({"order": "1"})).unwrap_err().to_string();
        assert!(error.contains("`count` (integer) is missing"), "{error}");
    }
}
