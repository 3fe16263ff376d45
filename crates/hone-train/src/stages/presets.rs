//! The presets: published methods as data. What each is and where it is from stands in `presets.toml`.

use std::sync::OnceLock;

use serde::Deserialize;

use super::{Method, Registry};

/// A named method.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Where it is from.
    pub source: String,
    /// Its settings.
    pub method: Method,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    preset: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    about: String,
    source: String,
    /// The preset, further up, that `method` is laid over; without, [`Method::default`].
    base: Option<String>,
    #[serde(default)]
    method: serde_json::Map<String, serde_json::Value>,
}

/// All presets.
pub fn presets() -> &'static [Preset] {
    static PRESETS: OnceLock<Vec<Preset>> = OnceLock::new();
    PRESETS.get_or_init(|| read(include_str!("presets.toml")))
}

/// The preset of that name.
pub fn method(name: &str) -> Option<Method> {
    presets().iter().find(|it| it.name == name).map(|it| it.method.clone())
}

fn read(text: &str) -> Vec<Preset> {
    let file: File = toml::from_str(text).expect("a test reads it");
    let registry = Registry::standard();
    let mut out: Vec<Preset> = Vec::new();
    for written in file.preset {
        let base = written.base.map(|base| {
            let known = out.iter().find(|it| it.name == base);
            known
                .unwrap_or_else(|| panic!("{base} is not above {}", written.name))
                .method
                .clone()
        });
        let method = base
            .unwrap_or_default()
            .lay_over(&registry, &serde_json::Value::Object(written.method))
            .unwrap_or_else(|error| panic!("{}: {error}", written.name));
        out.push(Preset {
            name: written.name,
            about: written.about,
            source: written.source,
            method,
        });
    }
    out
}
