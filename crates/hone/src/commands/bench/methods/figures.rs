//! The numbers of the runs, out of their records, and the answers to the claims.

use super::plan::{Method, Plan};
use anyhow::{Context, Result};
use hone_score::{Answer, Better, Calibration, Claim, SeedMean, Stated, cost_per_success};
use hone_trace::{Filter, Outcome, Store};
use hone_train::State;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Cells of a curve's x axis.
const CELLS: usize = 20;

/// A number of a run.
pub(super) struct Measure {
    pub name: &'static str,
    /// How it is computed.
    pub about: &'static str,
    pub better: Better,
    pub shown: Shown,
}

/// How people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Percent,
    Number,
    Seconds,
}

const fn measure(name: &'static str, about: &'static str, better: Better, shown: Shown) -> Measure {
    Measure {
        name,
        about,
        better,
        shown,
    }
}

/// All measures. A run has those that its record supports.
pub(super) const MEASURES: [Measure; 17] = [
    measure(
        "success",
        "share of held-out tasks solved greedily",
        Better::Higher,
        Shown::Percent,
    ),
    measure(
        "success_sampled",
        "the same at temperature 1",
        Better::Higher,
        Shown::Percent,
    ),
    measure(
        "learning",
        "mean of the validation successes on the way, each greedy",
        Better::Higher,
        Shown::Percent,
    ),
    measure(
        "calls_per_success",
        "tool calls of all held-out tasks, played greedily, over those solved",
        Better::Lower,
        Shown::Number,
    ),
    measure(
        "calls",
        "tool calls of a held-out task, played greedily",
        Better::Lower,
        Shown::Number,
    ),
    measure(
        "failed_calls",
        "share of the calls of solved held-out tasks, played at temperature 1, that failed",
        Better::Lower,
        Shown::Percent,
    ),
    measure(
        "tokens",
        "tokens that the policy samples for a held-out task, played greedily",
        Better::Lower,
        Shown::Number,
    ),
    measure(
        "entropy",
        "mean entropy of its choices over the last tenth of the steps, in nats",
        Better::Neither,
        Shown::Number,
    ),
    measure(
        "ece",
        "expected calibration error of the stated confidence at temperature 1",
        Better::Lower,
        Shown::Number,
    ),
    measure(
        "brier",
        "mean squared error of the stated confidence at temperature 1",
        Better::Lower,
        Shown::Number,
    ),
    measure(
        "rollouts",
        "rollouts that the budget of tokens bought",
        Better::Neither,
        Shown::Number,
    ),
    measure(
        "training_calls",
        "tool calls of a training rollout, mean over the steps",
        Better::Neither,
        Shown::Number,
    ),
    measure(
        "zero_variance",
        "share of groups whose rollouts all got the same reward, mean over the steps",
        Better::Lower,
        Shown::Percent,
    ),
    measure(
        "clip_fraction",
        "share of tokens whose ratio was clipped, mean over the steps",
        Better::Neither,
        Shown::Percent,
    ),
    measure(
        "sampled_tokens",
        "tokens sampled in reinforcement",
        Better::Neither,
        Shown::Number,
    ),
    measure("steps", "steps of reinforcement", Better::Neither, Shown::Number),
    measure(
        "seconds",
        "wall time of reinforcement on one thread",
        Better::Lower,
        Shown::Seconds,
    ),
];

/// What a run gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub values: BTreeMap<&'static str, f64>,
    /// By name, `(tokens sampled so far, value)` of each step.
    pub curves: BTreeMap<&'static str, Vec<(f64, f64)>>,
}

/// A claim with its answer.
pub(super) struct Claimed {
    pub method: String,
    pub says: String,
    pub answer: String,
    pub why: String,
    json: Value,
}

/// All that was measured.
pub(super) struct Compared {
    /// Greedy success of the cold start.
    pub start: Option<f64>,
    /// By method, in the order asked for: its runs by seed.
    pub methods: Vec<(String, String, BTreeMap<u64, Run>)>,
    pub claims: Vec<Claimed>,
}

impl Compared {
    pub(super) fn read(plan: &Plan) -> Result<Self> {
        let mut methods = Vec::new();
        for method in &plan.methods {
            let mut runs = BTreeMap::new();
            for seed in 0..plan.seeds {
                let dir = plan.dir(method, seed);
                if dir.join("result.json").exists() {
                    let run = read(&dir).with_context(|| format!("the run in {}", dir.display()))?;
                    runs.insert(seed, run);
                }
            }
            methods.push((method.name.clone(), method.about.clone(), runs));
        }
        let start = State::load(&plan.cold_dir())?
            .evaluations
            .get("sft")
            .and_then(|it| it.greedy.map(|rate| rate.value));
        let mut compared = Self {
            start,
            methods,
            claims: Vec::new(),
        };
        compared.claims = plan
            .methods
            .iter()
            .flat_map(|method| compared.answers(method))
            .collect();
        Ok(compared)
    }

    fn runs(&self, name: &str) -> Option<&BTreeMap<u64, Run>> {
        self.methods.iter().find(|(it, ..)| it == name).map(|(_, _, runs)| runs)
    }

    /// By seed, how much more of a measure the first has than the second.
    fn differences(&self, first: &str, second: &str, measure: &str) -> Vec<f64> {
        let (Some(first), Some(second)) = (self.runs(first), self.runs(second)) else {
            return Vec::new();
        };
        let both = first.iter().filter_map(|(seed, a)| Some((a, second.get(seed)?)));
        both.filter_map(|(a, b)| Some(a.values.get(measure)? - b.values.get(measure)?))
            .collect()
    }

    fn answers(&self, method: &Method) -> Vec<Claimed> {
        method
            .claims
            .iter()
            .map(|claim| self.answer(&method.name, claim))
            .collect()
    }

    fn answer(&self, name: &str, claim: &Claim) -> Claimed {
        let Claim { measure, than, .. } = claim;
        let differences = self.differences(name, than, measure);
        let kept = claim
            .keeps
            .as_ref()
            .map(|keeps| self.differences(name, than, &keeps.measure));
        let kept = kept.unwrap_or_default();
        let gain = SeedMean::of(&differences);
        let loss = SeedMean::of(&kept);
        let (answer, why) = if self.runs(than).is_none() {
            ("not asked".to_owned(), format!("{than} is not among the methods"))
        } else if gain.is_none() {
            ("not asked".to_owned(), format!("no seed has {measure} for both"))
        } else {
            let answer = match claim.answer(&differences, &kept) {
                Answer::Yes => "yes",
                Answer::No => "no",
                Answer::Unclear => "unclear",
            };
            let mut why = format!("{measure} {} beside {than}", interval(gain.as_ref()));
            if let Some(keeps) = &claim.keeps {
                why += &format!(
                    "; {} {}, may lose {}",
                    keeps.measure,
                    interval(loss.as_ref()),
                    keeps.loss
                );
            }
            (answer.to_owned(), why)
        };
        Claimed {
            json: json!({
                "claim": claim, "answer": answer, "difference": gain, "kept": loss,
                "pairs": differences, "kept_pairs": kept,
            }),
            method: name.to_owned(),
            says: format!("{} (than {than})", claim.says),
            answer,
            why,
        }
    }

    /// Means over seeds of a measure.
    pub(super) fn mean(runs: &BTreeMap<u64, Run>, measure: &str) -> Option<SeedMean> {
        let values: Vec<f64> = runs
            .values()
            .filter_map(|run| run.values.get(measure).copied())
            .collect();
        SeedMean::of(&values)
    }

    /// A curve's mean over seeds, and the interval, on a grid of tokens.
    #[allow(clippy::type_complexity)]
    pub(super) fn curve(runs: &BTreeMap<u64, Run>, name: &str, budget: u64) -> (Vec<(f64, f64)>, Vec<(f64, f64, f64)>) {
        let width = budget as f64 / CELLS as f64;
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for cell in 0..CELLS {
            let (from, to) = (cell as f64 * width, (cell + 1) as f64 * width);
            let each = runs.values().filter_map(|run| {
                let inside = run.curves.get(name)?.iter().filter(|(x, _)| *x > from && *x <= to);
                let values: Vec<f64> = inside.map(|(_, y)| *y).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            });
            let each: Vec<f64> = each.collect();
            if let Some(mean) = SeedMean::of(&each) {
                let x = (from + to) / 2.0;
                points.push((x, mean.mean));
                if let (Some(lo), Some(hi)) = (mean.lo, mean.hi) {
                    band.push((x, lo, hi));
                }
            }
        }
        (points, band)
    }

    pub(super) fn json(&self, plan: &Plan) -> Value {
        let methods = self.methods.iter().map(|(name, about, runs)| {
            let means: BTreeMap<_, _> = MEASURES
                .iter()
                .filter_map(|measure| Some((measure.name, Self::mean(runs, measure.name)?)))
                .collect();
            let each: BTreeMap<_, _> = runs.iter().map(|(seed, run)| (seed.to_string(), &run.values)).collect();
            let curves: BTreeMap<_, _> = ["validation", "success", "entropy", "calls"]
                .map(|curve| (curve, Self::curve(runs, curve, plan.budget).0))
                .into();
            json!({"name": name, "about": about, "means": means, "runs": each, "curves": curves})
        });
        let measures: BTreeMap<_, _> = MEASURES
            .iter()
            .map(|measure| (measure.name, json!({"about": measure.about, "better": measure.better})))
            .collect();
        let claims = self.claims.iter().map(|claim| {
            let mut json = claim.json.clone();
            json["method"] = json!(claim.method);
            json
        });
        json!({
            "world": plan.world, "taskset": plan.cold.taskset, "held_out": plan.cold.eval.tasks,
            "budget": plan.budget, "seeds": plan.seeds, "cold_start": self.start,
            "measures": measures,
            "methods": methods.collect::<Vec<_>>(),
            "claims": claims.collect::<Vec<_>>(),
        })
    }
}

/// A mean with its interval and sign.
fn interval(mean: Option<&SeedMean>) -> String {
    let Some(SeedMean { mean, lo, hi, n }) = mean else {
        return "unknown".to_owned();
    };
    match (lo, hi) {
        (Some(lo), Some(hi)) => format!("{mean:+.4} ({lo:+.4} to {hi:+.4}, {n} seeds)"),
        _ => format!("{mean:+.4} ({n} seed)"),
    }
}

/// The numbers of the run in a directory.
fn read(dir: &Path) -> Result<Run> {
    let state = State::load(dir)?;
    let store = Store::open_read_only(dir.join("run.db"))?;
    let mut run = Run::default();
    let values = &mut run.values;
    let greedy = Played::read(&store, "eval/rl/greedy")?;
    let sampled = Played::read(&store, "eval/rl/sampled")?;
    let mut put = |name: &'static str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            values.insert(name, value);
        }
    };
    put("success", share(greedy.ok, greedy.n));
    put("success_sampled", share(sampled.ok, sampled.n));
    put("calls_per_success", cost_per_success(greedy.calls as f64, greedy.ok));
    put("calls", share(greedy.calls, greedy.n));
    put("tokens", share(greedy.tokens, greedy.n));
    put("failed_calls", share(sampled.failed_when_ok, sampled.calls_when_ok));
    if let Some(calibration) = Calibration::of(&sampled.stated) {
        put("ece", Some(calibration.ece));
        put("brier", Some(calibration.brier));
    }
    put("sampled_tokens", Some(state.sampled_tokens as f64));
    put("steps", Some(f64::from(state.rl_step)));
    put("seconds", state.seconds.get("rl").copied());
    let mut rollouts = 0;
    for summary in store.episodes(&Filter::phase("rl"))? {
        rollouts += u64::from(summary.phase.starts_with("rl/"));
    }
    put("rollouts", Some(rollouts as f64));
    let mut steps: BTreeMap<u64, BTreeMap<String, f64>> = BTreeMap::new();
    for metric in store.metrics(None)?.into_iter().filter(|metric| metric.phase == "rl") {
        steps.entry(metric.step).or_default().insert(metric.name, metric.value);
    }
    let all = |name: &str| -> Vec<f64> { steps.values().filter_map(|step| step.get(name).copied()).collect() };
    let entropy = all("entropy");
    let tail = &entropy[entropy.len() - entropy.len().div_ceil(10)..];
    put("entropy", mean(tail));
    put("learning", mean(&all("validation")));
    put("training_calls", mean(&all("calls")));
    put("zero_variance", mean(&all("zero_variance")));
    put("clip_fraction", mean(&all("clip_fraction")));
    for name in ["success", "validation", "entropy", "calls"] {
        let points = steps
            .values()
            .filter_map(|step| Some((*step.get("total_tokens")?, *step.get(name)?)));
        run.curves.insert(name, points.collect());
    }
    Ok(run)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Counts over the episodes of a phase that count.
#[derive(Default)]
struct Played {
    n: u64,
    ok: u64,
    calls: u64,
    tokens: u64,
    calls_when_ok: u64,
    failed_when_ok: u64,
    stated: Vec<Stated>,
}

impl Played {
    fn read(store: &Store, phase: &str) -> Result<Self> {
        let mut all = Self::default();
        store.for_each(&Filter::phase(phase), |episode| -> Result<()> {
            if !episode.counts() {
                return Ok(());
            }
            let ok = episode.outcome == Outcome::Ok;
            let calls: Vec<_> = episode
                .tool_calls
                .iter()
                .filter(|call| episode.caller(call) != "user")
                .collect();
            all.n += 1;
            all.ok += u64::from(ok);
            all.calls += calls.len() as u64;
            all.tokens += episode.sampled_tokens();
            if ok {
                all.calls_when_ok += calls.len() as u64;
                all.failed_when_ok += calls.iter().filter(|call| call.error.is_some()).count() as u64;
            }
            all.stated.extend(Stated::of(&episode));
            Ok(())
        })?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_means_over_seeds_by_tokens() {
        let run = |y: f64| Run {
            curves: BTreeMap::from([("success", vec![(10.0, y), (40.0, y + 0.2), (100.0, 1.0)])]),
            ..Run::default()
        };
        let runs = BTreeMap::from([(0, run(0.2)), (1, run(0.4))]);
        let (points, band) = Compared::curve(&runs, "success", 1000);
        // Two cells of 50 tokens each hold something: means of .3 and .5 within a seed are .3 and .5.
        assert_eq!(points.len(), 2);
        assert!(
            (points[0].0 - 25.0).abs() < 1e-9 && (points[0].1 - 0.4).abs() < 1e-9,
            "{points:?}"
        );
        assert_eq!(points[1], (75.0, 1.0));
        // t(1) · sd / √2 with sd √0.02 of 0.3 and 0.5.
        assert!((band[0].2 - band[0].1 - 2.0 * 12.7062 * 0.1).abs() < 1e-3, "{band:?}");
        assert!(Compared::curve(&BTreeMap::new(), "success", 1000).0.is_empty());
    }
}
