//! Which rollouts count (stages `select` and `filter`).

use std::collections::BTreeMap;

use hone_trace::EndReason;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rollout::groups;
use super::{Dropped, Rollout, StageError, StageReport, Validity};

/// Which rollouts count.
///
/// In this order, each drop recorded:
/// 1. `infra_failed` rollouts are always left out (stage `select`): they have no reward, so they enter neither a statistic nor the loss.
/// 2. Groups with fewer than `min_group` members left are dropped (stage `filter`).
/// 3. Groups without variance are dropped if `drop_equal` (stage `filter`; DAPO's dynamic sampling without its refill). F0 is `false`.
/// 4. Rollouts that ended in one of `mask_out` keep their reward in the group's statistics but lose their tokens (stage `rows`;
///    DAPO's overlong filter).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Drop groups whose rewards are all close: |R_i - R_1| <= 1e-8 + 1e-5 |R_1|. A group of one is such a group.
    pub drop_equal: bool,
    /// Least number of valid members of a group; 0 and 1 drop none.
    pub min_group: u32,
    /// Ends that mask a rollout's tokens, such as `max_tokens` and `context_overflow`.
    pub mask_out: Vec<EndReason>,
}

impl Default for Select {
    fn default() -> Self {
        Self {
            drop_equal: true,
            min_group: 0,
            mask_out: Vec::new(),
        }
    }
}

/// Share of groups without variance, and what is left.
pub(super) struct Filtered {
    pub rollouts: Vec<Rollout>,
    pub zero_variance_share: f64,
    pub report: StageReport,
}

impl Select {
    /// Checks the settings; every value of this table's types is allowed except a repeated end.
    pub fn validate(&self) -> Result<(), StageError> {
        let repeated = self
            .mask_out
            .iter()
            .enumerate()
            .find(|(i, end)| self.mask_out[..*i].contains(end));
        super::error::check(
            repeated.is_none(),
            "select.mask_out",
            format!("{:?}", self.mask_out),
            "each end reason at most once",
        )
    }

    /// Leaves out what is not the policy's.
    pub fn valid(&self, rollouts: Vec<Rollout>) -> (Vec<Rollout>, StageReport) {
        let policy_failed = rollouts.iter().filter(|r| r.validity == Validity::PolicyFailed).count();
        let (kept, out): (Vec<_>, Vec<_>) = rollouts.into_iter().partition(|r| r.validity != Validity::InfraFailed);
        let dropped = out
            .into_iter()
            .map(|r| Dropped {
                id: r.id,
                reason: "infra_failed: not the policy's".into(),
            })
            .collect();
        let values = json!({ "ok": kept.len() - policy_failed, "policy_failed": policy_failed });
        let report = StageReport::new("select", kept.len(), dropped, values);
        (kept, report)
    }

    /// Drops small groups and groups without variance, by the total rewards.
    pub(super) fn filter(&self, rollouts: Vec<Rollout>) -> Filtered {
        let groups = groups(&rollouts);
        let mut reasons: BTreeMap<u64, String> = BTreeMap::new();
        let mut equal = 0;
        for (&group, members) in &groups {
            let rewards: Vec<f64> = members.iter().map(|&i| rollouts[i].reward).collect();
            let flat = all_close(&rewards);
            equal += usize::from(flat);
            if members.len() < self.min_group as usize {
                let reason = format!(
                    "group {group} has {} valid members, fewer than {}",
                    members.len(),
                    self.min_group
                );
                reasons.insert(group, reason);
            } else if flat && self.drop_equal {
                reasons.insert(
                    group,
                    format!("zero variance: every reward of group {group} is {}", rewards[0]),
                );
            }
        }
        let zero_variance_share = equal as f64 / groups.len().max(1) as f64;
        let mut dropped = Vec::new();
        let kept: Vec<Rollout> = rollouts
            .into_iter()
            .filter_map(|rollout| match reasons.get(&rollout.group) {
                Some(reason) => {
                    dropped.push(Dropped {
                        id: rollout.id,
                        reason: reason.clone(),
                    });
                    None
                }
                None => Some(rollout),
            })
            .collect();
        let values = json!({
            "groups": groups.len(),
            "groups_dropped": reasons.len(),
            "zero_variance_groups": equal,
            "zero_variance_share": zero_variance_share,
        });
        let report = StageReport::new("filter", kept.len(), dropped, values);
        Filtered {
            rollouts: kept,
            zero_variance_share,
            report,
        }
    }
}

/// Whether all values are within 1e-8 + 1e-5 |first| of the first.
pub fn all_close(values: &[f64]) -> bool {
    values
        .iter()
        .all(|v| (v - values[0]).abs() <= 1e-8 + 1e-5 * values[0].abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_close_is_relative_and_absolute() {
        assert!(all_close(&[]));
        assert!(all_close(&[0.3]));
        assert!(all_close(&[1.0, 1.000009, 0.999991]));
        assert!(!all_close(&[1.0, 1.00002]));
        assert!(all_close(&[0.0, 9e-9]));
        assert!(!all_close(&[0.0, 2e-8]));
    }
}
