//! Large evaluations: two compared, and one told as a page.

use super::{Better, Measured, Workspace};
use crate::commands::eval::{compare, make_run, page_of};
use crate::interrupt::{self, Interrupted};
use anyhow::ensure;
use hone_trace::{Episode, Outcome, Stream, sample};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Episodes written at once.
const BATCH: u64 = 1000;

/// Comparing and reporting large evaluations.
///
/// Makes two runs of made-up episodes in the size of a nano model's, one try of each task, then does what
/// `hone eval compare` does with both, and what `hone eval` does at its end with one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Episodes of a run
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    episodes: u64,
    /// Model calls of an episode
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    turns: u32,
    /// Times that each is done
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Where the runs are written, about 10 KiB for an episode [default: the folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Args {
    /// The figures.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        let dir = Workspace::new(&self.dir.clone().unwrap_or_else(std::env::temp_dir))?;
        let runs = [dir.path().join("first"), dir.path().join("second")];
        for (which, run) in runs.iter().enumerate() {
            self.make(run, which as u64)?;
        }
        let [mut compared, mut reported] = [const { Vec::new() }; 2];
        for _ in 0..self.times {
            stopped()?;
            let clock = Instant::now();
            let paired = compare::paired(&runs[0], &runs[1])?;
            compared.push(clock.elapsed().as_secs_f64());
            ensure!(
                paired.tasks > 0,
                "no task was compared; the store is defective on this disk"
            );
            let clock = Instant::now();
            page_of(&runs[0])?.write(&runs[0].join("report.html"))?;
            reported.push(clock.elapsed().as_secs_f64());
        }
        let settings = json!({"episodes": self.episodes, "turns": self.turns});
        let seconds = |name: &str, samples: &[f64]| {
            Measured::new(format!("report/{name}"), "s", Better::Lower, samples, &settings)
        };
        Ok(vec![seconds("compare", &compared), seconds("page", &reported)])
    }

    fn make(&self, run: &Path, seed: u64) -> anyhow::Result<()> {
        let store = make_run(run, "shop", self.episodes)?;
        let stream = Stream::new(seed).named("bench/report");
        for start in (0..self.episodes).step_by(BATCH as usize) {
            stopped()?;
            let batch = start..(start + BATCH).min(self.episodes);
            let episodes: Vec<Episode> = batch.map(|i| self.episode(&stream, i)).collect();
            store.append(&episodes)?;
        }
        Ok(())
    }

    fn episode(&self, stream: &Stream, index: u64) -> Episode {
        let mut episode = sample::episode(stream, &format!("eval/{index}/0"), self.turns);
        episode.task = format!("test/{index}");
        episode.group = index;
        episode.sample = 0;
        // Made-up episodes fail for the infrastructure's reasons as often as for the policy's; here nearly none do.
        if matches!(episode.outcome, Outcome::InfraFailed { .. }) && !index.is_multiple_of(100) {
            episode.outcome = Outcome::Ok;
            episode.reward = Some(1.0);
        }
        episode
    }
}

fn stopped() -> anyhow::Result<()> {
    match interrupt::flag().load(Ordering::Relaxed) {
        true => Err(Interrupted("stopped; the figures so far are incomplete and are not shown".to_owned()).into()),
        false => Ok(()),
    }
}
