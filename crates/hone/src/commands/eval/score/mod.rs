//! `hone eval score`: recorded answers of others, scored here.

#[cfg(feature = "bfcl")]
mod bfcl;
#[cfg(feature = "tau")]
mod judged;
#[cfg(feature = "tau")]
mod tau;

use crate::console::{print, print_json, say, table};
use crate::data;
use crate::models::ModelSpec;
use anyhow::bail;
use serde_json::Value;
use std::path::PathBuf;

/// Score recorded answers of a suite, and compare with the rewards that they were given.
///
/// BFCL: a result file of any category, or a model's folder of them, as bfcl-eval writes them; with a folder, the
/// leaderboard's overall score too. τ²-bench: a results file (simulations). τ-bench: a list of runs with `traj`. All: a JSON
/// list or JSON Lines of {"task_id", "messages"} with OpenAI messages (of BFCL, "id" is the same). Where assertions in words
/// decide a reward, the judges of --judge are asked and what they say is recorded; without them such runs are counted and
/// named. `hone eval SUITE --responses FILE` is the same command.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Suite: tau2:retail, tau2:airline, tau2:telecom, tau2:mock, tau:airline, tau:retail, bfcl
    pub(super) suite: String,
    /// The recorded answers
    #[arg(long, value_name = "FILE")]
    pub(super) responses: PathBuf,
    /// Folder with the suite's data (default: HONE_DATA, .hone-data or ../shared/data)
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// BFCL: the answers are of a function-calling API, whose names have underscores for dots
    #[arg(long)]
    pub(super) function_calling: bool,
    /// τ²-bench: who judges assertions in words; given several times, the majority decides (replay:RUN asks nobody anew)
    #[arg(long = "judge", value_name = "MODEL")]
    pub(super) judges: Vec<ModelSpec>,
    /// Where the judges' words are recorded (default: the next free runs/score-SUITE-NNN)
    #[arg(long, value_name = "DIR", requires = "judges")]
    pub(super) out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  hone eval score tau2:retail --responses results.json --data DIR
  hone eval score tau:airline --responses gpt-4o-airline.json --json | jq .different
  hone eval score tau2:retail --responses results.json --judge openai:MODEL
  hone eval score bfcl --responses BFCL_v4_multi_turn_base_result.json
  hone eval score bfcl --responses result/MODEL --function-calling --json | jq .overall
  hone eval bfcl --responses messages.jsonl

Exit status 1 where a reward differs from the recorded one.";

/// What came of it.
struct Scored {
    /// What `--json` prints.
    report: Value,
    rows: Vec<[String; 2]>,
    /// What to say besides.
    notes: Vec<String>,
    /// Why the command fails, if it does.
    failure: Option<String>,
}

impl Args {
    /// Score.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        if !self.judges.is_empty() && !self.suite.starts_with("tau2:") {
            bail!("only rewards of tau2 depend on judges; leave --judge out");
        }
        let scored = match self.suite.split_once(':').unwrap_or((&self.suite, "")) {
            #[cfg(feature = "tau")]
            ("tau2", domain) if hone_tau::DOMAINS.contains(&domain) => tau::tau2(&self, domain)?,
            #[cfg(feature = "tau")]
            ("tau", domain) if hone_tau::v1::DOMAINS.contains(&domain) => tau::tau(&self, domain)?,
            #[cfg(feature = "bfcl")]
            ("bfcl", "") => bfcl::bfcl(&self)?,
            _ => bail!(
                "no recorded answers of `{}` are read by this build; write a suite that `hone eval score --help` names, \
                 in a build with `--features suites`",
                self.suite
            ),
        };
        if json {
            print_json(&scored.report)?;
        } else {
            print(table(&scored.rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>()))?;
        }
        scored.notes.iter().for_each(say);
        match scored.failure {
            Some(failure) => bail!("{failure}"),
            None => Ok(()),
        }
    }

    /// The data folder that holds this.
    fn folder(&self, holds: &str) -> anyhow::Result<PathBuf> {
        match self.data.clone().or_else(|| data::folder_with(holds)) {
            Some(folder) => Ok(folder),
            None => bail!("there is no data folder with {holds}; name one with --data"),
        }
    }
}
