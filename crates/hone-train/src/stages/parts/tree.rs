//! G4: tokens that several leaves share get the mean of their advantages.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stages::error::check;
use crate::stages::{
    Context, Credit, Fork, Method, Need, Part, PartType, Rollout, StageError, TokenAdvantages, groups,
};

/// G4, hard (ARPO, arXiv 2507.19849): a token that the leaves D share gets the mean of A_i over i in D; every rollout of a group is a leaf, and holds
/// a copy of what it shares with the one that it was forked from. `once` learns each shared token once, in its first leaf, and not in every copy.
///
/// Soft is to leave the part out: the copies get their own leaf's advantage, and the loss averages them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tree {
    /// Whether shared tokens are learnt once.
    pub once: bool,
}

impl PartType for Tree {
    const NAME: &'static str = "tree";
    const ABOUT: &'static str = "G4: tokens that several leaves share get the mean of their advantages";
}

/// Rollout, row, token.
type Place = (usize, usize, usize);

/// By rollout, who first held each of its tokens. Parents stand in the same group, have the tokens that they share, or were
/// dropped; then their names still tell whose tokens these are.
fn owners<'a>(by_id: &BTreeMap<&'a str, &'a Rollout>) -> Result<BTreeMap<&'a str, Vec<&'a str>>, StageError> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for start in by_id.values() {
        // Parents first.
        let mut line = vec![*start];
        let mut seen = BTreeSet::from([start.id.as_str()]);
        while let Some(rollout) = line.last().copied() {
            if owners.contains_key(rollout.id.as_str()) {
                line.pop();
                continue;
            }
            let tokens = rollout.rows.iter().map(|row| row.ids.len()).sum();
            let mut own = Vec::with_capacity(tokens);
            if let Some(Fork { rollout: parent, token }) = &rollout.parent {
                match (by_id.get(parent.as_str()), owners.get(parent.as_str())) {
                    (None, _) => own.resize(*token, parent.as_str()),
                    (_, Some(theirs)) => own.extend(theirs.iter().take(*token)),
                    (Some(next), None) if seen.insert(&next.id) => {
                        line.push(next);
                        continue;
                    }
                    _ => {
                        return Err(StageError::Contradiction {
                            rollout: start.id.clone(),
                            what: "its line of parents comes back to itself".into(),
                        });
                    }
                }
            }
            own.resize(tokens, rollout.id.as_str());
            owners.insert(&rollout.id, own);
        }
    }
    Ok(owners)
}

impl Part for Tree {
    fn validate(&self, method: &Method, _: &str) -> Result<(), StageError> {
        let plain = method.advantage.credit == Credit::Rollout;
        check(plain, "advantage.credit", "prefix_tree", "rollout with parts.tree")
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Tree]
    }

    fn advantage(
        &self,
        rollouts: &mut [Rollout],
        advantages: &mut TokenAdvantages,
        _: &Context<'_>,
    ) -> Result<Option<Value>, StageError> {
        // The copies of each token, by who first held it and where.
        let mut copies: BTreeMap<(&str, usize), Vec<Place>> = BTreeMap::new();
        let by_id: BTreeMap<&str, &Rollout> = rollouts.iter().map(|it| (it.id.as_str(), it)).collect();
        for rollout in rollouts.iter() {
            let group = rollout.group;
            if let Some(Fork { rollout: parent, token }) = &rollout.parent {
                let wrong = |what: &str| StageError::Contradiction {
                    rollout: rollout.id.clone(),
                    what: what.into(),
                };
                let ids = |it: &Rollout| {
                    it.rows
                        .iter()
                        .flat_map(|row| row.ids.iter().copied())
                        .take(*token)
                        .collect::<Vec<_>>()
                };
                let own = ids(rollout);
                if own.len() < *token {
                    return Err(wrong("it has fewer tokens than it shares with its parent"));
                }
                if let Some(it) = by_id.get(parent.as_str()) {
                    if it.group != group {
                        return Err(wrong("its parent is of another group"));
                    }
                    if ids(it) != own {
                        return Err(wrong("the tokens that it shares with its parent are not the parent's"));
                    }
                }
            }
        }
        let owners = owners(&by_id)?;
        for members in groups(rollouts).into_values() {
            for i in members {
                let rollout = &rollouts[i];
                let places = rollout.rows.iter().enumerate();
                let places = places.flat_map(|(row, it)| (0..it.ids.len()).map(move |j| (row, j)));
                let owners = owners.get(rollout.id.as_str()).into_iter().flatten();
                for (at, ((row, j), owner)) in places.zip(owners).enumerate() {
                    copies.entry((*owner, at)).or_default().push((i, row, j));
                }
            }
        }
        let shared: Vec<Vec<Place>> = copies.into_values().filter(|it| it.len() > 1).collect();
        let mut left_out = BTreeSet::new();
        for leaves in &shared {
            let mean = leaves.iter().map(|&(i, row, j)| advantages[i][row][j]).sum::<f64>() / leaves.len() as f64;
            for (n, &(i, row, j)) in leaves.iter().enumerate() {
                advantages[i][row][j] = mean;
                if self.once && n > 0 && rollouts[i].rows[row].mask[j] {
                    left_out.insert((i, row, j));
                }
            }
        }
        for &(i, row, j) in &left_out {
            rollouts[i].rows[row].mask[j] = false;
            advantages[i][row][j] = 0.0;
        }
        Ok(Some(
            json!({ "shared_tokens": shared.len(), "copies_left_out": left_out.len() }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::near;
    use super::*;
    use crate::stages::Row;

    fn leaf(id: &str, reward: f64, ids: &[u32], parent: Option<(&str, usize)>) -> Rollout {
        Rollout {
            id: id.into(),
            reward,
            parent: parent.map(|(rollout, token)| Fork {
                rollout: rollout.into(),
                token,
            }),
            rows: vec![Row {
                ids: ids.to_vec(),
                mask: (0..ids.len()).map(|j| j > 0).collect(),
                logp_sampler: vec![-1.0; ids.len()],
                ..Row::default()
            }],
            ..Rollout::default()
        }
    }

    fn group() -> Vec<Rollout> {
        vec![
            leaf("a", 1.0, &[9, 1, 2], None),
            leaf("b", 0.0, &[9, 1, 3], Some(("a", 2))),
            leaf("c", 0.0, &[9, 4], None),
            leaf("d", 0.0, &[9, 5], None),
        ]
    }

    #[test]
    fn golden_shared_advantage_of_arpo() {
        let method = |once| Method::resolve("grpo", &json!({"parts": {"tree": {"once": once}}})).unwrap();
        let rows = method(false).prepare(group()).unwrap().rows;
        near(rows[0].advantage[1], 0.5, 5e-6);
        near(rows[1].advantage[1], 0.5, 5e-6);
        near(rows[0].advantage[2], 1.5, 5e-6);
        near(rows[1].advantage[2], -0.5, 5e-6);
        near(rows[2].advantage[1], -0.5, 5e-6);
        let rows = method(true).prepare(group()).unwrap().rows;
        assert_eq!((rows[0].row.sampled(), rows[1].row.sampled()), (2, 1));
        near(rows[0].advantage[1], 0.5, 5e-6);
    }

    #[test]
    fn trees_that_contradict_themselves_are_refused() {
        let method = Method::resolve("grpo", &json!({"parts": {"tree": {}}})).unwrap();
        let message = |rollouts| method.prepare(rollouts).unwrap_err().to_string();
        let mut round = group();
        round[0].parent = Some(Fork {
            rollout: "b".into(),
            token: 2,
        });
        assert!(message(round).contains("comes back to itself"));
        let mut other = group();
        other[1].rows[0].ids[1] = 7;
        assert!(message(other).contains("are not the parent's"));
        let mut short = group();
        short[1].parent = Some(Fork {
            rollout: "a".into(),
            token: 9,
        });
        assert!(message(short).contains("fewer tokens"));
    }
}
