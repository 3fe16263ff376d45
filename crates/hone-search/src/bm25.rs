//! Ranking by words.

use crate::words::{analyzer, beginning, words};
use crate::{Ranked, SearchError, best};
use std::collections::HashMap;
use tantivy::directory::RamDirectory;
use tantivy::postings::Postings;
use tantivy::query::Bm25Weight;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{DocSet, Index, Searcher, TERMINATED, TantivyDocument, Term};

const ANALYZER: &str = "words";
/// How many different words of a query count, the first ones: a bound on what one query can cost.
const QUERY_WORDS: usize = 256;
/// Bytes of a query that are read.
const QUERY_BYTES: usize = 64 * 1024;
const WRITER_BYTES: usize = 64 << 20;

/// An index of words in memory, over tantivy.
///
/// The score of a text d for a query with words q is Σ_q n(q) · idf(q) · f · (k1 + 1) / (f + k1 · (1 − b + b · |d| / avg)),
/// where f is how often q is in d, n(q) how often it is in the query, |d| the number of words of d, avg their mean, k1 =
/// 1.2, b = 0.75 and idf(q) = ln(1 + (N − n + 0.5) / (n + 0.5)) for N texts of which n have q (Robertson and Zaragoza,
/// "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, with Lucene's idf, which is never negative). Lengths above 40 words are
/// rounded down to one of 256 steps, as in Lucene.
pub struct Bm25 {
    searcher: Searcher,
    field: Field,
    rows: usize,
}

impl std::fmt::Debug for Bm25 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bm25").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Bm25 {
    /// An index of these texts; rows are counted in their order.
    ///
    /// # Errors
    /// When there are more than fit one index.
    pub fn build<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, SearchError> {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(ANALYZER)
            .set_index_option(IndexRecordOption::WithFreqs);
        let field = schema.add_text_field("text", TextOptions::default().set_indexing_options(indexing));
        let mut builder = Index::builder().schema(schema.build());
        let tokenizers = tantivy::tokenizer::TokenizerManager::default();
        tokenizers.register(ANALYZER, analyzer());
        builder = builder.tokenizers(tokenizers);
        // One segment, whose documents are in the order of adding: the ordinary writer's threads would deal them out.
        let mut writer =
            builder.single_segment_index_writer::<TantivyDocument>(RamDirectory::create(), WRITER_BYTES)?;
        let mut rows = 0;
        for text in texts {
            if rows >= i32::MAX as usize {
                return Err(SearchError::TooMany(rows));
            }
            let mut document = TantivyDocument::default();
            document.add_text(field, text);
            writer.add_document(document)?;
            rows += 1;
        }
        let searcher = writer.finalize()?.reader()?.searcher();
        Ok(Self { searcher, field, rows })
    }

    /// How many texts it has.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The `k` best texts that have a word of the query, among the rows that `keep` takes.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn search(&self, query: &str, k: usize, keep: &dyn Fn(usize) -> bool) -> Result<Vec<Ranked>, SearchError> {
        let sums = self.scores(query)?;
        let found = sums
            .iter()
            .enumerate()
            .filter(|(row, sum)| **sum > 0.0 && keep(*row))
            .map(|(row, sum)| Ranked { row, score: *sum });
        Ok(best(found, k))
    }

    /// The score of each text, in the order of building; 0 where it has no word of the query.
    pub(crate) fn scores(&self, query: &str) -> Result<Vec<f32>, SearchError> {
        let query = beginning(query, QUERY_BYTES);
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut order = Vec::new();
        for word in words(query) {
            if order.len() == QUERY_WORDS && !counts.contains_key(&word) {
                continue;
            }
            let count = counts.entry(word.clone()).or_insert(0);
            if *count == 0 {
                order.push(word);
            }
            *count += 1;
        }
        // Word by word into one sum per text, always in the query's order: so equal texts have equal scores to the bit.
        let mut sums = vec![0.0_f32; self.rows];
        for segment in self.searcher.segment_readers() {
            let index = segment.inverted_index(self.field)?;
            let lengths = segment.get_fieldnorms_reader(self.field)?;
            let average = index.total_num_tokens() as f32 / self.rows as f32;
            for word in &order {
                let term = Term::from_field_text(self.field, word);
                let Some(mut postings) = index
                    .read_postings(&term, IndexRecordOption::WithFreqs)
                    .map_err(tantivy::TantivyError::from)?
                else {
                    continue;
                };
                let texts = index.doc_freq(&term).map_err(tantivy::TantivyError::from)?;
                let weight = Bm25Weight::for_one_term_without_explain(texts.into(), self.rows as u64, average)
                    .boost_by(counts.get(word).copied().unwrap_or(1) as f32);
                let mut row = postings.doc();
                while row != TERMINATED {
                    if let Some(sum) = sums.get_mut(row as usize) {
                        *sum += weight.score(lengths.fieldnorm_id(row), postings.term_freq());
                    }
                    row = postings.advance();
                }
            }
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] = [
        "red apple red",
        "green apple tree house",
        "blue sky",
        "tree tree tree green sky red",
    ];

    /// Against the formula of [`Bm25`], written out anew over words that no stemmer changes.
    fn by_hand(query: &[(&str, f64)], row: usize) -> f64 {
        let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let all: Vec<Vec<String>> = TEXTS.iter().map(|text| split(text)).collect();
        let (n, average) = (4.0, (3.0 + 4.0 + 2.0 + 6.0) / 4.0);
        query
            .iter()
            .map(|(word, times)| {
                let with = all.iter().filter(|text| text.iter().any(|w| w == word)).count() as f64;
                let f = all[row].iter().filter(|w| w == word).count() as f64;
                let idf = (1.0 + (n - with + 0.5) / (with + 0.5)).ln();
                times * idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * all[row].len() as f64 / average))
            })
            .sum()
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let index = Bm25::build(TEXTS).unwrap();
        let hits = index.search("red tree", 10, &|_| true).unwrap();
        assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [3, 0, 1]);
        // One of them in numbers: "red" is in 2 of 4 texts, so idf = ln 2; twice in row 0, whose length is 3 of 3.75 on
        // average: 0.693147 · 2 · 2.2 / (2 + 1.2 · 0.85) = 1.009887.
        assert!((hits[1].score - 1.009_887).abs() < 1e-5, "{hits:?}");
        for hit in &hits {
            let expected = by_hand(&[("red", 1.0), ("tree", 1.0)], hit.row);
            assert!(
                (f64::from(hit.score) - expected).abs() < 1e-5,
                "{hit:?} instead of {expected}"
            );
        }
        let twice = index.search("red tree RED", 1, &|row| row == 0).unwrap();
        assert!((f64::from(twice[0].score) - by_hand(&[("red", 2.0)], 0)).abs() < 1e-5);
    }

    #[test]
    fn only_what_is_kept_is_found_and_equal_texts_keep_their_order() {
        let index = Bm25::build(["a fish", "a bird", "a fish", "a fish"]).unwrap();
        let rows = |hits: Vec<Ranked>| hits.iter().map(|hit| hit.row).collect::<Vec<_>>();
        assert_eq!(rows(index.search("fish", 2, &|_| true).unwrap()), [0, 2]);
        assert_eq!(rows(index.search("fish", 9, &|row| row != 2).unwrap()), [0, 3]);
    }

    #[test]
    fn nothing_in_nothing_out() {
        let empty = Bm25::build([]).unwrap();
        assert_eq!(empty.search("word", 5, &|_| true).unwrap(), []);
        let index = Bm25::build(["", "word"]).unwrap();
        assert_eq!(index.search("", 5, &|_| true).unwrap(), []);
        assert_eq!(index.search(&"other ".repeat(100_000), 5, &|_| true).unwrap(), []);
    }
}
