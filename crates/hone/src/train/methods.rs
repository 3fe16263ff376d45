//! `hone train methods`: the methods by name, and the parts that they are made of.

use crate::console::{print, print_json};
use anyhow::{Result, bail};
use clap::Args;
use hone_train::stages::{Registry, presets};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  hone train methods                       all presets and all parts, a line each
  hone train methods grpo-roc-code         one preset with every setting
  hone train methods --json | jq -r .name";

/// List the RL methods (presets) and the parts that they are made of
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Methods {
    /// Show one preset with its settings
    name: Option<String>,
}

impl Methods {
    pub fn run(self, as_json: bool) -> Result<()> {
        if let Some(name) = &self.name {
            let Some(preset) = presets().iter().find(|it| it.name == *name) else {
                let known: Vec<_> = presets().iter().map(|it| it.name.as_str()).collect();
                bail!("there is no preset `{name}`; choose one of {}", known.join(", "));
            };
            if as_json {
                return print_json(
                    &json!({"name": preset.name, "about": preset.about, "source": preset.source, "method": preset.method}),
                );
            }
            let mut method = serde_json::to_value(&preset.method)?;
            without_null(&mut method);
            print(format!(
                "# {}\n# {}\n\n{}",
                preset.about,
                preset.source,
                toml::to_string(&method)?
            ))?;
            return Ok(());
        }
        for preset in presets() {
            if as_json {
                print_json(
                    &json!({"kind": "preset", "name": preset.name, "about": preset.about, "source": preset.source}),
                )?;
            } else {
                print(format!("{:18} {} [{}]", preset.name, preset.about, preset.source))?;
            }
        }
        if !as_json {
            print("\nParts, for `[rl.override.parts.NAME]` of a recipe:\n")?;
        }
        for (name, about) in Registry::standard().list() {
            if as_json {
                print_json(&json!({"kind": "part", "name": name, "about": about}))?;
            } else {
                print(format!("{name:18} {about}"))?;
            }
        }
        Ok(())
    }
}

/// What is not set, which TOML cannot say, is left out.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(table) => {
            table.retain(|_, value| !value.is_null());
            table.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}
