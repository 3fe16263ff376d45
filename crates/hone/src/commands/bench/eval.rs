//! Scoring of published suites, beside the originals' own scorers.
//!
//! A suite is a function here that gives figures: it makes `Work`s, and `measure` does the rest.

#[cfg(feature = "bfcl")]
mod bfcl;
#[cfg(any(feature = "bfcl", feature = "tau"))]
mod measure;
#[cfg(feature = "tau")]
mod tau;

use super::Measured;
use crate::data;
use anyhow::ensure;
use std::path::PathBuf;

/// Scoring of published suites.
///
/// Each suite's own gold answers are scored again and again, on one thread and on all. With a peer, the original's scorer
/// scores the same answers in turns with ours, on one thread, which is all it uses. Loading is not timed on either side.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(any(feature = "bfcl", feature = "tau")), allow(dead_code))]
pub struct Args {
    /// Where the data of published suites lies (default: HONE_DATA, .hone-data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A Python that has the originals: bfcl-eval, tree-sitter and mpmath of the versions in scripts/test
    #[arg(long, value_name = "PYTHON")]
    peer: Option<PathBuf>,
    /// A checkout of tau2-bench, whose scorer the peer runs (Python 3.12, with what tests/parity/tau2.py wants)
    #[arg(long, value_name = "CHECKOUT", requires = "peer")]
    tau2: Option<PathBuf>,
    /// Samples of each
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Threads beside one (default: as many as the machine has)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Args {
    /// The figures.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        if let Some(folder) = &self.data {
            data::look_in(folder.clone());
        }
        let mut figures: Vec<Measured> = vec![];
        #[cfg(feature = "bfcl")]
        if self.tau2.is_none() {
            figures.extend(bfcl::figures(&self)?);
        }
        // With a peer one suite is measured: each original has a Python of its own.
        #[cfg(feature = "tau")]
        if self.peer.is_none() || self.tau2.is_some() {
            figures.extend(tau::figures(&self, self.tau2.as_deref())?);
        }
        ensure!(
            !figures.is_empty(),
            "this build measures no suite; build it with `cargo build --release -p hone --features suites`"
        );
        Ok(figures)
    }
}
