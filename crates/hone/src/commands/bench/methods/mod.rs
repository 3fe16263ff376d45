//! `hone bench methods`: RL methods side by side, from the same start, on the same number of sampled tokens.
//!
//! Each run is an ordinary run, made by `hone train` in a process of its own; what is reported is read from their
//! directories. So a run can be looked at, resumed and explained like any other, and none is made twice.

mod figures;
mod page;
mod plan;
mod runs;

use crate::console::{print, print_json, say, table};
use crate::interrupt;
use crate::lock::RunLock;
use anyhow::{Context, bail};
use figures::Compared;
use plan::Plan;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Methods, with commas between: folders of recipes/ that hold a nano.toml, or names from `hone train methods`
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "grpo,artist,grpo-roc,arpo,aepo,dr-bot,spear,hdpo,m2po,m2po/stale,bar"
    )]
    methods: Vec<String>,
    /// Where they learn: `shop`, `textcraft`, or a recipe that teaches a taskset
    #[arg(long, default_value = "shop")]
    world: String,
    /// Tokens that each run samples in reinforcement; the step that reaches them is its last
    #[arg(long, default_value_t = 300_000)]
    budget: u64,
    /// Seeds, from 0 on; the runs of a seed meet the same tasks in the same order
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Runs at the same time, with a thread each (default: all cores)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Directory of the cold start, the runs and the report
    #[arg(long, default_value = "runs/methods")]
    out: PathBuf,
    /// Make the report out of the runs that are there, and no new ones
    #[arg(long)]
    report_only: bool,
}

impl Args {
    pub(super) fn run(self, as_json: bool) -> anyhow::Result<()> {
        let jobs = match self.jobs {
            Some(jobs) => usize::from(jobs),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let plan = Plan::of(&self.world, &self.methods, self.seeds, self.budget, &self.out)?;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make {}; choose another --out", self.out.display()))?;
        let _lock = RunLock::take(&self.out)?;
        let mut failed = Vec::new();
        if !self.report_only {
            let cancel = interrupt::flag();
            runs::cold_start(&plan, jobs, cancel)?;
            failed = runs::all(&plan, jobs, cancel)?;
        }
        let compared = Compared::read(&plan)?;
        let report = self.out.join("report.html");
        page::page(&plan, &compared)
            .write(&report)
            .with_context(|| format!("cannot write {}; free some space there", report.display()))?;
        let figures = compared.json(&plan);
        let json = self.out.join("report.json");
        hone_engine::checkpoint::write(&json, format!("{figures:#}\n").as_bytes())?;
        if as_json {
            print_json(&figures)?;
        } else {
            print(table(&page::rows(&compared)))?;
            for claim in &compared.claims {
                say(format!(
                    "{}: {} — {} ({})",
                    claim.method, claim.says, claim.answer, claim.why
                ));
            }
        }
        say(format!("Report: {}", report.display()));
        if !failed.is_empty() {
            bail!(
                "{} of the runs failed: {}; what they said is in {}, and the same command tries them again",
                failed.len(),
                failed.join(", "),
                self.out.join("logs").display()
            );
        }
        Ok(())
    }
}
