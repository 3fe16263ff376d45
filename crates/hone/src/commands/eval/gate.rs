//! Gates for continuous integration: a number that must not fall below a bound, or rise above it.

use hone_score::{EvalSummary, define};
use std::fmt;
use std::str::FromStr;

/// Exit status of an evaluation that was measured and did not pass its gates.
pub const STATUS: u8 = 3;

/// A bound on a number of an evaluation, written `METRIC=VALUE`; without `METRIC=` it is on success.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    metric: String,
    bound: f64,
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (metric, bound) = text.rsplit_once('=').unwrap_or(("success", text));
        if define(metric).is_none() {
            return Err(format!("no number is called `{metric}`; `hone metrics` lists them all"));
        }
        match bound.parse::<f64>() {
            Ok(bound) if bound.is_finite() => Ok(Self {
                metric: metric.to_owned(),
                bound,
            }),
            _ => Err(format!(
                "`{bound}` is no number; write a bound such as 0.8, or call_validity=0.95"
            )),
        }
    }
}

/// Which side of its bound a number must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `--fail-under`.
    AtLeast,
    /// `--fail-over`.
    AtMost,
}

impl Gate {
    /// What is wrong, in a sentence; `None` if the evaluation passes. A number that is absent does not pass.
    pub fn failure(&self, side: Side, summary: &EvalSummary) -> Option<String> {
        let Self { metric, bound } = self;
        let (flag, word) = match side {
            Side::AtLeast => ("--fail-under", "under"),
            Side::AtMost => ("--fail-over", "over"),
        };
        match value(metric, summary) {
            None => Some(format!("{metric} is absent, and {flag} asks for {bound}")),
            Some(value) => {
                let fails = match side {
                    Side::AtLeast => value < *bound,
                    Side::AtMost => value > *bound,
                };
                fails.then(|| format!("{metric} is {value:.4}, {word} the {bound} of {flag}"))
            }
        }
    }
}

fn value(metric: &str, summary: &EvalSummary) -> Option<f64> {
    let by_k = |k: &str, of: &std::collections::BTreeMap<u64, f64>| of.get(&k.parse().ok()?).copied();
    match metric.split_once('/') {
        None if metric == "success" => summary.success,
        Some(("pass_at", k)) => by_k(k, &summary.pass_at),
        Some(("pass_hat", k)) => by_k(k, &summary.pass_hat),
        Some(("baselines", script)) => summary.baselines.get(script).map(|b| b.rate.value),
        _ => summary.metrics.get(metric).copied(),
    }
}

/// The gates that an evaluation did not pass.
#[derive(Debug, thiserror::Error)]
pub struct GateFailed(pub Vec<String>);

impl fmt::Display for GateFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gate failed: {}", self.0.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_score::Measures;

    #[test]
    fn bounds_hold_or_are_said() {
        let mut summary = EvalSummary::new("r", "s", "m", &Measures::default(), 0.0);
        summary.success = Some(0.8);
        summary.pass_at.insert(4, 0.9);
        summary.metrics.insert("seconds_p95".into(), 2.0);
        let failure = |text: &str, side| text.parse::<Gate>().unwrap().failure(side, &summary);
        assert_eq!(failure("0.8", Side::AtLeast), None);
        assert_eq!(
            failure("success=0.81", Side::AtLeast).as_deref(),
            Some("success is 0.8000, under the 0.81 of --fail-under")
        );
        assert_eq!(failure("pass_at/4=0.9", Side::AtLeast), None);
        assert!(failure("pass_at/8=0.1", Side::AtLeast).unwrap().contains("absent"));
        assert_eq!(failure("seconds_p95=2", Side::AtMost), None);
        assert!(
            failure("seconds_p95=1.5", Side::AtMost)
                .unwrap()
                .contains("over the 1.5")
        );
        for wrong in ["x", "nothing=0.5", "success=", "success=NaN", "=1"] {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
        }
    }
}
