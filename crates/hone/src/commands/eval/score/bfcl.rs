//! Recorded answers to BFCL: result files of the original, a folder of them, or lists of OpenAI messages.

use super::{Args, Scored};
use anyhow::{Context, bail};
use hone_bfcl::{Category, DEFECTS_VERSION, Names, Recorded};
use hone_env::Taskset;
use hone_python::Value;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Report {
    suite: &'static str,
    runs: usize,
    scored: usize,
    passed: usize,
    /// By the original's rule.
    success: Option<f64>,
    strict: Strict,
    /// Answers and passes by category.
    categories: BTreeMap<&'static str, [usize; 2]>,
    /// Wrong answers by kind of error.
    errors: BTreeMap<&'static str, usize>,
    /// The leaderboard's scores; parts without answers count 0.
    overall: BTreeMap<String, f64>,
    /// Those parts.
    missing: Vec<String>,
    /// Error of each wrong answer, by record.
    failed: BTreeMap<String, &'static str>,
    /// What cannot be scored, with the reason.
    unscored: Vec<String>,
}

/// The same without the records whose gold is broken.
#[derive(Default, Serialize)]
struct Strict {
    scored: usize,
    passed: usize,
    success: Option<f64>,
    /// Version of the list of those records.
    defects_version: u32,
}

/// Longest result file, in bytes.
const MAX_FILE: u64 = 1 << 30;
/// Most files of a folder.
const MAX_FILES: usize = 1000;

/// Score a file, or all result files of a folder.
pub fn bfcl(args: &Args) -> anyhow::Result<Scored> {
    let names = if args.function_calling {
        Names::Underscored
    } else {
        Names::Dotted
    };
    let recorded = Recorded::load(names, &args.folder("bfcl")?)?;
    let mut report = Report {
        suite: "bfcl",
        ..Report::default()
    };
    report.strict.defects_version = DEFECTS_VERSION;
    for file in files(&args.responses)? {
        score(&file, &recorded, &mut report)?;
    }
    let share = |passed: usize, of: usize| (of > 0).then(|| passed as f64 / of as f64);
    report.success = share(report.passed, report.scored);
    report.strict.success = share(report.strict.passed, report.strict.scored);
    let kinds = report.categories.iter();
    let kinds = kinds.map(|(name, [of, passed])| ((*name).to_owned(), (*passed as u64, *of as u64)));
    let aggregate = recorded.suite().aggregate(&kinds.collect());
    report.overall = aggregate.numbers.into_iter().collect();
    report.missing = aggregate.missing;
    let responses = args.responses.display();
    Ok(Scored {
        rows: rows(&report),
        notes: match report.unscored.as_slice() {
            [] => vec![],
            unscored => vec![format!("cannot be scored: {}", unscored.join("; "))],
        },
        failure: (report.scored == 0)
            .then(|| format!("nothing of {responses} is scored; is it of another suite or category?")),
        report: serde_json::to_value(&report)?,
    })
}

fn rows(report: &Report) -> Vec<[String; 2]> {
    let percent = |passed: usize, of: usize| format!("{:.1} % ({passed} of {of})", 100.0 * passed as f64 / of as f64);
    let mut rows = vec![["answers".to_owned(), report.runs.to_string()]];
    rows.extend(
        report
            .categories
            .iter()
            .map(|(name, [of, passed])| [(*name).to_owned(), percent(*passed, *of)]),
    );
    rows.extend(
        report
            .errors
            .iter()
            .map(|(name, times)| [format!("  {name}"), times.to_string()]),
    );
    if report.scored > 0 {
        rows.push(["faithful".to_owned(), percent(report.passed, report.scored)]);
        let strict = &report.strict;
        let text = match strict.scored {
            0 => "no record counts".to_owned(),
            of => percent(strict.passed, of),
        };
        rows.push([format!("strict (defects {})", strict.defects_version), text]);
    }
    if let Some(overall) = report.overall.get("bfcl/overall") {
        let parts = format!("{:.2} % ({} categories count 0)", 100.0 * overall, report.missing.len());
        rows.push(["overall".to_owned(), parts]);
    }
    rows
}

/// The file itself, or all files of a folder that bear the original's name for results, in order.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let cannot = |dir: &Path| format!("{} cannot be read; give a folder of result files", dir.display());
    let (mut found, mut folders) = (vec![], vec![path.to_owned()]);
    while let Some(dir) = folders.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| cannot(&dir))? {
            let entry = entry.with_context(|| cannot(&dir))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Links are not followed, so that the walk ends.
            let kind = entry.file_type().with_context(|| cannot(&dir))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if name.starts_with("BFCL_v4_") && name.ends_with("_result.json") && !name.contains("_prereq_") {
                found.push(entry.path());
            }
            if found.len() + folders.len() > MAX_FILES {
                bail!(
                    "{} holds more than {MAX_FILES} files; name one model's folder",
                    path.display()
                );
            }
        }
    }
    found.sort();
    if found.is_empty() {
        bail!(
            "{} holds no BFCL_v4_*_result.json; name a model's folder of results",
            path.display()
        );
    }
    Ok(found)
}

/// Score the lines of a file, or the items of its list.
fn score(path: &Path, recorded: &Recorded, report: &mut Report) -> anyhow::Result<()> {
    let file = path.display();
    let cannot = || format!("{file} cannot be read; give a result file of bfcl-eval, or OpenAI messages");
    if std::fs::metadata(path).with_context(cannot)?.len() > MAX_FILE {
        bail!("{file} has more than {MAX_FILE} bytes; split it");
    }
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    if text.trim_start().starts_with('[') {
        let value = hone_python::loads(&text).with_context(|| format!("{file} is no JSON list"))?;
        for (i, item) in value.as_list().unwrap_or_default().iter().enumerate() {
            count(format!("item {i} of {file}"), item, recorded, report);
        }
        return Ok(());
    }
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value = hone_python::loads(line).with_context(|| format!("line {} of {file} is not JSON", i + 1))?;
        count(format!("line {} of {file}", i + 1), &value, recorded, report);
    }
    Ok(())
}

fn count(place: String, line: &Value, recorded: &Recorded, report: &mut Report) {
    report.runs += 1;
    let scored = match recorded.score(line) {
        Ok(scored) => scored,
        Err(reason) => return report.unscored.push(format!("{place}: {reason}")),
    };
    let passed = usize::from(scored.verdict.valid);
    report.scored += 1;
    report.passed += passed;
    if scored.verdict.counts {
        report.strict.scored += 1;
        report.strict.passed += passed;
    }
    let tally = report.categories.entry(Category::name(scored.category)).or_default();
    tally[0] += 1;
    tally[1] += passed;
    if let Some(error) = scored.verdict.error_type {
        *report.errors.entry(error).or_default() += 1;
        report.failed.insert(scored.id, error);
    }
}
