//! The file of a log: entries read one at a time, within bounds.

use super::InspectError;
use ruzstd::decoding::StreamingDecoder;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// Most bytes of one entry when unpacked: what a sample may take.
pub const MAX_ENTRY: u64 = 256 << 20;
/// A log may unpack to this many times its size (and to [`MAX_ENTRY`] in any case): more than any real one does.
const MAX_RATIO: u64 = 1000;
/// Most entries.
const MAX_ENTRIES: usize = 2_000_000;
/// Most memory that a Zstandard frame may ask its reader for.
const MAX_WINDOW: u64 = 128 << 20;

/// A `.eval` file.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Self, InspectError> {
        let broken = |what: String| InspectError::Broken {
            place: path.display().to_string(),
            what,
        };
        let file = File::open(path)?;
        let left = file.metadata()?.len().saturating_mul(MAX_RATIO).max(MAX_ENTRY);
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(error.to_string()))?;
        if zip.len() > MAX_ENTRIES {
            return Err(broken(format!("it has {} entries, more than {MAX_ENTRIES}", zip.len())));
        }
        Ok(Self { zip, left })
    }

    /// Names of all entries that are UTF-8, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.zip
            .file_names()
            .filter_map(|name| Some(name.ok()?.into_owned()))
            .collect()
    }

    /// An entry, unpacked; `None` if there is none of that name.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, InspectError> {
        let Some(index) = self.zip.index_for_name(name) else {
            return Ok(None);
        };
        let broken = |what: String| InspectError::Broken {
            place: name.to_owned(),
            what,
        };
        let limit = self.left.min(MAX_ENTRY);
        let entry = self
            .zip
            .by_index_raw(index)
            .map_err(|error| broken(error.to_string()))?;
        let zstd = entry.compression() == CompressionMethod::ZSTD;
        let (size, crc) = (entry.size(), entry.crc32());
        if size > limit {
            return Err(InspectError::TooLarge {
                place: name.to_owned(),
                limit,
            });
        }
        let mut bytes = Vec::new();
        if zstd {
            let mut packed = entry;
            unpack_zstd(&mut packed, limit, &mut bytes).map_err(broken)?;
        } else {
            drop(entry);
            let entry = self.zip.by_index(index).map_err(|error| broken(error.to_string()))?;
            entry
                .take(limit + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| broken(error.to_string()))?;
        }
        if bytes.len() as u64 > limit {
            return Err(InspectError::TooLarge {
                place: name.to_owned(),
                limit,
            });
        }
        // The archive checks only what it unpacks itself.
        if zstd && crc32fast::hash(&bytes) != crc {
            return Err(broken("its checksum is wrong".into()));
        }
        self.left -= bytes.len() as u64;
        Ok(Some(bytes))
    }
}

/// All frames, up to one byte more than `limit`.
fn unpack_zstd(packed: &mut impl Read, limit: u64, bytes: &mut Vec<u8>) -> Result<(), String> {
    let mut packed = BufReader::new(packed);
    loop {
        let mut head = [0; 1];
        match packed.read(&mut head).map_err(|error| error.to_string())? {
            0 => return Ok(()),
            _ => {
                let mut frame = head.chain(&mut packed);
                let mut decoder = StreamingDecoder::new_with_max_window_size(&mut frame, MAX_WINDOW)
                    .map_err(|error| error.to_string())?;
                let room = (limit + 1).saturating_sub(bytes.len() as u64);
                decoder
                    .by_ref()
                    .take(room)
                    .read_to_end(bytes)
                    .map_err(|error| error.to_string())?;
                if bytes.len() as u64 > limit {
                    return Ok(());
                }
            }
        }
    }
}

/// A `.json` file as a whole.
pub(super) fn read_json(path: &Path) -> Result<Vec<u8>, InspectError> {
    let mut file = File::open(path)?;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_ENTRY {
        return Err(InspectError::TooLarge {
            place: path.display().to_string(),
            limit: MAX_ENTRY,
        });
    }
    Ok(bytes)
}

/// Python writes `NaN`, `Infinity` and `-Infinity`, which JSON does not have: `null` takes their place.
pub(super) fn without_nan(bytes: Vec<u8>) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut clean = Vec::new();
    let (mut at, mut copied, mut quoted) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b'N' | b'I' | b'-' if !quoted => {
                if let Some(word) = WORDS.iter().find(|word| bytes[at..].starts_with(word)) {
                    clean.extend_from_slice(&bytes[copied..at]);
                    clean.extend_from_slice(b"null");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return bytes;
    }
    clean.extend_from_slice(&bytes[copied..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_are_none_become_null() {
        let clean = |text: &str| String::from_utf8(without_nan(text.into())).unwrap();
        assert_eq!(
            clean(r#"{"a": NaN, "b": [-Infinity, Infinity]}"#),
            r#"{"a": null, "b": [null, null]}"#
        );
        for same in [r#"{"NaN": "is \" NaN", "n": -1}"#, "{}", "\"\\"] {
            assert_eq!(clean(same), same);
        }
    }
}
