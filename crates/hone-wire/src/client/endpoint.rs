//! Where and how to ask.

use super::{Key, SetupError};
use crate::anthropic::Anthropic;
use crate::openai::OpenAi;
use crate::{Dialect, Limits, shown};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A server, and how to treat it. Holds no secret: only names of environment variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// What it speaks.
    pub api: Api,
    /// Base URL as the official libraries take it: `https://api.openai.com/v1`, `http://localhost:8000/v1`,
    /// `https://api.anthropic.com`.
    pub base_url: String,
    /// Environment variable that holds the key. `None`: no key is sent.
    #[serde(default)]
    pub key_env: Option<String>,
    /// Header that carries the bare key, such as `x-api-key` (servers that imitate Anthropic's older ways) or `api-key`
    /// (Azure). `None`: `Authorization: Bearer`, as the official libraries of both dialects send it.
    #[serde(default)]
    pub key_header: Option<String>,
    /// More headers; none that carry secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// More headers, whose values are in these environment variables.
    #[serde(default)]
    pub header_env: BTreeMap<String, String>,
    /// Whether to ask for streams. They show early whether a server still works, so that a stall costs
    /// [`Deadlines::idle_ms`] and not [`Deadlines::total_ms`].
    #[serde(default = "yes")]
    pub stream: bool,
    /// How OpenAI's dialect is spoken there.
    #[serde(default)]
    pub openai: OpenAi,
    /// How Anthropic's dialect is spoken there.
    #[serde(default)]
    pub anthropic: Anthropic,
    /// Deadlines.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Bounds on answers.
    #[serde(default)]
    pub limits: Limits,
    /// When to try again.
    #[serde(default)]
    pub retry: Retry,
    /// How much to ask at once.
    #[serde(default)]
    pub pace: Pace,
}

/// No wait is longer: a point in time further away may not exist on the machine's clock.
const LONGEST_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

fn yes() -> bool {
    true
}

/// An API by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI's Chat Completions.
    OpenAi,
    /// Anthropic's Messages.
    Anthropic,
}

/// How long to wait, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deadlines {
    /// For a connection, TLS included. Default 10 s.
    pub connect_ms: u64,
    /// From the start of an attempt to the answer's first byte. Default 2 minutes.
    pub first_byte_ms: u64,
    /// Between two pieces of the answer. Default 1 minute.
    pub idle_ms: u64,
    /// For everything, further attempts and the pauses before them included, but not the wait for a place in
    /// [`Pace`] before the first. Default 10 minutes.
    pub total_ms: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            first_byte_ms: 120_000,
            idle_ms: 60_000,
            total_ms: 600_000,
        }
    }
}

/// When to try again. The pause before attempt n + 1 lies between a half and all of `base_ms`·2ⁿ⁻¹, at most `max_ms`; a
/// server's `Retry-After` replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, at least 1. Default 6.
    pub attempts: u32,
    /// First pause. Default 0.5 s.
    pub base_ms: u64,
    /// Longest pause. Default 30 s.
    pub max_ms: u64,
    /// A server that demands a longer pause than this is not asked again. Default 2 minutes.
    pub max_retry_after_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            base_ms: 500,
            max_ms: 30_000,
            max_retry_after_ms: 120_000,
        }
    }
}

/// How much to ask at once, over all clones of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Requests under way. Default 16.
    pub in_flight: u32,
    /// Requests a minute, spread evenly. Default: no limit.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, input and output. Default: no limit.
    pub tokens_per_minute: Option<u32>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            in_flight: 16,
            requests_per_minute: None,
            tokens_per_minute: None,
        }
    }
}

/// What every request to an endpoint has in common.
pub(crate) struct Address {
    pub dialect: Dialect,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub keys: Vec<Key>,
}

impl Endpoint {
    /// An endpoint with all defaults and no key.
    pub fn new(api: Api, base_url: impl Into<String>) -> Self {
        Self {
            api,
            base_url: base_url.into(),
            key_env: None,
            key_header: None,
            headers: BTreeMap::new(),
            header_env: BTreeMap::new(),
            stream: true,
            openai: OpenAi::default(),
            anthropic: Anthropic::default(),
            deadlines: Deadlines::default(),
            limits: Limits::default(),
            retry: Retry::default(),
            pace: Pace::default(),
        }
    }

    /// The same with the key that the environment variable `variable` holds.
    pub fn with_key_env(self, variable: impl Into<String>) -> Self {
        Self {
            key_env: Some(variable.into()),
            ..self
        }
    }

    /// Its dialect.
    pub fn dialect(&self) -> Dialect {
        match self.api {
            Api::OpenAi => Dialect::OpenAi(self.openai.clone()),
            Api::Anthropic => Dialect::Anthropic(self.anthropic.clone()),
        }
    }

    /// Checks everything and reads the environment.
    pub(crate) fn resolve(&self) -> Result<Address, SetupError> {
        self.check_numbers()?;
        let dialect = self.dialect();
        let base = self.base_url.trim().trim_end_matches('/');
        let uri = url(base, &dialect)?;
        let mut headers = HeaderMap::new();
        let mut keys = Vec::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("hone/", env!("CARGO_PKG_VERSION"))),
        );
        let accept = if self.stream {
            "text/event-stream, application/json"
        } else {
            "application/json"
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        if let Dialect::Anthropic(Anthropic { version }) = &dialect {
            let name = "anthropic-version";
            let value =
                HeaderValue::try_from(version).map_err(|_| bad_header(name, "`anthropic.version` is no date"))?;
            headers.insert(name, value);
        }
        if let Some(variable) = &self.key_env {
            let key = Key::from_env(variable)?;
            match &self.key_header {
                None => headers.insert(header::AUTHORIZATION, key.header("Bearer ")?),
                Some(name) => headers.insert(header_name(name)?, key.header("")?),
            };
            keys.push(key);
        }
        for (name, value) in &self.headers {
            if is_secret(name) {
                return Err(bad_header(
                    name,
                    "a secret belongs into an environment variable; name that in `header_env`",
                ));
            }
            let mut value = HeaderValue::try_from(value.as_str())
                .map_err(|_| bad_header(name, "its value is not one line of text"))?;
            value.set_sensitive(true);
            headers.insert(header_name(name)?, value);
        }
        for (name, variable) in &self.header_env {
            let key = Key::from_env(variable)?;
            headers.insert(header_name(name)?, key.header("")?);
            keys.push(key);
        }
        Ok(Address {
            dialect,
            uri,
            headers,
            keys,
        })
    }

    fn check_numbers(&self) -> Result<(), SetupError> {
        let (deadlines, limits, pace) = (&self.deadlines, &self.limits, &self.pace);
        for (field, number) in [
            ("deadlines.connect_ms", deadlines.connect_ms),
            ("deadlines.first_byte_ms", deadlines.first_byte_ms),
            ("deadlines.idle_ms", deadlines.idle_ms),
            ("deadlines.total_ms", deadlines.total_ms),
            ("limits.body_bytes", limits.body_bytes as u64),
            ("limits.event_bytes", limits.event_bytes as u64),
            ("limits.tool_calls", limits.tool_calls as u64),
            ("limits.argument_bytes", limits.argument_bytes as u64),
            ("retry.attempts", self.retry.attempts.into()),
            ("pace.in_flight", pace.in_flight.into()),
            ("pace.requests_per_minute", pace.requests_per_minute.unwrap_or(1).into()),
            ("pace.tokens_per_minute", pace.tokens_per_minute.unwrap_or(1).into()),
        ] {
            if number == 0 {
                return Err(SetupError::Number {
                    field,
                    why: "it must be at least 1".into(),
                });
            }
        }
        for (field, millis) in [
            ("deadlines.connect_ms", deadlines.connect_ms),
            ("deadlines.first_byte_ms", deadlines.first_byte_ms),
            ("deadlines.idle_ms", deadlines.idle_ms),
            ("deadlines.total_ms", deadlines.total_ms),
            ("retry.base_ms", self.retry.base_ms),
            ("retry.max_ms", self.retry.max_ms),
            ("retry.max_retry_after_ms", self.retry.max_retry_after_ms),
        ] {
            if millis > LONGEST_MS {
                return Err(SetupError::Number {
                    field,
                    why: format!("it must be at most {LONGEST_MS} (30 days)"),
                });
            }
        }
        let most = crate::limits::MAX_ENTRIES;
        if limits.tool_calls > most {
            return Err(SetupError::Number {
                field: "limits.tool_calls",
                why: format!("it must be at most {most}"),
            });
        }
        Ok(())
    }
}

fn url(base: &str, dialect: &Dialect) -> Result<Uri, SetupError> {
    plain_url(base, dialect.path(base))
}

/// A URL of a server with `path` after it: without a user, a password or a query.
pub(super) fn plain_url(base: &str, path: &str) -> Result<Uri, SetupError> {
    let bad = |why: &str| SetupError::Url {
        // What stands before an `@` may be a password, what comes after a `?` a key.
        url: shown(
            base.split(['?', '#'])
                .next()
                .and_then(|b| b.rsplit('@').next())
                .unwrap_or_default(),
            200,
        ),
        why: why.to_owned(),
    };
    if base.contains(['?', '#']) {
        return Err(bad("it must end before any `?` or `#`"));
    }
    let uri = Uri::try_from(format!("{base}{path}")).map_err(|_| bad("it must look like `https://host/v1`"))?;
    let Some(authority) = uri.authority() else {
        return Err(bad("it must begin with `https://` or `http://`"));
    };
    if authority.as_str().contains('@') {
        return Err(bad(
            "it must not hold a user or a password; keys come from environment variables",
        ));
    }
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        _ => Err(bad("it must begin with `https://` or `http://`")),
    }
}

pub(super) fn header_name(name: &str) -> Result<HeaderName, SetupError> {
    let parsed = HeaderName::try_from(name).map_err(|_| bad_header(name, "that is no name of a header"))?;
    let ours = [
        header::HOST,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::ACCEPT_ENCODING,
    ];
    if ours.contains(&parsed) {
        return Err(bad_header(name, "the client sets it itself"));
    }
    Ok(parsed)
}

/// Whether a header of that name is likely to carry a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "cookie"]
        .iter()
        .any(|word| name.contains(word))
}

pub(super) fn bad_header(name: &str, why: &'static str) -> SetupError {
    SetupError::Header {
        name: shown(name, 80),
        why,
    }
}
