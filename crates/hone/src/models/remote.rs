//! Models behind an API: from what the user wrote to a client with its settings, prices and keys.

use super::{Address, Server};
use anyhow::{Context, anyhow};
use hone_model::RemoteModel;
use hone_trace::Secrets;
use hone_wire::{Api, Client, Endpoint, MaxTokensField, Prices, Settings};
use std::path::{Path, PathBuf};

/// A remote model and what goes with it.
pub struct Connected {
    pub model: RemoteModel,
    /// What identifies it: dialect, base URL, name, and settings if there are any.
    pub identity: String,
    /// The values of its keys.
    pub secrets: Secrets,
    /// Whether its price is known.
    pub priced: bool,
}

/// An endpoint with the requests' settings and prices that its file holds.
#[derive(Debug)]
struct Place {
    endpoint: Endpoint,
    settings: Settings,
    prices: Prices,
}

/// Make the client. Nothing is asked yet.
///
/// # Errors
/// When a setting is wrong, a file cannot be read, or a key is missing.
pub fn connect(address: &Address, price_files: &[PathBuf]) -> anyhow::Result<Connected> {
    let Place {
        endpoint,
        settings,
        prices: own,
    } = place(&address.server)?;
    let mut prices = Prices::builtin()?;
    prices.extend(own);
    for file in price_files {
        let text = read(file)?;
        prices.extend(
            Prices::parse(&file.display().to_string(), &text)
                .map_err(|error| anyhow!("{error}; see `hone eval --help` for its form"))?,
        );
    }
    let api = match endpoint.api {
        Api::OpenAi => "openai",
        Api::Anthropic => "anthropic",
    };
    let base = endpoint.base_url.trim().trim_end_matches('/');
    let mut identity = format!("{api} {base}#{}", address.model);
    if settings != Settings::default() {
        identity += &format!(" {}", serde_json::to_string(&settings)?);
    }
    let mut secrets = Secrets::default();
    for variable in endpoint.key_env.iter().chain(endpoint.header_env.values()) {
        if let Ok(value) = std::env::var(variable) {
            secrets.add(variable, value.trim());
        }
    }
    let priced = prices.of(&address.model).is_some();
    let client = Client::new(endpoint)?;
    Ok(Connected {
        model: RemoteModel::new(client, &address.model, &address.model, settings, prices),
        identity,
        secrets,
        priced,
    })
}

fn place(server: &Server) -> anyhow::Result<Place> {
    let bare = |endpoint| Place {
        endpoint,
        settings: Settings::default(),
        prices: Prices::default(),
    };
    Ok(match server {
        Server::OpenAi => bare(openai(variable("OPENAI_BASE_URL"))),
        Server::Anthropic => {
            let base = variable("ANTHROPIC_BASE_URL").unwrap_or_else(|| "https://api.anthropic.com".into());
            bare(Endpoint::new(Api::Anthropic, base).with_key_env("ANTHROPIC_API_KEY"))
        }
        Server::Url(url) => {
            let key = "HONE_API_KEY";
            let endpoint = Endpoint::new(Api::OpenAi, url);
            bare(match variable(key) {
                Some(_) => endpoint.with_key_env(key),
                None => endpoint,
            })
        }
        Server::File(file) => {
            let text = read(file)?;
            described(&text).with_context(|| {
                format!(
                    "the endpoint's file {} cannot be used; `hone eval --help` shows one",
                    file.display()
                )
            })?
        }
    })
}

/// OpenAI itself, or what stands in its place.
fn openai(base: Option<String>) -> Endpoint {
    let own = "https://api.openai.com/v1";
    let mut endpoint = Endpoint::new(Api::OpenAi, base.as_deref().unwrap_or(own)).with_key_env("OPENAI_API_KEY");
    if endpoint.base_url.trim_end_matches('/') == own {
        // Its reasoning models refuse the older name; servers in its place may not know the newer one.
        endpoint.openai.max_tokens_field = MaxTokensField::MaxCompletionTokens;
    }
    endpoint
}

/// The endpoint that this text describes: [`Endpoint`]'s own fields, `[settings]` and `[[price]]`.
fn described(text: &str) -> anyhow::Result<Place> {
    let mut table: toml::Table = text.parse()?;
    let settings = match table.remove("settings") {
        Some(settings) => settings.try_into().context("`settings`")?,
        None => Settings::default(),
    };
    let prices = match table.remove("price") {
        Some(prices) => {
            let own = toml::Table::from_iter([("price".to_owned(), prices)]);
            Prices::parse("`price`", &own.to_string())?
        }
        None => Prices::default(),
    };
    Ok(Place {
        endpoint: table.try_into()?,
        settings,
        prices,
    })
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read; name a file that exists", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        api = "anthropic"
        base_url = "http://localhost:1/v1/"
        [deadlines]
        idle_ms = 5
        [settings]
        max_tokens = 16000
        extra = { thinking = { type = "adaptive" } }
        [[price]]
        model = "m"
        input = 1
        output = 4.0
        date = "2026-01-31"
        source = "made up"
    "#;

    #[test]
    fn a_file_holds_endpoint_settings_and_prices() {
        let place = described(FILE).unwrap();
        assert_eq!(
            (place.endpoint.api, place.endpoint.deadlines.idle_ms),
            (Api::Anthropic, 5)
        );
        assert_eq!(place.settings.max_tokens, Some(16_000));
        assert_eq!(place.settings.extra["thinking"]["type"], "adaptive");
        assert_eq!(place.prices.of("m-1").map(|price| price.output), Some(4.0));
        for (from, to, word) in [
            ("idle_ms", "idel_ms", "idel_ms"),
            ("max_tokens = 16000", "max_tokens = -1", "settings"),
            ("output = 4.0", "output = -4.0", "from 0 up"),
            ("api = \"anthropic\"", "api = \"other\"", "other"),
            ("base_url", "base", "base"),
        ] {
            let error = described(&FILE.replace(from, to)).expect_err("refused");
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
    }

    #[test]
    fn the_file_in_the_help_is_one() {
        let (_, file) = crate::models::PLAYERS.split_once("(TOML):\n").unwrap();
        let place = described(file).unwrap();
        assert_eq!(place.endpoint.key_env.as_deref(), Some("MY_KEY"));
        assert_eq!(place.settings.extra["reasoning_effort"], "low");
        assert_eq!(place.prices.of("MODEL").map(|price| price.output), Some(4.0));
    }

    #[test]
    fn a_model_is_identified_by_where_it_is_and_how_it_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let identity = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let address = Address {
                server: Server::File(file.clone()),
                model: "m".into(),
            };
            connect(&address, &[]).unwrap().identity
        };
        let first = identity(FILE);
        assert!(first.starts_with("anthropic http://localhost:1/v1#m {"), "{first}");
        assert_eq!(first, identity(&FILE.replace("idle_ms = 5", "idle_ms = 6")));
        assert_ne!(first, identity(&FILE.replace("16000", "16001")));
    }

    #[test]
    fn only_openai_itself_is_asked_in_its_newest_words() {
        use MaxTokensField::{MaxCompletionTokens, MaxTokens};
        for (base, field) in [
            (None, MaxCompletionTokens),
            (Some("https://api.openai.com/v1/"), MaxCompletionTokens),
            (Some("http://localhost:8000/v1"), MaxTokens),
        ] {
            assert_eq!(
                openai(base.map(str::to_owned)).openai.max_tokens_field,
                field,
                "{base:?}"
            );
        }
    }
}
