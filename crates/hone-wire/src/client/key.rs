//! API keys: from the environment, and never to be seen.

use super::SetupError;
use http::HeaderValue;
use std::fmt;

/// Shorter keys are placeholders such as `EMPTY`, and words that occur in any text.
const SECRET_LENGTH: usize = 8;

/// A secret out of an environment variable. Nothing prints it: `Debug` shows the variable's name.
#[derive(Clone)]
pub struct Key {
    variable: String,
    value: String,
}

impl Key {
    /// The key that the variable holds.
    ///
    /// # Errors
    /// When the variable is unset or empty, or holds what no header can.
    pub fn from_env(variable: &str) -> Result<Self, SetupError> {
        let value = std::env::var(variable).unwrap_or_default().trim().to_owned();
        if value.is_empty() {
            return Err(SetupError::NoKey {
                variable: variable.to_owned(),
            });
        }
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SetupError::BadKey {
                variable: variable.to_owned(),
            });
        }
        Ok(Self {
            variable: variable.to_owned(),
            value,
        })
    }

    /// A header with `prefix` before the key.
    ///
    /// # Errors
    /// When `prefix` holds what no header can.
    pub fn header(&self, prefix: &str) -> Result<HeaderValue, SetupError> {
        let mut value = HeaderValue::try_from(format!("{prefix}{}", self.value)).map_err(|_| SetupError::BadKey {
            variable: self.variable.clone(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` with the key taken out: servers like to quote it in their errors.
    pub fn redact(&self, text: String) -> String {
        if self.value.len() < SECRET_LENGTH || !text.contains(&self.value) {
            return text;
        }
        text.replace(&self.value, &format!("${}", self.variable))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(${})", self.variable)
    }
}
