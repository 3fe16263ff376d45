//! Tools that Hone brings for any agent (`hone-standard`).

use super::{Scene, Source};
use hone_env::{EnvError, Environment};
use hone_standard::{Place, Standard as Kits, Wrong};
use hone_tool::ToolSpec;
use serde_json::{Map, Value};
use std::path::Path;

/// `standard = […]` and `standard = { KIT = { … } }`; alone and called `files`, also `builtin = "files"`.
pub struct Standard {
    name: String,
    kits: Kits,
}

impl Standard {
    /// Kits by name with their settings; paths in them are below `folder`.
    ///
    /// # Errors
    /// The setting, and what is wrong with it.
    pub fn new(name: String, settings: &Map<String, Value>, folder: &Path) -> Result<Self, Wrong> {
        let place = Place { folder, confined: true };
        Ok(Self {
            name,
            kits: Kits::new(settings, &place)?,
        })
    }
}

impl Source for Standard {
    fn name(&self) -> &str {
        &self.name
    }

    fn specs(&self) -> &[ToolSpec] {
        self.kits.specs()
    }

    fn open(&self, scene: &Scene<'_>) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(self.kits.open(scene.folder)?))
    }

    fn inline(&self) -> bool {
        self.kits.inline()
    }

    fn digest(&self) -> String {
        self.kits.digest()
    }
}

/// The kits that a recipe names, with their settings as JSON.
///
/// # Errors
/// What is wrong with the form.
pub(crate) fn settings(value: &toml::Value) -> Result<Map<String, Value>, String> {
    let form = "write a list of names, or a table of settings by name";
    match value {
        toml::Value::Array(names) => {
            let named = names.iter().map(|name| match name.as_str() {
                Some(name) => Ok((name.to_owned(), Value::Object(Map::new()))),
                None => Err(form.to_owned()),
            });
            named.collect()
        }
        toml::Value::Table(kits) => {
            let settings = kits.iter().map(|(name, settings)| match settings {
                toml::Value::Table(_) => Ok((name.clone(), json(settings))),
                _ => Err(format!("the settings of `{name}` must be a table, such as {{}}")),
            });
            settings.collect()
        }
        _ => Err(form.to_owned()),
    }
}

/// A TOML value as JSON; times are texts.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}
