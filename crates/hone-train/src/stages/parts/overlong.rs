//! R7: a penalty that grows with the last tokens before the bound.

use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Method, Part, PartType, Rollout, StageError};

/// R7: min(-(len - (`max` - `buffer`)) / `buffer` `factor`, 0), len the tokens from the first sampled one on, observations included (DAPO's soft
/// overlong punishment, arXiv 2503.14476; Open-AgentRL).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlong {
    /// The bound on a response's tokens.
    pub max: u32,
    /// The tokens before it that cost.
    pub buffer: u32,
    /// The cost at the bound.
    #[serde(default = "factor")]
    pub factor: f64,
}

fn factor() -> f64 {
    1.0
}

impl PartType for Overlong {
    const NAME: &'static str = "overlong";
    const ABOUT: &'static str = "R7: a penalty that grows with the last tokens before the bound";
}

impl Part for Overlong {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        check(self.max > 0, &format!("{at}.max"), self.max, "a number of tokens > 0")?;
        let ok = self.buffer > 0 && self.buffer <= self.max;
        check(
            ok,
            &format!("{at}.buffer"),
            self.buffer,
            "a number of tokens > 0, at most `max`",
        )?;
        let ok = self.factor > 0.0 && self.factor.is_finite();
        check(ok, &format!("{at}.factor"), self.factor, "a number > 0")
    }

    fn gives_value(&self) -> bool {
        true
    }

    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let response = |mask: &[bool]| mask.iter().position(|m| *m).map_or(0, |start| mask.len() - start);
        let len: usize = rollout.rows.iter().map(|row| response(&row.mask)).sum();
        let (max, buffer) = (f64::from(self.max), f64::from(self.buffer));
        Ok((-(len as f64 - (max - buffer)) / buffer * self.factor).min(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{long, near};
    use super::*;

    #[test]
    fn golden_penalties_of_open_agentrl() {
        let part = Overlong {
            max: 20_480,
            buffer: 4_096,
            factor: 1.0,
        };
        for (len, want) in [(16_000, 0.0), (16_384, 0.0), (18_432, -0.5), (20_480, -1.0)] {
            near(part.value(&long(len)).unwrap(), want, 1e-12);
        }
    }
}
