//! R4: an outcome with a bonus for using several tools, behind a format gate.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Method, Part, PartType, Rollout, StageError};

/// R4: `bad_format` if the part `format` is not greater than 0; else acc + `bonus` [acc > 0 and every one of `tools` was called], acc the part `of`
/// (ARPO, arXiv 2507.19849; AEPO; AKBE).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiTool {
    /// The tools that have to be used.
    pub tools: Vec<String>,
    /// The part that scores the answer.
    #[serde(default = "of")]
    pub of: String,
    /// The part that says whether the format is right; without, every format is.
    #[serde(default)]
    pub format: Option<String>,
    /// What using all tools adds.
    #[serde(default = "bonus")]
    pub bonus: f64,
    /// What a rollout of bad format gets.
    #[serde(default = "bad_format")]
    pub bad_format: f64,
}

fn of() -> String {
    "reward".into()
}

fn bonus() -> f64 {
    0.1
}

fn bad_format() -> f64 {
    -1.0
}

impl PartType for MultiTool {
    const NAME: &'static str = "multi_tool";
    const ABOUT: &'static str = "R4: an outcome with a bonus for several tools, behind a format gate";
}

impl Part for MultiTool {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let allowed = "the names of one or more tools";
        check(!self.tools.is_empty(), &format!("{at}.tools"), "empty", allowed)?;
        check(self.bonus.is_finite(), &format!("{at}.bonus"), self.bonus, "a number")?;
        check(
            self.bad_format.is_finite(),
            &format!("{at}.bad_format"),
            self.bad_format,
            "a number",
        )
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        if let Some(format) = &self.format
            && rollout.part(format)? <= 0.0
        {
            return Ok(self.bad_format);
        }
        let acc = rollout.part(&self.of)?;
        let all = self
            .tools
            .iter()
            .all(|tool| rollout.calls.iter().any(|call| call.tool == *tool));
        Ok(if acc > 0.0 && all { acc + self.bonus } else { acc })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, near, value};
    use super::*;

    #[test]
    fn golden_rewards_of_arpo() {
        let part = MultiTool {
            tools: vec!["search".into(), "python".into()],
            of: of(),
            format: Some("format".into()),
            bonus: bonus(),
            bad_format: bad_format(),
        };
        let formatted = |good, bad, format| {
            let mut out = called(good, bad);
            out.parts.insert("format".into(), format);
            out
        };
        near(value(&part, &formatted(1, 1, 1.0), 1.0), 1.1, 1e-12);
        near(value(&part, &formatted(2, 0, 1.0), 1.0), 1.0, 0.0);
        near(value(&part, &formatted(1, 1, 1.0), 0.4), 0.5, 1e-12);
        near(value(&part, &formatted(1, 1, 1.0), 0.0), 0.0, 0.0);
        near(value(&part, &formatted(1, 1, 0.0), 1.0), -1.0, 0.0);
    }
}
