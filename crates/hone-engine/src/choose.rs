//! Choosing a token from logits.

use crate::kernels;
use hone_trace::{SamplingSettings, TokenId};

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Its id.
    pub token: TokenId,
    /// Log-probability under the raw distribution, in nats.
    pub logprob: f32,
    /// Log-probability under the distribution that was sampled from; `None` when that is the raw one, or greedy.
    pub sampled_logprob: Option<f32>,
    /// Entropy of the distribution that was sampled from (of the raw one when greedy), in nats.
    pub entropy: f32,
}

/// Choose by the settings; `uniform` is a number in [0, 1). `logits` is used as scratch.
///
/// Greedy takes the lowest id among equals. Otherwise: temperature, then the `top_k` likeliest, then the smallest set of
/// the likeliest whose probability reaches `top_p` (Holtzman et al. 2020), renormalised.
pub fn choose(logits: &mut [f32], settings: &SamplingSettings, uniform: f64) -> Choice {
    if settings.temperature <= 0.0 {
        kernels::log_softmax(logits, 1.0);
        let (mut token, mut best) = (0, f32::NEG_INFINITY);
        for (i, &l) in logits.iter().enumerate() {
            if l > best {
                (token, best) = (i, l);
            }
        }
        return Choice {
            token: token as TokenId,
            logprob: best,
            sampled_logprob: None,
            entropy: kernels::entropy(logits),
        };
    }
    let plain = settings.temperature == 1.0 && settings.top_k == 0 && settings.top_p >= 1.0;
    if plain {
        kernels::log_softmax(logits, 1.0);
        let token = draw(logits, uniform);
        return Choice {
            token: token as TokenId,
            logprob: logits[token],
            sampled_logprob: None,
            entropy: kernels::entropy(logits),
        };
    }
    let mut raw = logits.to_vec();
    kernels::log_softmax(&mut raw, 1.0);
    kernels::log_softmax(logits, 1.0 / settings.temperature);
    if settings.top_k > 0 || settings.top_p < 1.0 {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
        let mut keep = if settings.top_k > 0 {
            order.len().min(settings.top_k as usize)
        } else {
            order.len()
        };
        let mut mass = 0.0;
        for (n, i) in order[..keep].iter().enumerate() {
            mass += f64::from(logits[*i]).exp();
            if mass >= f64::from(settings.top_p) {
                keep = n + 1;
                break;
            }
        }
        for i in &order[keep..] {
            logits[*i] = f32::NEG_INFINITY;
        }
        kernels::log_softmax(logits, 1.0);
    }
    let token = draw(logits, uniform);
    Choice {
        token: token as TokenId,
        logprob: raw[token],
        sampled_logprob: Some(logits[token]),
        entropy: kernels::entropy(logits),
    }
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
            stream: String::new(),
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
        let pick = |s: &SamplingSettings, u: f64| choose(&mut logits.clone(), s, u);
        assert_eq!(pick(&settings(0.0, 1.0, 0), 0.9).token, 1);
        assert_eq!(pick(&settings(1.0, 1.0, 1), 0.99).token, 1);
        let nucleus = settings(1.0, 0.7, 0);
        assert_eq!(pick(&nucleus, 0.0).token, 1);
        let c = pick(&nucleus, 0.999);
        assert_eq!(c.token, 2);
        assert!((c.sampled_logprob.unwrap() - (0.3f32 / 0.8).ln()).abs() < 1e-6);
        assert!((c.logprob - 0.3f32.ln()).abs() < 1e-6);
    }
}
