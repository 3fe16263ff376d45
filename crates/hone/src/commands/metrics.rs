//! `hone metrics`: what the numbers mean.

use crate::console::{print, print_json, table};
use anyhow::anyhow;
use hone_score::{Better, DICTIONARY, Metric, define};

/// Say what the numbers mean: formula, unit, denominator, when they are absent, and where they come from.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only these, as results name them
    names: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  hone metrics                          all of them as a table
  hone metrics pass_hat/4 score/shop/state
                                        two of them in full
  hone metrics --json                   JSON Lines, an object for each";

impl Args {
    /// Tell.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let known = |name: &String| {
            define(name).ok_or_else(|| anyhow!("no number is called `{name}`; `hone metrics` lists them all"))
        };
        let chosen: Vec<&Metric> = match self.names.is_empty() {
            true => DICTIONARY.iter().collect(),
            false => self.names.iter().map(known).collect::<Result<_, _>>()?,
        };
        if json {
            return chosen.into_iter().try_for_each(print_json);
        }
        if self.names.is_empty() {
            let mut rows = vec![
                ["number", "unit", "better", "of", "formula"]
                    .map(str::to_owned)
                    .to_vec(),
            ];
            rows.extend(chosen.into_iter().map(|m| {
                [m.name, m.unit, better(m.better), m.part, m.formula]
                    .map(str::to_owned)
                    .to_vec()
            }));
            return print(table(&rows));
        }
        for metric in chosen {
            let rows = [
                ["number", metric.name],
                ["formula", metric.formula],
                ["unit", metric.unit],
                ["over", metric.over],
                ["absent if", metric.absent],
                ["better", better(metric.better)],
                ["source", metric.source],
                ["part of", metric.part],
            ];
            print(table(&rows.map(|row| row.map(str::to_owned).to_vec())) + "\n")?;
        }
        Ok(())
    }
}

fn better(better: Better) -> &'static str {
    match better {
        Better::Higher => "higher",
        Better::Lower => "lower",
        Better::Neither => "-",
    }
}
