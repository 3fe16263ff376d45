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
    if let Some(path) = resolve(&format!("recipes/{name}/recipe.toml")) {
        return Ok(path);
    }
    let known: Vec<_> = list().into_iter().map(|(name, _)| name).collect();
    bail!(
        "there is no recipe {name}: give a file, a folder with recipe.toml, or one of {}",
        known.join(", ")
    )
}

/// Names and paths of the recipes under `recipes/`.
pub fn list() -> Vec<(String, PathBuf)> {
    let Some(dir) = resolve("recipes") else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut out: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let path = entry.path().join("recipe.toml");
            path.is_file()
                .then(|| (entry.file_name().to_string_lossy().into_owned(), path))
        })
        .collect();
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
