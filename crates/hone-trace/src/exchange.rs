//! Export and import as JSON Lines: one [`Episode`] a line, as `docs/trace-schema.md` describes.

use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;

use crate::{Episode, Filter, Flaw, SCHEMA, Store, StoreError};

/// Longest line that an import accepts, in bytes: a bound on the memory that a foreign file can take.
pub const MAX_LINE: usize = 256 << 20;

/// Bound on the bytes of lines that one import transaction holds.
const MAX_BATCH: usize = 4 << 20;

/// A failed export or import.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A line is not the JSON of an episode. `field` is the path to the place (empty at the top).
    #[error(
        "Line {line}{}: {what}. Mend or remove the line; docs/trace-schema.md describes the fields.",
        place(field)
    )]
    Json { line: u64, field: String, what: String },
    /// A line is an episode, but not a whole one.
    #[error("Line {line}: {flaw}. Mend or remove the line; docs/trace-schema.md describes the fields.")]
    Invalid { line: u64, flaw: Flaw },
    /// An episode that should be exported is not whole.
    #[error("Episode `{episode}`: {flaw}. Mend what made it, or leave it out.")]
    Unwritable { episode: String, flaw: Flaw },
    /// A newer program wrote the line.
    #[error("Line {line} has schema {found}, but this program knows only up to {SCHEMA}. Update Hone to read it.")]
    Newer { line: u64, found: u64 },
    /// A line is longer than allowed.
    #[error("Line {line} is longer than {limit} bytes. Check that the file is JSON Lines, one episode a line.")]
    TooLong { line: u64, limit: usize },
    /// The file cannot be read or written.
    #[error("The file cannot be read or written. Check that it is there, and that the disk has space.")]
    Io(#[from] io::Error),
    /// A Parquet file cannot be written.
    #[cfg(feature = "parquet")]
    #[error("The Parquet file cannot be written. Check that the disk has space.")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn place(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!(", `{field}`")
    }
}

/// Writes one episode as a line.
pub fn write_episode(to: &mut impl Write, episode: &Episode) -> Result<(), ExchangeError> {
    episode.check().map_err(|flaw| ExchangeError::Unwritable {
        episode: episode.id.clone(),
        flaw,
    })?;
    let mut line = serde_json::to_vec(episode).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(to.write_all(&line)?)
}

/// Writes the episodes of a store that pass, and returns how many.
pub fn export_jsonl(store: &Store, filter: &Filter, to: &mut impl Write) -> Result<u64, ExchangeError> {
    let mut count = 0;
    store.for_each(filter, |episode| {
        count += 1;
        write_episode(to, &episode)
    })?;
    to.flush()?;
    Ok(count)
}

/// Appends the episodes of a file to a store, in batches, and returns how many. After an error the batches before it stay;
/// importing the mended file again replaces them by themselves.
pub fn import_jsonl(from: impl BufRead, store: &Store) -> Result<u64, ExchangeError> {
    let mut episodes = Import::new(from);
    let mut count = 0;
    let mut batch = Vec::new();
    let mut start = 0;
    while let Some(episode) = episodes.next() {
        batch.push(episode?);
        if episodes.bytes - start > MAX_BATCH as u64 {
            store.append(&batch)?;
            count += batch.len() as u64;
            batch.clear();
            start = episodes.bytes;
        }
    }
    store.append(&batch)?;
    Ok(count + batch.len() as u64)
}

/// The episodes of a file, one at a time. Empty lines are skipped. Ends after the first error.
#[derive(Debug)]
pub struct Import<R> {
    from: R,
    limit: usize,
    line: u64,
    bytes: u64,
    failed: bool,
}

impl<R: BufRead> Import<R> {
    /// Reads from there.
    pub fn new(from: R) -> Self {
        Self::with_limit(from, MAX_LINE)
    }

    /// Reads from there, with another bound on the bytes of a line than [`MAX_LINE`].
    pub fn with_limit(from: R, limit: usize) -> Self {
        Self {
            from,
            limit,
            line: 0,
            bytes: 0,
            failed: false,
        }
    }

    fn read(&mut self) -> Result<Option<Episode>, ExchangeError> {
        let mut text = Vec::new();
        loop {
            text.clear();
            self.line += 1;
            // One byte more for the line's end, and one to see that it goes on.
            let length = self
                .from
                .by_ref()
                .take(self.limit as u64 + 2)
                .read_until(b'\n', &mut text)?;
            self.bytes += length as u64;
            if length == 0 {
                return Ok(None);
            }
            let content = text.strip_suffix(b"\n").unwrap_or(&text);
            if content.len() > self.limit {
                return Err(ExchangeError::TooLong {
                    line: self.line,
                    limit: self.limit,
                });
            }
            if !content.trim_ascii().is_empty() {
                return parse(content, self.line).map(Some);
            }
        }
    }
}

impl<R: BufRead> Iterator for Import<R> {
    type Item = Result<Episode, ExchangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let episode = self.read().transpose();
        self.failed = matches!(episode, Some(Err(_)));
        episode
    }
}

fn parse(text: &[u8], line: u64) -> Result<Episode, ExchangeError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u64,
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        (
            // `?` is where the text ends before the path does.
            if [".", "?"].contains(&field.as_str()) {
                String::new()
            } else {
                field
            },
            error.into_inner().to_string(),
        )
    });
    let read = read.and_then(|episode: Episode| {
        json.end().map_err(|error| (String::new(), error.to_string()))?;
        Ok(episode)
    });
    match (read, serde_json::from_slice::<Head>(text)) {
        // A newer schema may have any other fields, so that is said before anything else.
        (_, Ok(Head { schema })) if schema > u64::from(SCHEMA) => Err(ExchangeError::Newer { line, found: schema }),
        (Err((field, what)), _) => {
            // serde counts lines within what it was given, which is always one.
            Err(ExchangeError::Json {
                line,
                field,
                what: what.replace(" at line 1 column ", " at column "),
            })
        }
        (Ok(episode), _) => {
            episode.check().map_err(|flaw| ExchangeError::Invalid { line, flaw })?;
            Ok(episode)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, sample};

    fn line(spoil: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut tree = serde_json::to_value(sample::episode(&Stream::new(2), "eval/0/0", 2)).unwrap();
        spoil(&mut tree);
        tree.to_string()
    }

    fn error(text: &str) -> String {
        Import::new(text.as_bytes())
            .find_map(Result::err)
            .expect("an error")
            .to_string()
    }

    #[test]
    fn errors_name_line_and_field() {
        let good = line(|_| ());
        insta::assert_snapshot!(
            [
                error("{"),
                error("[1]"),
                error(&format!("{good}\n\n{good} {good}")),
                error(&format!("{good}\n{}", line(|e| e["model_calls"][1]["output"][3] = "x".into()))),
                error(&line(|e| e["model_calls"][1]["origins"][0]["value"] = "dreamt".into())),
                error(&line(|e| e["end"] = 7.into())),
                error(&line(|e| { e.as_object_mut().unwrap().remove("task"); })),
                error(&line(|e| e["tool_calls"][0]["model_call"] = 99.into())),
                error(&line(|e| { e["schema"] = 2.into(); e.as_object_mut().unwrap().remove("task"); })),
                error(&good[..good.len() / 2]),
                error("\u{0}\u{0}"),
            ]
            .join("\n"),
            @r##"
            Line 1: EOF while parsing an object at column 1. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 1: invalid length 1, expected struct Episode with 22 elements at column 3. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 3: trailing characters at column 5274. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 2, `model_calls[1].output[3]`: invalid type: string "x", expected u32 at column 3254. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 1, `model_calls[1].origins[0].value`: unknown variant `dreamt`, expected one of `sampled`, `rendered`, `teacher`, `forced` at column 3224. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 1, `end`: expected value at column 8. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 1: missing field `task` at column 5254. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 1: `tool_calls[0].model_call` refers to no model call. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 1 has schema 2, but this program knows only up to 1. Update Hone to read it.
            Line 1, `model_calls[1].entropies`: EOF while parsing a list at column 2636. Mend or remove the line; docs/trace-schema.md describes the fields.
            Line 1: expected value at column 1. Mend or remove the line; docs/trace-schema.md describes the fields.
            "##
        );
    }

    #[test]
    fn a_line_is_bounded() {
        let text = format!("{}\n", line(|_| ()));
        let length = text.len() - 1;
        assert_eq!(
            Import::with_limit(text.as_bytes(), length)
                .filter(Result::is_ok)
                .count(),
            1
        );
        let mut import = Import::with_limit(text.as_bytes(), length - 1);
        assert!(matches!(
            import.next(),
            Some(Err(ExchangeError::TooLong { line: 1, .. }))
        ));
        assert!(import.next().is_none(), "nothing after an error");
        // A file without lines is not read into memory.
        let endless = io::BufReader::new(io::repeat(b'['));
        assert!(matches!(
            Import::with_limit(endless, 1 << 16).next(),
            Some(Err(ExchangeError::TooLong { .. }))
        ));
        // Deep nesting is an error, not a stack overflow.
        assert!(matches!(
            Import::new("[".repeat(1 << 20).as_bytes()).next(),
            Some(Err(ExchangeError::Json { .. }))
        ));
    }

    #[test]
    fn what_json_cannot_carry_is_refused() {
        let mut episode = sample::episode(&Stream::new(2), "eval/0/0", 2);
        episode.model_calls[0].logprobs[0] = f32::NAN;
        let error = write_episode(&mut Vec::new(), &episode).unwrap_err();
        assert!(matches!(error, ExchangeError::Unwritable { .. }));
    }
}
