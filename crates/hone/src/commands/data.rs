//! `hone data`: public data that tasksets read.

use crate::console::{print, print_json, say, table};
use crate::data::{self, State, Suite, SuiteFile, sha256, suite, suites};
use anyhow::{Context, bail};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Largest archive that is fetched, in bytes.
const MAX_ARCHIVE: u64 = 512 << 20;
/// Seconds that a download may take.
const MAX_SECONDS: u64 = 900;

/// List and fetch public data that tasksets read.
///
/// Suites are looked for in HONE_DATA if that is set, else in .hone-data and ../shared/data.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  hone data list                        what is there, what is missing, whose it is
  hone data get textcraft               fetch it into .hone-data (or HONE_DATA)
  hone data get textcraft --dir /data   fetch it into /data; then set HONE_DATA=/data
  hone data get textcraft --archive f   take it out of an archive that was downloaded elsewhere";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the suites: state, place, source, licence (with --json: JSON Lines).
    #[command(after_help = "Examples:\n  hone data list\n  hone data list --json | jq -r .id")]
    List,
    /// Fetch a suite from its public repository at a pinned commit and check every file. Needs curl and tar.
    #[command(after_help = "Examples:\n  hone data get textcraft\n  hone data get textcraft --dir /data")]
    Get {
        /// Suite, as `hone data list` names it
        suite: String,
        /// Folder that gets the suite's folder (default: HONE_DATA, else .hone-data)
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The repository's archive at that commit, downloaded before: nothing is fetched then
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
    },
}

impl Args {
    /// Do it.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        match self.action {
            Action::List => list(json),
            Action::Get {
                suite: id,
                dir,
                archive,
            } => {
                let suite = suite(&id)?;
                let folder = dir.unwrap_or_else(data::own_folder);
                get(&suite, &folder, archive.as_deref())?;
                if !data::folders().contains(&folder) {
                    say(format!("to use it, set HONE_DATA={}", folder.display()));
                }
                if json {
                    let at = folder.join(&suite.id).display().to_string();
                    print_json(&json!({"suite": id, "state": State::Ready.name(), "at": at}))?;
                }
                Ok(())
            }
        }
    }
}

fn list(json: bool) -> anyhow::Result<()> {
    let mut rows = vec![
        ["suite", "state", "at", "from", "licence", "what"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for suite in suites()? {
        let (at, state) = suite.find();
        let at = (state != State::Missing).then(|| at.display().to_string());
        let Suite {
            id,
            about,
            repository,
            license,
            commit,
            files,
        } = suite;
        if json {
            let commit = Some(commit).filter(|commit| !commit.is_empty());
            print_json(&json!({
                "id": id, "state": state.name(), "at": at, "repository": repository, "commit": commit,
                "license": license, "about": about, "can_get": !files.is_empty(),
            }))?;
        } else {
            rows.push(vec![
                id,
                state.name().into(),
                at.unwrap_or("-".into()),
                repository,
                license,
                about,
            ]);
        }
    }
    if json { Ok(()) } else { print(table(&rows)) }
}

/// Bring a suite below `folder`, unless it is there.
fn get(suite: &Suite, folder: &Path, archive: Option<&Path>) -> anyhow::Result<()> {
    let Suite {
        id, repository, commit, ..
    } = suite;
    let place = folder.join(id);
    if suite.files.is_empty() {
        bail!(
            "this version cannot fetch {id}; take it from https://github.com/{repository} and put it at {}",
            place.display()
        );
    }
    if suite.state(folder) == State::Ready {
        say(format!("{id} is at {} already", place.display()));
        return Ok(());
    }
    let scratch = Scratch::new(folder)?;
    let fetched = scratch.0.join("archive.tar.gz");
    let url = format!("https://codeload.github.com/{repository}/tar.gz/{commit}");
    let archive = match archive {
        Some(archive) => archive,
        None => {
            say(format!("fetching {url}"));
            download(&url, &fetched).with_context(|| {
                format!(
                    "{id} was not fetched; mend that and try again, or download {url} elsewhere and give it with --archive"
                )
            })?;
            &fetched
        }
    };
    let broken = || {
        format!(
            "{} does not hold {id}; give the archive that {url} is",
            archive.display()
        )
    };
    unpack(suite, archive, &scratch.0).with_context(broken)?;
    let mut whole = Vec::new();
    for file in &suite.files {
        let bytes = content(file, &scratch.0.join(&file.from)).with_context(broken)?;
        let found = sha256(&bytes);
        if found != file.sha256 {
            bail!(
                "{} came with SHA-256 {found} instead of {}; nothing was kept: fetch it again, and report this if it stays so",
                file.from,
                file.sha256
            );
        }
        whole.push((place.join(&file.to), bytes));
    }
    fs::create_dir_all(&place).with_context(|| cannot_write(&place))?;
    let partial = scratch.0.join("partial");
    for (path, bytes) in &whole {
        fs::create_dir_all(path.parent().unwrap_or(&place))
            .and_then(|()| fs::write(&partial, bytes))
            .and_then(|()| fs::rename(&partial, path))
            .with_context(|| cannot_write(path))?;
    }
    say(format!(
        "{} has all {} files, each with the right checksum",
        place.display(),
        whole.len()
    ));
    Ok(())
}

fn cannot_write(path: &Path) -> String {
    format!(
        "{} cannot be written; check its folder and the space on its disk, or choose another with --dir",
        path.display()
    )
}

/// A folder that goes away with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> anyhow::Result<Self> {
        let path = parent.join(format!(".fetching-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| cannot_write(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays behind does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn download(url: &str, to: &Path) -> anyhow::Result<()> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--location", "--silent", "--show-error", "--proto", "=https"])
        .args(["--retry", "2", "--connect-timeout", "30"])
        .args(["--max-time", &MAX_SECONDS.to_string()])
        .args(["--max-filesize", &MAX_ARCHIVE.to_string()])
        .arg("--output")
        .arg(to)
        .arg(url);
    finish(curl, "curl", "check that this machine is online")
}

fn unpack(suite: &Suite, archive: &Path, to: &Path) -> anyhow::Result<()> {
    // The repository's name without its owner; its archives hold one folder of that name and the commit.
    let name = suite.repository.rsplit('/').next().unwrap_or_default();
    let mut tar = Command::new("tar");
    tar.args([
        "--extract",
        "--gzip",
        "--no-same-owner",
        "--strip-components=1",
        "--file",
    ])
    .arg(archive)
    .arg("--directory")
    .arg(to);
    for file in &suite.files {
        tar.arg(format!("{name}-{}/{}", suite.commit, file.from));
    }
    finish(tar, "tar", "the file is damaged or another archive")
}

/// Run a program to its end, and give its last words where it fails.
fn finish(mut program: Command, name: &str, hint: &str) -> anyhow::Result<()> {
    let output = program
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{name} cannot be started; install it"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // Retries say the same thing again.
        let last = said.trim().lines().last().unwrap_or("it did not say why");
        bail!("{name} failed ({last}); {hint}");
    }
    Ok(())
}

/// The bytes of a file as the suite holds it.
fn content(file: &SuiteFile, from: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("{} is not in the archive", file.from);
    if !file.join {
        return fs::read(from).with_context(cannot);
    }
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(from).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.ends_with(".json") {
            entries.insert(name.to_owned(), fs::read_to_string(&path).with_context(cannot)?);
        }
    }
    Ok(join(&entries).into_bytes())
}

/// One JSON object out of JSON texts by name: their lines without indentation, and characters instead of their escapes.
/// Works on the text, so that the order of keys stays; whether the result is the expected one, its checksum says.
fn join(entries: &BTreeMap<String, String>) -> String {
    let entries = entries.iter().map(|(name, text)| {
        let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
        format!("\"{name}\": {}", lines.join("\n").replace("\\u0026", "&"))
    });
    format!("{{\n{}\n}}", entries.collect::<Vec<_>>().join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_files_are_one_object() {
        let entries = [
            ("b.json", "{\n  \"z\": 1,\n  \"a\": \"\\u0026\"\n}\n"),
            ("a.json", "[]"),
        ];
        let entries = entries.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let text = join(&entries);
        assert_eq!(text, "{\n\"a.json\": [],\n\"b.json\": {\n\"z\": 1,\n\"a\": \"&\"\n}\n}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["b.json"]["a"], "&");
    }
}
