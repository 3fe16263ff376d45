//! Credit to the tokens at which samples of a task part ways.

use std::collections::BTreeMap;

use super::Row;

/// Token advantages of a group's samples from the tree of their tokens. Our own; it is not GRPO.
///
/// Let V(p) be the mean reward of the samples whose token sequence begins with the prefix p. Token j of a sample with tokens x gets
///
/// > A_j = V(x_1 … x_j) - V(x_1 … x_{j-1})
///
/// so tokens on which all samples agree get 0, and the first one that leaves the others gets the difference it made. Observations are part of
/// the prefix: a sampled token is not credited for what the world then answered. The sum of A over all tokens of a sample is
/// V(its whole sequence) - mean of the group, which is R - mean if no other sample's sequence begins with it; the sum over sampled tokens is the
/// same where the world answers the same calls in the same way. Rows of a sample follow one another, each opened by a mark of its own.
///
/// It fits tasks whose right answers are few: where samples differ in wording from the first token on, it degenerates to crediting that token.
///
/// Takes `(rows, reward)` per sample; returns per sample, per row, per token, on all tokens. Time is linear in the tokens that are shared.
pub fn prefix_tree(samples: &[(&[Row], f64)]) -> Vec<Vec<Vec<f64>>> {
    let mut out: Vec<Vec<Vec<f64>>> = samples
        .iter()
        .map(|(rows, _)| rows.iter().map(|row| vec![0.0; row.ids.len()]).collect())
        .collect();
    if samples.is_empty() {
        return out;
    }
    let value = |members: &[usize]| members.iter().map(|&i| samples[i].1).sum::<f64>() / members.len() as f64;
    let everyone: Vec<usize> = (0..samples.len()).collect();
    let root = value(&everyone);
    let mut open = vec![(everyone, Place::default(), root)];
    while let Some((members, place, before)) = open.pop() {
        let mut branches: BTreeMap<Step, Vec<usize>> = BTreeMap::new();
        for &i in &members {
            if let Some(step) = place.step(samples[i].0) {
                branches.entry(step).or_default().push(i);
            }
        }
        for (step, branch) in branches {
            // Summed anew only where some left: equal members must give exactly 0.
            let after = if branch.len() == members.len() {
                before
            } else {
                value(&branch)
            };
            if let Step::Token(_) = step {
                for &i in &branch {
                    out[i][place.row][place.token] = after - before;
                }
            }
            // Alone, nothing changes any more.
            if branch.len() > 1 {
                open.push((branch, place.after(step), after));
            }
        }
    }
    out
}

/// The next thing in a sample's sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Token(u32),
    NextRow,
}

/// Where in its rows a sample is.
#[derive(Clone, Copy, Default)]
struct Place {
    row: usize,
    token: usize,
}

impl Place {
    fn step(self, rows: &[Row]) -> Option<Step> {
        match rows.get(self.row)?.ids.get(self.token) {
            Some(&id) => Some(Step::Token(id)),
            None => (self.row + 1 < rows.len()).then_some(Step::NextRow),
        }
    }

    fn after(self, step: Step) -> Self {
        match step {
            Step::Token(_) => Self {
                token: self.token + 1,
                ..self
            },
            Step::NextRow => Self {
                row: self.row + 1,
                token: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(ids: &[u32]) -> Row {
        Row {
            ids: ids.to_vec(),
            mask: vec![true; ids.len()],
            logp_sampler: vec![0.0; ids.len()],
            ..Row::default()
        }
    }

    #[test]
    fn the_first_divergence_gets_the_credit() {
        let rows = [
            [row(&[7, 1, 2, 3])],
            [row(&[7, 1, 5, 3])],
            [row(&[7, 4, 2, 3])],
            [row(&[7, 4, 2, 3])],
        ];
        let samples: Vec<(&[Row], f64)> = rows.iter().map(|r| &r[..]).zip([1.0, 0.0, 0.0, 0.0]).collect();
        let tree = prefix_tree(&samples);
        assert_eq!(tree[0], [[0.0, 0.25, 0.5, 0.0]]);
        assert_eq!(tree[1], [[0.0, 0.25, -0.5, 0.0]]);
        assert_eq!(tree[2], [[0.0, -0.25, 0.0, 0.0]]);
        assert_eq!(tree[3], tree[2]);
    }

    #[test]
    fn a_split_at_a_row_boundary_credits_no_token() {
        // The second sample goes on in a new row, the first in the same one.
        let (one, two) = ([row(&[1, 2, 3])], [row(&[1, 2]), row(&[1, 9])]);
        let tree = prefix_tree(&[(&one, 1.0), (&two, 0.0)]);
        assert_eq!(tree[0], [vec![0.0, 0.0, 0.5]]);
        assert_eq!(tree[1], [vec![0.0, 0.0], vec![0.0, 0.0]]);
    }

    #[test]
    fn few_samples() {
        assert!(prefix_tree(&[]).is_empty());
        let alone = [row(&[1, 2])];
        assert_eq!(prefix_tree(&[(&alone, 0.7)]), [[[0.0, 0.0]]]);
        assert_eq!(
            prefix_tree(&[(&[], 1.0), (&alone, 0.0)]),
            [vec![], vec![vec![-0.5, 0.0]]]
        );
    }

    proptest! {
        /// Where the sequence decides the reward, the advantages of a sample add up to R - mean.
        #[test]
        fn telescopes(sequences in prop::collection::vec(prop::collection::vec(0u32..3, 0..12), 1..12), seed in 0u64..1000) {
            // An end token that occurs nowhere else keeps a sequence from being a prefix of another.
            let ended = |s: &Vec<u32>| { let mut s = s.clone(); s.push(99); s };
            let reward = |s: &[u32]| (s.iter().fold(seed, |h, &t| h.wrapping_mul(31).wrapping_add(u64::from(t))) % 7) as f64 / 6.0;
            let rows: Vec<[Row; 1]> = sequences.iter().map(|s| [row(&ended(s))]).collect();
            let samples: Vec<(&[Row], f64)> = rows.iter().map(|r| (&r[..], reward(&r[0].ids))).collect();
            let mean = samples.iter().map(|(_, r)| r).sum::<f64>() / samples.len() as f64;
            for ((_, r), rows) in samples.iter().zip(prefix_tree(&samples)) {
                let total: f64 = rows.iter().flatten().sum();
                prop_assert!((total - (r - mean)).abs() < 1e-12, "{total} is not {r} - {mean}");
            }
        }
    }
}
