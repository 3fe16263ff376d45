//! Learning-rate schedules.

use serde::{Deserialize, Serialize};

use super::StageError;
use super::error::check;

/// How a rate goes after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// It stays.
    #[default]
    Constant,
    /// In a straight line down to the floor.
    Linear,
    /// Along half a cosine down to the floor.
    Cosine,
}

/// A rate over the steps of a run: up in a straight line over `warmup` steps, then by `shape` to `floor * peak` at the last step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Highest rate.
    pub peak: f64,
    /// How it goes down.
    #[serde(default)]
    pub shape: Shape,
    /// Steps of warm-up: step s < warmup gets peak * (s + 1) / warmup.
    #[serde(default)]
    pub warmup: u32,
    /// Rate of the last step as a fraction of the peak.
    #[serde(default)]
    pub floor: f64,
}

impl Schedule {
    /// Checks the settings; `key` is the name of the table that holds them.
    pub fn validate(&self, key: &str) -> Result<(), StageError> {
        check(
            self.peak.is_finite() && self.peak > 0.0,
            &format!("{key}.peak"),
            self.peak,
            "a number > 0",
        )?;
        check(
            (0.0..=1.0).contains(&self.floor),
            &format!("{key}.floor"),
            self.floor,
            "a fraction of the peak in [0, 1]",
        )?;
        let idle = self.shape == Shape::Constant && self.floor != 0.0;
        check(
            !idle,
            &format!("{key}.floor"),
            self.floor,
            "0 with shape = \"constant\", which never goes down",
        )
    }

    /// The rate of step `step` (from 0) of `total`. Steps past the end get the last step's.
    pub fn at(&self, step: u32, total: u32) -> f64 {
        if step < self.warmup {
            return self.peak * f64::from(step + 1) / f64::from(self.warmup);
        }
        let span = total.saturating_sub(self.warmup).saturating_sub(1);
        let done = if span == 0 {
            0.0
        } else {
            (f64::from(step - self.warmup) / f64::from(span)).min(1.0)
        };
        let fall = match self.shape {
            Shape::Constant => 1.0,
            Shape::Linear => 1.0 - done,
            Shape::Cosine => (1.0 + (std::f64::consts::PI * done).cos()) / 2.0,
        };
        self.peak * (self.floor + (1.0 - self.floor) * fall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_at_the_ends_and_in_the_middle() {
        let linear = Schedule {
            peak: 2.0,
            shape: Shape::Linear,
            warmup: 4,
            floor: 0.2,
        };
        let rates: Vec<f64> = (0..4).map(|s| linear.at(s, 15)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.5, 2.0]);
        assert_eq!(linear.at(4, 15), 2.0);
        assert!((linear.at(9, 15) - 1.2).abs() < 1e-12);
        assert!((linear.at(14, 15) - 0.4).abs() < 1e-12);
        assert!((linear.at(99, 15) - 0.4).abs() < 1e-12);
        let cosine = Schedule {
            peak: 1.0,
            shape: Shape::Cosine,
            warmup: 0,
            floor: 0.0,
        };
        assert!((cosine.at(5, 11) - 0.5).abs() < 1e-12);
        assert!(cosine.at(10, 11).abs() < 1e-12);
        let constant = Schedule {
            peak: 3.0,
            shape: Shape::Constant,
            warmup: 0,
            floor: 0.0,
        };
        assert_eq!((constant.at(0, 1), constant.at(7, 3)), (3.0, 3.0));
    }

    #[test]
    fn bad_settings_are_named() {
        let bad = Schedule {
            peak: 0.0,
            shape: Shape::Linear,
            warmup: 0,
            floor: 0.0,
        };
        assert_eq!(
            bad.validate("rl.lr").unwrap_err().to_string(),
            "`rl.lr.peak` is 0. Allowed: a number > 0."
        );
        let idle = Schedule {
            peak: 1.0,
            shape: Shape::Constant,
            warmup: 0,
            floor: 0.5,
        };
        assert!(idle.validate("lr").unwrap_err().to_string().contains("lr.floor"));
    }
}
