//! What can go wrong in building an index or searching it.

/// Why there is no index, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Two documents have the same id.
    #[error("two documents have the id `{0}`; ids must differ, since hits are named by them")]
    DuplicateId(String),
    /// A text is too long.
    #[error("the text of document `{id}` has {bytes} bytes, and {most} are the most; split it into passages")]
    TooLong {
        /// The document.
        id: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// Too many documents.
    #[error("{0} documents are more than one index holds; split them")]
    TooMany(usize),
    /// The index has no vectors.
    #[error("this index was built without an embedder, so it can only be searched by `bm25`")]
    NoVectors,
    /// An embedder's answer is unusable.
    #[error("the embedder `{embedder}` {what}")]
    Embedder {
        /// Its name.
        embedder: String,
        /// What is wrong, and how to mend it.
        what: String,
    },
    /// An embedder that is a command failed.
    #[error(transparent)]
    Command(#[from] hone_external::ExternalError),
    /// The library of inverted indexes failed.
    #[error("the word index failed: {0}")]
    Words(#[from] tantivy::TantivyError),
}
