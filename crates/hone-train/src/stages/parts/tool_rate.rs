//! R2's last term: the share of calls that succeed.

use serde::{Deserialize, Serialize};

use crate::stages::{Part, PartType, Rollout, StageError};

/// The calls that succeeded / all calls; 0 without a call (ARTIST, arXiv 2505.01441; the text leaves a rollout without calls open).
///
/// R2 is this with the terms answer (weight 2), relaxed format (.5) and strict format (.5), which scorers report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolRate {}

impl PartType for ToolRate {
    const NAME: &'static str = "tool_rate";
    const ABOUT: &'static str = "R2: the share of calls that succeed";
}

impl Part for ToolRate {
    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let calls = rollout.calls.len();
        Ok((calls - rollout.failed_calls()) as f64 / calls.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, near};
    use crate::stages::{Advantage, Method};
    use serde_json::json;

    #[test]
    fn golden_totals_of_artist() {
        let terms = json!([{"part": "answer", "weight": 2}, {"part": "relaxed", "weight": 0.5},
            {"part": "strict", "weight": 0.5}, {"part": "tool_rate", "weight": 1}]);
        let method = Method::resolve("grpo", &json!({"parts": {"tool_rate": {}}, "reward": {"terms": terms}})).unwrap();
        let rollout = |answer: f64, relaxed: f64, strict: f64, (good, bad)| {
            let mut out = called(good, bad);
            out.parts
                .extend([("answer", answer), ("relaxed", relaxed), ("strict", strict)].map(|(k, v)| (k.to_owned(), v)));
            out
        };
        let mut group = [
            rollout(1.0, 1.0, 1.0, (2, 0)),
            rollout(1.0, 1.0, 0.0, (1, 1)),
            rollout(0.0, 1.0, 1.0, (2, 0)),
            rollout(0.0, 0.0, 0.0, (0, 0)),
        ];
        method.value(&mut group, 0).unwrap();
        let rewards: Vec<f64> = group.iter().map(|r| r.reward).collect();
        assert_eq!(rewards, [4.0, 3.0, 2.0, 0.0]);
        let settings = Advantage::default();
        let stats = settings.stats(&rewards.iter().map(|r| (*r, 1.0)).collect::<Vec<_>>());
        for (reward, want) in rewards.iter().zip([1.02469, 0.43916, -0.14639, -1.31747]) {
            near(settings.of(*reward, &stats), want, 1e-5);
        }
    }
}
