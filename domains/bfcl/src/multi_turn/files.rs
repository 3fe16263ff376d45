//! `GorillaFileSystem`: a tree of files.
//!
//! Directories and files are objects that may be listed in more than one place (`cp` of a directory copies its listing
//! only), so they lie in tables here and listings hold their numbers.

use super::backend::{Backend, Default, given, tools};
use super::extension::Extension;
use super::operate::{contains, dict, error, gt, is, iterate, len, lines, remove, string};
use super::raise::{Kind, Outcome, Raised};
use hone_python::{Dict, Opaque, UnaryOp, Value, constant, text};
use std::borrow::Cow;
use std::sync::Arc;

/// Directories within directories: Python raises `RecursionError` a little before.
const MAX_DEPTH: usize = 300;

/// Entries that one call visits at most: shared directories can make a tree of any size.
const MAX_VISITS: usize = 1 << 20;

/// Objects that a world holds at most.
const MAX_OBJECTS: usize = 1 << 16;

#[derive(Clone)]
struct File {
    name: Value,
    content: Arc<Value>,
}

#[derive(Clone)]
struct Directory {
    name: Value,
    parent: Option<usize>,
    listing: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    File(usize),
    Directory(usize),
}

impl Item {
    fn value(self) -> Value {
        match self {
            Self::File(n) => (2 * n as i64).into(),
            Self::Directory(n) => (2 * n as i64 + 1).into(),
        }
    }

    fn of(value: &Value) -> Self {
        let n = value.as_i64().unwrap_or(0) as usize;
        if n.is_multiple_of(2) {
            Self::File(n / 2)
        } else {
            Self::Directory(n / 2)
        }
    }
}

/// The class's state.
#[derive(Clone)]
pub(super) struct Files {
    files: Vec<File>,
    directories: Vec<Directory>,
    listings: Vec<Dict>,
    current: usize,
    long_context: bool,
}

const ROOT: usize = 0;

impl Files {
    pub fn load(scenario: &Value, extension: Option<&Extension>) -> Outcome<Self> {
        let mut made = Self {
            files: vec![],
            directories: vec![],
            listings: vec![],
            current: ROOT,
            long_context: extension.is_some(),
        };
        let root = given(scenario, "root", || Value::None);
        let first = root.as_dict().and_then(|root| root.iter().next());
        match first {
            Some((name, entry)) => {
                made.new_directory(name.clone(), None);
                let contents = super::operate::field(entry, "contents")?;
                made.fill(contents, ROOT, extension, 0)?;
            }
            None => {
                made.new_directory("/".into(), None);
            }
        }
        Ok(made)
    }

    fn fill(&mut self, entries: &Value, at: usize, extension: Option<&Extension>, depth: usize) -> Outcome<()> {
        if depth > MAX_DEPTH {
            return Err(Raised::recursion());
        }
        let mut innermost = true;
        for (name, entry) in super::operate::mapping(entries, "items")?.iter() {
            let kind = super::operate::field(entry, "type")?;
            let item = if is(kind, "directory") {
                innermost = false;
                let made = self.new_directory(name.clone(), Some(at));
                self.fill(super::operate::field(entry, "contents")?, made, extension, depth + 1)?;
                Item::Directory(made)
            } else if is(kind, "file") {
                let mut content = super::operate::field(entry, "content")?.clone();
                if let Some(extension) = extension
                    && !contains(extension.get("FILES_TAIL_USED"), name)?
                {
                    content = super::operate::add(&content, extension.get("FILE_CONTENT_EXTENSION"))?;
                }
                self.new_file(name.clone(), Arc::new(content))
            } else {
                continue;
            };
            self.listing(at).insert(name.clone(), item.value())?;
        }
        if let Some(extension) = extension
            && innermost
        {
            for name in iterate(extension.get("POPULATE_FILE_EXTENSION"))? {
                self.add_file(at, &name, Arc::new("".into()))?;
            }
        }
        Ok(())
    }

    fn new_file(&mut self, name: Value, content: Arc<Value>) -> Item {
        self.files.push(File { name, content });
        Item::File(self.files.len() - 1)
    }

    fn new_directory(&mut self, name: Value, parent: Option<usize>) -> usize {
        self.listings.push(Dict::new());
        self.directories.push(Directory {
            name,
            parent,
            listing: self.listings.len() - 1,
        });
        self.directories.len() - 1
    }

    fn listing(&mut self, directory: usize) -> &mut Dict {
        &mut self.listings[self.directories[directory].listing]
    }

    fn listed(&self, directory: usize) -> &Dict {
        &self.listings[self.directories[directory].listing]
    }

    fn vacant(&self, at: usize, name: &Value, kind: &str) -> Outcome<()> {
        if self.files.len() + self.directories.len() >= MAX_OBJECTS {
            return Err(Raised::refused("there are too many files"));
        }
        if self.listed(at).lookup(name)?.is_none() {
            return Ok(());
        }
        let directory = &self.directories[at].name;
        Err(Raised::value(format!(
            "{kind} '{name}' already exists in directory '{directory}'."
        )))
    }

    fn add_file(&mut self, at: usize, name: &Value, content: Arc<Value>) -> Outcome<()> {
        self.vacant(at, name, "File")?;
        let item = self.new_file(name.clone(), content);
        self.listing(at).insert(name.clone(), item.value())?;
        Ok(())
    }

    fn add_directory(&mut self, at: usize, name: &Value) -> Outcome<usize> {
        self.vacant(at, name, "Directory")?;
        let made = self.new_directory(name.clone(), Some(at));
        self.listing(at).insert(name.clone(), Item::Directory(made).value())?;
        Ok(made)
    }

    /// Whether the current directory lists a name.
    fn here(&self, name: &Value) -> Outcome<bool> {
        Ok(self.listed(self.current).lookup(name)?.is_some())
    }

    fn item(&self, at: usize, name: &Value) -> Outcome<Option<Item>> {
        if is(name, ".") {
            return Ok(Some(Item::Directory(at)));
        }
        Ok(self.listed(at).lookup(name)?.map(Item::of))
    }

    /// The file of a name in the current directory.
    fn file(&self, name: &Value) -> Outcome<Option<&File>> {
        if !self.here(name)? {
            return Ok(None);
        }
        Ok(match self.item(self.current, name)? {
            Some(Item::File(n)) => Some(&self.files[n]),
            _ => None,
        })
    }

    fn valid(name: &Value) -> Outcome<bool> {
        for c in r#"|/\?%*:"><"#.chars() {
            if contains(name, &c.to_string().into())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The directory of a path, or the path if there is none.
    fn directory<'a>(&self, path: &'a Value) -> Outcome<Result<usize, &'a str>> {
        if path.is_none() || is(path, ".") {
            return Ok(Ok(self.current));
        }
        if is(path, "/") {
            return Ok(Ok(ROOT));
        }
        let path = string(path, "strip")?;
        let mut at = if path.starts_with('/') { ROOT } else { self.current };
        for name in path.trim_matches('/').split('/') {
            match self.item(at, &name.into())? {
                Some(Item::Directory(next)) => at = next,
                _ => return Ok(Err(path)),
            }
        }
        Ok(Ok(at))
    }

    fn pwd(&mut self) -> Outcome {
        let mut path = vec![];
        let mut at = Some(self.current);
        while let Some(directory) = at.map(|at| &self.directories[at]) {
            path.push(directory.name.clone());
            at = directory.parent;
        }
        path.reverse();
        let path = super::operate::join("/", &path)?;
        Ok(dict! { "current_working_directory" => format!("/{path}") })
    }

    fn ls(&mut self, a: Value) -> Outcome {
        let mut names = vec![];
        for name in self.listed(self.current).keys() {
            if a.truthy() || !string(name, "startswith")?.starts_with('.') {
                names.push(name.clone());
            }
        }
        Ok(dict! { "current_directory_content" => Value::List(names) })
    }

    fn cd(&mut self, folder: Value) -> Outcome {
        let folder = string(&folder, "rstrip")?.trim_end_matches('/');
        let folder = if folder.is_empty() { "/" } else { folder };
        if folder != "/" && folder.contains('/') {
            return error(format!(
                "cd: {folder}: Unsupported path. Only one folder level at a time is supported."
            ));
        }
        if folder == ".." {
            return match self.directories[self.current].parent {
                Some(parent) => {
                    self.current = parent;
                    Ok(dict! {})
                }
                None => error("Current directory is already the root. Cannot go back."),
            };
        }
        match self.directory(&folder.into())? {
            Ok(found) => {
                self.current = found;
                Ok(dict! { "current_working_directory" => self.directories[found].name.clone() })
            }
            Err(path) => error(format!("cd: '{path}': No such file or directory")),
        }
    }

    fn mkdir(&mut self, dir_name: Value) -> Outcome {
        if !Self::valid(&dir_name)? {
            return error(format!(
                "mkdir: cannot create directory '{dir_name}': Invalid character"
            ));
        }
        if self.here(&dir_name)? {
            return error(format!("mkdir: cannot create directory '{dir_name}': File exists"));
        }
        self.add_directory(self.current, &dir_name)?;
        Ok(Value::None)
    }

    fn touch(&mut self, file_name: Value) -> Outcome {
        if !Self::valid(&file_name)? {
            return error(format!("touch: cannot touch '{file_name}': Invalid character"));
        }
        if self.here(&file_name)? {
            return error(format!("touch: cannot touch '{file_name}': File exists"));
        }
        self.add_file(self.current, &file_name, Arc::new("".into()))?;
        Ok(Value::None)
    }

    fn echo(&mut self, content: Value, file_name: Value) -> Outcome {
        if file_name.is_none() {
            return Ok(dict! { "terminal_output" => content });
        }
        if !Self::valid(&file_name)? {
            return error(format!("echo: cannot write to '{file_name}': Invalid character"));
        }
        if !file_name.truthy() {
            return Ok(dict! { "terminal_output" => content });
        }
        if !self.here(&file_name)? {
            return error(format!("echo: cannot write to '{file_name}': No such file"));
        }
        match self.item(self.current, &file_name)? {
            Some(Item::File(n)) => self.files[n].content = Arc::new(content),
            _ => return Err(directory_lacks("_write")),
        }
        Ok(Value::None)
    }

    fn cat(&mut self, file_name: Value) -> Outcome {
        if !Self::valid(&file_name)? {
            return error(format!("cat: '{file_name}': Invalid character"));
        }
        if !self.here(&file_name)? {
            return error(format!("cat: '{file_name}': No such file or directory"));
        }
        match self.item(self.current, &file_name)? {
            Some(Item::File(n)) => Ok(dict! { "file_content" => (*self.files[n].content).clone() }),
            _ => error(format!("cat: '{file_name}': Is a directory")),
        }
    }

    fn find(&mut self, path: Value, name: Value) -> Outcome {
        let at = match self.directory(&path)? {
            Ok(at) => at,
            Err(path) => return error(format!("find: '{path}': No such file or directory")),
        };
        let base = string(&path, "rstrip")?.trim_end_matches('/').to_owned();
        let mut matches = vec![];
        let mut visits = 0;
        self.search(at, &base, &name, &mut matches, 0, &mut visits)?;
        Ok(dict! { "matches" => Value::List(matches) })
    }

    fn search(
        &self,
        at: usize,
        base: &str,
        name: &Value,
        matches: &mut Vec<Value>,
        depth: usize,
        visits: &mut usize,
    ) -> Outcome<()> {
        visit(depth, visits)?;
        for (key, item) in self.listed(at).iter() {
            // Long paths are what makes a deep tree expensive.
            *visits += 1 + base.len() / 64;
            let path = format!("{base}/{key}");
            if name.is_none() || contains(key, name)? {
                matches.push(path.as_str().into());
            }
            if let Item::Directory(next) = Item::of(item) {
                self.search(next, &path, name, matches, depth + 1, visits)?;
            }
        }
        Ok(())
    }

    fn wc(&mut self, file_name: Value, mode: Value) -> Outcome {
        if !["l", "w", "c"].iter().any(|known| is(&mode, known)) {
            return error(format!("wc: invalid mode '{mode}'"));
        }
        let Some(file) = self.file(&file_name)? else {
            return error(format!("wc: {file_name}: No such file or directory"));
        };
        let (count, kind) = match mode.as_str() {
            Some("l") => (lines(string(&file.content, "splitlines")?).len() as i64, "lines"),
            Some("w") => {
                let words = string(&file.content, "split")?.split(text::is_space);
                (words.filter(|word| !word.is_empty()).count() as i64, "words")
            }
            _ => (len(&file.content)?, "characters"),
        };
        Ok(dict! { "count" => count, "type" => kind })
    }

    fn sort(&mut self, file_name: Value) -> Outcome {
        let Some(file) = self.file(&file_name)? else {
            return error(format!("sort: {file_name}: No such file or directory"));
        };
        let mut sorted = lines(string(&file.content, "splitlines")?);
        sorted.sort();
        Ok(dict! { "sorted_content" => sorted.join("\n") })
    }

    fn grep(&mut self, file_name: Value, pattern: Value) -> Outcome {
        let Some(file) = self.file(&file_name)? else {
            return error(format!("grep: {file_name}: No such file or directory"));
        };
        let mut matching = vec![];
        for line in lines(string(&file.content, "splitlines")?) {
            let line = line.into();
            if contains(&line, &pattern)? {
                matching.push(line);
            }
        }
        Ok(dict! { "matching_lines" => Value::List(matching) })
    }

    fn du(&mut self, human_readable: Value) -> Outcome {
        let size = self.size(self.current, 0, &mut 0)?;
        let shown = if human_readable.truthy() {
            let mut size = size as f64;
            let mut unit = "PB";
            for smaller in ["B", "KB", "MB", "GB", "TB"] {
                if size < 1024.0 {
                    unit = smaller;
                    break;
                }
                size /= 1024.0;
            }
            format!("{size:.2} {unit}")
        } else {
            format!("{size} bytes")
        };
        Ok(dict! { "disk_usage" => shown })
    }

    fn size(&self, at: usize, depth: usize, visits: &mut usize) -> Outcome<u64> {
        visit(depth, visits)?;
        let mut size = 0u64;
        for item in self.listed(at).values() {
            *visits += 1;
            size += match Item::of(item) {
                Item::File(n) => string(&self.files[n].content, "encode")?.len() as u64,
                Item::Directory(next) => self.size(next, depth + 1, visits)?,
            };
        }
        Ok(size)
    }

    fn tail(&mut self, file_name: Value, lines: Value) -> Outcome {
        let Some(file) = self.file(&file_name)? else {
            return error(format!("tail: {file_name}: No such file or directory"));
        };
        let content = self::lines(string(&file.content, "splitlines")?);
        let count = content.len() as i64;
        let wanted = if gt(&lines, count)? { count.into() } else { lines };
        let Some(wanted) = wanted.integer() else {
            return match constant(&hone_python::Expr::Unary(
                UnaryOp::Minus,
                Box::new(hone_python::Expr::Literal(hone_python::Literal::Value(wanted.clone()))),
            )) {
                Ok(_) => Err(Raised::types(
                    "slice indices must be integers or None or have an __index__ method",
                )),
                Err(_) => Err(Raised::types(format!(
                    "bad operand type for unary -: '{}'",
                    wanted.type_name()
                ))),
            };
        };
        // `content[-lines:]`: nothing to leave out for 0, and a negative number counts from the front.
        let start = match wanted.to_i64() {
            Some(n) if n > 0 => count - n,
            Some(n) => n.saturating_neg().min(count),
            None => count,
        };
        let last = &content[start.clamp(0, count) as usize..];
        Ok(dict! { "last_lines" => last.join("\n") })
    }

    fn diff(&mut self, file_name1: Value, file_name2: Value) -> Outcome {
        if self.here(&file_name1)? && self.here(&file_name2)? {
            let (one, two) = (
                self.item(self.current, &file_name1)?,
                self.item(self.current, &file_name2)?,
            );
            if let (Some(Item::File(one)), Some(Item::File(two))) = (one, two) {
                let one = lines(string(&self.files[one].content, "splitlines")?);
                let two = lines(string(&self.files[two].content, "splitlines")?);
                let differing = one.iter().zip(&two).filter(|(a, b)| a != b);
                let differing: Vec<_> = differing.map(|(a, b)| format!("- {a}\n+ {b}")).collect();
                return Ok(dict! { "diff_lines" => differing.join("\n") });
            }
        }
        error(format!("diff: {file_name1} or {file_name2}: No such file or directory"))
    }

    fn mv(&mut self, source: Value, destination: Value) -> Outcome {
        self.transfer(&source, &destination, true)
    }

    fn cp(&mut self, source: Value, destination: Value) -> Outcome {
        self.transfer(&source, &destination, false)
    }

    fn transfer(&mut self, source: &Value, destination: &Value, moving: bool) -> Outcome {
        let (tool, verb, done) = if moving {
            ("mv", "move", "moved")
        } else {
            ("cp", "copy", "copied")
        };
        if !self.here(source)? {
            return error(format!("{tool}: cannot {verb} '{source}': No such file or directory"));
        }
        let Some(item) = self.item(self.current, source)? else {
            return error(format!("{tool}: cannot {verb} '{source}': Not a file or directory"));
        };
        if contains(destination, &"/".into())? {
            return error(format!(
                "{tool}: path not allowed in destination. Provide only a file or directory name."
            ));
        }
        if !self.here(destination)? {
            if moving {
                remove(self.listing(self.current), source);
            }
            self.place(item, self.current, destination, moving)?;
            return Ok(dict! { "result" => format!("'{source}' {done} to '{destination}'") });
        }
        let Some(Item::Directory(target)) = self.item(self.current, destination)? else {
            return error(format!(
                "{tool}: cannot {verb} '{source}' to '{destination}': Not a directory"
            ));
        };
        // `cp` looks for a path among names, and so finds none but a name with a slash.
        let taken = if moving {
            source.clone()
        } else {
            format!("{destination}/{source}").into()
        };
        if self.listed(target).lookup(&taken)?.is_some() {
            return error(format!(
                "{tool}: cannot {verb} '{source}' to '{destination}/{source}': File exists"
            ));
        }
        if moving {
            remove(self.listing(self.current), source);
        }
        self.place(item, target, source, moving)?;
        Ok(dict! { "result" => format!("'{source}' {done} to '{destination}/{source}'") })
    }

    /// List an item anew: a file with its content, a directory with the same listing (moved) or a copy of it.
    fn place(&mut self, item: Item, at: usize, name: &Value, moving: bool) -> Outcome<()> {
        match item {
            Item::File(n) => self.add_file(at, name, self.files[n].content.clone()),
            Item::Directory(n) => {
                let made = self.add_directory(at, name)?;
                if moving {
                    self.directories[made].listing = self.directories[n].listing;
                } else {
                    let entries = self.listed(n).clone();
                    *self.listing(made) = entries;
                }
                Ok(())
            }
        }
    }

    fn rm(&mut self, file_name: Value) -> Outcome {
        if !self.here(&file_name)? {
            return error(format!("rm: cannot remove '{file_name}': No such file or directory"));
        }
        remove(self.listing(self.current), &file_name);
        Ok(dict! { "result" => format!("'{file_name}' removed") })
    }

    fn rmdir(&mut self, dir_name: Value) -> Outcome {
        if !self.here(&dir_name)? {
            return error(format!("rmdir: cannot remove '{dir_name}': No such file or directory"));
        }
        let Some(Item::Directory(n)) = self.item(self.current, &dir_name)? else {
            return error(format!("rmdir: cannot remove '{dir_name}': Not a directory"));
        };
        if !self.listed(n).is_empty() {
            return error(format!("rmdir: cannot remove '{dir_name}': Directory not empty"));
        }
        remove(self.listing(self.current), &dir_name);
        Ok(dict! { "result" => format!("'{dir_name}' removed") })
    }

    /// As the original's `repr` of a directory.
    fn show(&self, at: usize, out: &mut String, depth: usize, visits: &mut usize) -> Outcome<()> {
        visit(depth, visits)?;
        let directory = &self.directories[at];
        let parent = directory
            .parent
            .map_or(Value::None, |p| self.directories[p].name.clone());
        out.push_str(&format!(
            "<Directory: {}, Parent: {parent}, Contents: {{",
            directory.name
        ));
        for (i, (name, item)) in self.listed(at).iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            out.push_str(&name.repr());
            out.push_str(": ");
            match Item::of(item) {
                Item::File(n) => {
                    let file = &self.files[n];
                    *visits += 1 + len(&file.content).unwrap_or(0) as usize / 256;
                    out.push_str(&format!("<<File: {}, Content: {}>>", file.name, file.content));
                }
                Item::Directory(next) => self.show(next, out, depth + 1, visits)?,
            }
        }
        out.push_str("}>");
        Ok(())
    }

    fn equal(&self, a: usize, other: &Self, b: usize, depth: usize, visits: &mut usize) -> Outcome<bool> {
        visit(depth, visits)?;
        if self.directories[a].name != other.directories[b].name {
            return Ok(false);
        }
        let (mine, theirs) = (self.listed(a), other.listed(b));
        if mine.len() != theirs.len() {
            return Ok(false);
        }
        for (name, item) in mine.iter() {
            *visits += 1;
            let Some(twin) = theirs.lookup(name)? else {
                return Ok(false);
            };
            let same = match (Item::of(item), Item::of(twin)) {
                (Item::File(a), Item::File(b)) => {
                    let (a, b) = (&self.files[a], &other.files[b]);
                    a.name == b.name && (Arc::ptr_eq(&a.content, &b.content) || a.content == b.content)
                }
                (Item::Directory(a), Item::Directory(b)) => self.equal(a, other, b, depth + 1, visits)?,
                _ => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn visit(depth: usize, visits: &mut usize) -> Outcome<()> {
    *visits += 1;
    if depth > MAX_DEPTH {
        Err(Raised::recursion())
    } else if *visits > MAX_VISITS {
        Err(Raised::refused("the tree is too large to walk"))
    } else {
        Ok(())
    }
}

fn directory_lacks(name: &str) -> Raised {
    Raised::new(Kind::Attribute, format!("'Directory' object has no attribute '{name}'"))
}

impl Backend for Files {
    tools! {
        "GorillaFileSystem",
        pwd(),
        ls(a = Default::False),
        cd(folder),
        mkdir(dir_name),
        touch(file_name),
        echo(content, file_name = Default::None),
        cat(file_name),
        find(path = Default::Text("."), name = Default::None),
        wc(file_name, mode = Default::Text("l")),
        sort(file_name),
        grep(file_name, pattern),
        du(human_readable = Default::False),
        tail(file_name, lines = Default::Int(10)),
        diff(file_name1, file_name2),
        mv(source, destination),
        rm(file_name),
        rmdir(dir_name),
        cp(source, destination),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        let mut repr = String::new();
        if let Err(e) = self.show(ROOT, &mut repr, 0, &mut 0) {
            repr = e.message;
        }
        let root = Value::from(Opaque {
            type_name: "Directory",
            repr,
        });
        vec![
            ("long_context", Cow::Owned(self.long_context.into())),
            ("root", Cow::Owned(root)),
        ]
    }

    fn differences(&self, other: &dyn Backend) -> Outcome<Vec<&'static str>> {
        let other = (other as &dyn std::any::Any).downcast_ref::<Self>();
        let same = match other {
            Some(other) => self.equal(ROOT, other, ROOT, 0, &mut 0)?,
            None => false,
        };
        Ok(if same { vec![] } else { vec!["root"] })
    }
}
