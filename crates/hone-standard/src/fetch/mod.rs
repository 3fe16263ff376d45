//! Pages of the web as text, from hosts of a list.

mod address;
mod get;
mod page;
#[cfg(test)]
mod tests;

pub use address::{AddressError, Allowed, Target, inside};
pub use get::{FetchError, Getter, Got, Resolve};

use crate::arguments::{count, tool, word};
use crate::{Card, Kit};
use get::{MAX_BYTES, MAX_REDIRECTS, MAX_TIME, system};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;

/// Most characters of a page in an answer.
const MAX_SHOWN: u64 = 50_000;
/// As many if the call does not say.
const SHOWN: u64 = 10_000;

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let reaches_out = Annotations {
        read_only_hint: true,
        destructive_hint: false,
        idempotent_hint: true,
        open_world_hint: true,
    };
    vec![tool(
        "fetch",
        "Get a page of the web as text, with the addresses of its links at the end.",
        object_schema(
            json!({
                "url": {
                    "type": "string", "minLength": 1, "maxLength": address::MAX_URL,
                    "description": "the whole address, such as https://example.org/path?query",
                },
                "start": {"type": "integer", "minimum": 0, "description": "character of the text to begin at (default: 0)"},
                "max_chars": {
                    "type": "integer", "minimum": 1, "maximum": MAX_SHOWN,
                    "description": format!("at most so many characters (default: {SHOWN})"),
                },
            }),
            &["start", "max_chars"],
        ),
        reaches_out,
    )]
});

/// What the tool is, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "fetch",
        about: "pages of the web as text, from hosts of a list",
        settings: "`allow`: the hosts, each `host`, `*.host` (all below it) or `host:port`; `private`: whether they may lie in \
                   one's own network or machine (default: no)",
        limits: format!(
            "GET over HTTP/1.1; {MAX_REDIRECTS} redirects, each looked at as the first address; {} MiB; {} s; text only; \
             {MAX_SHOWN} characters in an answer",
            MAX_BYTES >> 20,
            MAX_TIME.as_secs(),
        ),
        specs: SPECS.clone(),
    }
}

/// Settings of the pages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The hosts that may be asked.
    pub allow: Vec<String>,
    /// Whether they may lie in one's own network.
    #[serde(default)]
    pub private: bool,
}

/// The tool that gets pages.
#[derive(Clone)]
pub struct Fetch(Getter);

impl Fetch {
    /// Pages from these hosts.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        if settings.allow.is_empty() {
            return Err("it is empty, so nothing could be fetched".to_owned());
        }
        let allowed = Allowed::parse(&settings.allow).map_err(|entry| format!("{entry:?} is no host"))?;
        Ok(Self(Getter {
            allowed,
            private: settings.private,
            resolve: system(),
        }))
    }

    fn fetch(&self, arguments: &Value) -> Result<ToolOutput, FetchError> {
        let got = self.0.get(word(arguments, "url"))?;
        let page = page::page(&got.target, &got.kind, got.charset.as_deref(), &got.bytes).map_err(FetchError::Page)?;
        let total = page.text.chars().count();
        let start = count(arguments, "start", 0) as usize;
        let most = count(arguments, "max_chars", SHOWN) as usize;
        let shown: String = page.text.chars().skip(start).take(most).collect();
        let end = start.saturating_add(shown.chars().count()).min(total);
        let url = got.target.url();
        let mut text = format!("{url}\n");
        if let Some(title) = &page.title {
            text += &format!("{title}\n");
        }
        text += &format!("\n{shown}");
        if start > 0 || end < total {
            text += &format!("\n[characters {start} to {end} of {total}");
            text += &if end < total {
                format!("; read on with start = {end}]")
            } else {
                "]".to_owned()
            };
        }
        Ok(ToolOutput {
            data: json!({
                "url": url, "content_type": got.kind, "title": page.title, "text": shown, "start": start, "end": end,
                "characters": total, "redirects": got.redirects,
            }),
            text,
            ..ToolOutput::default()
        })
    }
}

impl ToolHost for Fetch {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    /// What fails is put to the call, not to the network: otherwise an agent could end an episode without a score by asking
    /// for what does not answer.
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        if tool != "fetch" {
            return Err(crate::arguments::unknown(tool));
        }
        self.fetch(arguments)
            .map_err(|error| ToolError::tool(error.to_string()))
    }
}

impl Environment for Fetch {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}

impl Kit for Fetch {
    fn name(&self) -> &'static str {
        "fetch"
    }

    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn open(&self, _folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(self.clone()))
    }
}
