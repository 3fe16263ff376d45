//! F6: a number of rows that divides evenly.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stages::error::check;
use crate::stages::{Method, Part, PartType, RowStage, StageError};

/// F6: the last rows are dropped until their number is a multiple of `multiple` (verl-based trainers, for the world size or the mini-batch; ours
/// needs it only to compare with them). Advantages are not computed again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The divisor.
    pub multiple: u32,
}

impl PartType for Cut {
    const NAME: &'static str = "cut";
    const ABOUT: &'static str = "F6: drop the last rows until their number is a multiple";
}

impl Part for Cut {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        check(self.multiple > 1, &format!("{at}.multiple"), self.multiple, "2 or more")
    }

    fn rows(&self, stage: &mut RowStage<'_>) -> Result<Option<Value>, StageError> {
        let n = self.multiple as usize;
        let keep = stage.rows.len() / n * n;
        stage.retain(|at, _| (at >= keep).then(|| format!("beyond {keep}, the last multiple of {n}")));
        Ok(Some(json!({})))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::long;
    use super::*;
    use crate::stages::Rollout;

    #[test]
    fn the_rest_goes_with_a_reason() {
        let method = Method::resolve("grpo", &json!({"parts": {"cut": {"multiple": 2}}})).unwrap();
        let rollouts = (0..5).map(|i| Rollout {
            id: format!("{i}"),
            reward: f64::from(i),
            ..long(1)
        });
        let prepared = method.prepare(rollouts.collect()).unwrap();
        let last = prepared.reports.last().unwrap();
        assert_eq!(
            (prepared.rows.len(), last.kept, last.dropped[0].id.as_str()),
            (4, 4, "4#0")
        );
        assert_eq!(last.part.as_deref(), Some("cut"));
    }
}
