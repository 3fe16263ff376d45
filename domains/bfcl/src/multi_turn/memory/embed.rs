//! Texts as vectors.

use sha2::{Digest, Sha256};

/// Makes vectors of texts, whose inner product says how alike they are.
pub trait Embedder: std::fmt::Debug + Send + Sync {
    /// Its name and version, for the record of a score.
    fn name(&self) -> &str;

    /// Whether it answers at once and in this process.
    fn quick(&self) -> bool {
        true
    }

    /// The vector of a text, of length 1 (or 0 where the text says nothing). All its vectors have one dimension.
    ///
    /// # Errors
    /// When it is lost. That is nobody's mistake: the world cannot go on.
    fn embed(&self, text: &str) -> Result<Vec<f32>, String>;
}

/// Words and their letters, counted: alike are texts that share words or parts of words, whatever they mean.
///
/// The original embeds with the model `all-MiniLM-L6-v2`, so scores and, with them, the order of what is found differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lexical;

/// As many as the original's model has.
const DIMENSION: usize = 384;

impl Embedder for Lexical {
    fn name(&self) -> &str {
        "lexical/1"
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, String> {
        let mut vector = vec![0f32; DIMENSION];
        let mut add = |feature: &str, weight: f32| {
            let digest = Sha256::digest(feature.as_bytes());
            let place = usize::from(digest[0]) << 8 | usize::from(digest[1]);
            let sign = if digest[2] & 1 == 0 { weight } else { -weight };
            vector[place % DIMENSION] += sign;
        };
        let text = text.to_lowercase();
        for word in text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            add(word, 1.0);
            let letters: Vec<char> = std::iter::once('^').chain(word.chars()).chain(['$']).collect();
            let share = 0.5 / letters.len() as f32;
            for three in letters.windows(3) {
                add(&three.iter().collect::<String>(), share);
            }
        }
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm > 0.0 {
            vector.iter_mut().for_each(|x| *x /= norm);
        }
        Ok(vector)
    }
}

/// The inner product.
pub(super) fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_share_words_are_more_alike() {
        let alike = |a: &str, b: &str| product(&Lexical.embed(a).unwrap(), &Lexical.embed(b).unwrap());
        assert!((alike("My cat is ill.", "my CAT is ill") - 1.0).abs() < 1e-5);
        let near = alike("the customer lives in Seattle", "Where does she live? In Seattle");
        assert!(near > alike("the customer lives in Seattle", "a corner dent"));
        assert_eq!(alike("", "anything"), 0.0);
    }
}
