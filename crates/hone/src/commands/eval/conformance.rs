//! `hone eval conformance`: what baselines score on published suites, beside what they score in the original.

use crate::console::{print, print_json, say, table};
use crate::data;
use anyhow::bail;
use hone_score::Conformance;
use std::path::PathBuf;

/// Check our scorers against the originals: reference solutions, inaction and database hashes.
///
/// Plays and scores what a folder holds of the published suites, and compares the number that passes with the number that
/// passes in the original. Suites whose files are not there are named. Needs no model.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with bfcl/, tau2/ and tau-bench/airline/ (default: HONE_DATA, .hone-data or ../shared/data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo build --release -p hone --features suites      a build that knows the suites
  hone eval conformance --data DIR
  hone eval conformance --data DIR --json              JSON Lines: set, records, passed, expected, ok, seconds";

impl Args {
    /// Check.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        if cfg!(not(any(feature = "bfcl", feature = "tau"))) {
            bail!("this build knows no suites; make one that does: cargo build --release -p hone --features suites");
        }
        let data = self
            .data
            .or_else(|| data::folder_with("bfcl"))
            .or_else(|| data::folder_with("tau2"));
        let Some(data) = data.filter(|data| data.is_dir()) else {
            bail!("there is no folder of the suites' data; name one with --data");
        };
        #[allow(unused_mut)] // without a suite
        let (mut lines, mut absent) = (Vec::<Conformance>::new(), Vec::<String>::new());
        #[cfg(feature = "bfcl")]
        bfcl(&data, &mut lines, &mut absent)?;
        #[cfg(feature = "tau")]
        tau(&data, &mut lines, &mut absent);
        let wrong: Vec<&str> = lines
            .iter()
            .filter(|line| !line.ok)
            .map(|line| line.set.as_str())
            .collect();
        if lines.is_empty() {
            bail!("{} holds none of the suites", data.display());
        }
        if json {
            lines.iter().try_for_each(print_json)?;
        } else {
            let mut rows = vec![
                ["set", "records", "passed", "expected", "", "seconds"]
                    .map(str::to_owned)
                    .to_vec(),
            ];
            rows.extend(lines.iter().map(|line| {
                vec![
                    line.set.clone(),
                    line.records.to_string(),
                    line.passed.to_string(),
                    line.expected.to_string(),
                    if line.ok { "ok" } else { "DIFFERS" }.to_owned(),
                    format!("{:.3}", line.seconds),
                ]
            }));
            print(table(&rows))?;
        }
        for what in absent {
            say(format!("not checked: {what}"));
        }
        if !wrong.is_empty() {
            bail!("these differ from the original: {}", wrong.join(", "));
        }
        Ok(())
    }
}

#[cfg(feature = "bfcl")]
fn bfcl(data: &std::path::Path, lines: &mut Vec<Conformance>, absent: &mut Vec<String>) -> anyhow::Result<()> {
    if !data.join("bfcl").is_dir() {
        absent.push("bfcl (no folder bfcl)".into());
        return Ok(());
    }
    let suite = hone_bfcl::Suite::load(data)?;
    lines.extend(hone_bfcl::conformance(&suite));
    let tasks = hone_bfcl::multi_turn::Tasks::load(data)?;
    lines.extend(hone_bfcl::multi_turn_conformance(&tasks)?);
    match hone_bfcl::Memories::load(data) {
        Ok(memories) => {
            lines.extend(hone_bfcl::memory_conformance(&memories));
            absent.extend(memories.absent.iter().map(|file| format!("bfcl/{file} (no file)")));
        }
        Err(error) => absent.push(format!("bfcl/memory ({error})")),
    }
    let missing = suite.absent.iter().chain(&tasks.absent);
    absent.extend(missing.map(|category| format!("bfcl/{} (no file)", category.name())));
    Ok(())
}

#[cfg(feature = "tau")]
fn tau(data: &std::path::Path, lines: &mut Vec<Conformance>, absent: &mut Vec<String>) {
    if !data.join("tau2").is_dir() {
        absent.push("tau2 (no folder tau2)".into());
        return;
    }
    let domains = hone_tau::Domains::load(&data.join("tau2"), &data.join("tau-bench").join("airline"));
    for (domain, found) in hone_tau::conformance(&domains) {
        match found {
            Ok(found) => lines.extend(found),
            Err(error) => absent.push(format!("tau2/{domain} ({error})")),
        }
    }
}
