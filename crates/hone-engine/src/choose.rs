//! Choosing a token from logits.

use crate::kernels;
use hone_trace::{SamplingSettings, TokenId, TopToken};
use std::collections::BTreeMap;

/// A chosen token.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Its id.
    pub token: TokenId,
    /// Log-probability under the raw distribution, in nats.
    pub logprob: f32,
    /// Log-probability under the distribution that was sampled from; `None` when that is the raw one.
    /// Greedy: at temperature 1 under mask and penalties.
    pub sampled_logprob: Option<f32>,
    /// Entropy of the distribution that was sampled from (that at temperature 1 when greedy), in nats.
    pub entropy: f32,
    /// The likeliest tokens by the raw distribution, as many as the settings ask for.
    pub top: Vec<TopToken>,
}

/// What came before a choice, and what may come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before<'a> {
    /// The prompt.
    pub prompt: &'a [TokenId],
    /// The answer so far.
    pub answer: &'a [TokenId],
    /// The tokens that a grammar allows, a bit each; at least one. `None` allows all.
    pub allowed: Option<&'a [u32]>,
}

/// Choose by the settings; `uniform` is a number in [0, 1). `logits` is used as scratch.
///
/// In this order, as `transformers` has it: the grammar's mask; the repetition penalty (Keskar et al. 2019) over prompt and
/// answer; frequency and presence penalty over the answer (OpenAI's definition, as vLLM applies it); temperature; the `top_k`
/// likeliest; the smallest set of the likeliest whose share of those left reaches `top_p` (Holtzman et al. 2020); those that
/// reach `min_p` times the likeliest (Nguyen et al. 2024). What is left is renormalised. Greedy takes the lowest id among
/// equals, and knows only mask and penalties.
pub fn choose(logits: &mut [f32], settings: &SamplingSettings, before: &Before<'_>, uniform: f64) -> Choice {
    let greedy = settings.temperature <= 0.0;
    let temperature = if greedy { 1.0 } else { settings.temperature };
    let changed = before.allowed.is_some() || settings.penalises();
    let shaped = changed || !greedy && (temperature != 1.0 || settings.is_shaped());
    let raw = shaped.then(|| {
        let mut raw = logits.to_vec();
        kernels::log_softmax(&mut raw, 1.0);
        raw
    });
    if changed {
        penalise(logits, settings, before);
        if let Some(allowed) = before.allowed {
            for (i, l) in logits.iter_mut().enumerate() {
                if allowed.get(i / 32).is_none_or(|word| word >> (i % 32) & 1 == 0) {
                    *l = f32::NEG_INFINITY;
                }
            }
        }
    }
    kernels::log_softmax(logits, 1.0 / temperature);
    if !greedy {
        cut(logits, settings);
    }
    let token = if greedy {
        likeliest(logits)
    } else {
        draw(logits, uniform)
    };
    let first = raw.as_deref().unwrap_or(logits);
    Choice {
        token: token as TokenId,
        logprob: first[token],
        sampled_logprob: raw.is_some().then(|| logits[token]),
        entropy: kernels::entropy(logits),
        top: top(first, raw.is_some().then_some(&*logits), settings.top_logprobs as usize),
    }
}

fn penalise(logits: &mut [f32], settings: &SamplingSettings, before: &Before<'_>) {
    if !settings.penalises() {
        return;
    }
    let mut counts: BTreeMap<TokenId, u32> = before.prompt.iter().map(|id| (*id, 0)).collect();
    for id in before.answer {
        *counts.entry(*id).or_default() += 1;
    }
    for (id, count) in counts {
        let Some(l) = logits.get_mut(id as usize) else { continue };
        *l = if *l > 0.0 {
            *l / settings.repetition_penalty
        } else {
            *l * settings.repetition_penalty
        };
        if count > 0 {
            *l -= settings.frequency_penalty * count as f32 + settings.presence_penalty;
        }
    }
}

/// Takes out what `top_k`, `top_p` and `min_p` leave out, and renormalises.
fn cut(logp: &mut [f32], settings: &SamplingSettings) {
    let (top_k, top_p, min_p) = (settings.top_k, settings.top_p, settings.min_p);
    if top_k == 0 && top_p >= 1.0 && min_p <= 0.0 {
        return;
    }
    if top_k > 0 || top_p < 1.0 {
        let mut order: Vec<usize> = (0..logp.len()).collect();
        order.sort_by(|a, b| logp[*b].total_cmp(&logp[*a]).then(a.cmp(b)));
        let mut keep = match top_k {
            0 => order.len(),
            k => order.len().min(k as usize),
        };
        let p = |i: &usize| f64::from(logp[*i]).exp();
        let left: f64 = order[..keep].iter().map(p).sum();
        let mut mass = 0.0;
        for (n, i) in order[..keep].iter().enumerate() {
            mass += p(i);
            if mass >= f64::from(top_p) * left {
                keep = n + 1;
                break;
            }
        }
        for i in &order[keep..] {
            logp[*i] = f32::NEG_INFINITY;
        }
    }
    if min_p > 0.0 {
        let bound = logp[likeliest(logp)] + min_p.min(1.0).ln();
        for l in logp.iter_mut().filter(|l| **l < bound) {
            *l = f32::NEG_INFINITY;
        }
    }
    kernels::log_softmax(logp, 1.0);
}

/// The lowest id among the likeliest.
fn likeliest(logp: &[f32]) -> usize {
    let mut best = 0;
    for (i, l) in logp.iter().enumerate() {
        if *l > logp[best] || logp[best].is_nan() {
            best = i;
        }
    }
    best
}

/// The `n` likeliest tokens by the raw distribution.
fn top(raw: &[f32], sampled: Option<&[f32]>, n: usize) -> Vec<TopToken> {
    let n = n.min(raw.len());
    if n == 0 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..raw.len()).collect();
    let by = |a: &usize, b: &usize| raw[*b].total_cmp(&raw[*a]).then(a.cmp(b));
    if n < order.len() {
        order.select_nth_unstable_by(n, by);
        order.truncate(n);
    }
    order.sort_by(by);
    let token = |i: &usize| TopToken {
        id: *i as TokenId,
        logprob: raw[*i],
        sampled: sampled.map(|logp| logp[*i]).filter(|l| l.is_finite()),
    };
    order.iter().map(token).collect()
}

/// Inverse of the cumulative distribution, in order of ids.
fn draw(logp: &[f32], uniform: f64) -> usize {
    let mut p = logp.to_vec();
    kernels::exp_all(&mut p);
    let total: f64 = p.iter().map(|x| f64::from(*x)).sum();
    let mut left = uniform * total;
    let mut last = 0;
    for (i, &x) in p.iter().enumerate() {
        if x > 0.0 {
            last = i;
            left -= f64::from(x);
            if left < 0.0 {
                return i;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(temperature: f32, top_p: f32, top_k: u32) -> SamplingSettings {
        SamplingSettings {
            temperature,
            top_p,
            top_k,
            max_tokens: 1,
            ..SamplingSettings::default()
        }
    }

    #[test]
    fn frequencies_follow_the_distribution() {
        // p = 0.5, 0.3, 0.2 at temperature 1; squared and renormalised at temperature 0.5.
        let logits: Vec<f32> = [0.5f32, 0.3, 0.2].iter().map(|p| p.ln() + 3.0).collect();
        for (temperature, want) in [(1.0, [0.5, 0.3, 0.2]), (0.5, [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38])] {
            let mut count = [0; 3];
            for i in 0..1000 {
                let c = choose(
                    &mut logits.clone(),
                    &settings(temperature, 1.0, 0),
                    &Before::default(),
                    (f64::from(i) + 0.5) / 1000.0,
                );
                count[c.token as usize] += 1;
                let p = f64::from(c.sampled_logprob.unwrap_or(c.logprob)).exp();
                assert!((p - want[c.token as usize]).abs() < 1e-6);
                assert!((f64::from(c.logprob).exp() - [0.5, 0.3, 0.2][c.token as usize]).abs() < 1e-6);
            }
            for (n, p) in count.iter().zip(want) {
                assert!((f64::from(*n) / 1000.0 - p).abs() < 2e-3);
            }
        }
    }

    #[test]
    fn bounds_cut_the_tail() {
        let logits: Vec<f32> = [0.2f32, 0.5, 0.3].iter().map(|p| p.ln()).collect();
        let pick = |s: &SamplingSettings, u: f64| choose(&mut logits.clone(), s, &Before::default(), u);
        assert_eq!(pick(&settings(0.0, 1.0, 0), 0.9).token, 1);
        assert_eq!(pick(&settings(1.0, 1.0, 1), 0.99).token, 1);
        let nucleus = settings(1.0, 0.7, 0);
        assert_eq!(pick(&nucleus, 0.0).token, 1);
        let c = pick(&nucleus, 0.999);
        assert_eq!(c.token, 2);
        assert!((c.sampled_logprob.unwrap() - (0.3f32 / 0.8).ln()).abs() < 1e-6);
        assert!((c.logprob - 0.3f32.ln()).abs() < 1e-6);
    }

    /// What is left of a distribution, by its probabilities; found through what many draws give.
    fn left(logits: &[f32], settings: &SamplingSettings, before: &Before<'_>) -> Vec<(TokenId, f32)> {
        let mut found = BTreeMap::new();
        for i in 0..20_000 {
            let c = choose(&mut logits.to_vec(), settings, before, (f64::from(i) + 0.5) / 20_000.0);
            found.insert(c.token, c.sampled_logprob.unwrap_or(c.logprob));
        }
        found.into_iter().collect()
    }

    #[test]
    fn processors_act_one_after_another() {
        let logits = [1.0f32, -0.5, 2.0, 0.25, 1.75, -2.0];
        let settings = SamplingSettings {
            repetition_penalty: 1.5,
            temperature: 0.8,
            top_k: 4,
            top_p: 0.9,
            min_p: 0.15,
            ..SamplingSettings::default()
        };
        let before = Before {
            prompt: &[0, 1],
            answer: &[3, 3],
            allowed: None,
        };
        let p = |x: f32| (x / 0.8).exp();
        // By hand: after the penalty 0 has 2/3; k keeps {2, 4, 0, 3}; the nucleus of 0.9 is {2, 4, 0}; min-p keeps all three.
        let all = p(2.0) + p(1.75) + p(2.0 / 3.0);
        let want = [
            (0, (p(2.0 / 3.0) / all).ln()),
            (2, (p(2.0) / all).ln()),
            (4, (p(1.75) / all).ln()),
        ];
        let got = left(&logits, &settings, &before);
        assert_eq!(got.len(), 3, "{got:?}");
        for ((id, have), (want_id, want)) in got.iter().zip(want) {
            assert!(*id == want_id && (have - want).abs() < 1e-5, "{got:?}");
        }
        let narrow = SamplingSettings { min_p: 0.5, ..settings };
        assert_eq!(
            left(&logits, &narrow, &before)
                .iter()
                .map(|(id, _)| *id)
                .collect::<Vec<_>>(),
            [2, 4]
        );
    }

    #[test]
    fn penalties_are_those_of_the_answer() {
        let settings = SamplingSettings {
            presence_penalty: 0.5,
            frequency_penalty: 0.25,
            top_logprobs: 3,
            ..SamplingSettings::default()
        };
        let before = Before {
            prompt: &[0],
            answer: &[1, 1, 2],
            allowed: Some(&[0b1110]),
        };
        let logits = [3.0f32, 2.0, 1.0, 0.0];
        let c = choose(&mut logits.to_vec(), &settings, &before, 0.0);
        // Token 0 is not allowed; 1 loses 0.5 + 2 · 0.25, 2 loses 0.5 + 0.25.
        let (a, b, d) = (1f32.exp(), 0.25f32.exp(), 1f32);
        assert_eq!(c.token, 1);
        assert!((c.sampled_logprob.unwrap() - (a / (a + b + d)).ln()).abs() < 1e-5);
        let all: f32 = logits.iter().map(|x| x.exp()).sum();
        assert!((c.logprob - (2f32.exp() / all).ln()).abs() < 1e-5);
        assert_eq!(c.top.iter().map(|t| t.id).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(c.top[0].sampled.is_none() && c.top[1].sampled == c.sampled_logprob);
    }
}
