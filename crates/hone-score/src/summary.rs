//! The object that `hone eval --json` prints.

use crate::calibration::Calibration;
use crate::estimate::{Rate, cost_per_success};
use crate::measures::{Measures, Outcomes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The result of an evaluation, as scripts read it. Its JSON form is stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalSummary {
    /// Run directory or id.
    pub run: String,
    /// Taskset or suite.
    pub suite: String,
    /// Model.
    pub model: String,
    /// Number of episodes that count.
    pub n: u64,
    /// Share of them that succeeded; `null` if none counts.
    pub success: Option<f64>,
    /// Its 95 % interval (see [`Measures::success`]); `[0, 1]` if no episode counts.
    pub ci95: [f64; 2],
    /// pass@k by k.
    pub pass_at: BTreeMap<u64, f64>,
    /// pass^k by k.
    pub pass_hat: BTreeMap<u64, f64>,
    /// Other numbers by name, as the [`crate::DICTIONARY`] defines them.
    pub metrics: BTreeMap<String, f64>,
    /// How the episodes ended.
    pub outcomes: Outcomes,
    /// Wall-clock duration.
    pub seconds: f64,
    /// What scripts of the taskset reach on the same tasks, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines: BTreeMap<String, Baseline>,
    /// Why the result should not be believed as it stands; see [`alarms`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// Parts of the suite that were not played, where the suite makes numbers of its own of all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How far the agents' word can be trusted, where they were asked how sure they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// What a script reaches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What it is for.
    pub bound: Bound,
    /// Success with its 95 % interval.
    #[serde(flatten)]
    pub rate: Rate,
}

/// What a script's success means for a model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It solves the tasks: nobody should be better.
    Gold,
    /// It does nothing: nobody should be worse.
    DoNothing,
    /// Something to compare with.
    Baseline,
}

/// What is suspicious about a success rate beside the scripts' on the same tasks: above gold, or below doing nothing, with
/// 95 % intervals that have no point in common. A sentence each.
pub fn alarms(success: &Rate, baselines: &BTreeMap<String, Baseline>) -> Vec<String> {
    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
    let odd = |b: &&Baseline| {
        b.rate.apart(success)
            && match b.bound {
                Bound::Gold => success.value > b.rate.value,
                Bound::DoNothing => success.value < b.rate.value,
                Bound::Baseline => false,
            }
    };
    let tell = |(name, b): (&String, &Baseline)| {
        odd(&b).then(|| {
            let (side, so) = match b.bound {
                Bound::Gold => ("above", "the scorer or the reference solution is wrong somewhere"),
                _ => ("below", "acting makes it worse than doing nothing"),
            };
            let (ours, theirs) = (percent(success.value), percent(b.rate.value));
            format!("success of {ours} is {side} {name}'s {theirs} beyond chance: {so}")
        })
    };
    baselines.iter().filter_map(tell).collect()
}

impl EvalSummary {
    /// Of these measures.
    pub fn new(run: &str, suite: &str, model: &str, measures: &Measures, seconds: f64) -> Self {
        let ks = measures.ks();
        let by_k = |f: &dyn Fn(u64) -> Option<f64>| ks.iter().filter_map(|&k| Some((k, f(k)?))).collect();
        let success = measures.success();
        Self {
            run: run.to_owned(),
            suite: suite.to_owned(),
            model: model.to_owned(),
            n: measures.n(),
            success: success.map(|r| r.value),
            ci95: success.map_or([0.0, 1.0], |r| [r.lo, r.hi]),
            pass_at: by_k(&|k| measures.pass_at(k)),
            pass_hat: by_k(&|k| measures.pass_hat(k)),
            metrics: metrics(measures),
            outcomes: measures.outcomes,
            seconds,
            baselines: BTreeMap::new(),
            alarms: Vec::new(),
            missing: Vec::new(),
            calibration: measures.calibration(),
        }
    }
}

fn metrics(measures: &Measures) -> BTreeMap<String, f64> {
    let single = [
        ("call_validity", measures.call_validity()),
        ("executable_calls", measures.executable_calls()),
        ("loop_rate", measures.loop_rate()),
        ("recovery_rate", measures.recovery_rate()),
        ("seconds_p50", measures.seconds(0.5)),
        ("seconds_p95", measures.seconds(0.95)),
        ("call_seconds_p50", measures.call_seconds(0.5)),
        ("call_seconds_p95", measures.call_seconds(0.95)),
        ("turns", measures.mean_turns()),
        ("tool_calls", measures.mean_tool_calls()),
        ("sampled_tokens", measures.mean_sampled_tokens()),
        ("input_tokens", measures.mean_tokens().map(|(input, _)| input)),
        ("output_tokens", measures.mean_tokens().map(|(_, output)| output)),
        ("cost_usd", measures.cost_usd()),
        (
            "cost_per_success",
            measures
                .cost_usd()
                .and_then(|spent| cost_per_success(spent, measures.outcomes.ok)),
        ),
        ("reward", measures.mean_reward()),
        ("confidence_stated", measures.confidence_stated()),
    ];
    let mut metrics: BTreeMap<String, f64> = single
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    for (name, value) in measures.score_parts() {
        metrics.insert(format!("score/{name}"), value);
    }
    if let Some(all) = measures.calibration() {
        let several = [
            ("ece", Some(all.ece)),
            ("adaptive_ece", Some(all.adaptive_ece)),
            ("brier", Some(all.brier)),
            ("auroc", all.auroc),
            ("confidence_when_wrong", all.confidence_when_wrong),
            ("confidence_when_right", all.confidence_when_right),
        ];
        metrics.extend(
            several
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
    }
    for (tool, of) in measures.calibration_by_tool() {
        let tool = if tool.is_empty() { "no_tools" } else { tool };
        metrics.insert(format!("ece/{tool}"), of.ece);
        let wrong = of
            .confidence_when_wrong
            .map(|value| (format!("confidence_when_wrong/{tool}"), value));
        metrics.extend(wrong);
    }
    for (name, value) in measures.trajectory() {
        metrics.insert(format!("trajectory/{name}"), value);
    }
    for (class, n) in measures.failures() {
        let share = n as f64 / measures.outcomes.policy_failed as f64;
        metrics.insert(format!("failure/{}", class.name()), share);
    }
    for (kind, tally) in &measures.kinds {
        metrics.extend(tally.fraction().map(|f| (format!("success/{kind}"), f)));
    }
    for (end, count) in &measures.ends {
        metrics.insert(format!("end/{end}"), *count as f64 / measures.n() as f64);
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{call, episode};
    use hone_trace::{Outcome, Score, ScorePart, ToolErrorClass, Turn};

    #[test]
    fn json_is_the_documented_object() {
        let mut good = episode("a", Outcome::Ok);
        good.turns = vec![
            Turn::Agent { model_call: 0 },
            Turn::Tool { tool_call: 0 },
            Turn::Agent { model_call: 1 },
        ];
        good.tool_calls = vec![call(None)];
        good.reward = Some(1.0);
        let part = ScorePart {
            name: "state".into(),
            value: 1.0,
            why: String::new(),
        };
        good.scores = vec![Score {
            scorer: "shop".into(),
            version: "1".into(),
            hash: "h".into(),
            value: 1.0,
            parts: vec![part],
        }];
        let mut bad = episode("b", Outcome::PolicyFailed);
        bad.task_kind = "return".into();
        bad.end = hone_trace::EndReason::MaxTurns;
        bad.tool_calls = vec![call(Some(ToolErrorClass::Malformed))];
        bad.reward = Some(0.0);
        let lost = episode("c", Outcome::InfraFailed { cause: "x".into() });
        let summary = EvalSummary::new("runs/1", "shop", "nano", &Measures::of([&good, &bad, &lost]), 1.5);
        let mut json = serde_json::to_value(&summary).unwrap();
        // Wilson for 1 of 2, as in the estimator's own golden test.
        let ci: Vec<f64> = serde_json::from_value(json["ci95"].take()).unwrap();
        assert!((ci[0] - 0.094_531_2).abs() < 1e-6 && (ci[1] - 0.905_468_8).abs() < 1e-6);
        let expected = serde_json::json!({
            "run": "runs/1", "suite": "shop", "model": "nano", "n": 2, "success": 0.5, "ci95": null,
            "pass_at": {"1": 0.5}, "pass_hat": {"1": 0.5},
            "metrics": {
                "call_validity": 0.5, "executable_calls": 0.5, "loop_rate": 0.0, "recovery_rate": 0.0,
                "seconds_p50": 0.0, "seconds_p95": 0.0, "turns": 1.0, "tool_calls": 1.0, "sampled_tokens": 0.0, "reward": 0.5,
                "score/shop/state": 1.0, "success/refund": 1.0, "success/return": 0.0,
                "end/answered": 0.5, "end/max_turns": 0.5, "failure/invalid_call": 1.0,
            },
            "outcomes": {"ok": 1, "policy_failed": 1, "infra_failed": 1},
            "seconds": 1.5,
        });
        assert_eq!(json, expected);
        for name in summary.metrics.keys() {
            assert!(crate::define(name).is_some(), "{name} is not in the dictionary");
        }
        let text = serde_json::to_string(&summary).unwrap();
        let read = serde_json::from_str::<EvalSummary>(&text).unwrap();
        // JSON may lose the last bit of a number; those of the interval are the only ones here that are not short.
        assert_eq!(
            EvalSummary {
                ci95: summary.ci95,
                ..read
            },
            summary
        );
    }

    #[test]
    fn alarms_need_more_than_chance() {
        let rate = |ok, n| Rate::of(ok, n).unwrap();
        let of = |bound, ok| Baseline {
            bound,
            rate: rate(ok, 100),
        };
        let baselines = BTreeMap::from([
            ("expert".to_owned(), of(Bound::Gold, 80)),
            ("do_nothing".to_owned(), of(Bound::DoNothing, 20)),
            ("random".to_owned(), of(Bound::Baseline, 50)),
        ]);
        for fine in [15, 50, 85] {
            assert_eq!(alarms(&rate(fine, 100), &baselines), Vec::<String>::new());
        }
        let [above] = &alarms(&rate(99, 100), &baselines)[..] else {
            panic!()
        };
        assert!(
            above.starts_with("success of 99.0 % is above expert's 80.0 % beyond chance"),
            "{above}"
        );
        let [below] = &alarms(&rate(2, 100), &baselines)[..] else {
            panic!()
        };
        assert!(below.contains("below do_nothing's 20.0 %"), "{below}");
    }

    #[test]
    fn nothing_counted_is_not_zero_success() {
        let lost = episode("c", Outcome::InfraFailed { cause: "x".into() });
        let summary = EvalSummary::new("r", "s", "m", &Measures::of([&lost]), 0.0);
        assert_eq!((summary.success, summary.ci95, summary.n), (None, [0.0, 1.0], 0));
        assert!(summary.pass_at.is_empty() && summary.metrics.is_empty());
    }
}
