//! What the recorded episodes add up to, in numbers and in words.

use super::baselines::Recorded;
use super::run::{REPLACED_USD, SECONDS};
use super::settings::{PHASE, Settings, settings};
use super::{page, prepare};
use crate::console::{say, table};
use crate::tasksets;
use hone_score::{EvalSummary, Measures, Rate, alarms, define};
use hone_trace::{Filter, Store, StoreError};
use hone_view::EvalReport;
use std::path::Path;

/// Of everything that is recorded, beside what the expert did.
pub(super) fn measures(store: &Store, recorded: &Recorded) -> Result<Measures, StoreError> {
    let pieces = store.map_chunks(&Filter::phase(PHASE), |episodes| {
        let mut measures = Measures::default();
        for episode in episodes {
            measures.add_beside(episode, recorded.references.get(&episode.task));
        }
        measures
    })?;
    let mut measures = Measures::default();
    pieces.into_iter().for_each(|piece| measures.merge(piece));
    let before = prepare::cost(store)?;
    if before > 0.0 {
        measures.add_cost(before);
    }
    if let Some(usd) = store.get_meta(REPLACED_USD)?.and_then(|usd| usd.as_f64()) {
        measures.add_cost(usd);
    }
    Ok(measures)
}

pub(super) fn summary(
    dir: &Path,
    settings: &Settings,
    measures: &Measures,
    recorded: &Recorded,
    seconds: f64,
) -> EvalSummary {
    let suite = settings.suite.as_ref().unwrap_or(&settings.taskset);
    let mut summary = EvalSummary::new(&dir.display().to_string(), suite, &settings.model, measures, seconds);
    summary.baselines = recorded.rates.clone();
    summary.alarms = measures
        .success()
        .map_or(Vec::new(), |rate| alarms(&rate, &summary.baselines));
    summary
}

/// The page of the run in this directory, as if its evaluation had just ended.
///
/// # Errors
/// When it is not the run of an evaluation, or its taskset is not there.
pub fn page_of(dir: &Path) -> anyhow::Result<EvalReport> {
    let store = Store::open_read_only(dir.join("run.db"))?;
    let settings = settings(&store, dir)?;
    let taskset = tasksets::taskset(&settings.taskset)?;
    let recorded = Recorded::read(dir, &*taskset)?;
    let measures = measures(&store, &recorded)?;
    let seconds = store.get_meta(SECONDS)?.and_then(|s| s.as_f64()).unwrap_or(0.0);
    let summary = summary(dir, &settings, &measures, &recorded, seconds);
    Ok(page::page(
        &store, &settings, &*taskset, &summary, &measures, &recorded,
    )?)
}

pub(super) fn report(summary: &EvalSummary, measures: &Measures) {
    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = Vec::new();
    let success = match summary.success {
        Some(s) => {
            let [lo, hi] = summary.ci95;
            format!("{} (95 %: {} to {})", percent(s), percent(lo), percent(hi))
        }
        None => "unknown: no episode counts".into(),
    };
    rows.push(line("success", success));
    for (name, baseline) in &summary.baselines {
        let Rate { value, lo, hi, .. } = baseline.rate;
        let text = format!("{} (95 %: {} to {})", percent(value), percent(lo), percent(hi));
        rows.push(line(&format!("script:{name}"), text));
    }
    let o = summary.outcomes;
    let outcomes = format!(
        "{} ok, {} policy failed, {} infrastructure failed",
        o.ok, o.policy_failed, o.infra_failed
    );
    rows.push(line("episodes", outcomes));
    let mut causes: Vec<(&String, &u64)> = measures.causes.iter().collect();
    causes.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    for (cause, times) in causes.into_iter().take(3) {
        rows.push(line("failed", format!("{times} times: {cause}")));
    }
    for (k, pass) in summary.pass_at.iter().filter(|(k, _)| **k > 1) {
        let hat = summary
            .pass_hat
            .get(k)
            .map_or(String::new(), |hat| format!(", pass^{k} {}", percent(*hat)));
        rows.push(line(&format!("pass@{k}"), percent(*pass) + &hat));
    }
    for (name, value) in &summary.metrics {
        if name.starts_with("success/") {
            continue;
        }
        let share = define(name).is_some_and(|metric| metric.unit == "share");
        rows.push(line(name, if share { percent(*value) } else { format!("{value:.3}") }));
    }
    if !summary.missing.is_empty() {
        rows.push(line("not played", summary.missing.join(", ")));
    }
    say(table(&rows));
    let mut kinds = vec![
        ["kind of task", "n", "success", "95 % interval"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (kind, tally) in &measures.kinds {
        let Some(Rate { value, lo, hi, .. }) = tally.rate() else {
            continue;
        };
        let interval = format!("{} to {}", percent(lo), percent(hi));
        kinds.push(vec![kind.clone(), tally.n.to_string(), percent(value), interval]);
    }
    say(format!("\n{}\n", table(&kinds)));
    for alarm in &summary.alarms {
        say(format!("alarm: {alarm}"));
    }
    say(format!(
        "recorded in {}; look into it with `hone eval show {} --failed`",
        summary.run, summary.run
    ));
}
