//! A finished run as figures, as a page, and as the object of `hone train --json`.

use anyhow::Result;
use hone_score::{Measures, Rate};
use hone_trace::{Episode, Filter, Store};
use hone_train::State;
use hone_train::recipe::AgentRecipe;
use hone_view::{Curve, EpisodePair, Fact, KindRow, NextStep, Panel, PhaseTime, ResultRow, Role, RunReport, Unit};
use serde_json::{Value, json};
use std::path::Path;

/// Pairs of episodes on the page.
const PAIRS: usize = 16;

/// The object of `hone train --json`.
pub fn figures(recipe: &AgentRecipe, state: &State, run: &Path, seconds: f64) -> Value {
    let rate = |name: &str, sampled: bool| {
        let e = state.evaluations.get(name)?;
        if sampled { e.sampled } else { e.greedy }.map(|r| r.value)
    };
    let mut success = serde_json::Map::new();
    for name in ["before", "sft", "rl", "sft_matched"]
        .into_iter()
        .chain(recipe.eval.baselines.iter().map(String::as_str))
    {
        success.insert(name.to_owned(), json!(rate(name, false)));
    }
    let mut sampled = serde_json::Map::new();
    for name in ["before", "sft", "rl", "sft_matched"] {
        sampled.insert(name.to_owned(), json!(rate(name, true)));
    }
    let mut constrained = serde_json::Map::new();
    for name in ["before", "sft", "rl", "sft_matched"] {
        let rate = state.evaluations.get(name).and_then(|e| e.constrained);
        if recipe.eval.constraint.is_some() {
            constrained.insert(name.to_owned(), json!(rate.map(|r| r.value)));
        }
    }
    let sum = |prefix: &str| {
        state
            .seconds
            .iter()
            .filter(|(k, _)| k.starts_with(prefix))
            .map(|(_, v)| v)
            .sum::<f64>()
    };
    json!({
        "run": run.display().to_string(),
        "recipe": recipe.name,
        "seed": recipe.seed,
        "method": recipe.rl.method,
        "success": success,
        "success_sampled": sampled,
        "success_constrained": constrained,
        "demonstrations": state.demonstrations.map(|r| r.value),
        "n_heldout": recipe.eval.tasks,
        "seconds": {
            "total": seconds,
            "sft": state.seconds.get("sft"),
            "rl": state.seconds.get("rl"),
            "sft_matched": state.seconds.get("sft_matched"),
            "eval": sum("eval/"),
        },
        "peak_rss_mb": peak_rss_mb(),
        "sampled_tokens": state.sampled_tokens,
        "trained_tokens": state.trained_tokens,
    })
}

/// Most memory that this process has held, in MB (0 where the system does not tell).
pub fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<f64>().ok())
        .map_or(0.0, |kb| (kb / 102.4).round() / 10.0)
}

/// The page.
pub fn page(recipe: &AgentRecipe, state: &State, store: &Store, run: &Path, seconds: f64) -> Result<RunReport> {
    let measure = |phase: &str| -> Result<Measures> {
        let mut measures = Measures::default();
        store.for_each(&Filter::phase(phase), |e| -> Result<()> {
            measures.add(&e);
            Ok(())
        })?;
        Ok(measures)
    };
    let before = measure("eval/before/greedy")?;
    let after_phase = if recipe.rl.steps > 0 {
        "eval/rl/greedy"
    } else {
        "eval/sft/greedy"
    };
    let after = measure(after_phase)?;
    let kinds = after.kinds.iter().map(|(kind, tally)| KindRow {
        kind: kind.clone(),
        tasks: tally.n,
        before: before.kinds.get(kind).and_then(|t| t.fraction()),
        after: tally.fraction(),
    });
    let run_name = run.display();
    let held_out = recipe.eval.taskset.as_ref().unwrap_or(&recipe.taskset);
    Ok(RunReport {
        title: recipe.about.clone(),
        taskset: held_out.clone(),
        recipe: recipe.name.clone(),
        seed: recipe.seed,
        heldout: recipe.eval.tasks,
        facts: facts(recipe, state, seconds),
        notes: notes(recipe, state),
        results: results(recipe, state),
        panels: panels(store)?,
        kinds: kinds.collect(),
        episodes: pairs(store, after_phase)?,
        timings: state
            .seconds
            .iter()
            .map(|(phase, seconds)| PhaseTime {
                phase: phase.clone(),
                seconds: *seconds,
            })
            .collect(),
        next: vec![
            NextStep {
                what: "Watch the trained model on a held-out task, step by step".into(),
                command: format!("hone run {} --task test/0 --model {run_name}/model", held_out),
            },
            NextStep {
                what: "Measure it on more tasks, several tries each".into(),
                command: format!(
                    "hone eval {} --model {run_name}/model --n 500 --samples 4 --temperature 1",
                    held_out
                ),
            },
            NextStep {
                what: "Look at any episode of this run".into(),
                command: format!("hone trace ls {run_name} --phase {after_phase} --outcome policy_failed"),
            },
            NextStep {
                what: "Try another method on the same start".into(),
                command: format!("hone train {} --method prefix_tree", recipe.name),
            },
        ],
    })
}

fn facts(recipe: &AgentRecipe, state: &State, seconds: f64) -> Vec<Fact> {
    let fact = |name: &str, value: String| Fact {
        name: name.into(),
        value,
    };
    let minutes = |s: f64| format!("{} min {:02} s", s as u64 / 60, s as u64 % 60);
    vec![
        fact("wall time", minutes(seconds)),
        fact(
            "reinforcement",
            minutes(state.seconds.get("rl").copied().unwrap_or(0.0)),
        ),
        fact("method", recipe.rl.method.clone()),
        fact("tokens sampled", state.sampled_tokens.to_string()),
        fact("tokens learnt", state.trained_tokens.to_string()),
        fact("peak memory", format!("{:.0} MB", peak_rss_mb())),
    ]
}

fn notes(recipe: &AgentRecipe, state: &State) -> Vec<String> {
    let mut notes = vec![format!(
        "Held-out tasks have people, combinations and wordings that training never shows; all {} are played greedily and once at temperature 1.",
        recipe.eval.tasks
    )];
    if let Some(rate) = state.demonstrations {
        notes.push(format!(
            "The cold start learns from {} demonstrations by the scripted agent {}, of which {:.0} % succeed.",
            recipe.demonstrations.episodes,
            recipe.demonstrations.script,
            100.0 * rate.value
        ));
    }
    if recipe.eval.sft_matched {
        notes.push("\"SFT continued\" goes on from the cold start with fresh demonstrations of the same kind for the wall time that reinforcement took.".into());
    }
    notes
}

fn results(recipe: &AgentRecipe, state: &State) -> Vec<ResultRow> {
    let mut rows = Vec::new();
    let mut row = |name: &str, title: &str, about: &str, role: Role| {
        if let Some(e) = state.evaluations.get(name) {
            rows.push(ResultRow {
                name: title.into(),
                about: about.into(),
                role,
                greedy: e.greedy,
                sampled: e.sampled,
            });
            if e.constrained.is_some() {
                rows.push(ResultRow {
                    name: format!("{title}, constrained"),
                    about: "the same; tokens that cannot lead to the recipe's form are never drawn".into(),
                    role: Role::Control,
                    greedy: e.constrained,
                    sampled: None,
                });
            }
        }
    };
    row("before", "before training", "the base model as it is", Role::Start);
    row(
        "sft",
        "after SFT",
        "the cold start on imperfect demonstrations",
        Role::Stage,
    );
    row("rl", "after RL", "reinforcement in the environment", Role::Result);
    row(
        "sft_matched",
        "SFT continued",
        "the cold start for the same wall time as reinforcement",
        Role::Control,
    );
    for name in &recipe.eval.baselines {
        let role = if name == "expert" { Role::Bound } else { Role::Baseline };
        row(name, &name.replace('_', " "), "a scripted agent", role);
    }
    rows
}

fn panels(store: &Store) -> Result<Vec<Panel>> {
    let metrics = store.metrics(None)?;
    let curve = |phase: &str, name: &str, title: &str| {
        let points = metrics
            .iter()
            .filter(|m| m.phase == phase && m.name == name)
            .map(|m| (m.step as f64, m.value));
        Curve::new(title, points.collect())
    };
    let panel = |title: &str, about: &str, unit: Unit, curves: Vec<Curve>| Panel {
        title: title.into(),
        about: about.into(),
        x: "step".into(),
        unit,
        curves: curves.into_iter().filter(|c| !c.points.is_empty()).collect(),
    };
    let mut parts: Vec<_> = metrics.iter().filter_map(|m| m.name.strip_prefix("part/")).collect();
    parts.sort_unstable();
    parts.dedup();
    let parts = parts.iter().map(|p| curve("rl", &format!("part/{p}"), p));
    let (shares, amounts) = parts.partition(|c: &Curve| c.points.iter().all(|(_, y)| (0.0..=1.0).contains(y)));
    let number = Unit::Number;
    let all = vec![
        panel(
            "Success",
            "Share of rollouts on training tasks that succeed at temperature 1, and of validation tasks greedily.",
            Unit::Fraction,
            vec![
                curve("rl", "validation", "validation, greedy"),
                curve("rl", "success", "training, T = 1"),
            ],
        ),
        panel(
            "Cold start",
            "Mean negative log-likelihood of the demonstrator's tokens.",
            number("nats"),
            vec![
                curve("sft", "loss", "SFT"),
                curve("sft_matched", "loss", "SFT continued"),
            ],
        ),
        panel(
            "Score parts",
            "Means over the step's rollouts, of those between 0 and 1.",
            Unit::Fraction,
            shares,
        ),
        panel(
            "Other score parts",
            "Means over the step's rollouts.",
            number(""),
            amounts,
        ),
        panel(
            "Valid calls",
            "Share of tool calls that parse and fit their schema.",
            Unit::Fraction,
            vec![curve("rl", "valid_calls", "valid")],
        ),
        panel(
            "Groups without variance",
            "Share of groups whose rollouts all got the same reward: nothing to learn from.",
            Unit::Fraction,
            vec![curve("rl", "zero_variance", "share")],
        ),
        panel(
            "Entropy",
            "Mean entropy of the policy's choices.",
            number("nats"),
            vec![curve("rl", "entropy", "entropy")],
        ),
        panel(
            "Length",
            "Tokens that the policy samples per episode.",
            number("tokens"),
            vec![curve("rl", "sampled_tokens", "tokens")],
        ),
        panel(
            "Turns",
            "Agent turns per episode.",
            number("turns"),
            vec![curve("rl", "turns", "turns")],
        ),
        panel(
            "Clipping",
            "Share of tokens whose ratio was clipped.",
            Unit::Fraction,
            vec![curve("rl", "clip_fraction", "clipped")],
        ),
        panel(
            "Gradient norm",
            "Before clipping.",
            number(""),
            vec![curve("rl", "gradient_norm", "RL"), curve("sft", "gradient_norm", "SFT")],
        ),
    ];
    Ok(all.into_iter().filter(|p| !p.curves.is_empty()).collect())
}

/// Held-out episodes before and after: first those that training turned from failure to success, then failures that are
/// left.
fn pairs(store: &Store, after_phase: &str) -> Result<Vec<EpisodePair>> {
    let find = |phase: &str, task: &str| -> Result<Option<Episode>> {
        let split = task.rsplit('/').next().unwrap_or_default();
        Ok(store.episode(&format!("{phase}/{split}/0"))?)
    };
    let summaries = store.episodes(&Filter::phase(after_phase))?;
    let (won, lost): (Vec<_>, Vec<_>) = summaries.iter().partition(|s| s.outcome == hone_trace::Outcome::Ok);
    let mut kinds = std::collections::BTreeSet::new();
    let varied = won.iter().filter(|s| kinds.insert(s.task_kind.clone()));
    let chosen: Vec<_> = varied.take(PAIRS * 2 / 3).chain(lost.iter().take(PAIRS / 3)).collect();
    let mut out = Vec::new();
    for summary in chosen {
        out.push(EpisodePair {
            before: find("eval/before/greedy", &summary.task)?,
            after: store.episode(&summary.id)?,
        });
    }
    Ok(out)
}

/// One line of the table on stderr.
pub fn line(row: &ResultRow) -> String {
    let show = |rate: Option<Rate>| rate.map_or_else(|| "      -".into(), |r| format!("{:5.1} %", 100.0 * r.value));
    format!(
        "  {:18} {}   {}   {}",
        row.name,
        show(row.greedy),
        show(row.sampled),
        row.about
    )
}
