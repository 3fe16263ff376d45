//! `hone trace media`: the files that an episode's tools gave.

use super::find;
use crate::console::{counted, print, print_json, say, table};
use anyhow::Context;
use hone_trace::{Media, Store, StoreError};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Longest name of a file that is written, in characters.
const MAX_NAME: usize = 100;

/// A file in a line.
pub fn line(store: &Store, file: &Media) -> Result<String, StoreError> {
    let kept = if store.has_media(&file.hash)? {
        "kept"
    } else {
        "not kept"
    };
    let Media { name, mime, bytes, .. } = file;
    let short: String = file.hash.chars().take(12).collect();
    Ok(format!("{name} {mime}, {bytes} bytes, sha256 {short}, {kept}"))
}

pub fn run(store: &Store, id: &str, out: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let episode = find(store, id)?;
    if let Some(out) = out {
        let made = fs::create_dir_all(out);
        made.with_context(|| format!("the folder {} cannot be made; choose another", out.display()))?;
    }
    let mut rows = vec![["call", "name", "type", "bytes", "file"].map(str::to_owned).to_vec()];
    let mut written = 0;
    for call in &episode.tool_calls {
        for (number, file) in call.media.iter().enumerate() {
            let to = out.map(|out| out.join(file_name(call.id, number, file)));
            let kept = match &to {
                Some(to) => match store.media(&file.hash)? {
                    Some(content) => {
                        write(to, &content)?;
                        written += 1;
                        true
                    }
                    None => false,
                },
                None => store.has_media(&file.hash)?,
            };
            let place = to.filter(|_| kept).map(|to| to.display().to_string());
            if json {
                print_json(&json!({
                    "call": call.id, "name": file.name, "mime": file.mime, "bytes": file.bytes, "hash": file.hash,
                    "kept": kept, "file": place,
                }))?;
            }
            let place = place.unwrap_or_else(|| if kept { "kept" } else { "not kept" }.to_owned());
            rows.push(vec![
                call.id.to_string(),
                file.name.clone(),
                file.mime.clone(),
                file.bytes.to_string(),
                place,
            ]);
        }
    }
    let count = rows.len() as u64 - 1;
    if !json && count > 0 {
        print(table(&rows))?;
    }
    match out {
        Some(out) => say(format!(
            "{} of {} written to {}",
            written,
            counted(count, "file"),
            out.display()
        )),
        None => say(counted(count, "file")),
    }
    Ok(())
}

/// A name that is a file of the folder and nothing else, whatever the record says.
fn file_name(call: u32, number: usize, file: &Media) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: Vec<char> = file.name.chars().map(plain).collect();
    // Of a longer one the end, which says what it is.
    let name: String = name.iter().skip(name.len().saturating_sub(MAX_NAME)).collect();
    match name.is_empty() {
        true => format!("{call}-{number}"),
        false => format!("{call}-{number}-{name}"),
    }
}

fn write(to: &Path, content: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(to);
    file.and_then(|mut file| file.write_all(content)).with_context(|| {
        format!(
            "{} cannot be written; choose a folder without such a file",
            to.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let name = |name: &str| file_name(3, 0, &Media::new(name, "", Vec::new()));
        assert_eq!(name("figure-1-1.png"), "3-0-figure-1-1.png");
        assert_eq!(name("../../etc/passwd"), "3-0-.._.._etc_passwd");
        assert_eq!(name("a\0\n\u{202e}b\\c"), "3-0-a___b_c");
        assert_eq!(name(""), "3-0");
        let long = name(&format!("{}.png", "x/".repeat(500)));
        assert!(
            long.len() <= MAX_NAME + 8 && long.ends_with(".png") && !long.contains('/'),
            "{long}"
        );
    }
}
