//! How a weight comes in or goes out over the steps of a training.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// T1: gamma = (1 - cos(pi min(s, S) / S)) / 2, from 0 up to 1.
    Rise,
    /// T2: mu = (1 + cos(pi s / S)) / 2 for s < S, then 0.
    Fall,
}

/// Half a cosine over S steps (SPEAR, arXiv 2509.22601): the replayed loss rises, the tools' reward falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fade {
    /// Which way.
    pub way: Way,
    /// S.
    pub steps: u32,
}

impl Fade {
    /// The factor at step `step`, from 0.
    pub fn at(&self, step: u64) -> f64 {
        let done = step as f64 / f64::from(self.steps.max(1));
        match self.way {
            Way::Rise => (1.0 - (PI * done.min(1.0)).cos()) / 2.0,
            Way::Fall if done < 1.0 => (1.0 + (PI * done).cos()) / 2.0,
            Way::Fall => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values() {
        let near = |got: f64, want: f64| assert!((got - want).abs() < 5e-7, "{got} is not {want}");
        let rise = Fade {
            way: Way::Rise,
            steps: 300,
        };
        for (step, want) in [(0, 0.0), (75, 0.146447), (150, 0.5), (300, 1.0), (400, 1.0)] {
            near(rise.at(step), want);
        }
        let fall = Fade {
            way: Way::Fall,
            steps: 200,
        };
        for (step, want) in [(0, 1.0), (75, 0.691342), (150, 0.146447), (200, 0.0), (201, 0.0)] {
            near(fall.at(step), want);
        }
    }
}
