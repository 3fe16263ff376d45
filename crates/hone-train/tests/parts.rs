//! A part of a method that this crate does not know.

use hone_train::stages::{
    Batch, BatchObjective, Context, Method, Part, PartType, Registry, Rollout, Row, StageError, Term, TokenAdvantages,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Doubles the advantage of the last token, and quarters the weight of every token in the loss.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastToken {
    factor: f64,
}

impl PartType for LastToken {
    const NAME: &'static str = "last_token";
    const ABOUT: &'static str = "More for the last token";
}

impl Part for LastToken {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        if self.factor > 0.0 {
            return Ok(());
        }
        Err(StageError::Setting {
            key: format!("{at}.factor"),
            got: self.factor.to_string(),
            allowed: "a number > 0".into(),
        })
    }

    fn advantage(
        &self,
        _: &mut [Rollout],
        advantages: &mut TokenAdvantages,
        _: &Context<'_>,
    ) -> Result<Option<Value>, StageError> {
        for last in advantages.iter_mut().flatten().filter_map(|row| row.last_mut()) {
            *last *= self.factor;
        }
        Ok(Some(json!({ "factor": self.factor })))
    }

    fn changes_terms(&self) -> bool {
        true
    }

    fn terms(&self, _: &Batch<'_>, terms: &mut [Vec<Term>]) -> Result<(), StageError> {
        terms.iter_mut().flatten().for_each(|term| term.factor *= 0.25);
        Ok(())
    }
}

fn rollout(id: &str, reward: f64) -> Rollout {
    Rollout {
        id: id.into(),
        reward,
        rows: vec![Row {
            ids: vec![1, 2, 3],
            mask: vec![false, true, true],
            logp_sampler: vec![0.0, -1.0, -1.0],
            ..Row::default()
        }],
        ..Rollout::default()
    }
}

#[test]
fn a_part_from_outside_takes_part() {
    let mut registry = Registry::standard();
    registry.add::<LastToken>();
    let overrides = json!({"parts": {"last_token": {"factor": 2}}, "advantage": {"scale": "none"}});
    let method = Method::resolve_in(&registry, "grpo", &overrides).unwrap();
    assert_eq!(
        serde_json::to_value(&method).unwrap()["parts"],
        json!({"last_token": {"factor": 2.0}})
    );

    let prepared = method.prepare(vec![rollout("a", 1.0), rollout("b", 0.0)]).unwrap();
    assert_eq!(prepared.rows[0].advantage, [0.0, 0.5, 1.0]);
    assert!(
        prepared
            .reports
            .iter()
            .any(|r| r.stage == "advantage" && r.part.as_deref() == Some("last_token"))
    );
    let batch = BatchObjective::of(&prepared.channels, &method.parts, &prepared.rows, &[], 0).unwrap();
    let loss = batch.row(0, prepared.rows[0].row.old(), &[]).unwrap();
    // Four tokens in the mean, a quarter of each.
    assert_eq!(loss.dlogp, [0.0, -0.5 / 16.0, -1.0 / 16.0]);
}

#[test]
fn its_settings_are_as_strict_as_all_others() {
    let mut registry = Registry::standard();
    registry.add::<LastToken>();
    for (parts, message) in [
        (json!({"last_token": {"factor": 0}}), "`parts.last_token.factor` is 0"),
        (json!({"last_token": {"factr": 1}}), "unknown field `factr`"),
        (json!({"last_token": 3}), "`parts.last_token` cannot be 3"),
        (json!({"last_tokens": {}}), "there is no setting `parts.last_tokens`"),
        (json!([]), "`parts` cannot be []"),
    ] {
        let error = Method::resolve_in(&registry, "grpo", &json!({ "parts": parts }))
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
    let without = Method::resolve("grpo", &json!({"parts": {"last_token": {"factor": 1}}}));
    assert!(without.is_err());
}
