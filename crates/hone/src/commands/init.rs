//! `hone init`: a small example of one's own tasks, tools and checkers.

use crate::console::{print_json, say, table};
use std::path::PathBuf;

/// Make a small example of your own tasks, tools and checkers, to edit.
///
/// Writes a recipe (hone.toml), tasks with reference solutions, records and files that they start from, tools as plain
/// Python functions, and a checker as a command. Nothing that is there is touched. docs/tutorial.md goes on from here.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder to write to
    #[arg(default_value = ".")]
    dir: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  hone init my
  hone eval my --model script:gold         the reference solutions: the checkers must be content with all of them
  hone eval my --model script:do_nothing   and with none of these
  hone run my --task test/5 --model DIR    watch a model at one task";

impl Args {
    /// Write it.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let files = hone_project::init(&self.dir)?;
        if json {
            let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
            return print_json(&serde_json::json!({"dir": self.dir, "files": names}));
        }
        let rows: Vec<Vec<String>> = files
            .iter()
            .map(|(name, about)| vec![self.dir.join(name).display().to_string(), (*about).to_owned()])
            .collect();
        say(table(&rows));
        say(format!(
            "\nmeasure it with `hone eval {} --model script:gold`, then edit it",
            self.dir.display()
        ));
        Ok(())
    }
}
