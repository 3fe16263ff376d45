//! The standard tools by name.

use super::source::Told;
use crate::tasksets;
use anyhow::{anyhow, bail};
use hone_standard::{Card, Place, Standard, catalogue};
use hone_tool::ToolHost;
use serde_json::{Map, json};
use std::path::{Path, PathBuf};

/// All of them.
pub const ALL: &str = "standard";

/// The clock's time if nobody says another.
const NOW: &str = "2025-01-01T00:00:00Z";

/// What the standard tools work on.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Of the standard tools")]
pub struct Ground {
    /// The folder of `files`
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The SQLite file of `sql`
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// A host that `fetch` may ask, such as example.org or *.example.org; may be given again
    #[arg(long, value_name = "HOST")]
    allow: Vec<String>,
    /// The documents of `search`: a folder, or a JSON Lines file
    #[arg(long, value_name = "PATH")]
    corpus: Option<PathBuf>,
    /// The time of `clock`, which stands still
    #[arg(long, value_name = "TIME", default_value = NOW)]
    now: String,
}

/// The kits that a name stands for: `standard`, or names with commas. Nothing if it is that of a taskset.
///
/// # Errors
/// When some names of a list are kits and others are not.
pub fn named(name: &str) -> anyhow::Result<Option<Vec<Card>>> {
    let all = catalogue();
    if name == ALL {
        return Ok(Some(all));
    }
    let known: Vec<&str> = all.iter().map(|card| card.name).collect();
    let wanted: Vec<&str> = name.split(',').map(str::trim).collect();
    if !wanted.iter().any(|name| known.contains(name)) {
        return Ok(None);
    }
    let cards = wanted.iter().map(|name| {
        let card = all.iter().find(|card| card.name == *name).cloned();
        card.ok_or_else(|| anyhow!("there are no standard tools `{name}`; there are: {}", known.join(", ")))
    });
    cards.collect::<anyhow::Result<Vec<Card>>>().map(Some)
}

/// The tools of some kits, which need no ground to be looked at.
pub fn told(cards: &[Card]) -> Vec<Told> {
    let specs = cards.iter().flat_map(|card| &card.specs);
    specs
        .map(|spec| Told {
            spec: spec.clone(),
            title: None,
            output_schema: None,
        })
        .collect()
}

impl Ground {
    /// Kits on this ground. Under the name of them all, those that nothing is given for are left out.
    ///
    /// # Errors
    /// When something is missing or wrong.
    pub fn open(&self, name: &str, cards: &[Card]) -> anyhow::Result<Standard> {
        let mut settings = Map::new();
        for card in cards {
            let (kit, needs) = match card.name {
                "files" => (self.root.as_ref().map(|root| json!({"root": root})), "--root DIR"),
                "sql" => (
                    self.database.as_ref().map(|file| json!({"file": file})),
                    "--database FILE",
                ),
                "search" => (
                    self.corpus.as_ref().map(|corpus| json!({"corpus": corpus})),
                    "--corpus PATH",
                ),
                "fetch" => {
                    let allow = Some(&self.allow).filter(|allow| !allow.is_empty());
                    (allow.map(|allow| json!({"allow": allow})), "--allow HOST")
                }
                // Code is run only where it is asked for by name.
                "bash" | "python" => (Some(json!({})).filter(|_| name != ALL), ""),
                "clock" => (Some(json!({"now": self.now})), ""),
                _ => (Some(json!({})), ""),
            };
            let kit = match kit {
                Some(kit) => kit,
                None if name == ALL => continue,
                None => bail!("`{}` needs to know what it may work on; give {needs}", card.name),
            };
            settings.insert(card.name.to_owned(), kit);
        }
        let place = Place {
            folder: Path::new("."),
            confined: false,
        };
        let standard = Standard::new(&settings, &place)?;
        tasksets::say_bounds();
        Ok(standard)
    }

    /// Their tools, ready to be called.
    ///
    /// # Errors
    /// See [`Ground::open`].
    pub fn host(&self, name: &str, cards: &[Card]) -> anyhow::Result<Box<dyn ToolHost>> {
        Ok(Box::new(self.open(name, cards)?.open(Path::new("."))?))
    }
}
