//! What a call makes beside text: figures, tables, files.
//!
//! Code in a session can forge all of it: names, contents, what is said of them. What comes here is bounded and data.

use serde::Serialize;
use serde_json::Value;

use super::frame;
use crate::Error;

/// How much of what a call makes comes with its reply. Figures with tables are bounded, and files apart from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ArtifactLimits {
    /// How many are named; of more, only their number.
    pub number: usize,
    /// Bytes of one. Of a larger one there is its name alone.
    pub each: u64,
    /// Bytes together.
    pub together: u64,
}

impl Default for ArtifactLimits {
    fn default() -> Self {
        Self {
            number: 16,
            each: 1 << 20,
            together: 4 << 20,
        }
    }
}

impl ArtifactLimits {
    /// So that names and bytes fit into a reply, beside its output.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.number > 64 || self.together > (frame::MAX_BODY / 4) as u64 {
            return Err(Error::Spec(
                "a reply has room for 64 artifacts and 16 MiB of them; ask for less".to_owned(),
            ));
        }
        Ok(())
    }
}

/// A figure, table or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// A file's path below the session's folder, or what a figure or table is called: any characters, at most 500.
    pub name: String,
    /// What is said of a figure or table: its shape, or why it has no content.
    pub about: String,
    /// Its length; 0 for a figure or table without content.
    pub size: u64,
    /// Its bytes, unless there are more than [`ArtifactLimits`] has room for.
    pub content: Option<Vec<u8>>,
}

impl Artifact {
    /// The media type that its name stands for. Nobody has looked whether the content fits.
    pub fn mime(&self) -> &'static str {
        let end = self.name.rsplit_once('.').map_or("", |(_, end)| end);
        match end.to_ascii_lowercase().as_str() {
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "gif" => "image/gif",
            "svg" => "image/svg+xml",
            "webp" => "image/webp",
            "pdf" => "application/pdf",
            "csv" => "text/csv",
            "json" => "application/json",
            "html" => "text/html",
            "md" => "text/markdown",
            "txt" | "py" | "sh" | "log" | "tsv" | "jsonl" => "text/plain",
            _ => "application/octet-stream",
        }
    }
}

/// The rows of a list in a reply's header.
fn rows<'a>(header: &'a Value, key: &str) -> &'a [Value] {
    header[key].as_array().map_or(&[], Vec::as_slice)
}

/// How many bytes a row brings along.
fn length(size: &Value, with: bool) -> Option<usize> {
    match with {
        true => usize::try_from(size.as_u64()?).ok(),
        false => Some(0),
    }
}

/// How many bytes of a reply's body are artifacts.
pub(super) fn bytes(header: &Value) -> Option<usize> {
    let shown = rows(header, "shown")
        .iter()
        .map(|row| length(&row[2], !row[2].is_null()));
    let files = rows(header, "files").iter().map(|row| length(&row[1], row[2] == true));
    shown
        .chain(files)
        .try_fold(0usize, |sum, length| sum.checked_add(length?))
}

/// Takes the figures and tables off the front of `body`.
pub(super) fn shown(header: &Value, body: &mut &[u8]) -> Option<Vec<Artifact>> {
    let one = |row: &Value| {
        let content = match &row[2] {
            Value::Null => None,
            size => Some(take(body, usize::try_from(size.as_u64()?).ok()?)?),
        };
        Some(Artifact {
            name: row[0].as_str()?.to_owned(),
            about: row[1].as_str()?.to_owned(),
            size: content.as_ref().map_or(0, |content| content.len() as u64),
            content,
        })
    };
    rows(header, "shown").iter().map(one).collect()
}

/// Takes the files off the front of `body`.
pub(super) fn files(header: &Value, body: &mut &[u8]) -> Option<Vec<Artifact>> {
    let one = |row: &Value| {
        let size = row[1].as_u64()?;
        Some(Artifact {
            name: row[0].as_str()?.to_owned(),
            about: String::new(),
            size,
            content: match row[2].as_bool()? {
                true => Some(take(body, usize::try_from(size).ok()?)?),
                false => None,
            },
        })
    };
    rows(header, "files").iter().map(one).collect()
}

fn take(body: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (content, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(content.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_is_cut_as_its_header_says_or_not_at_all() {
        let header = json!({
            "shown": [["figure-1-1.png", "", 3], ["figure-1-2.png", "ValueError: x", null]],
            "files": [["a/b.csv", 2, true], ["large.bin", 900, false]],
        });
        assert_eq!(bytes(&header), Some(5));
        let mut body = &b"PNGxy"[..];
        let shown = shown(&header, &mut body).unwrap();
        let files = files(&header, &mut body).unwrap();
        assert!(body.is_empty());
        assert_eq!(shown[0].content.as_deref(), Some(&b"PNG"[..]));
        assert_eq!((shown[1].size, &shown[1].content), (0, &None));
        assert_eq!(
            (files[0].mime(), files[0].content.as_deref()),
            ("text/csv", Some(&b"xy"[..]))
        );
        assert_eq!((files[1].size, &files[1].content), (900, &None));

        assert_eq!(super::shown(&header, &mut &b"PN"[..]), None);
        for wrong in [
            json!({"shown": [["x", "", -1]]}),
            json!({"files": [["x", u64::MAX, true], ["y", u64::MAX, true]]}),
        ] {
            assert_eq!(bytes(&wrong), None, "{wrong}");
        }
    }
}
