//! Finding recipes and the files they name.

use anyhow::{Context, Result, bail};
use hone_train::recipe::Recipe;
use std::path::{Path, PathBuf};

const MAX_RECIPE_BYTES: u64 = 1 << 20;

/// A recipe as it was found.
pub struct Found {
    pub path: PathBuf,
    pub recipe: Recipe,
}

/// A recipe by file, by folder, or by the name of a folder under `recipes/`.
pub fn find(name: &str, budget: Option<&str>) -> Result<Found> {
    let path = locate(name)?;
    let size = std::fs::metadata(&path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if size > MAX_RECIPE_BYTES {
        bail!(
            "{} has {size} bytes; a recipe has at most {MAX_RECIPE_BYTES}",
            path.display()
        );
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let recipe = Recipe::parse(&text, &path.display().to_string(), budget)?;
    Ok(Found { path, recipe })
}

fn locate(name: &str) -> Result<PathBuf> {
    let given = Path::new(name);
    if given.is_file() {
        return Ok(given.into());
    }
    let inside = given.join("recipe.toml");
    if inside.is_file() {
        return Ok(inside);
    }
    // Recipes name others by their place in the project.
    let places = [
        name.to_owned(),
        format!("recipes/{name}/recipe.toml"),
        format!("recipes/{name}.toml"),
    ];
    let mut found = places.iter().filter_map(|place| resolve(place));
    if let Some(path) = found.find(|path| path.is_file()) {
        return Ok(path);
    }
    let known: Vec<_> = list().into_iter().map(|(name, _)| name).collect();
    bail!(
        "there is no recipe {name}: give a file, a folder with recipe.toml, or one of {}",
        known.join(", ")
    )
}

/// Names and paths of the recipes under `recipes/`: `FOLDER` for its recipe.toml, `FOLDER/FILE` for the others.
pub fn list() -> Vec<(String, PathBuf)> {
    let Some(dir) = resolve("recipes") else {
        return Vec::new();
    };
    let entries = |dir: &Path| {
        std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let mut out = Vec::new();
    for folder in entries(&dir).filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for path in entries(&folder) {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match file.strip_suffix(".toml") {
                // A project's settings, and what is claimed of a method.
                None | Some("hone" | "claims") => {}
                Some("recipe") => out.push((name.clone(), path)),
                Some(stem) => out.push((format!("{name}/{stem}"), path)),
            }
        }
    }
    out.sort();
    out
}

/// A path of the project: below the working directory, or below a folder that the program itself lies in (so that
/// `target/release/hone` finds the recipes of its checkout from anywhere).
pub fn resolve(path: &str) -> Option<PathBuf> {
    let given = PathBuf::from(path);
    if given.exists() {
        return Some(given);
    }
    let program = std::env::current_exe().ok()?;
    program
        .ancestors()
        .skip(1)
        .map(|dir| dir.join(path))
        .find(|p| p.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_of_the_project_is_right() {
        let all = list();
        assert!(all.len() > 20, "{all:?}");
        for (name, path) in all {
            let found = find(&name, None).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            assert_eq!(found.path, path);
            if let Recipe::Agent(recipe) = &found.recipe {
                // Others need data that not every machine has.
                if recipe.taskset.starts_with("shop") {
                    super::super::check(recipe).unwrap_or_else(|error| panic!("{name}: {error:#}"));
                }
                for budget in recipe.budget.keys() {
                    find(&name, Some(budget)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
                }
            }
        }
    }
}
