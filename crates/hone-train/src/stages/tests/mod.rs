//! The stages as a whole.

mod conservation;
mod method;
mod objective;
mod presets;

use super::*;

/// A rollout of one row whose first token is the prompt.
fn rollout(id: &str, group: u64, reward: f64, ids: &[u32]) -> Rollout {
    let n = ids.len();
    Rollout {
        id: id.into(),
        group,
        reward,
        validity: if reward > 0.0 {
            Validity::Ok
        } else {
            Validity::PolicyFailed
        },
        turns: 1,
        rows: vec![Row {
            ids: ids.to_vec(),
            mask: (0..n).map(|j| j > 0).collect(),
            logp_sampler: vec![-0.5; n],
            ..Row::default()
        }],
        ..Rollout::default()
    }
}
