//! Search over texts in memory: by words (BM25), by vectors, and by both fused.
//!
//! [`Index`] is the whole: documents with stable ids in, ranked [`Hit`]s out. Its parts stand alone as well: [`Bm25`] over
//! tantivy, [`Vectors`], [`fuse`] for rankings. Vectors come from an [`Embedder`]: [`HashedNgrams`] needs
//! nothing but the texts and is lexical, [`CommandEmbedder`] asks a command over JSON lines (docs/protocol.md), behind which
//! any sentence embedder can stand. [`tools`] is what retrieves a model's tools out of thousands.
//!
//! Invariants:
//! * The same texts in the same order and the same query give the same hits with the same scores, whatever ran before and
//!   however many threads search. Equal scores are ordered by the document's place in the index.
//! * Vectors are searched exactly: what makes a search fast never changes what it finds.
//! * An index never changes once built, and any number of threads may search it.
//! * Texts, queries and an embedder's answers are hostile: bounded, checked, and never a panic.
//!
//! Deliberately not here: files and other sources of documents, and indexes that are larger than memory.

mod bm25;
mod command;
mod embed;
mod error;
mod fusion;
mod hashed;
mod index;
mod nearest;
mod rank;
pub mod tools;
mod vectors;
mod words;

pub use bm25::Bm25;
pub use command::CommandEmbedder;
pub use embed::{Embedder, Purpose};
pub use error::SearchError;
pub use fusion::{RRF_K, fuse};
pub use hashed::HashedNgrams;
pub use index::{Document, Hit, Index, Method};
pub use rank::{Ranked, best};
pub use vectors::Vectors;
pub use words::words;
