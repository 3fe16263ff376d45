//! The stages as a whole.

mod method;
mod objective;

use std::collections::BTreeMap;

use hone_trace::EndReason;

use super::*;

/// A rollout of one row whose first token is the prompt.
fn rollout(id: &str, group: u64, reward: f64, ids: &[u32]) -> Rollout {
    let n = ids.len();
    Rollout {
        id: id.into(),
        group,
        parts: BTreeMap::new(),
        reward,
        validity: if reward > 0.0 {
            Validity::Ok
        } else {
            Validity::PolicyFailed
        },
        end: EndReason::Answered,
        turns: 1,
        rows: vec![Row {
            ids: ids.to_vec(),
            mask: (0..n).map(|j| j > 0).collect(),
            logp_sampler: vec![-0.5; n],
            ..Row::default()
        }],
        breaks: Vec::new(),
    }
}
