//! W1 and W2: correct for what the sampler's numbers differ from the trainer's.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stages::error::check;
use crate::stages::{Batch, Method, Part, PartType, RowStage, StageError, Term};

/// W1: each token's policy term is multiplied by min(exp(l_old - l_roll), `cap`), a constant (truncated importance sampling). W2: a row with a token
/// of exp(l_old - l_roll) < `veto` is dropped. CM2 has cap 2 and veto 1e-4.
///
/// l_roll is what the sampler recorded, l_old the trainer's own. Where no l_old is given both are the same, as in Hone's own training, and nothing
/// changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Importance {
    /// The most that a token is multiplied by; 0 leaves W1 out.
    pub cap: f64,
    /// The least ratio of a token; 0 leaves W2 out.
    pub veto: f64,
}

impl Default for Importance {
    fn default() -> Self {
        Self { cap: 2.0, veto: 1e-4 }
    }
}

impl PartType for Importance {
    const NAME: &'static str = "importance";
    const ABOUT: &'static str = "W1, W2: correct for what the sampler's numbers differ from the trainer's";
}

fn ratio(row: &crate::stages::Row, j: usize) -> f64 {
    (f64::from(row.old()[j]) - f64::from(row.logp_sampler[j])).exp()
}

impl Part for Importance {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.cap >= 0.0 && self.cap.is_finite();
        check(ok, &format!("{at}.cap"), self.cap, "0 (off) or a number > 0")?;
        check(
            (0.0..1.0).contains(&self.veto),
            &format!("{at}.veto"),
            self.veto,
            "a number in [0, 1)",
        )?;
        let idle = self.cap == 0.0 && self.veto == 0.0;
        check(!idle, at, "empty", "`cap` or `veto`")
    }

    fn rows(&self, stage: &mut RowStage<'_>) -> Result<Option<Value>, StageError> {
        if self.veto == 0.0 {
            return Ok(None);
        }
        stage.retain(|_, row| {
            let mut sampled = (0..row.row.ids.len()).filter(|&j| row.row.mask[j]);
            let worst = sampled.find(|&j| ratio(&row.row, j) < self.veto);
            worst.map(|j| {
                format!(
                    "token {j} has a ratio of {:e}, below {:e}",
                    ratio(&row.row, j),
                    self.veto
                )
            })
        });
        Ok(Some(json!({})))
    }

    fn changes_terms(&self) -> bool {
        self.cap > 0.0
    }

    fn terms(&self, batch: &Batch<'_>, terms: &mut [Vec<Term>]) -> Result<(), StageError> {
        for (i, j) in batch.sampled().into_values().flatten() {
            terms[i][j].factor *= ratio(&batch.rows[i].row, j).min(self.cap);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{long, near, observed, row};
    use super::*;
    use crate::stages::Rollout;

    #[test]
    fn golden_weights() {
        let mut rows = [row("a", 0, &[1.0, 1.0, 1.0], &[-1.0; 3])];
        rows[0].row.logp_old = Some(vec![-0.1, -1.0, -0.5]);
        let now = [vec![-0.1, -1.0, -0.5]];
        let (tokens, _) = observed(json!({"importance": {"veto": 0}}), &rows, &[], &now, &[Vec::new()]);
        // exp(.9) = 2.4596 is capped.
        for (token, want) in tokens[0].iter().zip([2.0, 1.0, 0.5f64.exp()]) {
            near(token.loss, -want / 3.0, 1e-7);
        }
    }

    #[test]
    fn one_impossible_token_vetoes_its_row() {
        let method = Method::resolve("grpo", &json!({"parts": {"importance": {}}})).unwrap();
        let mut rollouts: Vec<Rollout> = [("a", 1.0), ("b", 0.0)]
            .map(|(id, reward)| Rollout {
                id: id.into(),
                reward,
                ..long(2)
            })
            .into();
        rollouts[1].rows[0].logp_old = Some(vec![0.0, -0.5, -10.0]);
        let prepared = method.prepare(rollouts).unwrap();
        assert_eq!(prepared.rows.len(), 1);
        let dropped = &prepared.reports.last().unwrap().dropped[0];
        assert!(dropped.id == "b#0" && dropped.reason.contains("token 2"), "{dropped:?}");
    }
}
