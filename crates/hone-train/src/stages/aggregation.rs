//! How the losses of tokens become one number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::TrainRow;

/// How the losses X of tokens become one number. Only sampled tokens count; rows without any count nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregationMode {
    /// L1: sum of X / number of tokens (DAPO).
    #[default]
    TokenMean,
    /// L2: mean over rows of the sum of X.
    SeqMeanTokenSum,
    /// L3: mean over rows of the mean of X (GRPO as in its paper).
    SeqMeanTokenMean,
    /// L4: sum of X / `pad`, a constant length (Dr. GRPO). It grows with the number of rows.
    SumOverPad,
    /// L5: mean over rows of the sum of X / number of tokens of the row's group (SPEAR's code, `seq-norm-token-sum`).
    GroupTokenSum,
    /// L6: mean over rollouts of the mean over their turns of the mean of X (Flow-GRPO, arXiv 2510.05592). A turn is what
    /// [`Row::turns`](super::Row::turns) says; without, each row is one.
    RolloutTurnMean,
}

/// What the denominators of [`AggregationMode`] count over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The whole batch: the loss does not depend on how it is split.
    #[default]
    Global,
    /// Every micro-batch by itself, weighted by its share of the rows (verl under dynamic batches).
    Micro,
}

/// Aggregation of token losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aggregation {
    /// The mean.
    pub mode: AggregationMode,
    /// Its scope.
    pub scope: Scope,
    /// Length that `sum_over_pad` divides by: the bound on a response's tokens. 0 with any other mode.
    pub pad: u32,
}

/// The weight of each token of each row, 0 where it was not sampled.
///
/// `micro[i]` is the micro-batch of row i; empty means one. Scope `global` ignores it.
pub(super) fn weights(aggregation: &Aggregation, rows: &[&TrainRow], micro: &[u32]) -> Vec<Vec<f64>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.row.sampled()).collect();
    let part = |i: usize| match aggregation.scope {
        Scope::Global => 0,
        Scope::Micro => micro.get(i).copied().unwrap_or(0),
    };
    // Of each part: rows and tokens, rows without sampled tokens left out.
    let mut counts = BTreeMap::<u32, Count>::new();
    for (i, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        let count = counts.entry(part(i)).or_default();
        count.rows += 1.0;
        count.tokens += length as f64;
        match aggregation.mode {
            AggregationMode::GroupTokenSum => *count.groups.entry(rows[i].group).or_default() += length as f64,
            AggregationMode::RolloutTurnMean => {
                let turns = count.turns.entry(rows[i].rollout.as_str()).or_default();
                turns.extend(turns_of(rows[i]).map(|(_, turn)| (rows[i].index, turn)));
            }
            _ => {}
        }
    }
    let all: f64 = counts.values().map(|count| count.rows).sum();
    let row = |i: usize| -> Vec<f64> {
        let count = &counts[&part(i)];
        let train = rows[i];
        let mask = &train.row.mask;
        let even = |inner: f64| {
            let weight = inner * count.rows / all;
            mask.iter().map(|&m| if m { weight } else { 0.0 }).collect()
        };
        match aggregation.mode {
            AggregationMode::TokenMean => even(1.0 / count.tokens),
            AggregationMode::SeqMeanTokenSum => even(1.0 / count.rows),
            AggregationMode::SeqMeanTokenMean => even(1.0 / (count.rows * lengths[i] as f64)),
            AggregationMode::SumOverPad => even(1.0 / f64::from(aggregation.pad)),
            AggregationMode::GroupTokenSum => even(1.0 / (count.rows * count.groups[&train.group])),
            AggregationMode::RolloutTurnMean => {
                let mut tokens = BTreeMap::<u32, f64>::new();
                turns_of(train).for_each(|(_, turn)| *tokens.entry(turn).or_default() += 1.0);
                let turns = count.turns[train.rollout.as_str()].len() as f64;
                let outer = count.rows / all / (count.turns.len() as f64 * turns);
                let mut out = vec![0.0; mask.len()];
                turns_of(train).for_each(|(j, turn)| out[j] = outer / tokens[&turn]);
                out
            }
        }
    };
    (0..rows.len())
        .map(|i| {
            if lengths[i] == 0 {
                vec![0.0; rows[i].row.mask.len()]
            } else {
                row(i)
            }
        })
        .collect()
}

#[derive(Default)]
struct Count<'a> {
    rows: f64,
    tokens: f64,
    groups: BTreeMap<u64, f64>,
    /// Of each rollout: its turns, each named by its row and number.
    turns: BTreeMap<&'a str, BTreeSet<(u32, u32)>>,
}

/// Sampled tokens with the number of their turn.
fn turns_of(row: &TrainRow) -> impl Iterator<Item = (usize, u32)> + '_ {
    let sampled = row.row.mask.iter().enumerate().filter(|(_, m)| **m);
    sampled.map(|(j, _)| (j, row.row.turns.get(j).copied().unwrap_or_default()))
}
