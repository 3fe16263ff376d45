//! Texts that end an answer, wherever the borders of tokens lie.

use hone_model::Vocabulary;
use hone_trace::TokenId;
use std::sync::Arc;

/// Looks for texts in an answer under way.
pub(super) struct Stops {
    vocabulary: Arc<Vocabulary>,
    texts: Vec<Vec<u8>>,
    /// The end of the answer, as long as a text could still begin in it.
    tail: Vec<u8>,
    longest: usize,
}

impl Stops {
    /// `texts` are not empty.
    pub(super) fn new(vocabulary: Arc<Vocabulary>, texts: Vec<&String>) -> Self {
        Self {
            vocabulary,
            longest: texts.iter().map(|text| text.len()).max().unwrap_or(0),
            texts: texts.into_iter().map(|text| text.clone().into_bytes()).collect(),
            tail: Vec::new(),
        }
    }

    /// Whether the answer holds one of the texts after this token.
    pub(super) fn after(&mut self, token: TokenId) -> bool {
        self.tail.extend_from_slice(self.vocabulary.bytes(token));
        let found = self
            .texts
            .iter()
            .any(|text| self.tail.windows(text.len()).any(|window| window == text));
        let keep = self.tail.len().min(self.longest.saturating_sub(1));
        self.tail.drain(..self.tail.len() - keep);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_across_tokens() {
        let tokens = ["ab", "c", "\n", "\nUs", "er"].map(|text| Some(text.as_bytes().to_vec()));
        let vocabulary = Arc::new(Vocabulary {
            text: tokens.to_vec(),
            special: Vec::new(),
        });
        let stop = String::from("\n\nUser");
        let mut stops = Stops::new(vocabulary, vec![&stop]);
        let found: Vec<bool> = [0, 2, 1, 2, 3, 4].into_iter().map(|token| stops.after(token)).collect();
        assert_eq!(found, [false, false, false, false, false, true]);
    }
}
