//! Texts as vectors.

use crate::{SearchError, Vectors};

/// What a text is to be embedded for. Some models are trained to embed queries differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To be found.
    Document,
    /// To find with.
    Query,
}

/// Something that makes vectors of texts, whose dot products say how alike the texts are.
pub trait Embedder: Send + Sync {
    /// Its name, for the record.
    fn name(&self) -> &str;

    /// Its version, for the record: what gives other vectors has another one.
    fn version(&self) -> &str;

    /// Numbers per vector.
    fn dimension(&self) -> usize;

    /// A vector for each text, in their order: of length 1, or of zeros where there is nothing to tell. The same text gives
    /// the same vector, whatever else is asked.
    ///
    /// # Errors
    /// When it fails, or its answer is none.
    fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vectors, SearchError>;
}

/// Bring a vector to length 1; one of zeros stays.
///
/// # Errors
/// The first place that holds no finite number.
pub(crate) fn normalize(vector: &mut [f32]) -> Result<(), usize> {
    if let Some(place) = vector.iter().position(|value| !value.is_finite()) {
        return Err(place);
    }
    // In f64, where no square of an f32 overflows or vanishes.
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector
            .iter_mut()
            .for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
    Ok(())
}
