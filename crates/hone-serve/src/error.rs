//! Errors in OpenAI's shape.

use hone_model::ModelError;
use http::StatusCode;
use serde_json::{Value, json};

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address} ({source}); choose another address, such as 127.0.0.1:0")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Everybody could come in.
    #[error(
        "everybody who reaches {0} could use the model; ask for a token with `--bearer-env NAME`, or listen on 127.0.0.1"
    )]
    Open(std::net::SocketAddr),
    /// The model's tokens are of no use here.
    #[error("the model cannot be served: {0}")]
    Model(String),
}

/// What a client is told.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    field: Option<String>,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            field: None,
            message: message.into(),
        }
    }

    /// A field is wrong.
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
        }
    }

    /// The request as a whole is wrong.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!(
            "the request has more than {limit} bytes; send less, or start the server with a larger --request-bytes"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
    }

    pub(crate) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request_error",
            "the request did not come in time",
        )
    }

    pub(crate) fn not_found(path: &str) -> Self {
        let path: String = path.chars().take(100).collect();
        let message = format!(
            "there is no {path:?} here; see /v1/chat/completions, /v1/completions, /v1/models, /tokenize, /detokenize, /metrics, /health"
        );
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    pub(crate) fn method(method: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request_error",
            format!("use {method}"),
        )
    }

    pub(crate) fn no_model(name: &str, have: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        Self {
            code: Some("model_not_found"),
            field: Some("model".into()),
            ..Self::new(
                StatusCode::NOT_FOUND,
                "invalid_request_error",
                format!("the model {name:?} is not here; ask for {have:?}"),
            )
        }
    }

    pub(crate) fn busy() -> Self {
        Self {
            code: Some("server_busy"),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                "too many requests wait already; try again later",
            )
        }
    }

    pub(crate) fn unauthorized() -> Self {
        Self {
            code: Some("invalid_api_key"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                "a bearer token is wanted",
            )
        }
    }

    pub(crate) fn host() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "invalid_request_error",
            "this server answers only to its own address",
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.field, "code": self.code}})
    }
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        let message = error.to_string();
        match error {
            ModelError::ContextOverflow { .. } | ModelError::TooLong(_) => Self {
                code: Some("context_length_exceeded"),
                field: Some("messages".into()),
                ..Self::request(message)
            },
            ModelError::Render(_) | ModelError::Refused(_) => Self::request(message),
            ModelError::Unavailable(_) | ModelError::NotFinite { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
            }
        }
    }
}
