//! `hone eval score`: recorded answers of others, scored here.

#[cfg(feature = "bfcl")]
mod bfcl;
#[cfg(feature = "tau")]
mod tau;

use crate::console::{print, print_json, say, table};
use crate::data;
use anyhow::bail;
use serde_json::Value;
use std::path::PathBuf;

/// Score recorded answers of a suite, and compare with the rewards that they were given.
///
/// τ²-bench: a results file (simulations). τ-bench: a list of runs with `traj`. Both: a JSON list or JSON Lines of
/// {"task_id", "messages"} with OpenAI messages. BFCL: a result file of a single-turn category. Runs whose reward assertions
/// in words decide are counted and named.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Suite: tau2:retail, tau2:airline, tau2:telecom, tau2:mock, tau:airline, bfcl
    suite: String,
    /// The recorded answers
    #[arg(long, value_name = "FILE")]
    responses: PathBuf,
    /// Folder with the suite's data (default: HONE_DATA, .hone-data or ../shared/data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// BFCL: the answers are of a function-calling API, whose names have underscores for dots
    #[arg(long)]
    function_calling: bool,
}

const EXAMPLES: &str = "\
Examples:
  hone eval score tau2:retail --responses results.json --data DIR
  hone eval score tau:airline --responses gpt-4o-airline.json --json | jq .different
  hone eval score bfcl --responses BFCL_v4_multiple_result.json

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
        let scored = match self.suite.split_once(':').unwrap_or((&self.suite, "")) {
            #[cfg(feature = "tau")]
            ("tau2", domain) if hone_tau::DOMAINS.contains(&domain) => tau::tau2(&self, domain)?,
            #[cfg(feature = "tau")]
            ("tau", "airline") => tau::tau(&self)?,
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
