//! Documents with ids, searched by words, by vectors or by both.

use crate::nearest::{Bounds, Nearest};
use crate::{Bm25, Embedder, Purpose, Ranked, SearchError, Vectors, best, fuse};
use std::collections::HashSet;
use std::sync::Arc;

/// Bytes of one document's text.
const TEXT_BYTES: usize = 1 << 20;
/// How many of each ranking enter a fusion, at least.
const FUSED_DEPTH: usize = 100;

/// A text with its name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Document {
    /// What hits call it: differs from every other's.
    pub id: String,
    /// What is searched.
    pub text: String,
}

/// How to rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By shared words ([`Bm25`]).
    Bm25,
    /// By the cosine of vectors.
    Dense,
    /// Both, by reciprocal-rank fusion ([`fuse`]) of the first 100 of each (or of as many as are asked for).
    Fused,
}

/// A document that was found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// Its place in the index, counted from 0.
    pub row: usize,
    /// Its score in the method's own unit; only the order within one answer means something.
    pub score: f32,
}

/// An index in memory. Never changes once built.
pub struct Index {
    ids: Vec<String>,
    bm25: Bm25,
    dense: Option<(Arc<dyn Embedder>, Nearest)>,
}

/// What each document has to do with a query.
pub(crate) struct Scored<'a> {
    method: Method,
    /// The sum over its words.
    words: Vec<f32>,
    /// The product of both vectors.
    vectors: Option<Bounds<'a>>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let embedder = self.dense.as_ref().map(|(embedder, _)| embedder.name());
        f.debug_struct("Index")
            .field("documents", &self.ids.len())
            .field("embedder", &embedder)
            .finish()
    }
}

impl Index {
    /// Index these documents; without an embedder, by words alone.
    ///
    /// # Errors
    /// When two have one id, one is too long, or the embedder fails.
    pub fn build(documents: &[Document], embedder: Option<Arc<dyn Embedder>>) -> Result<Self, SearchError> {
        let mut seen = HashSet::new();
        for document in documents {
            if !seen.insert(document.id.as_str()) {
                return Err(SearchError::DuplicateId(document.id.clone()));
            }
            if document.text.len() > TEXT_BYTES {
                return Err(SearchError::TooLong {
                    id: document.id.clone(),
                    bytes: document.text.len(),
                    most: TEXT_BYTES,
                });
            }
        }
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        let bm25 = Bm25::build(texts.iter().copied())?;
        let dense = match embedder {
            None => None,
            Some(embedder) => {
                let vectors = embed(embedder.as_ref(), &texts, Purpose::Document)?;
                Some((embedder, Nearest::over(vectors)))
            }
        };
        Ok(Self {
            ids: documents.iter().map(|document| document.id.clone()).collect(),
            bm25,
            dense,
        })
    }

    /// How many documents it has.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The id of a document, by its place.
    pub fn id(&self, row: usize) -> Option<&str> {
        self.ids.get(row).map(String::as_str)
    }

    /// What makes its vectors, if it has some.
    pub fn embedder(&self) -> Option<&dyn Embedder> {
        self.dense.as_ref().map(|(embedder, _)| embedder.as_ref())
    }

    /// The best method that it can do.
    pub fn method(&self) -> Method {
        if self.dense.is_some() {
            Method::Fused
        } else {
            Method::Bm25
        }
    }

    /// The `k` best documents, best first; equal ones in the order of building.
    ///
    /// # Errors
    /// When the method needs vectors and there are none, or the embedder fails.
    pub fn search(&self, query: &str, k: usize, method: Method) -> Result<Vec<Hit>, SearchError> {
        self.search_among(query, k, method, &|_| true)
    }

    /// As [`search`](Self::search), among the documents at the places that `keep` takes.
    ///
    /// # Errors
    /// As there.
    pub fn search_among(
        &self,
        query: &str,
        k: usize,
        method: Method,
        keep: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<Hit>, SearchError> {
        let vector = match method {
            Method::Bm25 => Vec::new(),
            Method::Dense | Method::Fused => self.embed_query(query)?,
        };
        self.search_embedded(query, &vector, k, method, keep)
    }

    /// The vector of a query, for [`search_embedded`](Self::search_embedded): where many searches share it, or its making
    /// is to be timed by itself.
    ///
    /// # Errors
    /// When there is no embedder, or it fails.
    pub fn embed_query(&self, query: &str) -> Result<Vec<f32>, SearchError> {
        let (embedder, _) = self.dense.as_ref().ok_or(SearchError::NoVectors)?;
        let vectors = embed(embedder.as_ref(), &[query], Purpose::Query)?;
        Ok(vectors.row(0).unwrap_or_default().to_vec())
    }

    /// As [`search_among`](Self::search_among), with the query's vector (which `bm25` does not look at).
    ///
    /// # Errors
    /// When the method needs vectors and there are none.
    pub fn search_embedded(
        &self,
        query: &str,
        vector: &[f32],
        k: usize,
        method: Method,
        keep: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<Hit>, SearchError> {
        let scored = self.score(query, vector, method)?;
        let ranked = scored.best(k, self.ids.len(), &|row| keep(row).then_some(row));
        let hit = |Ranked { row, score }: &Ranked| {
            Some(Hit {
                id: self.ids.get(*row)?.clone(),
                row: *row,
                score: *score,
            })
        };
        Ok(ranked.iter().filter_map(hit).collect())
    }

    /// Score every document once, for as many rankings as are wanted.
    ///
    /// # Errors
    /// As [`search_embedded`](Self::search_embedded).
    pub(crate) fn score<'a>(
        &'a self,
        query: &str,
        vector: &'a [f32],
        method: Method,
    ) -> Result<Scored<'a>, SearchError> {
        let words = match method {
            Method::Bm25 | Method::Fused => self.bm25.scores(query)?,
            Method::Dense => Vec::new(),
        };
        let vectors = match (method, &self.dense) {
            (Method::Bm25, _) => None,
            (_, Some((_, nearest))) => Some(nearest.bounds(vector)),
            (_, None) => return Err(SearchError::NoVectors),
        };
        Ok(Scored { method, words, vectors })
    }
}

impl Scored<'_> {
    /// The `k` best of `groups` groups of documents, each by its best document. `group` tells the group of a document, if it
    /// is one of those.
    pub fn best(&self, k: usize, groups: usize, group: &dyn Fn(usize) -> Option<usize>) -> Vec<Ranked> {
        let words = |k| {
            let mut sums = vec![0.0_f32; groups];
            for (row, sum) in self.words.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
                if let Some(held) = group(row).and_then(|group| sums.get_mut(group)) {
                    *held = held.max(*sum);
                }
            }
            let found = sums.iter().enumerate().filter(|(_, sum)| **sum > 0.0);
            best(found.map(|(row, score)| Ranked { row, score: *score }), k)
        };
        let vectors = |k| match &self.vectors {
            Some(vectors) => vectors.best(k, groups, group),
            None => Vec::new(),
        };
        match self.method {
            Method::Bm25 => words(k),
            Method::Dense => vectors(k),
            Method::Fused => {
                let depth = k.max(FUSED_DEPTH);
                fuse(&[&words(depth), &vectors(depth)], k)
            }
        }
    }
}

/// Vectors of which there are as many as texts, of the dimension that was promised.
fn embed(embedder: &dyn Embedder, texts: &[&str], purpose: Purpose) -> Result<Vectors, SearchError> {
    let vectors = embedder.embed(texts, purpose)?;
    if vectors.dimension() != embedder.dimension() || vectors.len() != texts.len() {
        return Err(SearchError::Embedder {
            embedder: embedder.name().to_owned(),
            what: format!(
                "gave {} vectors of {} numbers for {} texts, where {} numbers were promised",
                vectors.len(),
                vectors.dimension(),
                texts.len(),
                embedder.dimension()
            ),
        });
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashedNgrams;

    fn documents(texts: &[&str]) -> Vec<Document> {
        let document = |(at, text): (usize, &&str)| Document {
            id: format!("d{at}"),
            text: (*text).to_owned(),
        };
        texts.iter().enumerate().map(document).collect()
    }

    fn index(texts: &[&str]) -> Index {
        let embedder = HashedNgrams::fit(texts.iter().copied(), 256);
        Index::build(&documents(texts), Some(Arc::new(embedder))).unwrap()
    }

    const TEXTS: [&str; 5] = [
        "weather forecast for a city",
        "stock price of a company",
        "forecasting of sales",
        "translate a text",
        "city map",
    ];

    #[test]
    fn each_method_finds_and_fusion_is_of_both_rankings() {
        let index = index(&TEXTS);
        let rows = |method| -> Vec<Ranked> {
            let hits = index.search("city forecats", 5, method).unwrap();
            hits.iter()
                .map(|hit| Ranked {
                    row: hit.row,
                    score: hit.score,
                })
                .collect()
        };
        let (words, dense, fused) = (rows(Method::Bm25), rows(Method::Dense), rows(Method::Fused));
        // The misspelled word is no word of any text, so BM25 has the two texts with a city, the shorter first.
        assert_eq!(words.iter().map(|ranked| ranked.row).collect::<Vec<_>>(), [4, 0]);
        assert_eq!(dense.len(), 5);
        assert_eq!(fused, fuse(&[&words, &dense], 5));
        assert_eq!(index.search("city", 1, Method::Fused).unwrap()[0].id, "d4");
    }

    #[test]
    fn constraints_hold_in_each_method() {
        let index = index(&TEXTS);
        for method in [Method::Bm25, Method::Dense, Method::Fused] {
            let hits = index
                .search_among("weather city map", 5, method, &|row| row % 2 == 1)
                .unwrap();
            assert!(hits.iter().all(|hit| hit.row % 2 == 1), "{hits:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut twice = documents(&["a", "b"]);
        twice[1].id = "d0".to_owned();
        let error = Index::build(&twice, None).unwrap_err().to_string();
        assert!(error.contains("`d0`"), "{error}");
        let long = "x".repeat(TEXT_BYTES + 1);
        let error = Index::build(&documents(&[&long]), None).unwrap_err().to_string();
        assert!(error.contains("split it"), "{error}");
        let words = Index::build(&documents(&TEXTS), None).unwrap();
        assert!(matches!(
            words.search("a", 1, Method::Fused),
            Err(SearchError::NoVectors)
        ));
        assert_eq!(words.method(), Method::Bm25);
        assert_eq!(index(&TEXTS).search("?!", 3, Method::Fused).unwrap(), []);
    }
}
