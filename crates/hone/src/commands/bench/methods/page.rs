//! The comparison as a page and as a table.

use super::figures::{Compared, MEASURES, Shown};
use super::plan::Plan;
use hone_score::SeedMean;
use hone_view::{ClaimRow, Curve, Fact, MethodRow, MethodsReport, NextStep, Panel, Unit};

/// The measures with a column of their own.
const COLUMNS: [&str; 9] = [
    "success",
    "success_sampled",
    "learning",
    "calls_per_success",
    "failed_calls",
    "tokens",
    "entropy",
    "rollouts",
    "seconds",
];

fn shown(name: &str) -> Shown {
    let measure = MEASURES.iter().find(|measure| measure.name == name);
    measure.map_or(Shown::Number, |measure| measure.shown)
}

fn value(name: &str, value: f64) -> String {
    match shown(name) {
        Shown::Percent => format!("{:.1} %", 100.0 * value),
        Shown::Seconds => format!("{value:.0} s"),
        Shown::Number if value.abs() >= 100.0 => format!("{value:.0}"),
        Shown::Number => format!("{value:.3}"),
    }
}

fn cell(name: &str, mean: Option<SeedMean>) -> (String, String) {
    let Some(mean) = mean else {
        return (String::new(), String::new());
    };
    let interval = match (mean.lo, mean.hi) {
        (Some(lo), Some(hi)) => format!("{} to {}", value(name, lo), value(name, hi)),
        _ => String::new(),
    };
    (value(name, mean.mean), interval)
}

/// The columns that any method has something in.
fn columns(compared: &Compared) -> Vec<&'static str> {
    let confident = ["ece", "brier"];
    let all = COLUMNS.into_iter().chain(confident);
    all.filter(|name| {
        compared
            .methods
            .iter()
            .any(|(_, _, runs)| Compared::mean(runs, name).is_some())
    })
    .collect()
}

/// The table for a terminal.
pub(super) fn rows(compared: &Compared) -> Vec<Vec<String>> {
    let columns = columns(compared);
    let head = ["method", "seeds"].into_iter().chain(columns.iter().copied());
    let mut rows = vec![head.map(str::to_owned).collect()];
    for (name, _, runs) in &compared.methods {
        let mut row = vec![name.clone(), runs.len().to_string()];
        row.extend(
            columns
                .iter()
                .map(|column| cell(column, Compared::mean(runs, column)).0),
        );
        rows.push(row);
    }
    rows
}

pub(super) fn page(plan: &Plan, compared: &Compared) -> MethodsReport {
    let columns = columns(compared);
    let fact = |name: &str, value: String| Fact {
        name: name.into(),
        value,
    };
    let percent = |rate: Option<f64>| rate.map_or("–".to_owned(), |rate| format!("{:.1} %", 100.0 * rate));
    let rows = compared.methods.iter().map(|(name, about, runs)| MethodRow {
        name: name.clone(),
        about: about.clone(),
        cells: columns
            .iter()
            .map(|column| cell(column, Compared::mean(runs, column)))
            .collect(),
    });
    let meanings = MEASURES.iter().filter(|measure| columns.contains(&measure.name));
    let mut notes: Vec<String> = meanings
        .map(|measure| format!("{}: {}.", measure.name, measure.about))
        .collect();
    notes.push(
        "Every run begins with the same cold start and ends with the step that reaches the budget; runs of a seed meet the same training tasks."
            .into(),
    );
    let made = compared.methods.iter().map(|(_, _, runs)| runs.len()).sum::<usize>();
    let planned = compared.methods.len() * plan.seeds as usize;
    if made < planned {
        notes.push(format!("{} of {planned} runs are missing.", planned - made));
    }
    MethodsReport {
        title: format!("Methods on {}", plan.world),
        facts: vec![
            fact("taskset", plan.cold.taskset.clone()),
            fact("held-out tasks", plan.cold.eval.tasks.to_string()),
            fact("cold start", percent(compared.start)),
            fact("tokens a run", plan.budget.to_string()),
            fact("seeds", plan.seeds.to_string()),
        ],
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.collect(),
        notes,
        claims: compared
            .claims
            .iter()
            .map(|claim| ClaimRow {
                method: claim.method.clone(),
                says: claim.says.clone(),
                answer: claim.answer.clone(),
                why: claim.why.clone(),
            })
            .collect(),
        panels: panels(plan, compared),
        next: vec![NextStep {
            what: "What a method made of a step's rollouts, token by token".into(),
            command: format!("hone train explain {}/runs/METHOD/SEED --step 0", plan.out.display()),
        }],
    }
}

/// Each method beside `grpo`, or else beside the first one.
fn panels(plan: &Plan, compared: &Compared) -> Vec<Panel> {
    let base = compared.methods.iter().find(|(name, ..)| name == "grpo");
    let Some(base) = base.or(compared.methods.first()) else {
        return Vec::new();
    };
    let curve = |(name, _, runs): &(String, String, _), what: &str| {
        let (points, band) = Compared::curve(runs, what, plan.budget);
        Curve::new(name.as_str(), points).within(band)
    };
    let mut panels = Vec::new();
    for (what, title, unit) in [
        ("validation", "success", Unit::Fraction),
        ("entropy", "entropy", Unit::Number("nats")),
        ("calls", "calls in training", Unit::Number("calls")),
    ] {
        for method in compared
            .methods
            .iter()
            .filter(|method| method.0 != base.0 || compared.methods.len() == 1)
        {
            let mut curves = vec![curve(method, what)];
            if method.0 != base.0 {
                curves.push(curve(base, what));
            }
            curves.retain(|curve| !curve.points.is_empty());
            panels.push(Panel {
                title: format!("{}: {title}", method.0),
                about: String::new(),
                x: "tokens".into(),
                unit: unit.clone(),
                curves,
            });
        }
    }
    panels.retain(|panel| !panel.curves.is_empty());
    panels
}
