//! Documents out of a folder or a file, cut into passages and indexed.

use crate::embedder::embedder;
use crate::files::{FilesError, Folder};
use hone_search::{Document, Index, words};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

/// Most documents.
pub const MAX_DOCUMENTS: usize = 50_000;
/// Most bytes of all of them.
pub const MAX_BYTES: usize = 64 << 20;
/// Most bytes of a document.
pub const MAX_DOCUMENT: usize = 1 << 20;
/// Longest id, in characters.
pub const MAX_ID: usize = 300;

/// Length at which a passage ends, in characters; at the end of a line, if one is near.
const PASSAGE: usize = 1200;
/// Longest title, in characters.
const TITLE: usize = 120;
/// Length of a snippet, in characters.
const SNIPPET: usize = 240;
/// How many passages are looked at for each document that is shown.
const PASSAGES_PER_RESULT: usize = 5;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Stable id: its path, or what the file says.
    pub id: String,
    /// Title.
    pub title: String,
    /// Address, if the file says one.
    pub url: Option<String>,
    /// Text.
    pub text: String,
}

/// A line of a file of documents.
#[derive(Deserialize)]
struct Line {
    id: Option<serde_json::Value>,
    title: Option<String>,
    url: Option<String>,
    text: String,
}

/// A passage's place: its document, and where its text lies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    entry: usize,
    range: std::ops::Range<usize>,
}

/// A document that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'a> {
    /// The document.
    pub entry: &'a Entry,
    /// The part of it that fits best.
    pub snippet: String,
}

/// Documents with their index.
pub struct Corpus {
    entries: Vec<Entry>,
    by_id: BTreeMap<String, usize>,
    passages: Vec<Place>,
    index: Index,
    digest: String,
}

impl Corpus {
    /// Read and index a folder of text files, or a JSON Lines file of `{"id", "title", "url", "text"}` of which only `text` must be
    /// there. What is no text in a folder is passed over.
    ///
    /// # Errors
    /// What is wrong, with its file and line.
    pub fn read(path: &Path, command: Option<&[String]>, folder: &Path) -> Result<Self, String> {
        let entries = match path.is_dir() {
            true => of_folder(path)?,
            false => of_file(path)?,
        };
        if entries.is_empty() {
            return Err(format!("{} holds no text", path.display()));
        }
        let bytes: usize = entries.iter().map(|entry| entry.text.len()).sum();
        if entries.len() > MAX_DOCUMENTS || bytes > MAX_BYTES {
            return Err(format!(
                "{} holds more than {MAX_DOCUMENTS} documents or {MAX_BYTES} bytes",
                path.display()
            ));
        }
        let mut by_id = BTreeMap::new();
        let (mut passages, mut documents) = (Vec::new(), Vec::new());
        let mut hash = Sha256::new();
        for (at, entry) in entries.iter().enumerate() {
            if by_id.insert(entry.id.clone(), at).is_some() {
                return Err(format!(
                    "{} has two documents with the id {:?}",
                    path.display(),
                    entry.id
                ));
            }
            for part in [&entry.id, &entry.title, &entry.text] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            for range in cut(&entry.text) {
                documents.push(Document {
                    id: passages.len().to_string(),
                    // The title belongs to each of a document's passages.
                    text: format!("{}\n{}", entry.title, &entry.text[range.clone()]),
                });
                passages.push(Place { entry: at, range });
            }
        }
        let texts = documents.iter().map(|document| document.text.as_str());
        let embedder = embedder(command, folder, texts)?;
        hash.update(format!("{} {}", embedder.name(), embedder.version()));
        let index = Index::build(&documents, Some(embedder)).map_err(|error| error.to_string())?;
        Ok(Self {
            entries,
            by_id,
            passages,
            index,
            digest: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// SHA-256 in hex of the documents and of what makes their vectors.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The document of that id.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(*self.by_id.get(id)?)
    }

    /// The best documents by their best passages: BM25 and vectors, fused by reciprocal rank.
    ///
    /// # Errors
    /// When what makes vectors fails.
    pub fn search(&self, query: &str, limit: usize) -> Result<Vec<Found<'_>>, String> {
        let wanted = limit.saturating_mul(PASSAGES_PER_RESULT);
        let hits = self
            .index
            .search(query, wanted, self.index.method())
            .map_err(|error| error.to_string())?;
        let terms: BTreeSet<String> = words(query).into_iter().collect();
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for place in hits.iter().filter_map(|hit| self.passages.get(hit.row)) {
            if found.len() < limit && seen.insert(place.entry) {
                let entry = &self.entries[place.entry];
                let snippet = snippet(&entry.text[place.range.clone()], &terms);
                found.push(Found { entry, snippet });
            }
        }
        Ok(found)
    }
}

fn of_folder(path: &Path) -> Result<Vec<Entry>, String> {
    let name = path.display();
    let folder = Folder::open(path).map_err(|error| format!("{name} cannot be opened ({error})"))?;
    let mut entries = Vec::new();
    let mut left = MAX_BYTES;
    for id in folder.walk().map_err(|error| format!("{name}: {error}"))?.into_keys() {
        let text = match folder.read(&id) {
            Ok(text) => text,
            Err(FilesError::NotText { .. } | FilesError::Kind { .. }) => continue,
            Err(error) => return Err(format!("{name}: {error}")),
        };
        left = left
            .checked_sub(text.len())
            .ok_or_else(|| format!("{name} holds more than {MAX_BYTES} bytes"))?;
        entries.push(Entry {
            title: title(&text, &id),
            url: None,
            text,
            id,
        });
    }
    Ok(entries)
}

fn of_file(path: &Path) -> Result<Vec<Entry>, String> {
    let name = path.display();
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(2 * MAX_BYTES as u64 + 1).read_to_string(&mut text));
    read.map_err(|error| format!("{name} cannot be read ({error})"))?;
    if text.len() > 2 * MAX_BYTES {
        return Err(format!("{name} has more than {} bytes", 2 * MAX_BYTES));
    }
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: String| format!("{name}:{number}: {what}");
        let line: Line = serde_json::from_str(line).map_err(|error| {
            wrong(format!(
                "it is no document ({error}); write {{\"id\", \"title\", \"url\", \"text\"}}"
            ))
        })?;
        let id = match line.id {
            None => format!("{number}"),
            Some(serde_json::Value::String(id)) => id,
            Some(serde_json::Value::Number(id)) => id.to_string(),
            Some(_) => return Err(wrong("field `id`: it must be a text or a number".to_owned())),
        };
        if id.is_empty() || id.chars().count() > MAX_ID {
            return Err(wrong(format!("field `id`: it must have 1 to {MAX_ID} characters")));
        }
        if line.text.len() > MAX_DOCUMENT {
            return Err(wrong(format!("field `text`: it has more than {MAX_DOCUMENT} bytes")));
        }
        entries.push(Entry {
            title: line
                .title
                .map_or_else(|| title(&line.text, &id), |title| title.chars().take(TITLE).collect()),
            url: line.url,
            text: line.text,
            id,
        });
    }
    Ok(entries)
}

/// The first line that says something, without the marks of a heading.
fn title(text: &str, id: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_start_matches('#').trim());
    let first: String = lines.filter(|line| !line.is_empty()).take(1).collect();
    match first.is_empty() {
        true => id.to_owned(),
        false => first.chars().take(TITLE).collect(),
    }
}

/// Where the passages of a text lie.
fn cut(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut passages = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        let end = match rest.char_indices().nth(PASSAGE) {
            None => rest.len(),
            Some((end, _)) => {
                let near = |mark: &str| {
                    rest[..end]
                        .rfind(mark)
                        .map(|at| at + mark.len())
                        .filter(|at| *at > end / 2)
                };
                near("\n\n")
                    .or_else(|| near("\n"))
                    .or_else(|| near(". "))
                    .or_else(|| near(" "))
                    .unwrap_or(end)
            }
        };
        passages.push(start..start + end);
        start += end;
    }
    if passages.is_empty() {
        passages.push(0..0);
    }
    passages
}

/// Words between two places where a snippet may begin: enough to bring words that were apart together.
const STRIDE: usize = 5;

/// The stretch of a passage with the most of the query's words, on one line.
fn snippet(passage: &str, terms: &BTreeSet<String>) -> String {
    let pieces: Vec<&str> = passage.split_whitespace().collect();
    let fits: Vec<Vec<String>> = pieces
        .iter()
        .map(|piece| words(piece).into_iter().filter(|word| terms.contains(word)).collect())
        .collect();
    let window = |start: usize| {
        let (mut end, mut length) = (start, 0);
        while end < pieces.len() && length + pieces[end].chars().count() < SNIPPET {
            length += pieces[end].chars().count() + 1;
            end += 1;
        }
        start..end.max(start + 1).min(pieces.len())
    };
    // The best windows, first and last: what was asked for stands best in the middle of those that show it.
    let (mut most, mut first, mut last) = (0, 0, 0);
    let mut start = 0;
    while start < pieces.len() {
        let end = window(start).end;
        let different: BTreeSet<&String> = fits[start..end].iter().flatten().collect();
        if different.len() > most {
            (most, first, last) = (different.len(), start, start);
        } else if different.len() == most && start == last + STRIDE {
            last = start;
        }
        if end == pieces.len() {
            break;
        }
        start += STRIDE;
    }
    let best = window(if most == 0 { 0 } else { (first + last) / 2 });
    let text: String = pieces[best.clone()].join(" ").chars().take(SNIPPET).collect();
    let before = if best.start > 0 { "… " } else { "" };
    let after = if best.end < pieces.len() { " …" } else { "" };
    format!("{before}{text}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn snippets_show_the_words_that_were_asked_for() {
        let terms = |query: &str| words(query).into_iter().collect();
        let text = format!(
            "{}the return period is thirty days. {}",
            "filler words here ".repeat(40),
            "more of it ".repeat(40)
        );
        let shown = snippet(&text, &terms("returns within days"));
        assert!(shown.contains("return period is thirty days"), "{shown}");
        assert!(
            shown.starts_with("… ") && shown.ends_with(" …") && shown.chars().count() <= SNIPPET + 4,
            "{shown}"
        );
        assert_eq!(snippet("short text", &terms("nothing")), "short text");
        assert_eq!(snippet("", &terms("x")), "");
    }

    proptest! {
        #[test]
        fn passages_are_the_text(text in "([a-zäöü]{0,9}[ \n.]{1,2}){0,900}") {
            let passages = cut(&text);
            let joined: String = passages.iter().map(|range| &text[range.clone()]).collect();
            prop_assert_eq!(joined, text.clone());
            prop_assert!(passages.iter().all(|range| text[range.clone()].chars().count() <= PASSAGE));
            let _ = snippet(&text, &words("abc").into_iter().collect());
        }
    }
}
