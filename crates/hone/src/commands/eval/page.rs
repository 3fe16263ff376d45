//! An evaluation as a page.

use super::baselines::{Recorded, run_filter};
use super::settings::Settings;
use hone_env::{ScriptInfo, Taskset};
use hone_score::{EvalSummary, FailureClass, Measures, classify, define};
use hone_trace::{OutcomeKind, Store, StoreError};
use hone_view::{EvalReport, Fact, JudgedEpisode, MAX_EPISODES, NextStep, NumberRow, RateRow, ShareRow};
use std::collections::BTreeMap;

/// Solved episodes among those on the page.
const SOLVED: usize = 6;

pub(super) fn page(
    store: &Store,
    s: &Settings,
    taskset: &dyn Taskset,
    summary: &EvalSummary,
    measures: &Measures,
    recorded: &Recorded,
) -> Result<EvalReport, StoreError> {
    let dir = &summary.run;
    Ok(EvalReport {
        taskset: s.taskset.clone(),
        // A path's last part: the whole is among the run's settings.
        model: s
            .model
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        seed: s.seed,
        success: measures.success(),
        facts: facts(s, summary),
        alarms: summary.alarms.clone(),
        notes: notes(s, summary),
        baselines: baselines(taskset.scripts(), summary),
        kinds: measures
            .kinds
            .iter()
            .filter_map(|(kind, tally)| rate_row(kind, "", tally.rate()?))
            .collect(),
        failures: measures.failures().into_iter().map(failure_row).collect(),
        ends: ends(measures),
        numbers: numbers(summary),
        episodes: episodes(store, recorded)?,
        recorded: summary.outcomes.ok + summary.outcomes.policy_failed + summary.outcomes.infra_failed,
        next: [
            (
                "Each failed episode: expected, got, the first difference",
                format!("hone eval show {dir} --failed"),
            ),
            (
                "Compare with another model on the same tasks",
                format!("hone eval compare {dir} OTHER-RUN"),
            ),
            ("What the numbers mean", "hone metrics".to_owned()),
            (
                "Open it in Inspect",
                format!("hone trace export {dir} --format inspect -o {dir}/log.eval"),
            ),
        ]
        .map(|(what, command)| NextStep {
            what: what.into(),
            command,
        })
        .to_vec(),
    })
}

fn rate_row(name: &str, about: &str, rate: hone_score::Rate) -> Option<RateRow> {
    Some(RateRow {
        name: name.to_owned(),
        about: about.to_owned(),
        rate,
    })
}

fn facts(s: &Settings, summary: &EvalSummary) -> Vec<Fact> {
    let fact = |name: &str, value: String| Fact {
        name: name.into(),
        value,
    };
    let metric = |name: &str, digits: usize| {
        summary
            .metrics
            .get(name)
            .map_or("–".into(), |v| format!("{v:.digits$}"))
    };
    let mut facts = vec![
        fact("tasks", format!("{} of {}", s.n, s.split.name())),
        fact("tries per task", s.samples.to_string()),
        fact("temperature", s.temperature.to_string()),
        fact("turns per episode", metric("turns", 1)),
        fact("tool calls per episode", metric("tool_calls", 1)),
        fact("tokens per episode", metric("sampled_tokens", 0)),
        fact("median episode", format!("{} s", metric("seconds_p50", 2))),
        fact("wall time", format!("{:.1} s", summary.seconds)),
    ];
    if summary.outcomes.infra_failed > 0 {
        facts.push(fact("not counted", summary.outcomes.infra_failed.to_string()));
    }
    facts
}

fn notes(s: &Settings, summary: &EvalSummary) -> Vec<String> {
    let mut notes = Vec::new();
    if summary.baselines.is_empty() {
        notes.push("No script of the taskset was played on these tasks.".into());
    } else {
        notes.push("Scripts play the same tasks once each.".into());
    }
    if s.samples > 1 {
        notes.push("Tries of one task are not independent: the interval takes that into account.".into());
    }
    if summary.outcomes.infra_failed > 0 {
        notes.push(format!(
            "{} episodes failed for the infrastructure's reasons and are in no number.",
            summary.outcomes.infra_failed
        ));
    }
    notes
}

fn baselines(scripts: &[ScriptInfo], summary: &EvalSummary) -> Vec<RateRow> {
    let about = |name: &str| {
        scripts
            .iter()
            .find(|script| script.name == name)
            .map_or("", |script| script.about)
    };
    let mut rows: Vec<RateRow> = summary
        .baselines
        .iter()
        .filter_map(|(name, b)| rate_row(name, about(name), b.rate))
        .collect();
    rows.sort_by(|a, b| b.rate.value.total_cmp(&a.rate.value));
    rows
}

fn failure_row((class, n): (FailureClass, u64)) -> ShareRow {
    ShareRow {
        name: class.name().replace('_', " "),
        about: class.about().into(),
        n,
    }
}

fn ends(measures: &Measures) -> Vec<ShareRow> {
    let mut rows: Vec<ShareRow> = measures
        .ends
        .iter()
        .map(|(end, n)| ShareRow {
            name: end.replace('_', " "),
            about: String::new(),
            n: *n,
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.n));
    rows
}

/// What has no section of its own.
fn numbers(summary: &EvalSummary) -> Vec<NumberRow> {
    let shown = |name: &str| !["success/", "end/", "failure/"].iter().any(|own| name.starts_with(own));
    let row = |name: String, value: f64| {
        let metric = define(&name);
        NumberRow {
            value: match metric.map(|m| m.unit) {
                Some("share") => format!("{:.1} %", 100.0 * value),
                Some(unit @ ("seconds" | "tokens" | "turns" | "calls")) => format!("{value:.2} {unit}"),
                _ => format!("{value:.3}"),
            },
            formula: metric.map_or("", |m| m.formula).into(),
            name,
        }
    };
    let by_k = |name: &'static str, of: &BTreeMap<u64, f64>| -> Vec<NumberRow> {
        of.iter()
            .filter(|(k, _)| **k > 1)
            .map(|(k, v)| row(format!("{name}/{k}"), *v))
            .collect()
    };
    let mut rows = by_k("pass_at", &summary.pass_at);
    rows.extend(by_k("pass_hat", &summary.pass_hat));
    let metrics = summary.metrics.iter().filter(|(name, _)| shown(name));
    rows.extend(metrics.map(|(name, value)| row(name.clone(), *value)));
    rows
}

/// Failed episodes of as many kinds and classes as there is room for, then some solved ones.
fn episodes(store: &Store, recorded: &Recorded) -> Result<Vec<JudgedEpisode>, StoreError> {
    let mut summaries = store.episodes(&run_filter())?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    // Of each kind the first, then of each the second, and so on.
    let mut ranked: Vec<(OutcomeKind, usize, String)> = summaries
        .drain(..)
        .filter(|summary| summary.outcome.kind() != OutcomeKind::InfraFailed)
        .map(|summary| {
            let kind = summary.outcome.kind();
            let rank = seen.entry(format!("{kind}/{}", summary.task_kind)).or_default();
            *rank += 1;
            (kind, *rank, summary.id)
        })
        .collect();
    ranked.sort_by_key(|(_, rank, _)| *rank);
    let of = |outcome| ranked.iter().filter(move |(kind, ..)| *kind == outcome);
    let failed: Vec<_> = of(OutcomeKind::PolicyFailed).take(MAX_EPISODES).collect();
    let room = MAX_EPISODES - failed.len().min(MAX_EPISODES - SOLVED);
    let solved: Vec<_> = of(OutcomeKind::Ok).take(room).collect();
    let failed = failed.into_iter().take(MAX_EPISODES - solved.len());
    let mut episodes = Vec::new();
    for (.., id) in failed.chain(solved) {
        if let Some(episode) = store.episode(id)? {
            let failure = classify(&episode, recorded.references.get(&episode.task));
            episodes.push(JudgedEpisode { episode, failure });
        }
    }
    Ok(episodes)
}
