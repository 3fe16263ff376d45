//! What a method makes of given rollouts, token by token.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{BatchObjective, Method, Rollout, StageError, StageReport, TrainRow};

/// The input of [`explain`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    preset: String,
    #[serde(default = "no_overrides")]
    method: Value,
    rollouts: Vec<Rollout>,
    #[serde(default)]
    now: BTreeMap<String, Vec<Now>>,
    #[serde(default)]
    updates: BTreeMap<String, u32>,
}

fn no_overrides() -> Value {
    json!({})
}

/// One row's log-probabilities and entropies under the policy now.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Now {
    logp: Vec<f64>,
    #[serde(default)]
    entropy: Vec<f64>,
}

/// Runs a method over rollouts and shows every stage and every sampled token.
///
/// Input: `{"preset": name, "method": {overrides}, "rollouts": [Rollout], "now": {rollout id: [{"logp", "entropy"} per row]},
/// "updates": {rollout id: number}}`; all but `preset` and `rollouts` may be left out. A rollout without `now` is taken at its old
/// log-probabilities (ratio 1) and entropy 0. Each update is a batch of its own; without `updates` all rollouts are one.
///
/// Output: `{"preset", "stages": [{"stage", "kept", "dropped": [{"id", "reason"}], "values"}], "tokens": [{"rollout", "pos", "advantage", "ratio",
/// "clip", "weight", "loss", "grad"}], "loss"}`. `pos` counts over the rollout's rows in order; `loss` of a token is its part of the whole
/// (`weight` included), and `grad` the derivative of the whole with respect to its log-probability.
pub fn explain(input: &Value) -> Result<Value, StageError> {
    let input = Input::deserialize(input).map_err(|error| StageError::Input(error.to_string()))?;
    let method = Method::resolve(&input.preset, &input.method)?;
    let mut starts = BTreeMap::new();
    for rollout in &input.rollouts {
        let mut start = 0;
        for (row, index) in rollout.rows.iter().zip(0u32..) {
            starts.insert((rollout.id.clone(), index), start);
            start += row.ids.len();
        }
    }
    for (id, rows) in &input.now {
        let has = input.rollouts.iter().find(|r| r.id == *id).map(|r| r.rows.len());
        if has != Some(rows.len()) {
            let has = has.unwrap_or(0);
            let got = rows.len();
            return Err(StageError::Input(format!(
                "`now` gives {got} rows of rollout `{id}`, which has {has}"
            )));
        }
    }
    let prepared = method.prepare(input.rollouts)?;
    let mut updates: BTreeMap<u32, Vec<TrainRow>> = BTreeMap::new();
    let kept = prepared.rows.len();
    for row in prepared.rows {
        let update = input.updates.get(&row.rollout).copied().unwrap_or_default();
        updates.entry(update).or_default().push(row);
    }
    let mut tokens = Vec::new();
    let mut loss = 0.0;
    let batches: Vec<BatchObjective> = updates
        .values()
        .map(|rows| BatchObjective::new(&method.objective, rows, &[]))
        .collect::<Result<_, _>>()?;
    for (batch, i) in batches
        .iter()
        .flat_map(|batch| (0..batch.rows().len()).map(move |i| (batch, i)))
    {
        let row = &batch.rows()[i];
        let at_old: Vec<f64>;
        let at_zero: Vec<f64>;
        let (logp, entropy) = match input
            .now
            .get(&row.rollout)
            .and_then(|rows| rows.get(row.index as usize))
        {
            Some(now) => (&now.logp, &now.entropy),
            None => {
                at_old = row.row.old().iter().map(|&l| f64::from(l)).collect();
                at_zero = vec![0.0; at_old.len()];
                (&at_old, &at_zero)
            }
        };
        loss += batch.row(i, logp, entropy)?.loss;
        let start = starts[&(row.rollout.clone(), row.index)];
        for j in (0..logp.len()).filter(|&j| row.row.mask[j]) {
            let token = batch.token(i, j, logp[j], entropy.get(j).copied().unwrap_or(0.0));
            tokens.push(json!({
                "rollout": row.rollout,
                "pos": start + j,
                "advantage": row.advantage[j],
                "ratio": token.ratio,
                "clip": token.clipped,
                "weight": token.weight,
                "loss": token.loss,
                "grad": token.dl,
            }));
        }
    }
    let mut stages = prepared.reports;
    stages.push(StageReport::new(
        "objective",
        kept,
        Vec::new(),
        json!({ "settings": method.objective, "tokens": tokens.len(), "updates": updates.len() }),
    ));
    Ok(json!({ "preset": input.preset, "stages": stages, "tokens": tokens, "loss": loss }))
}
