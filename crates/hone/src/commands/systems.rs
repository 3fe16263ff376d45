//! `hone systems`: the published systems and how far each is reproduced here.

use crate::console::{print, print_json, table};
use anyhow::Context;
use serde::{Deserialize, Serialize};

/// List the published systems and how far each is reproduced here.
///
/// States: none (nothing of it yet), mechanism (what is at the heart of it can be run), recipe (a recipe puts the whole of
/// it together), works (the recipe reaches what its README says).
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only the systems of this state
    #[arg(long)]
    state: Option<State>,
}

const EXAMPLES: &str = "\
Examples:
  hone systems                          all of them as a table
  hone systems --state mechanism        what can be run today
  hone systems --json                   JSON Lines: id, name, state, recipe, command, shows";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum State {
    None,
    Mechanism,
    Recipe,
    Works,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    id: String,
    name: String,
    state: State,
    /// Its recipe, by the name that `hone train` takes.
    recipe: Option<String>,
    /// What to type to see it.
    command: Option<String>,
    /// What that shows of the system, and what not.
    shows: Option<String>,
}

impl Args {
    /// List.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let mut systems = systems()?;
        systems.retain(|system| self.state.is_none_or(|state| system.state == state));
        if json {
            return systems.iter().try_for_each(print_json);
        }
        let mut rows = vec![["system", "state", "name", "try", "shows"].map(str::to_owned).to_vec()];
        rows.extend(systems.into_iter().map(|system| {
            let state = crate::episode_text::name(&system.state);
            let command = system.command.unwrap_or_default();
            vec![system.id, state, system.name, command, system.shows.unwrap_or_default()]
        }));
        print(table(&rows))
    }
}

fn systems() -> anyhow::Result<Vec<System>> {
    #[derive(Deserialize)]
    struct List {
        system: Vec<System>,
    }
    let list: List = toml::from_str(include_str!("../../data/systems.toml"))
        .context("the built-in list of systems is broken; this is a defect, please report it")?;
    Ok(list.system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_can_be_typed() {
        let systems = systems().unwrap();
        assert_eq!(systems.len(), 61);
        assert!(systems.is_sorted_by(|a, b| a.id < b.id), "ids are unique and in order");
        for system in systems {
            let claims = system.state != State::None;
            assert_eq!(
                claims,
                system.command.is_some() && system.shows.is_some(),
                "{}",
                system.id
            );
            let needs_recipe = matches!(system.state, State::Recipe | State::Works);
            assert!(!needs_recipe || system.recipe.is_some(), "{}", system.id);
        }
    }
}
