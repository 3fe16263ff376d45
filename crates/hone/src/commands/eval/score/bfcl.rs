//! Result files of BFCL's single-turn categories.

use super::{Args, Scored};
use anyhow::{Context, bail};
use hone_bfcl::{Answer, Names, Record, Settings, Suite, evaluate};
use serde::Serialize;
use std::collections::BTreeMap;

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Report {
    suite: &'static str,
    runs: usize,
    scored: usize,
    passed: usize,
    success: Option<f64>,
    /// Answers and passes by category.
    categories: BTreeMap<&'static str, [usize; 2]>,
    /// Wrong answers by kind of error.
    errors: BTreeMap<&'static str, usize>,
    /// What cannot be scored, with the reason.
    unscored: Vec<String>,
}

/// Longest result file, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Score a result file: lines of `{"id", "result"}`.
pub fn bfcl(args: &Args) -> anyhow::Result<Scored> {
    let suite = Suite::load(&args.folder("bfcl")?)?;
    let records: BTreeMap<&str, &Record> = suite.records().map(|record| (record.id.as_str(), record)).collect();
    let file = args.responses.display();
    let cannot = || format!("{file} cannot be read; give a result file of bfcl-eval");
    if std::fs::metadata(&args.responses).with_context(cannot)?.len() > MAX_FILE {
        bail!("{file} has more than {MAX_FILE} bytes; split it");
    }
    let text = std::fs::read_to_string(&args.responses).with_context(cannot)?;
    let names = if args.function_calling {
        Names::Underscored
    } else {
        Names::Dotted
    };
    let settings = Settings {
        names,
        ..Settings::default()
    };
    let mut report = Report {
        suite: "bfcl",
        ..Report::default()
    };
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        report.runs += 1;
        let value = hone_python::loads(line).with_context(|| format!("line {} of {file} is not JSON", i + 1))?;
        let id = value.get("id").and_then(|id| id.as_str()).unwrap_or_default();
        let answer = value.get("result").and_then(|result| Answer::of_result(result, names));
        let (Some(record), Some(answer)) = (records.get(id), answer) else {
            report.unscored.push(match records.get(id) {
                Some(_) => format!("{id}: the result is neither a text nor a list of calls"),
                None => format!("line {}: no single-turn record {id:?} in the data", i + 1),
            });
            continue;
        };
        let verdict = evaluate(record, &answer, settings);
        report.scored += 1;
        report.passed += usize::from(verdict.valid);
        let tally = report.categories.entry(record.category.name()).or_default();
        tally[0] += 1;
        tally[1] += usize::from(verdict.valid);
        if let Some(error) = verdict.error_type {
            *report.errors.entry(error).or_default() += 1;
        }
    }
    report.success = (report.scored > 0).then(|| report.passed as f64 / report.scored as f64);
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
    let unscored = (!report.unscored.is_empty()).then(|| format!("cannot be scored: {}", report.unscored.join(", ")));
    Ok(Scored {
        report: serde_json::to_value(&report)?,
        rows,
        notes: unscored.into_iter().collect(),
        failure: (report.scored == 0)
            .then(|| format!("nothing of {file} is scored; is it of another suite or category?")),
    })
}
