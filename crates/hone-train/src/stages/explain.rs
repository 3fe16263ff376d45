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
    #[serde(default)]
    micro: BTreeMap<String, u32>,
    #[serde(default)]
    step: u64,
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
/// "updates": {rollout id: number}, "micro": {rollout id: number}, "step": number}`; all but `preset` and `rollouts` may be left out. A rollout
/// without `now` is taken at its old log-probabilities (ratio 1) and entropy 0. Each update is a batch of its own; without `updates` all rollouts
/// are one. `micro` numbers the micro-batches within an update, and `step` is that of the training.
///
/// Output: `{"preset", "stages": [{"stage", "part", "kept", "dropped": [{"id", "reason"}], "values"}], "tokens": [{"rollout", "pos", "advantage",
/// "ratio", "clip", "weight", "loss", "grad"}], "loss"}`. `pos` counts over the rollout's rows in order; `loss` of a token is its part of the whole
/// (`weight` included), and `grad` the derivative of the whole with respect to its log-probability. A token of a further channel of the loss has
/// its name in `channel`; a `part` is named where a part did it.
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
    let have: BTreeMap<&str, usize> = input.rollouts.iter().map(|r| (r.id.as_str(), r.rows.len())).collect();
    for (id, rows) in &input.now {
        let has = have.get(id.as_str()).copied();
        if has != Some(rows.len()) {
            let has = has.unwrap_or(0);
            let got = rows.len();
            return Err(StageError::Input(format!(
                "`now` gives {got} rows of rollout `{id}`, which has {has}"
            )));
        }
    }
    let prepared = method.prepare_at(input.step, input.rollouts)?;
    let mut updates: BTreeMap<u32, Vec<TrainRow>> = BTreeMap::new();
    let kept = prepared.rows.len();
    for row in prepared.rows {
        let update = input.updates.get(&row.rollout).copied().unwrap_or_default();
        updates.entry(update).or_default().push(row);
    }
    let mut tokens = Vec::new();
    let mut loss = 0.0;
    for rows in updates.values() {
        let micro: Vec<u32> = rows
            .iter()
            .map(|row| input.micro.get(&row.rollout).copied().unwrap_or_default())
            .collect();
        let mut batch = BatchObjective::of(&prepared.channels, &method.parts, rows, &micro, input.step)?;
        let now = rows.iter().map(|row| {
            let now = input
                .now
                .get(&row.rollout)
                .and_then(|rows| rows.get(row.index as usize));
            match now {
                Some(now) => (now.logp.clone(), now.entropy.clone()),
                None => {
                    let old: Vec<f64> = row.row.old().iter().map(|&l| f64::from(l)).collect();
                    let zero = vec![0.0; old.len()];
                    (old, zero)
                }
            }
        });
        let (logp, entropy): (Vec<_>, Vec<_>) = now.unzip();
        if batch.needs_observation() {
            batch.observe(&logp, &entropy)?;
        }
        for (i, row) in rows.iter().enumerate() {
            loss += batch.row(i, &logp[i], &entropy[i])?.loss;
            let start = starts[&(row.rollout.clone(), row.index)];
            for (j, token) in batch.tokens(i, &logp[i], &entropy[i])? {
                let mut line = json!({
                    "rollout": row.rollout,
                    "pos": start + j,
                    "advantage": token.advantage,
                    "ratio": token.ratio,
                    "clip": token.clipped,
                    "weight": token.weight,
                    "loss": token.loss,
                    "grad": token.dl,
                });
                if row.channel > 0 {
                    line["channel"] = json!(prepared.channels[row.channel as usize].name);
                }
                tokens.push(line);
            }
        }
    }
    let mut stages = prepared.reports;
    stages.push(StageReport::new(
        "objective",
        kept,
        Vec::new(),
        json!({ "settings": method.objective, "parts": method.parts, "tokens": tokens.len(), "updates": updates.len() }),
    ));
    Ok(json!({ "preset": input.preset, "stages": stages, "tokens": tokens, "loss": loss }))
}
