//! `hone bench`: how fast the parts are on this machine, and beside whom.
//!
//! A bench returns [`Measured`] figures; this file shows them as a table or as JSON Lines. Every figure is the median of
//! its samples, and its settings hold their spread. A peer is measured interleaved with ours, in the same call.

mod dispatch;
mod engine;
mod env;
#[cfg(any(feature = "bfcl", feature = "tau"))]
mod eval;
mod methods;
mod neighbours;
#[cfg(any(feature = "bfcl", feature = "tau", feature = "mcp", feature = "tools"))]
mod peer;
mod report;
#[cfg(all(feature = "tools", target_os = "linux"))]
mod sandbox;
#[cfg(all(feature = "tools", feature = "bfcl"))]
mod tool_retrieval;
mod trace;

use crate::console::{print, print_json, say, table};
use anyhow::bail;
use neighbours::{DISTURBED, Neighbours};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Measure how fast the parts are on this machine.
///
/// Figures are medians; stop other work first, and read the spread beside them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    bench: Bench,
}

const EXAMPLES: &str = "\
Examples:
  hone bench env                     reset, step, fork and hash of the built-in worlds
  hone bench trace                   writing, reading and digesting episodes
  hone bench report                  comparing and reporting runs of 100,000 episodes
  hone bench dispatch                what a tool call costs besides the tool, in process and over MCP
  hone bench dispatch --peer PYTHON  the same beside the Python MCP SDK, in turns (needs a Python with `mcp`)
  hone bench tool-retrieval          finding tools among thousands (in a build with --features tools,suites)
  hone bench sandbox                 running code in isolation, beside a process per call (with --features tools)
  hone bench sandbox --soak 600      the same under random kills: what is left afterwards
  hone bench eval --data DIR         scoring of published suites (in a build with --features suites)
  hone bench eval --peer PYTHON      the same beside the originals, in turns
  hone bench methods                 RL methods from one start on one budget, and what is claimed of them
  hone bench engine                  training step and sampling speed
  hone bench engine --peer torch     the same beside PyTorch, in turns (needs a Python with torch)
  hone bench engine --json           JSON Lines: name, value, unit, peer, peer_value, ratio, better, n, settings";

#[derive(Debug, clap::Subcommand)]
enum Bench {
    /// Reset, step, fork and hash of worlds.
    #[command(after_help = "Examples:\n  hone bench env\n  hone bench env --json")]
    Env(env::Args),
    /// Writing, reading and digesting episodes.
    #[command(after_help = "Examples:\n  hone bench trace\n  hone bench trace --json")]
    Trace(trace::Args),
    /// Comparing and reporting large evaluations.
    #[command(after_help = "Examples:\n  hone bench report\n  hone bench report --json")]
    Report(report::Args),
    /// What a tool call costs besides the tool.
    #[command(after_help = "Examples:\n  hone bench dispatch\n  hone bench dispatch --peer PYTHON")]
    Dispatch(dispatch::Args),
    /// Retrieval of tools: recall, time, tokens saved.
    #[command(
        after_help = "Examples:\n  hone bench tool-retrieval --data DIR\n  hone bench tool-retrieval --data DIR --embedder COMMAND"
    )]
    #[cfg(all(feature = "tools", feature = "bfcl"))]
    ToolRetrieval(tool_retrieval::Args),
    /// Running code in isolation.
    #[command(
        after_help = "Examples:\n  hone bench sandbox\n  hone bench sandbox --crowd 1000 --sessions 100 --json\n  hone bench sandbox --soak 600\n  hone bench sandbox --verltool CHECKOUT --python PYTHON"
    )]
    #[cfg(all(feature = "tools", target_os = "linux"))]
    Sandbox(sandbox::Args),
    /// Scoring of published suites, beside the originals.
    #[command(after_help = "Examples:\n  hone bench eval --data DIR\n  hone bench eval --data DIR --peer PYTHON")]
    #[cfg(any(feature = "bfcl", feature = "tau"))]
    Eval(eval::Args),
    /// RL methods side by side: same start, same tokens, paired seeds.
    #[command(
        after_help = "Examples:\n  hone bench methods --methods grpo,hdpo --seeds 4\n  hone bench methods --world textcraft --budget 200000 --jobs 16 --out runs/methods-textcraft"
    )]
    Methods(methods::Args),
    /// Training step and sampling of the in-process engine.
    #[command(after_help = "Examples:\n  hone bench engine --model nano\n  hone bench engine --peer torch")]
    Engine(engine::Args),
}

impl Args {
    /// Measure, and print the figures.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        if let Bench::Engine(args) = &self.bench
            && let Some(report) = args.child()
        {
            return print_json(&report?);
        }
        let neighbours = Neighbours::watch();
        let mut figures = match self.bench {
            Bench::Env(args) => args.run()?,
            Bench::Trace(args) => args.run()?,
            Bench::Report(args) => args.run()?,
            Bench::Dispatch(args) => args.run()?,
            #[cfg(all(feature = "tools", feature = "bfcl"))]
            Bench::ToolRetrieval(args) => args.run()?,
            #[cfg(all(feature = "tools", target_os = "linux"))]
            Bench::Sandbox(args) => args.run()?,
            #[cfg(any(feature = "bfcl", feature = "tau"))]
            Bench::Eval(args) => args.run()?,
            Bench::Engine(args) => args.run()?,
            Bench::Methods(args) => return args.run(json),
        };
        let others = neighbours.cores();
        for figure in &mut figures {
            figure.settings.insert("others".into(), json!(others));
        }
        if let Some(others) = others.filter(|others| *others > DISTURBED) {
            say(format!(
                "other programs used {others:.1} cores meanwhile; on a quiet machine the figures are better"
            ));
        }
        if json {
            figures.iter().try_for_each(print_json)
        } else {
            print(table(&rows(&figures)))
        }
    }
}

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Better {
    Higher,
    Lower,
}

/// One figure, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Measured {
    /// Bench, subject and quantity: `engine/bakeoff/train_step`.
    name: String,
    /// Median of the samples.
    value: f64,
    /// Its unit.
    unit: &'static str,
    /// Who was measured beside it.
    peer: Option<&'static str>,
    /// Median of the peer's samples.
    peer_value: Option<f64>,
    /// Ours over the peer's.
    ratio: Option<f64>,
    /// Which way is better.
    better: Better,
    /// Number of our samples; the peer has as many.
    n: usize,
    /// What was measured; `spread` (and `peer_spread`) are the 10th and 90th percentile of the samples, `others` the
    /// cores that other programs used meanwhile.
    settings: Map<String, Value>,
}

impl Measured {
    /// A figure of these samples, of which there is at least one.
    fn new(name: String, unit: &'static str, better: Better, samples: &[f64], settings: &Value) -> Self {
        let mut settings = settings.as_object().cloned().unwrap_or_default();
        settings.insert("spread".into(), spread(samples));
        let value = quantile(samples, 0.5);
        let n = samples.len();
        Self {
            name,
            value,
            unit,
            peer: None,
            peer_value: None,
            ratio: None,
            better,
            n,
            settings,
        }
    }

    /// The figure beside a peer's samples.
    fn beside(mut self, peer: &'static str, samples: &[f64]) -> Self {
        let value = quantile(samples, 0.5);
        self.settings.insert("peer_spread".into(), spread(samples));
        self.peer = Some(peer);
        self.peer_value = Some(value);
        self.ratio = Some(self.value / value);
        self
    }
}

fn spread(samples: &[f64]) -> Value {
    json!([quantile(samples, 0.1), quantile(samples, 0.9)])
}

/// The quantile `q` of samples, linear between neighbours; NaN if there are none.
fn quantile(samples: &[f64], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

fn rows(figures: &[Measured]) -> Vec<Vec<String>> {
    let peer = figures.iter().find_map(|figure| figure.peer);
    let mut head = vec![
        "what".to_owned(),
        "median".into(),
        "unit".into(),
        "p10 to p90".into(),
        "n".into(),
    ];
    head.extend(
        peer.into_iter()
            .flat_map(|peer| [peer.to_owned(), "p10 to p90".into(), "ratio".into(), "better".into()]),
    );
    let range = |figure: &Measured, key: &str| {
        let ends: Vec<String> = figure.settings[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .map(short)
            .collect();
        ends.join(" to ")
    };
    let row = |figure: &Measured| {
        let mut row = vec![
            figure.name.clone(),
            short(figure.value),
            figure.unit.into(),
            range(figure, "spread"),
            figure.n.to_string(),
        ];
        if let (Some(value), Some(ratio)) = (figure.peer_value, figure.ratio) {
            let better = if figure.better == Better::Higher {
                "higher"
            } else {
                "lower"
            };
            row.extend([
                short(value),
                range(figure, "peer_spread"),
                format!("{ratio:.2}"),
                better.into(),
            ]);
        }
        row
    };
    std::iter::once(head).chain(figures.iter().map(row)).collect()
}

/// A number with about four digits.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (3.0 - digits).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// A new folder that goes when this is dropped.
struct Workspace(PathBuf);

impl Workspace {
    fn new(parent: &Path) -> anyhow::Result<Self> {
        let mut taken = 0;
        loop {
            let dir = parent.join(format!("hone-bench-{}-{taken}", std::process::id()));
            match std::fs::create_dir(&dir) {
                Ok(()) => return Ok(Self(dir)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => taken += 1,
                Err(error) => bail!(
                    "cannot make the folder {}: {error}; make its parent, or choose one that can be written (--dir, TMPDIR)",
                    dir.display()
                ),
            }
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's folder for temporary files, or where the user asked for it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        let samples = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&samples, 0.5), 2.5);
        assert_eq!(quantile(&samples, 0.0), 1.0);
        assert_eq!(quantile(&samples, 1.0), 4.0);
        assert!((quantile(&samples, 0.1) - 1.3).abs() < 1e-12);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_figure_has_the_published_keys_and_a_ratio_of_ours_over_the_peers() {
        let figure = Measured::new(
            "engine/x".into(),
            "s",
            Better::Lower,
            &[1.0, 3.0],
            &json!({"threads": 2}),
        );
        let alone = serde_json::to_value(&figure).unwrap();
        let keys: Vec<&str> = alone.as_object().unwrap().keys().map(String::as_str).collect();
        let mut want = [
            "name",
            "value",
            "unit",
            "peer",
            "peer_value",
            "ratio",
            "better",
            "n",
            "settings",
        ];
        want.sort_unstable();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, want);
        assert_eq!(
            (&alone["peer"], &alone["peer_value"], &alone["ratio"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        let beside = serde_json::to_value(figure.beside("torch", &[4.0, 4.0])).unwrap();
        assert_eq!(
            (&beside["value"], &beside["ratio"], &beside["better"]),
            (&json!(2.0), &json!(0.5), &json!("lower"))
        );
        assert_eq!(beside["settings"]["threads"], 2);
    }

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(
            [0.0, 0.012_345, 1.5, 12_345.6].map(short),
            ["0.000", "0.01235", "1.500", "12346"]
        );
    }
}
