//! F4: rollouts that count in the statistics and are not learnt from.

use std::collections::BTreeMap;

use hone_trace::{EndReason, TokenId};
use serde::{Deserialize, Serialize};

use crate::stages::error::check;
use crate::stages::{Context, Method, Part, PartType, Rollout, StageError, Verdict};

/// F4 (SPEAR's Dr.BoT, arXiv 2509.22601): overlong, incomplete and repetitive rollouts keep their reward in the group's statistics and lose their
/// tokens. Single end reasons are masked by [`Select::mask_out`](crate::stages::Select::mask_out).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mask {
    /// Sampled tokens from which on a rollout is overlong; 0 is off.
    pub max_tokens: u32,
    /// Whether a rollout that ended by neither an answer nor the environment is masked.
    pub incomplete: bool,
    /// Length of a sequence of sampled tokens that must not be repeated; 0 is off. The source has 20.
    pub ngram: u32,
    /// From how many times on it counts as repeated; the source has 10. Occurrences may overlap.
    pub repeats: u32,
}

impl PartType for Mask {
    const NAME: &'static str = "mask";
    const ABOUT: &'static str = "F4: overlong, incomplete and repetitive rollouts count and are not learnt from";
}

/// Whether some `n` tokens in a row occur `repeats` times or more.
fn repetitive(tokens: &[TokenId], n: usize, repeats: usize) -> bool {
    let mut seen: BTreeMap<&[TokenId], usize> = BTreeMap::new();
    tokens.windows(n).any(|gram| {
        let count = seen.entry(gram).or_default();
        *count += 1;
        *count >= repeats
    })
}

impl Part for Mask {
    fn validate(&self, _: &Method, at: &str) -> Result<(), StageError> {
        let pair = (self.ngram > 0) == (self.repeats > 0) && (self.ngram == 0 || self.repeats > 1);
        let allowed = "2 or more with an `ngram`, 0 without";
        check(pair, &format!("{at}.repeats"), self.repeats, allowed)?;
        let idle = self.max_tokens == 0 && !self.incomplete && self.ngram == 0;
        check(
            !idle,
            at,
            "empty",
            "at least one of `max_tokens`, `incomplete`, `ngram`",
        )
    }

    fn filter(&self, rollouts: &[Rollout], _: &Context<'_>) -> Result<Option<Vec<Verdict>>, StageError> {
        let verdict = |rollout: &Rollout| {
            let sampled = rollout.sampled();
            if self.max_tokens > 0 && sampled >= self.max_tokens as usize {
                return Verdict::Mask(format!("overlong: {sampled} tokens"));
            }
            if self.incomplete && !matches!(rollout.end, EndReason::Answered | EndReason::Terminal) {
                return Verdict::Mask("incomplete".into());
            }
            let own = |row: &crate::stages::Row| -> Vec<TokenId> {
                let sampled = row.ids.iter().zip(&row.mask).filter(|(_, m)| **m);
                sampled.map(|(id, _)| *id).collect()
            };
            let (n, repeats) = (self.ngram as usize, self.repeats as usize);
            if n > 0 && rollout.rows.iter().any(|row| repetitive(&own(row), n, repeats)) {
                return Verdict::Mask(format!("repetitive: {n} tokens in a row occur {repeats} times"));
            }
            Verdict::Keep
        };
        Ok(Some(rollouts.iter().map(verdict).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::near;
    use super::*;
    use serde_json::json;

    #[test]
    fn repeated_sequences_are_found() {
        let tokens: Vec<u32> = (0..10).flat_map(|_| [1, 2, 3]).collect();
        assert!(repetitive(&tokens, 3, 10));
        assert!(!repetitive(&tokens, 3, 11));
        assert!(!repetitive(&tokens[..2], 3, 1));
    }

    #[test]
    fn a_masked_rollout_still_shifts_the_mean() {
        let settings = json!({"parts": {"mask": {"max_tokens": 3}}, "advantage": {"scale": "none"}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let rollouts = [1.0, 0.0, 0.0, 0.0]
            .into_iter()
            .zip([2, 2, 2, 3])
            .enumerate()
            .map(|(i, (reward, tokens))| Rollout {
                id: format!("{i}"),
                reward,
                ..super::super::testing::long(tokens)
            });
        let prepared = method.prepare(rollouts.collect()).unwrap();
        let firsts: Vec<f64> = prepared.rows.iter().map(|row| row.advantage[1]).collect();
        assert_eq!(firsts.len(), 3);
        near(firsts[0], 0.75, 0.0);
        near(firsts[1], -0.25, 0.0);
        let rows = prepared.reports.iter().find(|r| r.stage == "rows").unwrap();
        assert_eq!(rows.dropped[0].id, "3#0");
        assert_eq!(rows.dropped[0].reason, "masked out: overlong: 3 tokens");
    }
}
