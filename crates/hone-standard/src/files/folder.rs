//! A folder that no path leads out of.

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Component, Path};

/// Most files of a folder.
pub const MAX_FILES: usize = 10_000;
/// Most bytes of them all.
pub const MAX_BYTES: u64 = 64 << 20;
/// Most bytes of a file that is read or written.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 500;
/// Most folders that lie in each other.
pub const MAX_DEPTH: usize = 32;

/// Longest file that a snapshot holds as text, in bytes; of longer ones it holds length and hash.
const WHOLE: usize = 64 << 10;
/// Name of a file that is being written; it takes its own name when it is complete.
const UNFINISHED: &str = ".hone-unfinished";
/// Longest path that a message repeats, in characters.
const ECHOED: usize = 100;

/// Why something could not be done with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// The path leads out of the folder, or is none.
    #[error("{path:?} is no path below the folder; write a relative path such as notes/today.txt, without `..`")]
    Path {
        /// As it was given, shortened.
        path: String,
    },
    /// There is nothing of that name.
    #[error("there is no file {path}; list_files shows what is there")]
    Missing {
        /// The path.
        path: String,
    },
    /// It is there but is no regular file of this folder alone.
    #[error("{path} is {what}; choose another file")]
    Kind {
        /// The path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// It holds something else than UTF-8.
    #[error("{path} is no text; only text files can be read")]
    NotText {
        /// The path.
        path: String,
    },
    /// It is longer than what is read or written at once.
    #[error("{path} is longer than {most} bytes; use a smaller file")]
    TooLong {
        /// The path.
        path: String,
        /// How long it may be.
        most: usize,
    },
    /// The folder would hold too much.
    #[error(
        "the folder would hold more than {MAX_FILES} files, {MAX_BYTES} bytes or {MAX_DEPTH} folders in each other; write less"
    )]
    Full,
    /// The system says no.
    #[error("{path} cannot be used ({why}); choose another path")]
    System {
        /// The path.
        path: String,
        /// The system's words.
        why: String,
    },
}

/// A folder with what is below it. The operating system itself refuses paths and links that lead out (`cap-std`).
#[derive(Debug)]
pub struct Folder(Dir);

/// A regular file that a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its length.
    pub bytes: u64,
    /// Whether it has no other name: one that has may lie elsewhere, too.
    pub sole: bool,
}

impl Folder {
    /// Open a folder.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        Dir::open_ambient_dir(path, ambient_authority()).map(Self)
    }

    /// The regular files by path, links and other things passed over.
    ///
    /// # Errors
    /// When there are too many, or one cannot be read.
    pub fn walk(&self) -> Result<BTreeMap<String, Found>, FilesError> {
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            let at = |name: &str| match folder.as_str() {
                "" => name.to_owned(),
                _ => format!("{folder}/{name}"),
            };
            let system = |error: &io::Error| system(&at("."), error);
            let path = if folder.is_empty() { "." } else { folder.as_str() };
            let entries = self.0.read_dir(path).map_err(|error| system(&error))?;
            for entry in entries {
                let entry = entry.map_err(|error| system(&error))?;
                let kind = entry.file_type().map_err(|error| system(&error))?;
                seen += 1;
                if seen > 2 * MAX_FILES {
                    return Err(FilesError::Full);
                }
                // A name that is no text can be neither said nor asked for.
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| *name != UNFINISHED) else {
                    continue;
                };
                let path = at(name);
                if kind.is_dir() {
                    if path.split('/').count() > MAX_DEPTH {
                        return Err(FilesError::Full);
                    }
                    folders.push(path);
                } else if kind.is_file() {
                    let data = entry.metadata().map_err(|error| system(&error))?;
                    files.insert(
                        path,
                        Found {
                            bytes: data.len(),
                            sole: sole(&data),
                        },
                    );
                    if files.len() > MAX_FILES {
                        return Err(FilesError::Full);
                    }
                }
            }
        }
        Ok(files)
    }

    /// All files by path: short texts as they are, others as `{"bytes", "sha256"}`.
    ///
    /// # Errors
    /// When there is too much of it, or it cannot be read.
    pub fn snapshot(&self) -> Result<Map<String, Value>, FilesError> {
        let mut files = Map::new();
        let mut left = MAX_BYTES;
        for path in self.walk()?.into_keys() {
            let file = match self.open_file(&path) {
                Ok((file, _)) => file,
                // Gone since, or no longer a file.
                Err(FilesError::Missing { .. } | FilesError::Kind { .. }) => continue,
                Err(error) => return Err(error),
            };
            let mut bytes = Vec::new();
            file.take(left + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| system(&path, &error))?;
            left = left.checked_sub(bytes.len() as u64).ok_or(FilesError::Full)?;
            let value = match std::str::from_utf8(&bytes) {
                Ok(text) if bytes.len() <= WHOLE => Value::from(text),
                _ => {
                    let hex: String = Sha256::digest(&bytes)
                        .iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect();
                    json!({"bytes": bytes.len(), "sha256": hex})
                }
            };
            files.insert(path, value);
        }
        Ok(files)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// When there is none, or it is too long, or no text, or has another name outside.
    pub fn read(&self, path: &str) -> Result<String, FilesError> {
        let bytes = self.content(path, MAX_FILE_BYTES)?;
        String::from_utf8(bytes).map_err(|_| FilesError::NotText { path: clipped(path) })
    }

    /// What is in a file of at most `most` bytes.
    ///
    /// # Errors
    /// When there is none, or it is longer, or has another name outside.
    pub fn content(&self, path: &str, most: usize) -> Result<Vec<u8>, FilesError> {
        checked(path)?;
        let (file, found) = self.open_file(path)?;
        if !found.sole {
            return Err(kind(path, "known by several names, of which some may lie outside"));
        }
        let mut bytes = Vec::new();
        file.take(most as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| system(path, &error))?;
        if bytes.len() > most {
            let path = clipped(path);
            return Err(FilesError::TooLong { path, most });
        }
        Ok(bytes)
    }

    /// Write a file, as a whole or not at all, and the folders on the way. What has another name is not written through:
    /// the path gets a file of its own.
    ///
    /// # Errors
    /// When the path is no place for a file, or there is no room.
    pub fn write(&self, path: &str, text: &str) -> Result<(), FilesError> {
        checked(path)?;
        if text.len() > MAX_FILE_BYTES {
            let path = clipped(path);
            return Err(FilesError::TooLong {
                path,
                most: MAX_FILE_BYTES,
            });
        }
        let files = self.walk()?;
        let others = files.iter().filter(|(other, _)| *other != path);
        let (count, bytes) = others.fold((1, text.len() as u64), |(count, bytes), (_, found)| {
            (count + 1, bytes + found.bytes)
        });
        if count > MAX_FILES || bytes > MAX_BYTES {
            return Err(FilesError::Full);
        }
        let cannot = |error: io::Error| system(path, &error);
        let old = match self.0.symlink_metadata(path) {
            Ok(data) if data.is_dir() => return Err(kind(path, "a folder")),
            Ok(data) if !data.is_file() => return Err(kind(path, "a link or a device")),
            Ok(data) => Some(data.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot(error)),
        };
        let parent = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.0.create_dir_all(parent).map_err(cannot)?;
        }
        let unfinished = parent.map_or(UNFINISHED.into(), |parent| parent.join(UNFINISHED));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = match self.0.open_with(&unfinished, &options) {
            // Left behind by a process that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.0.remove_file(&unfinished).map_err(cannot)?;
                self.0.open_with(&unfinished, &options)
            }
            other => other,
        };
        let mut file = file.map_err(cannot)?;
        let done = file
            .write_all(text.as_bytes())
            .and_then(|()| old.map_or(Ok(()), |old| file.set_permissions(old)))
            .and_then(|()| self.0.rename(&unfinished, &self.0, path));
        done.map_err(|error| {
            let _ = self.0.remove_file(&unfinished);
            cannot(error)
        })
    }

    /// A regular file, opened; a pipe in its place does not keep us waiting.
    fn open_file(&self, path: &str) -> Result<(File, Found), FilesError> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use cap_std::fs::OpenOptionsExt;
            options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        }
        let file = self
            .0
            .open_with(path, &options)
            .map_err(|error| match error.raw_os_error() {
                // A socket, or a pipe that nobody reads.
                Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => kind(path, "no file"),
                _ => system(path, &error),
            })?;
        // Asked of what is open: whatever happens to the path now, it is this file.
        let data = file.metadata().map_err(|error| system(path, &error))?;
        if data.is_dir() {
            return Err(kind(path, "a folder"));
        }
        if !data.is_file() {
            return Err(kind(path, "no file"));
        }
        let found = Found {
            bytes: data.len(),
            sole: sole(&data),
        };
        Ok((file, found))
    }
}

#[cfg(unix)]
fn sole(data: &cap_std::fs::Metadata) -> bool {
    cap_std::fs::MetadataExt::nlink(data) == 1
}

#[cfg(not(unix))]
fn sole(_: &cap_std::fs::Metadata) -> bool {
    true
}

/// Only paths that say where below the folder something is.
fn checked(path: &str) -> Result<(), FilesError> {
    let parts = Path::new(path).components();
    let plain = parts.clone().all(|part| matches!(part, Component::Normal(_)));
    let fits = (1..=MAX_PATH_BYTES).contains(&path.len()) && parts.count() <= MAX_DEPTH;
    if plain && fits && !path.ends_with(UNFINISHED) && !path.contains('\0') {
        return Ok(());
    }
    Err(FilesError::Path { path: clipped(path) })
}

fn kind(path: &str, what: &'static str) -> FilesError {
    FilesError::Kind {
        path: clipped(path),
        what,
    }
}

/// The system's reason without its numbers.
fn system(path: &str, error: &io::Error) -> FilesError {
    let path = clipped(path);
    match error.kind() {
        io::ErrorKind::NotFound => FilesError::Missing { path },
        io::ErrorKind::PermissionDenied => FilesError::System {
            path,
            why: "it is outside of the folder, or protected".to_owned(),
        },
        kind => FilesError::System {
            path,
            why: kind.to_string(),
        },
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(ECHOED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
