//! The record: appending episodes durably, reading them back, and their digest.

use super::{Better, Measured, Workspace};
use crate::interrupt::{self, Interrupted};
use anyhow::ensure;
use hone_trace::{Episode, Filter, Store, StoreError, Stream, sample};
use serde_json::json;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Writing, reading and digesting episodes.
///
/// Episodes are made up in the size of a nano model's. A sample of `append` is one batch, which is on the disk when it
/// returns; one of `read` and `digest` goes through all episodes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Episodes in a batch
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Batches
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batches: u32,
    /// Model calls of an episode
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    turns: u32,
    /// Times that all episodes are read
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    reads: u32,
    /// Where the store is written: figures are those of this disk [default: the folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Args {
    /// The figures.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        let stop = interrupt::flag();
        let stopped = || match stop.load(Ordering::Relaxed) {
            true => Err(Interrupted(
                "stopped; the figures so far are incomplete and are not shown".to_owned(),
            )),
            false => Ok(()),
        };
        let dir = Workspace::new(&self.dir.clone().unwrap_or_else(std::env::temp_dir))?;
        let path = dir.path().join("run.db");
        let store = Store::create(&path)?;
        let stream = Stream::new(0).named("bench/trace");
        let total = f64::from(self.batch) * f64::from(self.batches);
        let [mut append, mut read, mut digest] = [const { Vec::new() }; 3];
        for batch in 0..self.batches {
            stopped()?;
            let id = |i: u32| format!("bench/{batch}/{i}");
            let episodes: Vec<Episode> = (0..self.batch)
                .map(|i| sample::episode(&stream, &id(i), self.turns))
                .collect();
            let clock = Instant::now();
            store.append(&episodes)?;
            append.push(f64::from(self.batch) / clock.elapsed().as_secs_f64());
        }
        for _ in 0..self.reads {
            stopped()?;
            let mut found = 0.0;
            let clock = Instant::now();
            store.for_each(&Filter::default(), |episode| {
                found += 1.0;
                drop(std::hint::black_box(episode));
                Ok::<_, StoreError>(())
            })?;
            read.push(total / clock.elapsed().as_secs_f64());
            ensure!(
                found == total,
                "{found} of {total} episodes came back; the store is defective on this disk"
            );
            let clock = Instant::now();
            std::hint::black_box(store.digest(&Filter::default())?);
            digest.push(total / clock.elapsed().as_secs_f64());
        }
        // Closing the last connection moves what is in the log into the file.
        drop(store);
        let kb = std::fs::metadata(&path)?.len() as f64 / 1024.0 / total;
        let settings = json!({
            "batch": self.batch, "batches": self.batches, "turns": self.turns,
            "dir": self.dir.unwrap_or_else(std::env::temp_dir),
        });
        let rate = |name: &str, samples: &[f64]| {
            Measured::new(
                format!("trace/{name}"),
                "episodes/s",
                Better::Higher,
                samples,
                &settings,
            )
        };
        Ok(vec![
            rate("append", &append),
            rate("read", &read),
            rate("digest", &digest),
            Measured::new("trace/size".into(), "KiB/episode", Better::Lower, &[kb], &settings),
        ])
    }
}
