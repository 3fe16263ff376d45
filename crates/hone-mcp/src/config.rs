//! How a server is reached, and the bounds that hold for it.

use crate::Error;
use http::Uri;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A server: a command to run, or a URL.
///
/// ```
/// let config: hone_mcp::ServerConfig = serde_json::from_str(r#"{"command": ["npx", "-y", "some-server"]}"#).unwrap();
/// assert_eq!(config.label(), "some-server");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Its name among several servers: `[A-Za-z0-9-]`, at most 32. Empty: [`ServerConfig::label`] makes one.
    pub name: String,
    /// Program and arguments; the server speaks on its standard input and output.
    pub command: Vec<String>,
    /// Environment variables for the command. It gets these, [`ServerConfig::pass_env`] and a few harmless ones (`PATH`,
    /// `HOME`, `LANG` …), so that no secret of the caller's reaches it by accident.
    pub env: BTreeMap<String, String>,
    /// Names of variables that the command gets as the caller has them.
    pub pass_env: Vec<String>,
    /// Directory that the command runs in; the caller's by default.
    pub cwd: Option<PathBuf>,
    /// Address of a server that speaks streamable HTTP.
    pub url: Option<String>,
    /// Environment variable that holds the bearer token for `url`.
    pub bearer_env: Option<String>,
    /// The tools to take, by the server's names; all of them if empty.
    pub tools: Vec<String>,
    /// Which era of the protocol to speak.
    pub protocol: Protocol,
    /// Bound on connecting, in milliseconds. Finding out that a silent server is of the older era takes ten seconds of it.
    pub connect_timeout_ms: u64,
    /// Bound on one call, in milliseconds. Keep it below the budget's `tool_timeout_ms`: then a slow call is cancelled and
    /// the server stays, where otherwise the whole host is lost.
    pub call_timeout_ms: u64,
    /// How often a server that died is started again.
    pub max_restarts: u32,
    /// Bounds on what it sends.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            command: Vec::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            cwd: None,
            url: None,
            bearer_env: None,
            tools: Vec::new(),
            protocol: Protocol::Auto,
            connect_timeout_ms: 30_000,
            call_timeout_ms: 60_000,
            max_restarts: 3,
            limits: Limits::default(),
        }
    }
}

/// Which era of the protocol to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Ask with `server/discover`, and fall back to `initialize` if the server does not know it.
    #[default]
    Auto,
    /// Up to 2025-11-25: a handshake, over HTTP with a session.
    Initialize,
    /// From 2026-07-28: no handshake and no session; every request says who asks.
    Discover,
}

/// Bounds on what a server may send. What exceeds them ends the connection or is refused, never held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// One message.
    pub message_bytes: usize,
    /// Everything since the last request that was sent to it, which bounds floods.
    pub unasked_bytes: usize,
    /// Tools, resources or prompts in a list.
    pub listed: usize,
    /// One tool's description and schemas, as JSON.
    pub tool_bytes: usize,
    /// Text of one result; longer text is cut and marked.
    pub text_chars: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            unasked_bytes: 64 << 20,
            listed: 4096,
            tool_bytes: 256 << 10,
            text_chars: 1_000_000,
        }
    }
}

/// Where a server is.
pub(crate) enum Target<'a> {
    Command(&'a str, &'a [String]),
    Url(&'a str, Uri),
}

impl ServerConfig {
    /// A server that is a command.
    pub fn command<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// A server at a URL.
    pub fn url(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::default()
        }
    }

    /// Its name, or else the last part of its command that looks like one, or its host.
    pub fn label(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let from = match &self.url {
            Some(url) => url
                .parse::<Uri>()
                .ok()
                .and_then(|uri| uri.host().map(str::to_owned))
                .unwrap_or_default(),
            None => self
                .command
                .iter()
                .rev()
                .find(|word| !word.starts_with('-') && word.contains(|c: char| c.is_ascii_alphabetic()))
                .map(|word| word.rsplit('/').next().unwrap_or(word).to_owned())
                .unwrap_or_default(),
        };
        let mut name: String = from
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(32)
            .collect();
        name.truncate(name.trim_end_matches('-').len());
        if name.is_empty() { "server".to_owned() } else { name }
    }

    /// Check everything that can be checked without the server.
    ///
    /// # Errors
    /// When a field is wrong or two of them exclude each other.
    pub fn check(&self) -> Result<(), Error> {
        self.target().map(|_| ())
    }

    pub(crate) fn target(&self) -> Result<Target<'_>, Error> {
        let wrong = |field: &str, why: String| {
            Err(Error::Config {
                server: self.label(),
                why: format!("`{field}`: {why}"),
            })
        };
        if self.name.len() > 32 || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return wrong("name", "use up to 32 letters, digits and `-`".to_owned());
        }
        for (field, ms) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("call_timeout_ms", self.call_timeout_ms),
        ] {
            if !(1..=86_400_000).contains(&ms) {
                return wrong(field, "must lie between 1 and 86400000 (a day)".to_owned());
            }
        }
        if self.limits.message_bytes < 4096 || self.limits.unasked_bytes < self.limits.message_bytes {
            return wrong(
                "limits",
                "`message_bytes` must be at least 4096, and `unasked_bytes` at least as large".to_owned(),
            );
        }
        match (&self.url, self.command.split_first()) {
            (Some(_), Some(_)) => wrong("url", "there is a `command` too; give one of them".to_owned()),
            (None, None) => wrong(
                "command",
                "is missing; give the server's command, or its `url`".to_owned(),
            ),
            (None, Some((program, arguments))) => match &self.bearer_env {
                Some(_) => wrong(
                    "bearer_env",
                    "is for a `url`; a command gets its secrets through `pass_env`".to_owned(),
                ),
                None if program.is_empty() => wrong("command", "begins with an empty word".to_owned()),
                None => Ok(Target::Command(program, arguments)),
            },
            (Some(url), None) => {
                let uri = url.parse::<Uri>().ok().filter(|uri| {
                    matches!(uri.scheme_str(), Some("http" | "https"))
                        && uri.host().is_some_and(|host| !host.is_empty())
                });
                let Some(uri) = uri else {
                    return wrong("url", "must look like `https://host/path`".to_owned());
                };
                if uri
                    .authority()
                    .is_some_and(|authority| authority.as_str().contains('@'))
                {
                    return wrong(
                        "url",
                        "holds a user or a password; put a token into a variable and name it in `bearer_env`"
                            .to_owned(),
                    );
                }
                if self.bearer_env.is_some() && uri.scheme_str() == Some("http") && !is_local(uri.host()) {
                    return wrong("url", "a token would travel unencrypted; use `https`".to_owned());
                }
                Ok(Target::Url(url, uri))
            }
        }
    }
}

fn is_local(host: Option<&str>) -> bool {
    host.is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (command, label) in [
            (
                vec!["npx", "-y", "@modelcontextprotocol/server-everything"],
                "server-everything",
            ),
            (vec!["python3", "tools/shop.py", "--fast"], "shop-py"),
            (vec!["/"], "server"),
        ] {
            assert_eq!(ServerConfig::command(command).label(), label);
        }
        assert_eq!(
            ServerConfig::url("https://tools.example.org/mcp").label(),
            "tools-example-org"
        );
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_field() {
        let command = || ServerConfig::command(["server"]);
        let url = ServerConfig::url;
        let cases = [
            (ServerConfig::default(), "`command`: is missing"),
            (
                ServerConfig {
                    url: Some("http://a".into()),
                    ..command()
                },
                "there is a `command` too",
            ),
            (
                ServerConfig {
                    name: "a_b".into(),
                    ..command()
                },
                "`name`",
            ),
            (
                ServerConfig {
                    call_timeout_ms: 0,
                    ..command()
                },
                "`call_timeout_ms`",
            ),
            (
                ServerConfig {
                    bearer_env: Some("T".into()),
                    ..command()
                },
                "`bearer_env`: is for a `url`",
            ),
            (url("ftp://a"), "must look like"),
            (url("http://"), "must look like"),
            (url("https://u:p@host/"), "a user or a password"),
            (
                ServerConfig {
                    bearer_env: Some("T".into()),
                    ..url("http://example.org/mcp")
                },
                "unencrypted",
            ),
        ];
        for (config, says) in cases {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        for local in ["http://localhost:1/mcp", "http://127.0.0.1:1", "http://[::1]:1/"] {
            ServerConfig {
                bearer_env: Some("T".into()),
                ..url(local)
            }
            .check()
            .unwrap();
        }
    }
}
