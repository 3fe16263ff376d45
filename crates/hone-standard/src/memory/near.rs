//! Notes by likeness.

use crate::embedder::embedder;
use hone_search::{Embedder, Purpose, SearchError};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The vectors of the notes, by key.
#[derive(Clone)]
pub struct Near {
    embedder: Arc<dyn Embedder>,
    vectors: BTreeMap<String, Arc<[f32]>>,
}

impl std::fmt::Debug for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Near")
            .field("embedder", &self.embedder.name())
            .field("notes", &self.vectors.len())
            .finish()
    }
}

impl Near {
    /// No vectors yet; by a command, or by words and pieces of words.
    ///
    /// # Errors
    /// When the command does not start.
    pub fn new(command: Option<&[String]>, folder: &Path) -> Result<Self, String> {
        Ok(Self {
            embedder: embedder(command, folder, [])?,
            vectors: BTreeMap::new(),
        })
    }

    /// What makes the vectors, for digests.
    pub fn about(&self) -> String {
        format!("{} {}", self.embedder.name(), self.embedder.version())
    }

    /// Take a note up, or the new text of one.
    ///
    /// # Errors
    /// When what makes vectors fails.
    pub fn put(&mut self, key: &str, text: &str) -> Result<(), SearchError> {
        let vector = self.vector(&format!("{key}\n{text}"), Purpose::Document)?;
        self.vectors.insert(key.to_owned(), vector);
        Ok(())
    }

    /// Leave a note out.
    pub fn remove(&mut self, key: &str) {
        self.vectors.remove(key);
    }

    /// The keys of the notes that are most like a text, best first, with the cosine; equal ones by key.
    ///
    /// # Errors
    /// When what makes vectors fails.
    pub fn find(&self, text: &str, limit: usize) -> Result<Vec<(&str, f32)>, SearchError> {
        let query = self.vector(text, Purpose::Query)?;
        let cosine = |vector: &[f32]| vector.iter().zip(query.iter()).map(|(a, b)| a * b).sum::<f32>();
        let mut found: Vec<(&str, f32)> = self
            .vectors
            .iter()
            .map(|(key, vector)| (key.as_str(), cosine(vector)))
            .collect();
        // What has nothing in common with the text is not found.
        found.retain(|(_, cosine)| *cosine > 0.0);
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        found.truncate(limit);
        Ok(found)
    }

    fn vector(&self, text: &str, purpose: Purpose) -> Result<Arc<[f32]>, SearchError> {
        let vectors = self.embedder.embed(&[text], purpose)?;
        Ok(vectors.row(0).unwrap_or_default().into())
    }
}
