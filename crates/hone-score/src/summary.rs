//! The object that `hone eval --json` prints.

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
        ("turns", measures.mean_turns()),
        ("tool_calls", measures.mean_tool_calls()),
        ("sampled_tokens", measures.mean_sampled_tokens()),
        ("reward", measures.mean_reward()),
    ];
    let mut metrics: BTreeMap<String, f64> = single
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    for (name, value) in measures.score_parts() {
        metrics.insert(format!("score/{name}"), value);
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
                "end/answered": 0.5, "end/max_turns": 0.5,
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
    fn nothing_counted_is_not_zero_success() {
        let lost = episode("c", Outcome::InfraFailed { cause: "x".into() });
        let summary = EvalSummary::new("r", "s", "m", &Measures::of([&lost]), 0.0);
        assert_eq!((summary.success, summary.ci95, summary.n), (None, [0.0, 1.0], 0));
        assert!(summary.pass_at.is_empty() && summary.metrics.is_empty());
    }
}
