//! The embedder that needs nothing.

use crate::embed::normalize;
use crate::words::words;
use crate::{Embedder, Purpose, SearchError, Vectors};
use std::collections::{HashMap, HashSet};

/// Lengths of the pieces of words, in characters, with a mark at both ends.
const PIECES: std::ops::RangeInclusive<usize> = 3..=5;
/// What a piece of a word counts beside a word.
const PIECE: f32 = 0.5;

/// Words and pieces of words, hashed into a vector and weighted by how rare they are in a corpus.
///
/// **Lexical, not semantic**: texts are alike when they share words or parts of words ("forecast" and "forecasting", also
/// misspelled), never because they mean the same. It needs no download and no training, and gives the dense half of a search
/// something to do that BM25 does not. For meaning, put a trained model behind [`CommandEmbedder`](crate::CommandEmbedder).
///
/// Each feature (a stem, or 3 to 5 characters of a word with `<` and `>` at its ends, as in Bojanowski et al., "Enriching
/// Word Vectors with Subword Information", 2017) adds (1 + ln f) · idf to one place of the vector, with a sign; place and
/// sign come from its hash (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009). f is how often
/// the text has it and idf = ln((1 + N) / (1 + n)) + 1 over the N texts of the corpus, n of which have it. Pieces count
/// half. The vector is then brought to length 1.
#[derive(Debug)]
pub struct HashedNgrams {
    dimension: usize,
    texts: usize,
    /// In how many texts of the corpus a feature is.
    counts: HashMap<u64, u32>,
    version: String,
}

impl HashedNgrams {
    /// Learn how rare features are from a corpus, usually the documents that are searched.
    pub fn fit<'a>(corpus: impl IntoIterator<Item = &'a str>, dimension: usize) -> Self {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        let mut texts = 0;
        for text in corpus {
            texts += 1;
            let different: HashSet<u64> = features(text).into_iter().map(|(feature, _)| feature).collect();
            for feature in different {
                *counts.entry(feature).or_default() += 1;
            }
        }
        // Of all counts together, in no order: what was learned is part of what the vectors are.
        let learned = counts.iter().fold(0_u64, |sum, (feature, count)| {
            sum.wrapping_add(mix(feature ^ u64::from(*count)))
        });
        Self {
            dimension: dimension.max(1),
            texts,
            counts,
            version: format!("1/{dimension}/{learned:016x}"),
        }
    }

    fn one(&self, text: &str) -> Vec<f32> {
        let mut found: HashMap<u64, (f32, f32)> = HashMap::new();
        let mut order = Vec::new();
        for (feature, weight) in features(text) {
            let (times, _) = found.entry(feature).or_insert_with(|| {
                order.push(feature);
                (0.0, weight)
            });
            *times += 1.0;
        }
        let mut vector = vec![0.0; self.dimension];
        for feature in order {
            let Some((times, weight)) = found.get(&feature) else {
                continue;
            };
            let with = self.counts.get(&feature).copied().unwrap_or(0);
            let idf = ((1.0 + self.texts as f32) / (1.0 + with as f32)).ln() + 1.0;
            let sign = if feature >> 63 == 0 { 1.0 } else { -1.0 };
            let place = (feature & (u64::MAX >> 1)) % self.dimension as u64;
            if let Some(value) = vector.get_mut(place as usize) {
                *value += sign * weight * (1.0 + times.ln()) * idf;
            }
        }
        vector
    }
}

impl Embedder for HashedNgrams {
    fn name(&self) -> &str {
        "hashed-ngrams"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn embed(&self, texts: &[&str], _purpose: Purpose) -> Result<Vectors, SearchError> {
        let mut flat = Vec::with_capacity(texts.len() * self.dimension);
        for text in texts {
            let mut vector = self.one(text);
            // Finite: each place is a sum of at most as many bounded terms as the text has characters.
            let _ = normalize(&mut vector);
            flat.extend_from_slice(&vector);
        }
        Ok(Vectors::new(self.dimension, flat))
    }
}

/// The features of a text with their weights, in its order.
fn features(text: &str) -> Vec<(u64, f32)> {
    let mut features = Vec::new();
    for word in words(text) {
        features.push((hash("w", &word), 1.0));
        let marked: Vec<char> = std::iter::once('<')
            .chain(word.chars())
            .chain(std::iter::once('>'))
            .collect();
        for length in PIECES {
            // A piece that is the whole word says nothing new.
            if length < marked.len() {
                let pieces = marked.windows(length).map(|piece| piece.iter().collect::<String>());
                features.extend(pieces.map(|piece| (hash("p", &piece), PIECE)));
            }
        }
    }
    features
}

/// FNV-1a over both parts, then mixed: fixed for ever, since vectors may be stored.
fn hash(kind: &str, text: &str) -> u64 {
    let bytes = kind.bytes().chain(text.bytes());
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }))
}

/// The finaliser of SplitMix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::dot;

    fn cosine(embedder: &HashedNgrams, a: &str, b: &str) -> f32 {
        let vectors = embedder.embed(&[a, b], Purpose::Document).unwrap();
        dot(vectors.row(0).unwrap(), vectors.row(1).unwrap())
    }

    #[test]
    fn shared_words_and_pieces_make_texts_alike_and_rare_ones_more_so() {
        let corpus = [
            "the weather in a city",
            "the news in a city",
            "the forecast of the weather",
            "the stocks",
        ];
        let embedder = HashedNgrams::fit(corpus, 512);
        assert!((cosine(&embedder, "weather city", "city weather") - 1.0).abs() < 1e-6);
        let misspelled = cosine(&embedder, "forecats", "forecast");
        assert!(misspelled > 0.3, "{misspelled}");
        assert!(cosine(&embedder, "stocks", "weather").abs() < 0.15);
        // "the" is in every text, "stocks" in one.
        assert!(cosine(&embedder, "the stocks", "stocks") > cosine(&embedder, "the stocks", "the"));
    }

    /// "ab" alone: the features are the word and the two pieces "<ab", "ab>", all unknown to a corpus of one text, so that
    /// each weighs as above: 1, 0.5, 0.5 times the same idf. The length is √(1 + 0.25 + 0.25) of that, unless places meet.
    #[test]
    fn weights_are_those_of_the_definition() {
        let embedder = HashedNgrams::fit(["other"], 100_000);
        let vector = embedder.embed(&["ab"], Purpose::Query).unwrap();
        let mut values: Vec<f32> = vector
            .row(0)
            .unwrap()
            .iter()
            .filter(|v| **v != 0.0)
            .map(|v| v.abs())
            .collect();
        values.sort_by(f32::total_cmp);
        let length = 1.5_f32.sqrt();
        let expected = [0.5 / length, 0.5 / length, 1.0 / length];
        assert_eq!(values.len(), 3);
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn nothing_to_tell_is_zeros_and_the_version_knows_the_corpus() {
        let embedder = HashedNgrams::fit(["a b c"], 8);
        assert_eq!(
            embedder.embed(&["!?"], Purpose::Query).unwrap().row(0),
            Some(&[0.0; 8][..])
        );
        assert_eq!(embedder.version(), HashedNgrams::fit(["a b c"], 8).version());
        assert_ne!(embedder.version(), HashedNgrams::fit(["a b d"], 8).version());
    }
}
