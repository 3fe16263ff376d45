//! From rewards to a number per token (stage `advantage`).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::check;
use super::rollout::groups;
use super::{Rollout, Row, StageError, StageReport, prefix_tree};

/// What a reward is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The group's mean (GRPO, Shao et al. 2024; Dr. GRPO, Liu et al. 2025).
    #[default]
    Mean,
    /// The mean of the others of the group: (sum R - R_i) / (n - 1) (RLOO, Kool et al. 2019, Ahmadian et al. 2024).
    LeaveOneOut,
}

/// What the difference is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The group's standard deviation with n - 1, plus `eps`.
    #[default]
    StdUnbiased,
    /// The group's standard deviation with n, plus `eps`.
    StdPopulation,
    /// 1 (Dr. GRPO: dividing by the deviation favours tasks that are nearly solved or nearly hopeless).
    None,
}

/// What a group of one gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Singleton {
    /// Its reward: mean 0 and deviation 1 are assumed (verl).
    #[default]
    Raw,
    /// 0: one sample says nothing.
    Zero,
}

/// What the group's statistics count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Every rollout once.
    #[default]
    Rollout,
    /// Every row with sampled tokens once, so that rollouts of many rows weigh more (Flow-GRPO's code).
    Row,
}

/// How a rollout's outcome is spread over its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// Every sampled token of every row gets the rollout's advantage.
    #[default]
    Rollout,
    /// A token gets what it changed: see [`prefix_tree`](fn@super::prefix_tree).
    PrefixTree,
}

/// The advantage of rollout i of a group with rewards R: A_i = (R_i - baseline_i) / scale.
///
/// A1 of the GRPO family is `mean` with `std_unbiased`; A2 is `mean` with `none`; RLOO is `leave_one_out` with `none`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Advantage {
    /// What a reward is compared with.
    pub baseline: Baseline,
    /// What the difference is divided by.
    pub scale: Scale,
    /// Added to a standard deviation.
    pub eps: f64,
    /// What a group of one gets; a prefix tree always gives it 0.
    pub singleton: Singleton,
    /// What the statistics count.
    pub unit: Unit,
    /// How the outcome is spread over tokens.
    pub credit: Credit,
    /// Factor on negative advantages; 1 leaves them.
    pub negative_scale: f64,
}

impl Default for Advantage {
    fn default() -> Self {
        Self {
            baseline: Baseline::Mean,
            scale: Scale::StdUnbiased,
            eps: 1e-6,
            singleton: Singleton::Raw,
            unit: Unit::Rollout,
            credit: Credit::Rollout,
            negative_scale: 1.0,
        }
    }
}

/// Statistics of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupStats {
    /// Units counted.
    pub n: f64,
    /// Mean reward.
    pub mean: f64,
    /// Standard deviation by [`Advantage::scale`] (0 with `none` or one unit).
    pub std: f64,
    /// What A is divided by.
    pub divisor: f64,
}

/// Per rollout, per row, per token; 0 on tokens that the policy did not sample.
pub type TokenAdvantages = Vec<Vec<Vec<f64>>>;

impl Advantage {
    /// Checks the settings.
    pub fn validate(&self) -> Result<(), StageError> {
        check(
            (0.0..=1.0).contains(&self.eps),
            "advantage.eps",
            self.eps,
            "a number in [0, 1]",
        )?;
        let scale = self.negative_scale;
        check(
            (0.0..=10.0).contains(&scale),
            "advantage.negative_scale",
            scale,
            "a number in [0, 10]",
        )?;
        if self.credit == Credit::PrefixTree {
            let rule = "with credit = \"prefix_tree\"";
            let mean = self.baseline == Baseline::Mean;
            check(mean, "advantage.baseline", "leave_one_out", &format!("mean {rule}"))?;
            check(
                self.unit == Unit::Rollout,
                "advantage.unit",
                "row",
                &format!("rollout {rule}"),
            )?;
            check(
                self.singleton == Singleton::Zero,
                "advantage.singleton",
                "raw",
                &format!("zero {rule}"),
            )?;
        }
        Ok(())
    }

    /// Statistics over `(reward, count)` pairs of a group.
    pub fn stats(&self, units: &[(f64, f64)]) -> GroupStats {
        let n: f64 = units.iter().map(|(_, count)| count).sum();
        let mean = units.iter().map(|(reward, count)| reward * count).sum::<f64>() / n;
        let squares: f64 = units
            .iter()
            .map(|(reward, count)| count * (reward - mean).powi(2))
            .sum();
        let std = match self.scale {
            _ if n <= 1.0 => 0.0,
            Scale::StdUnbiased => (squares / (n - 1.0)).sqrt(),
            Scale::StdPopulation => (squares / n).sqrt(),
            Scale::None => 0.0,
        };
        let divisor = match self.scale {
            Scale::None => 1.0,
            Scale::StdUnbiased | Scale::StdPopulation if n <= 1.0 => 1.0 + self.eps,
            // Without eps a group without variance would divide by 0; its numerators are 0.
            Scale::StdUnbiased | Scale::StdPopulation => (std + self.eps).max(f64::MIN_POSITIVE),
        };
        GroupStats { n, mean, std, divisor }
    }

    /// The advantage of one member, before [`negative_scale`](Self::negative_scale).
    pub fn of(&self, reward: f64, stats: &GroupStats) -> f64 {
        let baseline = match (self.baseline, self.singleton) {
            (_, Singleton::Raw) if stats.n <= 1.0 => 0.0,
            (_, Singleton::Zero) if stats.n <= 1.0 => return 0.0,
            (Baseline::Mean, _) => stats.mean,
            (Baseline::LeaveOneOut, _) => (stats.n * stats.mean - reward) / (stats.n - 1.0),
        };
        (reward - baseline) / stats.divisor
    }

    pub(super) fn signed(&self, advantage: f64) -> f64 {
        if advantage < 0.0 {
            self.negative_scale * advantage
        } else {
            advantage
        }
    }

    /// Token advantages of all rollouts, from their total rewards.
    pub fn assign(&self, rollouts: &[Rollout]) -> (TokenAdvantages, StageReport) {
        let mut out: TokenAdvantages = vec![Vec::new(); rollouts.len()];
        let mut values = Vec::new();
        for (group, members) in groups(rollouts) {
            let count = |r: &Rollout| match self.unit {
                Unit::Rollout => 1.0,
                Unit::Row => r.rows.iter().filter(|row| row.sampled() > 0).count().max(1) as f64,
            };
            let units: Vec<_> = members
                .iter()
                .map(|&i| (rollouts[i].reward, count(&rollouts[i])))
                .collect();
            let stats = self.stats(&units);
            match self.credit {
                Credit::Rollout => {
                    for &i in &members {
                        let advantage = self.signed(self.of(rollouts[i].reward, &stats));
                        out[i] = rollouts[i].rows.iter().map(|row| broadcast(row, advantage)).collect();
                    }
                }
                Credit::PrefixTree => {
                    let samples: Vec<_> = members
                        .iter()
                        .map(|&i| (&rollouts[i].rows[..], rollouts[i].reward))
                        .collect();
                    for (&i, rows) in members.iter().zip(prefix_tree(&samples)) {
                        out[i] = rows;
                        for (row, advantages) in rollouts[i].rows.iter().zip(&mut out[i]) {
                            for (a, &sampled) in advantages.iter_mut().zip(&row.mask) {
                                *a = if sampled { self.signed(*a / stats.divisor) } else { 0.0 };
                            }
                        }
                    }
                }
            }
            values.push(json!({ "group": group, "n": stats.n, "mean": stats.mean, "std": stats.std }));
        }
        let report = StageReport::new("advantage", rollouts.len(), Vec::new(), json!({ "groups": values }));
        (out, report)
    }
}

pub(super) fn broadcast(row: &Row, advantage: f64) -> Vec<f64> {
    row.mask
        .iter()
        .map(|&sampled| if sampled { advantage } else { 0.0 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advantages(settings: &Advantage, rewards: &[f64]) -> Vec<f64> {
        let stats = settings.stats(&rewards.iter().map(|&r| (r, 1.0)).collect::<Vec<_>>());
        rewards.iter().map(|&r| settings.of(r, &stats)).collect()
    }

    fn near(got: &[f64], want: &[f64], tolerance: f64) {
        assert_eq!(got.len(), want.len());
        assert!(
            got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance),
            "{got:?} is not {want:?}"
        );
    }

    #[test]
    fn golden_values() {
        let a1 = Advantage::default();
        near(
            &advantages(&a1, &[1.0, 0.0, 0.0, 0.0]),
            &[1.499997, -0.499999, -0.499999, -0.499999],
            5e-7,
        );
        let a2 = Advantage {
            scale: Scale::None,
            ..a1.clone()
        };
        near(
            &advantages(&a2, &[1.0, 0.0, 0.0, 0.0]),
            &[0.75, -0.25, -0.25, -0.25],
            0.0,
        );
        let population = Advantage {
            scale: Scale::StdPopulation,
            ..a1.clone()
        };
        near(
            &advantages(&population, &[1.0, 0.0, 0.0, 0.0]),
            &[1.73205, -0.57735, -0.57735, -0.57735],
            5e-6,
        );
        near(&advantages(&a1, &[0.7]), &[0.6999993], 5e-8);
        near(&advantages(&a2, &[0.7]), &[0.7], 0.0);
        near(
            &advantages(
                &Advantage {
                    singleton: Singleton::Zero,
                    ..a1.clone()
                },
                &[0.7],
            ),
            &[0.0],
            0.0,
        );
        for settings in [a1.clone(), a2, population, Advantage { eps: 0.0, ..a1 }] {
            near(&advantages(&settings, &[1.0, 1.0, 1.0]), &[0.0; 3], 0.0);
        }
    }

    #[test]
    fn leave_one_out_compares_with_the_others() {
        let rloo = Advantage {
            baseline: Baseline::LeaveOneOut,
            scale: Scale::None,
            ..Advantage::default()
        };
        near(&advantages(&rloo, &[1.0, 0.0, 0.5]), &[0.75, -0.75, 0.0], 1e-12);
        near(
            &advantages(&rloo, &[1.0, 0.0, 0.0, 0.0]),
            &[1.0, -1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0],
            1e-12,
        );
        near(&advantages(&rloo, &[0.4]), &[0.4], 0.0);
    }

    #[test]
    fn statistics_over_rollouts_or_rows() {
        // Two rollouts of one and three turn rows, rewards 1 and 0.
        let rollout = Advantage::default();
        let stats = rollout.stats(&[(1.0, 1.0), (0.0, 1.0)]);
        let half = std::f64::consts::FRAC_1_SQRT_2; // .70711
        near(
            &[rollout.of(1.0, &stats), rollout.of(0.0, &stats)],
            &[half, -half],
            5e-6,
        );
        let stats = rollout.stats(&[(1.0, 1.0), (0.0, 3.0)]);
        near(&[rollout.of(1.0, &stats), rollout.of(0.0, &stats)], &[1.5, -0.5], 5e-6);
    }

    #[test]
    fn ignored_settings_are_refused() {
        let tree = Advantage {
            credit: Credit::PrefixTree,
            singleton: Singleton::Zero,
            ..Advantage::default()
        };
        assert!(tree.validate().is_ok());
        for (bad, key) in [
            (
                Advantage {
                    baseline: Baseline::LeaveOneOut,
                    ..tree.clone()
                },
                "advantage.baseline",
            ),
            (
                Advantage {
                    unit: Unit::Row,
                    ..tree.clone()
                },
                "advantage.unit",
            ),
            (
                Advantage {
                    singleton: Singleton::Raw,
                    ..tree.clone()
                },
                "advantage.singleton",
            ),
            (
                Advantage {
                    negative_scale: -1.0,
                    ..tree.clone()
                },
                "advantage.negative_scale",
            ),
            (
                Advantage {
                    eps: f64::NAN,
                    ..tree.clone()
                },
                "advantage.eps",
            ),
        ] {
            assert!(bad.validate().unwrap_err().to_string().contains(key));
        }
    }
}
