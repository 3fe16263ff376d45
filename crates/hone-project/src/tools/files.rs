//! Files in the episode's own folder.

use super::{Scene, Source, object};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use hone_env::{EnvError, Environment, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most files of an episode's folder.
const MAX_FILES: usize = 10_000;
/// Most bytes of them all.
const MAX_BYTES: u64 = 64 << 20;
/// Longest file that the state holds as text, in bytes; of longer ones it holds length and hash.
const WHOLE: usize = 64 << 10;
/// Most bytes that `read_file` reads.
const READ: u64 = 1 << 20;

/// `builtin = "files"`: tools to list, read and write the files of the episode's folder. The folder is `files` of the state.
#[derive(Debug)]
pub struct Files {
    specs: Arc<Vec<ToolSpec>>,
}

impl Default for Files {
    fn default() -> Self {
        let spec = |name: &str, description: &str, input_schema: Value, annotations: Annotations| ToolSpec {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema,
            annotations,
            version: "1".to_owned(),
            unchecked: false,
        };
        let path = json!({"type": "string", "description": "relative path, such as notes/today.txt"});
        let reads = Annotations {
            read_only_hint: true,
            idempotent_hint: true,
            ..Annotations::default()
        };
        let writes = Annotations {
            destructive_hint: true,
            idempotent_hint: true,
            ..Annotations::default()
        };
        Self {
            specs: Arc::new(vec![
                spec("list_files", "List all files.", object(json!({}), &[]), reads),
                spec(
                    "read_file",
                    "Read a text file.",
                    object(json!({"path": path}), &[]),
                    reads,
                ),
                spec(
                    "write_file",
                    "Write a text file; replaces one that is there, and makes folders on the way.",
                    object(json!({"path": path, "text": {"type": "string"}}), &[]),
                    writes,
                ),
            ]),
        }
    }
}

impl Source for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn open(&self, scene: &Scene<'_>) -> Result<Box<dyn Environment>, EnvError> {
        let root = Dir::open_ambient_dir(scene.folder, ambient_authority()).map_err(|error| EnvError::Data {
            what: format!("the episode's folder cannot be opened ({error})"),
            remedy: "free some space where temporary files go".to_owned(),
        })?;
        Ok(Box::new(Workspace {
            specs: self.specs.clone(),
            root,
            folder: scene.folder.to_owned(),
        }))
    }
}

/// The folder of one episode. `root` lets no path out of it, whatever links it holds.
#[derive(Debug)]
struct Workspace {
    specs: Arc<Vec<ToolSpec>>,
    root: Dir,
    folder: PathBuf,
}

impl Workspace {
    fn read(&self, path: &str) -> Result<String, ToolError> {
        let cannot =
            |why: String| ToolError::tool(format!("{path} cannot be read ({why}); list_files shows what is there"));
        // Asked before it is opened: opening a pipe would keep us waiting.
        let data = self.root.metadata(path).map_err(|error| cannot(reason(&error)))?;
        if !data.is_file() {
            return Err(cannot("it is no file".to_owned()));
        }
        let file = self.root.open(path).map_err(|error| cannot(reason(&error)))?;
        let mut bytes = Vec::new();
        file.take(READ + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot(reason(&error)))?;
        if bytes.len() as u64 > READ {
            return Err(cannot(format!("it is longer than {READ} bytes")));
        }
        String::from_utf8(bytes).map_err(|_| cannot("it is no text".to_owned()))
    }

    fn write(&self, path: &str, text: &str) -> std::io::Result<()> {
        if let Some(parent) = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.root.create_dir_all(parent)?;
        }
        self.root.write(path, text)
    }
}

/// A reason without the system's numbers.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it is outside of the folder".to_owned(),
        kind => kind.to_string(),
    }
}

impl ToolHost for Workspace {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        match tool {
            "list_files" => match scan(&self.folder) {
                Ok(files) => Ok(ToolOutput::json(files.keys().cloned().collect::<Vec<_>>().into())),
                Err(why) => Err(ToolError::tool(why)),
            },
            "read_file" => self.read(text("path")).map(|text| ToolOutput {
                data: Value::String(text.clone()),
                text,
                media: Vec::new(),
                terminal: false,
            }),
            "write_file" => match self.write(text("path"), text("text")) {
                Ok(()) => Ok(ToolOutput::json(json!({"written": text("path")}))),
                Err(error) => Err(ToolError::tool(format!(
                    "{} cannot be written ({}); use a relative path",
                    text("path"),
                    reason(&error)
                ))),
            },
            _ => Err(ToolError::tool(format!("there is no tool `{tool}`"))),
        }
    }
}

impl Environment for Workspace {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    /// The world reads the folder itself, which other tools change too.
    fn state(&self) -> Value {
        Value::Null
    }
}

/// All files below a folder by path: short texts as they are, others as `{"bytes", "sha256"}`. Links are passed over.
///
/// # Errors
/// When there is too much of it, or it cannot be read.
pub(crate) fn scan(folder: &Path) -> Result<serde_json::Map<String, Value>, String> {
    let cannot = |error: std::io::Error| format!("the episode's folder cannot be read ({error})");
    let mut files = serde_json::Map::new();
    let mut left = MAX_BYTES;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let kind = entry.file_type().map_err(cannot)?;
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            if !kind.is_file() {
                continue;
            }
            let mut bytes = Vec::new();
            std::fs::File::open(&path)
                .and_then(|file| file.take(left + 1).read_to_end(&mut bytes))
                .map_err(cannot)?;
            if bytes.len() as u64 > left || files.len() >= MAX_FILES || folders.len() > MAX_FILES {
                return Err(format!(
                    "the episode's folder holds more than {MAX_FILES} files or {MAX_BYTES} bytes"
                ));
            }
            left -= bytes.len() as u64;
            let name = path
                .strip_prefix(folder)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            let value = match std::str::from_utf8(&bytes) {
                Ok(text) if bytes.len() <= WHOLE => Value::from(text),
                _ => {
                    let digest = Sha256::digest(&bytes);
                    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    json!({"bytes": bytes.len(), "sha256": hex})
                }
            };
            files.insert(name, value);
        }
    }
    Ok(files)
}

/// Copy the files below `from` to `to`. Links are refused: what they point to may change or lie anywhere.
///
/// # Errors
/// Names the path.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    let mut count = 0;
    while let Some((from, to)) = folders.pop() {
        let cannot = |error: std::io::Error| format!("{} cannot be copied ({error})", from.display());
        std::fs::create_dir_all(&to).map_err(cannot)?;
        for entry in std::fs::read_dir(&from).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let kind = entry.file_type().map_err(cannot)?;
            count += 1;
            if count > MAX_FILES {
                return Err(format!("{} holds more than {MAX_FILES} files", from.display()));
            }
            if kind.is_dir() {
                folders.push((entry.path(), to.join(entry.file_name())));
            } else if kind.is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(cannot)?;
            } else {
                return Err(format!("{} is neither a file nor a folder", entry.path().display()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn workspace(folder: &Path) -> Workspace {
        Workspace {
            specs: Files::default().specs,
            root: Dir::open_ambient_dir(folder, ambient_authority()).unwrap(),
            folder: folder.to_owned(),
        }
    }

    #[test]
    fn files_are_written_listed_and_read() {
        let dir = TempDir::new().unwrap();
        let mut files = workspace(dir.path());
        files
            .call("write_file", &json!({"path": "a/b.txt", "text": "ä\n"}))
            .unwrap();
        let read = files.call("read_file", &json!({"path": "a/b.txt"})).unwrap();
        assert_eq!((read.text.as_str(), &read.data), ("ä\n", &json!("ä\n")));
        assert_eq!(files.call("list_files", &json!({})).unwrap().data, json!(["a/b.txt"]));
        std::fs::write(dir.path().join("raw"), [0xff, 0]).unwrap();
        let state = scan(dir.path()).unwrap();
        assert_eq!((&state["a/b.txt"], &state["raw"]["bytes"]), (&json!("ä\n"), &json!(2)));
        assert!(
            files
                .call("read_file", &json!({"path": "raw"}))
                .unwrap_err()
                .message
                .contains("no text")
        );
    }

    #[test]
    fn no_path_leads_out() {
        let dir = TempDir::new().unwrap();
        let (inside, secret) = (dir.path().join("in"), dir.path().join("secret"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(&secret, "key").unwrap();
        let mut files = workspace(&inside);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&secret, inside.join("link")).unwrap();
            std::os::unix::fs::symlink(dir.path(), inside.join("up")).unwrap();
        }
        let absolute = secret.to_str().unwrap();
        for path in [
            "../secret",
            "a/../../secret",
            absolute,
            "link",
            "up/secret",
            "",
            ".",
            "/",
            "..",
            "\0",
        ] {
            let read = files.call("read_file", &json!({"path": path}));
            assert!(read.is_err(), "{path}");
            let written = files.call("write_file", &json!({"path": path, "text": "x"}));
            assert!(written.is_err(), "{path}");
        }
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "key");
        assert!(scan(&inside).unwrap().is_empty(), "links are passed over");
        assert!(copy(&inside, &dir.path().join("to")).is_err(), "and refused");
    }
}
