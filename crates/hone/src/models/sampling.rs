//! How answers are sampled, for the command line.

use super::ModelSpec;
use anyhow::{Context, bail};
use hone_trace::{Constraint, SamplingSettings};
use std::str::FromStr;

/// What changes a local model's answers, besides the temperature.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SamplingArgs {
    /// Change the distribution of a local model: top_p, top_k, min_p, repetition_penalty, presence_penalty,
    /// frequency_penalty; top_logprobs records so many of the likeliest tokens (repeatable)
    #[arg(long = "sampling", value_name = "NAME=VALUE", value_delimiter = ',')]
    options: Vec<Named>,
    /// End an answer of a local model before this text (repeatable)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// What each answer of a local model has to fit: `calls` (tool calls, by their schemas), `tools` (calls, or text),
    /// schema:FILE, regex:PATTERN, lark:FILE (in a build with --features constrain)
    #[arg(long, value_name = "WHAT")]
    constrain: Option<Wanted>,
}

/// One option with its value.
#[derive(Clone, Debug)]
struct Named(String, f32);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bounds = |name: &str| match name {
            "top_p" | "min_p" => Some((0.0, 1.0)),
            "top_k" => Some((0.0, 1e6)),
            "repetition_penalty" => Some((0.01, 10.0)),
            "presence_penalty" | "frequency_penalty" => Some((-2.0, 2.0)),
            "top_logprobs" => Some((0.0, 20.0)),
            _ => None,
        };
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as min_p=0.05")?;
        let (low, high) = bounds(name).ok_or_else(|| format!("there is no option {name:?}; see --help"))?;
        let value: Option<f32> = value.parse().ok().filter(|value| (low..=high).contains(value));
        let value = value.ok_or_else(|| format!("{name} is a number from {low} to {high}"))?;
        Ok(Self(name.to_owned(), value))
    }
}

/// A constraint by name.
#[derive(Clone, Debug)]
struct Wanted(Constraint);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read =
            |file: &str| std::fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}"));
        Ok(Self(match text.split_once(':') {
            None if text == "tools" => Constraint::Tools,
            None if text == "calls" => Constraint::Calls,
            Some(("schema", file)) => {
                let schema = serde_json::from_str(&read(file)?);
                Constraint::Schema(schema.map_err(|error| format!("{file} is no JSON: {error}"))?)
            }
            Some(("regex", pattern)) => Constraint::Regex(pattern.to_owned()),
            Some(("lark", file)) => Constraint::Lark(read(file)?),
            _ => return Err("write tools, calls, schema:FILE, regex:PATTERN or lark:FILE".into()),
        }))
    }
}

impl SamplingArgs {
    /// The settings at a temperature; the taskset bounds lengths. None where nothing but the temperature is said.
    ///
    /// # Errors
    /// When the model is not sampled here.
    pub fn settings(&self, temperature: f32, model: &ModelSpec) -> anyhow::Result<Option<SamplingSettings>> {
        if self.options.is_empty() && self.stop.is_empty() && self.constrain.is_none() {
            return Ok(None);
        }
        if !matches!(model, ModelSpec::Local(_)) {
            bail!(
                "--sampling, --stop and --constrain are for models that are sampled here; {model} is not, so leave them out"
            );
        }
        if self.constrain.is_some() && !hone_engine::CONSTRAINS {
            bail!("--constrain needs a program that was built with --features constrain; build it so, or leave it out");
        }
        let mut settings = SamplingSettings {
            temperature,
            stop: self.stop.clone(),
            constraint: self.constrain.clone().map(|wanted| wanted.0),
            ..SamplingSettings::default()
        };
        for Named(name, value) in &self.options {
            match name.as_str() {
                "top_p" => settings.top_p = *value,
                "min_p" => settings.min_p = *value,
                "top_k" => settings.top_k = *value as u32,
                "repetition_penalty" => settings.repetition_penalty = *value,
                "presence_penalty" => settings.presence_penalty = *value,
                "frequency_penalty" => settings.frequency_penalty = *value,
                "top_logprobs" => settings.top_logprobs = *value as u32,
                _ => return Err(anyhow::anyhow!("{name}")).context("an option without effect; please report this"),
            }
        }
        Ok(Some(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_constraints_by_name() {
        assert!("min_p=0.1".parse::<Named>().is_ok());
        for wrong in ["min_p", "min_p=2", "heat=1", "top_k=x", "top_p=NaN"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
        assert!(matches!("regex:a:b".parse(), Ok(Wanted(Constraint::Regex(regex))) if regex == "a:b"));
        for wrong in ["", "json", "schema:/no/such/file"] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
        let args = SamplingArgs {
            stop: vec!["x".into()],
            ..SamplingArgs::default()
        };
        assert!(args.settings(0.0, &ModelSpec::Gold).is_err());
        assert!(
            SamplingArgs::default()
                .settings(0.0, &ModelSpec::Gold)
                .unwrap()
                .is_none()
        );
    }
}
