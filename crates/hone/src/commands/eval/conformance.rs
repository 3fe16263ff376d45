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
    /// Folder with bfcl/, dbbench/, nemo-gym/, tau2/ and tau-bench/airline/ (default: HONE_DATA, .hone-data or ../shared/data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  hone eval conformance --data DIR
  hone eval conformance --data DIR --json              JSON Lines: set, records, passed, expected, ok, seconds

In a build that knows the suites: cargo build --release -p hone --features suites";

impl Args {
    /// Check.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        if cfg!(not(any(
            feature = "bfcl",
            feature = "dbbench",
            feature = "nemo-gym",
            feature = "tau"
        ))) {
            bail!("this build knows no suites; make one that does: cargo build --release -p hone --features suites");
        }
        let found = || {
            ["bfcl", "tau2", "dbbench", "nemo-gym"]
                .into_iter()
                .find_map(data::folder_with)
        };
        let data = self.data.or_else(found);
        let Some(data) = data.filter(|data| data.is_dir()) else {
            bail!("there is no folder of the suites' data; name one with --data");
        };
        #[allow(unused_mut)] // without a suite
        let (mut lines, mut absent) = (Vec::<Conformance>::new(), Vec::<String>::new());
        #[cfg(feature = "bfcl")]
        bfcl(&data, &mut lines, &mut absent)?;
        #[cfg(feature = "dbbench")]
        dbbench(&data, &mut lines, &mut absent)?;
        #[cfg(feature = "nemo-gym")]
        nemo_gym(&data, &mut lines, &mut absent);
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

#[cfg(feature = "dbbench")]
fn dbbench(data: &std::path::Path, lines: &mut Vec<Conformance>, absent: &mut Vec<String>) -> anyhow::Result<()> {
    for file in hone_dbbench::FILES {
        if !data.join("dbbench").join(format!("{file}.jsonl")).exists() {
            absent.push(format!("dbbench/{file} (no file)"));
            continue;
        }
        let records = hone_dbbench::load(data, file)?;
        lines.extend(hone_dbbench::conformance(file, &records));
        say(format!("dbbench/{file}: {}", hone_dbbench::report(&records)));
    }
    Ok(())
}

#[cfg(feature = "nemo-gym")]
fn nemo_gym(data: &std::path::Path, lines: &mut Vec<Conformance>, absent: &mut Vec<String>) {
    if !data.join("nemo-gym").is_dir() {
        absent.push("nemo-gym (no folder nemo-gym)".into());
        return;
    }
    let (found, missing) = hone_nemo_gym::conformance(data);
    lines.extend(found);
    absent.extend(missing);
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
