//! Parameter arithmetic: a model plus what training changed in another one.

use hone_engine::Weights;
use serde::Serialize;

/// Why weights cannot be combined.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ArithmeticError {
    /// The models differ in shape.
    #[error(
        "model {which} has another shape than the base: its parameters do not stand for the same things. Combine models of one architecture, vocabulary and size."
    )]
    Shape {
        /// Which one, in words.
        which: String,
    },
    /// A scale is no number.
    #[error("the scale {0} is not a finite number. Give one, such as 1.")]
    Scale(f64),
    /// A result is no number.
    #[error("a parameter of {0} would not be a finite number. Use a smaller scale.")]
    NotFinite(String),
}

/// A difference of two models, scaled: `scale` (`plus` - `minus`).
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// After training.
    pub plus: &'a Weights,
    /// Before.
    pub minus: &'a Weights,
    /// The factor, lambda.
    pub scale: f64,
}

/// How two directions in weight space lie to each other, of one tensor or of all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Angle {
    /// The tensor; `all` for all of them.
    pub tensor: String,
    /// Cosine; 0 where one of them is 0.
    pub cosine: f64,
    /// Length of the first over that of the second; 0 where that is 0.
    pub ratio: f64,
}

fn same_shape(base: &Weights, other: &Weights, which: &str) -> Result<(), ArithmeticError> {
    // Where they are in the flat order, and what they are called, is what the configuration says.
    if base.config == other.config {
        return Ok(());
    }
    Err(ArithmeticError::Shape { which: which.into() })
}

/// theta = base + sum of scale (plus - minus), parameter by parameter in f64.
///
/// One difference with scale 1 is PaST's skill vector (arXiv 2601.11258: base an SFT of the target, plus the source after RL, minus the source after
/// SFT); with base = minus it is a task vector (Ilharco et al. 2023, arXiv 2212.04089); base = minus = A, plus = B and scale t is the merge
/// (1 - t) A + t B. A scale of 0 gives the base bit by bit.
///
/// # Errors
/// When shapes differ, or a result is not finite.
pub fn combine(base: &Weights, differences: &[Difference<'_>]) -> Result<Weights, ArithmeticError> {
    for (difference, n) in differences.iter().zip(1..) {
        same_shape(base, difference.plus, &format!("{n} to add"))?;
        same_shape(base, difference.minus, &format!("{n} to subtract"))?;
        if !difference.scale.is_finite() {
            return Err(ArithmeticError::Scale(difference.scale));
        }
    }
    let mut out = base.clone();
    out.update(|params| {
        for (i, param) in params.iter_mut().enumerate() {
            let moved = differences.iter().map(|it| {
                let by = f64::from(it.plus.params()[i]) - f64::from(it.minus.params()[i]);
                if it.scale == 0.0 { 0.0 } else { it.scale * by }
            });
            let by: f64 = moved.sum();
            if by != 0.0 {
                *param = (f64::from(*param) + by) as f32;
            }
        }
    });
    let broken = |range: &std::ops::Range<usize>| out.params()[range.clone()].iter().any(|p| !p.is_finite());
    match out.layout.tensors.iter().find(|tensor| broken(&tensor.range)) {
        Some(tensor) => Err(ArithmeticError::NotFinite(tensor.name.clone())),
        None => Ok(out),
    }
}

/// The angle between plus - minus and `other`.1 - `other`.0, over all parameters first and then by tensor. PaST's evidence is that what SFT and RL change
/// is nearly orthogonal; compare with the angle between two SFTs, as any two unrelated changes are.
///
/// # Errors
/// When shapes differ.
pub fn angles(first: (&Weights, &Weights), second: (&Weights, &Weights)) -> Result<Vec<Angle>, ArithmeticError> {
    for (weights, which) in [(first.1, "2"), (second.0, "3"), (second.1, "4")] {
        same_shape(first.0, weights, which)?;
    }
    let of = |range: std::ops::Range<usize>, tensor: &str| {
        let change = |(before, after): (&Weights, &Weights), i: usize| {
            f64::from(after.params()[i]) - f64::from(before.params()[i])
        };
        let (mut dot, mut one, mut two) = (0.0, 0.0, 0.0);
        for i in range {
            let (a, b) = (change(first, i), change(second, i));
            dot += a * b;
            one += a * a;
            two += b * b;
        }
        Angle {
            tensor: tensor.into(),
            cosine: if one > 0.0 && two > 0.0 {
                dot / (one.sqrt() * two.sqrt())
            } else {
                0.0
            },
            ratio: if two > 0.0 { (one / two).sqrt() } else { 0.0 },
        }
    };
    let layout = &first.0.layout;
    let all = of(0..layout.len, "all");
    let each = layout
        .tensors
        .iter()
        .map(|tensor| of(tensor.range.clone(), &tensor.name));
    Ok(std::iter::once(all).chain(each).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_engine::{Architecture, Config};
    use hone_trace::Stream;

    fn config(vocab_size: usize) -> Config {
        Config {
            vocab_size,
            hidden_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 4,
            intermediate_size: 12,
            rope_theta: 1e4,
            rms_norm_eps: 1e-6,
            max_position_embeddings: 16,
            model_type: Architecture::Qwen2,
            tie_word_embeddings: true,
            rope_scaling: None,
        }
    }

    /// All parameters 0 but the first ones.
    fn weights(first: &[f32]) -> Weights {
        let mut out = Weights::random(config(11), &Stream::new(1)).unwrap();
        out.update(|params| {
            params.fill(0.0);
            params[..first.len()].copy_from_slice(first);
        });
        out
    }

    #[test]
    fn golden_skill_vector() {
        let (base, sft, rl) = (weights(&[0.0; 3]), weights(&[1.0, 0.0, 0.0]), weights(&[1.0, 0.5, 0.0]));
        let target = weights(&[0.0, 0.0, 2.0]);
        let with = |scale| {
            let out = combine(
                &target,
                &[Difference {
                    plus: &rl,
                    minus: &sft,
                    scale,
                }],
            )
            .unwrap();
            out.params()[..3].to_vec()
        };
        assert_eq!(with(1.0), [0.0, 0.5, 2.0]);
        assert_eq!(with(0.5), [0.0, 0.25, 2.0]);
        assert_eq!(with(0.0), target.params()[..3]);
        let angle = &angles((&base, &sft), (&sft, &rl)).unwrap()[0];
        assert_eq!((angle.cosine, angle.ratio), (0.0, 2.0));
        let own = &angles((&sft, &rl), (&sft, &rl)).unwrap()[0];
        assert!((own.cosine - 1.0).abs() < 1e-12 && own.ratio == 1.0);
    }

    #[test]
    fn a_difference_leads_from_one_to_the_other() {
        let [a, b] = [1, 2].map(|seed| Weights::random(config(11), &Stream::new(seed)).unwrap());
        let there = combine(
            &a,
            &[Difference {
                plus: &b,
                minus: &a,
                scale: 1.0,
            }],
        )
        .unwrap();
        assert_eq!(there.params(), b.params());
        let half = combine(
            &a,
            &[Difference {
                plus: &b,
                minus: &a,
                scale: 0.5,
            }],
        )
        .unwrap();
        let mean = |i: usize| (a.params()[i] + b.params()[i]) / 2.0;
        assert!((0..half.params().len()).all(|i| (half.params()[i] - mean(i)).abs() < 1e-6));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (a, b) = (weights(&[1.0]), Weights::random(config(12), &Stream::new(1)).unwrap());
        let with = |plus, scale| combine(&a, &[Difference { plus, minus: &a, scale }]).unwrap_err();
        assert!(
            with(&b, 1.0)
                .to_string()
                .starts_with("model 1 to add has another shape")
        );
        assert!(matches!(with(&a, f64::NAN), ArithmeticError::Scale(_)));
        assert!(matches!(with(&weights(&[3e38]), 1e3), ArithmeticError::NotFinite(_)));
    }
}
